//! Writes durable epochs into the history: Parquet files, made visible by one manifest at a time.
//!
//! ```text
//!   Published ─▶ rows by (day, table), records ─(interval, or much is kept)─▶ files ─▶ manifest n+1: visible up to its epoch
//!                 └─ epochs that the history holds already are skipped: a restart brings them again
//!   after each manifest: small files are merged for the next one, and what nobody can be reading any more goes
//! ```
//! History lags behind the log and never leads it. What could not be written is kept and written again. Whoever opens the history
//! takes the next manifest's number at once: a writer before it finds that out with its next manifest, and ends.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use connectors::HistoryError;
use connectors::objects::Objects;
use connectors::parquet::{ColumnHints, Manifest, ManifestFile, ParquetSink, clean_up, compaction};
use operators::domain::rows::{Cell, RowBatch, RowChange};
use operators::domain::tables::{ARCHIVE, TableId};

use super::archive::Archive;
use super::commits::Published;
use crate::arrow_rows::RowSlice;
use crate::sinks::parquet::{DayWriter, TableFile, hints_of};

/// Rows that are kept before they are written, at most; beyond, they are written before the interval is over.
const ROWS_MAX: usize = 500_000;
/// Up to where a history is complete that holds nothing yet.
pub const NOTHING_EPOCH: i64 = 0;
/// Merges of small files after each manifest, at most.
const MERGES_MAX: usize = 4;

/// Settings of the historian.
#[derive(Clone, Debug)]
pub struct HistorianSettings {
    /// Who writes: one run of one instance.
    pub incarnation: String,
    /// What decided results, for the manifest.
    pub settings: serde_json::Value,
    /// What is kept before it is written, in bytes, at most; beyond, it is written before the interval is over.
    pub bytes_max: u64,
    /// How long input records are kept in the archive, in milliseconds; none are without.
    pub archive_retention_ms: Option<i64>,
    /// How long a reader may take, in milliseconds: files that it began with stay for so long.
    pub reading_ms: i64,
}

/// Files that were merged and stand in the next manifest in their parts' place.
struct Merged {
    table: String,
    parts: Vec<ManifestFile>,
    file: ManifestFile,
}

/// The history of a running pipeline.
pub struct Historian {
    store: Objects,
    settings: HistorianSettings,
    manifest: Manifest,
    writer: DayWriter,
    archive: Option<Archive>,
    sink: ParquetSink,
    merged: Vec<Merged>,
    rows: usize,
    bytes: u64,
    epoch_last: Option<i64>,
}

impl Historian {
    /// Goes on with what the store holds, and fences whoever wrote it before.
    ///
    /// # Errors
    /// If the store cannot be read or written, or another instance opens it at the same time ([`HistoryError::Fenced`]).
    pub fn open(store: Objects, settings: HistorianSettings) -> Result<Self, HistoryError> {
        let manifest = match Manifest::latest(&store) {
            Ok(manifest) => manifest.next(&settings.incarnation, manifest.epoch_last),
            Err(HistoryError::NoManifest { .. }) => {
                Manifest::first(&settings.incarnation, NOTHING_EPOCH, settings.settings.clone())
            }
            Err(error) => return Err(error),
        };
        manifest.publish(&store)?;
        Ok(Historian {
            manifest,
            writer: DayWriter::new(store.clone()),
            archive: settings.archive_retention_ms.map(|_| Archive::new(store.clone())),
            sink: ParquetSink::new(store.clone()),
            merged: Vec::new(),
            rows: 0,
            bytes: 0,
            epoch_last: None,
            store,
            settings,
        })
    }

    /// What is visible.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The epoch up to which history is visible.
    pub fn visible_through(&self) -> i64 {
        self.manifest.epoch_last
    }

    /// Takes on an epoch's rows and records, unless history holds them.
    pub fn add(&mut self, published: &mut Published) {
        let epoch = published.binding.epoch;
        if epoch <= self.visible_through() {
            return;
        }
        self.bytes += published.size_bytes();
        for (table, slice) in &published.output.rows {
            self.rows += slice.range.len();
            self.writer.add(*table, epoch, slice.clone());
        }
        if let Some(archive) = &mut self.archive {
            archive.add(&published.binding, std::mem::take(&mut published.records));
        }
        self.epoch_last = Some(epoch);
    }

    /// Whether so much is kept that it should be written now.
    pub fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX || self.bytes >= self.settings.bytes_max
    }

    /// Whether all is written.
    pub fn is_written(&self) -> bool {
        self.epoch_last.is_none()
    }

    /// Writes what is kept and makes it visible. After an error all of it is still kept, and so it is when the answer to a manifest was
    /// lost that is there all the same: the next call finds it to be our own.
    ///
    /// # Errors
    /// If the store cannot be written, or another instance writes it ([`HistoryError::Fenced`]).
    pub fn write(&mut self) -> Result<(), HistoryError> {
        match self.write_once() {
            Err(HistoryError::Fenced { by, .. }) if by == self.settings.incarnation => {
                let own = Manifest::latest(&self.store)?;
                self.made_visible(own);
                self.write_once()
            }
            written => written,
        }
    }

    fn write_once(&mut self) -> Result<(), HistoryError> {
        let Some(epoch_last) = self.epoch_last else { return Ok(()) };
        let mut files: Vec<TableFile> = self.writer.write_all()?;
        let records = self.archive.as_mut().map_or(Ok(Vec::new()), Archive::write_all)?;
        let incarnation = &self.settings.incarnation;
        let mut next = self.manifest.next(incarnation, epoch_last);
        for Merged { table, parts, file } in &self.merged {
            let Some(files) = next.tables.get_mut(table) else { continue };
            let Some(first) = files.iter().position(|own| own.path == parts[0].path) else { continue };
            if files[first..].starts_with(parts) {
                files.splice(first..first + parts.len(), [file.clone()]);
            }
        }
        files.sort_by_key(|file| (file.table, file.epoch_first));
        for table in TableId::ALL {
            next.tables.entry(table.table().name.to_owned()).or_default();
        }
        for file in files {
            next.add(file.table.table().name, file.epoch_first, file.epoch_last, file.written);
        }
        let archived = next.tables.entry(ARCHIVE.name.to_owned()).or_default();
        archived.extend(records);
        if let Some(retention_ms) = self.settings.archive_retention_ms {
            archived.retain(|file| file.epoch_last >= epoch_last.saturating_sub(retention_ms));
        }
        next.publish(&self.store)?;
        self.made_visible(next);
        Ok(())
    }

    /// Forgets what a manifest of ours has made visible.
    fn made_visible(&mut self, manifest: Manifest) {
        let visible = manifest.epoch_last;
        self.writer.forget_through(visible);
        if let Some(archive) = &mut self.archive {
            archive.forget_through(visible);
        }
        self.manifest = manifest;
        self.merged.clear();
        // What is left of a lost answer's time is counted anew with the next epochs.
        (self.rows, self.bytes) = (0, 0);
        self.epoch_last = self.epoch_last.filter(|last| *last > visible);
    }

    /// Merges small files for the next manifest, and removes what nobody can be reading any more: a bounded part of each, and less if
    /// `is_urgent` says between two steps that something else waits.
    ///
    /// # Errors
    /// If the store fails; nothing visible has changed then.
    pub fn tidy(&mut self, is_urgent: impl Fn() -> bool) -> Result<(), HistoryError> {
        let manifest = &self.manifest;
        if self.merged.is_empty() {
            let mut tables: Vec<(&String, &Vec<ManifestFile>)> = manifest.tables.iter().collect();
            tables.sort_by_key(|(_, files)| std::cmp::Reverse(files.len()));
            for (table, files) in tables {
                if is_urgent() {
                    return Ok(());
                }
                let Some(range) = compaction::choose(files) else { continue };
                let Some(hints) = hints_of_name(table) else { continue };
                let parts = files[range].to_vec();
                let file = compaction::merge(&self.store, &mut self.sink, table, &parts, &hints)?;
                self.merged.extend(file.map(|file| Merged { table: table.clone(), parts, file }));
                if self.merged.len() == MERGES_MAX {
                    break;
                }
            }
        }
        clean_up(&self.store, self.settings.reading_ms).map(drop)
    }
}

/// What is known of a table's columns; none of a table of another version.
fn hints_of_name(name: &str) -> Option<ColumnHints> {
    let mut tables = TableId::ALL.into_iter().map(TableId::table).chain([&ARCHIVE]);
    tables.find(|table| table.name == name).map(hints_of)
}

/// Adds the row of table `epochs` to an epoch's rows. When it was committed is told by this machine's clock, outside what a replay repeats.
pub(super) fn add_epoch_row(published: &mut Published) {
    let epoch = published.binding.epoch;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let outputs: u64 = published.binding.outputs.iter().map(|sum| sum.count).sum();
    let mut rows = RowBatch::new(TableId::Epochs.width());
    rows.start(epoch, RowChange::Upsert);
    let (events, outputs) = (published.output.events as i64, outputs as i64);
    for cell in [
        Cell::Null,
        Cell::Integer(epoch),
        Cell::Integer(epoch),
        Cell::Integer(now),
        Cell::Integer(events),
        Cell::Integer(outputs),
    ] {
        rows.cell(cell);
    }
    rows.finish();
    published.output.rows.push((TableId::Epochs, RowSlice { rows: Arc::new(rows), range: 0..1 }));
}

#[cfg(test)]
mod tests {
    use operators::domain::batch::{RawBytes, Span};
    use operators::domain::event::Topic;

    use super::super::binding::{BINDING_FORMAT, Binding, InputPartition, InputRange};
    use super::super::collect::EpochOutput;
    use super::super::records::{ChunkRecord, RecordChunk};
    use super::*;

    const TEN_MINUTES_MS: i64 = 600_000;

    fn settings(incarnation: &str, archive_retention_ms: i64) -> HistorianSettings {
        HistorianSettings {
            incarnation: incarnation.to_owned(),
            settings: serde_json::json!({}),
            bytes_max: 1 << 20,
            archive_retention_ms: Some(archive_retention_ms),
            reading_ms: 0,
        }
    }

    /// An epoch of one record.
    fn published(number: u64) -> Published {
        let payload = Span { start: 0, length: 1 };
        let partition = InputPartition { topic: Topic::Leads, partition: 0 };
        let chunk = RecordChunk {
            partition,
            raw: RawBytes(Arc::new(vec![b'x'])),
            records: vec![ChunkRecord { payload, offset: number, timestamp_ms: 1 }],
        };
        let epoch = (number as i64 + 1) * TEN_MINUTES_MS;
        let binding = Binding {
            format: BINDING_FORMAT,
            incarnation: 1,
            epoch,
            previous: None,
            inputs: vec![InputRange { topic: "leads".into(), partition: 0, first: number, next: number + 1 }],
            idle: Vec::new(),
            records: 1,
            skipped: Vec::new(),
            outputs: Vec::new(),
            output_partitions: [].into(),
            settings: String::new(),
            logic: String::new(),
        };
        let mut published =
            Published { binding, output: EpochOutput { epoch, ..EpochOutput::default() }, records: vec![chunk] };
        add_epoch_row(&mut published);
        published
    }

    fn keep(historian: &mut Historian, numbers: std::ops::Range<u64>) {
        for number in numbers {
            historian.add(&mut published(number));
            historian.write().unwrap();
            historian.tidy(|| false).unwrap();
        }
    }

    fn objects(store: &Objects, table: &str) -> usize {
        let days = (1..=31).map(|day| store.list(&format!("{table}/epoch_day=1970-01-{day:02}")).unwrap().len());
        days.sum()
    }

    #[test]
    fn many_intervals_leave_few_files_and_every_row() {
        let store = Objects::memory();
        let mut historian = Historian::open(store.clone(), settings("run-1", i64::MAX)).unwrap();
        keep(&mut historian, 0..1_000);
        let manifest = Manifest::latest(&store).unwrap();
        for table in ["epochs", "events"] {
            let files = &manifest.tables[table];
            assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 1_000, "{table}");
            assert!(files.len() < 30, "{} files of {table}", files.len());
            assert!(files.is_sorted_by(|left, right| left.epoch_last < right.epoch_first), "{table}");
            let rest = objects(&store, table);
            assert!(rest < files.len() + 60, "{rest} objects of {table} for {} files", files.len());
        }
        let held = manifest.tables["events"].iter().flat_map(|file| file.offsets.clone());
        let held = connectors::parquet::OffsetRange::joined(held);
        assert_eq!((held.len(), held[0].first, held[0].next), (1, 0, 1_000));
        assert!(store.list("_manifests").unwrap().len() < 20);
    }

    #[test]
    fn the_archive_lets_go_of_what_is_old_and_history_does_not() {
        let store = Objects::memory();
        let mut historian = Historian::open(store.clone(), settings("run-1", 10 * TEN_MINUTES_MS)).unwrap();
        keep(&mut historian, 0..100);
        let manifest = Manifest::latest(&store).unwrap();
        let rows = |table: &str| manifest.tables[table].iter().map(|file| file.rows).sum::<u64>();
        assert_eq!(rows("epochs"), 100);
        assert!((10..30).contains(&rows("events")), "{} records", rows("events"));
    }

    #[test]
    fn whoever_opens_the_history_fences_who_was_there_also_when_it_is_empty() {
        let store = Objects::memory();
        let mut first = Historian::open(store.clone(), settings("run-1", 1)).unwrap();
        let mut second = Historian::open(store.clone(), settings("run-2", 1)).unwrap();
        first.add(&mut published(0));
        assert!(matches!(first.write(), Err(HistoryError::Fenced { by, .. }) if by == "run-2"));
        second.add(&mut published(0));
        second.write().unwrap();
        assert_eq!(Manifest::latest(&store).unwrap().epoch_last, TEN_MINUTES_MS);
    }
}
