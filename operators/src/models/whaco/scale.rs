//! How wide each feature is: running mean and standard deviation.

/// What a feature that never moved is taken to vary by, as a share of its own size: whatever differs from it differs by much.
const CONSTANT_SHARE: f64 = 1e-3;
/// The same for a feature that was always zero.
const CONSTANT_LEAST: f64 = 1e-9;

/// A value this many deviations from the mean is taken as it is.
const DEVIATIONS_MAX: f64 = 8.0;
/// And one that widens the variance by no more than this share of it.
const WIDENING_MAX: f64 = 0.1;

/// Running moments of one feature.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

impl Moments {
    /// Takes in a value. `rows` counts those before it, held at the memory.
    #[inline]
    pub(super) fn learn(&mut self, value: f64, rows: f64) {
        let share = 1.0 / (rows + 1.0);
        let apart = value - self.mean;
        self.mean += share * apart;
        self.variance = (1.0 - share) * (self.variance + share * apart * apart);
    }

    /// The same, but a value further out than [`DEVIATIONS_MAX`] and [`WIDENING_MAX`] allow is drawn in: one or two of them would widen the
    /// feature until nothing looks far. What is wider for good is learned all the same, in some dozens of rows.
    #[inline]
    pub(super) fn learn_held(&mut self, value: f64, rows: f64) {
        let apart = value - self.mean;
        let greatest = (DEVIATIONS_MAX * DEVIATIONS_MAX).max(WIDENING_MAX * (rows + 1.0)) * self.variance;
        let far = self.variance > 0.0 && apart * apart > greatest;
        self.learn(if far { self.mean + greatest.sqrt().copysign(apart) } else { value }, rows);
    }

    /// The inverse standard deviation, for values that were taken relative to the origin.
    #[inline]
    pub(super) fn inverse(&self, origin: f64) -> f32 {
        let constant = ((self.mean + origin).abs() * CONSTANT_SHARE).max(CONSTANT_LEAST);
        let deviation = if self.variance > 0.0 { self.variance.sqrt() } else { constant };
        (1.0 / deviation).clamp(1e-30, 1e30) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_rows() {
        let values = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0, 2.0, 6.0];
        let mut moments = Moments::default();
        for (row, value) in values.iter().enumerate() {
            moments.learn(*value, row as f64);
        }
        let mean = values.iter().sum::<f64>() / 8.0;
        let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / 8.0;
        assert!((moments.mean - mean).abs() < 1e-12);
        assert!((moments.variance - variance).abs() < 1e-12);
    }

    #[test]
    fn one_value_far_out_does_not_blind_and_a_new_width_is_learned() {
        let (mut held, mut rows) = (Moments::default(), 0.0);
        let mut learn = |value: f64| {
            held.learn_held(value, rows);
            rows = (rows + 1.0_f64).min(4_096.0);
            held.variance.sqrt()
        };
        let alternate = |row: u32| if row.is_multiple_of(2) { 1.0 } else { -1.0 };
        let before = (0..1_000).map(|row| learn(alternate(row))).last().unwrap();
        assert!((before - 1.0).abs() < 0.01, "{before}");
        let after = learn(1e9);
        assert!(after < 1.06, "{after}");
        for row in 0..3_000 {
            learn(alternate(row));
        }
        let wider = (0..400).map(|row| learn(1e6 * alternate(row))).last().unwrap();
        assert!((2e5..4e5).contains(&wider), "{wider}");
    }

    #[test]
    fn what_never_moved_is_narrow_but_not_nothing() {
        let mut moments = Moments::default();
        moments.learn(0.0, 0.0);
        assert!((moments.inverse(50.0) - 20.0).abs() < 1e-5);
        assert!(moments.inverse(0.0).is_finite());
    }
}
