//! The share of time in which somebody is ready for a customer.
//!
//! ```text
//!   one step of one rep      ready ├────┤            left during the step: ready from its begin
//!                                       ├────┤ ready came during the step: ready to its end
//!   the step                 covered ├──┤  ├───┤     both ends together, at most all of it
//! ```
//! Within a step of the integrator a rep is taken to move evenly, and by no more than a quarter turn, so that no rep comes and goes
//! in one step; the error of a crossing is of second order in the step.

use std::f64::consts::{FRAC_PI_2, TAU};

/// Time with somebody on duty, and the part of it with somebody ready.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Hours in which at least one rep was on duty.
    pub staffed_hours: f64,
    /// Hours in which at least one rep was ready, θ ∈ [0, π/2).
    pub ready_hours: f64,
}

impl Coverage {
    /// Ready hours of the staffed ones, in [0, 1]; `None` before the first. Hours in which nobody works are left out: they are
    /// closed, not uncovered.
    pub fn share(&self) -> Option<f64> {
        (self.staffed_hours > 0.0).then(|| (self.ready_hours / self.staffed_hours).clamp(0.0, 1.0))
    }

    /// Adds a step in which the phases went `from` (in [0, 2π)) `to` (not wrapped).
    pub(super) fn add(&mut self, from: &[f64], to: &[f64], step_hours: f64) {
        if !from.is_empty() {
            self.staffed_hours += step_hours;
            self.ready_hours += step_hours * ready_share(from, to);
        }
    }
}

/// Whether a rep at this phase, in [−π/2, 5π/2), can take a customer.
pub fn is_ready(phase: f64) -> bool {
    (0.0..FRAC_PI_2).contains(&phase) || phase >= TAU
}

/// The share of a step in which at least one is ready.
fn ready_share(from: &[f64], to: &[f64]) -> f64 {
    let (mut until, mut since) = (0.0_f64, 1.0_f64);
    for (&from, &to) in from.iter().zip(to) {
        match (is_ready(from), is_ready(to)) {
            (true, true) => return 1.0,
            (true, false) => until = until.max((if to > from { FRAC_PI_2 } else { 0.0 } - from) / (to - from)),
            (false, true) => since = since.min((if to > from { TAU } else { FRAC_PI_2 } - from) / (to - from)),
            (false, false) => {}
        }
    }
    (until + (1.0 - since)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The share by looking at many instants.
    fn sampled(from: &[f64], to: &[f64]) -> f64 {
        let covered = (0..20_000).filter(|instant| {
            let share = (f64::from(*instant) + 0.5) / 20_000.0;
            from.iter().zip(to).any(|(from, to)| is_ready(from + share * (to - from)))
        });
        covered.count() as f64 / 20_000.0
    }

    proptest! {
        #[test]
        fn equals_what_many_looks_see(reps in proptest::collection::vec((0.0..TAU, -1.5..1.5), 1..5)) {
            let from: Vec<f64> = reps.iter().map(|rep| rep.0).collect();
            let to: Vec<f64> = reps.iter().map(|rep| rep.0 + rep.1).collect();
            prop_assert!((ready_share(&from, &to) - sampled(&from, &to)).abs() < 2e-4 * reps.len() as f64);
        }
    }

    #[test]
    fn a_lone_rep_is_ready_a_quarter_of_a_turn() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.share(), None);
        let step = TAU / 1_000.0;
        for number in 0..1_000 {
            let from = step * f64::from(number);
            coverage.add(&[from], &[from + step], 1.0 / 12.0);
        }
        assert!((coverage.share().unwrap() - 0.25).abs() < 1e-12);
        coverage.add(&[], &[], 8.0);
        assert!((coverage.staffed_hours - 1_000.0 / 12.0).abs() < 1e-9);
    }
}
