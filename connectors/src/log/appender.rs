//! Writing outside transactions: events that come in by HTTP, by `simulate`, by tests.

use super::error::LogError;
use super::outgoing::OutgoingRecords;
use super::record::TopicPartition;

/// A writer of batches, each record for itself. Calls block; one thread drives it.
pub trait LogAppender: Send {
    /// Appends `records` and returns once all are durable. Within a partition they stand in the order they were pushed.
    ///
    /// An `idempotency_key` names the call: a log that remembers it answers a repeat with the places of the first and writes
    /// nothing ([`Appended::repeated`]). The embedded log remembers the last
    /// keys up to a configured number, across restarts. Kafka remembers none
    /// beyond its own retries: there a repeat writes records with the same event ids again, which the pipeline counts as
    /// duplicates.
    ///
    /// # Errors
    /// Some of the records may have been written, in each partition a beginning of what was given: send all again, under the
    /// same ids. The embedded log writes all or nothing.
    fn append(&mut self, records: &OutgoingRecords, idempotency_key: Option<&[u8]>) -> Result<Appended, LogError>;
}

/// Where records came to lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// By partition, in the order of [`OutgoingRecords::places`], without partitions that got no record.
    pub ranges: Vec<AppendedRange>,
    /// True if an earlier call with the same idempotency key had written them.
    pub repeated: bool,
}

/// Where the records of one partition came to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendedRange {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The offset of the first record.
    pub offset_first: u64,
    /// The offset of the last record; records of others may lie between.
    pub offset_last: u64,
}
