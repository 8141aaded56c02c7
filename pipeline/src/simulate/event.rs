//! The vocabulary that the simulated world speaks: topics, event types, ids.

/// A topic, which is a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Dealers,
    Leads,
    Deals,
    Inventory,
    Reps,
}

impl Topic {
    pub(super) const COUNT: usize = 5;
    /// Every topic, in the order of their numbers.
    pub(super) const ALL: [Topic; Self::COUNT] =
        [Topic::Dealers, Topic::Leads, Topic::Deals, Topic::Inventory, Topic::Reps];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Topic::Dealers => "dealers",
            Topic::Leads => "leads",
            Topic::Deals => "deals",
            Topic::Inventory => "inventory",
            Topic::Reps => "reps",
        }
    }

    /// The system at the dealer's that would send the events: the last part of `source`.
    pub(super) const fn system(self) -> &'static str {
        match self {
            Topic::Dealers | Topic::Inventory => "dms",
            Topic::Leads => "crm",
            Topic::Deals => "desk",
            Topic::Reps => "roster",
        }
    }
}

macro_rules! event_types {
    ($($variant:ident = $name:literal on $topic:ident;)+) => {
        /// The type of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum EventType { $($variant),+ }

        impl EventType {
            pub(super) const fn name(self) -> &'static str {
                match self { $(EventType::$variant => $name),+ }
            }

            pub(super) const fn topic(self) -> Topic {
                match self { $(EventType::$variant => Topic::$topic),+ }
            }
        }
    };
}

event_types! {
    DealerUpdated = "dealer.updated" on Dealers;
    LeadCreated = "lead.created" on Leads;
    LeadUpdated = "lead.updated" on Leads;
    LeadResponded = "lead.responded" on Leads;
    EngagementDetected = "customer.engagement.detected" on Leads;
    CustomerIdle = "customer.idle" on Leads;
    DealCreated = "deal.created" on Deals;
    DealUpdated = "deal.updated" on Deals;
    DealSubmitted = "deal.submitted" on Deals;
    DealClosed = "deal.closed" on Deals;
    DealLost = "deal.lost" on Deals;
    DealUnwound = "deal.unwound" on Deals;
    TaxRequired = "deal.tax.required" on Deals;
    CreditApproved = "credit.approved" on Deals;
    StrategyOutcome = "deal.strategy.outcome" on Deals;
    VehicleAcquired = "vehicle.acquired" on Inventory;
    PhaseMoved = "vehicle.phase.moved" on Inventory;
    VehiclePriced = "vehicle.priced" on Inventory;
    VehicleSold = "vehicle.sold" on Inventory;
    VehicleRemoved = "vehicle.removed" on Inventory;
    RepAdded = "rep.added" on Reps;
    RepStatusChanged = "rep.status.changed" on Reps;
    RepSkillUpdated = "rep.skill.updated" on Reps;
    RepRemoved = "rep.removed" on Reps;
}

/// The id of an entity: a word for its kind and a number within its dealer.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntityId {
    pub(super) kind: &'static str,
    pub(super) number: u32,
}

pub(super) const fn lead_id(number: u32) -> EntityId {
    EntityId { kind: "lead-", number }
}

pub(super) const fn customer_id(number: u32) -> EntityId {
    EntityId { kind: "cust-", number }
}

pub(super) const fn deal_id(number: u32) -> EntityId {
    EntityId { kind: "deal-", number }
}

pub(super) const fn vehicle_id(number: u32) -> EntityId {
    EntityId { kind: "veh-", number }
}

pub(super) const fn rep_id(number: u32) -> EntityId {
    EntityId { kind: "rep-", number }
}
