//! Every input event: its topic, its fields, and what it does to which entity.
//!
//! ```text
//!   type "lead.created" ─▶ EventType ─▶ EventSpec { topic, entity, effect, key field, fields }
//! ```
//! The table at the end *is* the contract of `events.md`; parsing and merging read it and nothing else.

use serde::{Deserialize, Serialize};

use super::entity::{
    EntityKind, PHASE_ACQUIRED, PHASE_SOLD, STAGE_DELIVERED, STAGE_LOST, STAGE_PROSPECT, STAGE_UNWOUND, customer, deal,
    dealer, lead, rep, vehicle,
};
use super::field::FieldRule::{
    Boolean, Cents, Count, CreditScore, Currency, Date, Frequency, Id, Minutes, Percent, Share, SignedCents, Text,
    TextList, TimeOfDay, Year, ZoneName,
};
use super::field::{CONDITION, FieldSpec, PHASE, STAGE, STATUS};

/// An input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Topic {
    /// Dealers' own data.
    Dealers,
    /// Enquiries.
    Leads,
    /// Deals and what happens to them.
    Deals,
    /// Vehicles.
    Inventory,
    /// Salespeople.
    Reps,
    /// What the HTTP API took in: any type.
    Commands,
}

impl Topic {
    /// Every topic, in the order of their numbers.
    pub const ALL: [Topic; 6] =
        [Topic::Dealers, Topic::Leads, Topic::Deals, Topic::Inventory, Topic::Reps, Topic::Commands];

    /// The topic's name, without prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Topic::Dealers => "dealers",
            Topic::Leads => "leads",
            Topic::Deals => "deals",
            Topic::Inventory => "inventory",
            Topic::Reps => "reps",
            Topic::Commands => "commands",
        }
    }
}

/// What an event does to the life of its entity, beside patching fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Creates it, or brings it back after a deletion: `created`, `added`, `acquired`.
    Create,
    /// Patches it, bringing an unseen one into being.
    Patch,
    /// Marks a moment without patching a field: `lead.responded`.
    Mark,
    /// Ends it.
    Delete,
    /// None: the event is for machines.
    Nothing,
}

/// The contract of one event type.
#[derive(Debug)]
pub struct EventSpec {
    /// The CloudEvents `type`.
    pub name: &'static str,
    /// The topic on which it may stand, beside `commands`.
    pub topic: Topic,
    /// What it is about.
    pub entity: Option<EntityKind>,
    /// What it does.
    pub effect: Effect,
    /// The field that holds the entity's id; `None` where the dealer id is it.
    pub key: Option<u8>,
    /// A slot set without a field: (slot, code, only where no field sets it).
    pub implied: Option<(u8, u64, bool)>,
    /// The fields of `data`.
    pub fields: &'static [FieldSpec],
}

/// The command that a dealer's models begin anew, as `command.accepted` names it.
pub const RESET_COMMAND: &[u8] = b"reset";

macro_rules! events {
    ($($variant:ident = $name:literal, $topic:ident, $entity:expr, $effect:ident, $key:expr, $implied:expr, [$($field:expr),* $(,)?];)+) => {
        /// The type of an accepted event.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum EventType { $($variant),+, Unknown }

        impl EventType {
            /// Every known type.
            pub const KNOWN: &'static [EventType] = &[$(EventType::$variant),+];

            /// The contract of this type. An unknown type has no fields and no effect.
            pub fn spec(self) -> &'static EventSpec {
                match self {
                    $(EventType::$variant => {
                        static SPEC: EventSpec = EventSpec {
                            name: $name, topic: Topic::$topic, entity: $entity, effect: Effect::$effect, key: $key,
                            implied: $implied, fields: &[$($field),*],
                        };
                        &SPEC
                    })+
                    EventType::Unknown => {
                        static SPEC: EventSpec = EventSpec {
                            name: "", topic: Topic::Commands, entity: None, effect: Effect::Nothing, key: None, implied: None,
                            fields: &[],
                        };
                        &SPEC
                    }
                }
            }

            /// The type of a CloudEvents `type`.
            pub fn parse(name: &[u8]) -> EventType {
                $(if name == $name.as_bytes() { return EventType::$variant; })+
                EventType::Unknown
            }
        }
    };
}

const fn f(name: &'static str, rule: super::field::FieldRule) -> FieldSpec {
    FieldSpec::new(name, rule)
}

const LEAD: Option<EntityKind> = Some(EntityKind::Lead);
const DEAL: Option<EntityKind> = Some(EntityKind::Deal);
const VEHICLE: Option<EntityKind> = Some(EntityKind::Vehicle);
const REP: Option<EntityKind> = Some(EntityKind::Rep);

events! {
    DealerUpdated = "dealer.updated", Dealers, Some(EntityKind::Dealer), Patch, None, None, [
        f("name", Text).to(dealer::NAME), f("timeZone", ZoneName).to(dealer::TIME_ZONE), f("state", Text).to(dealer::STATE),
        f("currency", Currency).to(dealer::CURRENCY),
    ];
    LeadCreated = "lead.created", Leads, LEAD, Create, Some(0), None, [
        f("leadId", Id).required(), f("customerId", Id).required().to(lead::CUSTOMER_ID), f("channel", Id).required().to(lead::CHANNEL),
        f("creditScore", CreditScore).to(lead::CREDIT_SCORE), f("annualIncomeCents", Cents).to(lead::ANNUAL_INCOME_CENTS),
        f("vehiclePriceCents", Cents).to(lead::VEHICLE_PRICE_CENTS), f("downPaymentCents", Cents).to(lead::DOWN_PAYMENT_CENTS),
        f("tradeValueCents", Cents).to(lead::TRADE_VALUE_CENTS), f("visitCount", Count).to(lead::VISIT_COUNT),
        f("timeOnLotMinutes", Minutes).to(lead::TIME_ON_LOT_MINUTES), f("engagement", Share).to(lead::ENGAGEMENT),
        f("coBuyer", Boolean).to(lead::CO_BUYER), f("termMonths", Count).to(lead::TERM_MONTHS),
        f("paymentSensitivity", Share).to(lead::PAYMENT_SENSITIVITY), f("vehicleId", Text).to(lead::VEHICLE_ID),
        f("language", Text).to(lead::LANGUAGE), f("skills", TextList).to(lead::SKILLS),
    ];
    LeadUpdated = "lead.updated", Leads, LEAD, Patch, Some(0), None, [
        f("leadId", Id).required(), f("customerId", Id).to(lead::CUSTOMER_ID), f("channel", Id).to(lead::CHANNEL),
        f("creditScore", CreditScore).to(lead::CREDIT_SCORE), f("annualIncomeCents", Cents).to(lead::ANNUAL_INCOME_CENTS),
        f("vehiclePriceCents", Cents).to(lead::VEHICLE_PRICE_CENTS), f("downPaymentCents", Cents).to(lead::DOWN_PAYMENT_CENTS),
        f("tradeValueCents", Cents).to(lead::TRADE_VALUE_CENTS), f("visitCount", Count).to(lead::VISIT_COUNT),
        f("timeOnLotMinutes", Minutes).to(lead::TIME_ON_LOT_MINUTES), f("engagement", Share).to(lead::ENGAGEMENT),
        f("coBuyer", Boolean).to(lead::CO_BUYER), f("termMonths", Count).to(lead::TERM_MONTHS),
        f("paymentSensitivity", Share).to(lead::PAYMENT_SENSITIVITY), f("vehicleId", Text).to(lead::VEHICLE_ID),
        f("language", Text).to(lead::LANGUAGE), f("skills", TextList).to(lead::SKILLS),
    ];
    LeadResponded = "lead.responded", Leads, LEAD, Mark, Some(0), None, [
        f("leadId", Id).required(), f("repId", Text), f("channel", Text),
    ];
    LeadDeleted = "lead.deleted", Leads, LEAD, Delete, Some(0), None, [f("leadId", Id).required()];
    CustomerEngagementDetected = "customer.engagement.detected", Leads, Some(EntityKind::Customer), Patch, Some(0), None, [
        f("customerId", Id).required(), f("engagement", Share).required().to(customer::ENGAGEMENT), f("leadId", Id), f("channel", Text),
    ];
    CustomerIdle = "customer.idle", Leads, None, Nothing, None, None, [
        f("customerId", Id).required(), f("idleMinutes", Minutes).required(), f("leadId", Text),
    ];
    DealCreated = "deal.created", Deals, DEAL, Create, Some(0), Some((deal::STAGE, STAGE_PROSPECT, true)), [
        f("dealId", Id).required(), f("leadId", Text).to(deal::LEAD_ID), f("customerId", Text).to(deal::CUSTOMER_ID),
        f("repId", Text).to(deal::REP_ID), f("stage", STAGE).to(deal::STAGE), f("vehicleId", Text).to(deal::VEHICLE_ID),
        f("priceCents", Cents).to(deal::PRICE_CENTS), f("costCents", Cents).to(deal::COST_CENTS),
        f("downPaymentCents", Cents).to(deal::DOWN_PAYMENT_CENTS), f("tradeAllowanceCents", Cents).to(deal::TRADE_ALLOWANCE_CENTS),
        f("tradeAcvCents", Cents).to(deal::TRADE_ACV_CENTS), f("amountFinancedCents", Cents).to(deal::AMOUNT_FINANCED_CENTS),
        f("termMonths", Count).to(deal::TERM_MONTHS), f("aprPercent", Percent).to(deal::APR_PERCENT),
        f("frontGrossCents", SignedCents).to(deal::FRONT_GROSS_CENTS), f("backGrossCents", SignedCents).to(deal::BACK_GROSS_CENTS),
        f("lender", Text).to(deal::LENDER), f("state", Text).to(deal::STATE), f("strategy", Text).to(deal::STRATEGY),
    ];
    DealUpdated = "deal.updated", Deals, DEAL, Patch, Some(0), None, [
        f("dealId", Id).required(), f("leadId", Text).to(deal::LEAD_ID), f("customerId", Text).to(deal::CUSTOMER_ID),
        f("repId", Text).to(deal::REP_ID), f("stage", STAGE).to(deal::STAGE), f("vehicleId", Text).to(deal::VEHICLE_ID),
        f("priceCents", Cents).to(deal::PRICE_CENTS), f("costCents", Cents).to(deal::COST_CENTS),
        f("downPaymentCents", Cents).to(deal::DOWN_PAYMENT_CENTS), f("tradeAllowanceCents", Cents).to(deal::TRADE_ALLOWANCE_CENTS),
        f("tradeAcvCents", Cents).to(deal::TRADE_ACV_CENTS), f("amountFinancedCents", Cents).to(deal::AMOUNT_FINANCED_CENTS),
        f("termMonths", Count).to(deal::TERM_MONTHS), f("aprPercent", Percent).to(deal::APR_PERCENT),
        f("frontGrossCents", SignedCents).to(deal::FRONT_GROSS_CENTS), f("backGrossCents", SignedCents).to(deal::BACK_GROSS_CENTS),
        f("lender", Text).to(deal::LENDER), f("state", Text).to(deal::STATE), f("strategy", Text).to(deal::STRATEGY),
    ];
    DealSubmitted = "deal.submitted", Deals, DEAL, Patch, Some(0), None, [
        f("dealId", Id).required(), f("leadId", Text).to(deal::LEAD_ID), f("customerId", Text).to(deal::CUSTOMER_ID),
        f("repId", Text).to(deal::REP_ID), f("stage", STAGE).to(deal::STAGE), f("vehicleId", Text).to(deal::VEHICLE_ID),
        f("priceCents", Cents).to(deal::PRICE_CENTS), f("costCents", Cents).to(deal::COST_CENTS),
        f("downPaymentCents", Cents).to(deal::DOWN_PAYMENT_CENTS), f("tradeAllowanceCents", Cents).to(deal::TRADE_ALLOWANCE_CENTS),
        f("tradeAcvCents", Cents).to(deal::TRADE_ACV_CENTS), f("amountFinancedCents", Cents).to(deal::AMOUNT_FINANCED_CENTS),
        f("termMonths", Count).to(deal::TERM_MONTHS), f("aprPercent", Percent).to(deal::APR_PERCENT),
        f("frontGrossCents", SignedCents).to(deal::FRONT_GROSS_CENTS), f("backGrossCents", SignedCents).to(deal::BACK_GROSS_CENTS),
        f("lender", Text).to(deal::LENDER), f("state", Text).to(deal::STATE), f("strategy", Text).to(deal::STRATEGY),
    ];
    DealClosed = "deal.closed", Deals, DEAL, Patch, Some(0), Some((deal::STAGE, STAGE_DELIVERED, false)), [
        f("dealId", Id).required(), f("repId", Text).to(deal::REP_ID), f("reason", Text).to(deal::REASON),
        f("frontGrossCents", SignedCents).to(deal::FRONT_GROSS_CENTS), f("backGrossCents", SignedCents).to(deal::BACK_GROSS_CENTS),
    ];
    DealLost = "deal.lost", Deals, DEAL, Patch, Some(0), Some((deal::STAGE, STAGE_LOST, false)), [
        f("dealId", Id).required(), f("repId", Text).to(deal::REP_ID), f("reason", Text).to(deal::REASON),
        f("frontGrossCents", SignedCents).to(deal::FRONT_GROSS_CENTS), f("backGrossCents", SignedCents).to(deal::BACK_GROSS_CENTS),
    ];
    DealUnwound = "deal.unwound", Deals, DEAL, Patch, Some(0), Some((deal::STAGE, STAGE_UNWOUND, false)), [
        f("dealId", Id).required(), f("repId", Text).to(deal::REP_ID), f("reason", Text).to(deal::REASON),
        f("frontGrossCents", SignedCents).to(deal::FRONT_GROSS_CENTS), f("backGrossCents", SignedCents).to(deal::BACK_GROSS_CENTS),
    ];
    DealTaxRequired = "deal.tax.required", Deals, None, Nothing, None, None, [
        f("dealId", Id).required(), f("state", Id).required(), f("priceCents", Cents), f("tradeAllowanceCents", Cents),
        f("rebateCents", Cents), f("docFeeCents", Cents), f("deliveryDate", Date),
    ];
    CreditApproved = "credit.approved", Deals, None, Nothing, None, None, [
        f("dealId", Id).required(), f("creditScore", CreditScore), f("maxAmountCents", Cents), f("monthlyIncomeCents", Cents),
        f("monthlyDebtCents", Cents),
    ];
    DealStrategyOutcome = "deal.strategy.outcome", Deals, None, Nothing, None, None, [
        f("dealId", Id).required(), f("strategy", Id).required(), f("success", Boolean).required(),
    ];
    VehicleAcquired = "vehicle.acquired", Inventory, VEHICLE, Create, Some(0), Some((vehicle::PHASE, PHASE_ACQUIRED, true)), [
        f("vehicleId", Id).required(), f("vin", Text).to(vehicle::VIN), f("year", Year).to(vehicle::YEAR), f("make", Text).to(vehicle::MAKE),
        f("model", Text).to(vehicle::MODEL), f("trim", Text).to(vehicle::TRIM), f("mileage", Count).to(vehicle::MILEAGE),
        f("condition", CONDITION).to(vehicle::CONDITION), f("costCents", Cents).to(vehicle::COST_CENTS),
        f("marketPriceCents", Cents).to(vehicle::MARKET_PRICE_CENTS), f("phase", PHASE).to(vehicle::PHASE),
    ];
    VehiclePhaseMoved = "vehicle.phase.moved", Inventory, VEHICLE, Patch, Some(0), None, [
        f("vehicleId", Id).required(), f("phase", PHASE).required().to(vehicle::PHASE),
    ];
    VehiclePriced = "vehicle.priced", Inventory, VEHICLE, Patch, Some(0), None, [
        f("vehicleId", Id).required(), f("priceCents", Cents).required().to(vehicle::PRICE_CENTS),
        f("marketPriceCents", Cents).to(vehicle::MARKET_PRICE_CENTS),
    ];
    VehicleSold = "vehicle.sold", Inventory, VEHICLE, Patch, Some(0), Some((vehicle::PHASE, PHASE_SOLD, false)), [
        f("vehicleId", Id).required(), f("dealId", Text), f("priceCents", Cents), f("reason", Text),
    ];
    VehicleRemoved = "vehicle.removed", Inventory, VEHICLE, Delete, Some(0), None, [
        f("vehicleId", Id).required(), f("dealId", Text), f("priceCents", Cents), f("reason", Text),
    ];
    RepAdded = "rep.added", Reps, REP, Create, Some(0), None, [
        f("repId", Id).required(), f("name", Id).required().to(rep::NAME), f("skillLevel", Share).to(rep::SKILL_LEVEL),
        f("naturalFrequency", Frequency).to(rep::NATURAL_FREQUENCY), f("role", Text).to(rep::ROLE), f("team", Text).to(rep::TEAM),
        f("leadCap", Count).to(rep::LEAD_CAP), f("skills", TextList).to(rep::SKILLS), f("shiftStart", TimeOfDay).to(rep::SHIFT_START),
        f("shiftEnd", TimeOfDay).to(rep::SHIFT_END),
    ];
    RepStatusChanged = "rep.status.changed", Reps, REP, Patch, Some(0), None, [
        f("repId", Id).required(), f("status", STATUS).required().to(rep::STATUS),
    ];
    RepSkillUpdated = "rep.skill.updated", Reps, REP, Patch, Some(0), None, [
        f("repId", Id).required(), f("skillLevel", Share).to(rep::SKILL_LEVEL),
    ];
    RepRemoved = "rep.removed", Reps, REP, Delete, Some(0), None, [f("repId", Id).required(), f("skillLevel", Share)];
    CommandAccepted = "command.accepted", Commands, None, Nothing, None, None, [f("command", Id).required()];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for event_type in EventType::KNOWN {
            assert_eq!(EventType::parse(event_type.spec().name.as_bytes()), *event_type);
        }
        assert_eq!(EventType::parse(b"lead.exploded"), EventType::Unknown);
        assert_eq!(EventType::KNOWN.len(), 26);
    }

    #[test]
    fn fields_fit_the_mask_and_key_comes_first() {
        for event_type in EventType::KNOWN {
            let spec = event_type.spec();
            assert!(spec.fields.len() <= 32, "{}", spec.name);
            if let Some(key) = spec.key {
                assert!(spec.fields[key as usize].required, "{}", spec.name);
            }
            for field in spec.fields {
                if let (Some(slot), Some(entity)) = (field.slot, spec.entity) {
                    assert!(usize::from(slot) < entity.slots());
                }
            }
        }
    }
}
