//! The centroids, and which of them a row is nearest to.
//!
//! ```text
//!   row ─▶ nearest of k (learned metric) ─▶ C ← C + (row − C) / max(rows of C, 1/α)     every row, in between:
//!   sample ─▶ metric, Lloyd from the present centroids, greedy k-means++ starts ─▶ the best, under the old numbers   (recluster.rs)
//! ```
//! Weights are learned: the metric is 1 / (range × standard deviation) of the sample without its extremes. Beside plain
//! standardising, it weighs a feature by deviation ÷ range, which is high where values lie in groups at both ends and low where a few
//! stray far from the rest: what separates clusters counts, what is only noisy does not (after Milligan and Cooper 1988, who found the
//! range to be the best measure for this).

use super::sample::LANES;

/// A centroid never follows a row by less than this, so that it keeps up with drift; its noise is 5 % of a deviation then.
const STEP_LEAST: f32 = 0.005;
/// Rows that variances and shares look back on.
const SHARE_ROWS: f32 = 1_000.0;
/// A variance is never less than this share of the square that the metric takes as one.
const VARIANCE_LEAST: f32 = 1e-4;

type Lanes = [f32; LANES];

/// The state of the clusters; values are relative to the origin.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clusters {
    /// Eight clusters to a block, in each feature by feature; absent ones lie infinitely far.
    pub(super) centroids: Vec<Lanes>,
    /// Rows that stand behind each centroid.
    pub(super) rows: Vec<f32>,
    /// Share of the rows that each cluster holds.
    pub(super) shares: Vec<f32>,
    /// Weight of each feature's square in distances.
    pub(super) metric: Vec<f32>,
    /// Variance of each feature inside clusters.
    pub(super) variances: Vec<f32>,
    /// Their inverses.
    pub(super) precisions: Vec<f32>,
    /// Mean and mean square of a row's distance from its centroid in within-cluster variances.
    pub(super) spread: [f32; 2],
    pub(super) features: usize,
    /// Clusters in use; fewer than wanted only while fewer distinct rows have come.
    pub(super) count: usize,
}

/// Where a row stands among the clusters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// The nearest cluster.
    pub(super) cluster: u32,
    /// Squared distance from its centroid in within-cluster variances.
    pub(super) spread: f32,
}

impl Clusters {
    pub(super) fn new(features: usize, clusters: usize) -> Self {
        let padded = clusters.next_multiple_of(LANES);
        Clusters {
            centroids: vec![[0.0; LANES]; padded / LANES * features],
            rows: vec![0.0; padded],
            shares: vec![0.0; padded],
            metric: vec![1.0; features],
            variances: vec![1.0; features],
            precisions: vec![1.0; features],
            spread: [features as f32, (features * (features + 2)) as f32],
            features,
            count: 0,
        }
    }

    pub(super) fn value(&self, cluster: usize, feature: usize) -> f32 {
        self.centroids[cluster / LANES * self.features + feature][cluster % LANES]
    }

    pub(super) fn set(&mut self, cluster: usize, row: impl Iterator<Item = f32>) {
        let block = cluster / LANES * self.features;
        for (lanes, value) in self.centroids[block..block + self.features].iter_mut().zip(row) {
            lanes[cluster % LANES] = value;
        }
    }

    /// The nearest cluster, and into `spreads` each cluster's squared distance in within-cluster variances. Needs one cluster.
    #[inline]
    pub(super) fn stand(&self, row: &[f32], spreads: &mut [f32]) -> Standing {
        let features = self.features;
        let (row, metric, precisions) = (&row[..features], &self.metric[..features], &self.precisions[..features]);
        let (mut nearest, mut cluster) = (f32::INFINITY, 0);
        for (block, lanes) in self.centroids.chunks_exact(features).enumerate() {
            let (mut squares, mut wide) = ([0.0_f32; LANES], [0.0_f32; LANES]);
            for (((values, x), weight), precision) in lanes.iter().zip(row).zip(metric).zip(precisions) {
                for ((square, wide), value) in squares.iter_mut().zip(&mut wide).zip(values) {
                    let apart = x - value;
                    let power = apart * apart;
                    *square += power * weight;
                    *wide += power * precision;
                }
            }
            for lane in 0..LANES.min(self.count.saturating_sub(block * LANES)) {
                spreads[block * LANES + lane] = wide[lane];
                if squares[lane] < nearest {
                    nearest = squares[lane];
                    cluster = block * LANES + lane;
                }
            }
        }
        Standing { cluster: cluster as u32, spread: spreads[cluster] }
    }

    /// Moves the row's centroid towards it and takes its spread into the variances.
    #[inline]
    pub(super) fn learn(&mut self, row: &[f32], standing: Standing) {
        let (cluster, features) = (standing.cluster as usize, self.features);
        self.rows[cluster] += 1.0;
        let step = (1.0 / self.rows[cluster]).max(STEP_LEAST);
        let share = 1.0 / SHARE_ROWS;
        let block = &mut self.centroids[cluster / LANES * features..][..features];
        for ((lanes, x), (variance, metric)) in
            block.iter_mut().zip(row).zip(self.variances.iter_mut().zip(&self.metric))
        {
            let centroid = &mut lanes[cluster % LANES];
            let apart = x - *centroid;
            *centroid += step * apart;
            *variance += share * (apart * apart - *variance);
            *variance = variance.max(least_variance(*metric));
        }
        for (of, shares) in self.shares[..self.count].iter_mut().enumerate() {
            *shares += share * (f32::from(u8::from(of == cluster)) - *shares);
        }
        self.learn_spread(standing.spread);
    }

    pub(super) fn learn_spread(&mut self, spread: f32) {
        // One row may not turn the moments over.
        let spread = spread.min(20.0 * self.features as f32);
        self.spread[0] += (spread - self.spread[0]) / SHARE_ROWS;
        self.spread[1] += (spread * spread - self.spread[1]) / SHARE_ROWS;
    }

    pub(super) fn refresh_precisions(&mut self) {
        for ((precision, variance), metric) in self.precisions.iter_mut().zip(&self.variances).zip(&self.metric) {
            // What the metric leaves out says nothing about clusters.
            *precision = if *metric > 0.0 { 1.0 / variance } else { 0.0 };
        }
    }
}

/// The least variance of a feature under a metric.
pub(super) fn least_variance(metric: f32) -> f32 {
    if metric > 0.0 { VARIANCE_LEAST / metric } else { 1.0 }
}
