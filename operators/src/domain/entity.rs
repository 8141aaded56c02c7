//! The six kinds of entity and the slots in which their fields are kept.

/// What an event can be about. Entities are keyed by dealer and their own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntityKind {
    /// A dealer: its own id is the dealer id.
    Dealer,
    /// An enquiry of a customer.
    Lead,
    /// A negotiation over one vehicle.
    Deal,
    /// A unit of inventory.
    Vehicle,
    /// A salesperson.
    Rep,
    /// A person who enquires or buys.
    Customer,
}

impl EntityKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [EntityKind; 6] = [
        EntityKind::Dealer,
        EntityKind::Lead,
        EntityKind::Deal,
        EntityKind::Vehicle,
        EntityKind::Rep,
        EntityKind::Customer,
    ];

    /// Number of slots that an entity of this kind has.
    pub const fn slots(self) -> usize {
        match self {
            EntityKind::Dealer => dealer::SLOTS,
            EntityKind::Lead => lead::SLOTS,
            EntityKind::Deal => deal::SLOTS,
            EntityKind::Vehicle => vehicle::SLOTS,
            EntityKind::Rep => rep::SLOTS,
            EntityKind::Customer => customer::SLOTS,
        }
    }

    /// The slots that hold a text of the heap, a bit each: it has to be freed when it is replaced.
    pub const fn text_slots(self) -> u32 {
        TEXT_SLOTS[self as usize]
    }
}

/// By the number of the kind.
const TEXT_SLOTS: [u32; 6] = [
    bits(&[dealer::NAME, dealer::TIME_ZONE, dealer::STATE, dealer::CURRENCY]),
    bits(&[lead::CUSTOMER_ID, lead::CHANNEL, lead::VEHICLE_ID, lead::LANGUAGE, lead::SKILLS]),
    bits(&[
        deal::LEAD_ID,
        deal::CUSTOMER_ID,
        deal::REP_ID,
        deal::VEHICLE_ID,
        deal::LENDER,
        deal::STATE,
        deal::STRATEGY,
        deal::REASON,
    ]),
    bits(&[vehicle::VIN, vehicle::MAKE, vehicle::MODEL, vehicle::TRIM]),
    bits(&[rep::NAME, rep::ROLE, rep::TEAM, rep::SKILLS, rep::SHIFT_START, rep::SHIFT_END]),
    0,
];

const fn bits(slots: &[u8]) -> u32 {
    let (mut bits, mut index) = (0, 0);
    while index < slots.len() {
        bits |= 1 << slots[index];
        index += 1;
    }
    bits
}

macro_rules! slots {
    ($(#[$doc:meta])* $kind:ident: $($name:ident),+) => {
        $(#[$doc])*
        pub mod $kind {
            #![allow(missing_docs)]
            slots!(@number 0_u8; $($name),+);
        }
    };
    (@number $n:expr; $name:ident $(, $rest:ident)*) => {
        pub const $name: u8 = $n;
        slots!(@number $n + 1; $($rest),*);
    };
    (@number $n:expr;) => {
        pub const SLOTS: usize = ($n) as usize;
    };
}

slots!(
    /// Slots of a dealer.
    dealer: NAME, TIME_ZONE, STATE, CURRENCY
);
slots!(
    /// Slots of a lead.
    lead: CUSTOMER_ID, CHANNEL, CREDIT_SCORE, ANNUAL_INCOME_CENTS, VEHICLE_PRICE_CENTS, DOWN_PAYMENT_CENTS, TRADE_VALUE_CENTS,
    VISIT_COUNT, TIME_ON_LOT_MINUTES, ENGAGEMENT, CO_BUYER, TERM_MONTHS, PAYMENT_SENSITIVITY, VEHICLE_ID, LANGUAGE, SKILLS
);
slots!(
    /// Slots of a deal.
    deal: LEAD_ID, CUSTOMER_ID, REP_ID, STAGE, VEHICLE_ID, PRICE_CENTS, COST_CENTS, DOWN_PAYMENT_CENTS, TRADE_ALLOWANCE_CENTS,
    TRADE_ACV_CENTS, AMOUNT_FINANCED_CENTS, TERM_MONTHS, APR_PERCENT, FRONT_GROSS_CENTS, BACK_GROSS_CENTS, LENDER, STATE, STRATEGY,
    REASON
);
slots!(
    /// Slots of a vehicle.
    vehicle: VIN, YEAR, MAKE, MODEL, TRIM, MILEAGE, CONDITION, COST_CENTS, MARKET_PRICE_CENTS, PHASE, PRICE_CENTS
);
slots!(
    /// Slots of a rep.
    rep: NAME, SKILL_LEVEL, NATURAL_FREQUENCY, ROLE, TEAM, LEAD_CAP, SKILLS, SHIFT_START, SHIFT_END, STATUS
);
slots!(
    /// Slots of a customer.
    customer: ENGAGEMENT
);

/// Stages of a deal, in the order of their codes.
pub const DEAL_STAGES: &[&str] =
    &["prospect", "negotiating", "pending_finance", "approved", "contracted", "delivered", "lost", "unwound"];
/// Code of stage `prospect`.
pub const STAGE_PROSPECT: u64 = 0;
/// Code of stage `contracted`, the last that counts as active.
pub const STAGE_CONTRACTED: u64 = 4;
/// Code of stage `delivered`.
pub const STAGE_DELIVERED: u64 = 5;
/// Code of stage `lost`.
pub const STAGE_LOST: u64 = 6;
/// Code of stage `unwound`.
pub const STAGE_UNWOUND: u64 = 7;

/// Phases of a vehicle, in the order of their codes.
pub const VEHICLE_PHASES: &[&str] = &[
    "acquired",
    "inspection",
    "estimate",
    "approval",
    "parts",
    "mechanical",
    "body",
    "detail",
    "photos",
    "frontline",
    "sale_pending",
    "sold",
    "removed",
];
/// Code of phase `acquired`.
pub const PHASE_ACQUIRED: u64 = 0;
/// Code of phase `frontline`.
pub const PHASE_FRONTLINE: u64 = 9;
/// Code of phase `sold`.
pub const PHASE_SOLD: u64 = 11;

/// Conditions of a vehicle.
pub const VEHICLE_CONDITIONS: &[&str] = &["new", "used", "certified"];
/// Statuses of a rep.
pub const REP_STATUSES: &[&str] = &["available", "busy", "break", "off"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_agree() {
        assert_eq!(DEAL_STAGES[STAGE_DELIVERED as usize], "delivered");
        assert_eq!(DEAL_STAGES[STAGE_CONTRACTED as usize], "contracted");
        assert_eq!(DEAL_STAGES[STAGE_UNWOUND as usize], "unwound");
        assert_eq!(VEHICLE_PHASES[PHASE_FRONTLINE as usize], "frontline");
        assert_eq!(VEHICLE_PHASES[PHASE_SOLD as usize], "sold");
        assert_eq!(lead::SLOTS, 16);
        assert_eq!(EntityKind::Deal.slots(), 19);
    }
}
