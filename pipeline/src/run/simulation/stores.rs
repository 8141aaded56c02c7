//! The simulated stores of history and checkpoints, and what must hold of what lies in them.
//!
//! ```text
//!   topic `epochs`  ≥  latest manifest of the history  ≥  newest whole checkpoint          at every moment
//!   every record of an epoch in the history lies in the archive, once, as the log held it; a reader finds every file it began with
//! ```

use std::collections::BTreeMap;

use arrow::array::{Array, BinaryArray, Int64Array, RecordBatch, StringArray};
use connectors::checkpoints::CheckpointManifest;
use connectors::log::TopicPartition;
use connectors::objects::Objects;
use connectors::parquet::compaction::read_file;
use connectors::parquet::{Manifest, OffsetRange};
use connectors::testing::faulty_objects::{FaultyObjects, ObjectDefect, ObjectFaults};
use connectors::{HistoryError, checkpoints, parquet};
use operators::domain::tables::{ARCHIVE, TableId};

use super::super::historian::NOTHING_EPOCH;
use super::log::SimulatedLog;
use super::truth::Truth;
use crate::simulate::random::Random;

/// How long a reader of the history may take, in milliseconds of the simulation.
pub(super) const READING_MS: i64 = 2_000;

/// A reader that began with a manifest.
struct ReaderOfHistory {
    manifest: Manifest,
    began_ms: i64,
}

/// Both stores, in one that fails by chance.
pub(super) struct Stores {
    faulty: FaultyObjects,
    reader: Option<ReaderOfHistory>,
}

impl Stores {
    pub(super) fn new(seed: u64, defect: ObjectDefect) -> Self {
        Stores { faulty: FaultyObjects::new(seed, defect), reader: None }
    }

    pub(super) fn history(&self) -> Objects {
        self.faulty.objects().below(parquet::FOLDER)
    }

    pub(super) fn checkpoints(&self) -> Objects {
        self.faulty.objects().below(checkpoints::FOLDER)
    }

    pub(super) fn set_now(&self, now_ms: i64) {
        self.faulty.set_now(now_ms);
    }

    /// Chances for a while: some quiet, some wild, some of a full disk.
    pub(super) fn change_faults(&self, random: &mut Random) {
        let mut up_to = |most: f64| if random.chance(0.4) { 0.0 } else { random.range(0.0, most) };
        let (refused, unanswered, read) = (up_to(0.3), up_to(0.2), up_to(0.1));
        self.faulty.set_faults(ObjectFaults { refused, unanswered, read, is_full: random.chance(0.05) });
    }

    pub(super) fn heal(&self) {
        self.faulty.set_faults(ObjectFaults::default());
    }

    fn manifest(&self) -> Result<Option<Manifest>, String> {
        match Manifest::latest(&self.faulty.without_faults().below(parquet::FOLDER)) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(HistoryError::NoManifest { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The offsets that the archive holds.
    pub(super) fn archived(&self) -> Result<Vec<OffsetRange>, String> {
        let files = self.manifest()?.and_then(|mut manifest| manifest.tables.remove(ARCHIVE.name));
        Ok(OffsetRange::joined(files.into_iter().flatten().flat_map(|file| file.offsets)))
    }

    /// A reader begins, if none is reading.
    pub(super) fn begin_reading(&mut self, now_ms: i64) -> Result<(), String> {
        if self.reader.is_none() {
            self.reader = self.manifest()?.map(|manifest| ReaderOfHistory { manifest, began_ms: now_ms });
        }
        Ok(())
    }

    /// A reader that has not taken longer than it may finds every file.
    pub(super) fn end_reading(&mut self, now_ms: i64) -> Result<(), String> {
        let Some(ReaderOfHistory { manifest, began_ms }) = self.reader.take() else { return Ok(()) };
        if now_ms - began_ms >= READING_MS {
            return Ok(());
        }
        let store = self.faulty.without_faults().below(parquet::FOLDER);
        for file in manifest.tables.values().flatten() {
            store
                .get(&file.path)
                .map_err(|error| format!("a reader began {} ms ago, and {error}", now_ms - began_ms))?;
        }
        Ok(())
    }

    /// Neither store is ahead of what it stands on, or written by an instance before the one in power.
    pub(super) fn check(&self, truth: &Truth, power: u64) -> Result<(), String> {
        let manifest = self.manifest()?;
        let by = |incarnation: &str| incarnation.rsplit(' ').next().and_then(|run| run.parse::<u64>().ok());
        if manifest.as_ref().is_some_and(|manifest| by(&manifest.incarnation) < Some(power)) {
            return Err(format!("history was written by an instance before {power}, which took it over"));
        }
        let visible = manifest.map(|manifest| manifest.epoch_last).filter(|epoch| *epoch != NOTHING_EPOCH);
        if visible > truth.last_epoch() {
            return Err(format!("history shows epoch {visible:?}, and {:?} is committed", truth.last_epoch()));
        }
        let store = self.faulty.without_faults().below(checkpoints::FOLDER);
        let (latest, skipped) = CheckpointManifest::latest(&store).map_err(|error| error.to_string())?;
        if let Some(skipped) = skipped.first() {
            return Err(format!("checkpoint {} is damaged: {}", skipped.number, skipped.error));
        }
        if latest.as_ref().is_some_and(|latest| by(&latest.incarnation) < Some(power)) {
            return Err(format!("a checkpoint was written by an instance before {power}, which took them over"));
        }
        let epoch = latest.and_then(|latest| latest.epoch);
        if epoch > visible {
            return Err(format!("a checkpoint stands at epoch {epoch:?}, and history shows {visible:?}"));
        }
        Ok(())
    }

    /// Holds history and archive against the truth, once all is committed and written.
    pub(super) fn check_whole(&self, truth: &Truth, log: &SimulatedLog) -> Result<(), String> {
        let Some(manifest) = self.manifest()?.filter(|manifest| manifest.epoch_last != NOTHING_EPOCH) else {
            return if truth.last_epoch().is_none() { Ok(()) } else { Err("there is no history".into()) };
        };
        if Some(manifest.epoch_last) != truth.last_epoch() {
            return Err(format!(
                "history ends with epoch {}, the log with {:?}",
                manifest.epoch_last,
                truth.last_epoch()
            ));
        }
        let store = self.faulty.without_faults().below(parquet::FOLDER);
        let batches = |table: &str| -> Result<Vec<RecordBatch>, String> {
            let files = manifest.tables.get(table).map(Vec::as_slice).unwrap_or_default();
            let batches =
                files.iter().map(|file| read_file(&store, table, &file.path).map_err(|error| error.to_string()));
            Ok(batches.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        };
        for table in TableId::ALL.into_iter().filter(|table| *table != TableId::Epochs) {
            let mut versions: BTreeMap<i64, usize> = BTreeMap::new();
            for batch in batches(table.table().name)? {
                let epochs = column::<Int64Array>(&batch, "epoch")?;
                epochs.values().iter().for_each(|epoch| *versions.entry(*epoch).or_default() += 1);
            }
            if let Some((epoch, expected, found)) = truth.differing_versions(table, &versions) {
                return Err(format!(
                    "history has {found} versions of {} in epoch {epoch} of {expected}",
                    table.table().name
                ));
            }
        }
        check_archive(&batches(ARCHIVE.name)?, truth, log)
    }
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T, String> {
    let column = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref());
    column.ok_or_else(|| format!("the column {name} is missing"))
}

/// Every record of every epoch, once, with its epoch and bytes.
fn check_archive(batches: &[RecordBatch], truth: &Truth, log: &SimulatedLog) -> Result<(), String> {
    type Place = (String, u32, u64);
    let mut archived: BTreeMap<Place, (i64, Vec<u8>)> = BTreeMap::new();
    for batch in batches {
        let topics = column::<StringArray>(batch, "topic")?;
        let (partitions, offsets) =
            (column::<Int64Array>(batch, "log_partition")?, column::<Int64Array>(batch, "log_offset")?);
        let (payloads, epochs) = (column::<BinaryArray>(batch, "payload")?, column::<Int64Array>(batch, "epoch")?);
        for row in 0..batch.num_rows() {
            let place = (topics.value(row).to_owned(), partitions.value(row) as u32, offsets.value(row) as u64);
            let held = (epochs.value(row), payloads.value(row).to_vec());
            if archived.insert(place.clone(), held).is_some() {
                return Err(format!("{place:?} stands twice in the archive"));
            }
        }
    }
    let storage = log.storage();
    for binding in truth.committed() {
        for range in &binding.inputs {
            let place = TopicPartition::new(range.topic.as_str(), range.partition);
            for record in storage.committed(&place, range.first).take_while(|record| record.offset < range.next) {
                let key = (range.topic.clone(), range.partition, record.offset);
                if archived.remove(&key) != Some((binding.epoch, record.payload.clone())) {
                    return Err(format!("{key:?} of epoch {} is not in the archive as it was", binding.epoch));
                }
            }
        }
    }
    match archived.keys().next() {
        Some(place) => Err(format!("the archive holds {place:?}, which belongs to no epoch")),
        None => Ok(()),
    }
}
