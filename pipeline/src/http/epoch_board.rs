//! Which epochs are published, and who waits for what.
//!
//! ```text
//!   publisher ─▶ published(epoch: ranges, rejections) ─┬─▶ newest epoch ─▶ who waits for an epoch (`min_epoch`)
//!                                                      └─▶ offsets ─▶ who waits for a record that was appended
//! ```
//! A record is settled when the epoch that holds its offset is published. Epochs of the recent past are kept, so that it does not matter
//! whether a record's epoch is published before or after somebody asks for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use operators::domain::event::Topic;
use tokio::sync::{oneshot, watch};
use xxhash_rust::xxh3::xxh3_64;

use crate::run::binding::InputPartition;
use crate::run::commits::Published;

/// Epochs of the past that are kept, at most.
const RECENT_MAX: usize = 4_096;

/// A record that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Where it lay.
    pub partition: InputPartition,
    /// Its offset.
    pub offset: u64,
    /// Fingerprint of its bytes.
    pub fingerprint: u64,
    /// Why, as a word.
    pub reason_code: &'static str,
    /// Why, as a sentence.
    pub reason: String,
}

/// Fingerprint of a record's bytes, as [`Rejected`] has it.
pub fn fingerprint(record: &[u8]) -> u64 {
    xxh3_64(record)
}

/// What is kept of a published epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledEpoch {
    /// The epoch.
    pub epoch: i64,
    /// Offset after the last of each partition that moved.
    pub ends: Vec<(InputPartition, u64)>,
    /// What was not accepted.
    pub rejected: Vec<Rejected>,
}

impl SettledEpoch {
    /// What a published epoch settles.
    pub fn of(published: &Published) -> Self {
        let ends = published.binding.inputs.iter();
        let ends = ends.filter_map(|range| Some((range.input_partition()?, range.next))).collect();
        let letters = published.output.letters.iter().filter_map(|letter| {
            let topic = Topic::ALL.get(usize::from(letter.place.topic)).copied()?;
            Some(Rejected {
                partition: InputPartition { topic, partition: letter.place.partition },
                offset: letter.place.offset,
                fingerprint: fingerprint(&letter.payload.bytes),
                reason_code: letter.reason_code().name(),
                reason: letter.sentence.clone(),
            })
        });
        SettledEpoch { epoch: published.binding.epoch, ends, rejected: letters.collect() }
    }
}

/// Everybody who waits for one epoch or another.
#[derive(Debug)]
pub struct EpochBoard {
    inner: Mutex<Inner>,
    newest: watch::Sender<Option<i64>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Who waits, by partition and offset.
    waiting: BTreeMap<(InputPartition, u64), Vec<oneshot::Sender<Arc<SettledEpoch>>>>,
    recent: VecDeque<Arc<SettledEpoch>>,
    /// Offset after the last that is published, by partition.
    ends: BTreeMap<InputPartition, u64>,
}

impl Default for EpochBoard {
    fn default() -> Self {
        EpochBoard { inner: Mutex::default(), newest: watch::Sender::new(None) }
    }
}

impl EpochBoard {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An epoch is published; called in order.
    pub fn published(&self, settled: SettledEpoch) {
        let settled = Arc::new(settled);
        let mut inner = self.inner();
        for (partition, end) in &settled.ends {
            inner.ends.insert(*partition, *end);
            let mut rest = inner.waiting.split_off(&(*partition, *end));
            let mut own = inner.waiting.split_off(&(*partition, 0));
            inner.waiting.append(&mut rest);
            for waiter in std::mem::take(&mut own).into_values().flatten() {
                // Who waits no longer needs no answer.
                let _ = waiter.send(Arc::clone(&settled));
            }
        }
        if inner.recent.len() == RECENT_MAX {
            inner.recent.pop_front();
        }
        inner.recent.push_back(Arc::clone(&settled));
        drop(inner);
        self.newest.send_replace(Some(settled.epoch));
    }

    /// The newest published epoch; none before the first.
    pub fn newest(&self) -> Option<i64> {
        *self.newest.borrow()
    }

    /// Tells of each new epoch; those between two looks are not told.
    pub fn watch(&self) -> watch::Receiver<Option<i64>> {
        self.newest.subscribe()
    }

    /// Waits until an epoch is published that is `epoch` or later, and says which.
    pub async fn reached(&self, epoch: i64) -> i64 {
        let mut watch = self.watch();
        let reached = watch.wait_for(|newest| newest.is_some_and(|newest| newest >= epoch)).await;
        // The sender lives in `self`, so waiting cannot end without it.
        reached.map_or(epoch, |newest| newest.unwrap_or(epoch))
    }

    /// Waits until the epoch that holds a record is published: that epoch.
    pub async fn settled(&self, partition: InputPartition, offset: u64) -> Option<Arc<SettledEpoch>> {
        let receiver = {
            let mut inner = self.inner();
            if inner.ends.get(&partition).is_some_and(|end| offset < *end) {
                let holds = |settled: &&Arc<SettledEpoch>| {
                    settled.ends.iter().any(|(own, end)| *own == partition && offset < *end)
                };
                // Epochs come in order, so the first whose end lies behind the offset holds it.
                return inner.recent.iter().find(holds).cloned();
            }
            let (sender, receiver) = oneshot::channel();
            inner.waiting.entry((partition, offset)).or_default().push(sender);
            receiver
        };
        receiver.await.ok()
    }

    /// Forgets waiters whose callers are gone. Number left.
    pub fn sweep(&self) -> usize {
        let mut inner = self.inner();
        inner.waiting.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
        inner.waiting.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADS: InputPartition = InputPartition { topic: Topic::Leads, partition: 1 };
    const DEALS: InputPartition = InputPartition { topic: Topic::Deals, partition: 0 };

    fn epoch(epoch: i64, ends: &[(InputPartition, u64)]) -> SettledEpoch {
        SettledEpoch { epoch, ends: ends.to_vec(), rejected: Vec::new() }
    }

    #[tokio::test]
    async fn a_record_is_settled_by_the_epoch_that_holds_it_whenever_it_is_asked_for() {
        let board = Arc::new(EpochBoard::default());
        board.published(epoch(50, &[(LEADS, 10), (DEALS, 3)]));
        board.published(epoch(100, &[(LEADS, 12)]));
        for (partition, offset, expect) in [(LEADS, 9, 50), (LEADS, 10, 100), (LEADS, 11, 100), (DEALS, 0, 50)] {
            assert_eq!(board.settled(partition, offset).await.unwrap().epoch, expect, "{partition} {offset}");
        }
        let waits = |partition, offset| {
            let board = Arc::clone(&board);
            tokio::spawn(async move { board.settled(partition, offset).await.unwrap().epoch })
        };
        let (first, second, other) = (waits(LEADS, 12), waits(LEADS, 13), waits(DEALS, 3));
        while board.sweep() < 3 {
            tokio::task::yield_now().await;
        }
        board.published(epoch(150, &[(LEADS, 13)]));
        assert_eq!(first.await.unwrap(), 150);
        board.published(epoch(200, &[(LEADS, 14), (DEALS, 9)]));
        assert_eq!((second.await.unwrap(), other.await.unwrap()), (200, 200));
    }

    #[tokio::test]
    async fn who_waits_for_an_epoch_gets_it_or_a_later_one() {
        let board = Arc::new(EpochBoard::default());
        let waits = tokio::spawn({
            let board = Arc::clone(&board);
            async move { board.reached(70).await }
        });
        board.published(epoch(50, &[]));
        board.published(epoch(100, &[]));
        assert_eq!(waits.await.unwrap(), 100);
        assert_eq!(board.reached(1).await, 100);
        assert_eq!(board.newest(), Some(100));
    }

    #[tokio::test]
    async fn who_has_gone_is_forgotten() {
        let board = EpochBoard::default();
        {
            let waiting = board.settled(LEADS, 5);
            tokio::pin!(waiting);
            assert!(futures::poll!(waiting).is_pending());
            assert_eq!(board.sweep(), 1);
        }
        assert_eq!(board.sweep(), 0);
    }
}
