//! How likely it is that the nearest cluster is the right one.
//!
//! The posterior of a mixture with the clusters' shares and one pooled variance per feature. Features that go together would count
//! one fact several times and make it too sure, so the exponent is tempered by the *effective* number of independent features
//! (Satterthwaite 1946): a sum of D independent squares has mean D and variance 2D, so 2·mean ÷ variance of the spreads seen so far
//! is 1 when the features are independent and less when they are not.

use super::clusters::{Clusters, Standing};

/// A cluster that holds nothing may still be right.
const SHARE_LEAST: f32 = 1e-3;
/// Beyond this a cluster's likelihood is nothing beside the nearest one's.
const EXPONENT_LEAST: f32 = -20.0;

/// Turns the spreads of all clusters into their probabilities, in place, and gives that of the row's cluster.
#[inline]
pub(super) fn confidence(clusters: &Clusters, standing: Standing, spreads: &mut [f32]) -> f64 {
    let spreads = &mut spreads[..clusters.count];
    let temper = temper(clusters);
    let least =
        spreads.iter().copied().fold(f32::INFINITY, |least, spread| if spread < least { spread } else { least });
    let mut total = 0.0;
    for (spread, share) in spreads.iter_mut().zip(&clusters.shares) {
        let exponent = -0.5 * temper * (*spread - least);
        let likelihood = if exponent > EXPONENT_LEAST { libm::expf(exponent) } else { 0.0 };
        *spread = likelihood * share.max(SHARE_LEAST);
        total += *spread;
    }
    // The nearest by spread adds at least the least share.
    let inverse = 1.0 / total;
    for weight in spreads.iter_mut() {
        *weight *= inverse;
    }
    f64::from(spreads[standing.cluster as usize]).clamp(0.0, 1.0)
}

fn temper(clusters: &Clusters) -> f32 {
    let [mean, square] = clusters.spread;
    let variance = (square - mean * mean).max(1e-6);
    (2.0 * mean / variance).clamp(0.05, 1.0)
}
