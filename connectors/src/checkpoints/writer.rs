//! Writing checkpoints: what is written whole and when, what is kept, what is cleaned up.

use std::collections::BTreeSet;
use std::ops::Range;

use super::manifest::{BLOB_FOLDER, checksum, is_damage, manifests, numbers};
use super::{CheckpointBlob, CheckpointManifest, CheckpointsError, Skipped};
use crate::objects::Objects;

/// Checkpoints that are kept, at different epochs.
const KEPT: usize = 2;
/// The level of zstd: higher ones save little of what is mostly hashes and ids.
const ZSTD_LEVEL: i32 = 1;
/// Writers that may open the checkpoints between this one's look at them and its claim.
const CLAIMS_MAX: usize = 10;

/// When state is written whole.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointSettings {
    /// Number of shards of the state.
    pub shards: u16,
    /// Checkpoints after which a shard is written whole again, at most.
    pub deltas_max: u32,
    /// Shards that each checkpoint writes whole, in turn, so that no checkpoint writes much more than another; 0: all at once, when
    /// the deltas become too many or hold more than half of the bytes of the bases.
    pub base_shards: u16,
}

/// The one writer of checkpoints.
#[derive(Debug)]
pub struct Checkpoints {
    store: Objects,
    settings: CheckpointSettings,
    incarnation: String,
    /// The manifest that was published last: by this writer, since it takes a number when it opens.
    last: CheckpointManifest,
    /// Blobs that were written since.
    sequence: u64,
    /// Whether parts of a checkpoint were lost, so that the next has to be whole.
    is_broken: bool,
    /// Names of blobs that the clean-up before found to be of no checkpoint.
    unnamed: BTreeSet<String>,
}

impl Checkpoints {
    /// Opens the checkpoints to write them, and fences all who wrote them before: they find the next number taken. `incarnation` names
    /// one run of one instance and is used by no other. Also tells the newest checkpoint that can be read whole, if there is any, and
    /// those above it that cannot.
    ///
    /// # Errors
    /// If the store cannot be read or written, or others open the checkpoints all the time.
    pub fn open(
        store: Objects,
        settings: CheckpointSettings,
        incarnation: &str,
    ) -> Result<(Self, Option<CheckpointManifest>, Vec<Skipped>), CheckpointsError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (latest, skipped) = CheckpointManifest::latest(&store)?;
            let mut claim = CheckpointManifest::first(incarnation);
            claim.number = numbers(&store)?.last().map_or(1, |highest| highest + 1);
            if let Some(latest) = &latest {
                let (number, incarnation) = (claim.number, claim.incarnation);
                claim = CheckpointManifest { number, incarnation, parent: Some(latest.number), ..latest.clone() };
            }
            match claim.publish(&store) {
                Ok(()) => {
                    let incarnation = incarnation.to_owned();
                    let (last, unnamed) = (claim, BTreeSet::new());
                    let writer = Self { store, settings, incarnation, last, sequence: 0, is_broken: false, unnamed };
                    return Ok((writer, latest, skipped));
                }
                Err(CheckpointsError::Fenced { .. }) if attempt < CLAIMS_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The shards that the next checkpoint has to write whole.
    pub fn next_base(&self) -> Range<u16> {
        let CheckpointSettings { shards, deltas_max, base_shards } = self.settings;
        let blobs = &self.last.blobs;
        let is_missing =
            (0..shards).any(|shard| !blobs.iter().any(|blob| blob.is_base && blob.shards.contains(&shard)));
        if self.is_broken || is_missing {
            return 0..shards;
        }
        if base_shards == 0 {
            let bytes =
                |is_base| blobs.iter().filter(|blob| blob.is_base == is_base).map(|blob| blob.bytes).sum::<u64>();
            let oldest = blobs.iter().filter(|blob| blob.is_base).map(|blob| blob.epoch).min();
            let deltas: BTreeSet<i64> =
                blobs.iter().filter(|blob| Some(blob.epoch) > oldest).map(|blob| blob.epoch).collect();
            let is_long = deltas.len() as u64 >= u64::from(deltas_max) || bytes(false) * 2 > bytes(true);
            return if is_long { 0..shards } else { 0..0 };
        }
        // So many that each has its turn in time.
        let count = base_shards.max(shards.div_ceil(u16::try_from(deltas_max.max(1)).unwrap_or(u16::MAX))).min(shards);
        let newest = blobs.iter().rev().find(|blob| blob.is_base).map_or(0, |blob| blob.shards.end);
        let first = if newest >= shards { 0 } else { newest };
        first..shards.min(first.saturating_add(count))
    }

    /// Writes parts of the next checkpoint. `shards` are those of which it may hold something, whole if `is_base`. Within one
    /// checkpoint, no shard is in a base and in a delta.
    ///
    /// # Errors
    /// If the store refuses. The checkpoint may be tried again from its first blob, or given up by [`Checkpoints::abandon`].
    pub fn write_blob(
        &mut self,
        epoch: i64,
        shards: Range<u16>,
        is_base: bool,
        bytes: &[u8],
    ) -> Result<CheckpointBlob, CheckpointsError> {
        // Stores differ in what they let stand in a name.
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let incarnation: String = self.incarnation.chars().map(plain).collect();
        let name = format!("{:020}-{incarnation}-{}.zst", self.last.number + 1, self.sequence);
        let path = format!("{BLOB_FOLDER}/{name}");
        let stored = zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(|error| CheckpointsError::Damaged {
            path: self.store.place_of(&path),
            what: format!("zstd cannot compress it: {error}"),
        })?;
        let blob = CheckpointBlob {
            name,
            epoch,
            shards,
            is_base,
            bytes: bytes.len() as u64,
            stored_bytes: stored.len() as u64,
            xxh3_64: checksum(&stored),
        };
        self.store.put(&path, stored.into())?;
        self.sequence += 1;
        Ok(blob)
    }

    /// Makes a checkpoint of the blobs written for it, in the order of their reading, and of those before that are still needed.
    ///
    /// # Errors
    /// [`CheckpointsError::Fenced`] if another writer opened the checkpoints; otherwise if the store refuses. The same call may be
    /// repeated.
    pub fn commit(
        &mut self,
        epoch: i64,
        positions: serde_json::Value,
        logic_version: &str,
        blobs: Vec<CheckpointBlob>,
    ) -> Result<&CheckpointManifest, CheckpointsError> {
        let mut all = self.last.blobs.clone();
        all.extend(blobs);
        let mut manifest = CheckpointManifest {
            number: self.last.number + 1,
            parent: Some(self.last.number),
            epoch: Some(epoch),
            logic_version: logic_version.to_owned(),
            positions,
            blobs: needed(all, self.settings.shards),
            ..self.last.clone()
        };
        loop {
            match manifest.publish(&self.store) {
                Ok(()) => break,
                // One that was given up although it was written: its answer was lost. Each such is passed over once.
                Err(CheckpointsError::Fenced { number, by }) if by == self.incarnation => {
                    (manifest.parent, manifest.number) = (Some(number), number + 1);
                }
                Err(error) => return Err(error),
            }
        }
        self.last = manifest;
        self.sequence = 0;
        self.is_broken = false;
        Ok(&self.last)
    }

    /// Gives a checkpoint up whose parts were taken from the state already: deltas to it would lack them, so the next is whole.
    pub fn abandon(&mut self) {
        self.is_broken = true;
    }

    /// Deletes the manifests below the kept ones, and blobs that the clean-up before found to be named by no manifest. So a reader has
    /// at least the time between two clean-ups to read what it has begun with, and a blob that is being written is never touched: it
    /// is of a writer whose number this one would meet first. Gives the number of blobs deleted.
    ///
    /// # Errors
    /// [`CheckpointsError::Fenced`] if another writer opened the checkpoints; otherwise if the store refuses. Nothing that is needed
    /// is gone then.
    pub fn clean_up(&mut self) -> Result<usize, CheckpointsError> {
        // Blobs are listed before manifests: what another writer adds later is in neither or makes its number known.
        let present = self.store.list(BLOB_FOLDER)?.into_iter().map(|object| object.name);
        let numbers = numbers(&self.store)?;
        if let Some(number) = numbers.last().copied().filter(|number| *number > self.last.number) {
            let by = CheckpointManifest::load(&self.store, number);
            let by = by.map_or_else(|_| "unknown".to_owned(), |manifest| manifest.incarnation);
            // One of ours whose answer was lost waits for the next commit.
            return if by == self.incarnation { Ok(0) } else { Err(CheckpointsError::Fenced { number, by }) };
        }
        let mut kept = BTreeSet::new();
        let mut named = BTreeSet::new();
        for number in numbers.into_iter().rev() {
            if kept.len() == KEPT {
                manifests(&self.store).delete(number)?;
                continue;
            }
            match CheckpointManifest::load(&self.store, number) {
                Ok(manifest) => {
                    kept.extend(manifest.epoch);
                    named.extend(manifest.blobs.into_iter().map(|blob| blob.name));
                }
                // One that cannot be read keeps nothing, and is looked at again until it is old.
                Err(error) if is_damage(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let unnamed: BTreeSet<String> = present.filter(|name| !named.contains(name)).collect();
        let gone: Vec<&String> = unnamed.intersection(&self.unnamed).collect();
        for name in &gone {
            self.store.delete(&format!("{BLOB_FOLDER}/{name}"))?;
        }
        let deleted = gone.len();
        self.unnamed = unnamed;
        Ok(deleted)
    }
}

/// Without the blobs of whose shards all were written whole later.
fn needed(blobs: Vec<CheckpointBlob>, shards: u16) -> Vec<CheckpointBlob> {
    let base_epoch = |shard: u16| {
        let bases = blobs.iter().filter(|blob| blob.is_base && blob.shards.contains(&shard));
        bases.map(|blob| blob.epoch).max()
    };
    let base_epochs: Vec<Option<i64>> = (0..shards).map(base_epoch).collect();
    let is_needed = |blob: &CheckpointBlob| {
        blob.shards
            .clone()
            .any(|shard| base_epochs.get(usize::from(shard)).is_none_or(|base| Some(blob.epoch) >= *base))
    };
    let is_needed: Vec<bool> = blobs.iter().map(is_needed).collect();
    blobs.into_iter().zip(is_needed).filter(|(_, is_needed)| *is_needed).map(|(blob, _)| blob).collect()
}
