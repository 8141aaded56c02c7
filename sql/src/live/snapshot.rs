//! Snapshots: every table at one epoch, and the ring of those that can still be asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use super::history::HistoryFiles;
use super::table::{Replaced, TableVersion};
use super::tail::Tail;

/// All tables at one epoch. Never changes.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The epoch, in milliseconds since 1970; what came before the first one is `i64::MIN`.
    pub(crate) epoch: i64,
    /// Tables that are held in memory, by their place among the definitions.
    pub(crate) tables: Vec<Option<TableVersion>>,
    /// History's files.
    pub(crate) files: Arc<HistoryFiles>,
    /// History that the files do not have yet.
    pub(crate) tail: Tail,
}

/// How much of the past is kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Epochs at most, beside the present one.
    pub epochs_max: usize,
    /// Memory that they alone hold at most, in bytes.
    pub bytes_max: usize,
}

/// Past snapshots, oldest first.
#[derive(Debug)]
pub(crate) struct Ring {
    retention: Retention,
    /// Each with what the next publication replaced.
    past: VecDeque<(Arc<Snapshot>, Replaced)>,
    bytes: usize,
}

impl Ring {
    pub(crate) fn new(retention: Retention) -> Self {
        Ring { retention, past: VecDeque::new(), bytes: 0 }
    }

    /// Keeps a snapshot that was just replaced, and lets the oldest go.
    pub(crate) fn push(&mut self, snapshot: Arc<Snapshot>, replaced: Replaced) {
        self.bytes += replaced.bytes;
        self.past.push_back((snapshot, replaced));
        while self.past.len() > self.retention.epochs_max || self.bytes > self.retention.bytes_max {
            let Some((_, replaced)) = self.past.pop_front() else { break };
            self.bytes -= replaced.bytes;
        }
    }

    /// The last snapshot at or before `epoch`, unless it was let go.
    pub(crate) fn at(&self, epoch: i64) -> Option<&Arc<Snapshot>> {
        let after = self.past.partition_point(|(snapshot, _)| snapshot.epoch <= epoch);
        after.checked_sub(1).map(|at| &self.past[at].0)
    }

    /// Snapshots kept, and the memory that they alone hold.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.past.len(), self.bytes)
    }
}
