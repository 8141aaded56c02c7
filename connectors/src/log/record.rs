//! What a partition holds: records at offsets.

use std::fmt;
use std::sync::Arc;

use super::body::Body;

/// A partition of a topic. Topics go by the names that the pipeline uses; a log adds its prefix by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic, without prefix.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.topic, self.partition)
    }
}

/// One record, borrowed from the batch that holds it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where it lies.
    pub topic_partition: &'a TopicPartition,
    /// Its offset in the partition.
    pub offset: u64,
    /// When it was produced, as its producer (or, by the topic's setting, the log) wrote it: milliseconds since 1970 UTC,
    /// −1 where the log keeps none.
    pub timestamp_ms: i64,
    /// Key, payload and headers.
    pub body: Body<'a>,
}
