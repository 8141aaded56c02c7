//! Parsed events, packed: fixed-size headers and values that point into the raw bytes they were read from.
//!
//! ```text
//!   EventBatch ─┬─ raw    Arc<[u8]>   the chunk as it was read, shared by all destinations
//!               ├─ extra  texts that had escapes, unescaped
//!               ├─ events fixed headers; fields are a slice of `values`
//!               └─ rejected, with the reason
//! ```
//! Nothing is copied out of the raw bytes until an entity keeps it; a batch moves between workers by moving pointers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{EventType, Topic};
use super::rejection::ReasonCode;
use super::shards::Barrier;

/// A text of a batch: in its raw bytes or, beyond their end, in `extra`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub length: u32,
}

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Cleared.
    Null,
    /// Whole number, word code or boolean.
    Integer(i64),
    /// Double.
    Double(f64),
    /// Text, or a list of texts as its JSON.
    Text(Span),
}

/// A value and the position of its field in the event type's list.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldValue {
    /// Position in `EventSpec::fields`.
    pub field: u8,
    /// The value.
    pub value: Value,
}

/// Where a record lay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Number of the topic.
    pub topic: u8,
    /// Partition of the topic; for files, the file's position among them.
    pub partition: u32,
    /// Offset in the partition; for files, the line number from 1.
    pub offset: u64,
}

/// An accepted event.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The epoch it belongs to.
    pub epoch: i64,
    /// Event time in UTC milliseconds.
    pub time_ms: i64,
    /// CloudEvents `sequence`.
    pub sequence: u64,
    /// Hash of (dealer, source, id).
    pub identity: u128,
    /// Hash of the record's bytes.
    pub content: u64,
    /// Hash of the dealer id: its worker and its state's place.
    pub dealer_hash: u64,
    /// Hash of the entity's id within the dealer.
    pub entity_hash: u64,
    /// The record's bytes.
    pub record: Span,
    /// Dealer id.
    pub dealer: Span,
    /// Event source.
    pub source: Span,
    /// Event id.
    pub id: Span,
    /// The entity's id, empty if the event is about none.
    pub entity: Span,
    /// Where it lay.
    pub place: Place,
    /// First of its values.
    pub values_start: u32,
    /// Number of its values.
    pub values_count: u16,
    /// Its type.
    pub event_type: EventTypeCode,
}

/// An [`EventType`] as a number that can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTypeCode(u8);

impl From<EventType> for EventTypeCode {
    fn from(event_type: EventType) -> Self {
        EventTypeCode(event_type as u8)
    }
}

impl EventTypeCode {
    /// The type.
    #[inline]
    pub fn event_type(self) -> EventType {
        EventType::KNOWN.get(usize::from(self.0)).copied().unwrap_or(EventType::Unknown)
    }
}

/// A record that was not accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rejected {
    /// The epoch it belongs to.
    pub epoch: i64,
    /// The dealer, if known.
    pub dealer: Option<Span>,
    /// The record's bytes.
    pub record: Span,
    /// Bytes of it beyond the limit of records, which were not read.
    pub unread_bytes: u64,
    /// Its own time if readable, else that of the record before it.
    pub time_ms: i64,
    /// Where it lay.
    pub place: Place,
    /// Number of the reason code in [`ReasonCode::ALL`].
    pub code: u8,
    /// One sentence for people.
    pub sentence: String,
}

impl Rejected {
    /// The reason code.
    pub fn reason_code(&self) -> ReasonCode {
        ReasonCode::ALL.get(usize::from(self.code)).copied().unwrap_or(ReasonCode::InvalidJson)
    }
}

/// The events of one chunk that go to one worker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EventBatch {
    /// The worker it goes to.
    pub destination: u64,
    /// Every epoch of the chunk, whether this batch holds events of it or not.
    pub epochs: Vec<i64>,
    /// The chunk's bytes.
    pub raw: RawBytes,
    /// Texts that had escapes.
    pub extra: Vec<u8>,
    /// Accepted events, in the order of the chunk.
    pub events: Vec<Event>,
    /// Their values.
    pub values: Vec<FieldValue>,
    /// What was not accepted.
    pub rejected: Vec<Rejected>,
    /// Fields that no event type knows.
    pub unknown_fields: u64,
    /// Epochs after which the state is written down.
    pub barriers: Vec<Barrier>,
}

/// Bytes shared between the batches of one chunk.
#[derive(Clone, Debug, Default)]
pub struct RawBytes(pub Arc<Vec<u8>>);

impl Serialize for RawBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for RawBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(RawBytesVisitor)
    }
}

/// Takes bytes as a whole: one by one, as a list of numbers is read, they would cost more than parsing them.
struct RawBytesVisitor;

impl serde::de::Visitor<'_> for RawBytesVisitor {
    type Value = RawBytes;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<RawBytes, E> {
        self.visit_byte_buf(bytes.to_vec())
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<RawBytes, E> {
        Ok(RawBytes(Arc::new(bytes)))
    }
}

impl EventBatch {
    /// The bytes of a span.
    #[inline]
    pub fn text(&self, span: Span) -> &[u8] {
        text_of(&self.raw.0, &self.extra, span)
    }

    /// The values of an event.
    #[inline]
    pub fn values_of(&self, event: &Event) -> &[FieldValue] {
        let start = event.values_start as usize;
        &self.values[start..start + usize::from(event.values_count)]
    }

    /// Reads where the texts and values of an event lie, so that a batch of them waits for memory once. The value says nothing.
    #[inline]
    pub fn warm(&self, event: &Event) -> u8 {
        let first = |span: Span| self.raw.0.get(span.start as usize).copied().unwrap_or(0);
        let value = |at: usize| self.values.get(at).map_or(0, |value| value.field);
        let (start, count) = (event.values_start as usize, usize::from(event.values_count));
        first(event.dealer)
            ^ first(event.id)
            ^ first(event.entity)
            ^ value(start)
            ^ value(start + count / 2)
            ^ value(start + count)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.rejected.is_empty() && self.barriers.is_empty()
    }
}

/// The bytes of a span over `raw` followed by `extra`.
#[inline]
pub fn text_of<'a>(raw: &'a [u8], extra: &'a [u8], span: Span) -> &'a [u8] {
    let (start, length) = (span.start as usize, span.length as usize);
    if start < raw.len() || length == 0 {
        raw.get(start..start + length).unwrap_or_default()
    } else {
        &extra[start - raw.len()..start - raw.len() + length]
    }
}

/// The topic of a place.
pub fn topic_of(place: Place) -> Topic {
    Topic::ALL.get(usize::from(place.topic)).copied().unwrap_or(Topic::Commands)
}
