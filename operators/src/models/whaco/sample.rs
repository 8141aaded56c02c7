//! A sample of the rows, and how far a row lies from it.
//!
//! ```text
//!   points in blocks of 8, feature by feature      lane of a block of 8 blocks = one group of 8 points
//!   block: [f0: ×8][f1: ×8]…  ─▶ 8 distances at once ─▶ nearest of each group ─▶ mean over the groups
//! ```
//! The mean distance to the nearest of many small random groups is the outlier score of Pang, Ting and Albrecht (`LeSiNN`, 2015).
//! Small groups are what makes it sound on contaminated streams: outliers that lie together seldom share a group with one of
//! their own. Two distances are taken in one pass, since each is weak where the other is strong: Euclidean in standard deviations,
//! and city-block in mean absolute deviations with every feature held at 2, which no heavy tail can dominate.
//!
//! Which rows are kept: each of the last `memory_rows` rows with equal chance at first, and then with an age that is geometric.

use super::random::Random;
use super::scale::Scale;

/// Points of a block.
pub(super) const LANES: usize = 8;
/// Blocks whose lanes make groups.
const BLOCKS_PER_GROUP: usize = 8;
/// No feature adds more mean absolute deviations than this to the city-block distance.
const DEVIATIONS_MAX: f32 = 2.0;

type Lanes = [f32; LANES];

/// The points, relative to the origin.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Block by block, in each feature by feature.
    pub(super) values: Vec<Lanes>,
    /// Zero where a point is, infinity where one is missing.
    pub(super) absent: Vec<Lanes>,
    pub(super) features: usize,
    pub(super) filled: usize,
}

/// Mean distances to the nearest point of each group, per feature, so that models of any size share a scale.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Distances {
    pub(super) euclidean: f32,
    pub(super) city_block: f32,
}

#[inline]
fn lesser(left: f32, right: f32) -> f32 {
    if left < right { left } else { right }
}

impl Sample {
    pub(super) fn new(features: usize, points: usize) -> Self {
        let blocks = points / LANES;
        Sample {
            values: vec![[0.0; LANES]; blocks * features],
            absent: vec![[f32::INFINITY; LANES]; blocks],
            features,
            filled: 0,
        }
    }

    pub(super) fn points(&self) -> usize {
        self.absent.len() * LANES
    }

    /// The block and lane of the n-th point: one group after the other, so that a group is as large after ten rows as after a million
    /// and distances do not shrink while the sample fills.
    fn slot(&self, point: usize) -> (usize, usize) {
        let first = point / (BLOCKS_PER_GROUP * LANES) * BLOCKS_PER_GROUP;
        let size = BLOCKS_PER_GROUP.min(self.absent.len() - first);
        let rest = point % (BLOCKS_PER_GROUP * LANES);
        (first + rest % size, rest / size)
    }

    /// The value of a feature of the n-th point.
    pub(super) fn value(&self, point: usize, feature: usize) -> f32 {
        let (block, lane) = self.slot(point);
        self.values[block * self.features + feature][lane]
    }

    /// How far a row lies from the sample; zero while the sample is empty.
    #[inline]
    pub(super) fn distances(&self, row: &[f32], scale: &Scale) -> Distances {
        let features = self.features;
        let (row, scales) = (&row[..features], &scale.inverse[..features]);
        let (mut euclidean, mut city_block, mut groups) = (0.0_f32, 0.0_f32, 0_u32);
        let blocks = self.absent.chunks(BLOCKS_PER_GROUP);
        for (absent, values) in blocks.zip(self.values.chunks(BLOCKS_PER_GROUP * features)) {
            let mut nearest = [[f32::INFINITY; LANES]; 2];
            for (absent, block) in absent.iter().zip(values.chunks_exact(features)) {
                let (mut squares, mut sums) = (*absent, *absent);
                for ((lanes, x), [deviation, absolute]) in block.iter().zip(row).zip(scales) {
                    for ((square, sum), value) in squares.iter_mut().zip(&mut sums).zip(lanes) {
                        let apart = (x - value).abs();
                        let scaled = apart * deviation;
                        *square += scaled * scaled;
                        *sum += lesser(apart * absolute, DEVIATIONS_MAX);
                    }
                }
                for lane in 0..LANES {
                    nearest[0][lane] = lesser(squares[lane], nearest[0][lane]);
                    nearest[1][lane] = lesser(sums[lane], nearest[1][lane]);
                }
            }
            for lane in 0..LANES {
                // A group counts when it is whole; the very first counts from its first point.
                if absent[absent.len() - 1][lane] == 0.0 || (groups == 0 && absent[0][lane] == 0.0) {
                    euclidean += nearest[0][lane].sqrt();
                    city_block += nearest[1][lane];
                    groups += 1;
                }
            }
        }
        if groups == 0 {
            return Distances::default();
        }
        let groups = groups as f32;
        Distances {
            euclidean: euclidean / (groups * (features as f32).sqrt()),
            city_block: city_block / (groups * features as f32),
        }
    }

    /// Lets a row take its chance of being kept. `rows` counts those before it.
    #[inline]
    pub(super) fn learn(&mut self, row: &[f32], rows: u64, memory_rows: u32, random: &mut Random) {
        let point = if self.filled < self.points() {
            self.filled += 1;
            self.filled - 1
        } else {
            let drawn = random.below((rows + 1).min(u64::from(memory_rows)).max(self.points() as u64)) as usize;
            if drawn >= self.points() {
                return;
            }
            drawn
        };
        let (block, lane) = self.slot(point);
        self.absent[block][lane] = 0.0;
        for (lanes, value) in self.values[block * self.features..].iter_mut().zip(row) {
            lanes[lane] = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plainly(rows: &[Vec<f32>], groups: &[(usize, Vec<usize>)], row: &[f32], scale: &Scale) -> Distances {
        let mut sums = [0.0, 0.0];
        let mut filled: Vec<_> =
            groups.iter().filter(|(size, group)| group.len() == *size).map(|(_, group)| group).collect();
        if filled.is_empty() && !rows.is_empty() {
            filled.push(&groups[0].1);
        }
        for group in &filled {
            let apart = |point: usize, feature: usize| (row[feature] - rows[point][feature]).abs();
            let of = |distance: &dyn Fn(usize) -> f32| group.iter().map(|p| distance(*p)).fold(f32::INFINITY, f32::min);
            let features = 0..row.len();
            sums[0] += of(&|p| features.clone().map(|f| (apart(p, f) * scale.inverse[f][0]).powi(2)).sum()).sqrt();
            sums[1] += of(&|p| features.clone().map(|f| (apart(p, f) * scale.inverse[f][1]).min(2.0)).sum());
        }
        let count = filled.len().max(1) as f32;
        Distances {
            euclidean: sums[0] / count / (row.len() as f32).sqrt(),
            city_block: sums[1] / count / row.len() as f32,
        }
    }

    proptest! {
        /// Blocks and lanes give what the definition gives, for any size and any number of points in it.
        #[test]
        fn the_fast_form_equals_the_plain_one(features in 1_usize..12, blocks in 1_usize..20, count in 0_usize..200, seed: u64) {
            let mut random = Random::new(seed);
            let mut sample = Sample::new(features, blocks * LANES);
            let mut draw = || (0..features).map(|_| (random.unit() * 4.0) as f32).collect::<Vec<f32>>();
            let rows: Vec<Vec<f32>> = (0..count.min(blocks * LANES)).map(|_| draw()).collect();
            let row = draw();
            let scale = Scale { inverse: draw().iter().zip(draw()).map(|(left, right)| [*left, right]).collect() };
            let size = |group: usize| BLOCKS_PER_GROUP.min(blocks - group / LANES * BLOCKS_PER_GROUP);
            let mut groups: Vec<_> =
                (0..blocks.div_ceil(BLOCKS_PER_GROUP) * LANES).map(|group| (size(group), Vec::new())).collect();
            for (point, kept) in rows.iter().enumerate() {
                sample.learn(kept, point as u64, 1_000, &mut Random::new(1));
                let (block, lane) = sample.slot(point);
                groups[block / BLOCKS_PER_GROUP * LANES + lane].1.push(point);
            }
            let (fast, plain) = (sample.distances(&row, &scale), plainly(&rows, &groups, &row, &scale));
            prop_assert!((fast.euclidean - plain.euclidean).abs() <= 1e-4 * (1.0 + plain.euclidean));
            prop_assert!((fast.city_block - plain.city_block).abs() <= 1e-4 * (1.0 + plain.city_block));
        }

        /// Every point has a slot of its own.
        #[test]
        fn slots_are_a_permutation(blocks in 1_usize..70) {
            let sample = Sample::new(1, blocks * LANES);
            let mut slots: Vec<_> = (0..blocks * LANES).map(|point| sample.slot(point)).collect();
            slots.sort_unstable();
            prop_assert!(slots.iter().enumerate().all(|(n, slot)| *slot == (n / LANES, n % LANES)));
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
