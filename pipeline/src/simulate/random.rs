//! Seeded chance whose bits never change: no dependency, no platform's mathematics.
//!
//! ```text
//!   (seed, stream) ─SplitMix64─▶ xoshiro256** ─▶ uniform · normal · log-normal · Poisson · exponential
//! ```
//! Both generators are those of David Blackman and Sebastiano Vigna (<https://prng.di.unimi.it>, public domain). `exp` and `ln`
//! are short series over IEEE 754 additions and multiplications, which round alike on every machine; the operating system's do not.

/// The finaliser of `SplitMix64`: a bijection of 64-bit words, so distinct words stay distinct.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of chance.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of that number under a seed. Streams of one seed are independent of each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut word = mix(seed.wrapping_add(GOLDEN)) ^ mix(stream.wrapping_mul(GOLDEN).wrapping_add(1));
        let mut next = || {
            word = word.wrapping_add(GOLDEN);
            mix(word)
        };
        Random { state: [next(), next(), next(), next()] }
    }

    /// The next 64 bits (xoshiro256**).
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        let result = self.state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = self.state[1] << 17;
        self.state[2] ^= self.state[0];
        self.state[3] ^= self.state[1];
        self.state[1] ^= self.state[2];
        self.state[0] ^= self.state[3];
        self.state[2] ^= shifted;
        self.state[3] = self.state[3].rotate_left(45);
        result
    }

    /// A whole number from 0 to `end` − 1; 0 if `end` is 0. The bias is below `end` / 2^64.
    #[inline]
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A whole number from `first` to `last`, both possible.
    #[inline]
    pub(crate) fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below((last - first + 1).max(1) as u64) as i64
    }

    /// A double in [0, 1).
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// A double in [`low`, `high`).
    #[inline]
    pub(crate) fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with that probability.
    #[inline]
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of the items, all alike. The slice must not be empty.
    #[inline]
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// The index of one of the weights, each with its share of their sum.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }

    /// A standard normal double (Marsaglia's polar method).
    #[inline]
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (self.range(-1.0, 1.0), self.range(-1.0, 1.0));
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }

    /// A normal double with that mean and deviation, kept inside [`low`, `high`].
    #[inline]
    pub(crate) fn normal_within(&mut self, mean: f64, deviation: f64, low: f64, high: f64) -> f64 {
        (mean + deviation * self.normal()).clamp(low, high)
    }

    /// A log-normal double with that median and deviation of its logarithm.
    #[inline]
    pub(crate) fn log_normal(&mut self, median: f64, deviation: f64) -> f64 {
        median * exp(deviation * self.normal())
    }

    /// An exponential double with that mean.
    #[inline]
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * ln(1.0 - self.unit())
    }

    /// A Poisson count with that mean.
    pub(crate) fn poisson(&mut self, mut mean: f64) -> u32 {
        const STEP: f64 = 16.0;
        let mut count = 0;
        // A sum of Poisson counts is one; small means keep the product of uniforms away from underflow.
        while mean > STEP {
            count += self.small_poisson(STEP);
            mean -= STEP;
        }
        count + self.small_poisson(mean)
    }

    fn small_poisson(&mut self, mean: f64) -> u32 {
        let threshold = exp(-mean.max(0.0));
        let mut product = self.unit();
        let mut count = 0;
        while product > threshold {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// e to the power of `x`, to about 1e-14, for |x| ≤ 700.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let halvings = (x * std::f64::consts::LOG2_E).round();
    let rest = x - halvings * std::f64::consts::LN_2;
    let mut sum = 1.0;
    for divisor in (1..=13).rev() {
        sum = 1.0 + sum * rest / f64::from(divisor);
    }
    sum * f64::from_bits(((halvings as i64 + 1023) as u64) << 52)
}

/// The natural logarithm of a normal positive `x`, to about 1e-14.
#[inline]
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut sum = 0.0;
    for odd in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 1.0 / odd;
    }
    2.0 * ratio * sum + exponent as f64 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_fixed_for_ever() {
        let mut random = Random { state: [1, 2, 3, 4] };
        // The first outputs of the reference implementation of xoshiro256** from this state.
        assert_eq!([random.next(), random.next(), random.next()], [11_520, 0, 1_509_978_240]);
        assert_eq!(mix(GOLDEN), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn series_agree_with_the_platform() {
        for step in -600..600 {
            let x = f64::from(step) / 10.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-12, "exp {x}");
            let y = x.exp();
            assert!((ln(y) - y.ln()).abs() < 1e-12, "ln {y}");
        }
    }

    #[test]
    fn moments_are_right() {
        let mut random = Random::new(7, 0);
        let count = 200_000;
        let mean = |draw: &mut dyn FnMut() -> f64| (0..count).map(|_| draw()).sum::<f64>() / f64::from(count);
        assert!(mean(&mut || random.normal()).abs() < 0.01);
        assert!((mean(&mut || random.normal().powi(2)) - 1.0).abs() < 0.02);
        assert!((mean(&mut || f64::from(random.poisson(40.0))) - 40.0).abs() < 0.1);
        assert!((mean(&mut || f64::from(random.poisson(0.3))) - 0.3).abs() < 0.01);
        assert!((mean(&mut || random.exponential(5.0)) - 5.0).abs() < 0.1);
        assert!((mean(&mut || random.below(10) as f64) - 4.5).abs() < 0.05);
    }
}
