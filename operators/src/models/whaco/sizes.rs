//! How large the clusters are now: a count over the last 500 rows.

/// Rows that sizes are estimated from.
pub const SIZE_WINDOW_ROWS: usize = 500;
/// Bytes of the window.
pub(super) const BYTES: usize = SIZE_WINDOW_ROWS + 8;

/// The clusters of the last 500 rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SizeWindow {
    pub(super) clusters: Vec<u8>,
    pub(super) next: u32,
}

impl SizeWindow {
    /// Counts a row.
    #[inline]
    pub(super) fn push(&mut self, cluster: u32) {
        if self.clusters.len() < SIZE_WINDOW_ROWS {
            self.clusters.reserve_exact(if self.clusters.is_empty() { SIZE_WINDOW_ROWS } else { 0 });
            self.clusters.push(cluster as u8);
            return;
        }
        self.clusters[self.next as usize] = cluster as u8;
        self.next = if self.next as usize + 1 == SIZE_WINDOW_ROWS { 0 } else { self.next + 1 };
    }

    /// Rows of that cluster among the last 500.
    pub fn rows(&self, cluster: u32) -> usize {
        self.clusters.iter().filter(|of| u32::from(**of) == cluster).count()
    }

    /// Rows in the window, at most 500.
    pub fn len(&self) -> usize {
        self.clusters.len()
    }

    /// Whether no row was counted yet.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_rows_count() {
        let mut window = SizeWindow::default();
        for row in 0..1_250 {
            window.push(u32::from(row >= 1_000));
        }
        assert_eq!((window.rows(0), window.rows(1), window.len()), (250, 250, 500));
    }
}
