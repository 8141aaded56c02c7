//! Reads what has expired in the log from the input archive, and everything else from the log.
//!
//! ```text
//!   partition   [ 6 … 99 ) expired, recorded      [ 99 … ) in the log
//!               files of the archive, one by one  the log's reader, paused until those are through
//! ```
//! The feeder sees one reader. Records of a partition come in the order of their offsets, exactly those of the ranges that the plan
//! names. One file is held at a time: the next one is read when all records of it are handed out, and as files lie in the order of
//! their epochs, no partition waits for another longer than recovery wants it to.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use arrow::array::{Array, BinaryArray, Int64Array, RecordBatch as Rows, StringArray, TimestampMillisecondArray};
use connectors::HistoryError;
use connectors::log::{
    LogError, LogReader, PartitionProgress, PartitionSlot, PartitionStart, PollLimits, RecordBatch, StartOffset,
    TopicPartition,
};
use connectors::objects::Objects;
use connectors::parquet::compaction::read_file;
use connectors::parquet::{Manifest, ManifestFile, OffsetRange};
use operators::domain::tables::ARCHIVE;

use super::binding::InputRange;

/// When a store that failed for now is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

fn offset_range(range: &InputRange) -> OffsetRange {
    OffsetRange { topic: range.topic.clone(), partition: range.partition, first: range.first, next: range.next }
}

/// The files of the archive that the latest manifest names.
fn archived_files(history: &Objects) -> Result<Vec<ManifestFile>, HistoryError> {
    match Manifest::latest(history) {
        Ok(mut manifest) => Ok(manifest.tables.remove(ARCHIVE.name).unwrap_or_default()),
        Err(HistoryError::NoManifest { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The first part of `ranges` that the archive does not hold.
///
/// # Errors
/// If the manifest cannot be read.
pub fn missing_in_archive(history: &Objects, ranges: &[InputRange]) -> Result<Option<InputRange>, HistoryError> {
    let held: Vec<OffsetRange> = archived_files(history)?.into_iter().flat_map(|file| file.offsets).collect();
    Ok(ranges.iter().find_map(|range| {
        let missing = offset_range(range).missing_from(&held)?;
        Some(InputRange { first: missing.first, next: missing.next, ..range.clone() })
    }))
}

/// A store that fails for now is a log that does.
fn unreadable(error: &HistoryError) -> LogError {
    let (what, reason) = ("reading the input archive".to_owned(), error.to_string());
    if error.is_retriable() {
        LogError::Busy { what, reason, retry_after: RETRY_AFTER }
    } else {
        LogError::Refused { what, reason }
    }
}

/// Records of one partition in the file that is held.
#[derive(Default)]
struct Held {
    /// Batch and row of each that is left.
    rows: VecDeque<(u32, u32)>,
    /// Whether the feeder wants nothing of it for now.
    is_paused: bool,
}

/// A partition that begins in the archive.
struct ArchivedPartition {
    slot: PartitionSlot,
    range: OffsetRange,
    held: Held,
}

/// The reader.
pub struct ArchiveReader {
    log: Box<dyn LogReader>,
    history: Objects,
    archived: Vec<InputRange>,
    /// Files that are still to be read, in the order of their epochs.
    files: VecDeque<ManifestFile>,
    file: Vec<Columns>,
    partitions: Vec<TopicPartition>,
    reading: Vec<ArchivedPartition>,
}

/// The columns of a batch.
struct Columns {
    offsets: Int64Array,
    received: TimestampMillisecondArray,
    payloads: BinaryArray,
}

impl ArchiveReader {
    /// Reads `archived` from the archive in `history`, and what follows from `log`.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn new(log: Box<dyn LogReader>, history: Objects, archived: Vec<InputRange>) -> Result<Self, HistoryError> {
        let wanted: Vec<OffsetRange> = archived.iter().map(offset_range).collect();
        let is_wanted =
            |file: &ManifestFile| file.offsets.iter().any(|held| wanted.iter().any(|own| own.overlaps(held)));
        let mut files: Vec<ManifestFile> = archived_files(&history)?.into_iter().filter(is_wanted).collect();
        files.sort_by_key(|file| file.epoch_first);
        Ok(ArchiveReader {
            log,
            history,
            archived,
            files: files.into(),
            file: Vec::new(),
            partitions: Vec::new(),
            reading: Vec::new(),
        })
    }

    /// Reads the next file and says which of its records are wanted.
    fn next_file(&mut self) -> Result<(), LogError> {
        let Some(file) = self.files.front() else { return Ok(()) };
        let batches = read_file(&self.history, ARCHIVE.name, &file.path).map_err(|error| unreadable(&error))?;
        let foreign = || LogError::Refused {
            what: format!("reading {} of the input archive", file.path),
            reason: "its columns are not those of the archive".to_owned(),
        };
        self.file.clear();
        for (number, batch) in batches.iter().enumerate() {
            let columns = Columns::of(batch).ok_or_else(foreign)?;
            let (topics, partitions) = place_columns(batch).ok_or_else(foreign)?;
            for row in 0..batch.num_rows() {
                let (topic, partition, offset) =
                    (topics.value(row), partitions.value(row) as u32, columns.offsets.value(row) as u64);
                let own = self.reading.iter_mut().find(|own| {
                    own.range.topic == topic
                        && own.range.partition == partition
                        && (own.range.first..own.range.next).contains(&offset)
                });
                if let Some(own) = own {
                    own.held.rows.push_back((number as u32, row as u32));
                }
            }
            self.file.push(columns);
        }
        self.files.pop_front();
        Ok(())
    }

    /// Hands partitions over to the log when the archive has no more that is wanted of them. A later file that has only what the log
    /// has too must not hold one back: it may wait for others, and they for this one.
    fn hand_over(&mut self) -> Result<(), LogError> {
        let files = &self.files;
        let is_through = |own: &ArchivedPartition| {
            let comes = |file: &ManifestFile| file.offsets.iter().any(|held| own.range.overlaps(held));
            own.held.rows.is_empty() && !files.iter().any(comes)
        };
        let (through, reading) = std::mem::take(&mut self.reading).into_iter().partition(is_through);
        self.reading = reading;
        let through: Vec<ArchivedPartition> = through;
        for own in through {
            if !own.held.is_paused {
                self.log.resume(&[own.slot])?;
            }
        }
        Ok(())
    }

    fn fill(&mut self, limits: PollLimits, batch: &mut RecordBatch) {
        for own in self.reading.iter_mut().filter(|own| !own.held.is_paused) {
            while batch.has_room(limits) {
                let Some((number, row)) = own.held.rows.pop_front() else { break };
                let (columns, row) = (&self.file[number as usize], row as usize);
                let payload = columns.payloads.is_valid(row).then(|| columns.payloads.value(row));
                let (offset, received) = (columns.offsets.value(row) as u64, columns.received.value(row));
                batch.push(own.slot, offset, received, None, payload, []);
            }
        }
    }

    /// Where the log is to begin, and which slots the archive has first.
    fn take_over(&mut self, starts: &[PartitionStart], first_slot: usize) -> Vec<PartitionStart> {
        let mut from_log = starts.to_vec();
        for (index, start) in from_log.iter_mut().enumerate() {
            let place = &start.topic_partition;
            let is_own = |range: &&InputRange| range.topic == *place.topic && range.partition == place.partition;
            let Some(range) = self.archived.iter().find(is_own) else { continue };
            start.from = StartOffset::At(range.next);
            let slot = PartitionSlot((first_slot + index) as u32);
            self.reading.push(ArchivedPartition { slot, range: offset_range(range), held: Held::default() });
        }
        self.partitions.extend(starts.iter().map(|start| start.topic_partition.clone()));
        from_log
    }

    fn archived_slots(&self, first_slot: usize) -> Vec<PartitionSlot> {
        self.reading.iter().map(|own| own.slot).filter(|slot| slot.index() >= first_slot).collect()
    }

    /// Sets whether the feeder wants a partition; those that the archive does not have are left.
    fn set_paused(&mut self, slots: &[PartitionSlot], is_paused: bool) -> Vec<PartitionSlot> {
        let mut rest: BTreeSet<PartitionSlot> = slots.iter().copied().collect();
        for own in &mut self.reading {
            if rest.remove(&own.slot) {
                own.held.is_paused = is_paused;
            }
        }
        rest.into_iter().collect()
    }
}

impl Columns {
    fn of(batch: &Rows) -> Option<Self> {
        Some(Columns {
            offsets: batch.column_by_name("log_offset")?.as_any().downcast_ref::<Int64Array>()?.clone(),
            received: batch
                .column_by_name("received_at")?
                .as_any()
                .downcast_ref::<TimestampMillisecondArray>()?
                .clone(),
            payloads: batch.column_by_name("payload")?.as_any().downcast_ref::<BinaryArray>()?.clone(),
        })
    }
}

fn place_columns(batch: &Rows) -> Option<(&StringArray, &Int64Array)> {
    Some((
        batch.column_by_name("topic")?.as_any().downcast_ref()?,
        batch.column_by_name("log_partition")?.as_any().downcast_ref()?,
    ))
}

impl LogReader for ArchiveReader {
    fn assign(&mut self, starts: &[PartitionStart]) -> Result<(), LogError> {
        self.reading.clear();
        self.partitions.clear();
        let from_log = self.take_over(starts, 0);
        self.log.assign(&from_log)?;
        self.log.pause(&self.archived_slots(0))
    }

    fn assign_more(&mut self, starts: &[PartitionStart]) -> Result<(), LogError> {
        let first = self.partitions.len();
        let from_log = self.take_over(starts, first);
        self.log.assign_more(&from_log)?;
        self.log.pause(&self.archived_slots(first))
    }

    fn poll(&mut self, timeout: Duration, limits: PollLimits, batch: &mut RecordBatch) -> Result<(), LogError> {
        batch.begin(&self.partitions);
        while !self.reading.is_empty() {
            self.fill(limits, batch);
            if !batch.is_empty() {
                return self.hand_over();
            }
            // The next file has to wait for every record of this one.
            if self.files.is_empty() || self.reading.iter().any(|own| !own.held.rows.is_empty()) {
                break;
            }
            self.next_file()?;
        }
        self.hand_over()?;
        self.log.poll(timeout, limits, batch)
    }

    fn pause(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError> {
        let rest = self.set_paused(slots, true);
        if rest.is_empty() { Ok(()) } else { self.log.pause(&rest) }
    }

    fn resume(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError> {
        let rest = self.set_paused(slots, false);
        if rest.is_empty() { Ok(()) } else { self.log.resume(&rest) }
    }

    fn progress(&self, slot: PartitionSlot) -> Option<PartitionProgress> {
        self.log.progress(slot)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use connectors::parquet::Manifest;
    use operators::domain::batch::{RawBytes, Span};
    use operators::domain::event::Topic;

    use super::super::archive::Archive;
    use super::super::binding::{Binding, InputPartition};
    use super::super::records::{ChunkRecord, RecordChunk};
    use super::*;

    /// A log that gives nothing, and says which of its partitions are paused.
    struct Silent(Arc<Mutex<BTreeSet<PartitionSlot>>>);

    impl LogReader for Silent {
        fn assign(&mut self, _: &[PartitionStart]) -> Result<(), LogError> {
            Ok(())
        }

        fn assign_more(&mut self, _: &[PartitionStart]) -> Result<(), LogError> {
            Ok(())
        }

        fn poll(&mut self, _: Duration, _: PollLimits, _: &mut RecordBatch) -> Result<(), LogError> {
            Ok(())
        }

        fn pause(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError> {
            self.0.lock().unwrap().extend(slots);
            Ok(())
        }

        fn resume(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError> {
            self.0.lock().unwrap().retain(|slot| !slots.contains(slot));
            Ok(())
        }

        fn progress(&self, _: PartitionSlot) -> Option<PartitionProgress> {
            None
        }
    }

    fn range((topic, first, next): (Topic, u64, u64)) -> InputRange {
        InputRange { topic: topic.name().into(), partition: 0, first, next }
    }

    fn chunk((topic, first, next): (Topic, u64, u64)) -> RecordChunk {
        let record = |offset| ChunkRecord { payload: Span { start: 0, length: 2 }, offset, timestamp_ms: 7 };
        RecordChunk {
            partition: InputPartition { topic, partition: 0 },
            raw: RawBytes(Arc::new(b"{}".to_vec())),
            records: (first..next).map(record).collect(),
        }
    }

    /// One file for each epoch.
    fn archived(epochs: &[&[(Topic, u64, u64)]]) -> Objects {
        let history = Objects::memory();
        let mut manifest = Manifest::first("one", 0, serde_json::json!(null));
        for (number, ranges) in epochs.iter().enumerate() {
            let inputs = ranges.iter().copied().map(range).collect();
            let binding = Binding { epoch: number as i64, inputs, ..Binding::default() };
            let mut archive = Archive::new(history.clone());
            archive.add(&binding, ranges.iter().copied().map(chunk).collect());
            manifest.tables.entry(ARCHIVE.name.into()).or_default().extend(archive.write_all().unwrap());
        }
        manifest.publish(&history).unwrap();
        history
    }

    fn poll(reader: &mut ArchiveReader) -> Vec<(u32, u64)> {
        let mut batch = RecordBatch::default();
        let limits = PollLimits { records_max: 100, bytes_max: 1_000 };
        reader.poll(Duration::ZERO, limits, &mut batch).unwrap();
        batch.records().map(|(slot, record)| (slot.0, record.offset)).collect()
    }

    #[test]
    fn a_partition_goes_on_in_the_log_while_another_is_held_back_in_the_archive() {
        let (leads, deals) = (Topic::Leads, Topic::Deals);
        let history = archived(&[&[(leads, 0, 2), (deals, 0, 3)], &[(leads, 2, 4), (deals, 3, 6)]]);
        let expired = vec![range((leads, 0, 2)), range((deals, 0, 5))];
        let paused = Arc::new(Mutex::new(BTreeSet::new()));
        let mut reader = ArchiveReader::new(Box::new(Silent(Arc::clone(&paused))), history, expired).unwrap();
        let start = |topic: Topic| PartitionStart {
            topic_partition: TopicPartition::new(topic.name(), 0),
            from: StartOffset::At(0),
            topic_id: None,
        };
        reader.assign(&[start(leads), start(deals)]).unwrap();
        // Deals are far enough ahead, and lie in the second file, too; leads are wanted, and the rest of them lies in the log.
        reader.pause(&[PartitionSlot(1)]).unwrap();
        assert_eq!(poll(&mut reader), [(0, 0), (0, 1)]);
        assert_eq!(*paused.lock().unwrap(), BTreeSet::from([PartitionSlot(1)]), "leads go on in the log");
        reader.resume(&[PartitionSlot(1)]).unwrap();
        assert_eq!(poll(&mut reader), [(1, 0), (1, 1), (1, 2)]);
        assert_eq!(poll(&mut reader), [(1, 3), (1, 4)], "what the log has is not read twice");
        assert!(paused.lock().unwrap().is_empty());
    }
}
