//! One line of a topic becomes an event or a rejection.
//!
//! ```text
//!  line ──► UTF-8? ──► JSON object? ──► keys unique? ──► envelope, field by field ──► topic ──► fields of data ──► Event
//!            └ the first rule that is broken names the reason ┴──────────────────────────────────────────► Rejection
//! ```
//!
//! Where `events.md` leaves a choice, this reference decides:
//! - JSON that is no object is `invalid_json`, and so is nesting deeper than [`json::DEPTH_MAX`](super::json::DEPTH_MAX).
//! - The envelope is checked in the order specversion, id, source, type, dealerid, time, sequence, subject; the fields of
//!   `data` in the order of the table in `events.md`. Empty text where a name must stand is `out_of_range`, like text of
//!   more than 1,024 bytes.
//! - An RFC 3339 time outside 1990 to 2099 is `out_of_range`, any other text `invalid_time`.
//! - A `sequence` that is no unsigned integer is `wrong_type`, one beyond 64 bits or negative `out_of_range`; `null` is 0.
//! - A rejected line belongs to a dealer if it is well-formed (a JSON object without a key that stands twice) and its
//!   `dealerid` would be a valid one.

use std::fmt;

use super::field::{self, TEXT_BYTES_MAX};
use super::json::{self, Json};
use super::number::{self, Integer};
use super::schema::{self, EventType};
use super::time;

/// Why a line is a dead letter. Displays as the reason code of the `dead_letters` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// Text that is not one JSON object.
    InvalidJson,
    /// A key stands twice in one object, at any depth.
    DuplicateKey,
    /// A required field is absent or null.
    MissingField,
    /// A field holds another type than its own.
    WrongType,
    /// A value beyond its bounds, or a word that is not in its list.
    OutOfRange,
    /// A time that is not RFC 3339.
    InvalidTime,
    /// A time zone that the IANA database does not know.
    UnknownTimeZone,
    /// A known type on a topic that is not its own.
    WrongTopic,
    /// A `specversion` other than 1.0.
    InvalidSpecversion,
    /// An identity that was used before, for other bytes.
    IdReused,
}

impl Reason {
    /// The reason code as it stands in tables and headers.
    pub fn code(self) -> &'static str {
        match self {
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::InvalidJson => "invalid_json",
            Reason::DuplicateKey => "duplicate_key",
            Reason::MissingField => "missing_field",
            Reason::WrongType => "wrong_type",
            Reason::OutOfRange => "out_of_range",
            Reason::InvalidTime => "invalid_time",
            Reason::UnknownTimeZone => "unknown_time_zone",
            Reason::WrongTopic => "wrong_topic",
            Reason::InvalidSpecversion => "invalid_specversion",
            Reason::IdReused => "id_reused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// The content order of events: time, then sequence, then id and source as bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) time_ms: i64,
    pub(super) sequence: u64,
    pub(super) id: String,
    pub(super) source: String,
}

/// A valid event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) dealer_id: String,
    pub(super) stamp: Stamp,
    pub(super) type_name: String,
    /// The known fields of `data` that are present, in the schema's order; `None` for an unknown type.
    pub(super) fields: Option<Vec<(&'static str, Json)>>,
}

impl Event {
    /// A field of a known type's `data`, if present. It may be null.
    pub(super) fn field(&self, name: &str) -> Option<&Json> {
        self.fields.iter().flatten().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// A field of a known type's `data` as text; `None` when absent or null.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.field(name) {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) reason: Reason,
    pub(super) dealer_id: Option<String>,
}

/// Reads one line, without its line ending, of `topic`.
pub(super) fn parse(topic: &str, line: &[u8]) -> Result<Event, Rejection> {
    let unreadable = |reason| Rejection { reason, dealer_id: None };
    let text = std::str::from_utf8(line).map_err(|_| unreadable(Reason::InvalidUtf8))?;
    let parsed = json::parse(text).ok_or(unreadable(Reason::InvalidJson))?;
    if !matches!(parsed.value, Json::Object(_)) {
        return Err(unreadable(Reason::InvalidJson));
    }
    if parsed.duplicate_key {
        return Err(unreadable(Reason::DuplicateKey));
    }
    event(topic, &parsed.value).map_err(|reason| Rejection { reason, dealer_id: name(&parsed.value, "dealerid").ok() })
}

fn event(topic: &str, envelope: &Json) -> Result<Event, Reason> {
    match field::required(envelope.get("specversion"))? {
        Json::Text(version) if version == "1.0" => {}
        Json::Text(_) => return Err(Reason::InvalidSpecversion),
        _ => return Err(Reason::WrongType),
    }
    let id = name(envelope, "id")?;
    let source = name(envelope, "source")?;
    let type_name = name(envelope, "type")?;
    let dealer_id = name(envelope, "dealerid")?;
    let time_ms = event_time(envelope)?;
    let sequence = sequence(envelope)?;
    match envelope.get("subject") {
        None | Some(Json::Null | Json::Text(_)) => {}
        Some(_) => return Err(Reason::WrongType),
    }
    let fields = match schema::event_type(&type_name) {
        None => None,
        Some(known) if topic != known.topic && topic != "commands" => return Err(Reason::WrongTopic),
        Some(known) => Some(data_fields(&known, envelope)?),
    };
    Ok(Event { dealer_id, stamp: Stamp { time_ms, sequence, id, source }, type_name, fields })
}

/// A required text of 1 to 1,024 bytes.
fn name(envelope: &Json, key: &str) -> Result<String, Reason> {
    match field::required(envelope.get(key))? {
        Json::Text(text) if (1..=TEXT_BYTES_MAX).contains(&text.len()) => Ok(text.clone()),
        Json::Text(_) => Err(Reason::OutOfRange),
        _ => Err(Reason::WrongType),
    }
}

fn event_time(envelope: &Json) -> Result<i64, Reason> {
    let Json::Text(text) = field::required(envelope.get("time"))? else {
        return Err(Reason::WrongType);
    };
    let time_ms = time::parse(text).ok_or(Reason::InvalidTime)?;
    if time::in_range(time_ms) { Ok(time_ms) } else { Err(Reason::OutOfRange) }
}

fn sequence(envelope: &Json) -> Result<u64, Reason> {
    match envelope.get("sequence") {
        None | Some(Json::Null) => Ok(0),
        Some(Json::Text(text)) => {
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Reason::WrongType);
            }
            text.parse().map_err(|_| Reason::OutOfRange)
        }
        Some(Json::Number(text)) => match number::integer(text) {
            Integer::Value(value) => u64::try_from(value).map_err(|_| Reason::OutOfRange),
            Integer::Fraction => Err(Reason::WrongType),
            Integer::Huge => Err(Reason::OutOfRange),
        },
        Some(_) => Err(Reason::WrongType),
    }
}

fn data_fields(known: &EventType, envelope: &Json) -> Result<Vec<(&'static str, Json)>, Reason> {
    let data = field::required(envelope.get("data"))?;
    if !matches!(data, Json::Object(_)) {
        return Err(Reason::WrongType);
    }
    let mut present = Vec::new();
    for rule in known.fields {
        let value = data.get(rule.name);
        if rule.required {
            field::required(value)?;
        }
        if let Some(value) = value {
            if *value != Json::Null {
                field::check(rule.kind, value)?;
            }
            present.push((rule.name, value.clone()));
        }
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAD: &str = r#"{"specversion":"1.0","id":"1","source":"s","type":"lead.created","dealerid":"d","time":"2026-02-16T15:04:05Z","data":{"leadId":"l","customerId":"c","channel":"web"}}"#;

    fn check(line: &str, expected: Result<(), (Reason, Option<&str>)>) {
        check_on("leads", line.as_bytes(), expected);
    }

    fn check_on(topic: &str, line: &[u8], expected: Result<(), (Reason, Option<&str>)>) {
        let result = parse(topic, line).map(|_| ()).map_err(|rejection| (rejection.reason, rejection.dealer_id));
        let expected = expected.map_err(|(reason, dealer)| (reason, dealer.map(str::to_owned)));
        assert_eq!(result, expected, "{}", String::from_utf8_lossy(line));
    }

    /// The good lead with one piece of its text replaced.
    fn check_changed(from: &str, to: &str, expected: Result<(), Reason>) {
        assert!(LEAD.contains(from), "{from}");
        check(&LEAD.replacen(from, to, 1), expected.map_err(|reason| (reason, Some("d"))));
    }

    #[test]
    fn what_cannot_be_read_belongs_to_nobody() {
        check_on("leads", b"\xff{}", Err((Reason::InvalidUtf8, None)));
        check("{\"dealerid\":\"d\"", Err((Reason::InvalidJson, None)));
        check("[]", Err((Reason::InvalidJson, None)));
        check("{}", Err((Reason::MissingField, None)));
        check(r#"{"dealerid":"d","dealerid":"d"}"#, Err((Reason::DuplicateKey, None)));
        check(r#"{"dealerid":"d","x":{"a":1,"a":1}}"#, Err((Reason::DuplicateKey, None)));
        check(r#"{"dealerid":""}"#, Err((Reason::MissingField, None)));
    }

    #[test]
    fn the_envelope_is_checked_in_order() {
        check(LEAD, Ok(()));
        check_changed(r#""1.0""#, r#""1.1""#, Err(Reason::InvalidSpecversion));
        check_changed(r#""1.0""#, "1.0", Err(Reason::WrongType));
        check_changed(r#""specversion":"1.0","id":"1""#, r#""specversion":"0.3""#, Err(Reason::InvalidSpecversion));
        check_changed(r#""id":"1""#, r#""id":"""#, Err(Reason::OutOfRange));
        check_changed(r#""id":"1""#, r#""id":1"#, Err(Reason::WrongType));
        check_changed(r#""id":"1","#, "", Err(Reason::MissingField));
        check_changed(r#""id":"1""#, &format!(r#""id":"{}""#, "x".repeat(1024)), Ok(()));
        check_changed(r#""id":"1""#, &format!(r#""id":"{}""#, "x".repeat(1025)), Err(Reason::OutOfRange));
        check_changed(r#""source":"s""#, r#""source":null"#, Err(Reason::MissingField));
        check_changed("2026-02-16T", "2026-02-16 ", Err(Reason::InvalidTime));
        check_changed("2026-02-16T", "2126-02-16T", Err(Reason::OutOfRange));
        check_changed(r#""dealerid""#, r#""subject":"","dealerid""#, Ok(()));
        check_changed(r#""dealerid""#, r#""subject":7,"dealerid""#, Err(Reason::WrongType));
    }

    #[test]
    fn a_sequence_is_an_unsigned_integer_as_number_or_digits() {
        for (text, expected) in
            [("\"007\"", Ok(7)), ("7.0", Ok(7)), ("null", Ok(0)), ("18446744073709551615", Ok(u64::MAX))]
        {
            let line = LEAD.replacen("\"dealerid\"", &format!("\"sequence\":{text},\"dealerid\""), 1);
            assert_eq!(parse("leads", line.as_bytes()).map(|event| event.stamp.sequence), expected);
        }
        for (text, reason) in [
            ("\"\"", Reason::WrongType),
            ("\"-1\"", Reason::WrongType),
            ("1.5", Reason::WrongType),
            ("-1", Reason::OutOfRange),
            ("18446744073709551616", Reason::OutOfRange),
            ("\"18446744073709551616\"", Reason::OutOfRange),
        ] {
            check_changed("\"dealerid\"", &format!("\"sequence\":{text},\"dealerid\""), Err(reason));
        }
    }

    #[test]
    fn types_have_their_topic_and_unknown_ones_any() {
        check_on("deals", LEAD.as_bytes(), Err((Reason::WrongTopic, Some("d"))));
        check_on("commands", LEAD.as_bytes(), Ok(()));
        check_changed("lead.created", "command.accepted", Err(Reason::WrongTopic));
        check_changed(
            r#""lead.created","dealerid":"d","time":"2026-02-16T15:04:05Z","data":{"#,
            r#""x.new","dealerid":"d","time":"2026-02-16T15:04:05Z","data":{"creditScore":9999,"#,
            Ok(()),
        );
    }

    #[test]
    fn data_is_checked_field_by_field() {
        check_changed(r#""leadId":"l","#, "", Err(Reason::MissingField));
        check_changed(r#""leadId":"l""#, r#""leadId":null"#, Err(Reason::MissingField));
        check_changed(r#""channel":"web""#, r#""channel":"web","creditScore":null"#, Ok(()));
        check_changed(r#""channel":"web""#, r#""channel":"web","creditScore":299"#, Err(Reason::OutOfRange));
        check_changed(r#""channel":"web""#, r#""channel":"web","creditScore":"700""#, Err(Reason::WrongType));
        check_changed(r#""channel":"web""#, r#""channel":"web","favouriteColour":{}"#, Ok(()));
        let without_data = LEAD.split_once(",\"data\"").unwrap().0.to_owned();
        check(&format!("{without_data}}}"), Err((Reason::MissingField, Some("d"))));
        check(&format!("{without_data},\"data\":[]}}"), Err((Reason::WrongType, Some("d"))));
        check(&format!("{}}}", without_data.replace("lead.created", "x.new")), Ok(()));
    }
}
