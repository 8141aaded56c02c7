//! The topic sink: messages of all workers, in one order, as JSON lines.
//!
//! ```text
//!   dead letters ─exchange to worker 0─▶ kept until their epochs are complete ─▶ order (time, dealer, type, id) ─▶ topic file
//! ```

use std::collections::BTreeMap;

use connectors::topics::{JsonLinesSink, TopicNumber};
use operators::dataflow::driver::Epoch;
use operators::dataflow::letters::DeadLetter;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;

use crate::failure::Failure;
use crate::messages::{letter_line, letter_order};

type LetterKey = (i64, (i64, Vec<u8>, String));

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
                    pending.insert((letter.epoch, letter_order(&letter)), letter);
                }
            });
            let frontier = frontier.frontier().first().map(|epoch| *epoch as i64);
            let waiting = match frontier {
                Some(frontier) => pending.split_off(&(frontier, (i64::MIN, Vec::new(), String::new()))),
                None => BTreeMap::new(),
            };
            let complete = std::mem::replace(&mut pending, waiting);
            if let Some((sink, topic)) = &mut sink
                && !failure.is_set()
            {
                for letter in complete.values() {
                    if let Err(error) = sink.write(*topic, &letter_line(letter)) {
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
