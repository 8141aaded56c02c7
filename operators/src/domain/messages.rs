//! Messages of the models for output topics: CloudEvents in JSON, written once, where they are decided.
//!
//! ```text
//!   MessageBatch ─┬─ bytes     texts and events, one after another
//!                 └─ messages  epoch, time, type, and where dealer, id, causes and event lie in the bytes
//! ```
//! A message's id is derived from its cause (an event, or a timer with its due time) and its ordinal among what that cause gave, so
//! it is the same in every run.

use std::fmt::{Display, Formatter};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::json_writer::JsonWriter;
use super::time::format_rfc3339;

/// Ids of causes that a message names, at most.
pub const CAUSES_MAX: usize = 16;

/// An output topic of the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum OutputTopic {
    /// Unusual leads.
    Anomalies,
    /// What kind of customer each lead is.
    CustomerSegments,
    /// Who serves which lead.
    LeadAssignments,
    /// How each team moves.
    TeamStatus,
}

impl OutputTopic {
    /// Every topic, in the order of their names.
    pub const ALL: [OutputTopic; 4] =
        [OutputTopic::Anomalies, OutputTopic::CustomerSegments, OutputTopic::LeadAssignments, OutputTopic::TeamStatus];

    /// The topic's name, without prefix.
    pub const fn name(self) -> &'static str {
        match self {
            OutputTopic::Anomalies => "anomalies",
            OutputTopic::CustomerSegments => "customer-segments",
            OutputTopic::LeadAssignments => "lead-assignments",
            OutputTopic::TeamStatus => "team-status",
        }
    }
}

/// The CloudEvents type of a message, in the order of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum MessageType {
    /// A lead is not unusual any more.
    AnomalyCleared,
    /// A lead is unusual.
    AnomalyDetected,
    /// A lead was scored.
    CustomerSegmented,
    /// A lead that was scored is gone.
    CustomerUnsegmented,
    /// A rep got a lead.
    LeadAssigned,
    /// Another rep got it.
    LeadReassigned,
    /// Nobody has it any more.
    LeadUnassigned,
    /// A team moved.
    TeamStatusChanged,
}

impl MessageType {
    /// Every type.
    pub const ALL: [MessageType; 8] = [
        MessageType::AnomalyCleared,
        MessageType::AnomalyDetected,
        MessageType::CustomerSegmented,
        MessageType::CustomerUnsegmented,
        MessageType::LeadAssigned,
        MessageType::LeadReassigned,
        MessageType::LeadUnassigned,
        MessageType::TeamStatusChanged,
    ];

    /// The CloudEvents `type`.
    pub const fn name(self) -> &'static str {
        match self {
            MessageType::AnomalyCleared => "anomaly.cleared",
            MessageType::AnomalyDetected => "anomaly.detected",
            MessageType::CustomerSegmented => "customer.segmented",
            MessageType::CustomerUnsegmented => "customer.unsegmented",
            MessageType::LeadAssigned => "lead.assigned",
            MessageType::LeadReassigned => "lead.reassigned",
            MessageType::LeadUnassigned => "lead.unassigned",
            MessageType::TeamStatusChanged => "team.status.changed",
        }
    }

    /// The topic on which it stands.
    pub const fn topic(self) -> OutputTopic {
        match self {
            MessageType::AnomalyCleared | MessageType::AnomalyDetected => OutputTopic::Anomalies,
            MessageType::CustomerSegmented | MessageType::CustomerUnsegmented => OutputTopic::CustomerSegments,
            MessageType::LeadAssigned | MessageType::LeadReassigned | MessageType::LeadUnassigned => {
                OutputTopic::LeadAssignments
            }
            MessageType::TeamStatusChanged => OutputTopic::TeamStatus,
        }
    }
}

/// A timer of the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum TimerKind {
    /// Five minutes of the oscillators have passed.
    Tick,
    /// The dealer's local day begins.
    Midnight,
    /// A shift begins while leads wait.
    Placement,
    /// A lead had no event for seven days.
    Inactivity,
    /// A rep did not answer in time.
    Response,
    /// A deal leaves memory.
    Retention,
}

impl TimerKind {
    /// Every kind, by number.
    pub const ALL: [TimerKind; 6] = [
        TimerKind::Tick,
        TimerKind::Midnight,
        TimerKind::Placement,
        TimerKind::Inactivity,
        TimerKind::Response,
        TimerKind::Retention,
    ];

    /// Its name in ids.
    pub const fn name(self) -> &'static str {
        match self {
            TimerKind::Tick => "tick",
            TimerKind::Midnight => "midnight",
            TimerKind::Placement => "placement",
            TimerKind::Inactivity => "inactivity",
            TimerKind::Response => "response",
            TimerKind::Retention => "retention",
        }
    }
}

/// What made a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseId {
    /// An input event, by its identity.
    Event(u128),
    /// A timer: which, when it was due, and the hash of the entity that it was about, 0 if none.
    Timer(TimerKind, i64, u64),
}

/// The id of a message: its cause, and its number among what the cause gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageId {
    /// The cause.
    pub cause: CauseId,
    /// From 0.
    pub ordinal: u32,
}

impl Display for MessageId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self.cause {
            CauseId::Event(identity) => write!(formatter, "{identity:032x}-{}", self.ordinal),
            CauseId::Timer(kind, due_ms, 0) => write!(formatter, "{}-{due_ms}-{}", kind.name(), self.ordinal),
            CauseId::Timer(kind, due_ms, entity) => {
                write!(formatter, "{}-{due_ms}-{entity:016x}-{}", kind.name(), self.ordinal)
            }
        }
    }
}

/// What a message says about itself, beside its own data.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The epoch in which it was decided.
    pub epoch: i64,
    /// Time of its cause, in UTC milliseconds.
    pub time_ms: i64,
    /// The dealer.
    pub dealer: &'a [u8],
    /// Its type.
    pub message_type: MessageType,
    /// Its id.
    pub id: MessageId,
    /// What it is about, if not the dealer as a whole.
    pub subject: Option<&'a [u8]>,
    /// Id of the input event that caused it; none if a timer did.
    pub cause: Option<&'a [u8]>,
    /// Whether its cause came after a timer that it should have preceded.
    pub is_late: bool,
    /// The message that it takes the place of.
    pub supersedes: Option<MessageId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    epoch: i64,
    time_ms: i64,
    message_type: MessageType,
    /// Ends of dealer, id and event in the bytes; each begins where the one before ends, the first where its predecessor's event does.
    start: usize,
    dealer_end: usize,
    id_end: usize,
    end: usize,
    causes: Range<usize>,
}

/// Messages on their way to their topics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageBatch {
    bytes: Vec<u8>,
    messages: Vec<Place>,
}

/// One message of a batch.
#[derive(Clone, Copy, Debug)]
pub struct MessageView<'a> {
    batch: &'a MessageBatch,
    place: &'a Place,
}

impl MessageBatch {
    /// Number of messages.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// A message by number.
    pub fn message(&self, number: usize) -> MessageView<'_> {
        MessageView { batch: self, place: &self.messages[number] }
    }

    /// Adds a message; `data` writes what its type has to say, behind epoch and causes.
    pub fn push(&mut self, envelope: &Envelope<'_>, data: impl FnOnce(&mut JsonWriter<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(envelope.dealer);
        let dealer_end = self.bytes.len();
        {
            use std::io::Write;
            // Writing into a vector cannot fail.
            let _ = write!(self.bytes, "{}", envelope.id);
        }
        let id_end = self.bytes.len();
        let causes = write_event(&mut self.bytes, envelope, data);
        self.messages.push(Place {
            epoch: envelope.epoch,
            time_ms: envelope.time_ms,
            message_type: envelope.message_type,
            start,
            dealer_end,
            id_end,
            end: self.bytes.len(),
            causes,
        });
    }
}

/// Writes a `CloudEvent`, and says where its list of causes lies.
fn write_event(bytes: &mut Vec<u8>, envelope: &Envelope<'_>, data: impl FnOnce(&mut JsonWriter<'_>)) -> Range<usize> {
    let mut json = JsonWriter::new(bytes);
    json.begin();
    json.key("specversion");
    json.text(b"1.0");
    json.key("id");
    json.display(envelope.id);
    json.key("source");
    json.text(b"/dealerflow");
    json.key("type");
    json.text(envelope.message_type.name().as_bytes());
    if let Some(subject) = envelope.subject {
        json.key("subject");
        json.text(subject);
    }
    json.key("time");
    json.text(format_rfc3339(envelope.time_ms).as_bytes());
    json.key("dealerid");
    json.text(envelope.dealer);
    json.key("datacontenttype");
    json.text(b"application/json");
    json.key("data");
    json.begin();
    json.key("epoch");
    json.integer(envelope.epoch);
    json.key("causes");
    let causes = json.position();
    json.list(|json| envelope.cause.iter().for_each(|cause| json.text(cause)));
    let causes = causes..json.position();
    json.key("causeCount");
    json.integer(i64::from(envelope.cause.is_some()));
    if let CauseId::Timer(kind, ..) = envelope.id.cause {
        json.key("timer");
        json.text(kind.name().as_bytes());
    }
    if envelope.is_late {
        json.key("late");
        json.boolean(true);
    }
    if let Some(supersedes) = envelope.supersedes {
        json.key("supersedes");
        json.display(supersedes);
    }
    data(&mut json);
    json.end();
    json.end();
    causes
}

impl<'a> MessageView<'a> {
    /// The epoch.
    pub fn epoch(&self) -> i64 {
        self.place.epoch
    }

    /// Time of its cause, in UTC milliseconds.
    pub fn time_ms(&self) -> i64 {
        self.place.time_ms
    }

    /// Its type.
    pub fn message_type(&self) -> MessageType {
        self.place.message_type
    }

    /// The dealer.
    pub fn dealer(&self) -> &'a [u8] {
        &self.batch.bytes[self.place.start..self.place.dealer_end]
    }

    /// Its id.
    pub fn id(&self) -> &'a [u8] {
        &self.batch.bytes[self.place.dealer_end..self.place.id_end]
    }

    /// The event as JSON.
    pub fn event(&self) -> &'a [u8] {
        &self.batch.bytes[self.place.id_end..self.place.end]
    }

    /// The ids of its causes, as a JSON list.
    pub fn causes(&self) -> &'a [u8] {
        &self.batch.bytes[self.place.causes.clone()]
    }

    /// The order in which an epoch's messages stand: time, dealer, type, id.
    pub fn order(&self) -> (i64, &'a [u8], &'static str, &'a [u8]) {
        (self.time_ms(), self.dealer(), self.message_type().name(), self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_fit_their_topics() {
        assert!(MessageType::ALL.is_sorted_by_key(|kind| kind.name()));
        assert!(OutputTopic::ALL.is_sorted_by_key(|topic| topic.name()));
        for (number, kind) in TimerKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
        }
    }

    #[test]
    fn a_message_is_a_cloud_event() {
        let mut batch = MessageBatch::default();
        let envelope = Envelope {
            epoch: 50,
            time_ms: 1_771_254_245_123,
            dealer: b"d \"1\"",
            message_type: MessageType::LeadAssigned,
            id: MessageId { cause: CauseId::Event(0xab), ordinal: 2 },
            subject: Some(b"l-1"),
            cause: Some(b"e,1"),
            is_late: true,
            supersedes: Some(MessageId { cause: CauseId::Timer(TimerKind::Response, 7, 9), ordinal: 0 }),
        };
        batch.push(&envelope, |json| {
            json.key("leadId");
            json.text(b"l-1");
        });
        let timer = MessageId { cause: CauseId::Timer(TimerKind::Tick, 300_000, 0), ordinal: 0 };
        batch.push(&Envelope { id: timer, cause: None, subject: None, ..envelope }, |_| {});
        let message = batch.message(0);
        let expected = r#"{"specversion":"1.0","id":"000000000000000000000000000000ab-2","source":"/dealerflow","type":"lead.assigned","subject":"l-1","time":"2026-02-16T15:04:05.123Z","dealerid":"d \"1\"","datacontenttype":"application/json","data":{"epoch":50,"causes":["e,1"],"causeCount":1,"late":true,"supersedes":"response-7-0000000000000009-0","leadId":"l-1"}}"#;
        assert_eq!(std::str::from_utf8(message.event()).unwrap(), expected);
        assert_eq!(message.causes(), br#"["e,1"]"#);
        assert_eq!(
            (message.dealer(), message.id()),
            (b"d \"1\"".as_slice(), b"000000000000000000000000000000ab-2".as_slice())
        );
        assert_eq!(batch.message(1).id(), b"tick-300000-0");
        assert_eq!(batch.message(1).causes(), b"[]");
        assert!(batch.message(1).order() > message.order());
    }
}
