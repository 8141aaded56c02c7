//! The log: ordered partitions that are read at known offsets and written all or nothing.
//!
//! ```text
//!                   ┌───────────────── Log ─────────────────┐
//!  LogAppender ───► │ input topics    partition 0: r r r r  │ ───► LogReader    assigned partitions, exact offsets
//!  (events in)      │                 partition 1: r r      │      (RecordBatch: one buffer, many records)
//!                   │ output topics   partition 0: r r r    │
//!  LogCommitter ──► │ `epochs`        partition 0: b b b    │ ◄──► LogAdmin     topics, bounds, settings
//!  (CommitGroup)    └───────────────────────────────────────┘
//! ```
//! Three logs keep this contract: [`crate::kafka`], [`crate::embedded`] and the simulated one of the tests. Everything here is
//! plain synchronous code, driven by the threads of whoever calls it, and knows no clock: a timeout is how long a call may wait,
//! in the log's own time.
//!
//! # What every log guarantees
//! - **Order.** A partition is a sequence of records whose offsets grow. They need not be consecutive (markers of transactions
//!   take offsets too), and an offset once given is never given again while the topic lives.
//! - **Nothing unsettled is read.** A reader sees a record only when the transaction that wrote it has committed, never one of an
//!   aborted transaction, and nothing behind a transaction that is still open ([`PartitionProgress::is_stalled`]).
//! - **Exact positions.** Reading from offset `n` gives every readable record at or after `n`, once, in order. Positions come from
//!   the caller alone: no log moves a position by itself, and records that are gone are an error, never skipped.
//! - **All or nothing.** The records of one [`CommitGroup`] become readable together or never, on every partition, also when the
//!   process or the log dies at any moment. Committed means durable.
//! - **One committer.** [`LogCommitter::open`] ends the power of every earlier committer of the same name and settles what it left
//!   open, before it returns. From then on the earlier one can write nothing; it learns so at its next commit.
//! - **Bounds.** Buffers, batches, groups and waits are bounded by [`LogLimits`].
//!
//! # What no log guarantees
//! Readers of two partitions may see one commit at different moments: which records belong together is said by the records
//! (the topic `epochs`). Nothing orders partitions among each other.

mod admin;
mod appender;
mod body;
mod committer;
mod error;
mod limits;
mod outgoing;
mod partitioner;
mod reader;
mod record;

pub use admin::{
    CleanupPolicy, LogAdmin, PartitionBounds, TopicCreation, TopicDescription, TopicId, TopicSpec, wait_until_settled,
};
pub use appender::{Appended, AppendedRange, LogAppender};
pub use body::{Body, Header, Headers, HeadersIter};
pub use committer::{CommitGroup, CommitOutcome, CommitterIdentity, LogCommitter, MirroredOffset};
pub use error::{Cause, LogError, RecreationSign};
pub use limits::{LogLimits, PollLimits};
pub use outgoing::{OutgoingPlace, OutgoingRecord, OutgoingRecords};
pub use partitioner::{murmur2, partition_of_key};
pub use reader::{
    LogReader, PartitionEvent, PartitionProgress, PartitionSlot, PartitionStart, RecordBatch, StartOffset,
};
pub use record::{Record, TopicPartition};

/// A log that can be read, written and administered; shared by the threads of a pipeline.
pub trait Log: Send + Sync {
    /// A reader without partitions. `name` appears in the log's own metrics and messages.
    ///
    /// # Errors
    /// If the configuration is refused. A log that cannot be reached is met by the first poll.
    fn reader(&self, name: &str) -> Result<Box<dyn LogReader>, LogError>;

    /// A committer that is not open yet.
    ///
    /// # Errors
    /// As [`Log::reader`].
    fn committer(&self, identity: CommitterIdentity) -> Result<Box<dyn LogCommitter>, LogError>;

    /// A writer of single records or batches outside any transaction.
    ///
    /// # Errors
    /// As [`Log::reader`].
    fn appender(&self, name: &str) -> Result<Box<dyn LogAppender>, LogError>;

    /// Topics and their bounds.
    ///
    /// # Errors
    /// As [`Log::reader`].
    fn admin(&self) -> Result<Box<dyn LogAdmin>, LogError>;
}
