//! Chunks: a few thousand rows in order of their keys that never change, shared by every version of the table that shows them.
//!
//! ```text
//!   Chunk   rows and keys, written once          ChunkVersion   a chunk, and which of its rows are alive in one version
//! ```

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::error::ArrowError;
use arrow::row::{Row, Rows};

use super::key::KeyCodec;

/// Rows of a chunk at most.
pub(crate) const CHUNK_ROWS_MAX: usize = 8_192;

/// Rows of the stored columns, in order of their keys.
#[derive(Debug)]
pub(crate) struct Chunk {
    rows: RecordBatch,
    keys: Rows,
    bytes: usize,
}

impl Chunk {
    /// A chunk of rows that are in order of their keys.
    pub(crate) fn new(rows: RecordBatch, codec: &KeyCodec) -> Result<Self, ArrowError> {
        let keys = codec.keys(&rows)?;
        let columns = rows.columns().iter().map(|column| column.to_data().get_slice_memory_size());
        let bytes = columns.sum::<Result<usize, _>>()? + keys.size();
        Ok(Chunk { rows, keys, bytes })
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.num_rows()
    }

    pub(crate) fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    pub(crate) fn key(&self, row: usize) -> Row<'_> {
        self.keys.row(row)
    }

    /// Memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows whose keys begin with `prefix`: neighbours, since keys are in order.
    pub(crate) fn range_of(&self, prefix: &[u8]) -> Range<usize> {
        let start = self.first(|key| key < prefix);
        let end = self.first(|key| key < prefix || key.starts_with(prefix));
        start..end
    }

    /// The first row for whose key `before` no longer holds.
    fn first(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if before(self.keys.row(middle).data()) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// A chunk as one version of its table shows it.
#[derive(Clone, Debug)]
pub(crate) struct ChunkVersion {
    /// The rows.
    pub(crate) chunk: Arc<Chunk>,
    /// A bit for each row that is alive; none if all are.
    alive: Option<Buffer>,
    /// How many are.
    alive_count: usize,
}

impl ChunkVersion {
    /// A chunk all of whose rows are alive.
    pub(crate) fn new(chunk: Arc<Chunk>) -> Self {
        let alive_count = chunk.len();
        ChunkVersion { chunk, alive: None, alive_count }
    }

    /// Rows that are alive.
    pub(crate) fn alive_count(&self) -> usize {
        self.alive_count
    }

    /// The bits of a range; none if all rows are alive.
    pub(crate) fn alive(&self, range: &Range<usize>) -> Option<BooleanBuffer> {
        self.alive.as_ref().map(|bits| BooleanBuffer::new(bits.clone(), range.start, range.len()))
    }

    /// Whether a row is alive.
    pub(crate) fn is_alive(&self, row: usize) -> bool {
        self.alive.as_ref().is_none_or(|bits| arrow::util::bit_util::get_bit(bits.as_slice(), row))
    }

    /// The same without some rows that were alive. Costs a bit for each row of the chunk.
    pub(crate) fn without(&self, dead: &[u32]) -> Self {
        let mut bits = match &self.alive {
            Some(bits) => bits.as_slice().to_vec(),
            None => vec![u8::MAX; self.chunk.len().div_ceil(8)],
        };
        for row in dead {
            arrow::util::bit_util::unset_bit(&mut bits, *row as usize);
        }
        ChunkVersion {
            chunk: Arc::clone(&self.chunk),
            alive: Some(Buffer::from_vec(bits)),
            alive_count: self.alive_count.saturating_sub(dead.len()),
        }
    }

    /// The rows that are alive, in order.
    pub(crate) fn alive_rows(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.chunk.len()).filter(|row| self.is_alive(*row))
    }
}
