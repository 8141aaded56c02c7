//! How likely it is that the nearest cluster is the right one.
//!
//! The posterior of a mixture with the clusters' shares and one pooled variance per feature. Features that go together would count
//! one fact several times and make it too sure, so the exponent is tempered by the *effective* number of independent features
//! (Satterthwaite 1946): a sum of D independent squares has mean D and variance 2D, so 2·mean ÷ variance of the spreads seen so far
//! is 1 when the features are independent and less when they are not.

use super::clusters::{Clusters, Standing};

/// Beyond this a cluster's likelihood is nothing beside the nearest one's.
const EXPONENT_LEAST: f64 = -30.0;

/// Turns the spreads of all clusters into their probabilities, in place, and gives that of the row's cluster.
#[inline]
pub(super) fn confidence(clusters: &Clusters, standing: Standing, spreads: &mut [f32]) -> f64 {
    let spreads = &mut spreads[..clusters.count];
    let temper = temper(clusters);
    let least =
        spreads.iter().copied().fold(f32::INFINITY, |least, spread| if spread < least { spread } else { least });
    let mut total = 0.0;
    for (spread, share) in spreads.iter_mut().zip(&clusters.shares) {
        let exponent = -0.5 * temper * f64::from(*spread - least);
        let weight = if exponent == 0.0 {
            1.0
        } else if exponent > EXPONENT_LEAST {
            libm::exp(exponent)
        } else {
            0.0
        };
        let weight = weight * f64::from(share.max(1e-3));
        *spread = weight as f32;
        total += weight;
    }
    let inverse = if total > 0.0 { 1.0 / total } else { 0.0 };
    for weight in spreads.iter_mut() {
        *weight = (f64::from(*weight) * inverse) as f32;
    }
    f64::from(spreads[standing.cluster as usize]).clamp(0.0, 1.0)
}

fn temper(clusters: &Clusters) -> f64 {
    let [mean, square] = clusters.spread.map(f64::from);
    let variance = (square - mean * mean).max(1e-12);
    (2.0 * mean / variance).clamp(0.05, 1.0)
}
