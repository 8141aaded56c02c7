//! The seed form over a dealer's leads, with the same answers as the calibrated model gives.
//!
//! A segment is the archetype that a cluster started from, its priority that of the segment; the score of a lead is its distance in
//! deviations. Routing looks at the same centroids without credit data.

use super::features::{FEATURES, Features, LeadFields};
use super::lead::LeadAnalysis;
use super::reason::Reasons;
use super::seed::{SeedModel, SeedScored};
use super::segment::Segment;
use super::snapshot::SnapshotError;

/// One dealer's seed model.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedLeads {
    model: SeedModel,
}

impl Default for SeedLeads {
    fn default() -> Self {
        SeedLeads { model: SeedModel::leads() }
    }
}

impl SeedLeads {
    /// Scores a new lead and learns from it.
    pub fn analyse(&mut self, fields: &LeadFields) -> LeadAnalysis {
        let features = fields.features();
        let routing = self.model.score(&fields.routing_features());
        let reasons = self.reasons(&features, self.model.score(&features));
        let scored = self.model.analyse(&features);
        describe(scored, routing, reasons)
    }

    /// Scores a lead that has taught already.
    pub fn score(&self, fields: &LeadFields) -> LeadAnalysis {
        let features = fields.features();
        let scored = self.model.score(&features);
        describe(scored, self.model.score(&fields.routing_features()), self.reasons(&features, scored))
    }

    fn reasons(&self, features: &Features, scored: SeedScored) -> Option<Reasons> {
        let deviations = std::array::from_fn(|feature| self.model.variances()[feature].sqrt());
        scored.is_outlier.then(|| Reasons::new(features, &self.centroid(scored.cluster), &deviations))
    }

    /// The centroid of a cluster.
    pub fn centroid(&self, cluster: u32) -> Features {
        let mut centroid = [0.0; FEATURES];
        centroid.copy_from_slice(self.model.centroid(cluster));
        centroid
    }

    /// The model beneath.
    pub fn model(&self) -> &SeedModel {
        &self.model
    }

    /// The whole state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        self.model.snapshot()
    }

    /// A model from such bytes.
    ///
    /// # Errors
    /// If the bytes are no snapshot of leads, or damaged.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let model = SeedModel::restore(bytes)?;
        let (features, clusters) = model.shape();
        if features != FEATURES || clusters != Segment::ALL.len() {
            return Err(SnapshotError::OtherModel { features, clusters });
        }
        Ok(SeedLeads { model })
    }
}

fn describe(scored: SeedScored, routing: SeedScored, reasons: Option<Reasons>) -> LeadAnalysis {
    let segment = Segment::ALL[scored.cluster as usize];
    LeadAnalysis {
        cluster: scored.cluster,
        segment,
        score: scored.distance,
        is_outlier: scored.is_outlier,
        confidence: scored.confidence,
        priority: segment.priority(),
        routing_priority: Segment::ALL[routing.cluster as usize].priority(),
        reasons,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_of_the_archetype_that_it_is_nearest_to() {
        let mut model = SeedLeads::default();
        let kicker = LeadFields { engagement: Some(0.1), credit_score: Some(650), ..LeadFields::default() };
        let analysis = model.analyse(&kicker);
        assert_eq!(analysis.segment, Segment::TireKickers);
        assert!((analysis.priority - 0.3).abs() < 1e-12 && analysis.reasons.is_none());
        assert_eq!(SeedLeads::restore(&model.snapshot()), Ok(model));
    }

    #[test]
    fn an_outlier_is_explained_and_teaches_nothing() {
        let mut model = SeedLeads::default();
        let odd = LeadFields {
            credit_score: Some(310),
            annual_income_cents: Some(19_900_000),
            trade_value_cents: Some(3_000_000),
            visit_count: Some(10),
            time_on_lot_minutes: Some(180.0),
            ..LeadFields::default()
        };
        let before = model.clone();
        let analysis = model.analyse(&odd);
        assert!(analysis.is_outlier && analysis.reasons.is_some());
        assert_eq!(before.model.variances(), model.model.variances());
        // Routing does not see the credit score.
        let other = LeadFields { credit_score: Some(840), ..odd };
        assert!((model.score(&other).routing_priority - analysis.routing_priority).abs() < 1e-12);
    }
}
