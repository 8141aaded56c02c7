//! Partitions whose records cannot be read because some producer holds a transaction open in them.
//!
//! ```text
//!   read to the stable end, and records behind it ─▶ stalled since ─(long enough)─▶ told once, by name
//!   the stable end moves ─▶ not stalled by that transaction any more
//! ```
//! A producer that died leaves its transaction open until the broker ends it; one that hangs may keep it open for as long as its own
//! timeout allows. Nothing is lost meanwhile, and nothing of that partition is read.

use std::collections::BTreeMap;

use connectors::log::PartitionProgress;

use super::binding::InputPartition;

/// How long a partition is stalled before it is told.
const TOLD_AFTER_MS: i64 = 10_000;

#[derive(Clone, Copy, Debug)]
struct Stall {
    stable_end: u64,
    since_ms: i64,
    told: bool,
}

/// The stalled partitions.
#[derive(Debug, Default)]
pub struct Stalls {
    stalled: BTreeMap<InputPartition, Stall>,
}

impl Stalls {
    /// Takes in what is known of all partitions now, by a clock that never goes back.
    pub fn look(&mut self, progress: impl Iterator<Item = (InputPartition, PartitionProgress)>, now_ms: i64) {
        let mut stalled = BTreeMap::new();
        for (partition, progress) in progress.filter(|(_, progress)| progress.is_stalled()) {
            let stable_end = progress.stable_end.unwrap_or_default();
            let before = self.stalled.get(&partition).filter(|stall| stall.stable_end == stable_end);
            let mut stall = before.copied().unwrap_or(Stall { stable_end, since_ms: now_ms, told: false });
            if !stall.told && now_ms - stall.since_ms >= TOLD_AFTER_MS {
                stall.told = true;
                let seconds = (now_ms - stall.since_ms) / 1_000;
                tracing::warn!(
                    %partition, offset = stable_end, seconds,
                    "a producer's transaction is open, and what lies behind it is not read until it is ended"
                );
            }
            stalled.insert(partition, stall);
        }
        self.stalled = stalled;
    }

    /// How long the partition that is stalled longest has been so; 0 if none is.
    pub fn longest_ms(&self, now_ms: i64) -> u64 {
        self.stalled.values().map(|stall| (now_ms - stall.since_ms).max(0) as u64).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use operators::domain::event::Topic;

    use super::*;

    const LEADS: InputPartition = InputPartition { topic: Topic::Leads, partition: 0 };

    fn progress(stable_end: u64, end: u64) -> PartitionProgress {
        PartitionProgress {
            position: Some(stable_end),
            at_end: true,
            stable_end: Some(stable_end),
            end: Some(end),
            paused: false,
        }
    }

    #[test]
    fn a_stall_lasts_from_its_first_sight_until_the_stable_end_moves() {
        let mut stalls = Stalls::default();
        stalls.look([(LEADS, progress(5, 5))].into_iter(), 1_000);
        assert_eq!(stalls.longest_ms(1_000), 0);
        stalls.look([(LEADS, progress(5, 9))].into_iter(), 2_000);
        stalls.look([(LEADS, progress(5, 12))].into_iter(), 14_000);
        assert_eq!(stalls.longest_ms(14_500), 12_500);
        assert!(stalls.stalled[&LEADS].told);
        stalls.look([(LEADS, progress(9, 12))].into_iter(), 15_000);
        assert_eq!(stalls.longest_ms(15_000), 0, "another transaction has its own time");
        stalls.look([(LEADS, progress(12, 12))].into_iter(), 16_000);
        assert!(stalls.stalled.is_empty());
    }
}
