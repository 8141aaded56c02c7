//! Why a record was not accepted: a reason code for machines and one sentence for people.

use super::batch::Span;

/// The codes that dead letters carry. Their words are a contract with users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ReasonCode {
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// The bytes are not one JSON object.
    InvalidJson,
    /// A key stands twice in one object.
    DuplicateKey,
    /// A required field is absent or null.
    MissingField,
    /// A value is of another JSON type than its field.
    WrongType,
    /// A value is of the right type but not permitted.
    OutOfRange,
    /// `time` is not an RFC 3339 date-time.
    InvalidTime,
    /// `timeZone` is not in the IANA database.
    UnknownTimeZone,
    /// The event's type does not belong on the topic.
    WrongTopic,
    /// `specversion` is not 1.0.
    InvalidSpecversion,
    /// The id was accepted before with other bytes.
    IdReused,
    /// The record is longer than the limit.
    RecordTooLarge,
    /// A compressed file was cut off or damaged here.
    DamagedFile,
    /// The event's time lies further ahead of its arrival than a clock may be wrong.
    TooFarAhead,
}

impl ReasonCode {
    /// Every code.
    pub const ALL: [ReasonCode; 14] = [
        ReasonCode::InvalidUtf8,
        ReasonCode::InvalidJson,
        ReasonCode::DuplicateKey,
        ReasonCode::MissingField,
        ReasonCode::WrongType,
        ReasonCode::OutOfRange,
        ReasonCode::InvalidTime,
        ReasonCode::UnknownTimeZone,
        ReasonCode::WrongTopic,
        ReasonCode::InvalidSpecversion,
        ReasonCode::IdReused,
        ReasonCode::RecordTooLarge,
        ReasonCode::DamagedFile,
        ReasonCode::TooFarAhead,
    ];

    /// The word that stands in headers, tables and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            ReasonCode::InvalidUtf8 => "invalid_utf8",
            ReasonCode::InvalidJson => "invalid_json",
            ReasonCode::DuplicateKey => "duplicate_key",
            ReasonCode::MissingField => "missing_field",
            ReasonCode::WrongType => "wrong_type",
            ReasonCode::OutOfRange => "out_of_range",
            ReasonCode::InvalidTime => "invalid_time",
            ReasonCode::UnknownTimeZone => "unknown_time_zone",
            ReasonCode::WrongTopic => "wrong_topic",
            ReasonCode::InvalidSpecversion => "invalid_specversion",
            ReasonCode::IdReused => "id_reused",
            ReasonCode::RecordTooLarge => "record_too_large",
            ReasonCode::DamagedFile => "damaged_file",
            ReasonCode::TooFarAhead => "too_far_ahead",
        }
    }
}

/// A record that is not accepted, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The code.
    pub code: ReasonCode,
    /// One sentence: what is wrong, where in the record.
    pub sentence: String,
    /// The dealer, if the record is well-formed and names one.
    pub dealer: Option<Span>,
}
