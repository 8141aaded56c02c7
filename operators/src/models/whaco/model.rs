//! The calibrated model: one pass, bounded state, the same bits everywhere.
//!
//! ```text
//!   row ─▶ nearest centroid ───────────────▶ cluster, probabilities ─▶ confidence
//!     └──▶ distance from the sample ─▶ relative to typical ones: r ─┬─▶ score = r ÷ (1 + r)
//!                                                                   └─▶ rarity among earlier rows ≤ level ─▶ outlier
//!   then, if the row teaches: moments, sample, tail, level, centroid; now and then a reclustering of the sample
//! ```
//! A row is always scored by what was learned from the rows before it. The level is the wanted flag rate, corrected by what was
//! flagged so far (adaptive conformal inference, Gibbs and Candès 2021), and held between a quarter and four times the wanted rate, so that a
//! row that is rarer than a quarter of the rate is flagged whatever came before.

use super::clusters::{Clusters, Standing};
use super::confidence::confidence;
use super::random::Random;
use super::recluster::recluster;
use super::sample::Sample;
use super::scale::Moments;
use super::settings::{Settings, SettingsError};
use super::sizes::SizeWindow;
use super::tail::{Place, Tail};
use super::typical::Typical;

/// Values relative to the origin are held within this, so that no distance between two of them overflows to no number.
const VALUE_MAX: f64 = 1e15;
/// While fewer rows have come than this, scales are brought up to date with every row.
const FRESH_ROWS: u64 = 64;
/// Later with every so many.
const SCALE_EVERY_ROWS: u64 = 16;
/// Rows per cluster before the first clustering of the sample.
const FIRST_ROWS_PER_CLUSTER: u64 = 4;
/// Relative distances are told apart from 2⁻⁶ upwards.
const RELATIVE_EXPONENT: i32 = -6;
/// How far one row flagged too many lowers the level, as a share of the flag rate.
const LEVEL_GAIN: f64 = 0.5;
/// Rows flagged too many or too few that are remembered at most, so that a flood of outliers is not paid back for ever.
const DEBT_MAX_ROWS: f64 = 10.0;

/// What the model says about a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The nearest cluster, 0 to clusters − 1.
    pub cluster: u32,
    /// How unusual the row is, in [0, 1): r ÷ (1 + r), where r is the row's distance from the sample relative to that of a typical row, so a
    /// typical row has one half.
    pub score: f64,
    /// Whether the score is among the rarest `flag_rate`.
    pub is_outlier: bool,
    /// The probability that the cluster is the right one, in [0, 1].
    pub confidence: f64,
}

/// A streaming clustering with an outlier score.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub(super) settings: Settings,
    /// The first row: values are kept relative to it, so that single precision loses nothing that matters.
    pub(super) origin: Vec<f64>,
    pub(super) moments: Vec<Moments>,
    /// Inverse standard deviations of the features.
    pub(super) inverse: Vec<f32>,
    pub(super) sample: Sample,
    pub(super) clusters: Clusters,
    pub(super) typical: Typical,
    /// Of the relative distance.
    pub(super) tail: Tail,
    pub(super) sizes: SizeWindow,
    /// Rows flagged beyond the flag rate.
    pub(super) debt: f64,
    pub(super) rows: u64,
    pub(super) outliers: u64,
    /// Rows that the present state is worth; a prior is worth less than it was taught with.
    pub(super) worth: u64,
    pub(super) next_clustering: u64,
    pub(super) clusterings: u64,
    pub(super) random: Random,
    pub(super) scratch: Scratch,
}

/// What scoring found out and learning needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    distance: f32,
    place: Place,
    standing: Standing,
}

/// Room for one row; no part of the state.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    row: Vec<f32>,
    probabilities: Vec<f32>,
}

impl PartialEq for Scratch {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Scratch {
    pub(super) fn new(settings: &Settings) -> Self {
        Scratch {
            row: vec![0.0; settings.features],
            probabilities: vec![0.0; settings.clusters.next_multiple_of(super::sample::LANES)],
        }
    }
}

impl Model {
    /// A model that knows nothing: its first clusters are the first distinct rows.
    ///
    /// # Errors
    /// If a setting is out of its bounds.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let features = settings.features;
        Ok(Model {
            origin: vec![0.0; features],
            moments: vec![Moments::default(); features],
            inverse: vec![1.0; features],
            sample: Sample::new(features, settings.points),
            clusters: Clusters::new(features, settings.clusters),
            typical: Typical::default(),
            tail: Tail::new(RELATIVE_EXPONENT, settings.scale_memory_rows),
            sizes: SizeWindow::default(),
            debt: 0.0,
            rows: 0,
            outliers: 0,
            worth: 0,
            clusterings: 0,
            next_clustering: FIRST_ROWS_PER_CLUSTER * settings.clusters as u64,
            random: Random::new(settings.seed),
            scratch: Scratch::new(&settings),
            settings,
        })
    }

    /// A model that starts from another one of the same sizes, as if it had seen so many rows: for a dealer with few leads, from a
    /// pooled model of many dealers.
    #[must_use]
    pub fn from_prior(prior: &Model, rows: u32) -> Self {
        let mut model = prior.clone();
        model.discount(rows);
        model
    }

    pub(super) fn discount(&mut self, rows: u32) {
        self.worth = self.worth.min(u64::from(rows));
        self.tail.discount(rows as f32);
        let total: f32 = self.clusters.rows.iter().sum();
        if total > rows as f32 {
            for behind in &mut self.clusters.rows {
                *behind = (*behind * rows as f32 / total).max(1.0);
            }
        }
        self.sizes = SizeWindow::default();
        (self.rows, self.outliers, self.debt) = (0, 0, 0.0);
        self.next_clustering = FRESH_ROWS.max(FIRST_ROWS_PER_CLUSTER * self.settings.clusters as u64);
    }

    /// Scores a row and learns from it. A value that is not finite is missing: it is taken to be the mean and teaches nothing.
    ///
    /// # Panics
    /// If the row does not have the number of features of the settings.
    pub fn analyse(&mut self, row: &[f64]) -> Scored {
        let (scored, pending) = self.prepare(row);
        self.learn(row, &scored, &pending);
        scored
    }

    /// Scores a row, for [`Model::teach`] to learn it later.
    #[inline]
    pub(super) fn prepare(&mut self, row: &[f64]) -> (Scored, Pending) {
        self.take(row);
        self.judge()
    }

    /// Learns a row that was prepared, whatever was scored in between.
    #[inline]
    pub(super) fn teach(&mut self, row: &[f64], scored: &Scored, pending: Pending) {
        self.take(row);
        self.learn(row, scored, &pending);
    }

    /// Works out the probability of each cluster for a row, and nothing else.
    #[inline]
    pub(super) fn stand(&mut self, row: &[f64]) {
        self.take(row);
        if self.clusters.count > 0 {
            let standing = self.clusters.stand(&self.scratch.row, &mut self.scratch.probabilities);
            confidence(&self.clusters, standing, &mut self.scratch.probabilities);
        }
    }

    /// Scores a row and learns nothing from it.
    ///
    /// # Panics
    /// If the row does not have the number of features of the settings.
    pub fn score(&mut self, row: &[f64]) -> Scored {
        self.take(row);
        self.judge().0
    }

    /// The nearest cluster alone.
    ///
    /// # Panics
    /// If the row does not have the number of features of the settings.
    pub fn cluster(&mut self, row: &[f64]) -> u32 {
        self.take(row);
        if self.clusters.count == 0 {
            return 0;
        }
        self.clusters.stand(&self.scratch.row, &mut self.scratch.probabilities).cluster
    }

    /// The probability of each cluster for the row scored last.
    pub fn probabilities(&self) -> &[f32] {
        &self.scratch.probabilities[..self.clusters.count]
    }

    /// Rows that taught the model.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows among them that were flagged.
    pub fn outliers(&self) -> u64 {
        self.outliers
    }

    /// Times that the sample was clustered.
    pub fn clusterings(&self) -> u64 {
        self.clusterings
    }

    /// Clusters in use.
    pub fn clusters(&self) -> usize {
        self.clusters.count
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many of the last 500 rows went to which cluster.
    pub fn sizes(&self) -> &SizeWindow {
        &self.sizes
    }

    /// The centroid of a cluster in use, in the units of the rows.
    pub fn centroid(&self, cluster: u32) -> impl ExactSizeIterator<Item = f64> + '_ {
        let cluster = cluster as usize;
        self.origin
            .iter()
            .enumerate()
            .map(move |(feature, origin)| f64::from(self.clusters.value(cluster, feature)) + origin)
    }

    /// Standard deviation of a feature inside clusters, in the units of the rows.
    pub fn deviation(&self, feature: usize) -> f64 {
        f64::from(self.clusters.variances[feature]).sqrt()
    }

    /// The share of all weight that distances give to a feature; the shares of all features add up to one.
    pub fn weight(&self, feature: usize) -> f64 {
        // In units of the deviation inside clusters, or the weights would only tell the units of the rows.
        let weight =
            |feature: usize| f64::from(self.clusters.metric[feature]) * f64::from(self.clusters.variances[feature]);
        let total: f64 = (0..self.settings.features).map(weight).sum();
        if total > 0.0 { weight(feature) / total } else { 1.0 / self.settings.features as f64 }
    }

    #[inline]
    fn take(&mut self, row: &[f64]) {
        assert_eq!(row.len(), self.settings.features, "a row has the features that the settings say");
        if self.worth == 0 {
            for (origin, value) in self.origin.iter_mut().zip(row) {
                *origin = if value.is_finite() { *value } else { 0.0 };
            }
        }
        let known = self.origin.iter().zip(&self.moments);
        for ((kept, value), (origin, moments)) in self.scratch.row.iter_mut().zip(row).zip(known) {
            let value = if value.is_finite() { value - origin } else { moments.mean };
            *kept = value.clamp(-VALUE_MAX, VALUE_MAX) as f32;
        }
    }

    /// The rarity that is flagged now.
    fn level(&self) -> f64 {
        self.settings.flag_rate * (1.0 - LEVEL_GAIN * self.debt).clamp(0.25, 4.0)
    }

    #[inline]
    fn judge(&mut self) -> (Scored, Pending) {
        let row = &self.scratch.row;
        let distance = self.sample.distance(row, &self.inverse);
        let relative = self.typical.relative(distance, self.worth as f32);
        let (rarity, place) = self.tail.rarity(relative);
        let (mut standing, mut sure) = (Standing { cluster: 0, spread: 0.0 }, 0.0);
        if self.clusters.count > 0 {
            standing = self.clusters.stand(row, &mut self.scratch.probabilities);
            sure = confidence(&self.clusters, standing, &mut self.scratch.probabilities);
        }
        let scored = Scored {
            cluster: standing.cluster,
            score: f64::from(relative / (1.0 + relative)),
            is_outlier: f64::from(rarity) <= self.level(),
            confidence: sure,
        };
        (scored, Pending { distance, place, standing })
    }

    #[inline]
    fn learn(&mut self, row: &[f64], scored: &Scored, pending: &Pending) {
        let rows = self.worth.min(u64::from(self.settings.scale_memory_rows)) as f64;
        for ((moments, value), origin) in self.moments.iter_mut().zip(row).zip(&self.origin) {
            if value.is_finite() {
                moments.learn_held((value - origin).clamp(-VALUE_MAX, VALUE_MAX), rows);
            }
        }
        // The first two rows have nothing to be far from.
        if self.worth > 1 {
            self.tail.learn(pending.place);
            self.typical.learn(pending.distance, rows as f32 - 2.0);
            let rate = self.settings.flag_rate;
            let flagged = f64::from(u8::from(scored.is_outlier));
            self.debt = (self.debt + flagged - rate).clamp(-DEBT_MAX_ROWS, DEBT_MAX_ROWS);
        }
        self.learn_cluster(scored.is_outlier, pending.standing);
        self.sample.learn(&self.scratch.row, self.worth, self.settings.memory_rows, &mut self.random);
        self.sizes.push(pending.standing.cluster);
        self.rows += 1;
        self.worth += 1;
        self.outliers += u64::from(scored.is_outlier);
        if self.worth <= FRESH_ROWS || self.worth.is_multiple_of(SCALE_EVERY_ROWS) {
            self.refresh_scale();
            self.clusters.refresh_precisions();
        }
        if self.rows >= self.next_clustering {
            self.recluster();
            let wait = self.rows.min(u64::from(self.settings.clustering_rows));
            self.next_clustering = self.rows + wait.max(1);
        }
    }

    fn refresh_scale(&mut self) {
        for ((inverse, moments), origin) in self.inverse.iter_mut().zip(&self.moments).zip(&self.origin) {
            *inverse = moments.inverse(*origin);
        }
    }

    fn learn_cluster(&mut self, is_outlier: bool, standing: Standing) {
        let row = &self.scratch.row;
        let count = self.clusters.count;
        let known = |cluster: usize| {
            (0..row.len()).all(|feature| self.clusters.value(cluster, feature).to_bits() == row[feature].to_bits())
        };
        if count < self.settings.clusters && !(0..count).any(known) {
            self.clusters.set(count, row.iter().copied());
            self.clusters.rows[count] = 1.0;
            self.clusters.shares[count] = 1.0 / self.settings.clusters as f32;
            self.clusters.count += 1;
        } else if !is_outlier {
            self.clusters.learn(row, standing);
        }
    }

    /// Looks for better centroids in the sample at once; otherwise this happens by itself, more and more seldom and at last once in
    /// `clustering_rows` rows.
    pub fn recluster(&mut self) {
        if self.sample.filled == 0 {
            return;
        }
        let young = self.worth <= self.sample.filled as u64;
        let (wanted, restarts) = (self.settings.clusters, self.settings.restarts);
        recluster(&mut self.clusters, &self.sample, wanted, restarts, young, &mut self.random);
        self.clusterings += 1;
    }
}
