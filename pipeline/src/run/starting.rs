//! Doing what recovery asks for: opens the committer, reads topic `epochs`, describes topics.

use std::collections::BTreeMap;
use std::time::Duration;

use connectors::HistoryError;
use connectors::log::{
    CommitterIdentity, Log, LogCommitter, LogError, LogReader, PartitionEvent, PartitionStart, PollLimits, RecordBatch,
    StartOffset, TopicPartition, wait_until_settled,
};
use connectors::objects::Objects;
use operators::domain::event::Topic;

use super::archive_reader::missing_in_archive;
use super::binding::{Binding, BindingError, InputPartition};
use super::checkpointer::CheckpointError;
use super::recovery::{Action, CheckpointPlace, Input, PartitionFound, Plan, Recovery, TopicFound};
use crate::messages::{EPOCHS, OUTPUT_TOPICS};

/// How long a transaction of the former instance may take to be settled.
const SETTLE_MAX: Duration = Duration::from_mins(1);
/// How long one poll waits while topic `epochs` is read.
const POLL: Duration = Duration::from_millis(500);
/// How many polls in a row may bring nothing before the log is given up, while topic `epochs` is read.
const IDLE_POLLS_MAX: usize = 60;

/// Why a pipeline does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log refuses, or is out of reach for longer than was waited.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record of topic `epochs` cannot be trusted.
    #[error(transparent)]
    Binding(#[from] BindingError),
    /// Topic `epochs` could not be read to its end.
    #[error(
        "topic `epochs` could not be read to its end within {seconds} s: check the log, and transactions left open in it"
    )]
    EpochsStalled {
        /// How long nothing came.
        seconds: u64,
    },
    /// The checkpoints cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The input archive cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Recovery says no.
    #[error("{0}")]
    Refused(String),
}

/// A pipeline that may go on.
pub struct Started {
    /// How.
    pub plan: Plan,
    /// The committer, open.
    pub committer: Box<dyn LogCommitter>,
    /// Partitions of each output topic.
    pub output_partitions: BTreeMap<&'static str, u32>,
}

/// Does all that comes before the first new epoch. `incarnation_hint` tells others who we are while our number is not known.
///
/// # Errors
/// If anything is in the way; then nothing was written, though a former instance may have been fenced.
pub fn start(
    log: &dyn Log,
    name: &str,
    incarnation_hint: &str,
    find_checkpoint: &mut dyn FnMut() -> Result<Option<CheckpointPlace>, StartError>,
    history: &Objects,
) -> Result<Started, StartError> {
    let identity = CommitterIdentity { name: name.to_owned(), incarnation: incarnation_hint.to_owned() };
    // A log that is out of reach, or refuses us, is told soon: the committer would wait much longer. And nobody is fenced for nothing.
    log.admin()?.describe_topic(EPOCHS)?;
    let mut committer = log.committer(identity)?;
    let mut recovery = Recovery::default();
    let mut action = recovery.handle(Input::Begin);
    let plan = loop {
        let input = match action {
            Action::OpenCommitter => {
                committer.open()?;
                Input::CommitterOpened
            }
            Action::FindCheckpoint => Input::CheckpointFound(find_checkpoint()?),
            Action::ReadBindings { from } => {
                // What the former instance was promised may not be readable yet.
                wait_until_settled(log.admin()?.as_mut(), EPOCHS, 0, SETTLE_MAX)?;
                Input::BindingsRead(read_bindings(log, from)?)
            }
            Action::DescribeTopics => Input::TopicsDescribed(describe_inputs(log)?),
            Action::FindArchived(ranges) => Input::ArchiveSearched(missing_in_archive(history, &ranges)?),
            Action::Go(plan) => break *plan,
            Action::Stop(reason) => return Err(StartError::Refused(reason)),
        };
        action = recovery.handle(input);
    };
    Ok(Started { plan, committer, output_partitions: output_partitions(log)? })
}

/// Partitions of each output topic.
///
/// # Errors
/// If one is missing or the log cannot be asked.
pub fn output_partitions(log: &dyn Log) -> Result<BTreeMap<&'static str, u32>, LogError> {
    let mut admin = log.admin()?;
    let mut partitions = BTreeMap::new();
    for topic in OUTPUT_TOPICS {
        let found = admin.existing_topic(topic)?;
        partitions.insert(topic, found.partitions.len() as u32);
    }
    Ok(partitions)
}

/// The bindings of topic `epochs` from an offset to its end.
///
/// # Errors
/// If the topic cannot be read to its end, or holds something else.
pub fn read_bindings(log: &dyn Log, from: u64) -> Result<Vec<Binding>, StartError> {
    let mut bindings = Vec::new();
    read_to_end(log, EPOCHS, 0, from, |offset, record| {
        bindings.push(Binding::from_bytes(offset, record.body.payload.unwrap_or_default())?);
        Ok(())
    })?;
    Ok(bindings)
}

/// Reads one partition from an offset to its present end.
///
/// # Errors
/// If it cannot be read, or `each` refuses a record.
pub fn read_to_end(
    log: &dyn Log,
    topic: &str,
    partition: u32,
    from: u64,
    mut each: impl FnMut(u64, connectors::log::Record<'_>) -> Result<(), StartError>,
) -> Result<(), StartError> {
    let mut reader: Box<dyn LogReader> = log.reader("recovery")?;
    let start = PartitionStart {
        topic_partition: TopicPartition::new(topic, partition),
        from: if from == 0 { StartOffset::Earliest } else { StartOffset::At(from) },
        topic_id: None,
    };
    reader.assign(&[start])?;
    let mut batch = RecordBatch::new();
    let mut idle_polls = 0;
    loop {
        match reader.poll(POLL, PollLimits::default(), &mut batch) {
            Ok(()) => {}
            Err(error) if error.is_retriable() && idle_polls < IDLE_POLLS_MAX => batch.begin(&[]),
            Err(error) => return Err(error.into()),
        }
        for (_, record) in batch.records() {
            each(record.offset, record)?;
        }
        if batch.events().iter().any(|event| matches!(event, PartitionEvent::ReachedEnd { .. })) {
            return Ok(());
        }
        idle_polls = if batch.is_empty() { idle_polls + 1 } else { 0 };
        if idle_polls > IDLE_POLLS_MAX {
            return Err(StartError::EpochsStalled { seconds: (POLL * IDLE_POLLS_MAX as u32).as_secs() });
        }
    }
}

/// What the log has of every input topic.
///
/// # Errors
/// If it cannot be asked.
pub fn describe_inputs(log: &dyn Log) -> Result<Vec<TopicFound>, LogError> {
    let mut admin = log.admin()?;
    let mut topics = Vec::new();
    for topic in Topic::ALL {
        let found = admin.describe_topic(topic.name())?;
        let partitions = found.iter().flat_map(|found| found.partitions.iter().enumerate());
        let partitions = partitions.map(|(partition, bounds)| PartitionFound {
            partition: InputPartition { topic, partition: partition as u32 },
            earliest: bounds.earliest,
            end: bounds.end,
        });
        topics.push(TopicFound {
            name: topic.name().to_owned(),
            partitions: partitions.collect(),
            is_compacted: found.as_ref().is_some_and(|found| found.cleanup_policy.is_compacted()),
        });
    }
    Ok(topics)
}
