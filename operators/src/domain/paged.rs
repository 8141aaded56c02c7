//! Rows of equal length that never move: growth adds a page and copies nothing.

const PAGE_ROWS_BITS: u32 = 10;
const PAGE_ROWS: usize = 1 << PAGE_ROWS_BITS;

/// Rows of `width` values, by number.
#[derive(Debug)]
pub struct Paged<T> {
    pages: Vec<Vec<T>>,
    width: usize,
    rows: usize,
}

impl<T> Paged<T> {
    /// No rows yet, each of `width` values.
    pub fn new(width: usize) -> Self {
        Paged { pages: Vec::new(), width, rows: 0 }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a row and gives its number.
    pub fn push(&mut self, values: impl Iterator<Item = T>) -> usize {
        if self.rows.is_multiple_of(PAGE_ROWS) {
            self.pages.push(Vec::with_capacity(PAGE_ROWS * self.width));
        }
        let page = &mut self.pages[self.rows >> PAGE_ROWS_BITS];
        page.extend(values);
        debug_assert_eq!(page.len(), ((self.rows % PAGE_ROWS) + 1) * self.width);
        self.rows += 1;
        self.rows - 1
    }

    /// A row.
    #[inline]
    pub fn row(&self, number: usize) -> &[T] {
        let start = (number & (PAGE_ROWS - 1)) * self.width;
        &self.pages[number >> PAGE_ROWS_BITS][start..start + self.width]
    }

    /// A row, to be changed.
    #[inline]
    pub fn row_mut(&mut self, number: usize) -> &mut [T] {
        let start = (number & (PAGE_ROWS - 1)) * self.width;
        &mut self.pages[number >> PAGE_ROWS_BITS][start..start + self.width]
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        self.pages.len() * PAGE_ROWS * self.width * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_values_over_pages() {
        let mut rows = Paged::new(3);
        for number in 0..5_000 {
            assert_eq!(rows.push([number, number + 1, number + 2].into_iter()), number);
        }
        rows.row_mut(4_321)[1] = 7;
        assert_eq!(rows.row(4_321), [4_321, 7, 4_323]);
        assert_eq!(rows.row(1_023), [1_023, 1_024, 1_025]);
        assert_eq!(rows.len(), 5_000);
    }
}
