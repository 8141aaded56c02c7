//! The input archive: every record of a committed epoch, as it was read, in Parquet beside the history.
//!
//! ```text
//!   Published { binding, records } ─▶ kept by epoch ─(with the history)─▶ parquet/events/epoch_day=…/<first>-<last>.parquet
//!                                                                         the manifest names the offsets that each file holds whole
//! ```
//! It lies in the same manifests as the history, so it is complete up to the same epoch, and a checkpoint never leads it. Recovery
//! reads it ([`super::archive_reader`]) when the log has let records go.

use std::sync::Arc;

use arrow::array::{
    BinaryBuilder, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMillisecondArray, new_null_array,
};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use connectors::HistoryError;
use connectors::objects::Objects;
use connectors::parquet::{ManifestFile, OffsetRange, ParquetSink};
use operators::domain::tables::ARCHIVE;
use operators::domain::time::{DAY_MS, format_date};

use super::binding::{Binding, InputRange};
use super::records::{ChunkRecord, RecordChunk};
use crate::arrow_rows::stored_schema;
use crate::sinks::parquet::hints_of;

/// Bytes of the records of one file, after which it is cut at the end of an epoch.
const FILE_BYTES: usize = 32 << 20;
/// Records of one file, after which it is cut likewise.
const FILE_RECORDS: usize = 200_000;

/// The records of one epoch.
struct ArchivedEpoch {
    epoch: i64,
    inputs: Vec<InputRange>,
    records: Vec<RecordChunk>,
}

/// Writes the archive of one run.
pub struct Archive {
    sink: ParquetSink,
    epochs: Vec<ArchivedEpoch>,
}

impl Archive {
    /// An archive without records, beside the history in `store`.
    pub fn new(store: Objects) -> Self {
        Archive { sink: ParquetSink::new(store), epochs: Vec::new() }
    }

    /// Takes on the records of a committed epoch.
    pub fn add(&mut self, binding: &Binding, records: Vec<RecordChunk>) {
        if !binding.inputs.is_empty() {
            self.epochs.push(ArchivedEpoch { epoch: binding.epoch, inputs: binding.inputs.clone(), records });
        }
    }

    /// Writes all records and keeps them, until [`Archive::forget_through`].
    ///
    /// # Errors
    /// If a file cannot be written; others may have been, and nobody reads what no manifest names.
    pub fn write_all(&mut self) -> Result<Vec<ManifestFile>, HistoryError> {
        let mut files = Vec::new();
        let mut rest = self.epochs.as_slice();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(file_epochs(rest));
            files.extend(write(&mut self.sink, part)?);
            rest = behind;
        }
        Ok(files)
    }

    /// Forgets records up to an epoch.
    pub fn forget_through(&mut self, epoch: i64) {
        self.epochs.retain(|own| own.epoch > epoch);
    }
}

/// How many of the first epochs go into one file: those of one day, until they are large enough.
fn file_epochs(epochs: &[ArchivedEpoch]) -> usize {
    let day = |epoch: &ArchivedEpoch| epoch.epoch.div_euclid(DAY_MS);
    let (mut bytes, mut records) = (0, 0);
    let fits = |epoch: &&ArchivedEpoch| {
        let fits = bytes < FILE_BYTES && records < FILE_RECORDS && day(epoch) == day(&epochs[0]);
        bytes += epoch.records.iter().map(RecordChunk::size_bytes).sum::<usize>();
        records += epoch.records.iter().map(|chunk| chunk.records.len()).sum::<usize>();
        fits
    };
    epochs.iter().take_while(fits).count()
}

fn write(sink: &mut ParquetSink, epochs: &[ArchivedEpoch]) -> Result<Option<ManifestFile>, HistoryError> {
    let (Some(first), Some(last)) = (epochs.first(), epochs.last()) else { return Ok(None) };
    let ranges = epochs.iter().flat_map(|epoch| &epoch.inputs).map(|range| OffsetRange {
        topic: range.topic.clone(),
        partition: range.partition,
        first: range.first,
        next: range.next,
    });
    let batch = batch(epochs).map_err(|source| HistoryError::Rows { table: ARCHIVE.name.to_owned(), source })?;
    let (day, hints) = (format_date(first.epoch.div_euclid(DAY_MS)), hints_of(&ARCHIVE));
    let written = sink.write(ARCHIVE.name, &day, first.epoch, last.epoch, &[batch], &hints)?;
    Ok(Some(ManifestFile {
        path: written.path,
        rows: written.rows,
        bytes: written.bytes,
        epoch_first: first.epoch,
        epoch_last: last.epoch,
        merges: 0,
        offsets: OffsetRange::joined(ranges),
    }))
}

/// The rows, in order of topic, partition and offset.
fn batch(epochs: &[ArchivedEpoch]) -> Result<RecordBatch, ArrowError> {
    let mut rows: Vec<(i64, &RecordChunk, ChunkRecord)> = epochs
        .iter()
        .flat_map(|epoch| epoch.records.iter().map(move |chunk| (epoch.epoch, chunk)))
        .flat_map(|(epoch, chunk)| chunk.records.iter().map(move |record| (epoch, chunk, *record)))
        .collect();
    rows.sort_by_key(|(_, chunk, record)| (chunk.partition.topic.name(), chunk.partition.partition, record.offset));
    let bytes = rows.iter().map(|(_, _, record)| record.payload.length as usize).sum();
    let mut payloads = BinaryBuilder::with_capacity(rows.len(), bytes);
    let mut changes = StringBuilder::with_capacity(rows.len(), rows.len() * 6);
    for (_, chunk, record) in &rows {
        let start = record.payload.start as usize;
        payloads.append_value(&chunk.raw.0[start..start + record.payload.length as usize]);
        changes.append_value("upsert");
    }
    let epochs = || rows.iter().map(|(epoch, _, _)| *epoch);
    let partitions = rows.iter().map(|(_, chunk, _)| i64::from(chunk.partition.partition));
    RecordBatch::try_new(
        stored_schema(&ARCHIVE),
        vec![
            new_null_array(&DataType::Utf8, rows.len()),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, chunk, _)| chunk.partition.topic.name()))),
            Arc::new(Int64Array::from_iter_values(partitions)),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, _, record)| record.offset as i64))),
            Arc::new(
                TimestampMillisecondArray::from_iter_values(rows.iter().map(|(_, _, record)| record.timestamp_ms))
                    .with_timezone("UTC"),
            ),
            Arc::new(payloads.finish()),
            Arc::new(Int64Array::from_iter_values(epochs())),
            Arc::new(changes.finish()),
            Arc::new(TimestampMillisecondArray::from_iter_values(epochs()).with_timezone("UTC")),
        ],
    )
}
