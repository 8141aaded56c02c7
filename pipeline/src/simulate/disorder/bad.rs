//! Records that have to be rejected, each for one reason.

use crate::simulate::event::Topic;

/// A kind of bad record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BadKind {
    /// Bytes that are no JSON.
    NotJson,
    /// A record that was cut off.
    Truncated,
    /// A key that stands twice.
    DuplicateKey,
    /// A type on another type's topic.
    WrongTopic,
    /// A `time` that is not RFC 3339.
    InvalidTime,
    /// A `specversion` other than 1.0.
    InvalidSpecversion,
    /// A required field that is absent.
    MissingField,
    /// A number where a text belongs.
    WrongType,
    /// A credit score of 900.
    CreditScore,
    /// A share of 1.5.
    Share,
    /// A negative price.
    NegativeMoney,
    /// A time zone that does not exist.
    UnknownTimeZone,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
}

impl BadKind {
    /// Every kind, in the order in which they take turns.
    pub const ALL: [BadKind; 13] = [
        BadKind::NotJson,
        BadKind::Truncated,
        BadKind::DuplicateKey,
        BadKind::WrongTopic,
        BadKind::InvalidTime,
        BadKind::InvalidSpecversion,
        BadKind::MissingField,
        BadKind::WrongType,
        BadKind::CreditScore,
        BadKind::Share,
        BadKind::NegativeMoney,
        BadKind::UnknownTimeZone,
        BadKind::InvalidUtf8,
    ];

    /// Its name in summaries.
    pub const fn name(self) -> &'static str {
        match self {
            BadKind::NotJson => "not_json",
            BadKind::Truncated => "truncated",
            BadKind::DuplicateKey => "duplicate_key",
            BadKind::WrongTopic => "wrong_topic",
            BadKind::InvalidTime => "invalid_time",
            BadKind::InvalidSpecversion => "invalid_specversion",
            BadKind::MissingField => "missing_field",
            BadKind::WrongType => "wrong_type",
            BadKind::CreditScore => "credit_score_900",
            BadKind::Share => "share_1.5",
            BadKind::NegativeMoney => "negative_money",
            BadKind::UnknownTimeZone => "unknown_time_zone",
            BadKind::InvalidUtf8 => "invalid_utf8",
        }
    }

    /// The reason code that its dead letter carries.
    pub const fn reason_code(self) -> &'static str {
        match self {
            BadKind::NotJson | BadKind::Truncated => "invalid_json",
            BadKind::DuplicateKey => "duplicate_key",
            BadKind::WrongTopic => "wrong_topic",
            BadKind::InvalidTime => "invalid_time",
            BadKind::InvalidSpecversion => "invalid_specversion",
            BadKind::MissingField => "missing_field",
            BadKind::WrongType => "wrong_type",
            BadKind::CreditScore | BadKind::Share | BadKind::NegativeMoney => "out_of_range",
            BadKind::UnknownTimeZone => "unknown_time_zone",
            BadKind::InvalidUtf8 => "invalid_utf8",
        }
    }

    /// The topic on which it stands.
    pub(super) const fn topic(self) -> Topic {
        match self {
            BadKind::NegativeMoney => Topic::Inventory,
            BadKind::UnknownTimeZone => Topic::Dealers,
            BadKind::WrongType | BadKind::InvalidUtf8 => Topic::Reps,
            BadKind::WrongTopic | BadKind::DuplicateKey => Topic::Deals,
            _ => Topic::Leads,
        }
    }

    /// The type that it claims and the inside of its `data`, which is good where the fault lies elsewhere.
    pub(super) const fn type_and_data(self) -> (&'static str, &'static [u8]) {
        const LEAD: &[u8] = br#""leadId":"lead-bad","customerId":"cust-bad","channel":"web","creditScore":640"#;
        match self {
            BadKind::MissingField => ("lead.created", br#""customerId":"cust-bad","channel":"web","creditScore":640"#),
            BadKind::CreditScore => {
                ("lead.created", br#""leadId":"lead-bad","customerId":"cust-bad","channel":"web","creditScore":900"#)
            }
            BadKind::Share => ("lead.updated", br#""leadId":"lead-bad","engagement":1.5"#),
            BadKind::NegativeMoney => ("vehicle.priced", br#""vehicleId":"veh-bad","priceCents":-1999500"#),
            BadKind::UnknownTimeZone => {
                ("dealer.updated", br#""name":"Olympus Motors","timeZone":"Mars/Olympus_Mons""#)
            }
            BadKind::WrongType => ("rep.status.changed", br#""repId":7,"status":"available""#),
            BadKind::InvalidUtf8 => ("rep.added", b"\"repId\":\"rep-bad\",\"name\":\"Jos\xe9 Ib\xe1\xf1ez\""),
            BadKind::DuplicateKey => {
                ("deal.updated", br#""dealId":"deal-bad","priceCents":2450000,"priceCents":2390000"#)
            }
            BadKind::WrongTopic
            | BadKind::NotJson
            | BadKind::Truncated
            | BadKind::InvalidTime
            | BadKind::InvalidSpecversion => ("lead.created", LEAD),
        }
    }

    /// Breaks a whole record where its fault does not lie in `data`. The record ends without a newline.
    pub(super) fn break_record(self, record: Vec<u8>, turn: u64) -> Vec<u8> {
        match self {
            BadKind::NotJson => [
                b"<?adf version=\"1.0\"?><adf><prospect status=\"new\"><id>17</id></prospect></adf>".to_vec(),
                b"lead.created,lead-bad,cust-bad,web".to_vec(),
                [&record[..], b" and more"].concat(),
            ][(turn % 3) as usize]
                .clone(),
            BadKind::Truncated => record[..record.len() - 3 - (turn % 150) as usize].to_vec(),
            BadKind::InvalidTime => {
                let times: [&[u8]; 4] =
                    [b"yesterday", b"2026-02-30T10:00:00Z", b"02/16/2026 3:04 PM", b"2026-02-16T15:04:05"];
                replace_value(&record, b"\"time\":\"", times[(turn % 4) as usize])
            }
            BadKind::InvalidSpecversion => replace_value(&record, b"\"specversion\":\"", b"0.3"),
            _ => record,
        }
    }
}

/// The record with the text after a key and its opening quote replaced.
pub(super) fn replace_value(record: &[u8], key_and_quote: &[u8], value: &[u8]) -> Vec<u8> {
    match value_range(record, key_and_quote) {
        Some(range) => [&record[..range.start], value, &record[range.end..]].concat(),
        None => record.to_vec(),
    }
}

/// Where the text after a key and its opening quote lies. Our own envelopes hold no escapes.
pub(super) fn value_range(record: &[u8], key_and_quote: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = record.windows(key_and_quote.len()).position(|window| window == key_and_quote)? + key_and_quote.len();
    let length = record[start..].iter().position(|byte| *byte == b'"')?;
    Some(start..start + length)
}
