//! New centroids from the sample, now and then.
//!
//! ```text
//!   sample ─▶ metric ─▶ scaled points ─┬─▶ Lloyd from the present centroids ──────┬─▶ least cost ─▶ old numbers ─▶ clusters
//!                                      └─▶ greedy k-means++ ─▶ Lloyd, × restarts ─┘
//! ```
//! The present centroids have seen more rows than the sample holds, so they stay unless the sample says that another clustering is
//! clearly better; a cluster keeps its number as long as it can be recognised. Greedy k-means++: Arthur and Vassilvitskii 2007, § 3.

use super::clusters::{Clusters, least_variance};
use super::random::Random;
use super::sample::{LANES, Sample};

/// Rounds of Lloyd's algorithm at most.
const ROUNDS_MAX: usize = 10;
/// Candidates tried for each further centre.
const CANDIDATES: usize = 3;
/// Part of the sample that is left out at each end of a feature when its width is taken: outliers must not set the metric.
const TRIM_SHARE: f64 = 0.005;
/// A fresh start has to cost less than this share of what the present centroids lead to.
const FRESH_SHARE: f32 = 0.98;
/// And less than this share of what the present centroids cost as they are.
const BETTER_SHARE: f32 = 0.93;

struct Points {
    values: Vec<f32>,
    features: usize,
}

impl Points {
    fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.features)
    }

    fn row(&self, point: usize) -> &[f32] {
        &self.values[point * self.features..][..self.features]
    }
}

fn square(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// Centres in lanes, so that a point is compared with eight at once.
struct Lanes {
    blocks: Vec<[f32; LANES]>,
    count: usize,
}

impl Lanes {
    fn new(centres: &[f32], features: usize) -> Self {
        let count = centres.len() / features;
        let mut blocks = vec![[0.0; LANES]; count.div_ceil(LANES) * features];
        for (number, centre) in centres.chunks_exact(features).enumerate() {
            for (lanes, value) in blocks[number / LANES * features..].iter_mut().zip(centre) {
                lanes[number % LANES] = *value;
            }
        }
        Lanes { blocks, count }
    }

    #[inline]
    fn nearest(&self, row: &[f32]) -> (usize, f32) {
        let mut best = (0, f32::INFINITY);
        for (block, lanes) in self.blocks.chunks_exact(row.len()).enumerate() {
            let mut squares = [0.0_f32; LANES];
            for (values, x) in lanes.iter().zip(row) {
                for (square, value) in squares.iter_mut().zip(values) {
                    *square += (x - value) * (x - value);
                }
            }
            for (lane, square) in squares.iter().enumerate().take(self.count - block * LANES) {
                if *square < best.1 {
                    best = (block * LANES + lane, *square);
                }
            }
        }
        best
    }
}

fn cost(centres: &[f32], points: &Points) -> f32 {
    let lanes = Lanes::new(centres, points.features);
    points.rows().map(|row| lanes.nearest(row).1).sum()
}

/// Lloyd's algorithm until nothing moves between clusters; gives the cost.
fn lloyd(centres: &mut [f32], points: &Points) -> f32 {
    let features = points.features;
    let mut members = vec![usize::MAX; points.rows().len()];
    let mut sums = vec![0.0_f32; centres.len()];
    let mut counts = vec![0.0_f32; centres.len() / features];
    for _ in 0..ROUNDS_MAX {
        let (mut moved, mut total) = (false, 0.0);
        let lanes = Lanes::new(centres, features);
        sums.fill(0.0);
        counts.fill(0.0);
        for (row, member) in points.rows().zip(&mut members) {
            let (cluster, distance) = lanes.nearest(row);
            total += distance;
            moved |= *member != cluster;
            *member = cluster;
            counts[cluster] += 1.0;
            for (sum, value) in sums[cluster * features..].iter_mut().zip(row) {
                *sum += value;
            }
        }
        if !moved {
            return total;
        }
        for ((centre, sums), count) in centres.chunks_exact_mut(features).zip(sums.chunks_exact(features)).zip(&counts)
        {
            if *count > 0.0 {
                for (value, sum) in centre.iter_mut().zip(sums) {
                    *value = sum / count;
                }
            }
        }
    }
    cost(centres, points)
}

/// Fewer centres than wanted where there are fewer distinct points.
fn plus_plus(points: &Points, wanted: usize, random: &mut Random) -> Vec<f32> {
    let count = points.rows().len();
    let mut centres = points.row(random.below(count as u64) as usize).to_vec();
    let mut squares: Vec<f32> = points.rows().map(|row| square(row, &centres)).collect();
    while centres.len() < wanted * points.features {
        let total: f64 = squares.iter().map(|square| f64::from(*square)).sum();
        if total <= 0.0 {
            break;
        }
        let (mut best, mut least) = (0, f32::INFINITY);
        for _ in 0..CANDIDATES {
            let mut left = random.unit() * total;
            let drawn = squares.iter().position(|square| {
                left -= f64::from(*square);
                left < 0.0
            });
            let drawn = drawn.unwrap_or(count - 1);
            let candidate = points.row(drawn);
            let sum = points.rows().zip(&squares).map(|(row, before)| square(row, candidate).min(*before)).sum();
            if sum < least {
                (best, least) = (drawn, sum);
            }
        }
        centres.extend_from_slice(points.row(best));
        for (row, before) in points.rows().zip(&mut squares) {
            *before = before.min(square(row, points.row(best)));
        }
    }
    centres
}

/// The metric of each feature: 1 / (range × standard deviation) without the extremes, 0 for a feature that does not vary.
fn metric(sample: &Sample) -> Vec<f32> {
    let trim = (TRIM_SHARE * sample.filled as f64) as usize;
    let mut values = vec![0.0_f32; sample.filled];
    (0..sample.features)
        .map(|feature| {
            for (point, value) in values.iter_mut().enumerate() {
                *value = sample.value(point, feature);
            }
            values.sort_unstable_by(f32::total_cmp);
            let (mut least, mut greatest) = (values[trim], values[values.len() - 1 - trim]);
            if least >= greatest {
                (least, greatest) = (values[0], values[values.len() - 1]);
            }
            let count = values.len() as f64;
            let held = values.iter().map(|value| f64::from(value.clamp(least, greatest)));
            let mean = held.clone().sum::<f64>() / count;
            let variance = held.map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
            let width = f64::from(greatest - least) * variance.sqrt();
            if width > 1e-30 { (1.0 / width) as f32 } else { 0.0 }
        })
        .collect()
}

/// Looks for better centroids in the sample, which must not be empty. `young` says that the sample still holds every row.
pub(super) fn recluster(
    clusters: &mut Clusters,
    sample: &Sample,
    wanted: usize,
    restarts: u32,
    young: bool,
    random: &mut Random,
) {
    let features = sample.features;
    let metric = metric(sample);
    let widths: Vec<f32> = metric.iter().map(|metric| metric.sqrt()).collect();
    let mut points = Points { values: Vec::with_capacity(sample.filled * features), features };
    for point in 0..sample.filled {
        points.values.extend(widths.iter().enumerate().map(|(feature, width)| sample.value(point, feature) * width));
    }
    let mut present = Vec::with_capacity(clusters.count * features);
    for cluster in 0..clusters.count {
        present.extend(widths.iter().enumerate().map(|(feature, width)| clusters.value(cluster, feature) * width));
    }
    let present_cost = if present.is_empty() { f32::INFINITY } else { cost(&present, &points) };
    let (mut best, mut least) = (present.clone(), f32::INFINITY);
    if clusters.count == wanted {
        least = lloyd(&mut best, &points) * FRESH_SHARE;
    }
    for _ in 0..restarts {
        let mut centres = plus_plus(&points, wanted, random);
        let cost = lloyd(&mut centres, &points);
        if cost < least {
            (best, least) = (centres, cost);
        }
    }
    clusters.metric.copy_from_slice(&metric);
    if best.len() < present.len() || (!young && cost(&best, &points) >= BETTER_SHARE * present_cost) {
        clusters.refresh_precisions();
        return;
    }
    let best = under_old_numbers(&best, &present, features);
    adopt(clusters, &best, &points, &widths, sample);
}

/// The new centres in an order in which the nearest pairs of old and new come to have the same number.
fn under_old_numbers(best: &[f32], present: &[f32], features: usize) -> Vec<f32> {
    let (new, old) = (best.len() / features, present.len() / features);
    let mut pairs = Vec::with_capacity(new * old);
    for (to, centre) in present.chunks_exact(features).enumerate() {
        pairs.extend(best.chunks_exact(features).enumerate().map(|(from, row)| (square(row, centre), from, to)));
    }
    pairs.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then((left.1, left.2).cmp(&(right.1, right.2))));
    let (mut number_of, mut taken) = (vec![None; new], vec![false; new]);
    for (_, from, to) in pairs {
        if number_of[from].is_none() && to < new && !taken[to] {
            number_of[from] = Some(to);
            taken[to] = true;
        }
    }
    let mut free = (0..new).filter(|number| !taken[*number]).collect::<Vec<_>>().into_iter();
    let mut ordered = vec![0.0; best.len()];
    for (row, number) in best.chunks_exact(features).zip(number_of) {
        // There are as many numbers as centres, so a centre without one finds a free one.
        if let Some(number) = number.or_else(|| free.next()) {
            ordered[number * features..][..features].copy_from_slice(row);
        }
    }
    ordered
}

fn adopt(clusters: &mut Clusters, centres: &[f32], points: &Points, widths: &[f32], sample: &Sample) {
    let features = points.features;
    clusters.count = centres.len() / features;
    for (cluster, centre) in centres.chunks_exact(features).enumerate() {
        let before: Vec<f32> = (0..features).map(|feature| clusters.value(cluster, feature)).collect();
        let values = centre.iter().zip(widths).zip(before);
        // A feature that does not vary has one value, that of any point.
        let values = values.enumerate().map(
            |(feature, ((value, width), _))| {
                if *width > 0.0 { value / width } else { sample.value(0, feature) }
            },
        );
        clusters.set(cluster, values);
    }
    clusters.rows.fill(0.0);
    clusters.variances.fill(0.0);
    let lanes = Lanes::new(centres, features);
    let members: Vec<usize> = points.rows().map(|row| lanes.nearest(row).0).collect();
    for (point, cluster) in members.iter().enumerate() {
        clusters.rows[*cluster] += 1.0;
        for feature in 0..features {
            let apart = sample.value(point, feature) - clusters.value(*cluster, feature);
            clusters.variances[feature] += apart * apart;
        }
    }
    let count = members.len() as f32;
    for (share, rows) in clusters.shares.iter_mut().zip(&mut clusters.rows) {
        *share = *rows / count;
        *rows = rows.max(1.0);
    }
    // Centres that were fitted to the points lie closer to them than the true ones would.
    let free = (count - clusters.count as f32).max(1.0);
    for (variance, metric) in clusters.variances.iter_mut().zip(&clusters.metric) {
        *variance = (*variance / free).max(least_variance(*metric));
    }
    clusters.refresh_precisions();
}
