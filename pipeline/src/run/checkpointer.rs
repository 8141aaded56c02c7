//! Checkpoints of a running pipeline: asks for snapshots, stores them, reads the newest one at a start.
//!
//! ```text
//!   interval over ─▶ request { shards to write whole } ─▶ feeder: barrier in the next epoch ─▶ parts come with that epoch's outputs
//!   parts, once their epoch is committed and in the history ─▶ blobs ─▶ manifest { chain of epochs, place in topic `epochs` }
//! ```
//! A checkpoint never leads the log or the history. One that cannot be stored is given up, and the next one is whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connectors::CheckpointsError;
use connectors::checkpoints::{CheckpointBlob, CheckpointSettings, Checkpoints};
use connectors::log::Log;
use connectors::objects::Objects;
use operators::dataflow::snapshot::{Section, SnapshotError, SnapshotPart};
use operators::domain::hash::SHARDS;
use operators::domain::shards::ShardRange;

use super::binding::{Binding, ChainPosition};
use super::recovery::CheckpointPlace;
use crate::graph::Restored;
use crate::messages::EPOCHS;

/// Checkpoints after which a shard is written whole again, at most.
const DELTAS_MAX: u32 = 16;
/// Shards that each checkpoint writes whole, in turn.
const BASE_SHARDS: u16 = 16;
/// A blob is closed when it has so many bytes.
const BLOB_BYTES: usize = 32 << 20;

/// What the feeder asks at each new epoch: the shards to write whole, if a snapshot is wanted.
pub type SnapshotRequest = Arc<Mutex<Option<ShardRange>>>;

/// Why a checkpoint cannot be used at a start.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] CheckpointsError),
    /// Its parts are not what was written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It does not say where it stands.
    #[error(
        "checkpoint {number} does not say where it stands in the log ({reason}): remove it, and the one before is used"
    )]
    Place {
        /// Its number.
        number: u64,
        /// What the reader said.
        reason: String,
    },
}

/// Stands for the last closed epoch while one is being closed that a snapshot goes with. Set under the request's lock.
pub const CLOSING: i64 = i64::MAX;

/// A snapshot that was asked for.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    /// Where topic `epochs` ended then.
    epochs_offset: u64,
    /// The last epoch that was closed then: parts of it or of an earlier one answer an older question.
    after: i64,
    /// The shards that it holds whole.
    base: ShardRange,
}

/// How many intervals a snapshot may stay out, as it does while nothing new comes or there is no state yet.
const INTERVALS_MAX: i64 = 4;

/// Writes the checkpoints of one run.
pub struct Checkpointer {
    checkpoints: Checkpoints,
    log: Arc<dyn Log>,
    logic: String,
    interval_ms: i64,
    chain: ChainPosition,
    request: SnapshotRequest,
    closed: Arc<AtomicI64>,
    under_way: Option<UnderWay>,
    asked_ms: i64,
}

/// What a start finds.
pub struct Found {
    /// Writes on.
    pub checkpointer: Checkpointer,
    /// Where the newest whole checkpoint stands in the log.
    pub place: Option<CheckpointPlace>,
    /// Its state.
    pub restored: Option<Restored>,
}

impl Checkpointer {
    /// Takes the checkpoints over from any earlier writer, and reads the newest whole one.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the newest checkpoint makes no sense.
    pub fn open(
        store: &Objects,
        log: &Arc<dyn Log>,
        logic: &str,
        incarnation: &str,
        interval: Duration,
    ) -> Result<Found, CheckpointError> {
        let settings = CheckpointSettings { shards: SHARDS as u16, deltas_max: DELTAS_MAX, base_shards: BASE_SHARDS };
        let (checkpoints, latest, skipped) = Checkpoints::open(store.clone(), settings, incarnation)?;
        for skipped in skipped {
            tracing::warn!(number = skipped.number, error = %skipped.error, "a checkpoint cannot be read; the one before is used");
        }
        let (mut place, mut restored) = (None, None);
        if let Some((manifest, epoch)) = latest.and_then(|manifest| manifest.epoch.map(|epoch| (manifest, epoch))) {
            let found: CheckpointPlace = serde_json::from_value(manifest.positions.clone())
                .map_err(|error| CheckpointError::Place { number: manifest.number, reason: error.to_string() })?;
            let mut parts = Vec::new();
            for blob in &manifest.blobs {
                let bytes = manifest.read_blob(store, blob)?;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (part, behind) = SnapshotPart::split_first(rest)?;
                    parts.push(part);
                    rest = behind;
                }
            }
            restored = Some((epoch, newest_chains(parts)));
            place = Some(found);
        }
        let chain = place.as_ref().map(|place| place.chain.clone()).unwrap_or_default();
        let checkpointer = Checkpointer {
            checkpoints,
            log: Arc::clone(log),
            logic: logic.to_owned(),
            interval_ms: interval.as_millis() as i64,
            chain,
            request: SnapshotRequest::default(),
            closed: Arc::new(AtomicI64::new(i64::MIN)),
            under_way: None,
            asked_ms: 0,
        };
        Ok(Found { checkpointer, place, restored })
    }

    /// What the feeder asks.
    pub fn request(&self) -> SnapshotRequest {
        Arc::clone(&self.request)
    }

    /// Where the feeder notes each epoch that it closes, after it asked what is wanted in it.
    pub fn closed(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.closed)
    }

    /// Follows a durable epoch.
    pub fn follow(&mut self, binding: &Binding) {
        if let Err(error) = self.chain.follow(binding) {
            // The chain was checked when it was made; a checkpoint of a wrong one would only be refused at the next start.
            tracing::error!(%error, "the checkpoints lost track of the epochs");
        }
    }

    /// Asks for a snapshot if the interval is over and none is under way. `now_ms` is monotonic, and 0 when the run began.
    pub fn ask(&mut self, now_ms: i64) {
        let pause_ms = if self.under_way.is_some() { self.interval_ms * INTERVALS_MAX } else { self.interval_ms };
        if now_ms - self.asked_ms >= pause_ms {
            self.ask_now(now_ms);
        }
    }

    /// Asks for a snapshot behind the last epoch, unless one is under way.
    pub fn ask_for_last(&mut self, now_ms: i64) {
        if self.under_way.is_none() {
            self.ask_now(now_ms);
        }
    }

    fn ask_now(&mut self, now_ms: i64) {
        self.asked_ms = now_ms;
        let described = self.log.admin().and_then(|mut admin| admin.describe_topic(EPOCHS));
        match described {
            Ok(found) => {
                let partition = found.as_ref().and_then(|found| found.partitions.first());
                let mut request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
                let after = self.closed.load(Ordering::Acquire);
                if request.is_some() || after == CLOSING {
                    // What was asked before still stands, or is being answered just now.
                    return;
                }
                if self.under_way.is_some() {
                    // Its parts may have been taken from the state already.
                    self.checkpoints.abandon();
                }
                let base = self.checkpoints.next_base();
                let base = ShardRange { first: base.start, end: base.end };
                let epochs_offset = partition.map_or(0, |bounds| bounds.stable_end);
                self.under_way = Some(UnderWay { epochs_offset, after, base });
                *request = Some(base);
            }
            Err(error) => tracing::warn!(%error, "no checkpoint was asked for: the log does not answer"),
        }
    }

    /// Stores the snapshot of an epoch that is committed and in the history.
    ///
    /// # Errors
    /// If the store fails: the checkpoint is given up, and the next one is whole. [`CheckpointsError::Fenced`] says that another
    /// instance writes the checkpoints now.
    pub fn store(&mut self, epoch: i64, parts: Vec<SnapshotPart>) -> Result<(), CheckpointsError> {
        // Late parts hold other shards whole than were asked for since, and lie before the place that was noted since.
        let Some(under_way) = self.under_way.take_if(|under_way| epoch > under_way.after) else { return Ok(()) };
        let stored = self.try_store(epoch, under_way, parts);
        if stored.is_err() {
            self.checkpoints.abandon();
        }
        stored
    }

    /// Gives up the snapshot that is under way.
    pub fn give_up(&mut self) {
        self.under_way = None;
        self.checkpoints.abandon();
    }

    fn try_store(&mut self, epoch: i64, under_way: UnderWay, parts: Vec<SnapshotPart>) -> Result<(), CheckpointsError> {
        let UnderWay { epochs_offset, base, .. } = under_way;
        let mut blobs: Vec<CheckpointBlob> = Vec::new();
        let (mut bases, mut deltas): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.is_base);
        // Parts of one shard and section stay in their order.
        bases.sort_by_key(|part| part.shard);
        deltas.sort_by_key(|part| part.shard);
        // Deltas come first, and no blob of them covers a shard that is written whole.
        let behind = deltas.partition_point(|part| part.shard < base.first);
        let after = deltas.split_off(behind);
        let range_of = |parts: &[SnapshotPart]| match (parts.first(), parts.last()) {
            (Some(first), Some(last)) => ShardRange { first: first.shard, end: last.shard + 1 },
            _ => ShardRange::NONE,
        };
        let (before_range, after_range) = (range_of(&deltas), range_of(&after));
        for (parts, range, is_base) in
            [(&deltas, before_range, false), (&after, after_range, false), (&bases, base, true)]
        {
            // Blobs share the range without gaps: a shard without state is whole, too.
            let (mut first, mut bytes) = (range.first, Vec::new());
            for (index, part) in parts.iter().enumerate() {
                bytes.extend_from_slice(&part.bytes);
                let shard_ends = parts.get(index + 1).is_some_and(|next| next.shard != part.shard);
                if shard_ends && bytes.len() >= BLOB_BYTES {
                    blobs.push(self.checkpoints.write_blob(epoch, first..part.shard + 1, is_base, &bytes)?);
                    first = part.shard + 1;
                    bytes.clear();
                }
            }
            if first < range.end {
                blobs.push(self.checkpoints.write_blob(epoch, first..range.end, is_base, &bytes)?);
            }
        }
        let place = CheckpointPlace { chain: self.chain.clone(), epochs_offset };
        // Numbers and texts alone: nothing in it can fail to be written.
        let positions = serde_json::to_value(place).unwrap_or_default();
        let number = self.checkpoints.commit(epoch, positions, &self.logic, blobs)?.number;
        tracing::info!(epoch, number, "checkpoint written");
        self.checkpoints.clean_up().map(drop)
    }
}

/// Leaves out parts that a later base of their shard and section replaced.
fn newest_chains(parts: Vec<SnapshotPart>) -> Vec<SnapshotPart> {
    let mut chains: BTreeMap<(u16, Section), Vec<SnapshotPart>> = BTreeMap::new();
    for part in parts {
        let chain = chains.entry((part.shard, part.section)).or_default();
        let starts_anew = part.is_base && chain.last().is_some_and(|last| last.epoch().ok() != part.epoch().ok());
        if starts_anew {
            chain.clear();
        }
        chain.push(part);
    }
    chains.into_values().flatten().collect()
}
