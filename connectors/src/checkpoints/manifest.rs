//! Manifests: each tells one whole checkpoint.
//!
//! ```text
//!  first line    {"format_version":1,"number":42,"incarnation":…,"epoch":…,"blobs":[…in the order of reading…],…}
//!  second line   {"xxh3_64":"…"}   of the first line's bytes
//! ```

use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::CheckpointsError;
use crate::objects::{NumberedObjects, Objects};

/// The version of the manifests' format that this build writes and reads.
pub const FORMAT_VERSION: u64 = 1;
const MANIFEST_FOLDER: &str = "_manifests";
pub(super) const BLOB_FOLDER: &str = "blobs";

/// A blob of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointBlob {
    /// Its name in the folder of blobs.
    pub name: String,
    /// The epoch of the checkpoint that it was written for, in ms.
    pub epoch: i64,
    /// The shards of whose state it may hold something.
    pub shards: Range<u16>,
    /// Whether it holds those shards whole, so that nothing older of them is needed.
    pub is_base: bool,
    /// Bytes of state in it.
    pub bytes: u64,
    /// Bytes in the store.
    pub stored_bytes: u64,
    /// XXH3 of the bytes in the store, as 16 hexadecimal digits.
    pub xxh3_64: String,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointManifest {
    pub(super) format_version: u64,
    /// From 1 on; those of manifests that were cleaned up stay taken.
    pub number: u64,
    /// The manifest to which this one is a delta, or whose state it took over.
    pub parent: Option<u64>,
    /// Who wrote it: one run of one instance.
    pub incarnation: String,
    /// The last epoch whose effects the state holds, in ms; `None` before the first checkpoint.
    pub epoch: Option<i64>,
    /// The version of the logic that made the state.
    pub logic_version: String,
    /// Where reading the input goes on; opaque here.
    pub positions: serde_json::Value,
    /// What restoring reads, in this order.
    pub blobs: Vec<CheckpointBlob>,
}

/// A checkpoint that cannot be used, and why.
#[derive(Debug)]
pub struct Skipped {
    /// Its number.
    pub number: u64,
    /// What is wrong.
    pub error: CheckpointsError,
}

#[derive(Serialize, Deserialize)]
struct Checksum {
    xxh3_64: String,
}

pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", xxh3_64(bytes))
}

impl CheckpointManifest {
    pub(super) fn first(incarnation: &str) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            number: 1,
            parent: None,
            incarnation: incarnation.to_owned(),
            epoch: None,
            logic_version: String::new(),
            positions: serde_json::Value::Null,
            blobs: Vec::new(),
        }
    }

    /// The newest checkpoint that can be read whole, every blob of it, and those above it that cannot. A manifest that goes while it
    /// is looked at was replaced by a newer one, so the search begins anew.
    ///
    /// # Errors
    /// If the store cannot be read, or the newest manifest is of another format version. Damage is no error but a fallback.
    pub fn latest(store: &Objects) -> Result<(Option<Self>, Vec<Skipped>), CheckpointsError> {
        /// A writer that cleans up faster than a reader reads, again and again, is no writer of checkpoints.
        const ATTEMPTS_MAX: usize = 10;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut skipped = Vec::new();
            let numbers = numbers(store)?;
            let newest = numbers.last().copied();
            let mut found = None;
            for number in numbers.into_iter().rev() {
                match Self::load(store, number).and_then(|manifest| manifest.check_blobs(store).map(|()| manifest)) {
                    Ok(manifest) => {
                        found = Some(manifest);
                        break;
                    }
                    Err(error) if is_damage(&error) => skipped.push(Skipped { number, error }),
                    Err(error) => return Err(error),
                }
            }
            let is_overtaken = !skipped.is_empty() && self::numbers(store)?.last().copied() != newest;
            if !is_overtaken || attempt == ATTEMPTS_MAX {
                return Ok((found.filter(|manifest| manifest.epoch.is_some()), skipped));
            }
        }
    }

    /// Reads a blob of this manifest.
    ///
    /// # Errors
    /// If it is missing, damaged or cannot be read.
    pub fn read_blob(&self, store: &Objects, blob: &CheckpointBlob) -> Result<Vec<u8>, CheckpointsError> {
        let stored = blob.check(store)?;
        let capacity = usize::try_from(blob.bytes).unwrap_or(usize::MAX);
        let damaged = |what| CheckpointsError::Damaged { path: store.place_of(&blob.path()), what };
        let bytes = zstd::bulk::decompress(&stored, capacity).map_err(|error| damaged(error.to_string()))?;
        if bytes.len() == capacity {
            Ok(bytes)
        } else {
            Err(damaged(format!("{} bytes instead of {capacity}", bytes.len())))
        }
    }

    fn check_blobs(&self, store: &Objects) -> Result<(), CheckpointsError> {
        self.blobs.iter().try_for_each(|blob| blob.check(store).map(drop))
    }

    /// Takes this manifest's number. Publishing the very same manifest again is no error, so a lost answer can be asked for again.
    ///
    /// # Errors
    /// [`CheckpointsError::Fenced`] if its number or a higher one is taken.
    pub(super) fn publish(&self, store: &Objects) -> Result<(), CheckpointsError> {
        let manifests = manifests(store);
        let text = self.text().map_err(|error| CheckpointsError::Damaged {
            path: manifests.place_of(self.number),
            what: error.to_string(),
        })?;
        let Some(taken) = manifests.take(self.number, &text)? else { return Ok(()) };
        let by = Self::load(store, taken).map_or_else(|_| "unknown".to_owned(), |manifest| manifest.incarnation);
        Err(CheckpointsError::Fenced { number: taken, by })
    }

    fn text(&self) -> Result<Bytes, serde_json::Error> {
        let mut text = serde_json::to_string(self)?;
        let checksum = Checksum { xxh3_64: checksum(text.as_bytes()) };
        text = format!("{text}\n{}\n", serde_json::to_string(&checksum)?);
        Ok(text.into())
    }

    pub(super) fn load(store: &Objects, number: u64) -> Result<Self, CheckpointsError> {
        /// The only field that every version has.
        #[derive(Deserialize)]
        struct Version {
            format_version: u64,
        }
        let manifests = manifests(store);
        let text = manifests.get(number)?;
        let damaged = |what: String| CheckpointsError::Damaged { path: manifests.place_of(number), what };
        let mut lines = text.split(|byte| *byte == b'\n');
        let (line, sum) = lines.next().zip(lines.next()).ok_or_else(|| damaged("it was cut off".into()))?;
        let sum: Checksum = serde_json::from_slice(sum).map_err(|error| damaged(error.to_string()))?;
        if sum.xxh3_64 != checksum(line) {
            return Err(damaged("its checksum is another".into()));
        }
        let Version { format_version: found } =
            serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
        if found != FORMAT_VERSION {
            let path = manifests.place_of(number);
            return Err(CheckpointsError::Version { path, found, supported: FORMAT_VERSION });
        }
        let manifest: Self = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
        if manifest.number != number {
            return Err(damaged(format!("it is that of number {}", manifest.number)));
        }
        Ok(manifest)
    }
}

impl CheckpointBlob {
    fn path(&self) -> String {
        format!("{BLOB_FOLDER}/{}", self.name)
    }

    /// The bytes in the store, if they are those that were written.
    fn check(&self, store: &Objects) -> Result<Bytes, CheckpointsError> {
        let path = self.path();
        let stored = store.get(&path)?;
        if stored.len() as u64 == self.stored_bytes && checksum(&stored) == self.xxh3_64 {
            Ok(stored)
        } else {
            let what = format!("{} bytes of another checksum", stored.len());
            Err(CheckpointsError::Damaged { path: store.place_of(&path), what })
        }
    }
}

/// Whether an older checkpoint may be whole although this one is not.
pub(super) fn is_damage(error: &CheckpointsError) -> bool {
    match error {
        CheckpointsError::Damaged { .. } => true,
        CheckpointsError::Objects(error) => error.is_not_found(),
        CheckpointsError::Version { .. } | CheckpointsError::Fenced { .. } => false,
    }
}

pub(super) fn manifests(store: &Objects) -> NumberedObjects {
    NumberedObjects::new(store, MANIFEST_FOLDER)
}

/// The numbers taken, in order.
pub(super) fn numbers(store: &Objects) -> Result<Vec<u64>, CheckpointsError> {
    Ok(manifests(store).list()?.into_iter().map(|object| object.number).collect())
}
