//! Topics: making them, and what is known of them.

use std::fmt;
use std::time::Duration;

use super::error::LogError;

/// Topics and their bounds. Every call asks the log and waits at most [`super::LogLimits::admin_timeout`].
pub trait LogAdmin: Send {
    /// Makes the topics that are not there; one that is there stays as it is.
    ///
    /// # Errors
    /// If one cannot be made; others may have been.
    fn create_topics(&mut self, specs: &[TopicSpec]) -> Result<Vec<TopicCreation>, LogError>;

    /// Raises the number of partitions of a topic. New ones begin at offset 0; keys may map to other partitions from now on.
    ///
    /// # Errors
    /// If the topic is missing or has as many partitions already.
    fn add_partitions(&mut self, topic: &str, partitions_total: u32) -> Result<(), LogError>;

    /// Removes a topic with its records.
    ///
    /// # Errors
    /// If it is missing or may not be removed.
    fn delete_topic(&mut self, topic: &str) -> Result<(), LogError>;

    /// Removes the records of a partition before `offset`, or a part of them; what lies at and after it stays.
    ///
    /// # Errors
    /// If the partition is missing or ends before `offset`.
    fn delete_records(&mut self, topic: &str, partition: u32, offset: u64) -> Result<(), LogError>;

    /// The names of all topics of this pipeline's prefix, in order, without the log's own.
    ///
    /// # Errors
    /// If the log is out of reach or refuses.
    fn list_topics(&mut self) -> Result<Vec<String>, LogError>;

    /// A topic as it is now; `None` if it is missing.
    ///
    /// # Errors
    /// If the log is out of reach or refuses.
    fn describe_topic(&mut self, topic: &str) -> Result<Option<TopicDescription>, LogError>;

    /// What the log itself calls a topic, for people.
    fn own_name(&self, topic: &str) -> String {
        topic.to_owned()
    }

    /// A topic that has to be there.
    ///
    /// # Errors
    /// As [`LogAdmin::describe_topic`], and [`LogError::TopicMissing`].
    fn existing_topic(&mut self, topic: &str) -> Result<TopicDescription, LogError> {
        self.describe_topic(topic)?.ok_or_else(|| LogError::TopicMissing { topic: self.own_name(topic) })
    }
}

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name, without prefix.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// How long records are kept; `None` for ever.
    pub retention: Option<Duration>,
    /// How many bytes a partition keeps; `None` for no limit.
    pub retention_bytes: Option<u64>,
    /// Further settings of the log at hand, by its own names (in Kafka: `min.insync.replicas`, …). The embedded log has none.
    pub settings: Vec<(String, String)>,
}

impl TopicSpec {
    /// A topic that keeps everything, with the log's own settings.
    pub fn new(name: &str, partitions: u32) -> Self {
        Self { name: name.to_owned(), partitions, retention: None, retention_bytes: None, settings: Vec::new() }
    }
}

/// What [`LogAdmin::create_topics`] did about one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCreation {
    /// It was made.
    Created,
    /// It was there, with this many partitions.
    AlreadyThere {
        /// The partitions it has.
        partitions: u32,
    },
}

/// The identity of a topic: another topic of the same name has another. 128 bits that only the log understands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u128);

impl fmt::Display for TopicId {
    /// 32 hexadecimal digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TopicId({self})")
    }
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name, without prefix.
    pub name: String,
    /// Its identity, where the log keeps one.
    pub id: Option<TopicId>,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionBounds>,
    /// What happens to old records. An input topic must not be compacted: offsets would vanish from the middle.
    pub cleanup_policy: CleanupPolicy,
    /// How long records are kept; `None` for ever.
    pub retention: Option<Duration>,
    /// The largest record (in Kafka: batch) that it takes, in bytes, where known.
    pub record_bytes_max: Option<u64>,
}

/// What becomes of old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// The oldest are deleted, by age or size, or none ever.
    Delete,
    /// Of each key the latest is kept.
    Compact,
    /// Both.
    CompactAndDelete,
}

impl CleanupPolicy {
    /// True if records may vanish from between others.
    pub fn is_compacted(self) -> bool {
        self != Self::Delete
    }
}

/// The bounds of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionBounds {
    /// The earliest offset that may still hold a record.
    pub earliest: u64,
    /// The offset behind the last settled record.
    pub stable_end: u64,
    /// The offset behind the last record.
    pub end: u64,
}

impl PartitionBounds {
    /// True if some producer has a transaction open here; how long, the caller finds by asking again.
    pub fn has_open_transaction(&self) -> bool {
        self.stable_end < self.end
    }
}

/// How often a partition is looked at while its end is not settled.
const SETTLE_LOOK: Duration = Duration::from_millis(50);

/// Waits until no transaction is open in a partition, so that whoever reads it to its end reads all that was ever committed. For
/// partitions that one committer alone writes, after [`super::LogCommitter::open`]: a log may have promised a commit whose end it has
/// not yet written to every partition, as Kafka does when its broker dies just then. `None` if there is no such partition.
///
/// # Errors
/// If the log is out of reach, or a transaction stays open for longer than `patience`.
pub fn wait_until_settled(
    admin: &mut dyn LogAdmin,
    topic: &str,
    partition: u32,
    patience: Duration,
) -> Result<Option<PartitionBounds>, LogError> {
    let looks_max = patience.as_millis() / SETTLE_LOOK.as_millis();
    for _ in 0..=looks_max {
        let found = admin.describe_topic(topic)?;
        let Some(bounds) = found.and_then(|found| found.partitions.get(partition as usize).copied()) else {
            return Ok(None);
        };
        if !bounds.has_open_transaction() {
            return Ok(Some(bounds));
        }
        std::thread::sleep(SETTLE_LOOK);
    }
    Err(LogError::TimedOut { what: format!("settling the open transaction in {topic}/{partition}"), timeout: patience })
}
