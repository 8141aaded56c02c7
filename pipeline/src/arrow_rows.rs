//! Row versions as Arrow: the one place where a table's declaration meets columns.
//!
//! ```text
//!   Table ─▶ schema: stored columns, epoch, change, changed_at
//!   RowBatch… ─▶ order by key and epoch ─▶ RecordBatch
//! ```

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use operators::domain::rows::RowBatch;
use operators::domain::table::{Column, ColumnType, Table};

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
    table.columns.iter().any(|column| column.name == EPOCH)
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

/// Where a row is: slice and row.
type Place = (u32, u32);

/// A row on its way into order: ranks of its first two keys, which decide almost every comparison.
struct Ranked {
    first: u32,
    second: u64,
    epoch: i64,
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

/// The rows in order of their keys, then epochs.
fn sorted(table: &Table, slices: &[RowSlice]) -> Vec<Place> {
    let second_is_text = table.columns.get(1).is_some_and(|column| column.column_type == ColumnType::Text);
    let rows = || slices.iter().flat_map(|slice| slice.range.clone().map(move |row| (slice.rows.as_ref(), row)));
    let mut firsts: BTreeMap<Option<&[u8]>, u32> = rows().map(|(batch, row)| (batch.text(row, 0), 0)).collect();
    for (rank, own) in firsts.values_mut().enumerate() {
        *own = rank as u32;
    }
    // Ids of one kind begin alike; what they begin with says nothing about their order.
    let prefix = if second_is_text { common_prefix(rows().filter_map(|(batch, row)| batch.text(row, 1))) } else { 0 };
    let second = |batch: &RowBatch, row: usize| {
        if second_is_text {
            let mut bytes = [0; 8];
            let text = batch.text(row, 1).and_then(|text| text.get(prefix..)).unwrap_or_default();
            let length = text.len().min(8);
            bytes[..length].copy_from_slice(&text[..length]);
            u64::from_be_bytes(bytes)
        } else {
            batch.bits(row, 1).map_or(0, |bits| bits ^ (1 << 63))
        }
    };
    let mut ranked: Vec<Ranked> = Vec::with_capacity(slices.iter().map(|slice| slice.range.len()).sum());
    let mut last: Option<(&[u8], u32)> = None;
    for (number, slice) in slices.iter().enumerate() {
        for row in slice.range.clone() {
            let name = slice.rows.text(row, 0);
            let first = match (last, name) {
                (Some((last_name, rank)), Some(name)) if last_name == name => rank,
                _ => firsts.get(&name).copied().unwrap_or(0),
            };
            last = name.map(|name| (name, first));
            ranked.push(Ranked {
                first,
                second: second(&slice.rows, row),
                epoch: slice.rows.epoch(row),
                place: (number as u32, row as u32),
            });
        }
    }
    let row_at = |place: Place| (slices[place.0 as usize].rows.as_ref(), place.1 as usize);
    ranked.sort_unstable_by(|left, right| {
        (left.first, left.second)
            .cmp(&(right.first, right.second))
            .then_with(|| key_order(table, row_at(left.place), row_at(right.place)))
            .then_with(|| left.epoch.cmp(&right.epoch))
    });
    ranked.into_iter().map(|ranked| ranked.place).collect()
}

fn common_prefix<'a>(mut texts: impl Iterator<Item = &'a [u8]>) -> usize {
    let Some(first) = texts.next() else { return 0 };
    let mut length = first.len();
    for text in texts {
        let same = first[..length].iter().zip(text).take_while(|(left, right)| left == right).count();
        length = same;
        if length == 0 {
            break;
        }
    }
    length
}

/// All rows of the slices as one batch of a table's stored schema, ordered by key, then epoch.
///
/// # Errors
/// If the columns do not fit the schema, which would be a fault of ours.
pub fn record_batch(table: &Table, schema: &SchemaRef, slices: &[RowSlice]) -> Result<RecordBatch, ArrowError> {
    let order = sorted(table, slices);
    let mut columns: Vec<ArrayRef> =
        table.stored().enumerate().map(|(index, column)| column_array(column, index, slices, &order)).collect();
    let epochs = || order.iter().map(|(slice, row)| slices[*slice as usize].rows.epoch(*row as usize));
    if !has_own_epoch(table) {
        let mut builder = Int64Builder::with_capacity(order.len());
        epochs().for_each(|epoch| builder.append_value(epoch));
        columns.push(Arc::new(builder.finish()));
    }
    let mut changes = StringBuilder::with_capacity(order.len(), order.len() * 6);
    for (slice, row) in &order {
        changes.append_value(slices[*slice as usize].rows.change(*row as usize).name());
    }
    columns.push(Arc::new(changes.finish()));
    let mut changed_at = TimestampMillisecondBuilder::with_capacity(order.len()).with_timezone("UTC");
    epochs().for_each(|epoch| changed_at.append_value(epoch));
    columns.push(Arc::new(changed_at.finish()));
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn column_array(column: &Column, index: usize, slices: &[RowSlice], order: &[Place]) -> ArrayRef {
    let bits = || order.iter().map(|(slice, row)| slices[*slice as usize].rows.bits(*row as usize, index));
    let texts = || order.iter().map(|(slice, row)| slices[*slice as usize].rows.text(*row as usize, index));
    match column.column_type {
        ColumnType::Text => {
            let mut builder = StringBuilder::with_capacity(order.len(), order.len() * 12);
            for text in texts() {
                // Texts were checked when they were parsed.
                builder.append_option(text.map(|text| std::str::from_utf8(text).unwrap_or_default()));
            }
            Arc::new(builder.finish())
        }
        ColumnType::Word(words) => {
            let mut builder = StringBuilder::with_capacity(order.len(), order.len() * 10);
            bits().for_each(|bits| builder.append_option(bits.and_then(|code| words.get(code as usize))));
            Arc::new(builder.finish())
        }
        ColumnType::Integer => {
            let mut builder = Int64Builder::with_capacity(order.len());
            bits().for_each(|bits| builder.append_option(bits.map(|bits| bits as i64)));
            Arc::new(builder.finish())
        }
        ColumnType::Double => {
            let mut builder = Float64Builder::with_capacity(order.len());
            bits().for_each(|bits| builder.append_option(bits.map(f64::from_bits)));
            Arc::new(builder.finish())
        }
        ColumnType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(order.len());
            bits().for_each(|bits| builder.append_option(bits.map(|bits| bits != 0)));
            Arc::new(builder.finish())
        }
        ColumnType::Date => {
            let mut builder = Date32Builder::with_capacity(order.len());
            bits().for_each(|bits| builder.append_option(bits.map(|bits| bits as i64 as i32)));
            Arc::new(builder.finish())
        }
        ColumnType::Timestamp => {
            let mut builder = TimestampMillisecondBuilder::with_capacity(order.len()).with_timezone("UTC");
            bits().for_each(|bits| builder.append_option(bits.map(|bits| bits as i64)));
            Arc::new(builder.finish())
        }
        ColumnType::Bytes => {
            let mut builder = BinaryBuilder::new();
            texts().for_each(|text| builder.append_option(text));
            Arc::new(builder.finish())
        }
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
