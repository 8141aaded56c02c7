//! The last thousand outliers.

use std::collections::VecDeque;

/// Outliers that are kept.
pub const OUTLIERS_KEPT_MAX: usize = 1_000;

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlier {
    /// How many rows came before it.
    pub row: u64,
    /// The nearest cluster.
    pub cluster: u32,
    /// Its distance, in deviations.
    pub distance: f64,
    /// The row itself.
    pub features: Vec<f64>,
}

/// The last outliers, the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutlierLog {
    pub(super) outliers: VecDeque<Outlier>,
}

impl OutlierLog {
    pub(super) fn push(&mut self, outlier: Outlier) {
        if self.outliers.len() == OUTLIERS_KEPT_MAX {
            self.outliers.pop_front();
        }
        self.outliers.push_back(outlier);
    }

    /// The outliers, the oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Outlier> {
        self.outliers.iter()
    }

    /// How many there are, at most 1,000.
    pub fn len(&self) -> usize {
        self.outliers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.outliers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leave() {
        let mut log = OutlierLog::default();
        for row in 0..1_200 {
            log.push(Outlier { row, cluster: 0, distance: 4.0, features: Vec::new() });
        }
        assert_eq!((log.len(), log.iter().next().unwrap().row), (1_000, 200));
    }
}
