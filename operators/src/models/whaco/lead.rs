//! A dealer's leads: the calibrated model over the ten features, with segments, priorities and reasons.
//!
//! ```text
//!   fields ─▶ features ─────────▶ model ─▶ cluster, score, outlier, confidence ─▶ segment, priority, reasons
//!        └──▶ without FICO ─────▶ the same centroids ─▶ routing priority
//! ```
//! A lead teaches once, by [`LeadModel::analyse`]; later changes of it are only scored. Nothing is allocated but in a reclustering, once in
//! `clustering_rows` leads.

use super::features::{FEATURES, Features, LeadFields};
use super::model::{Model, Scored};
use super::random::Random;
use super::reason::Reasons;
use super::segment::{ARCHETYPES, Segment};
use super::settings::{Settings, SettingsError};
use super::snapshot::SnapshotError;

/// Leads made up around the archetypes, from which a new model starts.
const ARCHETYPE_LEADS: usize = 160;
/// How widely they lie around them.
const ARCHETYPE_DEVIATION: f64 = 0.05;
/// Real leads that they are worth.
const ARCHETYPE_WORTH_ROWS: u32 = 32;
/// Segments are named afresh after so many leads, and after every reclustering.
const NAMES_EVERY_ROWS: u64 = 16;

/// What the model says about a lead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeadAnalysis {
    /// The cluster, 0 to 4.
    pub cluster: u32,
    /// The segment that its centroid is.
    pub segment: Segment,
    /// How unusual the lead is, in [0, 1).
    pub score: f64,
    /// Whether the score is among the rarest `flag_rate`.
    pub is_outlier: bool,
    /// The probability that the cluster is the right one.
    pub confidence: f64,
    /// How soon to serve the lead, in [0.3, 0.95]: the segments' priorities, each with its probability.
    pub priority: f64,
    /// The same by what is known without credit data.
    pub routing_priority: f64,
    /// The features that are furthest off, of an outlier.
    pub reasons: Option<Reasons>,
}

/// One dealer's model.
#[derive(Clone, Debug, PartialEq)]
pub struct LeadModel {
    model: Model,
    segments: [Segment; ARCHETYPES],
    named_at: u64,
    clusterings: u64,
}

impl LeadModel {
    /// A model that starts from the archetypes, as if it had seen a few leads of each segment.
    ///
    /// # Errors
    /// If a setting is out of its bounds, or there are not 10 features or more than 5 clusters.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let wrong = |what, value: usize, least: usize, greatest: usize| {
            Err(SettingsError::OutOfRange { what, value: value as f64, least: least as f64, greatest: greatest as f64 })
        };
        if settings.features != FEATURES {
            return wrong("the number of features of a lead", settings.features, FEATURES, FEATURES);
        }
        if settings.clusters > ARCHETYPES {
            return wrong("the number of clusters of leads", settings.clusters, 1, ARCHETYPES);
        }
        let mut random = Random::new(settings.seed ^ 0xa2c4_e6b8);
        let mut model = Model::new(settings)?;
        for segment in Segment::ALL {
            model.analyse(&segment.archetype());
        }
        for lead in ARCHETYPES..ARCHETYPE_LEADS {
            let archetype = Segment::ALL[lead % ARCHETYPES].archetype();
            let made = archetype.map(|value| (value + ARCHETYPE_DEVIATION * random.nearly_normal()).clamp(0.0, 1.0));
            model.analyse(&made);
        }
        model.recluster();
        model.discount(ARCHETYPE_WORTH_ROWS);
        Ok(Self::over(model))
    }

    /// A model that starts from another one, as if it had seen so many of its leads.
    #[must_use]
    pub fn from_prior(prior: &LeadModel, rows: u32) -> Self {
        Self::over(Model::from_prior(&prior.model, rows))
    }

    fn over(model: Model) -> Self {
        let mut lead = LeadModel { model, segments: Segment::ALL, named_at: 0, clusterings: 0 };
        lead.name();
        lead
    }

    fn name(&mut self) {
        for cluster in 0..self.model.clusters() {
            self.segments[cluster] = Segment::of_centroid(&self.centroid(cluster as u32));
        }
        (self.named_at, self.clusterings) = (self.model.rows(), self.model.clusterings());
    }

    /// Scores a new lead and learns from it.
    pub fn analyse(&mut self, fields: &LeadFields) -> LeadAnalysis {
        let features = fields.features();
        let (scored, pending) = self.model.prepare(&features);
        let analysis = self.describe(fields, &features, scored);
        self.model.teach(&features, &scored, pending);
        if self.model.rows() - self.named_at >= NAMES_EVERY_ROWS || self.model.clusterings() != self.clusterings {
            self.name();
        }
        analysis
    }

    /// Scores a lead that has taught already, or shall not.
    pub fn score(&mut self, fields: &LeadFields) -> LeadAnalysis {
        let features = fields.features();
        let scored = self.model.score(&features);
        self.describe(fields, &features, scored)
    }

    #[inline]
    fn describe(&mut self, fields: &LeadFields, features: &Features, scored: Scored) -> LeadAnalysis {
        let priority = self.expected_priority();
        let reasons = scored.is_outlier.then(|| self.reasons(features, scored.cluster));
        let routing_priority = if fields.credit_score.is_some() {
            self.model.stand(&fields.routing_features());
            self.expected_priority()
        } else {
            priority
        };
        LeadAnalysis {
            cluster: scored.cluster,
            segment: self.segments[scored.cluster as usize],
            score: scored.score,
            is_outlier: scored.is_outlier,
            confidence: scored.confidence,
            priority,
            routing_priority,
            reasons,
        }
    }

    fn expected_priority(&self) -> f64 {
        let mut priority = 0.0;
        for (probability, segment) in self.model.probabilities().iter().zip(&self.segments) {
            priority += f64::from(*probability) * segment.priority();
        }
        priority
    }

    /// The three features of a lead that are furthest off from a cluster.
    pub fn reasons(&self, features: &Features, cluster: u32) -> Reasons {
        Reasons::new(features, &self.centroid(cluster), &std::array::from_fn(|feature| self.model.deviation(feature)))
    }

    /// The centroid of a cluster.
    pub fn centroid(&self, cluster: u32) -> Features {
        let mut centroid = [0.0; FEATURES];
        for (to, value) in centroid.iter_mut().zip(self.model.centroid(cluster)) {
            *to = value;
        }
        centroid
    }

    /// The segment of a cluster, 0 to 4.
    pub fn segment(&self, cluster: u32) -> Segment {
        self.segments[cluster as usize]
    }

    /// The model beneath: counts, sizes, weights.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The whole state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        self.model.snapshot()
    }

    /// A model from such bytes. It goes on as the one that wrote them would have, bit for bit.
    ///
    /// # Errors
    /// If the bytes are no snapshot of leads of this version, or damaged.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let model = Model::restore(bytes)?;
        let settings = model.settings();
        if settings.features != FEATURES || settings.clusters > ARCHETYPES {
            return Err(SnapshotError::OtherModel { features: settings.features, clusters: settings.clusters });
        }
        Ok(Self::over(model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(score: u64, income: u64, engagement: f64) -> LeadFields {
        LeadFields {
            credit_score: Some(score),
            annual_income_cents: Some(income * 100),
            engagement: Some(engagement),
            ..LeadFields::default()
        }
    }

    #[test]
    fn a_new_dealer_knows_the_archetypes() {
        let mut model = LeadModel::new(Settings::leads()).unwrap();
        assert_eq!(model.model().rows(), 0);
        assert_eq!(model.score(&lead(770, 130_000, 0.5)).segment, Segment::PrimeBuyers);
        assert_eq!(model.score(&lead(650, 60_000, 0.9)).segment, Segment::MotivatedShoppers);
        assert_eq!(model.score(&lead(520, 30_000, 0.5)).segment, Segment::CreditChallenged);
        let kicker = model.score(&lead(650, 50_000, 0.1));
        assert_eq!(kicker.segment, Segment::TireKickers);
        assert!(kicker.confidence > 0.8 && kicker.priority < 0.45, "{kicker:?}");
    }

    #[test]
    fn credit_data_changes_the_priority_but_not_that_of_routing() {
        let mut model = LeadModel::new(Settings::leads()).unwrap();
        let (low, high) = (model.score(&lead(520, 60_000, 0.5)), model.score(&lead(800, 60_000, 0.5)));
        assert!((low.priority - high.priority).abs() > 0.01);
        assert_eq!(low.routing_priority.to_bits(), high.routing_priority.to_bits());
    }

    #[test]
    fn a_rescored_lead_teaches_nothing_and_an_odd_one_is_explained() {
        let mut model = LeadModel::new(Settings::leads()).unwrap();
        let mut random = Random::new(3);
        for n in 0..2_000_u64 {
            let engagement = 0.5 + 0.1 * random.nearly_normal();
            model.analyse(&lead(640 + n % 60, 45_000 + n % 10_000, engagement.clamp(0.0, 1.0)));
        }
        let before = model.clone();
        let odd = LeadFields { visit_count: Some(9), time_on_lot_minutes: Some(170.0), ..lead(310, 199_000, 0.0) };
        let analysis = model.score(&odd);
        assert_eq!(model, before);
        assert!(analysis.is_outlier && analysis.score > 0.9, "{analysis:?}");
        let sentence = analysis.reasons.unwrap().to_string();
        assert!(
            sentence.contains("time on lot 170 min (expected ") && sentence.matches("expected").count() == 3,
            "{sentence}"
        );
        assert!(model.score(&lead(660, 50_000, 0.5)).reasons.is_none());
    }

    #[test]
    fn a_small_dealer_can_borrow_what_others_know() {
        let mut pooled = LeadModel::new(Settings::leads()).unwrap();
        let mut random = Random::new(4);
        for _ in 0..3_000 {
            let engagement = 0.5 + 0.05 * random.nearly_normal();
            pooled.analyse(&lead(640, 50_000, engagement.clamp(0.0, 1.0)));
        }
        let mut small = LeadModel::from_prior(&pooled, 400);
        assert_eq!(small.model().rows(), 0);
        assert!(small.score(&lead(330, 190_000, 0.0)).is_outlier);
        let mut alone = LeadModel::new(Settings::leads()).unwrap();
        assert!(!alone.score(&lead(330, 190_000, 0.0)).is_outlier, "32 rows cannot tell what one of a hundred is");
    }

    #[test]
    fn only_leads_are_taken() {
        assert!(LeadModel::new(Settings { features: 9, ..Settings::leads() }).is_err());
        assert!(LeadModel::new(Settings { clusters: 6, ..Settings::leads() }).is_err());
    }
}
