//! The arithmetic of rounds: least, middle and greatest of a figure, and ratios of subjects that ran in the same round.

/// Least, median and greatest of a figure over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The median; of an even number, the mean of the middle two.
    pub median: f64,
    /// The greatest.
    pub greatest: f64,
}

/// The spread of `values`, `None` if there are none.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, greatest) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
    Some(Spread { least, median, greatest })
}

/// How fast the subject is in terms of the other: the other's costs over its own, round by round, so that a round in which the
/// machine was busy weighs on both. Rounds without cost are left out.
pub fn relative_speeds(subject_costs: &[f64], other_costs: &[f64]) -> Vec<f64> {
    subject_costs.iter().zip(other_costs).filter(|(own, _)| **own > 0.0).map(|(own, other)| other / own).collect()
}

/// A bound that a figure has to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
}

impl Target {
    /// Whether `value` keeps the bound.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtLeast(bound) => value >= bound,
            Target::AtMost(bound) => value <= bound,
        }
    }

    /// `pass` or `short`.
    pub fn verdict(self, value: f64) -> &'static str {
        if self.is_met(value) { "pass" } else { "short" }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::AtLeast(bound) => write!(formatter, "≥ {bound}"),
            Target::AtMost(bound) => write!(formatter, "≤ {bound}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even_rounds() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { least: 1.0, median: 2.0, greatest: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { least: 1.0, median: 2.5, greatest: 4.0 }));
    }

    #[test]
    fn ratios_pair_rounds_and_not_medians() {
        // The second round fell on a busy machine: both took four times as long, and the ratio does not move.
        let speeds = relative_speeds(&[2.0, 8.0, 2.0], &[1.0, 4.0, 1.0]);
        assert_eq!(speeds, [0.5, 0.5, 0.5]);
        assert_eq!(relative_speeds(&[0.0, 2.0], &[1.0, 1.0]), [0.5]);
    }

    #[test]
    fn targets_include_their_bound() {
        assert!(Target::AtLeast(0.6).is_met(0.6) && !Target::AtLeast(0.6).is_met(0.599));
        assert!(Target::AtMost(600.0).is_met(600.0) && !Target::AtMost(600.0).is_met(600.1));
        assert_eq!((Target::AtLeast(1.6).verdict(1.5), Target::AtLeast(1.6).to_string().as_str()), ("short", "≥ 1.6"));
    }
}
