//! What the calibrated model promises, on generated rows.

use super::model::Model;
use super::random::Random;
use super::settings::Settings;

/// Deviations between the centres of two groups, at least.
const APART: f64 = 3.0;

/// A mixture of round or stretched groups.
struct Mixture {
    random: Random,
    centres: Vec<Vec<f64>>,
    /// Share of a common normal in every feature of a row: correlation.
    common: f64,
}

impl Mixture {
    fn new(seed: u64, groups: usize, features: usize, width: f64, common: f64) -> Self {
        let mut random = Random::new(seed);
        let mut centres: Vec<Vec<f64>> = Vec::new();
        // Groups overlap, but lie far enough apart that there is one right answer.
        while centres.len() < groups {
            let centre: Vec<f64> = (0..features).map(|_| width * random.unit()).collect();
            let apart = |other: &Vec<f64>| centre.iter().zip(other).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
            if centres.iter().all(|other| apart(other) > APART) {
                centres.push(centre);
            }
        }
        Mixture { random, centres, common }
    }

    /// A row moved by so much, and its group.
    fn draw(&mut self, moved: f64) -> (Vec<f64>, usize) {
        let group = self.random.below(self.centres.len() as u64) as usize;
        let shared = self.random.nearly_normal();
        let own = (1.0 - self.common * self.common).sqrt();
        let Mixture { random, centres, common } = self;
        let away = if group.is_multiple_of(2) { moved } else { -moved };
        let row = centres[group].iter().map(|centre| centre + away + *common * shared + own * random.nearly_normal());
        (row.collect(), group)
    }
}

/// The group that most rows of each cluster come from.
fn majority(pairs: &[(u32, usize)], clusters: usize, groups: usize) -> Vec<usize> {
    let mut counts = vec![vec![0_usize; groups]; clusters];
    for (cluster, group) in pairs {
        counts[*cluster as usize][*group] += 1;
    }
    counts.iter().map(|counts| (0..groups).max_by_key(|group| counts[*group]).unwrap_or(0)).collect()
}

#[test]
fn confidence_is_how_often_the_cluster_is_right() {
    let mut gaps = Vec::new();
    for (seed, features, width, common) in [(1, 2, 7.0, 0.0), (2, 4, 5.0, 0.0), (3, 10, 4.0, 0.0), (4, 10, 5.0, 0.6)] {
        let mut mixture = Mixture::new(seed, 4, features, width, common);
        let mut model = Model::new(Settings::within(features, 4, 0.01).unwrap()).unwrap();
        for _ in 0..4_000 {
            model.analyse(&mixture.draw(0.0).0);
        }
        let mut scored = Vec::new();
        for _ in 0..8_000 {
            let (row, group) = mixture.draw(0.0);
            let found = model.score(&row);
            scored.push((found.confidence, found.cluster, group));
        }
        let pairs: Vec<_> = scored.iter().map(|(_, cluster, group)| (*cluster, *group)).collect();
        let group_of = majority(&pairs, 4, 4);
        let (mut bins, mut error) = ([(0.0, 0.0, 0.0); 10], 0.0);
        for (confidence, cluster, group) in &scored {
            let bin = &mut bins[((confidence * 10.0) as usize).min(9)];
            *bin =
                (bin.0 + 1.0, bin.1 + confidence, bin.2 + f64::from(u8::from(group_of[*cluster as usize] == *group)));
        }
        for (count, confidence, right) in bins {
            error += (confidence - right).abs() / scored.len() as f64;
            if count >= 200.0 {
                let (said, found): (f64, f64) = (confidence / count, right / count);
                assert!((said - found).abs() < 0.15, "seed {seed}: {said:.3} said, {found:.3} right, {count} rows");
            }
        }
        gaps.push(error);
    }
    // The expected calibration error: the mean gap between what is said and what is so.
    assert!(gaps.iter().all(|gap| *gap < 0.05), "{gaps:?}");
}

#[test]
fn clean_rows_are_flagged_at_the_wanted_rate() {
    for (features, rate, rows) in [(1, 0.01, 10_000), (10, 0.01, 10_000), (40, 0.05, 4_000), (3, 0.1, 4_000)] {
        let mut mixture = Mixture::new(features as u64, 1, features, 0.0, 0.3);
        let mut model = Model::new(Settings::within(features, 5, rate).unwrap()).unwrap();
        for _ in 0..rows {
            model.analyse(&mixture.draw(0.0).0);
        }
        let ratio = model.outliers() as f64 / (rate * f64::from(rows));
        assert!((0.8..=1.2).contains(&ratio), "{features} features, rate {rate}: {ratio}");
    }
}

#[test]
fn what_lies_far_out_is_flagged_and_moves_no_centroid() {
    let mut mixture = Mixture::new(5, 3, 6, 8.0, 0.0);
    let mut model = Model::new(Settings::within(6, 3, 0.01).unwrap()).unwrap();
    for _ in 0..3_000 {
        model.analyse(&mixture.draw(0.0).0);
    }
    let before: Vec<Vec<f64>> = (0..3).map(|cluster| model.centroid(cluster).collect()).collect();
    assert!(model.analyse(&[60.0; 6]).is_outlier);
    let after: Vec<Vec<f64>> = (0..3).map(|cluster| model.centroid(cluster).collect()).collect();
    assert_eq!(before, after);
}

#[test]
fn clusters_keep_their_numbers_while_they_drift() {
    let mut mixture = Mixture::new(7, 5, 8, 16.0, 0.0);
    let mut model = Model::new(Settings::within(8, 5, 0.01).unwrap()).unwrap();
    let mut pairs = Vec::new();
    for row in 0..10_000 {
        let (row, group) = mixture.draw(f64::from(row) / 1_000.0);
        pairs.push((model.analyse(&row).cluster, group));
    }
    let group_of = majority(&pairs, 5, 5);
    let right = pairs.iter().filter(|(cluster, group)| group_of[*cluster as usize] == *group).count();
    assert!(right > 9_700, "{right} of 10,000");
}

#[test]
fn rows_without_values_and_features_without_change_do_no_harm() {
    let mut model = Model::new(Settings::within(3, 2, 0.01).unwrap()).unwrap();
    let mut random = Random::new(8);
    for row in 0..2_000 {
        let value = f64::from(row % 2) * 10.0 + random.nearly_normal();
        let missing = if row % 5 == 0 { f64::NAN } else { value };
        let scored = model.analyse(&[missing, 7.0, if row % 97 == 0 { f64::NAN } else { -value }]);
        assert!(scored.score.is_finite() && scored.confidence.is_finite());
    }
    assert!(model.analyse(&[f64::NAN; 3]).score.is_finite());
    assert!(model.analyse(&[1e300, -1e300, 7.5]).is_outlier);
    let weights: f64 = (0..3).map(|feature| model.weight(feature)).sum();
    assert!((weights - 1.0).abs() < 1e-9);
    assert_eq!(model.cluster(&[0.0, 7.0, 0.0]), model.cluster(&[0.2, 7.0, -0.2]));
    assert_ne!(model.cluster(&[0.0, 7.0, 0.0]), model.cluster(&[10.0, 7.0, -10.0]));
}

#[test]
fn what_separates_groups_weighs_more_than_what_strays() {
    let mut model = Model::new(Settings::within(2, 2, 0.01).unwrap()).unwrap();
    let mut random = Random::new(9);
    let mut right = [0, 0];
    for row in 0..3_000 {
        let group = u32::from(random.unit() < 0.5);
        // One feature in two tight groups, one that is almost always near zero and sometimes far away.
        let far = if random.unit() < 0.05 { 40.0 * random.nearly_normal() } else { random.nearly_normal() };
        let cluster = model.analyse(&[f64::from(group) * 3.0 + 0.3 * random.nearly_normal(), far]).cluster;
        if row >= 1_000 {
            right[usize::from(cluster == group)] += 1;
        }
    }
    assert!(right[0].max(right[1]) > 1_950, "{right:?}");
}
