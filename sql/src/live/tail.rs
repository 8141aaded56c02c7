//! What was published and is not in the history's files yet: history's tail.
//!
//! ```text
//!   full segments (shared) ─ 64 epochs each ─▶ … ─▶ open segment       pushing copies at most 64 pointers and the list of segments
//! ```

use std::sync::Arc;

use super::EpochChanges;

/// Epochs of a segment.
const SEGMENT_EPOCHS: usize = 64;

/// Epochs in order. Cheap to clone; never changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    full: Vec<Arc<[Arc<EpochChanges>]>>,
    open: Vec<Arc<EpochChanges>>,
}

impl Tail {
    /// The same with one more epoch.
    pub(crate) fn with(&self, changes: Arc<EpochChanges>) -> Self {
        let mut next = self.clone();
        next.open.push(changes);
        if next.open.len() == SEGMENT_EPOCHS {
            next.full.push(std::mem::take(&mut next.open).into());
        }
        next
    }

    /// The epochs after `epoch`.
    pub(crate) fn after(&self, epoch: i64) -> impl Iterator<Item = &Arc<EpochChanges>> {
        self.full
            .iter()
            .flat_map(|segment| segment.iter())
            .chain(&self.open)
            .filter(move |changes| changes.epoch > epoch)
    }

    /// The same without whole segments at or before `epoch`.
    pub(crate) fn without_until(&self, epoch: i64) -> Self {
        let is_needed = |segment: &&Arc<[Arc<EpochChanges>]>| segment.last().is_some_and(|last| last.epoch > epoch);
        let full = self.full.iter().filter(is_needed).cloned().collect();
        let open = if self.open.last().is_some_and(|last| last.epoch > epoch) { self.open.clone() } else { Vec::new() };
        Tail { full, open }
    }
}
