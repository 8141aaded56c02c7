//! Writing all or nothing, by one writer at a time.
//!
//! ```text
//!  open ──► fences the former instance, settles its open transaction
//!  commit(group) ──► Committed                       durable and readable; the group may be forgotten
//!                ├─► Aborted, retriable or timed out nothing of it will ever be readable: send the same group again
//!                ├─► InDoubt                         committed or not: exit, restart, read topic `epochs`
//!                ├─► Fenced                          another instance has taken over and read what became of it: exit
//!                └─► Fatal                           not committed; this committer is of no more use: exit, or open another
//! ```
//! Opening another committer in the same process takes power from whoever has it by now. So after `open`, and before anything is sent,
//! topic `epochs` is read on to its end: if another incarnation has committed there, this process has been replaced and exits.
//! The caller keeps a group until it is told `Committed`.

use super::error::LogError;
use super::outgoing::OutgoingRecords;
use super::record::TopicPartition;

/// The one writer of a pipeline's outputs. Calls block; one thread drives it.
pub trait LogCommitter: Send {
    /// Takes over: ends the power of every earlier committer of the same name, in any process, and commits or aborts what it had
    /// left open. Afterwards the topics hold, up to their stable ends, all that any earlier committer will ever have committed.
    /// May be called again after a retriable error; opening an open committer does nothing.
    ///
    /// # Errors
    /// Retriable if the log was out of reach for [`super::LogLimits::open_timeout`]; otherwise the committer is of no use.
    fn open(&mut self) -> Result<(), LogError>;

    /// Writes a group in one transaction. Within a partition its records stand in the order in which they were pushed, without
    /// records of other committers among them.
    ///
    /// Waits at most about [`super::LogLimits::commit_timeout`]. What could be retried on the same producer was retried.
    fn commit(&mut self, group: &CommitGroup) -> CommitOutcome;

    /// True if the committer is open and no outcome ended it.
    fn is_open(&self) -> bool;
}

/// Who commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitterIdentity {
    /// The pipeline's name: committers of one name exclude each other (in Kafka, the transactional id).
    pub name: String,
    /// This run of it, so that a fenced one can be told by whom where the log can say so.
    pub incarnation: String,
}

/// What is committed together: the outputs of a run of epochs and the records of topic `epochs` that bind inputs to them.
#[derive(Clone, Debug, Default)]
pub struct CommitGroup {
    /// The records; those of topic `epochs` are records like all others, pushed by the caller.
    pub records: OutgoingRecords,
    /// How far input was read, for tools that watch a consumer group's lag. A mirror only: nothing reads it back.
    pub mirrored_offsets: Vec<MirroredOffset>,
}

impl CommitGroup {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the group and keeps its memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.mirrored_offsets.clear();
    }
}

/// How far an input partition was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirroredOffset {
    /// The input partition.
    pub topic_partition: TopicPartition,
    /// The first offset that was not read.
    pub next_offset: u64,
}

/// What became of a group.
#[derive(Debug)]
pub enum CommitOutcome {
    /// Durable, and readable as a whole.
    Committed,
    /// Nothing of it will ever be readable. The committer is ready for the same group again.
    Aborted {
        /// Why.
        error: LogError,
    },
    /// It took longer than the transaction may take. Nothing of it will ever be readable; the committer is ready for the
    /// same group again.
    TimedOut {
        /// What was waited for.
        error: LogError,
    },
    /// Another instance has opened a committer of this name, so this one must exit. Whether the group was committed was settled before
    /// the other's `open` returned: the other reads it in topic `epochs`, and this one has no more say.
    Fenced {
        /// The incarnation of the other, where the log knows it; elsewhere the latest record of topic `epochs` says it.
        by: Option<String>,
    },
    /// The committer is of no more use and the group was not committed: exit, or open another as the module says.
    Fatal {
        /// Why.
        error: LogError,
    },
    /// The commit was asked for and its answer never came. Exit and restart: after [`LogCommitter::open`] of a new committer topic
    /// `epochs` holds the answer.
    InDoubt {
        /// Why there was no answer.
        error: LogError,
    },
}

impl CommitOutcome {
    /// True if the same group should be sent again on the same committer.
    pub fn is_resendable(&self) -> bool {
        matches!(self, Self::Aborted { .. } | Self::TimedOut { .. })
    }
}
