//! The input topics' types and the fields of their `data`, as the table in `events.md` lists them.

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Text of 1 to 1,024 bytes that names an entity.
    Id,
    Text,
    TextList,
    Boolean,
    /// An integer that is not negative.
    Count,
    /// Cents that are not negative.
    Cents,
    /// Cents that may be a loss.
    Gross,
    /// An integer within these bounds.
    Between(i64, i64),
    /// A number within these bounds.
    Share(f64, f64),
    /// A finite number that is not negative.
    Frequency,
    /// Three ASCII capitals.
    Currency,
    /// A name of the IANA time zone database.
    TimeZone,
    /// `HH:MM`.
    ClockTime,
    /// `YYYY-MM-DD`.
    Date,
    /// One of these words.
    OneOf(&'static [&'static str]),
    Anything,
}

/// One field of a type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) kind: Kind,
}

/// A known event type.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventType {
    pub(super) topic: &'static str,
    pub(super) fields: &'static [Field],
}

/// The topics an input folder may hold.
pub(super) const TOPICS: [&str; 6] = ["commands", "dealers", "deals", "inventory", "leads", "reps"];

const PERCENT: Kind = Kind::Share(0.0, 100.0);
const SHARE: Kind = Kind::Share(0.0, 1.0);
const CREDIT_SCORE: Kind = Kind::Between(300, 850);
const STAGE: Kind = Kind::OneOf(&[
    "prospect",
    "negotiating",
    "pending_finance",
    "approved",
    "contracted",
    "delivered",
    "lost",
    "unwound",
]);
const PHASE: Kind = Kind::OneOf(&[
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
]);
const CONDITION: Kind = Kind::OneOf(&["new", "used", "certified"]);
const REP_STATUS: Kind = Kind::OneOf(&["available", "busy", "break", "off"]);

const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, required: true, kind }
}

const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, required: false, kind }
}

const DEALER: &[Field] = &[
    may("name", Kind::Text),
    may("timeZone", Kind::TimeZone),
    may("state", Kind::Text),
    may("currency", Kind::Currency),
];

macro_rules! lead_fields {
    ($customer:expr, $channel:expr) => {
        &[
            must("leadId", Kind::Id),
            $customer,
            $channel,
            may("creditScore", CREDIT_SCORE),
            may("annualIncomeCents", Kind::Cents),
            may("vehiclePriceCents", Kind::Cents),
            may("downPaymentCents", Kind::Cents),
            may("tradeValueCents", Kind::Cents),
            may("visitCount", Kind::Count),
            may("timeOnLotMinutes", Kind::Count),
            may("engagement", SHARE),
            may("coBuyer", Kind::Boolean),
            may("termMonths", Kind::Count),
            may("paymentSensitivity", SHARE),
            may("vehicleId", Kind::Id),
            may("language", Kind::Text),
            may("skills", Kind::TextList),
        ]
    };
}
const LEAD_CREATED: &[Field] = lead_fields!(must("customerId", Kind::Id), must("channel", Kind::Text));
const LEAD_UPDATED: &[Field] = lead_fields!(may("customerId", Kind::Id), may("channel", Kind::Text));
const LEAD_RESPONDED: &[Field] = &[must("leadId", Kind::Id), may("repId", Kind::Id), may("channel", Kind::Text)];
const LEAD_DELETED: &[Field] = &[must("leadId", Kind::Id)];
const ENGAGEMENT: &[Field] =
    &[must("customerId", Kind::Id), must("engagement", SHARE), may("leadId", Kind::Id), may("channel", Kind::Text)];
const IDLE: &[Field] = &[must("customerId", Kind::Id), must("idleMinutes", Kind::Count), may("leadId", Kind::Id)];

const DEAL: &[Field] = &[
    must("dealId", Kind::Id),
    may("leadId", Kind::Id),
    may("customerId", Kind::Id),
    may("repId", Kind::Id),
    may("stage", STAGE),
    may("vehicleId", Kind::Id),
    may("priceCents", Kind::Cents),
    may("costCents", Kind::Cents),
    may("downPaymentCents", Kind::Cents),
    may("tradeAllowanceCents", Kind::Cents),
    may("tradeAcvCents", Kind::Cents),
    may("amountFinancedCents", Kind::Cents),
    may("termMonths", Kind::Count),
    may("aprPercent", PERCENT),
    may("frontGrossCents", Kind::Gross),
    may("backGrossCents", Kind::Gross),
    may("lender", Kind::Text),
    may("state", Kind::Text),
    may("strategy", Kind::Text),
];
const DEAL_ENDED: &[Field] = &[
    must("dealId", Kind::Id),
    may("repId", Kind::Id),
    may("reason", Kind::Text),
    may("frontGrossCents", Kind::Gross),
    may("backGrossCents", Kind::Gross),
];
const DEAL_TAX: &[Field] = &[
    must("dealId", Kind::Id),
    must("state", Kind::Text),
    may("priceCents", Kind::Cents),
    may("tradeAllowanceCents", Kind::Cents),
    may("rebateCents", Kind::Cents),
    may("docFeeCents", Kind::Cents),
    may("deliveryDate", Kind::Date),
];
const CREDIT_APPROVED: &[Field] = &[
    must("dealId", Kind::Id),
    may("creditScore", CREDIT_SCORE),
    may("maxAmountCents", Kind::Cents),
    may("monthlyIncomeCents", Kind::Cents),
    may("monthlyDebtCents", Kind::Cents),
];
const STRATEGY: &[Field] = &[must("dealId", Kind::Id), must("strategy", Kind::Text), must("success", Kind::Boolean)];

const VEHICLE_ACQUIRED: &[Field] = &[
    must("vehicleId", Kind::Id),
    may("vin", Kind::Text),
    may("year", Kind::Between(1900, 2100)),
    may("make", Kind::Text),
    may("model", Kind::Text),
    may("trim", Kind::Text),
    may("mileage", Kind::Count),
    may("condition", CONDITION),
    may("costCents", Kind::Cents),
    may("marketPriceCents", Kind::Cents),
    may("phase", PHASE),
];
const VEHICLE_MOVED: &[Field] = &[must("vehicleId", Kind::Id), must("phase", PHASE)];
const VEHICLE_PRICED: &[Field] =
    &[must("vehicleId", Kind::Id), must("priceCents", Kind::Cents), may("marketPriceCents", Kind::Cents)];
const VEHICLE_ENDED: &[Field] =
    &[must("vehicleId", Kind::Id), may("dealId", Kind::Id), may("priceCents", Kind::Cents), may("reason", Kind::Text)];

const REP_ADDED: &[Field] = &[
    must("repId", Kind::Id),
    must("name", Kind::Text),
    may("skillLevel", SHARE),
    may("naturalFrequency", Kind::Frequency),
    may("role", Kind::Text),
    may("team", Kind::Text),
    may("leadCap", Kind::Count),
    may("skills", Kind::TextList),
    may("shiftStart", Kind::ClockTime),
    may("shiftEnd", Kind::ClockTime),
];
const REP_STATUS_CHANGED: &[Field] = &[must("repId", Kind::Id), must("status", REP_STATUS)];
const REP_SKILL: &[Field] = &[must("repId", Kind::Id), may("skillLevel", SHARE)];

const COMMAND: &[Field] = &[must("command", Kind::Text), may("arguments", Kind::Anything)];

/// The event type called `name`, or `None` if nobody knows it.
pub(super) fn event_type(name: &str) -> Option<EventType> {
    let (topic, fields) = match name {
        "dealer.updated" => ("dealers", DEALER),
        "lead.created" => ("leads", LEAD_CREATED),
        "lead.updated" => ("leads", LEAD_UPDATED),
        "lead.responded" => ("leads", LEAD_RESPONDED),
        "lead.deleted" => ("leads", LEAD_DELETED),
        "customer.engagement.detected" => ("leads", ENGAGEMENT),
        "customer.idle" => ("leads", IDLE),
        "deal.created" | "deal.updated" | "deal.submitted" => ("deals", DEAL),
        "deal.closed" | "deal.lost" | "deal.unwound" => ("deals", DEAL_ENDED),
        "deal.tax.required" => ("deals", DEAL_TAX),
        "credit.approved" => ("deals", CREDIT_APPROVED),
        "deal.strategy.outcome" => ("deals", STRATEGY),
        "vehicle.acquired" => ("inventory", VEHICLE_ACQUIRED),
        "vehicle.phase.moved" => ("inventory", VEHICLE_MOVED),
        "vehicle.priced" => ("inventory", VEHICLE_PRICED),
        "vehicle.sold" | "vehicle.removed" => ("inventory", VEHICLE_ENDED),
        "rep.added" => ("reps", REP_ADDED),
        "rep.status.changed" => ("reps", REP_STATUS_CHANGED),
        "rep.skill.updated" | "rep.removed" => ("reps", REP_SKILL),
        "command.accepted" => ("commands", COMMAND),
        _ => return None,
    };
    Some(EventType { topic, fields })
}
