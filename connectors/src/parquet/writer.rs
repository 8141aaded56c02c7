//! Record batches into one Parquet file each.
//!
//! ```text
//!  for each column: encode all batches ─► zstd ─► pages     one column's encoders and compressor at a time
//!  pages of all columns ─► one row group ─► buffer ─► put   whole or not at all; the buffer is used again
//! ```
//! Writing Parquet is the largest cost of a replay, so this does only what readers use: dictionaries where the caller says
//! that values repeat, statistics where it says that queries filter, no page indices, no bloom filters. Columns are encoded
//! one after the other because the buffers of forty encoders at once would not stay in the processor's cache.

use std::sync::Arc;

use ::parquet::arrow::ArrowSchemaConverter;
use ::parquet::arrow::add_encoded_arrow_schema_to_metadata;
use ::parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::SchemaDescriptor;
use arrow::array::Array;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use crate::error::HistoryError;
use crate::objects::Objects;

const CREATED_BY: &str = "dealerflow";
/// The fastest level: as quick as no compression at all, since fewer bytes are written, and a third of the size.
const ZSTD_LEVEL: i32 = 1;
/// A column smaller than this is not compressed: setting up the compressor would cost more than all else.
const COMPRESSED_BYTES_MIN: usize = 16 << 10;
/// The same for columns whose distinct values are stored once, which leaves little to compress.
const COMPRESSED_DICTIONARY_BYTES_MIN: usize = 128 << 10;
/// Rows handed to a column's encoder at once.
const WRITE_BATCH_ROWS: usize = 8 << 10;

/// What the caller knows of a table's columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnHints {
    /// Columns whose values repeat: their distinct values are stored once.
    pub dictionary: Vec<String>,
    /// Columns that queries filter by (keys and `epoch`): the file says their least and greatest value.
    pub statistics: Vec<String>,
}

/// A file that is written, and not visible before a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// Relative to the folder `parquet`.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// Writes Parquet files. Each worker that writes has its own, for the sake of the buffer.
#[derive(Debug)]
pub struct ParquetSink {
    store: Objects,
    buffer: Vec<u8>,
}

impl ParquetSink {
    /// A sink that writes to `store`.
    pub fn new(store: Objects) -> Self {
        Self { store, buffer: Vec::new() }
    }

    /// Writes `batches`, all of one schema, as the file of `table` for epochs `epoch_first` to `epoch_last` (in ms), in the
    /// folder of `epoch_day` (`YYYY-MM-DD`). A file of the same table, day and epochs is replaced. Blocks until it is
    /// written; it is there whole, or not at all. The same rows give the same bytes.
    ///
    /// # Errors
    /// If there are no rows, if the batches' schemas differ, or if the store refuses the file.
    pub fn write(
        &mut self,
        table: &str,
        epoch_day: &str,
        epoch_first: i64,
        epoch_last: i64,
        batches: &[RecordBatch],
        hints: &ColumnHints,
    ) -> Result<WrittenFile, HistoryError> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let Some(batch) = batches.first().filter(|_| rows > 0) else {
            return Err(HistoryError::NoRows { table: table.to_owned(), epoch_first, epoch_last });
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        encode(batch.schema_ref(), batches, hints, &mut buffer)
            .map_err(|source| HistoryError::Encode { table: table.to_owned(), source })?;

        let path = format!("{table}/epoch_day={epoch_day}/{epoch_first}-{epoch_last}.parquet");
        let encoded = Bytes::from(buffer);
        self.store.put(&path, encoded.clone())?;
        let bytes = encoded.len() as u64;
        // The store is done with its share of the bytes, so the buffer comes back without a copy; if it is not, a later
        // file begins with a new one.
        self.buffer = encoded.try_into_mut().map_or_else(|_| Vec::new(), Vec::from);
        Ok(WrittenFile { path, rows: rows as u64, bytes })
    }
}

fn encode(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    hints: &ColumnHints,
    buffer: &mut Vec<u8>,
) -> Result<(), ParquetError> {
    if batches.iter().any(|batch| batch.schema_ref() != schema) {
        return Err(ParquetError::General("the batches of one file have different schemas".to_owned()));
    }
    let descriptor = ArrowSchemaConverter::new().convert(schema)?;
    let properties = Arc::new(properties(schema, &descriptor, batches, hints)?);
    let mut file = SerializedFileWriter::new(buffer, descriptor.root_schema_ptr(), properties)?;
    let writers = ArrowRowGroupWriterFactory::new(&file, Arc::clone(schema)).create_column_writers(0)?;
    let mut writers = writers.into_iter();

    let mut row_group = file.next_row_group()?;
    for (index, field) in schema.fields().iter().enumerate() {
        // A nested column has several leaves, each with a writer.
        let mut open: Vec<ArrowColumnWriter> = Vec::new();
        for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
            for (leaf, values) in compute_leaves(field, batch.column(index))?.iter().enumerate() {
                if leaf == open.len() {
                    open.extend(writers.next());
                }
                open[leaf].write(values)?;
            }
        }
        for writer in open {
            writer.close()?.append_to_row_group(&mut row_group)?;
        }
    }
    row_group.close()?;
    file.close()?;
    Ok(())
}

fn properties(
    schema: &Schema,
    descriptor: &SchemaDescriptor,
    batches: &[RecordBatch],
    hints: &ColumnHints,
) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(None)
        .set_write_batch_size(WRITE_BATCH_ROWS)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_bloom_filter_enabled(false);
    for column in descriptor.columns() {
        let root = column.path().parts().first();
        let named_in = |names: &[String]| root.is_some_and(|root| names.contains(root));
        let (values, bytes) = root.map_or((0, 0), |root| size_of_column(batches, root));
        let has_dictionary = named_in(&hints.dictionary) && values > 0;
        if bytes < if has_dictionary { COMPRESSED_DICTIONARY_BYTES_MIN } else { COMPRESSED_BYTES_MIN } {
            builder = builder.set_column_compression(column.path().clone(), Compression::UNCOMPRESSED);
        }
        if has_dictionary {
            builder = builder.set_column_dictionary_enabled(column.path().clone(), true);
        }
        if named_in(&hints.statistics) {
            builder = builder.set_column_statistics_enabled(column.path().clone(), EnabledStatistics::Chunk);
        }
    }
    let mut properties = builder.build();
    // Arrow's own types (time zones, dictionaries) are stored beside Parquet's, so that readers get them back.
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    Ok(properties)
}

/// Values of a column that are not null, and about how many bytes they take.
fn size_of_column(batches: &[RecordBatch], name: &str) -> (usize, usize) {
    let arrays = || batches.iter().filter_map(|batch| batch.column_by_name(name));
    let values: usize = arrays().map(|array| array.len() - array.null_count()).sum();
    let bytes: usize = arrays().map(|array| array.to_data().get_slice_memory_size().unwrap_or(usize::MAX)).sum();
    (values, if values == 0 { 0 } else { bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use arrow::array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMillisecondArray,
    };
    use arrow::datatypes::Int64Type;

    fn batch(first: i64, rows: i64) -> RecordBatch {
        let numbers = first..first + rows;
        let every_third = |number: i64| (number % 3 != 0).then_some(number);
        let columns: [(&str, ArrayRef); 7] = [
            (
                "lead_id",
                Arc::new(StringArray::from_iter_values(numbers.clone().map(|number| format!("lead-{number:08}")))),
            ),
            (
                "stage",
                Arc::new(StringArray::from_iter_values(
                    numbers.clone().map(|number| ["new", "won"][(number % 2) as usize]),
                )),
            ),
            (
                "score",
                Arc::new(numbers.clone().map(|number| every_third(number).map(|n| n as f64)).collect::<Float64Array>()),
            ),
            ("open", Arc::new(numbers.clone().map(|number| Some(number % 5 == 0)).collect::<BooleanArray>())),
            (
                "at",
                Arc::new(numbers.clone().map(every_third).collect::<TimestampMillisecondArray>().with_timezone("UTC")),
            ),
            (
                "parts",
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
                    numbers.clone().map(|number| every_third(number).map(|n| (0..n % 4).map(Some))),
                )),
            ),
            ("epoch", Arc::new(Int64Array::from_iter_values(numbers))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, name != "epoch"))).unwrap()
    }

    fn hints() -> ColumnHints {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        ColumnHints { dictionary: names(&["stage", "parts"]), statistics: names(&["lead_id", "epoch"]) }
    }

    #[test]
    fn rows_survive_the_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let store = Objects::scratch_folder(folder.path()).unwrap().below(super::super::FOLDER);
        let mut sink = ParquetSink::new(store);
        let batches = [batch(0, 4_000), batch(0, 0), batch(4_000, 234)];
        let written = sink.write("leads", "2026-03-01", 50, 99, &batches, &hints()).unwrap();
        assert_eq!(written.path, "leads/epoch_day=2026-03-01/50-99.parquet");
        assert_eq!(written.rows, 4_234);

        let path = folder.path().join("parquet").join(&written.path);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), written.bytes);
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
        let metadata = Arc::clone(reader.metadata());
        let read = reader.with_batch_size(10_000).build().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(read, [arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()]);

        assert_eq!(metadata.file_metadata().created_by(), Some("dealerflow"));
        assert_eq!(metadata.num_row_groups(), 1);
        for column in metadata.row_group(0).columns() {
            let root = &column.column_path().parts()[0];
            assert_eq!(column.statistics().is_some(), ["lead_id", "epoch"].contains(&root.as_str()), "{root}");
            assert_eq!(
                column.dictionary_page_offset().is_some(),
                ["stage", "parts"].contains(&root.as_str()),
                "{root}"
            );
            // Small columns, and those of few distinct values, are not worth a compressor.
            let is_large = column.uncompressed_size() >= COMPRESSED_BYTES_MIN as i64;
            assert_eq!(matches!(column.compression(), Compression::ZSTD(_)), is_large, "{root}");
        }
    }

    #[test]
    fn the_buffer_is_used_again_and_the_same_rows_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = ParquetSink::new(Objects::scratch_folder(folder.path()).unwrap().below(super::super::FOLDER));
        let first = sink.write("leads", "2026-03-01", 0, 1, &[batch(0, 5_000)], &hints()).unwrap();
        let address = sink.buffer.as_ptr();
        assert!(sink.buffer.capacity() as u64 >= first.bytes);
        let second = sink.write("leads", "2026-03-01", 2, 3, &[batch(0, 5_000)], &hints()).unwrap();
        assert_eq!(sink.buffer.as_ptr(), address);
        let bytes = |file: &WrittenFile| std::fs::read(folder.path().join("parquet").join(&file.path)).unwrap();
        assert_eq!(bytes(&first), bytes(&second));
    }

    #[test]
    fn no_rows_and_mixed_schemas_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = ParquetSink::new(Objects::scratch_folder(folder.path()).unwrap().below(super::super::FOLDER));
        for batches in [vec![], vec![batch(0, 0)]] {
            let error = sink.write("leads", "2026-03-01", 0, 1, &batches, &hints()).unwrap_err();
            assert!(matches!(error, HistoryError::NoRows { .. }), "{error}");
        }
        let narrow = batch(0, 3).project(&[0]).unwrap();
        let error = sink.write("leads", "2026-03-01", 0, 1, &[batch(0, 3), narrow], &hints()).unwrap_err();
        assert!(matches!(error, HistoryError::Encode { .. }), "{error}");
        assert!(!folder.path().join("parquet").exists(), "nothing was written");
    }

    #[test]
    fn a_store_that_refuses_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Objects::scratch_folder(folder.path()).unwrap().below(super::super::FOLDER);
        std::fs::write(folder.path().join("parquet"), b"a file in the way").unwrap();
        let error = ParquetSink::new(store).write("leads", "2026-03-01", 0, 1, &[batch(0, 3)], &hints()).unwrap_err();
        assert!(error.to_string().contains("parquet/leads/epoch_day=2026-03-01/0-1.parquet"), "{error}");
    }
}
