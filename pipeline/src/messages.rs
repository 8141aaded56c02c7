//! Messages for output topics: what they carry as records of a log, and as lines of a file.
//!
//! ```text
//!   DeadLetter  ─┬─ in a log: the original bytes, with headers that say why and where they lay; the key is the dealer
//!                └─ in a file: a CloudEvent `record.rejected` with the bytes as `data_base64`
//!   MessageView ─┬─ in a log: a CloudEvent in structured mode, with its causes and its epoch as headers too; the key is the dealer
//!                └─ in a file: the same as a line
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use operators::dataflow::letters::DeadLetter;
use operators::domain::batch::topic_of;
use operators::domain::messages::{MessageBatch, MessageView, OutputTopic};
use operators::domain::time::format_rfc3339;

/// Name of the topic of dead letters.
pub const DEAD_LETTERS: &str = "dead-letters";

/// Every output topic, in the order of their names.
pub const OUTPUT_TOPICS: [&str; 5] = [
    OutputTopic::Anomalies.name(),
    OutputTopic::CustomerSegments.name(),
    DEAD_LETTERS,
    OutputTopic::LeadAssignments.name(),
    OutputTopic::TeamStatus.name(),
];

/// Topic of the epochs' records.
pub const EPOCHS: &str = "epochs";

/// The CloudEvents type of a dead letter in a file.
const RECORD_REJECTED: &str = "record.rejected";

/// A message for an output topic, borrowed from the output that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The topic.
    pub topic: &'static str,
    /// The dealer, if known.
    pub key: Option<&'a [u8]>,
    /// What decides the partition where there is no key.
    pub id: Cow<'a, str>,
    /// Its time, in UTC milliseconds.
    pub time_ms: i64,
    /// The payload.
    pub payload: &'a [u8],
    /// Names and values.
    pub headers: Vec<(&'static str, Cow<'a, [u8]>)>,
}

impl Message<'_> {
    /// The bytes that decide its partition.
    pub fn partition_key(&self) -> &[u8] {
        self.key.unwrap_or(self.id.as_bytes())
    }

    /// Its bytes, as limits count them.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.map_or(0, <[u8]>::len) + self.payload.len() + headers
    }
}

/// The id of a dead letter: where its record lay.
pub fn letter_id(letter: &DeadLetter) -> String {
    format!("{}/{}/{}", topic_of(letter.place).name(), letter.place.partition, letter.place.offset)
}

/// The order of an epoch's dead letters: time, dealer, id.
pub fn letter_order(letter: &DeadLetter) -> (i64, Vec<u8>, String) {
    (letter.time_ms, letter.dealer.clone().unwrap_or_default(), letter_id(letter))
}

fn sha256_hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A dead letter as a record of a log: the original bytes, with everything else in headers.
pub fn letter_message(letter: &DeadLetter) -> Message<'_> {
    let number = |number: u64| Cow::Owned(number.to_string().into_bytes());
    let mut headers: Vec<(&'static str, Cow<'_, [u8]>)> = vec![
        ("epoch", Cow::Owned(letter.epoch.to_string().into_bytes())),
        ("topic", Cow::Borrowed(topic_of(letter.place).name().as_bytes())),
        ("partition", number(letter.place.partition.into())),
        ("offset", number(letter.place.offset)),
        ("reason-code", Cow::Borrowed(letter.reason_code().name().as_bytes())),
        ("reason", Cow::Borrowed(letter.sentence.as_bytes())),
    ];
    if let Some(bytes) = letter.payload.record_bytes {
        headers.push(("record-bytes", Cow::Owned(bytes.to_string().into_bytes())));
    }
    if let Some(hash) = &letter.payload.record_sha256 {
        headers.push(("record-sha256", Cow::Owned(sha256_hex(hash).into_bytes())));
    }
    Message {
        topic: DEAD_LETTERS,
        key: letter.dealer.as_deref(),
        id: letter_id(letter).into(),
        time_ms: letter.time_ms,
        payload: &letter.payload.bytes,
        headers,
    }
}

/// A message of a batch that others share, as an epoch holds it.
#[derive(Clone, Debug)]
pub struct SharedMessage {
    batch: Arc<MessageBatch>,
    number: usize,
}

impl SharedMessage {
    /// The messages of a batch.
    pub fn all(batch: MessageBatch) -> impl Iterator<Item = SharedMessage> {
        let batch = Arc::new(batch);
        (0..batch.len()).map(move |number| SharedMessage { batch: Arc::clone(&batch), number })
    }

    /// What it says.
    pub fn view(&self) -> MessageView<'_> {
        self.batch.message(self.number)
    }
}

/// Brings an epoch's messages into their order.
pub fn sort_messages(messages: &mut [SharedMessage]) {
    messages.sort_by(|left, right| left.view().order().cmp(&right.view().order()));
}

/// A message of a model as a record of a log.
pub fn model_message(message: MessageView<'_>) -> Message<'_> {
    Message {
        topic: message.message_type().topic().name(),
        key: Some(message.dealer()),
        id: String::from_utf8_lossy(message.id()),
        time_ms: message.time_ms(),
        payload: message.event(),
        headers: vec![
            ("content-type", Cow::Borrowed(CLOUD_EVENT)),
            ("causes", Cow::Borrowed(message.causes())),
            ("epoch", Cow::Owned(message.epoch().to_string().into_bytes())),
        ],
    }
}

/// The content type of structured events.
pub const CLOUD_EVENT: &[u8] = b"application/cloudevents+json";

/// A dead letter as a line of a file: a `CloudEvent` with the original bytes as `data_base64`.
pub fn letter_line(letter: &DeadLetter) -> Vec<u8> {
    let mut event = serde_json::Map::new();
    let mut put = |name: &str, value: serde_json::Value| event.insert(name.to_owned(), value);
    put("specversion", "1.0".into());
    put("id", letter_id(letter).into());
    put("source", "/dealerflow".into());
    put("type", RECORD_REJECTED.into());
    put("time", format_rfc3339(letter.time_ms).into());
    if let Some(dealer) = &letter.dealer {
        put("dealerid", String::from_utf8_lossy(dealer).into());
    }
    put("topic", topic_of(letter.place).name().into());
    put("logpartition", letter.place.partition.into());
    put("logoffset", letter.place.offset.into());
    put("reasoncode", letter.reason_code().name().into());
    put("reason", letter.sentence.as_str().into());
    put("epoch", letter.epoch.into());
    if let Some(bytes) = letter.payload.record_bytes {
        put("recordbytes", bytes.into());
    }
    if let Some(hash) = &letter.payload.record_sha256 {
        put("recordsha256", sha256_hex(hash).into());
    }
    put("datacontenttype", "application/octet-stream".into());
    put("data_base64", base64::engine::general_purpose::STANDARD.encode(&letter.payload.bytes).into());
    let mut line = serde_json::Value::Object(event).to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_topic_is_listed_in_the_order_of_names() {
        assert!(OUTPUT_TOPICS.is_sorted());
        assert!(OutputTopic::ALL.iter().all(|topic| OUTPUT_TOPICS.contains(&topic.name())));
        assert_eq!(OUTPUT_TOPICS.len(), OutputTopic::ALL.len() + 1);
    }
}
