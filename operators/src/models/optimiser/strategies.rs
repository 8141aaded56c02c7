//! Which strategy to propose: trails of pheromone that outcomes strengthen, and the regret of having followed them.
//!
//! ```text
//!   outcome ─▶ τ ← (1 − ρ) τ + ρ · reward,  ρ = max(1/n, 1/memory)        harmonic: τ is the mean of the outcomes, the old ones fade
//!   choice  ∝ τ^a η^b among the allowed,   η = 1 + confidence width / τ,  a = b = √n       seeded, so the same choice again
//! ```
//! With one exponent for both, `τ η` is the upper confidence limit of the success rate (P. Auer, N. Cesa-Bianchi, P. Fischer, *Finite-time
//! analysis of the multiarmed bandit problem*, 2002, with the variance in the width), and the exponent grows with the outcomes,
//! so that the choice is wide at first and converges as it learns: with fixed exponents regret grows for ever.

/// Pseudo-outcomes that each strategy starts with, half of them successes.
const PRIOR_OUTCOMES: f64 = 2.0;
const PRIOR_RATE: f64 = 0.5;
/// An outcome weighs at least this, so that a strategy that stops working is noticed.
const EVAPORATION_MIN: f64 = 1.0 / 2_000.0;
/// Version of the snapshot's layout.
const VERSION: u16 = 1;

/// One strategy's trail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trail {
    /// Outcomes seen.
    pub trials: u64,
    /// Successes among them.
    pub successes: u64,
    /// Pheromone τ in (0, 1): the success rate, recent outcomes weighing more once there are many.
    pub pheromone: f64,
}

/// What is known of a number of strategies.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategies {
    trails: Vec<Trail>,
}

impl Strategies {
    /// Nothing is known of so many strategies.
    pub fn new(count: usize) -> Self {
        Strategies { trails: vec![Trail { trials: 0, successes: 0, pheromone: PRIOR_RATE }; count] }
    }

    /// The trails, by number of the strategy.
    pub fn trails(&self) -> &[Trail] {
        &self.trails
    }

    /// A strategy was followed and worked, or did not. One that there is not changes nothing.
    pub fn learn(&mut self, strategy: usize, success: bool) {
        let Some(trail) = self.trails.get_mut(strategy) else { return };
        trail.trials += 1;
        trail.successes += u64::from(success);
        let evaporation = (1.0 / (trail.trials as f64 + PRIOR_OUTCOMES)).max(EVAPORATION_MIN);
        trail.pheromone = (1.0 - evaporation) * trail.pheromone + evaporation * f64::from(u8::from(success));
    }

    /// What each allowed strategy weighs in the choice, as shares of 1; 0 for the others. Empty of meaning if none is allowed.
    pub fn shares(&self, is_allowed: impl Fn(usize) -> bool) -> Vec<f64> {
        let trials: u64 = self.trails.iter().map(|trail| trail.trials).sum();
        let exponent = (trials as f64).sqrt();
        let logarithm = libm::log(trials as f64 + 1.0);
        let width = |trail: &Trail| {
            let variance = trail.pheromone * (1.0 - trail.pheromone);
            (variance * logarithm / (trail.trials as f64 + PRIOR_OUTCOMES)).sqrt()
        };
        let limits: Vec<Option<f64>> = (self.trails.iter().enumerate())
            .map(|(strategy, trail)| is_allowed(strategy).then(|| libm::log(trail.pheromone + width(trail))))
            .collect();
        let greatest = limits.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> =
            limits.iter().map(|limit| limit.map_or(0.0, |limit| libm::exp(exponent * (limit - greatest)))).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| if sum > 0.0 { weight / sum } else { 0.0 }).collect()
    }

    /// Draws an allowed strategy; `None` if none is. The same seed draws the same: make it of dealer, epoch and subject.
    pub fn choose(&self, is_allowed: impl Fn(usize) -> bool, seed: u64) -> Option<usize> {
        let shares = self.shares(&is_allowed);
        let mut left = unit(seed);
        for (strategy, share) in shares.iter().enumerate() {
            left -= share;
            if left < 0.0 {
                return Some(strategy);
            }
        }
        // Rounding may leave a little.
        shares.iter().rposition(|share| *share > 0.0)
    }

    /// Successes that the best fixed strategy would have had over all outcomes so far, less those that were had: an estimate, by the
    /// rate of each strategy in its own trials with one success and one failure added. Negative if changing paid.
    pub fn regret(&self) -> f64 {
        let trials: u64 = self.trails.iter().map(|trail| trail.trials).sum();
        let successes: u64 = self.trails.iter().map(|trail| trail.successes).sum();
        let tried = self.trails.iter().filter(|trail| trail.trials > 0);
        let rates = tried.map(|trail| (trail.successes as f64 + 1.0) / (trail.trials as f64 + 2.0));
        rates
            .fold(None, |best: Option<f64>, rate| Some(best.map_or(rate, |best| best.max(rate))))
            .map_or(0.0, |best| best * trials as f64 - successes as f64)
    }

    /// Appends the state: version u16, count u32, and of each trail trials u64, successes u64, pheromone f64, little-endian.
    pub fn snapshot(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.trails.len() as u32).to_le_bytes());
        for trail in &self.trails {
            bytes.extend_from_slice(&trail.trials.to_le_bytes());
            bytes.extend_from_slice(&trail.successes.to_le_bytes());
            bytes.extend_from_slice(&trail.pheromone.to_le_bytes());
        }
    }

    /// The state of a snapshot; `None` if the bytes are of another version or damaged.
    pub fn restore(bytes: &[u8]) -> Option<Self> {
        let (version, bytes) = bytes.split_first_chunk()?;
        let (count, bytes) = bytes.split_first_chunk()?;
        let (rows, rest) = bytes.as_chunks::<24>();
        let is_whole = rest.is_empty() && rows.len() == u32::from_le_bytes(*count) as usize;
        if u16::from_le_bytes(*version) != VERSION || !is_whole {
            return None;
        }
        let trails = rows.iter().map(|row| {
            let (trials, row) = row.split_first_chunk()?;
            let (successes, row) = row.split_first_chunk()?;
            let trail = Trail {
                trials: u64::from_le_bytes(*trials),
                successes: u64::from_le_bytes(*successes),
                pheromone: f64::from_le_bytes(*row.first_chunk()?),
            };
            (trail.pheromone > 0.0 && trail.pheromone < 1.0 && trail.successes <= trail.trials).then_some(trail)
        });
        Some(Strategies { trails: trails.collect::<Option<_>>()? })
    }
}

/// A double in [0, 1) of a seed, by the finaliser of `SplitMix64` (Steele, Lea, Flood 2014).
fn unit(seed: u64) -> f64 {
    let word = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((word ^ (word >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [f64; 7] = [0.22, 0.30, 0.38, 0.25, 0.15, 0.10, 0.31];

    /// Follows the proposals for so many outcomes. Gives the true regret at each of the marks.
    fn follow(seed: u64, rates: impl Fn(usize) -> [f64; 7], marks: &[usize]) -> (Strategies, Vec<f64>) {
        let (mut strategies, mut regret, mut at_marks) = (Strategies::new(7), 0.0, Vec::new());
        for outcome in 0..*marks.last().unwrap() {
            let draw = seed * 1_000_003 + outcome as u64;
            let rates = rates(outcome);
            let chosen = strategies.choose(|_| true, draw).unwrap();
            strategies.learn(chosen, unit(draw ^ 0x5555_0000_5555_0000) < rates[chosen]);
            regret += rates.iter().copied().fold(0.0, f64::max) - rates[chosen];
            if marks.contains(&(outcome + 1)) {
                at_marks.push(regret);
            }
        }
        (strategies, at_marks)
    }

    #[test]
    fn regret_flattens() {
        // Choosing at random would lose 0.138 an outcome: 138, 552 and 2,206 successes.
        let mut mean = [0.0; 3];
        for seed in 0..40 {
            let (_, regret) = follow(seed, |_| RATES, &[1_000, 4_000, 16_000]);
            for (mean, regret) in mean.iter_mut().zip(regret) {
                *mean += regret / 40.0;
            }
        }
        println!("mean regret {mean:.1?}");
        assert!(mean[0] < 60.0 && mean[1] < 100.0 && mean[2] < 170.0, "{mean:?}");
        assert!((mean[2] - mean[1]) / 12.0 < (mean[1] - mean[0]) / 3.0, "{mean:?}");
    }

    #[test]
    fn the_reported_regret_is_near_the_true_one() {
        let (strategies, regret) = follow(3, |_| RATES, &[16_000]);
        assert!((strategies.regret() - regret[0]).abs() < 250.0, "{} {regret:?}", strategies.regret());
        assert_eq!(Strategies::new(3).regret().to_bits(), 0.0_f64.to_bits());
        let mut two = Strategies::new(2);
        for number in 0..10 {
            two.learn(0, true);
            two.learn(1, number < 2);
        }
        // The first would have had 11/12 of 20.
        assert!((two.regret() - (20.0 * 11.0 / 12.0 - 12.0)).abs() < 1e-12);
    }

    #[test]
    fn a_strategy_that_stops_working_is_left() {
        let turned = |outcome: usize| if outcome < 6_000 { RATES } else { [0.22, 0.45, 0.05, 0.25, 0.15, 0.10, 0.31] };
        let (strategies, _) = follow(5, turned, &[14_000]);
        let shares = strategies.shares(|_| true);
        assert!(shares[1] > 0.9, "{shares:?}");
    }

    #[test]
    fn only_what_is_allowed_is_drawn_and_the_same_again() {
        let strategies = Strategies::new(4);
        assert_eq!(strategies.choose(|_| false, 1), None);
        for seed in 0..200 {
            let drawn = strategies.choose(|strategy| strategy % 2 == 1, seed);
            assert!(matches!(drawn, Some(1 | 3)) && drawn == strategies.choose(|strategy| strategy % 2 == 1, seed));
        }
    }

    #[test]
    fn a_snapshot_comes_back_and_rubbish_does_not() {
        let (strategies, _) = follow(1, |_| RATES, &[100]);
        let mut bytes = Vec::new();
        strategies.snapshot(&mut bytes);
        assert_eq!(Strategies::restore(&bytes).as_ref(), Some(&strategies));
        for cut in 0..bytes.len() {
            assert_eq!(Strategies::restore(&bytes[..cut]), None);
        }
        bytes[0] = 7;
        assert_eq!(Strategies::restore(&bytes), None);
    }
}
