//! Why a lead is an outlier: the three features that are furthest off, with what was expected.

use std::fmt;

use super::features::{FEATURES, Features, feature_name, feature_value};

/// Features that a reason names.
pub const REASON_FEATURES: usize = 3;
/// The expected range reaches so many deviations to each side: about nineteen rows of twenty.
const RANGE_DEVIATIONS: f64 = 2.0;

/// One feature that is off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FeatureReason {
    /// Its place among the features.
    pub feature: u8,
    /// The lead's value, in [0, 1].
    pub value: f64,
    /// What leads of the same cluster have: from here …
    pub expected_low: f64,
    /// … to here.
    pub expected_high: f64,
    /// How many deviations the value lies from the centroid.
    pub deviations: f64,
}

/// The three features that are furthest off, the furthest first. Its `Display` is the sentence for people, made only when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reasons {
    /// The features.
    pub features: [FeatureReason; REASON_FEATURES],
}

impl Reasons {
    /// The reasons for features beside a centroid and the deviations around it.
    pub(super) fn new(features: &Features, centroid: &Features, deviations: &Features) -> Self {
        let mut reasons = Reasons::default();
        for feature in 0..FEATURES {
            let off = (features[feature] - centroid[feature]).abs() / deviations[feature].max(1e-9);
            let Some(place) = reasons.features.iter().position(|other| off > other.deviations) else { continue };
            reasons.features.copy_within(place..REASON_FEATURES - 1, place + 1);
            let reach = RANGE_DEVIATIONS * deviations[feature];
            reasons.features[place] = FeatureReason {
                feature: feature as u8,
                value: features[feature],
                expected_low: (centroid[feature] - reach).max(0.0),
                expected_high: (centroid[feature] + reach).min(1.0),
                deviations: off,
            };
        }
        reasons
    }

    /// One clause for each feature that is off, the furthest first.
    pub fn sentences(&self) -> impl Iterator<Item = &FeatureReason> {
        self.features.iter().filter(|reason| reason.deviations > 0.0)
    }
}

impl fmt::Display for FeatureReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let feature = usize::from(self.feature);
        write!(
            formatter,
            "{} {} (expected {} to {})",
            feature_name(feature),
            feature_value(feature, self.value),
            feature_value(feature, self.expected_low),
            feature_value(feature, self.expected_high)
        )
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for reason in self.sentences() {
            write!(formatter, "{between}{reason}")?;
            between = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::segment::Segment;
    use super::*;

    #[test]
    fn the_three_furthest_features_are_named_with_their_values() {
        let centroid = Segment::PrimeBuyers.archetype();
        let mut features = centroid;
        (features[1], features[5], features[3], features[9]) = (0.05, 0.95, 0.1, 0.52);
        let reasons = Reasons::new(&features, &centroid, &[0.1; FEATURES]);
        assert_eq!(reasons.features.map(|reason| reason.feature), [1, 5, 3]);
        assert_eq!(
            reasons.to_string(),
            "annual income $10,000 (expected $80,000 to $160,000); engagement 0.95 (expected 0.30 to 0.70); \
             visits 1 (expected 0 to 2)"
        );
    }
}
