//! A sample of the rows, and how far a row lies from it.
//!
//! ```text
//!   points in blocks of 8, feature by feature      lane of 3 blocks = a narrow group, of 24 blocks = a wide one
//!   block: [f0: ×8][f1: ×8]…  ─▶ 8 distances at once ─▶ nearest of each narrow group ─┬─▶ mean over the narrow groups ─┐
//!                                                     nearest of each wide group ◀────┘─▶ mean over the wide groups  ──┴─▶ half of each
//! ```
//! The mean distance to the nearest of many small random groups is the outlier score of Pang, Ting and Albrecht (`LeSiNN`, 2015).
//! Small groups are what makes it sound on contaminated streams: outliers that lie together seldom share a group with one of
//! their own. Large ones see what lies beside a group of rows and not in it. No one size has both, their mean nearly has, and costs nothing:
//! what is nearest in a wide group is the nearest of its narrow ones. The first points go to different groups, so groups grow with the
//! sample: what is known of few rows is their middle, and only many rows tell what is dense.
//!
//! The distance is city-block in standard deviations with every feature held at [`DEVIATIONS_MAX`], which no heavy tail can dominate. Among
//! Euclidean, city-block, ranked and logarithmic ones, and Mahalanobis' (whole and in part), it was the best alone, and neither a mean of
//! several nor a softer bound was clearly better (`benches/quality`).
//!
//! Which rows are kept: each of the last `memory_rows` rows with equal chance at first, and then with an age that is geometric.

use std::ops::Range;

use super::random::Random;

/// Points of a block.
pub(super) const LANES: usize = 8;
/// Blocks whose lanes make narrow groups.
const BLOCKS_NARROW: usize = 3;
/// The same for wide groups.
const BLOCKS_WIDE: usize = 24;
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

/// Parts of so many blocks, the last with up to half as many more or fewer.
#[inline]
fn parts(blocks: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let last = ((blocks.len() + size / 2) / size).max(1) - 1;
    (0..=last).map(move |part| {
        let start = blocks.start + part * size;
        start..if part == last { blocks.end } else { start + size }
    })
}

/// Distances to the nearest of groups, summed up.
#[derive(Default)]
struct Sum {
    lanes: Lanes,
    groups: usize,
}

impl Sum {
    /// Takes in eight groups, of which the last may be empty.
    #[inline]
    fn add(&mut self, nearest: &Lanes, groups: usize) {
        for (sum, nearest) in self.lanes.iter_mut().zip(nearest) {
            *sum += if *nearest < f32::INFINITY { *nearest } else { 0.0 };
        }
        self.groups += groups;
    }

    #[inline]
    fn mean(&self) -> f32 {
        self.lanes.iter().sum::<f32>() / self.groups as f32
    }
}

impl Sample {
    pub(super) fn new(features: usize, points: usize) -> Self {
        Sample { values: vec![[0.0; LANES]; points / LANES * features], features, points, filled: 0 }
    }

    /// The value of a feature of the n-th point.
    pub(super) fn value(&self, point: usize, feature: usize) -> f32 {
        self.values[point / LANES * self.features + feature][point % LANES]
    }

    /// Whether the groups of these blocks count: when they are whole, so that all are alike; only the first do from their first point.
    #[inline]
    fn count(&self, blocks: &Range<usize>) -> bool {
        blocks.start == 0 || self.filled >= blocks.end * LANES
    }

    /// The distance to the nearest point of each lane of these blocks, infinite where there is none.
    #[inline]
    fn nearest(&self, blocks: Range<usize>, row: &[f32], inverse: &[f32]) -> Lanes {
        let mut nearest = [f32::INFINITY; LANES];
        for block in blocks {
            let present = self.filled.saturating_sub(block * LANES);
            let mut sums = [0.0_f32; LANES];
            for ((lanes, x), inverse) in self.values[block * row.len()..][..row.len()].iter().zip(row).zip(inverse) {
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
        nearest
    }

    /// How far a row lies from the sample in standard deviations per feature; zero while the sample is empty. `inverse` has the inverse
    /// standard deviations.
    #[inline]
    pub(super) fn distance(&self, row: &[f32], inverse: &[f32]) -> f32 {
        if self.filled == 0 {
            return 0.0;
        }
        let (row, inverse) = (&row[..self.features], &inverse[..self.features]);
        let groups = self.filled.min(LANES);
        let (mut narrow, mut wide) = (Sum::default(), Sum::default());
        for blocks in parts(0..self.points / LANES, BLOCKS_WIDE) {
            let mut nearest = [f32::INFINITY; LANES];
            for blocks in parts(blocks.clone(), BLOCKS_NARROW) {
                let near = self.nearest(blocks.clone(), row, inverse);
                for (nearest, near) in nearest.iter_mut().zip(&near) {
                    *nearest = lesser(*near, *nearest);
                }
                if !self.count(&blocks) {
                    break;
                }
                narrow.add(&near, groups);
            }
            if !self.count(&blocks) {
                break;
            }
            wide.add(&nearest, groups);
        }
        (narrow.mean() + wide.mean()) / (2 * self.features) as f32
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

    /// The distances to the nearest of the groups of so many blocks that count, as the definition has it.
    fn plainly(sample: &Sample, size: usize, within: Range<usize>, row: &[f32], inverse: &[f32]) -> Vec<f32> {
        let apart = |point: usize| -> f32 {
            let deviations = |feature: usize| (row[feature] - sample.value(point, feature)).abs() * inverse[feature];
            (0..row.len()).map(|feature| deviations(feature).min(3.0)).sum::<f32>() / row.len() as f32
        };
        let mut nearest = Vec::new();
        for blocks in parts(within, size) {
            let points = LANES * blocks.start..LANES * blocks.end;
            if points.start > 0 && points.end > sample.filled {
                continue;
            }
            for lane in 0..LANES {
                let group = points.clone().filter(|point| *point < sample.filled && point % LANES == lane);
                nearest.extend(group.map(apart).reduce(f32::min));
            }
        }
        nearest
    }

    fn mean(values: &[f32]) -> f32 {
        values.iter().sum::<f32>() / values.len().max(1) as f32
    }

    proptest! {
        /// Blocks and lanes give what the definition gives, for any size and any number of points in it.
        #[test]
        fn the_fast_form_equals_the_plain_one(features in 1_usize..12, blocks in 1_usize..80, count in 0_usize..800, seed: u64) {
            let mut random = Random::new(seed);
            let mut sample = Sample::new(features, blocks * LANES);
            let mut draw = || (0..features).map(|_| (random.unit() * 4.0) as f32).collect::<Vec<f32>>();
            for point in 0..count {
                sample.learn(&draw(), point as u64, 1_000, &mut Random::new(point as u64));
            }
            let (row, inverse) = (draw(), draw());
            let fast = sample.distance(&row, &inverse);
            let wide = plainly(&sample, 24, 0..blocks, &row, &inverse);
            let narrow = parts(0..blocks, 24).flat_map(|within| plainly(&sample, 3, within, &row, &inverse));
            let narrow: Vec<_> = narrow.collect();
            let plain = mean(&wide).midpoint(mean(&narrow));
            prop_assert!((fast - plain).abs() <= 1e-4 * (1.0 + plain), "{} {}", fast, plain);
        }
    }

    #[test]
    fn parts_are_alike_and_leave_nothing_out() {
        let sizes = |blocks, size| parts(0..blocks, size).map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(sizes(12, 3), [3, 3, 3, 3]);
        assert_eq!(sizes(13, 3), [3, 3, 3, 4]);
        assert_eq!(sizes(14, 3), [3, 3, 3, 3, 2]);
        assert_eq!(sizes(1, 24), [1]);
        assert_eq!(sizes(64, 24), [24, 24, 16]);
        assert_eq!(parts(24..31, 3).collect::<Vec<_>>(), [24..27, 27..31]);
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
