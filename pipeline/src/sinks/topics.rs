//! The topic sink: messages of all workers, in one order, as JSON lines.
//!
//! ```text
//!   dead letters ───────┬─exchange to worker 0─▶ kept until their epochs are complete ─▶ order (time, dealer, type, id) ─▶ topic files
//!   messages of models ─┘
//! ```

use std::collections::BTreeMap;

use connectors::TopicsError;
use connectors::topics::{JsonLinesSink, TopicNumber};
use operators::dataflow::driver::Epoch;
use operators::dataflow::letters::DeadLetter;
use operators::domain::messages::{MessageBatch, OutputTopic};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;

use crate::failure::Failure;
use crate::messages::{DEAD_LETTERS, SharedMessage, letter_line, letter_order, sort_messages};

/// What goes to topics.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Outgoing {
    /// A record that was not accepted.
    Letter(DeadLetter),
    /// What the models say.
    Messages(MessageBatch),
}

/// The files of all topics.
pub struct TopicFiles {
    sink: JsonLinesSink,
    letters: TopicNumber,
    /// By the number of their topic.
    models: [TopicNumber; OutputTopic::ALL.len()],
    line: Vec<u8>,
}

impl TopicFiles {
    /// Opens every topic.
    ///
    /// # Errors
    /// If a file cannot be created.
    pub fn open(mut sink: JsonLinesSink) -> Result<Self, TopicsError> {
        let letters = sink.open(DEAD_LETTERS)?;
        let mut models = [letters; OutputTopic::ALL.len()];
        for (number, topic) in models.iter_mut().zip(OutputTopic::ALL) {
            *number = sink.open(topic.name())?;
        }
        Ok(TopicFiles { sink, letters, models, line: Vec::new() })
    }

    /// The sink, when all is written.
    pub fn into_sink(self) -> JsonLinesSink {
        self.sink
    }

    fn write(&mut self, epoch: &mut EpochMessages) -> Result<(), TopicsError> {
        epoch.letters.sort_by_cached_key(letter_order);
        for letter in &epoch.letters {
            self.sink.write(self.letters, &letter_line(letter))?;
        }
        sort_messages(&mut epoch.messages);
        for message in &epoch.messages {
            let message = message.view();
            self.line.clear();
            self.line.extend_from_slice(message.event());
            self.line.push(b'\n');
            self.sink.write(self.models[message.message_type().topic() as usize], &self.line)?;
        }
        Ok(())
    }
}

/// What an epoch sends.
#[derive(Default)]
struct EpochMessages {
    letters: Vec<DeadLetter>,
    messages: Vec<SharedMessage>,
}

/// The sink. `files` are there on worker 0 alone, and are given back through `done` when all is written.
pub fn topic_sink(
    outgoing: Stream<'_, Epoch, Vec<Outgoing>>,
    mut files: Option<TopicFiles>,
    failure: Failure,
    done: impl Fn(TopicFiles) + 'static,
) -> Stream<'_, Epoch, Vec<()>> {
    let exchange = Exchange::new(|_: &Outgoing| 0);
    outgoing.unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(exchange, "topic sink", move |_, _| {
        let mut pending: BTreeMap<i64, EpochMessages> = BTreeMap::new();
        move |(input, frontier), _output| {
            input.for_each(|_capability, data| {
                for outgoing in data.drain(..) {
                    match outgoing {
                        Outgoing::Letter(letter) => pending.entry(letter.epoch).or_default().letters.push(letter),
                        Outgoing::Messages(batch) => {
                            for message in SharedMessage::all(batch) {
                                pending.entry(message.view().epoch()).or_default().messages.push(message);
                            }
                        }
                    }
                }
            });
            let frontier = frontier.frontier().first().map(|epoch| *epoch as i64);
            let waiting = frontier.map_or_else(BTreeMap::new, |frontier| pending.split_off(&frontier));
            let complete = std::mem::replace(&mut pending, waiting);
            if let Some(files) = files.as_mut().filter(|_| !failure.is_set()) {
                for mut epoch in complete.into_values() {
                    if let Err(error) = files.write(&mut epoch) {
                        failure.report(&error);
                        break;
                    }
                }
            }
            if frontier.is_none()
                && let Some(files) = files.take()
            {
                done(files);
            }
        }
    })
}
