//! What a start does before anything new is bound: a state machine without I/O.
//!
//! ```text
//!   Begin ─▶ OpenCommitter          fences the former instance, settles its open transaction
//!         ─▶ FindCheckpoint         the newest whole one, or none
//!         ─▶ ReadBindings { from }  topic `epochs` from the checkpoint's place to its end, checked as one chain
//!         ─▶ DescribeTopics         what the log still has of the input
//!         ─▶ FindArchived { ranges } only if recorded input has expired: what the input archive has of it
//!         ─▶ Go { starts, recorded epochs to feed again }        or Stop, with what is wrong and how to mend it
//! ```
//! The recorded epochs behind the checkpoint are fed again with their outputs suppressed, and each must give the recorded checksums
//! ([`compare`]).

use super::binding::{Binding, ChainPosition, InputPartition, InputRange, OutputSum};

/// What a checkpoint says of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CheckpointPlace {
    /// Where the chain of epochs stood: its last epoch is the checkpoint's.
    pub chain: ChainPosition,
    /// First offset of topic `epochs` that may lie behind the checkpoint's epoch.
    pub epochs_offset: u64,
}

/// An input partition as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionFound {
    /// The partition.
    pub partition: InputPartition,
    /// Its first offset.
    pub earliest: u64,
    /// The offset behind its last record.
    pub end: u64,
}

/// An input topic as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFound {
    /// Its name.
    pub name: String,
    /// Its partitions; none if there is no such topic.
    pub partitions: Vec<PartitionFound>,
    /// Whether records may vanish from between others.
    pub is_compacted: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The process starts.
    Begin,
    /// The committer is open.
    CommitterOpened,
    /// The newest whole checkpoint was looked for.
    CheckpointFound(Option<CheckpointPlace>),
    /// Topic `epochs` was read to its end.
    BindingsRead(Vec<Binding>),
    /// The input topics were described.
    TopicsDescribed(Vec<TopicFound>),
    /// The archive was searched: the first part of the ranges that it does not hold, if any.
    ArchiveSearched(Option<InputRange>),
}

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The partition.
    pub partition: InputPartition,
    /// The first offset.
    pub offset: u64,
    /// Whether no epoch holds anything of it.
    pub is_new: bool,
}

impl Start {
    /// Whether records had expired before any was read.
    pub fn skips(&self) -> bool {
        self.is_new && self.offset > 0
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open the committer.
    OpenCommitter,
    /// Look for the newest whole checkpoint.
    FindCheckpoint,
    /// Read topic `epochs` to its end.
    ReadBindings {
        /// From this offset.
        from: u64,
    },
    /// Describe the input topics.
    DescribeTopics,
    /// Look whether the input archive holds these ranges, which are recorded and have expired in the log.
    FindArchived(Vec<InputRange>),
    /// Restore the checkpoint, feed the recorded epochs, then go on live.
    Go(Box<Plan>),
    /// Exit, and say why.
    Stop(String),
}

/// How to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Number of this run.
    pub incarnation: u64,
    /// Where the chain stood at the checkpoint; nothing without one.
    pub checkpoint: ChainPosition,
    /// The recorded epochs behind it.
    pub recorded: Vec<Binding>,
    /// The chain's end: the next epoch goes behind it.
    pub chain: ChainPosition,
    /// Where to read from.
    pub starts: Vec<Start>,
    /// What is read from the input archive, because the log has it no more; each from its partition's start on.
    pub archived: Vec<InputRange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Opening,
    Finding,
    Reading,
    Describing,
    Searching,
    Done,
}

/// The recovery of one start.
#[derive(Debug)]
pub struct Recovery {
    state: State,
    checkpoint: ChainPosition,
    recorded: Vec<Binding>,
    chain: ChainPosition,
    starts: Vec<Start>,
    expired: Vec<InputRange>,
}

impl Default for Recovery {
    fn default() -> Self {
        Recovery {
            state: State::New,
            checkpoint: ChainPosition::default(),
            recorded: Vec::new(),
            chain: ChainPosition::default(),
            starts: Vec::new(),
            expired: Vec::new(),
        }
    }
}

impl Recovery {
    /// Takes what happened and says what to do next. An input out of turn stops the start.
    pub fn handle(&mut self, input: Input) -> Action {
        let (state, action) = match (self.state, input) {
            (State::New, Input::Begin) => (State::Opening, Action::OpenCommitter),
            (State::Opening, Input::CommitterOpened) => (State::Finding, Action::FindCheckpoint),
            (State::Finding, Input::CheckpointFound(place)) => {
                let place = place.unwrap_or_default();
                self.checkpoint.clone_from(&place.chain);
                self.chain = place.chain;
                (State::Reading, Action::ReadBindings { from: place.epochs_offset })
            }
            (State::Reading, Input::BindingsRead(bindings)) => match self.follow(bindings) {
                Ok(()) => (State::Describing, Action::DescribeTopics),
                Err(reason) => (State::Done, Action::Stop(reason)),
            },
            (State::Describing, Input::TopicsDescribed(topics)) => match self.find_starts(&topics) {
                Ok(()) if self.expired.is_empty() => (State::Done, self.go()),
                Ok(()) => (State::Searching, Action::FindArchived(self.expired.clone())),
                Err(reason) => (State::Done, Action::Stop(reason)),
            },
            (State::Searching, Input::ArchiveSearched(None)) => (State::Done, self.go()),
            (State::Searching, Input::ArchiveSearched(Some(missing))) => {
                (State::Done, Action::Stop(expired(&missing, "and the input archive does not hold them")))
            }
            (state, input) => {
                (State::Done, Action::Stop(format!("the start went wrong: {input:?} while {state:?}; report this")))
            }
        };
        self.state = state;
        action
    }

    /// Follows the records behind the checkpoint. The checkpoint's own epoch and those before it may lie among them.
    fn follow(&mut self, bindings: Vec<Binding>) -> Result<(), String> {
        let checkpoint = self.checkpoint.epoch;
        for binding in bindings {
            if checkpoint.is_some_and(|checkpoint| binding.epoch <= checkpoint) {
                continue;
            }
            self.chain.follow(&binding).map_err(|error| match checkpoint {
                Some(epoch) if self.recorded.is_empty() => format!(
                    "the checkpoint of epoch {epoch} and topic `epochs` do not belong together ({error}): \
                     restore the one that is missing records, or remove the checkpoints to start from the topic alone"
                ),
                _ => error.to_string(),
            })?;
            self.recorded.push(binding);
        }
        Ok(())
    }

    fn go(&mut self) -> Action {
        Action::Go(Box::new(Plan {
            incarnation: self.chain.incarnation + 1,
            checkpoint: std::mem::take(&mut self.checkpoint),
            recorded: std::mem::take(&mut self.recorded),
            chain: std::mem::take(&mut self.chain),
            starts: std::mem::take(&mut self.starts),
            archived: std::mem::take(&mut self.expired),
        }))
    }

    /// Where each partition is read from, and what of it has expired; refuses what cannot be read without losing records in silence.
    fn find_starts(&mut self, topics: &[TopicFound]) -> Result<(), String> {
        let mut starts = Vec::new();
        let mut archived = Vec::new();
        for topic in topics {
            let name = &topic.name;
            if topic.is_compacted {
                return Err(format!(
                    "the input topic {name} is compacted, so records vanish from it: set cleanup.policy=delete for it"
                ));
            }
            if topic.partitions.is_empty() {
                return Err(format!(
                    "the input topic {name} does not exist: create it with `dealerflow topics create`"
                ));
            }
            for found in &topic.partitions {
                let PartitionFound { partition, earliest, end } = *found;
                let Some(wanted) = self.checkpoint.next_offset(partition) else {
                    // Never read as of the checkpoint: an epoch that was recorded since says where it began.
                    let recorded = self.recorded.iter().flat_map(|binding| &binding.inputs);
                    let mut ranges = recorded.filter(|range| range.input_partition() == Some(partition));
                    let first = ranges.next().map(|range| range.first);
                    let offset = first.unwrap_or(earliest);
                    archived.extend(self.check(partition, offset, earliest, end)?);
                    starts.push(Start { partition, offset, is_new: first.is_none() });
                    continue;
                };
                archived.extend(self.check(partition, wanted, earliest, end)?);
                starts.push(Start { partition, offset: wanted, is_new: false });
            }
        }
        let known = self.chain.positions.keys();
        let mut gone = known.filter(|name| !starts.iter().any(|start| start.partition.to_string() == **name));
        if let Some(partition) = gone.next() {
            return Err(format!(
                "the input partition {partition} was read before and is not there any more: restore its topic, or start a \
                 pipeline of another name"
            ));
        }
        self.starts = starts;
        self.expired = archived;
        Ok(())
    }

    /// What was recorded and has expired, if anything.
    fn check(
        &self,
        partition: InputPartition,
        wanted: u64,
        earliest: u64,
        end: u64,
    ) -> Result<Option<InputRange>, String> {
        let bound = self.chain.next_offset(partition).unwrap_or(wanted);
        if end < bound {
            return Err(format!(
                "{partition} ends at offset {end}, but was read up to {bound}: the topic was recreated or lost records; \
                 restore it, or start a pipeline of another name"
            ));
        }
        let range = |first, next| InputRange {
            topic: partition.topic.name().to_owned(),
            partition: partition.partition,
            first,
            next,
        };
        // Only what an epoch holds can be in the archive.
        if earliest > bound {
            return Err(expired(&range(bound, earliest), "before any epoch held them"));
        }
        Ok((earliest > wanted).then(|| range(wanted, earliest)))
    }
}

fn expired(range: &InputRange, why: &str) -> String {
    format!(
        "the records {} to {} of {}/{} have expired in the log, {why}; nothing is skipped in silence: restore them, or start a \
         pipeline of another name",
        range.first,
        range.next - 1,
        range.topic,
        range.partition
    )
}

/// Compares what a recorded epoch gave when it was fed again with what was recorded.
///
/// # Errors
/// With the first difference: then this version or these settings decide otherwise, and going on would contradict what was published.
pub fn compare(recorded: &Binding, found: &[OutputSum], settings: &str, logic: &str) -> Result<(), String> {
    if recorded.outputs == found {
        return Ok(());
    }
    let difference = recorded
        .outputs
        .iter()
        .find(|sum| !found.contains(sum))
        .map(|sum| format!("{}/{} had {} messages with checksum {}", sum.topic, sum.partition, sum.count, sum.checksum))
        .or_else(|| {
            let more = found.iter().find(|sum| !recorded.outputs.contains(sum))?;
            Some(format!("{}/{} has {} messages and had none", more.topic, more.partition, more.count))
        })
        .unwrap_or_else(|| "the order of partitions differs".to_owned());
    Err(format!(
        "epoch {} gives other outputs than recorded ({difference}); it was written by version {} with settings {}, and this is \
         version {logic} with settings {settings}: start that version, or accept the difference by name",
        recorded.epoch, recorded.logic, recorded.settings
    ))
}

#[cfg(test)]
mod tests {
    use operators::domain::event::Topic;

    use super::super::binding::{BINDING_FORMAT, InputRange};
    use super::*;

    const LEADS: InputPartition = InputPartition { topic: Topic::Leads, partition: 0 };

    fn binding(epoch: i64, previous: Option<i64>, first: u64, next: u64) -> Binding {
        Binding {
            format: BINDING_FORMAT,
            incarnation: 3,
            epoch,
            previous,
            inputs: vec![InputRange { topic: "leads".into(), partition: 0, first, next }],
            idle: Vec::new(),
            records: next - first,
            skipped: Vec::new(),
            outputs: Vec::new(),
            output_partitions: [].into(),
            settings: "s".into(),
            logic: "l".into(),
        }
    }

    fn topic(earliest: u64, end: u64) -> TopicFound {
        let partitions = vec![PartitionFound { partition: LEADS, earliest, end }];
        TopicFound { name: "leads".into(), partitions, is_compacted: false }
    }

    fn recover(place: Option<CheckpointPlace>, bindings: Vec<Binding>, topics: Vec<TopicFound>) -> Action {
        let mut recovery = Recovery::default();
        assert_eq!(recovery.handle(Input::Begin), Action::OpenCommitter);
        assert_eq!(recovery.handle(Input::CommitterOpened), Action::FindCheckpoint);
        let from = place.as_ref().map_or(0, |place| place.epochs_offset);
        assert_eq!(recovery.handle(Input::CheckpointFound(place)), Action::ReadBindings { from });
        match recovery.handle(Input::BindingsRead(bindings)) {
            Action::DescribeTopics => recovery.handle(Input::TopicsDescribed(topics)),
            action => action,
        }
    }

    fn checkpoint(epoch: i64, next: u64) -> CheckpointPlace {
        let positions = [("leads/0".to_owned(), next)].into();
        CheckpointPlace { chain: ChainPosition { epoch: Some(epoch), incarnation: 3, positions }, epochs_offset: 5 }
    }

    fn sentence(action: Action) -> String {
        let Action::Stop(reason) = action else { panic!("{action:?}") };
        reason
    }

    #[test]
    fn a_first_start_reads_from_the_beginning_of_the_log() {
        let Action::Go(plan) = recover(None, Vec::new(), vec![topic(4, 9)]) else { panic!() };
        assert_eq!((plan.incarnation, plan.chain.epoch), (1, None));
        assert_eq!(plan.starts, [Start { partition: LEADS, offset: 4, is_new: true }]);
    }

    #[test]
    fn a_restart_feeds_what_was_recorded_behind_the_checkpoint() {
        let bindings = vec![binding(50, None, 0, 4), binding(100, Some(50), 4, 6), binding(150, Some(100), 6, 9)];
        let Action::Go(plan) = recover(Some(checkpoint(100, 6)), bindings.clone(), vec![topic(2, 30)]) else {
            panic!()
        };
        assert_eq!(plan.recorded, bindings[2..]);
        assert_eq!(plan.starts, [Start { partition: LEADS, offset: 6, is_new: false }]);
        assert_eq!((plan.incarnation, plan.chain.epoch), (4, Some(150)));
        let Action::Go(plan) = recover(None, bindings, vec![topic(0, 9)]) else { panic!() };
        assert_eq!(plan.starts, [Start { partition: LEADS, offset: 0, is_new: false }]);
        assert_eq!(plan.recorded.len(), 3);
    }

    #[test]
    fn what_would_lose_records_in_silence_stops_and_is_named() {
        let bindings = || vec![binding(150, Some(100), 6, 9)];
        let unread = sentence(recover(Some(checkpoint(100, 6)), bindings(), vec![topic(11, 30)]));
        assert!(unread.contains("records 9 to 10 of leads/0 have expired"), "{unread}");
        let recreated = sentence(recover(Some(checkpoint(100, 6)), bindings(), vec![topic(0, 8)]));
        assert!(recreated.contains("ends at offset 8, but was read up to 9"), "{recreated}");
        let missing = TopicFound { partitions: Vec::new(), ..topic(0, 0) };
        assert!(sentence(recover(Some(checkpoint(100, 6)), bindings(), vec![missing])).contains("does not exist"));
        assert!(sentence(recover(Some(checkpoint(100, 6)), bindings(), Vec::new())).contains("is not there any more"));
        let compacted = TopicFound { is_compacted: true, ..topic(0, 9) };
        assert!(sentence(recover(None, Vec::new(), vec![compacted])).contains("compacted"));
        let torn = sentence(recover(Some(checkpoint(100, 6)), vec![binding(200, Some(150), 6, 9)], vec![topic(0, 9)]));
        assert!(torn.contains("do not belong together"), "{torn}");
    }

    #[test]
    fn what_expired_after_it_was_recorded_is_read_from_the_archive_or_named() {
        let mut recovery = Recovery::default();
        let recover = |recovery: &mut Recovery| {
            recovery.handle(Input::Begin);
            recovery.handle(Input::CommitterOpened);
            recovery.handle(Input::CheckpointFound(Some(checkpoint(100, 6))));
            recovery.handle(Input::BindingsRead(vec![binding(150, Some(100), 6, 9)]));
            recovery.handle(Input::TopicsDescribed(vec![topic(8, 30)]))
        };
        let range = InputRange { topic: "leads".into(), partition: 0, first: 6, next: 8 };
        assert_eq!(recover(&mut recovery), Action::FindArchived(vec![range.clone()]));
        let Action::Go(plan) = recovery.handle(Input::ArchiveSearched(None)) else { panic!() };
        assert_eq!((plan.archived, plan.starts[0].offset), (vec![range.clone()], 6));
        let mut recovery = Recovery::default();
        recover(&mut recovery);
        let missing = InputRange { first: 7, ..range };
        let stopped = sentence(recovery.handle(Input::ArchiveSearched(Some(missing))));
        assert!(stopped.contains("records 7 to 7 of leads/0 have expired"), "{stopped}");
    }

    #[test]
    fn other_outputs_than_recorded_are_told_apart() {
        let sum = |count| OutputSum { topic: "dead-letters".into(), partition: 0, count, checksum: "0".into() };
        let recorded = Binding { outputs: vec![sum(2)], ..binding(50, None, 0, 4) };
        assert_eq!(compare(&recorded, &[sum(2)], "s", "l"), Ok(()));
        assert!(compare(&recorded, &[sum(3)], "s", "l").unwrap_err().contains("had 2 messages"));
        assert!(compare(&binding(50, None, 0, 4), &[sum(3)], "s", "l").unwrap_err().contains("had none"));
    }
}
