//! Updates of the recent past, for readers that follow and readers that resume: a state machine without I/O.
//!
//! ```text
//!   push(epoch, updates) ─▶ [ 100 | 150 | 200 | 250 ]  oldest leave when the bytes are too many
//!                                    ▲ a reader is a cursor: the last epoch it was given
//!   after(cursor) ─▶ Next::Epoch(200) | Next::Nothing | Next::Missed (its next epoch has left)
//! ```
//! Nothing is kept for a reader but its cursor, so a slow one costs nothing: it loses what left the ring, and is told so.

use std::collections::VecDeque;
use std::sync::Arc;

/// One update: what a topic of the pulse stream has to say about a dealer in an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The pulse topic.
    pub topic: super::PulseTopic,
    /// The dealer; none where it is about the whole pipeline.
    pub dealer: Option<Arc<str>>,
    /// The update as JSON.
    pub json: Arc<str>,
}

/// The updates of one epoch.
#[derive(Debug, PartialEq, Eq)]
pub struct EpochUpdates {
    /// The epoch.
    pub epoch: i64,
    /// Those of all dealers.
    pub updates: Vec<Update>,
}

impl EpochUpdates {
    fn bytes(&self) -> u64 {
        let updates: usize = self.updates.iter().map(|update| update.json.len() + size_of::<Update>()).sum();
        (updates + size_of::<Self>()) as u64
    }
}

/// What a reader gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This epoch's updates.
    Epoch(Arc<EpochUpdates>),
    /// There is nothing new.
    Nothing,
    /// What came next has left the ring; the oldest epoch that is still there.
    Missed {
        /// The oldest epoch that is kept.
        oldest: i64,
    },
}

/// Updates of the recent past, bounded in bytes.
#[derive(Debug)]
pub struct Ring {
    epochs: VecDeque<Arc<EpochUpdates>>,
    bytes: u64,
    bytes_max: u64,
    /// The last epoch that left, or was left out.
    lost: Option<i64>,
}

impl Ring {
    /// A ring of at most so many bytes, beside one epoch.
    pub fn new(bytes_max: u64) -> Self {
        Ring { epochs: VecDeque::new(), bytes: 0, bytes_max, lost: None }
    }

    /// Adds the next epoch; older ones leave while there are too many bytes.
    pub fn push(&mut self, updates: EpochUpdates) {
        self.bytes += updates.bytes();
        self.epochs.push_back(Arc::new(updates));
        while self.bytes > self.bytes_max && self.epochs.len() > 1 {
            let Some(oldest) = self.epochs.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.lost = Some(oldest.epoch);
        }
    }

    /// Notes that epochs up to this one were left out: readers that have not had it are told.
    pub fn skip(&mut self, epoch: i64) {
        // What came before it would be given out without it.
        self.epochs.clear();
        self.bytes = 0;
        self.lost = Some(epoch);
    }

    /// What follows `cursor`, the last epoch that a reader had.
    pub fn after(&self, cursor: i64) -> Next {
        if let Some(lost) = self.lost.filter(|lost| cursor < *lost) {
            return Next::Missed { oldest: self.epochs.front().map_or(lost, |updates| updates.epoch) };
        }
        let next = self.epochs.partition_point(|updates| updates.epoch <= cursor);
        self.epochs.get(next).map_or(Next::Nothing, |updates| Next::Epoch(Arc::clone(updates)))
    }

    /// The newest epoch.
    pub fn newest(&self) -> Option<i64> {
        self.epochs.back().map(|updates| updates.epoch).or(self.lost)
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::PulseTopic;
    use super::*;

    fn epoch(epoch: i64, length: usize) -> EpochUpdates {
        let update = Update { topic: PulseTopic::Kpis, dealer: None, json: "x".repeat(length).into() };
        EpochUpdates { epoch, updates: vec![update] }
    }

    fn next(ring: &Ring, cursor: i64) -> String {
        match ring.after(cursor) {
            Next::Epoch(updates) => format!("epoch {}", updates.epoch),
            Next::Nothing => "nothing".to_owned(),
            Next::Missed { oldest } => format!("missed, oldest {oldest}"),
        }
    }

    #[test]
    fn a_reader_goes_from_epoch_to_epoch_and_is_told_what_it_missed() {
        let mut ring = Ring::new(3_000);
        for number in 1..=5 {
            ring.push(epoch(number * 50, 900));
        }
        assert!(ring.bytes() <= 3_000);
        assert_eq!(next(&ring, 150), "epoch 200");
        assert_eq!(next(&ring, 160), "epoch 200");
        assert_eq!(next(&ring, 250), "nothing");
        assert_eq!(next(&ring, 99), "missed, oldest 150");
        assert_eq!(ring.newest(), Some(250));
    }

    #[test]
    fn one_epoch_stays_however_large() {
        let mut ring = Ring::new(10);
        ring.push(epoch(50, 5_000));
        assert_eq!(next(&ring, 0), "epoch 50");
        ring.push(epoch(100, 5_000));
        assert_eq!((next(&ring, 50), next(&ring, 0)), ("epoch 100".into(), "missed, oldest 100".into()));
    }

    #[test]
    fn what_was_left_out_is_a_gap() {
        let mut ring = Ring::new(3_000);
        ring.push(epoch(50, 10));
        ring.skip(150);
        assert_eq!(next(&ring, 50), "missed, oldest 150");
        assert_eq!(next(&ring, 150), "nothing");
        ring.push(epoch(200, 10));
        assert_eq!(next(&ring, 150), "epoch 200");
    }
}
