//! Keys as bytes whose order is that of their columns, nulls first.
//!
//! ```text
//!   (dealer_id, lead_id) ─▶ [dealer_id bytes][lead_id bytes]      the first columns' bytes are a prefix of the whole
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::ScalarValue;

/// Turns the key columns of one table into bytes.
#[derive(Clone, Debug)]
pub(crate) struct KeyCodec {
    /// Places of the key columns in the stored schema.
    columns: Vec<usize>,
    types: Vec<DataType>,
    /// The converter of the first `n + 1` columns at place `n`.
    converters: Arc<Vec<RowConverter>>,
}

impl KeyCodec {
    /// A codec for the columns at `columns` of a schema; at least one.
    pub(crate) fn new(schema: &SchemaRef, columns: Vec<usize>) -> Result<Self, ArrowError> {
        let types: Vec<DataType> = columns.iter().map(|column| schema.field(*column).data_type().clone()).collect();
        let converters = (1..=types.len())
            .map(|count| RowConverter::new(types[..count].iter().cloned().map(SortField::new).collect()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(KeyCodec { columns, types, converters: Arc::new(converters) })
    }

    /// The type of the key column at `position` among the key columns.
    pub(crate) fn data_type(&self, position: usize) -> &DataType {
        &self.types[position]
    }

    /// The keys of all rows of a batch that begins with the stored columns.
    pub(crate) fn keys(&self, batch: &RecordBatch) -> Result<Rows, ArrowError> {
        let arrays: Vec<ArrayRef> = self.columns.iter().map(|column| Arc::clone(batch.column(*column))).collect();
        match self.converters.last() {
            Some(converter) => converter.convert_columns(&arrays),
            None => Err(ArrowError::InvalidArgumentError("a table without a key".to_owned())),
        }
    }

    /// The bytes with which the keys begin whose first columns have these values.
    pub(crate) fn prefix(&self, values: &[ScalarValue]) -> Result<Vec<u8>, ArrowError> {
        let converter = values.len().checked_sub(1).and_then(|last| self.converters.get(last));
        let Some(converter) = converter else { return Ok(Vec::new()) };
        let arrays = values.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>, _>>();
        let arrays = arrays.map_err(|error| ArrowError::InvalidArgumentError(error.to_string()))?;
        Ok(converter.convert_columns(&arrays)?.row(0).data().to_vec())
    }
}
