//! Versions of rows on their way to a table: eight bytes a cell, texts beside them.
//!
//! ```text
//!   RowBatch ─┬─ cells   width × rows words: integer, bits of a double, or text as (offset: 40 bits, length: 24 bits)
//!             ├─ nulls   one mask a row
//!             ├─ epochs, changes
//!             └─ text
//! ```

use serde::{Deserialize, Serialize};

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum RowChange {
    /// It is new or different.
    Upsert,
    /// It is gone.
    Delete,
    /// It left memory after its retention; history keeps it.
    Expire,
}

impl RowChange {
    /// The word in column `change`.
    pub const fn name(self) -> &'static str {
        match self {
            RowChange::Upsert => "upsert",
            RowChange::Delete => "delete",
            RowChange::Expire => "expire",
        }
    }
}

/// A value for one cell.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// Null.
    Null,
    /// Integer, boolean, word code, date or timestamp.
    Integer(i64),
    /// Double.
    Double(f64),
    /// Text or bytes.
    Text(&'a [u8]),
}

impl From<Option<i64>> for Cell<'_> {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Cell::Null, Cell::Integer)
    }
}

const LENGTH_BITS: u32 = 24;

/// Row versions of one table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RowBatch {
    width: usize,
    cells: Vec<u64>,
    nulls: Vec<u32>,
    epochs: Vec<i64>,
    changes: Vec<RowChange>,
    text: Vec<u8>,
}

impl RowBatch {
    /// An empty batch of rows with `width` cells, at most 32.
    pub fn new(width: usize) -> Self {
        debug_assert!(width <= 32, "nulls are a mask of 32 bits");
        RowBatch { width, ..RowBatch::default() }
    }

    /// Takes the rows out and leaves room for as many: one activation is much like the next.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let rows = RowBatch {
            width: self.width,
            cells: Vec::with_capacity(self.cells.len()),
            nulls: Vec::with_capacity(self.nulls.len()),
            epochs: Vec::with_capacity(self.epochs.len()),
            changes: Vec::with_capacity(self.changes.len()),
            text: Vec::with_capacity(self.text.len()),
        };
        std::mem::replace(self, rows)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.epochs.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        self.cells.len() * 8 + self.epochs.len() * 13 + self.text.len()
    }

    /// Starts a row; its cells follow by [`RowBatch::cell`], as many as the batch is wide.
    pub fn start(&mut self, epoch: i64, change: RowChange) {
        debug_assert_eq!(self.cells.len(), self.width * self.len(), "the row before is not whole");
        self.epochs.push(epoch);
        self.changes.push(change);
        self.nulls.push(0);
    }

    /// Adds the next cell of the row that was started last.
    #[inline]
    pub fn cell(&mut self, cell: Cell<'_>) {
        let bits = match cell {
            Cell::Null => {
                let row = self.nulls.len() - 1;
                self.nulls[row] |= 1 << (self.cells.len() - row * self.width);
                0
            }
            Cell::Integer(value) => value as u64,
            Cell::Double(value) => value.to_bits(),
            Cell::Text(text) => {
                let offset = self.text.len() as u64;
                self.text.extend_from_slice(text);
                (offset << LENGTH_BITS) | text.len() as u64
            }
        };
        self.cells.push(bits);
    }

    /// Fills the rest of the row with nulls.
    pub fn finish(&mut self) {
        while self.cells.len() < self.width * self.len() {
            self.cell(Cell::Null);
        }
    }

    /// Epoch of a row.
    pub fn epoch(&self, row: usize) -> i64 {
        self.epochs[row]
    }

    /// Change of a row.
    pub fn change(&self, row: usize) -> RowChange {
        self.changes[row]
    }

    /// Bits of a cell, `None` if it is null.
    #[inline]
    pub fn bits(&self, row: usize, column: usize) -> Option<u64> {
        (self.nulls[row] & (1 << column) == 0).then(|| self.cells[row * self.width + column])
    }

    /// Text of a cell, `None` if it is null.
    #[inline]
    pub fn text(&self, row: usize, column: usize) -> Option<&[u8]> {
        self.bits(row, column).map(|bits| {
            let (offset, length) = ((bits >> LENGTH_BITS) as usize, bits as usize & ((1 << LENGTH_BITS) - 1));
            &self.text[offset..offset + length]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back() {
        let mut rows = RowBatch::new(4);
        rows.start(5, RowChange::Upsert);
        for cell in [Cell::Text(b"d1"), Cell::Null, Cell::Integer(-3), Cell::Double(0.5)] {
            rows.cell(cell);
        }
        rows.start(6, RowChange::Delete);
        rows.cell(Cell::Text(b"d2"));
        rows.finish();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows.text(0, 0), Some(b"d1".as_slice()));
        assert_eq!(rows.bits(0, 1), None);
        assert_eq!(rows.bits(0, 2).map(|bits| bits as i64), Some(-3));
        assert_eq!(rows.bits(0, 3).map(f64::from_bits), Some(0.5));
        assert_eq!(rows.text(1, 0), Some(b"d2".as_slice()));
        assert_eq!((rows.bits(1, 1), rows.bits(1, 3)), (None, None));
        assert_eq!((rows.epoch(1), rows.change(1)), (6, RowChange::Delete));
        let taken = rows.take();
        assert_eq!((rows.len(), taken.len(), taken.text(0, 0)), (0, 2, Some(b"d1".as_slice())));
    }
}
