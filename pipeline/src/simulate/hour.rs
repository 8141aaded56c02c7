//! One hour of the world as bytes: the events of every topic, and the rows of truth that go with them.
//!
//! ```text
//!   dealers, one after the other ─▶ Hour { topic: bytes + lines (time, span, type, dealer) } ─▶ sorted by time ─▶ files
//! ```
//! An hour is all that is ever held in memory of what was written.

use super::calendar::HOUR_MS;
use super::event::{EntityId, EventType, Topic};
use super::text::{
    push_date, push_escaped, push_hour, push_id, push_integer, push_thousandths, push_ulid, push_within_hour,
};
use super::truth::TruthTable;

/// Who sends: the parts of a record that are the same in all of a dealer's events, and its counter of ids.
#[derive(Debug)]
pub(super) struct Sender {
    /// Position among the dealers, from 0.
    pub(super) index: u32,
    /// The dealer id.
    pub(super) id: String,
    nonce: u64,
    source_of_topic: [Vec<u8>; Topic::COUNT],
    after_time: Vec<u8>,
}

impl Sender {
    pub(super) fn new(index: u32, seed: u64) -> Self {
        let id = dealer_id(index);
        let source_of_topic = Topic::ALL
            .map(|topic| format!("\",\"source\":\"/dealers/{id}/{}\",\"type\":\"", topic.system()).into_bytes());
        let after_time = format!("Z\",\"dealerid\":\"{id}\",\"data\":{{").into_bytes();
        // Below the dealer's number there is room for 2^40 ids; the seed only moves all of them alike.
        Sender { index, id, nonce: seed.wrapping_add(u64::from(index) << 40), source_of_topic, after_time }
    }

    /// Appends the envelope up to and with `"data":{`. The time lies in the hour of `hour_text`.
    #[inline]
    fn push_envelope(
        &mut self,
        bytes: &mut Vec<u8>,
        event_type: EventType,
        time_ms: i64,
        hour_text: &[u8],
        subject: Option<EntityId>,
    ) {
        self.nonce = self.nonce.wrapping_add(1);
        bytes.extend_from_slice(b"{\"specversion\":\"1.0\",\"id\":\"");
        push_ulid(bytes, time_ms, self.nonce);
        bytes.extend_from_slice(&self.source_of_topic[event_type.topic() as usize]);
        bytes.extend_from_slice(event_type.name().as_bytes());
        bytes.extend_from_slice(b"\",\"subject\":\"");
        match subject {
            Some(subject) => push_id(bytes, subject),
            None => bytes.extend_from_slice(self.id.as_bytes()),
        }
        bytes.extend_from_slice(b"\",\"time\":\"");
        bytes.extend_from_slice(hour_text);
        push_within_hour(bytes, time_ms);
        bytes.extend_from_slice(&self.after_time);
    }
}

/// The id of the dealer at a position.
pub(super) fn dealer_id(index: u32) -> String {
    format!("d-{:04}", index + 1)
}

/// Where an event's line lies and what it is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) time_ms: i64,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) dealer: u32,
    pub(super) event_type: EventType,
}

/// The lines of one topic.
#[derive(Debug, Default)]
pub(super) struct TopicLines {
    /// The lines' bytes, each with its newline.
    pub(super) bytes: Vec<u8>,
    /// In the order of making until [`Hour::sort`], then by time.
    pub(super) lines: Vec<Line>,
    order: Vec<u64>,
    sorted: Vec<Line>,
}

/// A row of truth; it counts only if the line that it belongs to is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct TruthRow {
    pub(super) table: TruthTable,
    pub(super) topic: Topic,
    /// Where its line starts among the topic's bytes.
    pub(super) line_start: u32,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The events of one hour.
#[derive(Debug, Default)]
pub(super) struct Hour {
    start_ms: i64,
    text: Vec<u8>,
    /// By topic number.
    pub(super) topics: [TopicLines; Topic::COUNT],
    /// In the order of making.
    pub(super) truth: Vec<TruthRow>,
    /// The rows' bytes.
    pub(super) truth_bytes: Vec<u8>,
}

impl Hour {
    /// Empties it for the hour that begins at `start_ms`.
    pub(super) fn begin(&mut self, start_ms: i64) {
        self.start_ms = start_ms;
        self.text.clear();
        push_hour(&mut self.text, start_ms);
        for topic in &mut self.topics {
            topic.bytes.clear();
            topic.lines.clear();
        }
        self.truth.clear();
        self.truth_bytes.clear();
    }

    /// Lines over all topics.
    pub(super) fn len(&self) -> usize {
        self.topics.iter().map(|topic| topic.lines.len()).sum()
    }

    /// Begins an event; its time has to lie in the hour. Without a subject it is about the dealer.
    #[inline]
    pub(super) fn event<'a>(
        &'a mut self,
        sender: &mut Sender,
        event_type: EventType,
        time_ms: i64,
        subject: impl Into<Option<EntityId>>,
    ) -> EventWriter<'a> {
        debug_assert!((self.start_ms..self.start_ms + HOUR_MS).contains(&time_ms));
        let topic = &mut self.topics[event_type.topic() as usize];
        let start = topic.bytes.len() as u32;
        sender.push_envelope(&mut topic.bytes, event_type, time_ms, &self.text, subject.into());
        EventWriter { topic, line: Line { time_ms, start, end: start, dealer: sender.index, event_type } }
    }

    /// Adds a row of truth that belongs to the last event of the topic. `write` appends its cells and no newline.
    pub(super) fn truth_row(&mut self, table: TruthTable, topic: Topic, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(line) = self.topics[topic as usize].lines.last() else { return };
        let start = self.truth_bytes.len();
        write(&mut self.truth_bytes);
        self.truth_bytes.push(b'\n');
        self.truth.push(TruthRow { table, topic, line_start: line.start, start, end: self.truth_bytes.len() });
    }

    /// Brings every topic's lines into the order of time; those of one millisecond stay in the order of making.
    pub(super) fn sort(&mut self) {
        const INDEX_BITS: u32 = 40;
        for topic in &mut self.topics {
            let keys = topic.lines.iter().enumerate();
            topic.order.clear();
            topic.order.extend(
                keys.map(|(index, line)| (((line.time_ms - self.start_ms) as u64) << INDEX_BITS) | index as u64),
            );
            topic.order.sort_unstable();
            topic.sorted.clear();
            topic.sorted.extend(topic.order.iter().map(|key| topic.lines[(key & ((1 << INDEX_BITS) - 1)) as usize]));
            std::mem::swap(&mut topic.lines, &mut topic.sorted);
        }
    }

    /// Keeps the first `count` lines by (time, topic) and the truth that belongs to them. The hour has to be sorted.
    pub(super) fn keep_first(&mut self, count: usize) {
        let mut kept = [0; Topic::COUNT];
        for _ in 0..count {
            let next = (0..Topic::COUNT)
                .filter_map(|topic| self.topics[topic].lines.get(kept[topic]).map(|line| (line.time_ms, topic)))
                .min();
            if let Some((_, topic)) = next {
                kept[topic] += 1;
            }
        }
        for (topic, kept) in self.topics.iter_mut().zip(kept) {
            topic.lines.truncate(kept);
        }
        let mut starts =
            self.topics.each_ref().map(|topic| topic.lines.iter().map(|line| line.start).collect::<Vec<_>>());
        for starts in &mut starts {
            starts.sort_unstable();
        }
        self.truth.retain(|row| starts[row.topic as usize].binary_search(&row.line_start).is_ok());
    }
}

/// Writes the fields of `data`; [`EventWriter::end`] finishes the line. At least one field has to be written.
#[derive(Debug)]
pub(super) struct EventWriter<'a> {
    topic: &'a mut TopicLines,
    line: Line,
}

impl EventWriter<'_> {
    #[inline]
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        let bytes = &mut self.topic.bytes;
        bytes.push(b'"');
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(b"\":");
        bytes
    }

    /// A text.
    #[inline]
    pub(super) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        let bytes = self.key(key);
        bytes.push(b'"');
        push_escaped(bytes, value);
        bytes.extend_from_slice(b"\",");
        self
    }

    /// The id of an entity.
    #[inline]
    pub(super) fn id(&mut self, key: &str, value: EntityId) -> &mut Self {
        let bytes = self.key(key);
        bytes.push(b'"');
        push_id(bytes, value);
        bytes.extend_from_slice(b"\",");
        self
    }

    /// A whole number.
    #[inline]
    pub(super) fn integer(&mut self, key: &str, value: i64) -> &mut Self {
        let bytes = self.key(key);
        push_integer(bytes, value);
        bytes.push(b',');
        self
    }

    /// A number given in thousandths.
    #[inline]
    pub(super) fn thousandths(&mut self, key: &str, value: u32) -> &mut Self {
        let bytes = self.key(key);
        push_thousandths(bytes, value);
        bytes.push(b',');
        self
    }

    /// `true` or `false`.
    #[inline]
    pub(super) fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        let text: &[u8] = if value { b"true," } else { b"false," };
        self.key(key).extend_from_slice(text);
        self
    }

    /// A list of texts.
    pub(super) fn list(&mut self, key: &str, values: &[&str]) -> &mut Self {
        let bytes = self.key(key);
        bytes.push(b'[');
        for (index, value) in values.iter().enumerate() {
            bytes.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            push_escaped(bytes, value);
            bytes.push(b'"');
        }
        bytes.extend_from_slice(b"],");
        self
    }

    /// The date of a time.
    pub(super) fn date(&mut self, key: &str, time_ms: i64) -> &mut Self {
        let bytes = self.key(key);
        bytes.push(b'"');
        push_date(bytes, time_ms);
        bytes.extend_from_slice(b"\",");
        self
    }

    /// Finishes the line.
    #[inline]
    pub(super) fn end(&mut self) {
        // Every field ends in a comma; the last one's becomes the brace.
        self.topic.bytes.pop();
        self.topic.bytes.extend_from_slice(b"}}\n");
        self.line.end = self.topic.bytes.len() as u32;
        self.topic.lines.push(self.line);
    }
}
