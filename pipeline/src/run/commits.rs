//! From the workers to the log: pairs each closed epoch with its outputs, commits groups of epochs, and says what may be seen.
//!
//! ```text
//!   Close (feeder) ─┐
//!                   ├─▶ messages, checksums, binding ─▶ committer machine ─▶ one transaction ─▶ publish, epoch by epoch
//!   EpochOutput ────┘            └─ recorded before a restart: compared, published, never written again
//! ```
//! Nothing is published that is not durable in the log. When a committer is lost another one is opened: it fences every other, so the last
//! record of topic `epochs` is read before anything is sent, and if a later run wrote it this one has been replaced and ends.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use connectors::log::{
    CommitGroup, CommitOutcome, Header, LogCommitter, LogError, MirroredOffset, TopicPartition, partition_of_key,
};
use operators::domain::time::format_rfc3339;

use super::binding::{BINDING_FORMAT, Binding, MessageSum, OutputSum};
use super::collect::EpochOutput;
use super::committer::{Action, CommitSettings, Committer, Input};
use super::records::RecordChunk;
use super::recovery::compare;
use super::source::Close;
use super::starting::StartError;
use super::successor::{Renewed, Successor};
use crate::messages::{CLOUD_EVENT, EPOCHS, Message, letter_message, model_message};

/// How often a fenced instance looks who has taken over.
const SUCCESSOR_LOOKS: usize = 6;
/// The pause between two looks.
const SUCCESSOR_LOOK: Duration = Duration::from_millis(400);

/// A larger group's memory is given back before the next one.
const GROUP_BYTES_KEPT: usize = 16 << 20;

/// An epoch whose outputs are durable.
#[derive(Debug)]
pub struct Published {
    /// Its record.
    pub binding: Binding,
    /// What it gave.
    pub output: EpochOutput,
    /// The records that it holds, if they are kept for the archive.
    pub records: Vec<RecordChunk>,
}

impl Published {
    /// About how much memory it holds, in bytes, without a snapshot.
    pub fn size_bytes(&self) -> u64 {
        let rows = self.output.rows.iter().map(|(_, slice)| slice.size_bytes());
        let letters = self.output.letters.iter().map(|letter| size_of_val(letter) + letter.payload.bytes.len());
        let records = self.records.iter().map(RecordChunk::size_bytes);
        rows.chain(letters).chain(records).sum::<usize>() as u64
    }
}

/// Who hears of durable epochs, in order.
pub trait Publisher {
    /// Shows an epoch's results. Called once for each epoch of a run; after a restart those since the checkpoint come again.
    fn publish(&mut self, published: Published);

    /// Tells what the restored state holds, at the checkpoint's epoch, before anything is published: it was committed before.
    fn restore(&mut self, _output: EpochOutput) {}
}

/// What stands in every record of this run.
#[derive(Clone, Debug)]
pub struct RunIdentity {
    /// The pipeline's name.
    pub pipeline: String,
    /// Number of this run.
    pub incarnation: u64,
    /// Fingerprint of the settings that decide results.
    pub settings: String,
    /// Version of the logic.
    pub logic: String,
}

/// An epoch on its way into the log.
struct Held {
    binding: Binding,
    binding_bytes: Vec<u8>,
    output: EpochOutput,
    /// Where each of its messages goes, in their order.
    partitions: Vec<u32>,
    records: Vec<RecordChunk>,
}

/// Commits what the workers give.
pub struct Commits {
    committer: Box<dyn LogCommitter>,
    successor: Box<dyn Successor>,
    machine: Committer,
    identity: RunIdentity,
    /// Partitions of each output topic.
    partitions: BTreeMap<&'static str, u32>,
    closes: VecDeque<(Close, Vec<RecordChunk>)>,
    outputs: VecDeque<EpochOutput>,
    held: VecDeque<Held>,
    group: CommitGroup,
    actions: VecDeque<Action>,
    /// Whether the end is still to be told to the machine.
    ends: bool,
}

/// What a step of the commits came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing is to be done until more comes.
    Waiting,
    /// A group was sent, or epochs were published; call again.
    Busy,
    /// Call again after this pause, in milliseconds.
    Pause(u64),
    /// Everything is committed, and no more will come.
    Drained,
    /// Exit, and say why.
    Stop(String),
}

impl Commits {
    /// Commits through an open committer, and through those that `successor` gives when one is lost. `partitions` tells how many each
    /// output topic has.
    pub fn new(
        committer: Box<dyn LogCommitter>,
        successor: Box<dyn Successor>,
        settings: CommitSettings,
        identity: RunIdentity,
        partitions: BTreeMap<&'static str, u32>,
    ) -> Self {
        Commits {
            committer,
            successor,
            machine: Committer::new(settings),
            identity,
            partitions,
            closes: VecDeque::new(),
            outputs: VecDeque::new(),
            held: VecDeque::new(),
            group: CommitGroup::new(),
            actions: VecDeque::new(),
            ends: false,
        }
    }

    /// An epoch was closed; with its records, if they are kept. Comes before its outputs.
    pub fn closed(&mut self, close: Close, records: Vec<RecordChunk>) {
        self.closes.push_back((close, records));
    }

    /// An epoch's outputs are whole. Epochs come in order.
    pub fn collected(&mut self, output: EpochOutput) {
        self.outputs.push_back(output);
    }

    /// No more epochs will come.
    pub fn drain(&mut self) {
        // What was collected and not looked at yet comes first, or the machine would find itself drained without it.
        self.ends = true;
    }

    /// Does the next thing. After [`Turn::Pause`] the next call is taken for the pause's end.
    pub fn step(&mut self, publisher: &mut dyn Publisher) -> Turn {
        if let Err(reason) = self.pair(publisher) {
            return Turn::Stop(reason);
        }
        if std::mem::take(&mut self.ends) {
            self.actions.extend(self.machine.handle(Input::Drain));
        }
        let Some(action) = self.actions.pop_front() else { return Turn::Waiting };
        match action {
            Action::Commit { epochs } => {
                let input = self.commit(epochs);
                // What was collected meanwhile joins the next group.
                if let Err(reason) = self.pair(publisher) {
                    return Turn::Stop(reason);
                }
                self.actions.extend(self.machine.handle(input));
            }
            Action::Renew => {
                let input = self.renew();
                self.actions.extend(self.machine.handle(input));
            }
            Action::Publish { epochs } => {
                for held in self.held.drain(..epochs) {
                    let Held { binding, output, records, .. } = held;
                    publisher.publish(Published { binding, output, records });
                }
            }
            Action::Pause { pause_ms } => {
                self.actions.extend(self.machine.handle(Input::PauseOver));
                return Turn::Pause(pause_ms);
            }
            Action::Drained => return Turn::Drained,
            Action::Stop(reason) => return Turn::Stop(reason),
        }
        Turn::Busy
    }

    /// Brings closed epochs and their outputs together, in order.
    fn pair(&mut self, publisher: &mut dyn Publisher) -> Result<(), String> {
        while let (Some((close, _)), Some(output)) = (self.closes.front(), self.outputs.front()) {
            if close.epoch != output.epoch {
                return Err(format!(
                    "epoch {} was closed, but outputs of epoch {} came: report this",
                    close.epoch, output.epoch
                ));
            }
            let (Some((close, records)), Some(output)) = (self.closes.pop_front(), self.outputs.pop_front()) else {
                break;
            };
            let (mut sums, mut partitions, mut bytes) = (Sums::default(), Vec::new(), 0);
            for message in messages_of(&output) {
                let partition = self.partition_of(&message, close.recorded.as_ref());
                sums.add(&message, partition);
                partitions.push(partition);
                bytes += message.bytes();
            }
            let outputs = sums.into_outputs();
            if let Some(recorded) = close.recorded {
                if close.records != recorded.records {
                    return Err(format!(
                        "epoch {} was recorded with {} records, and {} came back from the log or the archive: input is missing",
                        recorded.epoch, recorded.records, close.records
                    ));
                }
                compare(&recorded, &outputs, &self.identity.settings, &self.identity.logic)?;
                publisher.publish(Published { binding: recorded, output, records });
                continue;
            }
            let binding = Binding {
                format: BINDING_FORMAT,
                incarnation: self.identity.incarnation,
                epoch: close.epoch,
                previous: close.previous,
                inputs: close.inputs,
                idle: close.idle,
                records: close.records,
                skipped: close.skipped,
                outputs,
                output_partitions: self.partitions.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect(),
                settings: self.identity.settings.clone(),
                logic: self.identity.logic.clone(),
            };
            let binding_bytes = binding.to_bytes(&self.identity.pipeline);
            let (bytes, messages) = ((bytes + binding_bytes.len()) as u64, partitions.len() as u64 + 1);
            self.held.push_back(Held { binding, binding_bytes, output, partitions, records });
            self.actions.extend(self.machine.handle(Input::Collected { bytes, messages }));
        }
        Ok(())
    }

    /// Where a message goes: by the partitions that the topic has, or had when the epoch was recorded.
    fn partition_of(&self, message: &Message, recorded: Option<&Binding>) -> u32 {
        let recorded = recorded.and_then(|binding| binding.output_partitions.get(message.topic));
        let partitions = recorded.or_else(|| self.partitions.get(message.topic)).copied().unwrap_or(1);
        partition_of_key(message.partition_key(), partitions.max(1))
    }

    /// Sends the first epochs of the queue in one transaction.
    fn commit(&mut self, epochs: usize) -> Input {
        if self.group.records.bytes() > GROUP_BYTES_KEPT {
            self.group = CommitGroup::new();
        }
        self.group.clear();
        let mut next_offsets = BTreeMap::new();
        for held in self.held.iter().take(epochs) {
            for (message, partition) in messages_of(&held.output).zip(&held.partitions) {
                let place = self.group.records.place(&TopicPartition::new(message.topic, *partition));
                let headers = message.headers.iter().map(|(name, value)| Header { name, value: Some(value) });
                self.group.records.push(place, message.time_ms, message.key, Some(message.payload), headers);
            }
            let place = self.group.records.place(&TopicPartition::new(EPOCHS, 0));
            let headers = [Header { name: "content-type", value: Some(CLOUD_EVENT) }];
            let key = self.identity.pipeline.as_bytes();
            self.group.records.push(place, held.binding.epoch, Some(key), Some(&held.binding_bytes), headers);
            for range in &held.binding.inputs {
                next_offsets.insert((range.topic.clone(), range.partition), range.next);
            }
        }
        let mirrored = next_offsets.into_iter().map(|((topic, partition), next_offset)| MirroredOffset {
            topic_partition: TopicPartition::new(topic, partition),
            next_offset,
        });
        self.group.mirrored_offsets.extend(mirrored);
        let began = Instant::now();
        match self.committer.commit(&self.group) {
            CommitOutcome::Committed => {
                let (messages, bytes) = (self.group.records.len(), self.group.records.bytes());
                tracing::debug!(epochs, messages, bytes, commit_us = began.elapsed().as_micros() as u64, "committed");
                Input::Committed
            }
            // No patience changes these.
            CommitOutcome::Aborted {
                error: error @ (LogError::NotAuthorized { .. } | LogError::RecordTooLarge { .. }),
            } => Input::Ended(error.to_string()),
            CommitOutcome::Aborted { error } | CommitOutcome::TimedOut { error } => {
                tracing::warn!(%error, epochs, "a commit was undone and is sent again");
                Input::Resendable
            }
            CommitOutcome::Fenced { by } => {
                let by = by.or_else(|| self.successor_name());
                Input::Ended(self.replaced(by.as_deref()))
            }
            // What the client library gives up on may be what a new client can do; what it refuses, it refuses again.
            CommitOutcome::Fatal { error: error @ LogError::Refused { .. } } => {
                tracing::warn!(%error, epochs, "the committer failed for good; another one is opened");
                Input::Lost(error.to_string())
            }
            CommitOutcome::Fatal { error } => Input::Ended(error.to_string()),
            CommitOutcome::InDoubt { error } => {
                tracing::warn!(%error, epochs, "whether a commit succeeded is not known; another committer is opened to find out");
                Input::Lost(format!("whether the last commit succeeded is not known ({error})"))
            }
        }
    }

    /// Opens another committer and finds out what of the group is in the log.
    fn renew(&mut self) -> Input {
        let Renewed { committer, last } = match self.successor.renew() {
            Ok(renewed) => renewed,
            Err(StartError::Log(error)) if error.is_retriable() => {
                tracing::warn!(%error, "there is no other committer yet");
                return Input::NotRenewed;
            }
            Err(error) => return Input::Ended(error.to_string()),
        };
        self.committer = committer;
        let Some(last) = last else { return Input::Renewed { epochs: 0 } };
        // It is one of ours, or what the first of them follows; else somebody has taken over. Two runs that began before either had
        // recorded an epoch have one number, so numbers do not tell.
        let epochs = match self.held.iter().position(|held| held.binding == last) {
            Some(place) => place + 1,
            None if self.held.front().is_some_and(|held| held.binding.previous == Some(last.epoch)) => 0,
            None => return Input::Ended(self.replaced(Some(&name_of(&last)))),
        };
        tracing::info!(epochs, "another committer is open, and so many epochs of the group were in the log");
        Input::Renewed { epochs }
    }

    /// Who has taken over, as topic `epochs` tells it; another instance records its first epoch soon after it has begun.
    fn successor_name(&mut self) -> Option<String> {
        (0..SUCCESSOR_LOOKS).find_map(|look| {
            if look > 0 {
                std::thread::sleep(SUCCESSOR_LOOK);
            }
            let last = self.successor.last()?;
            (last.incarnation > self.identity.incarnation).then(|| name_of(&last))
        })
    }

    fn replaced(&self, by: Option<&str>) -> String {
        let pipeline = &self.identity.pipeline;
        match by {
            Some(by) => format!(
                "another instance of {pipeline:?} has taken over ({by}); this one ends: run one instance of a pipeline, or give this \
                 one another name"
            ),
            None => format!(
                "another instance of {pipeline:?} has taken over, which has recorded no epoch yet, or the log ended a transaction of \
                 this one that had lasted too long, as it does when a process was suspended; this one ends: see that only one runs, \
                 and start it again"
            ),
        }
    }

    /// Bytes that wait for their commit.
    pub fn queue_bytes(&self) -> u64 {
        self.machine.queue_bytes()
    }
}

fn name_of(last: &Binding) -> String {
    format!("run {}, which recorded epoch {}", last.incarnation, format_rfc3339(last.epoch))
}

/// What an epoch says, in its order. Built again where it is needed: held beside the output it would be all of it twice.
pub(super) fn messages_of(output: &EpochOutput) -> impl Iterator<Item = Message<'_>> {
    let letters = output.letters.iter().map(letter_message);
    letters.chain(output.messages.iter().map(|message| model_message(message.view())))
}

/// Count and checksum of an epoch's messages by topic and partition.
#[derive(Default)]
struct Sums(BTreeMap<(&'static str, u32), MessageSum>);

impl Sums {
    fn add(&mut self, message: &Message<'_>, partition: u32) {
        let headers = message.headers.iter().map(|(name, value)| (*name, value.as_ref()));
        let sum = self.0.entry((message.topic, partition)).or_default();
        sum.add(message.key.unwrap_or_default(), headers, message.payload);
    }

    fn into_outputs(self) -> Vec<OutputSum> {
        let output = |((topic, partition), sum): ((&str, u32), MessageSum)| OutputSum {
            topic: topic.to_owned(),
            partition,
            count: sum.count(),
            checksum: sum.checksum(),
        };
        self.0.into_iter().map(output).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::successor::Nobody;
    use super::*;

    /// Takes whatever it is given.
    struct Willing;

    impl LogCommitter for Willing {
        fn open(&mut self) -> Result<(), connectors::log::LogError> {
            Ok(())
        }

        fn commit(&mut self, _group: &CommitGroup) -> CommitOutcome {
            CommitOutcome::Committed
        }

        fn is_open(&self) -> bool {
            true
        }
    }

    struct Counted(Vec<i64>);

    impl Publisher for Counted {
        fn publish(&mut self, published: Published) {
            self.0.push(published.binding.epoch);
        }
    }

    #[test]
    fn what_was_collected_just_before_the_end_is_committed() {
        let settings = CommitSettings { group_bytes_max: 1_000, group_messages_max: 10 };
        let identity =
            RunIdentity { pipeline: "p".into(), incarnation: 1, settings: String::new(), logic: String::new() };
        let mut commits = Commits::new(Box::new(Willing), Box::new(Nobody), settings, identity, BTreeMap::new());
        let mut published = Counted(Vec::new());
        let (inputs, idle) = (Vec::new(), Vec::new());
        let (skipped, recorded) = (Vec::new(), None);
        let close = Close { epoch: 50, previous: None, inputs, idle, records: 0, bytes: 0, skipped, recorded };
        commits.closed(close, Vec::new());
        commits.collected(EpochOutput { epoch: 50, ..EpochOutput::default() });
        // No step lies between: both messages lay in the commit thread's inbox.
        commits.drain();
        let turns: Vec<Turn> = (0..3).map(|_| commits.step(&mut published)).collect();
        assert_eq!(turns, [Turn::Busy, Turn::Busy, Turn::Drained]);
        assert_eq!(published.0, [50]);
    }
}
