//! The topic sink: messages of all workers, in one order, as JSON lines.
//!
//! ```text
//!   dead letters ─exchange to worker 0─▶ kept until their epochs are complete ─▶ order (time, dealer, type, id) ─▶ topic file
//! ```

use std::collections::BTreeMap;

use base64::Engine;
use connectors::topics::{JsonLinesSink, TopicNumber};
use operators::dataflow::driver::Epoch;
use operators::dataflow::letters::DeadLetter;
use operators::domain::batch::topic_of;
use operators::domain::time::format_rfc3339;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;

use crate::failure::Failure;

/// Name of the topic of dead letters.
pub const DEAD_LETTERS: &str = "dead-letters";

/// The CloudEvents type of a dead letter in a file.
const RECORD_REJECTED: &str = "record.rejected";

/// The id of a dead letter: where its record lay.
fn letter_id(letter: &DeadLetter) -> String {
    format!("{}/{}/{}", topic_of(letter.place).name(), letter.place.partition, letter.place.offset)
}

/// A dead letter as a `CloudEvent`, with the original bytes as `data_base64`.
fn letter_json(letter: &DeadLetter) -> Vec<u8> {
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
    if let Some(hash) = letter.payload.record_sha256 {
        put("recordsha256", hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat().into());
    }
    put("datacontenttype", "application/octet-stream".into());
    put("data_base64", base64::engine::general_purpose::STANDARD.encode(&letter.payload.bytes).into());
    let mut line = serde_json::Value::Object(event).to_string().into_bytes();
    line.push(b'\n');
    line
}

type LetterKey = (i64, i64, Vec<u8>, String);

/// The sink of dead letters. `sink` is there on worker 0 alone, and is given back through `done` when all is written.
pub fn letter_sink(
    letters: Stream<'_, Epoch, Vec<DeadLetter>>,
    mut sink: Option<(JsonLinesSink, TopicNumber)>,
    failure: Failure,
    done: impl Fn(JsonLinesSink) + 'static,
) -> Stream<'_, Epoch, Vec<()>> {
    let exchange = Exchange::new(|_: &DeadLetter| 0);
    letters.unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(exchange, "dead letter sink", move |_, _| {
        let mut pending: BTreeMap<LetterKey, DeadLetter> = BTreeMap::new();
        move |(input, frontier), _output| {
            input.for_each(|_capability, data| {
                for letter in data.drain(..) {
                    let key =
                        (letter.epoch, letter.time_ms, letter.dealer.clone().unwrap_or_default(), letter_id(&letter));
                    pending.insert(key, letter);
                }
            });
            let frontier = frontier.frontier().first().map(|epoch| *epoch as i64);
            let waiting = match frontier {
                Some(frontier) => pending.split_off(&(frontier, i64::MIN, Vec::new(), String::new())),
                None => BTreeMap::new(),
            };
            let complete = std::mem::replace(&mut pending, waiting);
            if let Some((sink, topic)) = &mut sink
                && !failure.is_set()
            {
                for letter in complete.values() {
                    if let Err(error) = sink.write(*topic, &letter_json(letter)) {
                        failure.report(&error);
                        break;
                    }
                }
            }
            if frontier.is_none()
                && let Some((sink, _)) = sink.take()
            {
                done(sink);
            }
        }
    })
}
