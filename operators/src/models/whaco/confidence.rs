//! How likely it is that the nearest cluster is the right one.
//!
//! The posterior of a mixture with the clusters' shares and one pooled variance per feature. Features that go together would count
//! one fact several times and make it too sure, so the exponent is tempered by the *effective* number of independent features
//! (Satterthwaite 1946): a sum of D independent squares has mean D and variance 2D, so 2·mean ÷ variance of the spreads seen so far
//! is 1 when the features are independent and less when they are not.

use super::clusters::{Clusters, Standing};
use super::exponential::exponential;

/// A cluster that holds nothing may still be right.
const SHARE_LEAST: f32 = 1e-3;
/// Beyond this a cluster's likelihood is nothing beside the nearest one's.
const EXPONENT_LEAST: f32 = -20.0;

/// Turns the spreads of all clusters into their probabilities, in place, and gives that of the row's cluster.
#[inline]
pub(super) fn confidence(clusters: &Clusters, standing: Standing, spreads: &mut [f32]) -> f64 {
    let factor = -0.5 * temper(clusters);
    let (used, count) = (&spreads[..clusters.count], clusters.count);
    let least = used.iter().copied().fold(f32::INFINITY, |least, spread| if spread < least { spread } else { least });
    // Over whole blocks of clusters, so that eight are done at once; what stands in those that are not used is never looked at.
    for (spread, share) in spreads.iter_mut().zip(&clusters.shares) {
        let exponent = factor * (*spread - least);
        let exponent = if exponent > EXPONENT_LEAST { exponent } else { EXPONENT_LEAST };
        *spread = exponential(exponent) * if *share > SHARE_LEAST { *share } else { SHARE_LEAST };
    }
    let spreads = &mut spreads[..count];
    // The nearest by spread adds at least the least share.
    let inverse = 1.0 / spreads.iter().sum::<f32>();
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
