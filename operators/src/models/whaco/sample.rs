//! A sample of the rows, and how far a row lies from it.
//!
//! ```text
//!   points in blocks of 8, feature by feature      lane of about 6 blocks = one group of about 6 points
//!   block: [f0: ×8][f1: ×8]…  ─▶ 8 distances at once ─▶ nearest of each group ─▶ mean over the groups
//! ```
//! The mean distance to the nearest of many small random groups is the outlier score of Pang, Ting and Albrecht (`LeSiNN`, 2015).
//! Small groups are what makes it sound on contaminated streams: outliers that lie together seldom share a group with one of
//! their own. The first points go to different groups, so groups grow with the sample: what is known of few rows is their middle, and
//! only many rows tell what is dense.
//!
//! The distance is city-block in standard deviations with every feature held at [`DEVIATIONS_MAX`], which no heavy tail can dominate. Among
//! Euclidean, city-block, ranked and logarithmic ones, and Mahalanobis' (whole and in part), it was the best alone, and no mean of several
//! was clearly better (`benches/quality`).
//!
//! Which rows are kept: each of the last `memory_rows` rows with equal chance at first, and then with an age that is geometric.

use super::random::Random;

/// Points of a block.
pub(super) const LANES: usize = 8;
/// Blocks whose lanes make groups, nearly.
const BLOCKS_PER_GROUP: usize = 6;
/// No feature adds more standard deviations than this to a distance.
const DEVIATIONS_MAX: f32 = 3.0;

type Lanes = [f32; LANES];

/// The points, relative to the origin.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Block by block, in each feature by feature.
    pub(super) values: Vec<Lanes>,
    pub(super) features: usize,
    pub(super) points: usize,
    pub(super) filled: usize,
}

#[inline]
fn lesser(left: f32, right: f32) -> f32 {
    if left < right { left } else { right }
}

impl Sample {
    pub(super) fn new(features: usize, points: usize) -> Self {
        Sample { values: vec![[0.0; LANES]; points / LANES * features], features, points, filled: 0 }
    }

    /// The value of a feature of the n-th point.
    pub(super) fn value(&self, point: usize, feature: usize) -> f32 {
        self.values[point / LANES * self.features + feature][point % LANES]
    }

    /// The blocks of the n-th eight groups; the blocks are shared out evenly.
    #[inline]
    fn blocks(&self, groups: usize) -> std::ops::Range<usize> {
        let (blocks, parts) = (self.points / LANES, self.parts());
        groups * blocks / parts..(groups + 1) * blocks / parts
    }

    #[inline]
    fn parts(&self) -> usize {
        ((self.points / LANES + BLOCKS_PER_GROUP / 2) / BLOCKS_PER_GROUP).max(1)
    }

    /// How far a row lies from the sample in standard deviations per feature; zero while the sample is empty. `inverse` has the inverse
    /// standard deviations.
    #[inline]
    pub(super) fn distance(&self, row: &[f32], inverse: &[f32]) -> f32 {
        let features = self.features;
        let (row, inverse) = (&row[..features], &inverse[..features]);
        let (mut total, mut groups) = (0.0_f32, 0_usize);
        for part in 0..self.parts() {
            let blocks = self.blocks(part);
            // Groups count when they are whole, so that all are alike; only the first eight count from their first point.
            if part > 0 && self.filled < blocks.end * LANES {
                break;
            }
            let mut nearest = [f32::INFINITY; LANES];
            for block in blocks {
                let present = self.filled.saturating_sub(block * LANES);
                let mut sums = [0.0_f32; LANES];
                for ((lanes, x), inverse) in self.values[block * features..][..features].iter().zip(row).zip(inverse) {
                    for (sum, value) in sums.iter_mut().zip(lanes) {
                        *sum += lesser((x - value).abs() * inverse, DEVIATIONS_MAX);
                    }
                }
                if present < LANES {
                    sums[present..].fill(f32::INFINITY);
                }
                for (nearest, sum) in nearest.iter_mut().zip(&sums) {
                    *nearest = lesser(*sum, *nearest);
                }
            }
            for distance in nearest {
                if distance < f32::INFINITY {
                    total += distance;
                    groups += 1;
                }
            }
        }
        if groups == 0 { 0.0 } else { total / (groups * features) as f32 }
    }

    /// Lets a row take its chance of being kept. `rows` counts those before it.
    #[inline]
    pub(super) fn learn(&mut self, row: &[f32], rows: u64, memory_rows: u32, random: &mut Random) {
        let point = if self.filled < self.points {
            self.filled += 1;
            self.filled - 1
        } else {
            let drawn = random.below((rows + 1).min(u64::from(memory_rows)).max(self.points as u64)) as usize;
            if drawn >= self.points {
                return;
            }
            drawn
        };
        for (lanes, value) in self.values[point / LANES * self.features..].iter_mut().zip(row) {
            lanes[point % LANES] = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: the mean over the groups of the least distance to one of the group.
    fn plainly(sample: &Sample, row: &[f32], inverse: &[f32]) -> f32 {
        let blocks = sample.points / LANES;
        let parts = ((blocks + 3) / 6).max(1);
        let part_of = |point: usize| (0..parts).rfind(|part| part * blocks / parts <= point / LANES).unwrap();
        let apart = |point: usize| -> f32 {
            let deviations = |feature: usize| (row[feature] - sample.value(point, feature)).abs() * inverse[feature];
            (0..row.len()).map(|feature| deviations(feature).min(3.0)).sum::<f32>() / row.len() as f32
        };
        let mut nearest = Vec::new();
        for part in 0..parts {
            let size = (0..sample.points).filter(|point| part_of(*point) == part).count();
            let kept: Vec<_> = (0..sample.filled).filter(|point| part_of(*point) == part).collect();
            for lane in (0..LANES).filter(|_| part == 0 || kept.len() == size) {
                let group = kept.iter().filter(|point| *point % LANES == lane);
                nearest.extend(group.map(|point| apart(*point)).reduce(f32::min));
            }
        }
        nearest.iter().sum::<f32>() / nearest.len().max(1) as f32
    }

    proptest! {
        /// Blocks and lanes give what the definition gives, for any size and any number of points in it.
        #[test]
        fn the_fast_form_equals_the_plain_one(features in 1_usize..12, blocks in 1_usize..40, count in 0_usize..400, seed: u64) {
            let mut random = Random::new(seed);
            let mut sample = Sample::new(features, blocks * LANES);
            let mut draw = || (0..features).map(|_| (random.unit() * 4.0) as f32).collect::<Vec<f32>>();
            for point in 0..count {
                sample.learn(&draw(), point as u64, 1_000, &mut Random::new(point as u64));
            }
            let (row, inverse) = (draw(), draw());
            let (fast, plain) = (sample.distance(&row, &inverse), plainly(&sample, &row, &inverse));
            prop_assert!((fast - plain).abs() <= 1e-4 * (1.0 + plain), "{} {}", fast, plain);
        }
    }

    #[test]
    fn rows_leave_the_sample_with_age() {
        let (mut sample, mut random) = (Sample::new(1, 64), Random::new(9));
        for row in 0..10_000_u64 {
            sample.learn(&[row as f32], row, 256, &mut random);
        }
        let mean = (0..64).map(|point| sample.value(point, 0)).sum::<f32>() / 64.0;
        assert!((9_999.0 - mean) < 500.0, "mean age {}", 9_999.0 - mean);
    }
}
