//! Which chunk of the input a worker reads next: a state machine without I/O, shared by the workers.
//!
//! ```text
//!   claim(frontier) ─┬─▶ Read(chunk)    the next one nobody has
//!                    ├─▶ Wait           the window is full: outputs lag behind
//!                    └─▶ Done           nothing is left
//! ```
//! Workers claim chunks in order, so whoever is free reads on. A worker that claimed chunk `n` may still send at its epoch; one that
//! holds none can only claim a later one: that is its capability.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use connectors::files::Plan;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Read this chunk.
    Read(usize),
    /// Come back when the frontier has moved.
    Wait,
    /// All chunks are taken.
    Done,
}

/// The chunks of a plan, handed out in order within a window.
#[derive(Clone, Debug)]
pub struct Source {
    plan: Arc<Plan>,
    next: Arc<AtomicUsize>,
    window_chunks: usize,
}

impl Source {
    /// Hands out the chunks of `plan`, at most about `window_bytes` ahead of what is finished.
    pub fn new(plan: Arc<Plan>, window_bytes: u64) -> Self {
        let mean = plan.bytes / (plan.chunks.len() as u64).max(1);
        let window_chunks = (window_bytes / mean.max(1)).clamp(4, 4_096) as usize;
        Source { plan, next: Arc::new(AtomicUsize::new(0)), window_chunks }
    }

    /// The epoch of a chunk's first line.
    fn epoch(&self, chunk: usize) -> Option<i64> {
        self.plan.chunks.get(chunk).map(|chunk| chunk.epoch_first)
    }

    /// The lowest epoch that a worker without a chunk can still send at; `None` once all are taken.
    pub fn epoch_next(&self) -> Option<i64> {
        self.epoch(self.next.load(Ordering::Acquire))
    }

    /// Takes the next chunk, given the epoch up to which outputs are finished (`None`: all).
    pub fn claim(&self, finished: Option<i64>) -> Turn {
        let mut chunk = self.next.load(Ordering::Acquire);
        loop {
            if chunk >= self.plan.chunks.len() {
                return Turn::Done;
            }
            let behind = chunk.checked_sub(self.window_chunks).and_then(|behind| self.epoch(behind));
            if let (Some(behind), Some(finished)) = (behind, finished)
                && finished < behind
            {
                return Turn::Wait;
            }
            match self.next.compare_exchange_weak(chunk, chunk + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Turn::Read(chunk),
                Err(other) => chunk = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use connectors::files::Chunk;

    use super::*;

    fn plan(epochs: &[i64]) -> Arc<Plan> {
        let chunks = epochs
            .iter()
            .map(|epoch| Chunk { epoch_first: *epoch, epoch_last: *epoch, ranges: 0..0, bytes: 10, records: 1 })
            .collect();
        Arc::new(Plan { chunks, bytes: 10 * epochs.len() as u64, ..Plan::default() })
    }

    #[test]
    fn waits_when_the_window_is_full_and_goes_on_when_outputs_follow() {
        let source = Source::new(plan(&[1, 2, 3, 4, 5, 6]), 40);
        assert_eq!((0..5).map(|_| source.claim(Some(0))).collect::<Vec<_>>()[4], Turn::Wait);
        assert_eq!(source.epoch_next(), Some(5));
        assert_eq!(source.claim(Some(1)), Turn::Read(4));
        assert_eq!(source.claim(Some(1)), Turn::Wait);
        assert_eq!(source.claim(Some(2)), Turn::Read(5));
        assert_eq!(source.claim(Some(2)), Turn::Done);
        assert_eq!(source.epoch_next(), None);
    }

    #[test]
    fn one_large_epoch_never_waits_for_itself() {
        let source = Source::new(plan(&[7; 20]), 40);
        for chunk in 0..20 {
            assert_eq!(source.claim(Some(7)), Turn::Read(chunk));
        }
    }
}
