//! The seed form: the formulas as the user wrote them (`models.md` § 1), and nothing else.
//!
//! ```text
//!   nearest C (Euclidean, unweighted)   d = √Σ((X − C)²/σ²)   outlier iff d > 3.5          all from the old state
//!   unless an outlier:  σ² ← .9 σ² + .1 (X − C)²   then  W ← W + .001 |X − C|, ΣW = 1   then  C ← C + .05 (X − C)
//! ```
//! Confidence is 1 − d₁/(d₁ + d₂) of the two nearest Euclidean distances. Its known faults are kept: 3.5 ignores the number of features,
//! and the weights grow with noise and are read by nobody. The calibrated model is the answer to them.

use super::outlier_log::{Outlier, OutlierLog};
use super::segment::Segment;
use super::sizes::SizeWindow;
use super::snapshot::{Kind, Reader, SnapshotError, Writer};

/// α: how far a centroid follows a row.
const LEARNING_RATE: f64 = 0.05;
/// β: how far weights follow distances.
const WEIGHT_RATE: f64 = 0.001;
/// How far variances follow squares.
const VARIANCE_RATE: f64 = 0.1;
/// Variances are not less.
const VARIANCE_LEAST: f64 = 1e-6;
/// Variances of leads' features at the start.
const VARIANCE_START: f64 = 0.04;
/// More deviations than this make an outlier.
const OUTLIER_DISTANCE: f64 = 3.5;
/// Largest numbers that a snapshot may have.
const SIZE_MAX: usize = 1 << 20;

/// What the seed form says about a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedScored {
    /// The nearest cluster.
    pub cluster: u32,
    /// d, in deviations.
    pub distance: f64,
    /// Whether d is above 3.5.
    pub is_outlier: bool,
    /// 1 − d₁/(d₁ + d₂) of the two nearest distances; 1 if there is but one cluster, 0.5 if two are where the row is.
    pub confidence: f64,
}

/// The seed form over rows of any number of features.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedModel {
    features: usize,
    centroids: Vec<f64>,
    weights: Vec<f64>,
    variances: Vec<f64>,
    sizes: SizeWindow,
    outliers: OutlierLog,
    rows: u64,
    flagged: u64,
}

impl SeedModel {
    /// The model of a dealer's leads, at its five starts.
    pub fn leads() -> Self {
        let starts: Vec<_> = Segment::ALL.iter().map(|segment| segment.archetype()).collect();
        Self::starting_at(&starts.iter().map(<[f64; 10]>::as_slice).collect::<Vec<_>>(), VARIANCE_START)
    }

    /// A model with these centroids, at least one and all of one length, and this variance of every feature.
    pub(super) fn starting_at(centroids: &[&[f64]], variance: f64) -> Self {
        let features = centroids[0].len();
        SeedModel {
            features,
            centroids: centroids.concat(),
            weights: vec![1.0 / features as f64; features],
            variances: vec![variance; features],
            sizes: SizeWindow::default(),
            outliers: OutlierLog::default(),
            rows: 0,
            flagged: 0,
        }
    }

    /// Scores a row and learns nothing.
    ///
    /// # Panics
    /// If the row has another number of features.
    pub fn score(&self, row: &[f64]) -> SeedScored {
        assert_eq!(row.len(), self.features, "a row has the features of the centroids");
        let (mut nearest, mut second, mut cluster) = (f64::INFINITY, f64::INFINITY, 0);
        for (number, centroid) in self.centroids.chunks_exact(self.features).enumerate() {
            let square: f64 = row.iter().zip(centroid).map(|(x, c)| (x - c) * (x - c)).sum();
            if square < nearest {
                (nearest, second, cluster) = (square, nearest, number);
            } else if square < second {
                second = square;
            }
        }
        let (nearest, second) = (nearest.sqrt(), second.sqrt());
        let apart = row.iter().zip(self.centroid(cluster as u32)).zip(&self.variances);
        let distance = apart.map(|((x, c), variance)| (x - c) * (x - c) / variance).sum::<f64>().sqrt();
        let confidence = if second.is_infinite() {
            1.0
        } else if nearest + second > 0.0 {
            1.0 - nearest / (nearest + second)
        } else {
            0.5
        };
        SeedScored { cluster: cluster as u32, distance, is_outlier: distance > OUTLIER_DISTANCE, confidence }
    }

    /// Scores a row and learns from it, unless it is an outlier.
    ///
    /// # Panics
    /// If the row has another number of features.
    pub fn analyse(&mut self, row: &[f64]) -> SeedScored {
        let scored = self.score(row);
        if scored.is_outlier {
            self.flagged += 1;
            let (cluster, distance) = (scored.cluster, scored.distance);
            self.outliers.push(Outlier { row: self.rows, cluster, distance, features: row.to_vec() });
        } else {
            let centroid = &mut self.centroids[scored.cluster as usize * self.features..][..self.features];
            let mut total = 0.0;
            for (((x, c), weight), variance) in
                row.iter().zip(centroid.iter_mut()).zip(&mut self.weights).zip(&mut self.variances)
            {
                let apart = x - *c;
                *variance = ((1.0 - VARIANCE_RATE) * *variance + VARIANCE_RATE * (apart * apart)).max(VARIANCE_LEAST);
                *weight += WEIGHT_RATE * apart.abs();
                total += *weight;
                *c += LEARNING_RATE * apart;
            }
            for weight in &mut self.weights {
                *weight /= total;
            }
        }
        self.sizes.push(scored.cluster);
        self.rows += 1;
        scored
    }

    /// The centroid of a cluster.
    pub fn centroid(&self, cluster: u32) -> &[f64] {
        &self.centroids[cluster as usize * self.features..][..self.features]
    }

    /// Number of features and of clusters.
    pub fn shape(&self) -> (usize, usize) {
        (self.features, self.centroids.len() / self.features)
    }

    /// W, whose sum is one.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// σ².
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// How many of the last 500 rows went to which cluster.
    pub fn sizes(&self) -> &SizeWindow {
        &self.sizes
    }

    /// The last 1,000 outliers.
    pub fn outliers(&self) -> &OutlierLog {
        &self.outliers
    }

    /// Rows so far, and outliers among them.
    pub fn counts(&self) -> (u64, u64) {
        (self.rows, self.flagged)
    }

    /// The whole state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let SeedModel { features, centroids, weights, variances, sizes, outliers, rows, flagged } = self;
        let mut to = Writer::new(Kind::Seed, 8 * (centroids.len() + 2 * features) + 1_024);
        for value in [*features, centroids.len() / features, outliers.len(), sizes.clusters.len()] {
            to.u64(value as u64);
        }
        for values in [centroids, weights, variances] {
            to.f64s(values);
        }
        for Outlier { row, cluster, distance, features } in outliers.iter() {
            to.u64(*row);
            to.u64(u64::from(*cluster));
            to.f64(*distance);
            to.f64s(features);
        }
        to.bytes.extend_from_slice(&sizes.clusters);
        for value in [u64::from(sizes.next), *rows, *flagged] {
            to.u64(value);
        }
        to.bytes
    }

    /// A model from such bytes. It goes on as the one that wrote them would have, bit for bit.
    ///
    /// # Errors
    /// If the bytes are no snapshot of a seed model of this version, or damaged.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut from = Reader::new(Kind::Seed, bytes)?;
        let (features, clusters) = (from.count(SIZE_MAX)?, from.count(SIZE_MAX)?);
        let (logged, window) =
            (from.count(super::outlier_log::OUTLIERS_KEPT_MAX)?, from.count(super::sizes::SIZE_WINDOW_ROWS)?);
        // Read item by item, so that damaged sizes end where the bytes do.
        let (centroids, weights, variances) =
            (from.f64s(features * clusters)?, from.f64s(features)?, from.f64s(features)?);
        if centroids.is_empty() {
            return Err(from.damaged());
        }
        let mut outliers = OutlierLog::default();
        for _ in 0..logged {
            let (row, cluster) = (from.u64()?, from.count(clusters - 1)? as u32);
            outliers.push(Outlier { row, cluster, distance: from.f64()?, features: from.f64s(features)? });
        }
        let mut sizes = SizeWindow::default();
        for _ in 0..window {
            let [cluster] = from.take()?;
            sizes.clusters.push(cluster);
        }
        sizes.next = from.count(super::sizes::SIZE_WINDOW_ROWS - 1)? as u32;
        let (rows, flagged) = (from.u64()?, from.u64()?);
        from.end()?;
        Ok(SeedModel { features, centroids, weights, variances, sizes, outliers, rows, flagged })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() <= 1e-12, "{left} is not {right}");
    }

    /// Five rows by hand: the definition in 50 digits of mpmath, which shares nothing with this file.
    #[test]
    #[expect(clippy::unreadable_literal, reason = "digits as they were printed")]
    fn a_sequence_by_hand_comes_out_to_1e_12() {
        let rows = [
            [0.75, 0.5, 0.125, 0.25, 0.5, 0.625, 0.75, 0.25, 0.875, 0.375],
            [0.5, 0.25, 0.0, 0.125, 0.25, 0.25, 0.5, 0.0, 0.75, 0.5],
            [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0],
            [0.6875, 0.3125, 0.5, 0.125, 0.25, 0.5, 0.75, 0.5, 0.625, 0.5],
            [0.875, 0.625, 0.0625, 0.25, 0.375, 0.5, 0.5, 0.0, 0.75, 0.25],
        ];
        let expected = [
            (0, 3.117586688569039, false, 0.5197693204259416),
            (4, 1.150023682741721, false, 0.5750391485829135),
            (2, 11.898316029841151, true, 0.5091253198494605),
            (2, 3.037301279454519, false, 0.5794014211998859),
            (0, 2.15006336388682, false, 0.6268402204011331),
        ];
        let mut model = SeedModel::leads();
        for (row, (cluster, distance, is_outlier, confidence)) in rows.iter().zip(expected) {
            let scored = model.analyse(row);
            assert_eq!((scored.cluster, scored.is_outlier), (cluster, is_outlier));
            near(scored.distance, distance);
            near(scored.confidence, confidence);
        }
        let weights = [
            0.09986504010878997,
            0.0997591402976712,
            0.09979778515802154,
            0.10030286817423475,
            0.1002569045054146,
            0.09979767770711258,
            0.10007812164323203,
            0.1003276089093094,
            0.0998796270993481,
            0.09993522639686582,
        ];
        model.weights().iter().zip(weights).for_each(|(found, expected)| near(*found, expected));
        let variances = [
            0.028576185433884297,
            0.0274145625,
            0.02792446875,
            0.03911275,
            0.039205111111111114,
            0.02819696875,
            0.036440875,
            0.053315875,
            0.029024341198979592,
            0.03332446875,
        ];
        model.variances().iter().zip(variances).for_each(|(found, expected)| near(*found, expected));
        let centroid = [
            0.8341931818181818,
            0.5965,
            0.0090625,
            0.024375,
            0.19291666666666668,
            0.5059375,
            0.511875,
            0.011875,
            0.7237053571428571,
            0.4815625,
        ];
        model.centroid(0).iter().zip(centroid).for_each(|(found, expected)| near(*found, expected));
        let centroid =
            [0.6545454545454545, 0.3, 0.0, 0.0, 0.16666666666666666, 0.85, 0.5, 0.0, 0.7142857142857143, 0.5];
        model.centroid(1).iter().zip(centroid).for_each(|(found, expected)| near(*found, expected));
        let centroid = [
            0.6561931818181819,
            0.253125,
            0.4525,
            0.00625,
            0.17083333333333334,
            0.5,
            0.5125,
            0.025,
            0.7098214285714286,
            0.5,
        ];
        model.centroid(2).iter().zip(centroid).for_each(|(found, expected)| near(*found, expected));
        let centroid =
            [0.43636363636363634, 0.175, 0.0, 0.0, 0.16666666666666666, 0.5, 0.5, 0.0, 0.7142857142857143, 0.5];
        model.centroid(3).iter().zip(centroid).for_each(|(found, expected)| near(*found, expected));
        let centroid =
            [0.6295454545454545, 0.25, 0.0, 0.00625, 0.17083333333333334, 0.155, 0.5, 0.0, 0.7160714285714286, 0.5];
        model.centroid(4).iter().zip(centroid).for_each(|(found, expected)| near(*found, expected));
    }

    #[test]
    fn the_last_outliers_and_the_last_rows_are_kept() {
        let mut model = SeedModel::starting_at(&[&[0.0, 0.0], &[1.0, 1.0]], 1e-4);
        for row in 0..3_000_u64 {
            model.analyse(&if row % 2 == 0 { [5.0, 5.0] } else { [0.0, 0.0] });
        }
        assert_eq!(model.counts(), (3_000, 1_500));
        assert_eq!((model.outliers().len(), model.outliers().iter().next().unwrap().row), (1_000, 1_000));
        assert_eq!((model.sizes().rows(0), model.sizes().rows(1)), (250, 250));
    }

    proptest! {
        #[test]
        fn a_restored_model_goes_on_bit_for_bit(rows in proptest::collection::vec(proptest::array::uniform10(0.0..1.0_f64), 0..80)) {
            let (first, second) = rows.split_at(rows.len() / 2);
            let mut model = SeedModel::leads();
            for row in first {
                model.analyse(row);
            }
            let bytes = model.snapshot();
            let mut restored = SeedModel::restore(&bytes).unwrap();
            for row in second {
                prop_assert_eq!(model.analyse(row), restored.analyse(row));
            }
            prop_assert_eq!(model.snapshot(), restored.snapshot());
            prop_assert!(SeedModel::restore(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
