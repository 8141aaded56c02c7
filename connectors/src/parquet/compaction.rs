//! Merging small files, so that a manifest stays short and a scan opens few of them.
//!
//! ```text
//!   a day of one table      ▪▪▪▪▪▪▪▪ ▪▪▪      eight neighbours that were merged as often ─▶ ▬ ▪▪▪
//!   a day that is over      ▬▬▬ ▬ ▪▪▪         any neighbours that fit into one file      ─▶ ▬
//! ```
//! Each merge is bounded by [`ROWS_MAX`] and [`BYTES_MAX`], and a row is written again at most once for each level, so the work for
//! each interval is bounded too. Merged files replace their parts in the next manifest; nobody sees both.

use std::ops::Range;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::errors::ParquetError;
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::{ColumnHints, ManifestFile, OffsetRange, ParquetSink};
use crate::error::HistoryError;
use crate::objects::Objects;

/// Rows of a merged file, at most.
pub const ROWS_MAX: u64 = 200_000;
/// Bytes of the parts of a merged file, at most: compressed, so that some ten times as much is held for a moment.
pub const BYTES_MAX: u64 = 8 << 20;
/// Neighbours of one level that are merged.
const FAN_IN: usize = 8;
/// Files that one merge reads, at most.
const FILES_MAX: usize = 64;

/// The day's folder of a file.
fn folder(file: &ManifestFile) -> &str {
    file.path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The first files that should be merged, out of those of one table in the order of their epochs; none if there are none.
pub fn choose(files: &[ManifestFile]) -> Option<Range<usize>> {
    let newest = files.last().map(folder)?;
    let is_small = |file: &ManifestFile| file.rows * 2 <= ROWS_MAX && file.bytes * 2 <= BYTES_MAX;
    let mut start = 0;
    while start < files.len() {
        let first = &files[start];
        let is_over = folder(first) != newest;
        let (mut rows, mut bytes) = (0, 0);
        let fits = |file: &&ManifestFile| {
            rows += file.rows;
            bytes += file.bytes;
            is_small(file)
                && folder(file) == folder(first)
                && (is_over || file.merges == first.merges)
                && rows <= ROWS_MAX
                && bytes <= BYTES_MAX
        };
        let limit = if is_over { FILES_MAX } else { FAN_IN };
        let count = files[start..].iter().take(limit).take_while(fits).count();
        // Neighbours that are already half as large as may be are merged, too, though they are few.
        let is_full = count >= 2 && (rows > ROWS_MAX || bytes > BYTES_MAX);
        if count == FAN_IN || (is_over && count >= 2) || is_full {
            return Some(start..start + count);
        }
        start += count.max(1);
    }
    None
}

/// Writes one file of all rows of `parts`, which are neighbours of one table and day, in the order of the columns that `hints` has
/// statistics of.
///
/// # Errors
/// If a part cannot be read, or the store refuses. The parts are as they were.
pub fn merge(
    store: &Objects,
    sink: &mut ParquetSink,
    table: &str,
    parts: &[ManifestFile],
    hints: &ColumnHints,
) -> Result<Option<ManifestFile>, HistoryError> {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(None) };
    let mut batches = Vec::new();
    for part in parts {
        batches.extend(read_file(store, table, &part.path)?);
    }
    let damaged = |source: ArrowError| HistoryError::Rows { table: table.to_owned(), source };
    let Some(schema) = batches.first().map(RecordBatch::schema) else { return Ok(None) };
    let whole = concat_batches(&schema, &batches).map_err(damaged)?;
    drop(batches);
    let columns: Vec<SortColumn> = hints
        .statistics
        .iter()
        .filter_map(|name| Some(SortColumn { values: Arc::clone(whole.column_by_name(name)?), options: None }))
        .collect();
    let order = lexsort_to_indices(&columns, None).map_err(damaged)?;
    let sorted = take_record_batch(&whole, &order).map_err(damaged)?;
    drop(whole);
    let day = folder(first).rsplit_once('=').map_or("", |(_, day)| day);
    let written = sink.write(table, day, first.epoch_first, last.epoch_last, &[sorted], hints)?;
    let merges = parts.iter().map(|part| part.merges).max().unwrap_or_default() + 1;
    let offsets = OffsetRange::joined(parts.iter().flat_map(|part| part.offsets.iter().cloned()));
    Ok(Some(ManifestFile {
        path: written.path,
        rows: written.rows,
        bytes: written.bytes,
        epoch_first: first.epoch_first,
        epoch_last: last.epoch_last,
        merges,
        offsets,
    }))
}

/// Reads all rows of a file that a manifest names.
///
/// # Errors
/// If it is not there, damaged, or the store refuses.
pub fn read_file(store: &Objects, table: &str, path: &str) -> Result<Vec<RecordBatch>, HistoryError> {
    /// Rows of one batch.
    const BATCH_ROWS: usize = 64 << 10;
    let unreadable = |source: ParquetError| HistoryError::FileDamaged {
        path: store.place_of(path),
        table: table.to_owned(),
        source,
    };
    let bytes = store.get(path)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(unreadable)?;
    let reader = reader.with_batch_size(BATCH_ROWS).build().map_err(unreadable)?;
    reader.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(error.into()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, Int64Array, StringArray};

    use super::*;

    fn file(day: u32, epoch: i64, rows: u64, merges: u32) -> ManifestFile {
        ManifestFile {
            path: format!("leads/epoch_day=2026-03-{day:02}/{epoch}-{epoch}.parquet"),
            rows,
            bytes: rows * 40,
            epoch_first: epoch,
            epoch_last: epoch,
            merges,
            offsets: Vec::new(),
        }
    }

    #[test]
    fn eight_neighbours_of_one_level_are_merged_while_their_day_lasts() {
        let mut files: Vec<_> = (0..7).map(|epoch| file(1, epoch, 10, 0)).collect();
        assert_eq!(choose(&files), None);
        files.push(file(1, 7, 10, 0));
        assert_eq!(choose(&files), Some(0..8));
        files.insert(0, file(1, -1, 80, 1));
        assert_eq!(choose(&files), Some(1..9), "a larger one waits for its like");
        files.truncate(8);
        assert_eq!(choose(&files), None);
    }

    #[test]
    fn what_is_left_of_a_day_that_is_over_is_merged() {
        let files = [file(1, 0, 80, 1), file(1, 1, 10, 0), file(1, 2, 10, 0), file(2, 3, 10, 0), file(2, 4, 10, 0)];
        assert_eq!(choose(&files), Some(0..3));
        assert_eq!(choose(&files[2..]), None, "one alone stays");
    }

    #[test]
    fn no_merge_is_larger_than_it_may_be() {
        let files: Vec<_> = (0..8).map(|epoch| file(1, epoch, 60_000, 0)).collect();
        assert_eq!(choose(&files), Some(0..3));
        let large: Vec<_> = (0..8).map(|epoch| file(1, epoch, 150_000, 0)).collect();
        assert_eq!(choose(&large), None, "large ones stay as they are");
    }

    /// A year of intervals leaves few files.
    #[test]
    fn the_number_of_files_stays_small() {
        let mut files: Vec<ManifestFile> = Vec::new();
        let (mut epoch, mut written, mut files_max) = (0, 0_u64, 0);
        for day in 1..=28 {
            for _ in 0..1_440 {
                files.push(file(day, epoch, 20, 0));
                epoch += 1;
                for _ in 0..2 {
                    let Some(range) = choose(&files) else { break };
                    let rows = files[range.clone()].iter().map(|file| file.rows).sum();
                    written += rows;
                    let merges = files[range.clone()].iter().map(|file| file.merges).max().unwrap() + 1;
                    let merged = file(day_of(&files[range.start]), files[range.start].epoch_first, rows, merges);
                    files.splice(range, [merged]);
                }
                files_max = files_max.max(files.len());
            }
        }
        assert!(files_max <= 28 + 32, "{files_max} files");
        assert!(written <= 28 * 1_440 * 20 * 5, "each row is written a few times, {written}");
    }

    fn day_of(file: &ManifestFile) -> u32 {
        folder(file).rsplit('-').next().unwrap().parse().unwrap()
    }

    #[test]
    fn a_merged_file_holds_every_row_in_the_order_of_its_keys() {
        let (store, mut rows) = (Objects::memory(), Vec::new());
        let mut sink = ParquetSink::new(store.clone());
        let hints = ColumnHints { dictionary: Vec::new(), statistics: vec!["key".into(), "epoch".into()] };
        let mut parts = Vec::new();
        for epoch in 0..3_i64 {
            let keys: Vec<Option<String>> =
                (0..5).map(|key| (key > 0).then(|| format!("k{}", (key * 7 + epoch) % 5))).collect();
            let columns: [(&str, ArrayRef); 2] = [
                ("key", Arc::new(StringArray::from(keys.clone()))),
                ("epoch", Arc::new(Int64Array::from(vec![epoch; 5]))),
            ];
            let batch =
                RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
            rows.extend(keys.into_iter().map(|key| (key, epoch)));
            let written = sink.write("leads", "2026-03-01", epoch, epoch, &[batch], &hints).unwrap();
            let offset = |first: i64| OffsetRange {
                topic: "leads".into(),
                partition: 0,
                first: first as u64 * 5,
                next: first as u64 * 5 + 5,
            };
            parts.push(ManifestFile {
                offsets: vec![offset(epoch)],
                path: written.path,
                ..file(1, epoch, written.rows, 0)
            });
        }
        let merged = merge(&store, &mut sink, "leads", &parts, &hints).unwrap().unwrap();
        assert_eq!(
            (merged.path.as_str(), merged.rows, merged.merges),
            ("leads/epoch_day=2026-03-01/0-2.parquet", 15, 1)
        );
        assert_eq!(merged.offsets, [OffsetRange { topic: "leads".into(), partition: 0, first: 0, next: 15 }]);
        rows.sort();
        let read: Vec<(Option<String>, i64)> = read_file(&store, "leads", &merged.path)
            .unwrap()
            .iter()
            .flat_map(|batch| {
                let keys = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap().clone();
                let epochs = batch.column(1).as_any().downcast_ref::<Int64Array>().unwrap().clone();
                (0..batch.num_rows())
                    .map(move |row| (keys.is_valid(row).then(|| keys.value(row).to_owned()), epochs.value(row)))
            })
            .collect();
        assert_eq!(read, rows);
    }
}
