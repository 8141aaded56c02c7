//! What must hold of the parser for every string of bytes. The fuzz target and `tests/parser_corpus.rs` call the same function.
//!
//! ```text
//!            ┌─▶ Parser, on every topic ───┐
//!   bytes ───┼─▶ serde_json (judge) ───────┼─▶ check: panics, naming the first thing that does not hold
//!            └─▶ event_time_of (the index) ┘
//! ```
//! - No panic, whatever the bytes.
//! - A parser that was used before, a fresh one, and one that meets the record inside a larger chunk read the same.
//! - What is accepted, or refused for its meaning, is one JSON object that repeats no key and nests at most [`DEPTH_MAX`] levels; what is
//!   refused as `invalid_utf8`, `invalid_json` or `duplicate_key` is that.
//! - The index finds the very time of every line that is accepted.
//! - Every text lies inside its batch, every value belongs to a field of its event's type, and no required one is absent.
//! - The topic decides nothing but `wrong_topic`.

mod judge;

use std::sync::Arc;

use operators::domain::batch::{Event, EventBatch, Place, RawBytes, Span, Value};
use operators::domain::event::{EventType, Topic};
use operators::domain::event_time::event_time_of;
use operators::domain::json::DEPTH_MAX;
use operators::domain::parse::{Parser, RECORD_BYTES_MAX};
use operators::domain::rejection::ReasonCode;

use judge::{Judgement, judge};

/// Stands before the record in the larger chunk: it is no JSON, so whoever reads it by mistake notices.
const BEFORE: &[u8] = b"\xff{\"time\":\"1999-01-01T00:00:00Z\"}\n";
/// Stands behind it.
const BEHIND: &[u8] = b"\n\"}}";

/// What came of a record, free of positions, so that two readings can be compared.
#[derive(Clone, Debug, PartialEq)]
enum Reading {
    Accepted(Box<Accepted>),
    Refused { code: ReasonCode, sentence: String, dealer: Option<Vec<u8>>, dealer_hash: u64 },
}

impl Reading {
    fn code(&self) -> Option<ReasonCode> {
        match self {
            Reading::Accepted(_) => None,
            Reading::Refused { code, .. } => Some(*code),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Accepted {
    event_type: EventType,
    time_ms: i64,
    sequence: u64,
    identity: u128,
    content: u64,
    dealer_hash: u64,
    entity_hash: u64,
    dealer: Vec<u8>,
    source: Vec<u8>,
    id: Vec<u8>,
    entity: Vec<u8>,
    values: Vec<(u8, Content)>,
    unknown_fields: u64,
}

/// A value without positions. Doubles by their bits, so that a NaN would equal itself.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Null,
    Integer(i64),
    Double(u64),
    Text(Vec<u8>),
}

/// Checks everything that must hold of the parser for `record`, and gives the reason for which it is refused on topic `commands`; `None` if
/// it is accepted there. `parser` may have read anything before.
///
/// # Panics
/// If something does not hold.
pub fn check(parser: &mut Parser, record: &[u8]) -> Option<ReasonCode> {
    let on_commands = read(parser, record, &[], &[], Topic::Commands);
    assert_eq!(
        on_commands,
        read(&mut Parser::default(), record, &[], &[], Topic::Commands),
        "a used parser reads otherwise than a fresh one"
    );
    assert_eq!(
        on_commands,
        read(parser, record, BEFORE, BEHIND, Topic::Commands),
        "a record reads otherwise inside a larger chunk"
    );
    check_grammar(record, &on_commands);
    if let Reading::Accepted(accepted) = &on_commands {
        check_meaning(accepted);
        // A file's lines end at \n; a record that holds one is no line, and only lines are indexed.
        if !record.contains(&b'\n') {
            assert_eq!(event_time_of(record), Some(accepted.time_ms), "the index finds another time than the parser");
        }
    } else {
        // No time is right or wrong here: looking for one must only end.
        let _ = event_time_of(record);
    }
    check_topics(parser, record, &on_commands);
    on_commands.code()
}

fn read(parser: &mut Parser, record: &[u8], before: &[u8], behind: &[u8], topic: Topic) -> Reading {
    let raw = [before, record, behind].concat();
    let span = Span { start: before.len() as u32, length: record.len() as u32 };
    let place = Place { topic: topic as u8, partition: 0, offset: 1 };
    let mut batch = EventBatch { raw: RawBytes(Arc::new(raw)), ..EventBatch::default() };
    let raw = Arc::clone(&batch.raw.0);
    match parser.parse(&raw, span, place, 0) {
        Ok(event) => {
            parser.push(event, &mut batch);
            assert_eq!(batch.events.len(), 1);
            Reading::Accepted(Box::new(accepted(&batch, &batch.events[0], span)))
        }
        Err(rejection) => {
            let (code, sentence, dealer_hash) =
                (rejection.code, rejection.sentence.clone(), parser.dealer_hash(&raw, &rejection));
            parser.push_rejection(rejection, span, place, (0, 0, 0), &mut batch);
            let rejected = &batch.rejected[0];
            assert_eq!(rejected.reason_code(), code);
            assert!(!sentence.is_empty() && sentence.ends_with('.'), "not a sentence: {sentence:?}");
            let dealer = rejected.dealer.map(|dealer| text(&batch, dealer, span));
            Reading::Refused { code, sentence, dealer, dealer_hash }
        }
    }
}

fn accepted(batch: &EventBatch, event: &Event, record: Span) -> Accepted {
    assert_eq!(event.record, record, "the event names another record");
    let values = batch.values_of(event).iter().map(|value| {
        let content = match value.value {
            Value::Null => Content::Null,
            Value::Integer(integer) => Content::Integer(integer),
            Value::Double(double) => {
                assert!(double.is_finite(), "a double without end");
                Content::Double(double.to_bits())
            }
            Value::Text(span) => Content::Text(text(batch, span, record)),
        };
        (value.field, content)
    });
    Accepted {
        event_type: event.event_type.event_type(),
        time_ms: event.time_ms,
        sequence: event.sequence,
        identity: event.identity,
        content: event.content,
        dealer_hash: event.dealer_hash,
        entity_hash: event.entity_hash,
        dealer: text(batch, event.dealer, record),
        source: text(batch, event.source, record),
        id: text(batch, event.id, record),
        entity: text(batch, event.entity, record),
        values: values.collect(),
        unknown_fields: batch.unknown_fields,
    }
}

/// The text of a span, which must lie inside the record or inside the unescaped texts behind the raw bytes.
fn text(batch: &EventBatch, span: Span, record: Span) -> Vec<u8> {
    let (start, end) = (span.start as usize, span.start as usize + span.length as usize);
    let (raw, extra) = (batch.raw.0.len(), batch.extra.len());
    let in_record = start >= record.start as usize && end <= (record.start + record.length) as usize;
    let in_extra = start >= raw && end <= raw + extra;
    assert!(
        span.length == 0 || in_record || in_extra,
        "a text outside its batch: {span:?}, record {record:?}, {raw} + {extra} bytes"
    );
    let bytes = batch.text(span).to_vec();
    assert!(std::str::from_utf8(&bytes).is_ok(), "a text that is not UTF-8: {bytes:?}");
    bytes
}

#[expect(clippy::match_same_arms, reason = "a line for each reason code")]
fn check_grammar(record: &[u8], reading: &Reading) {
    let code = reading.code();
    assert_eq!(
        code == Some(ReasonCode::RecordTooLarge),
        record.len() > RECORD_BYTES_MAX,
        "{code:?} of {} bytes",
        record.len()
    );
    if code == Some(ReasonCode::RecordTooLarge) {
        return;
    }
    assert_eq!(code == Some(ReasonCode::InvalidUtf8), std::str::from_utf8(record).is_err(), "{code:?}");
    let judgement = judge(record);
    let agrees = match (code, judgement) {
        (Some(ReasonCode::InvalidUtf8), _)
        | (Some(ReasonCode::InvalidJson), Judgement::Broken | Judgement::NoObject | Judgement::HugeNumber) => true,
        (Some(ReasonCode::InvalidJson), Judgement::Object { depth, .. }) => depth > DEPTH_MAX,
        // A repeated key may stand before what breaks the grammar.
        (Some(ReasonCode::DuplicateKey), Judgement::Broken | Judgement::HugeNumber) => true,
        (Some(ReasonCode::DuplicateKey), Judgement::Object { repeats_key, .. }) => repeats_key,
        (Some(ReasonCode::DuplicateKey), Judgement::NoObject) => false,
        (_, Judgement::Object { depth, repeats_key }) => depth <= DEPTH_MAX && !repeats_key,
        (_, Judgement::HugeNumber) => true,
        (_, Judgement::Broken | Judgement::NoObject) => false,
    };
    assert!(agrees, "parsing says {reading:?}, serde_json says {judgement:?}");
    let names_dealer = matches!(reading, Reading::Refused { dealer: Some(_), .. });
    let well_formed =
        !matches!(code, Some(ReasonCode::InvalidUtf8 | ReasonCode::InvalidJson | ReasonCode::DuplicateKey));
    assert!(well_formed || !names_dealer, "a dealer is named by a record that is not well-formed");
}

fn check_meaning(accepted: &Accepted) {
    let spec = accepted.event_type.spec();
    for name in [&accepted.dealer, &accepted.source, &accepted.id] {
        assert!(!name.is_empty(), "an empty name was accepted");
    }
    assert_eq!(accepted.entity.is_empty(), spec.entity.is_none(), "{} about entity {:?}", spec.name, accepted.entity);
    let mut seen = 0_u32;
    for (field, content) in &accepted.values {
        let spec = &spec.fields[usize::from(*field)];
        assert_eq!(seen & (1 << field), 0, "{} has two values", spec.name);
        assert!(!spec.required || *content != Content::Null, "{} is required and null", spec.name);
        seen |= 1 << field;
    }
    for (field, spec) in spec.fields.iter().enumerate() {
        assert!(!spec.required || seen & (1 << field) != 0, "{} is required and absent", spec.name);
    }
}

/// On its own topic and on `commands` a record reads the same; elsewhere it may be refused for that.
fn check_topics(parser: &mut Parser, record: &[u8], on_commands: &Reading) {
    let mut misplaced = Vec::new();
    let topics = Topic::ALL.into_iter().filter(|topic| *topic != Topic::Commands);
    for topic in topics.clone() {
        let reading = read(parser, record, &[], &[], topic);
        if matches!(reading, Reading::Refused { code: ReasonCode::WrongTopic, .. }) {
            misplaced.push(topic);
        } else {
            assert_eq!(&reading, on_commands, "topic {} reads otherwise than commands", topic.name());
        }
    }
    if let Reading::Accepted(accepted) = on_commands {
        let own = (accepted.event_type != EventType::Unknown).then(|| accepted.event_type.spec().topic);
        let expected: Vec<Topic> = topics.filter(|topic| own.is_some_and(|own| own != *topic)).collect();
        assert_eq!(misplaced, expected, "{:?}", accepted.event_type);
    }
}
