//! Which shards belong to whom, and at which epochs their state is written down.
//!
//! ```text
//!   dealer ─▶ shard (of 256) ─▶ worker `shard % peers`          Barrier { epoch, base } ─▶ every worker, once each
//! ```
//! State is kept and written by shard, so the number of workers may be another at every start.

use serde::{Deserialize, Serialize};

use super::hash::SHARDS;

/// The shards of one worker among its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerShards {
    /// The worker's number, below `peers`.
    pub index: usize,
    /// How many workers there are.
    pub peers: usize,
}

impl WorkerShards {
    /// All shards: there is one worker.
    pub const ALL: WorkerShards = WorkerShards { index: 0, peers: 1 };

    /// Whether a shard is this worker's.
    #[inline]
    pub fn contains(self, shard: usize) -> bool {
        shard % self.peers == self.index
    }

    /// The shards in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (self.index..SHARDS).step_by(self.peers)
    }
}

/// Consecutive shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRange {
    /// The first.
    pub first: u16,
    /// The one after the last.
    pub end: u16,
}

impl ShardRange {
    /// No shard.
    pub const NONE: ShardRange = ShardRange { first: 0, end: 0 };
    /// Every shard.
    pub const ALL: ShardRange = ShardRange { first: 0, end: SHARDS as u16 };

    /// Whether a shard is among them.
    pub fn contains(self, shard: usize) -> bool {
        (usize::from(self.first)..usize::from(self.end)).contains(&shard)
    }
}

/// An epoch after which all machines write down their state.
///
/// The source sends each barrier to all workers, as data of a batch at the barrier's epoch or before. One that comes more than once
/// counts once. It makes no epoch of its own: what is computed is the same with and without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// The last epoch that the snapshot holds.
    pub epoch: i64,
    /// The shards that are written whole. The others write what changed since the snapshot before, if there was one.
    pub base: ShardRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_one_worker() {
        for peers in [1, 2, 3, 7, 300] {
            let mut owners = [0; SHARDS];
            for index in 0..peers {
                let shards = WorkerShards { index, peers };
                for shard in shards.iter() {
                    assert!(shards.contains(shard));
                    owners[shard] += 1;
                }
            }
            assert_eq!(owners, [1; SHARDS], "{peers}");
        }
    }
}
