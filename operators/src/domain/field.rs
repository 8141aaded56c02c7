//! What a field of `data` may hold: one rule per kind of field, shared by every event type.

use super::entity::{DEAL_STAGES, REP_STATUSES, VEHICLE_CONDITIONS, VEHICLE_PHASES};

/// Longest id, name or other short text of an event, in bytes.
pub const SHORT_TEXT_BYTES_MAX: usize = 1_024;

/// The rule that a field's value has to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldRule {
    /// A text of 1 to 1,024 bytes.
    Id,
    /// A text of at most 1,024 bytes.
    Text,
    /// Minor units of money, zero or more.
    Cents,
    /// Minor units of money that may be a loss.
    SignedCents,
    /// A whole number, zero or more.
    Count,
    /// A credit score from 300 to 850.
    CreditScore,
    /// A double from 0 to 1.
    Share,
    /// A percentage from 0 to 100, as a double.
    Percent,
    /// A finite double, zero or more.
    Frequency,
    /// Minutes or another length of time as a double, zero or more.
    Minutes,
    /// A calendar year from 1900 to 2100.
    Year,
    /// `true` or `false`.
    Boolean,
    /// A list of short texts.
    TextList,
    /// One of the listed words; the value is its position.
    Word(&'static [&'static str]),
    /// The name of an IANA time zone.
    ZoneName,
    /// Three capital letters of ISO 4217.
    Currency,
    /// `HH:MM`.
    TimeOfDay,
    /// An RFC 3339 date-time, or a date.
    Date,
}

/// One field of an event type's `data`.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Its name in JSON.
    pub name: &'static str,
    /// The rule for its value.
    pub rule: FieldRule,
    /// Whether the event is bad without it.
    pub required: bool,
    /// The slot of the event's entity that it patches.
    pub slot: Option<u8>,
}

impl FieldSpec {
    pub(crate) const fn new(name: &'static str, rule: FieldRule) -> Self {
        FieldSpec { name, rule, required: false, slot: None }
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn to(mut self, slot: u8) -> Self {
        self.slot = Some(slot);
        self
    }
}

/// The rule for stages of a deal.
pub const STAGE: FieldRule = FieldRule::Word(DEAL_STAGES);
/// The rule for phases of a vehicle.
pub const PHASE: FieldRule = FieldRule::Word(VEHICLE_PHASES);
/// The rule for the condition of a vehicle.
pub const CONDITION: FieldRule = FieldRule::Word(VEHICLE_CONDITIONS);
/// The rule for the status of a rep.
pub const STATUS: FieldRule = FieldRule::Word(REP_STATUSES);
