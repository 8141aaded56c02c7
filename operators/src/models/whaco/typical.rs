//! What a distance is worth: relative to the mean of the distances before it, of which the later count more.
//!
//! ```text
//!   distance ─▶ (rows × distance + 10 × mean) ÷ (rows + 10) ─▶ ÷ mean ─▶ relative distance: 1 is typical, at any size of any rows
//! ```
//! Distances shrink while groups grow and deviations settle, so distances of the first rows can only be compared after this. A distance from
//! few rows says little: it counts as if it were averaged with [`DOUBT_ROWS`] typical ones.

/// Rows after which a distance is believed by half.
const DOUBT_ROWS: f32 = 10.0;
/// A distance weighs as its row's number to the power of this less one: what is typical now is what was typical lately.
const LATELY: f32 = 3.0;

/// The mean distance so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Typical {
    pub(super) distance: f32,
}

impl Typical {
    /// A distance relative to the typical one, after so many rows; 1 while there is none to compare with.
    #[inline]
    pub(super) fn relative(self, distance: f32, rows: f32) -> f32 {
        if self.distance > 0.0 { (rows * (distance / self.distance) + DOUBT_ROWS) / (rows + DOUBT_ROWS) } else { 1.0 }
    }

    /// Takes in a distance. `rows` counts those before it, held at the memory.
    #[inline]
    pub(super) fn learn(&mut self, distance: f32, rows: f32) {
        self.distance += (distance - self.distance) * (LATELY / (rows + LATELY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_the_more_the_more_is_known() {
        let mut typical = Typical::default();
        assert!((typical.relative(7.0, 2.0) - 1.0).abs() < 1e-6);
        for row in 0..100_u16 {
            typical.learn(1.0 + f32::from(row % 3), f32::from(row));
        }
        assert!((typical.distance - 1.99).abs() < 1e-4);
        let (early, late) = (typical.relative(6.0, 5.0), typical.relative(6.0, 4_000.0));
        assert!(1.0 < early && early < 1.8 && 2.9 < late && late < 3.1, "{early} {late}");
    }
}
