//! Manifests: the numbered lists of files that make history visible.
//!
//! ```text
//!  parquet/_manifests/00000000000000000001.json   ◄─ put if absent ─ incarnation a
//!  parquet/_manifests/00000000000000000002.json   ◄─ put if absent ─ incarnation a
//!                                                  ✗─ put if absent ─ incarnation b: Fenced { by: a }
//! ```
//! Each manifest names every visible file, so the latest alone tells the whole state: a reader needs no other, and a file
//! that it does not name does not exist.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::HistoryError;
use crate::objects::{NumberedObjects, Objects};
use crate::parquet::WrittenFile;

/// The version of the manifests' format that this build writes and reads.
pub const FORMAT_VERSION: u64 = 1;
const MANIFEST_FOLDER: &str = "_manifests";

/// A visible file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Relative to the folder `parquet`.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Its first epoch, in ms.
    pub epoch_first: i64,
    /// Its last epoch, in ms.
    pub epoch_last: i64,
    /// How often its rows were merged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub merges: u32,
    /// The input that it holds whole, of a file of the input archive; by topic and partition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offsets: Vec<OffsetRange>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Neighbouring offsets of one input partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OffsetRange {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// First offset.
    pub first: u64,
    /// Offset after the last.
    pub next: u64,
}

impl OffsetRange {
    /// The same offsets in as few ranges as they need, in order.
    pub fn joined(ranges: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut ranges: Vec<Self> = ranges.into_iter().collect();
        ranges.sort();
        let mut joined: Vec<Self> = Vec::new();
        for range in ranges {
            match joined.last_mut().filter(|last| last.shares_partition(&range)) {
                Some(last) if last.next >= range.first => last.next = last.next.max(range.next),
                _ => joined.push(range),
            }
        }
        joined
    }

    /// Whether both are of one partition.
    fn shares_partition(&self, other: &Self) -> bool {
        (self.topic.as_str(), self.partition) == (other.topic.as_str(), other.partition)
    }

    /// Whether both have an offset of one partition in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.shares_partition(other) && self.first < other.next && other.first < self.next
    }

    /// What of this range none of `others` holds; the first such part.
    pub fn missing_from(&self, others: &[Self]) -> Option<Self> {
        let own = Self::joined(others.iter().filter(|other| self.shares_partition(other)).cloned());
        let mut rest = self.clone();
        for other in &own {
            if other.first > rest.first {
                break;
            }
            rest.first = rest.first.max(other.next);
        }
        if rest.first >= rest.next {
            return None;
        }
        let end = own.iter().map(|other| other.first).find(|first| *first > rest.first);
        rest.next = rest.next.min(end.unwrap_or(rest.next));
        Some(rest)
    }
}

impl std::fmt::Display for OffsetRange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{} [{}, {})", self.topic, self.partition, self.first, self.next)
    }
}

/// All files of all tables that are visible, up to one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format_version: u64,
    /// From 1 on, without gaps.
    pub number: u64,
    /// Who wrote it: one run of one instance.
    pub incarnation: String,
    /// History is complete up to this epoch, in ms.
    pub epoch_last: i64,
    /// The settings under which it was computed; opaque here.
    pub settings: serde_json::Value,
    /// The files of each table, in the order in which they were added. A table without files may be listed.
    pub tables: BTreeMap<String, Vec<ManifestFile>>,
}

impl Manifest {
    /// The first manifest of a history: number 1, without files.
    pub fn first(incarnation: &str, epoch_last: i64, settings: serde_json::Value) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            number: 1,
            incarnation: incarnation.to_owned(),
            epoch_last,
            settings,
            tables: BTreeMap::new(),
        }
    }

    /// The manifest after this one, with its files and settings, for the caller to add to.
    #[must_use]
    pub fn next(&self, incarnation: &str, epoch_last: i64) -> Self {
        Self { number: self.number + 1, incarnation: incarnation.to_owned(), epoch_last, ..self.clone() }
    }

    /// Makes a written file visible, once this manifest is published.
    pub fn add(&mut self, table: &str, epoch_first: i64, epoch_last: i64, file: WrittenFile) {
        let WrittenFile { path, rows, bytes } = file;
        let file = ManifestFile { path, rows, bytes, epoch_first, epoch_last, merges: 0, offsets: Vec::new() };
        self.tables.entry(table.to_owned()).or_default().push(file);
    }

    /// The latest manifest in `store`.
    ///
    /// # Errors
    /// [`HistoryError::NoManifest`] if there is none; otherwise if the store cannot be read, or if the manifest is damaged
    /// or of another format version.
    pub fn latest(store: &Objects) -> Result<Self, HistoryError> {
        let manifests = manifests(store);
        match manifests.highest()? {
            Some(number) => Self::load(store, number),
            None => Err(HistoryError::NoManifest { path: manifests.place() }),
        }
    }

    /// Publishes this manifest, unless its number or a higher one is taken. All files it names become visible at once.
    /// Publishing the very same manifest again is no error, so a lost answer can be asked for again.
    ///
    /// # Errors
    /// [`HistoryError::Fenced`] if another writer was first; otherwise if the store cannot be read or written.
    pub fn publish(&self, store: &Objects) -> Result<(), HistoryError> {
        let manifests = manifests(store);
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|source| HistoryError::ManifestDamaged { path: manifests.place_of(self.number), source })?;
        json.push(b'\n');
        match manifests.take(self.number, &Bytes::from(json))? {
            None => Ok(()),
            Some(taken) => Err(HistoryError::Fenced { number: taken, by: Self::load(store, taken)?.incarnation }),
        }
    }

    pub(super) fn load(store: &Objects, number: u64) -> Result<Self, HistoryError> {
        /// The only field that every version has.
        #[derive(Deserialize)]
        struct Version {
            format_version: u64,
        }
        let manifests = manifests(store);
        let json = manifests.get(number)?;
        let damaged = |source| HistoryError::ManifestDamaged { path: manifests.place_of(number), source };
        let Version { format_version: found } = serde_json::from_slice(&json).map_err(damaged)?;
        if found != FORMAT_VERSION {
            return Err(HistoryError::ManifestVersion {
                path: manifests.place_of(number),
                found,
                supported: FORMAT_VERSION,
            });
        }
        serde_json::from_slice(&json).map_err(damaged)
    }
}

pub(super) fn manifests(store: &Objects) -> NumberedObjects {
    NumberedObjects::new(store, MANIFEST_FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn store() -> (tempfile::TempDir, Objects, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let store = Objects::scratch_folder(folder.path()).unwrap().below(super::super::FOLDER);
        let manifests = folder.path().join("parquet/_manifests");
        (folder, store, manifests)
    }

    fn manifest(incarnation: &str) -> Manifest {
        let mut manifest = Manifest::first(incarnation, 1_772_323_200_000, serde_json::json!({"epoch_width_ms": 1000}));
        let file =
            WrittenFile { path: "leads/epoch_day=2026-03-01/50-99.parquet".to_owned(), rows: 1_234, bytes: 5_678 };
        manifest.add("leads", 50, 99, file);
        manifest.tables.insert("deals".to_owned(), Vec::new());
        manifest
    }

    #[test]
    fn ranges_are_joined_and_what_is_missing_is_named() {
        let range = |first, next| OffsetRange { topic: "leads".into(), partition: 0, first, next };
        let joined = OffsetRange::joined([range(10, 20), range(0, 5), range(5, 10), range(30, 40)]);
        assert_eq!(joined, [range(0, 20), range(30, 40)]);
        assert_eq!(range(2, 20).missing_from(&joined), None);
        assert_eq!(range(2, 35).missing_from(&joined), Some(range(20, 30)));
        assert_eq!(range(25, 50).missing_from(&joined), Some(range(25, 30)));
        assert_eq!(range(38, 50).missing_from(&joined), Some(range(40, 50)));
        assert_eq!(
            OffsetRange { partition: 1, ..range(0, 1) }.missing_from(&joined).unwrap().to_string(),
            "leads/1 [0, 1)"
        );
    }

    #[test]
    fn the_format_is_golden() {
        let (_folder, store, manifests) = store();
        manifest("run-1").publish(&store).unwrap();
        let written = std::fs::read_to_string(manifests.join("00000000000000000001.json")).unwrap();
        assert_eq!(
            written,
            r#"{
  "format_version": 1,
  "number": 1,
  "incarnation": "run-1",
  "epoch_last": 1772323200000,
  "settings": {
    "epoch_width_ms": 1000
  },
  "tables": {
    "deals": [],
    "leads": [
      {
        "path": "leads/epoch_day=2026-03-01/50-99.parquet",
        "rows": 1234,
        "bytes": 5678,
        "epoch_first": 50,
        "epoch_last": 99
      }
    ]
  }
}
"#
        );
    }

    #[test]
    fn the_latest_is_found_among_strangers() {
        let (_folder, store, manifests) = store();
        let first = manifest("run-1");
        first.publish(&store).unwrap();
        let mut latest = first;
        for epoch in 0..11 {
            latest = latest.next("run-1", epoch);
            latest.publish(&store).unwrap();
        }
        std::fs::write(manifests.join("99.json"), b"{}").unwrap();
        std::fs::write(manifests.join("00000000000000000099.json.bak"), b"{}").unwrap();
        assert_eq!(Manifest::latest(&store).unwrap(), latest);
        assert_eq!(latest.number, 12);
    }

    #[test]
    fn a_number_that_is_taken_fences_the_second_writer() {
        let (_folder, store, _) = store();
        let first = manifest("run-1");
        first.publish(&store).unwrap();
        first.publish(&store).unwrap();
        first.next("run-1", 7).publish(&store).unwrap();
        let error = first.next("run-2", 7).publish(&store).unwrap_err();
        assert!(matches!(&error, HistoryError::Fenced { number: 2, by } if by == "run-1"), "{error}");
        assert!(!error.is_retriable());
        assert_eq!(Manifest::latest(&store).unwrap().incarnation, "run-1");
    }

    #[test]
    fn a_number_below_the_highest_is_fenced_even_if_it_is_free() {
        let (_folder, store, manifests) = store();
        let stale = manifest("run-1");
        let current = stale.next("run-2", 1).next("run-2", 2);
        current.publish(&store).unwrap();
        let error = stale.publish(&store).unwrap_err();
        assert!(matches!(&error, HistoryError::Fenced { number: 3, by } if by == "run-2"), "{error}");
        assert!(!manifests.join("00000000000000000001.json").exists());
    }

    #[test]
    fn of_two_writers_at_once_one_wins() {
        let (_folder, store, _) = store();
        let results: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|writer| {
                    let store = store.clone();
                    scope.spawn(move || manifest(&format!("run-{writer}")).publish(&store))
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let winner = Manifest::latest(&store).unwrap().incarnation;
        for error in results.into_iter().filter_map(Result::err) {
            assert!(matches!(&error, HistoryError::Fenced { number: 1, by } if *by == winner), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_words() {
        let (_folder, store, manifests) = store();
        let none = Manifest::latest(&store).unwrap_err();
        assert!(matches!(none, HistoryError::NoManifest { .. }));
        assert!(none.to_string().contains("parquet/_manifests holds no manifest"), "{none}");

        std::fs::create_dir_all(&manifests).unwrap();
        let write =
            |number: u64, json: &str| std::fs::write(manifests.join(format!("{number:020}.json")), json).unwrap();
        write(1, r#"{"format_version": 2, "shape": "unknown"}"#);
        let version = Manifest::latest(&store).unwrap_err();
        assert!(matches!(version, HistoryError::ManifestVersion { found: 2, supported: 1, .. }), "{version}");
        write(2, "{\"format_ver");
        let damaged = Manifest::latest(&store).unwrap_err();
        assert!(matches!(damaged, HistoryError::ManifestDamaged { .. }), "{damaged}");
        assert!(damaged.to_string().contains("00000000000000000002.json"), "{damaged}");
    }
}
