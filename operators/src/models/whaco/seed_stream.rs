//! The seed form over rows of any units: standardised by running moments, started at the first distinct rows.
//!
//! ```text
//!   first K distinct rows ─▶ kept; each is its own cluster
//!   then: moments of the rows before it ─▶ (row − mean)/deviation ─▶ seed form with σ² = 1 ─▶ moments take the row in
//! ```
//! The starts are standardised by the moments of the rows that came until all were found. σ² starts at 1, which is what standardised
//! rows have.

use super::scale::Moments;
use super::seed::{SeedModel, SeedScored};

/// Variance of a standardised feature.
const VARIANCE_START: f64 = 1.0;

/// A seed model that starts by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedStream {
    clusters: usize,
    moments: Vec<Moments>,
    rows: u64,
    starts: Vec<Vec<f64>>,
    model: Option<SeedModel>,
}

impl SeedStream {
    /// A model of so many features and clusters, each at least one.
    pub fn new(features: usize, clusters: usize) -> Self {
        let moments = vec![Moments::default(); features.max(1)];
        SeedStream { clusters: clusters.max(1), moments, rows: 0, starts: Vec::new(), model: None }
    }

    fn complete(&self, row: &[f64]) -> Vec<f64> {
        let values = row.iter().zip(&self.moments);
        values.map(|(value, moments)| if value.is_finite() { *value } else { moments.mean }).collect()
    }

    fn standardise(&self, row: &[f64]) -> Vec<f64> {
        let deviation = |moments: &Moments| if moments.variance > 0.0 { moments.variance.sqrt() } else { 1.0 };
        row.iter().zip(&self.moments).map(|(value, moments)| (value - moments.mean) / deviation(moments)).collect()
    }

    /// The nearest start, before the model has begun.
    fn among_starts(&self, row: &[f64]) -> SeedScored {
        let square = |start: &[f64]| {
            let apart = self.standardise(start).into_iter().zip(self.standardise(row));
            apart.map(|(left, right)| (left - right) * (left - right)).sum::<f64>()
        };
        let mut best = (0, f64::INFINITY);
        for (cluster, start) in self.starts.iter().enumerate() {
            let distance = square(start);
            if distance < best.1 {
                best = (cluster, distance);
            }
        }
        SeedScored { cluster: best.0 as u32, distance: 0.0, is_outlier: false, confidence: 1.0 }
    }

    /// Scores a row and learns nothing. A value that is not finite is missing, and taken to be the mean.
    pub fn score(&self, row: &[f64]) -> SeedScored {
        let row = self.complete(row);
        match &self.model {
            Some(model) => model.score(&self.standardise(&row)),
            None => self.among_starts(&row),
        }
    }

    /// Scores a row and learns from it; a start is its own cluster.
    pub fn analyse(&mut self, row: &[f64]) -> SeedScored {
        let complete = self.complete(row);
        let standard = self.standardise(&complete);
        let scored = if let Some(model) = &mut self.model {
            model.analyse(&standard)
        } else if self.starts.contains(&complete) {
            self.among_starts(&complete)
        } else {
            self.starts.push(complete.clone());
            SeedScored { cluster: self.starts.len() as u32 - 1, distance: 0.0, is_outlier: false, confidence: 1.0 }
        };
        for (moments, value) in self.moments.iter_mut().zip(row) {
            if value.is_finite() {
                moments.learn(*value, self.rows as f64);
            }
        }
        self.rows += 1;
        if self.model.is_none() && self.starts.len() == self.clusters {
            let starts: Vec<_> = self.starts.iter().map(|start| self.standardise(start)).collect();
            let starts: Vec<_> = starts.iter().map(Vec::as_slice).collect();
            self.model = Some(SeedModel::starting_at(&starts, VARIANCE_START));
        }
        scored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_distinct_rows_are_the_starts() {
        let mut stream = SeedStream::new(1, 2);
        let clusters: Vec<u32> =
            [[10.0], [10.0], [30.0], [12.0], [29.0]].iter().map(|row| stream.analyse(row).cluster).collect();
        assert_eq!(clusters, [0, 0, 1, 0, 1]);
    }

    #[test]
    fn rows_are_standardised_by_those_before_them() {
        let mut stream = SeedStream::new(1, 2);
        stream.analyse(&[1.0]);
        stream.analyse(&[3.0]);
        // Mean 2, deviation 1: the starts are −1 and 1, and 6 is 4, three deviations from the nearer one.
        let scored = stream.analyse(&[6.0]);
        assert_eq!((scored.cluster, scored.is_outlier), (1, false));
        assert!((scored.distance - 3.0).abs() < 1e-12);
        assert!((scored.confidence - (1.0 - 3.0 / 8.0)).abs() < 1e-12);
        // Mean 10/3, variance 38/9, σ² = .9 + .1 · 9 = 1.8, start 1 → 1.15.
        let standard = (8.0 - 10.0 / 3.0) / (38.0_f64 / 9.0).sqrt();
        let distance = (standard - 1.15).abs() / 1.8_f64.sqrt();
        assert!((stream.analyse(&[8.0]).distance - distance).abs() < 1e-12);
        assert!(stream.score(&[1e6]).is_outlier);
        assert!(!stream.score(&[f64::NAN]).is_outlier);
    }
}
