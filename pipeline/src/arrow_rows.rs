//! Row versions as Arrow: the one place where a table's declaration meets columns.
//!
//! ```text
//!   Table ─▶ schema: stored columns, epoch, change, changed_at
//!   RowBatch… ─▶ order by key and epoch ─▶ RecordBatch
//! ```

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, NullBufferBuilder, RecordBatch,
    StringArray, TimestampMillisecondBuilder,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use operators::domain::hash::hash_text;
use operators::domain::names::Names;
use operators::domain::rows::RowBatch;
use operators::domain::table::{ColumnType, Table};

/// Column that names a version's epoch, where the table has none of its own.
pub const EPOCH: &str = "epoch";

/// The Arrow type of a column.
pub fn data_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Text | ColumnType::Word(_) => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        ColumnType::Bytes => DataType::Binary,
    }
}

fn has_own_epoch(table: &Table) -> bool {
    table.stored().any(|column| column.name == EPOCH)
}

/// The schema of a table's stored versions.
pub fn stored_schema(table: &Table) -> SchemaRef {
    let mut fields: Vec<Field> =
        table.stored().map(|column| Field::new(column.name, data_type(column.column_type), true)).collect();
    if !has_own_epoch(table) {
        fields.push(Field::new(EPOCH, DataType::Int64, false));
    }
    fields.push(Field::new("change", DataType::Utf8, false));
    fields.push(Field::new("changed_at", data_type(ColumnType::Timestamp), false));
    Arc::new(Schema::new(fields))
}

/// Part of a batch of rows.
#[derive(Clone, Debug)]
pub struct RowSlice {
    /// The batch, shared by the parts of it.
    pub rows: Arc<RowBatch>,
    /// The part.
    pub range: Range<usize>,
}

impl RowSlice {
    /// About how much memory its rows take, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.rows.size_bytes() / self.rows.len().max(1) * self.range.len()
    }
}

/// Where a row is: slice and row.
type Place = (u32, u32);

/// A row on its way into order.
struct Ranked {
    /// The second key in few bytes; see [`SecondKey`].
    second: u128,
    /// Rank of the first key.
    first: u32,
    /// Rank of the epoch.
    epoch: u32,
    place: Place,
}

fn key_order(table: &Table, left: (&RowBatch, usize), right: (&RowBatch, usize)) -> Ordering {
    for (index, column) in table.stored().enumerate().take(table.keys()) {
        let order = match column.column_type {
            ColumnType::Text | ColumnType::Bytes => left.0.text(left.1, index).cmp(&right.0.text(right.1, index)),
            _ => left
                .0
                .bits(left.1, index)
                .map(|bits| bits as i64)
                .cmp(&right.0.bits(right.1, index).map(|bits| bits as i64)),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Bytes of a text that fit beside its length.
const SECOND_BYTES: usize = 15;

/// How a table's second key becomes a number of the same order.
struct SecondKey {
    is_text: bool,
    /// Ids of one kind begin alike; what they begin with says nothing about their order.
    prefix: usize,
    /// Whether equal numbers mean equal keys.
    is_exact: bool,
}

impl SecondKey {
    fn of(table: &Table, slices: &[RowSlice]) -> Self {
        let is_text = table.stored().nth(1).is_some_and(|column| column.column_type == ColumnType::Text);
        if !is_text {
            return SecondKey { is_text, prefix: 0, is_exact: table.keys() <= 2 };
        }
        let (mut common, mut length): (Option<&[u8]>, usize) = (None, 0);
        for text in rows(slices).filter_map(|(batch, row)| batch.text(row, 1)) {
            length = length.max(text.len());
            let own = common.unwrap_or(text);
            let same = if text.starts_with(own) {
                own.len()
            } else {
                own.iter().zip(text).take_while(|(left, right)| left == right).count()
            };
            common = Some(&own[..same]);
        }
        let prefix = common.map_or(0, <[u8]>::len);
        SecondKey { is_text, prefix, is_exact: table.keys() <= 2 && length - prefix <= SECOND_BYTES }
    }

    /// The number. Nulls come before all else, like the empty text; only tables with more keys have them.
    fn number(&self, batch: &RowBatch, row: usize) -> u128 {
        if !self.is_text {
            return batch.bits(row, 1).map_or(0, |bits| u128::from(bits ^ (1 << 63)));
        }
        let text = batch.text(row, 1).and_then(|text| text.get(self.prefix..)).unwrap_or_default();
        let mut bytes = [0; 16];
        let length = text.len().min(SECOND_BYTES);
        bytes[..length].copy_from_slice(&text[..length]);
        // Behind the bytes, so that a text comes before those that go on with zeros.
        bytes[SECOND_BYTES] = length as u8;
        u128::from_be_bytes(bytes)
    }
}

fn rows(slices: &[RowSlice]) -> impl Iterator<Item = (&RowBatch, usize)> {
    slices.iter().flat_map(|slice| slice.range.clone().map(move |row| (slice.rows.as_ref(), row)))
}

/// The rows in order of their keys, then epochs.
fn sorted(table: &Table, slices: &[RowSlice]) -> Vec<Place> {
    // The first key is a dealer: few names, on many rows. Null comes first.
    let mut names = Names::default();
    let mut epochs: Vec<i64> = Vec::new();
    let mut ranked: Vec<Ranked> = Vec::with_capacity(slices.iter().map(|slice| slice.range.len()).sum());
    let second = SecondKey::of(table, slices);
    for (number, slice) in slices.iter().enumerate() {
        for row in slice.range.clone() {
            let first = slice.rows.text(row, 0).map_or(0, |name| names.number(hash_text(name), name) + 1);
            let epoch = slice.rows.epoch(row);
            if epochs.last() != Some(&epoch) {
                epochs.push(epoch);
            }
            let epoch = epochs.len() as u32 - 1;
            let place = (number as u32, row as u32);
            ranked.push(Ranked { second: second.number(&slice.rows, row), first, epoch, place });
        }
    }
    let name_ranks = ranks(names.len(), |left, right| names.name(left).cmp(names.name(right)));
    let epoch_ranks = ranks(epochs.len(), |left, right| epochs[left as usize].cmp(&epochs[right as usize]));
    for row in &mut ranked {
        row.first = row.first.checked_sub(1).map_or(0, |name| name_ranks[name as usize] + 1);
        row.epoch = epoch_ranks[row.epoch as usize];
    }
    let row_at = |place: Place| (slices[place.0 as usize].rows.as_ref(), place.1 as usize);
    ranked.sort_unstable_by(|left, right| {
        (left.first, left.second)
            .cmp(&(right.first, right.second))
            .then_with(|| {
                if second.is_exact {
                    Ordering::Equal
                } else {
                    key_order(table, row_at(left.place), row_at(right.place))
                }
            })
            .then_with(|| left.epoch.cmp(&right.epoch))
    });
    ranked.into_iter().map(|ranked| ranked.place).collect()
}

/// The rank of each number below `count`; equal ones share theirs.
fn ranks(count: usize, compare: impl Fn(u32, u32) -> Ordering) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.sort_unstable_by(|left, right| compare(*left, *right));
    let mut ranks = vec![0; count];
    let mut rank = 0;
    for (at, number) in order.iter().enumerate() {
        rank += u32::from(at > 0 && compare(order[at - 1], *number) != Ordering::Equal);
        ranks[*number as usize] = rank;
    }
    ranks
}

/// Rows whose cells are copied together, so that they are read from memory once and not once a column.
const BLOCK_ROWS: usize = 256;

/// All rows of the slices as one batch of a table's stored schema, ordered by key, then epoch.
///
/// # Errors
/// If the columns do not fit the schema, which the declaration rules out.
pub fn record_batch(table: &Table, schema: &SchemaRef, slices: &[RowSlice]) -> Result<RecordBatch, ArrowError> {
    let order = sorted(table, slices);
    let mut columns: Vec<ColumnBuilder> =
        table.stored().map(|column| ColumnBuilder::new(column.column_type, order.len())).collect();
    let mut epochs = Int64Builder::with_capacity(order.len());
    let mut changes = TextBuilder::with_capacity(order.len(), 6);
    let mut changed_at = TimestampMillisecondBuilder::with_capacity(order.len()).with_timezone("UTC");
    for block in order.chunks(BLOCK_ROWS) {
        for (index, column) in columns.iter_mut().enumerate() {
            column
                .append(index, block.iter().map(|(slice, row)| (slices[*slice as usize].rows.as_ref(), *row as usize)));
        }
        for (slice, row) in block {
            let (rows, row) = (&slices[*slice as usize].rows, *row as usize);
            epochs.append_value(rows.epoch(row));
            changes.append(Some(rows.change(row).name().as_bytes()));
            changed_at.append_value(rows.epoch(row));
        }
    }
    let mut arrays = columns.into_iter().map(ColumnBuilder::finish).collect::<Result<Vec<_>, _>>()?;
    if !has_own_epoch(table) {
        arrays.push(Arc::new(epochs.finish()));
    }
    arrays.push(Arc::new(changes.finish()?));
    arrays.push(Arc::new(changed_at.finish()));
    RecordBatch::try_new(Arc::clone(schema), arrays)
}

/// Texts that are checked once, when all are there.
struct TextBuilder {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextBuilder {
    fn with_capacity(rows: usize, text_bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        TextBuilder { bytes: Vec::with_capacity(rows * text_bytes), offsets, nulls: NullBufferBuilder::new(rows) }
    }

    fn append(&mut self, text: Option<&[u8]>) {
        self.bytes.extend_from_slice(text.unwrap_or_default());
        // The sink cuts files far below two gigabytes of text; if one were larger, `parts` would refuse it.
        self.offsets.push(self.bytes.len() as i32);
        self.nulls.append(text.is_some());
    }

    fn parts(mut self) -> Result<(OffsetBuffer<i32>, Buffer, Option<NullBuffer>), ArrowError> {
        if self.bytes.len() > i32::MAX as usize {
            return Err(ArrowError::OffsetOverflowError(self.bytes.len()));
        }
        Ok((OffsetBuffer::new(self.offsets.into()), Buffer::from_vec(self.bytes), self.nulls.finish()))
    }

    fn finish(self) -> Result<StringArray, ArrowError> {
        let (offsets, bytes, nulls) = self.parts()?;
        StringArray::try_new(offsets, bytes, nulls)
    }
}

/// A column being filled.
enum ColumnBuilder {
    Text(TextBuilder),
    Bytes(TextBuilder),
    Word(TextBuilder, &'static [&'static str]),
    Integer(Int64Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMillisecondBuilder),
}

impl ColumnBuilder {
    fn new(column_type: ColumnType, rows: usize) -> Self {
        match column_type {
            ColumnType::Text => ColumnBuilder::Text(TextBuilder::with_capacity(rows, 12)),
            ColumnType::Bytes => ColumnBuilder::Bytes(TextBuilder::with_capacity(rows, 256)),
            ColumnType::Word(words) => ColumnBuilder::Word(TextBuilder::with_capacity(rows, 10), words),
            ColumnType::Integer => ColumnBuilder::Integer(Int64Builder::with_capacity(rows)),
            ColumnType::Double => ColumnBuilder::Double(Float64Builder::with_capacity(rows)),
            ColumnType::Boolean => ColumnBuilder::Boolean(BooleanBuilder::with_capacity(rows)),
            ColumnType::Date => ColumnBuilder::Date(Date32Builder::with_capacity(rows)),
            ColumnType::Timestamp => {
                ColumnBuilder::Timestamp(TimestampMillisecondBuilder::with_capacity(rows).with_timezone("UTC"))
            }
        }
    }

    fn append<'a>(&mut self, index: usize, rows: impl Iterator<Item = (&'a RowBatch, usize)>) {
        match self {
            ColumnBuilder::Text(builder) | ColumnBuilder::Bytes(builder) => {
                rows.for_each(|(batch, row)| builder.append(batch.text(row, index)));
            }
            ColumnBuilder::Word(builder, words) => rows.for_each(|(batch, row)| {
                let word = batch.bits(row, index).and_then(|code| words.get(code as usize));
                builder.append(word.map(|word| word.as_bytes()));
            }),
            ColumnBuilder::Integer(builder) => {
                rows.for_each(|(batch, row)| builder.append_option(batch.bits(row, index).map(|bits| bits as i64)));
            }
            ColumnBuilder::Double(builder) => {
                rows.for_each(|(batch, row)| builder.append_option(batch.bits(row, index).map(f64::from_bits)));
            }
            ColumnBuilder::Boolean(builder) => {
                rows.for_each(|(batch, row)| builder.append_option(batch.bits(row, index).map(|bits| bits != 0)));
            }
            ColumnBuilder::Date(builder) => {
                rows.for_each(|(batch, row)| {
                    builder.append_option(batch.bits(row, index).map(|bits| bits as i64 as i32));
                });
            }
            ColumnBuilder::Timestamp(builder) => {
                rows.for_each(|(batch, row)| builder.append_option(batch.bits(row, index).map(|bits| bits as i64)));
            }
        }
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            ColumnBuilder::Text(builder) | ColumnBuilder::Word(builder, _) => Arc::new(builder.finish()?),
            ColumnBuilder::Bytes(builder) => {
                let (offsets, bytes, nulls) = builder.parts()?;
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            ColumnBuilder::Integer(mut builder) => Arc::new(builder.finish()),
            ColumnBuilder::Double(mut builder) => Arc::new(builder.finish()),
            ColumnBuilder::Boolean(mut builder) => Arc::new(builder.finish()),
            ColumnBuilder::Date(mut builder) => Arc::new(builder.finish()),
            ColumnBuilder::Timestamp(mut builder) => Arc::new(builder.finish()),
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;
    use operators::domain::rows::{Cell, RowChange};
    use operators::domain::tables::TableId;

    use super::*;

    #[test]
    fn rows_of_several_batches_come_out_in_order_of_keys_and_epochs() {
        let table = TableId::Customers;
        let batch = |rows: &[(&str, &str, i64)]| {
            let mut batch = RowBatch::new(table.width());
            for (dealer, customer, epoch) in rows {
                batch.start(*epoch, RowChange::Upsert);
                batch.cell(Cell::Text(dealer.as_bytes()));
                batch.cell(Cell::Text(customer.as_bytes()));
                batch.finish();
            }
            let range = 0..batch.len();
            RowSlice { rows: Arc::new(batch), range }
        };
        let slices = [
            batch(&[("d2", "c-1", 1), ("d1", "c-100000000002", 2), ("d1", "c-1", 2)]),
            batch(&[("d1", "c-100000000001", 1), ("d1", "c-1", 1)]),
        ];
        let schema = stored_schema(table.table());
        let record = record_batch(table.table(), &schema, &slices).unwrap();
        let text = |column: usize| {
            record.column(column).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(text(0), ["d1", "d1", "d1", "d1", "d2"]);
        assert_eq!(text(1), ["c-1", "c-1", "c-100000000001", "c-100000000002", "c-1"]);
        let epochs = record.column_by_name(EPOCH).unwrap().as_primitive::<Int64Type>();
        assert_eq!(epochs.values(), &[1, 2, 1, 2, 1]);
        assert_eq!(record.column(2).null_count(), 5);
    }
}
