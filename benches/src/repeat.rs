//! A piece of work inside this process, timed over rounds; and seeded numbers to work on.

use std::time::Instant;

use crate::figures::{Spread, spread};

/// Seconds that `work` takes, over the rounds. A first run, which warms caches and allocates, is not counted.
pub fn seconds(rounds: usize, mut work: impl FnMut()) -> Option<Spread> {
    work();
    let times: Vec<f64> = (0..rounds)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed().as_secs_f64()
        })
        .collect();
    spread(&times)
}

/// Uniform doubles in [0, 1) from a seed, by `SplitMix64` (Steele, Lea, Flood 2014).
pub fn units(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_is_not_counted() {
        let mut runs = 0;
        let spread = seconds(3, || runs += 1).unwrap();
        assert!(runs == 4 && spread.least <= spread.greatest);
        assert!(seconds(0, || ()).is_none());
    }

    #[test]
    fn units_spread_evenly() {
        let mut unit = units(1);
        let mean = (0..10_000).map(|_| unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
