//! The assignment score, and its three parts.

use super::candidate::{Candidate, Lead};

/// `0.4 cos θ + 0.4 / (1 + active deals) + 0.2 (1 − |skill − priority|)`, in [−0.4, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// `0.4 cos θ`: how near the rep is to being ready.
    pub readiness: f64,
    /// `0.4 / (1 + active deals)`: how free.
    pub freedom: f64,
    /// `0.2 (1 − |skill − priority|)`: how fitting.
    pub fit: f64,
}

impl Score {
    /// The score of a pair.
    pub fn of(lead: &Lead<'_>, candidate: &Candidate<'_>) -> Self {
        Score {
            readiness: 0.4 * libm::cos(candidate.phase),
            freedom: 0.4 / (1.0 + f64::from(candidate.active_deals)),
            fit: 0.2 * (1.0 - (candidate.skill - lead.priority).abs()),
        }
    }

    /// The sum of the parts.
    pub fn total(self) -> f64 {
        self.readiness + self.freedom + self.fit
    }
}
