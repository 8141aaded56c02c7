//! How rare a value is among those before it: a histogram with bins of equal ratio that forgets.
//!
//! ```text
//!   value ─▶ octave and 1/32 of it ─▶ weight above + own bin's part above + 1  ÷  all weight + 1
//! ```
//! That is the p-value of conformal prediction (Vovk, Gammerman, Shafer 2005, ch. 2), to the width of a bin: on exchangeable rows it
//! is uniform, whatever the distribution of the values. Forgetting is forward decay (Cormode et al. 2009): new rows weigh more and
//! more, so that nothing has to be multiplied until the weights are brought down again.

const OCTAVES: usize = 12;
const BINS_PER_OCTAVE_BITS: u32 = 5;
const BINS: usize = OCTAVES << BINS_PER_OCTAVE_BITS;
/// One sum per octave, so that the weight above needs no more than an octave of bins.
const BLOCK: usize = 1 << BINS_PER_OCTAVE_BITS;
const SHIFT: u32 = 23 - BINS_PER_OCTAVE_BITS;
/// Weights are brought down when a new row weighs this much.
const WEIGHT_MAX: f32 = 65_536.0;

/// Bytes of one tail.
pub(super) const BYTES: usize = 4 * (BINS + OCTAVES + 6);

/// The distribution of the values so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tail {
    pub(super) bins: Vec<f32>,
    pub(super) blocks: Vec<f32>,
    pub(super) total: f32,
    /// The weight of the next row.
    pub(super) weight: f32,
    growth: f32,
    /// Biased exponent of the lowest octave.
    lowest: u32,
}

/// A value's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    bin: usize,
    above: f32,
}

impl Tail {
    /// Values below `2^lowest_exponent` share the lowest bin, those from `2^(lowest_exponent + 12)` the highest.
    pub(super) fn new(lowest_exponent: i32, memory_rows: u32) -> Self {
        Tail {
            bins: vec![0.0; BINS],
            blocks: vec![0.0; OCTAVES],
            total: 0.0,
            weight: 1.0,
            growth: 1.0 + 1.0 / memory_rows.max(1) as f32,
            lowest: (127 + lowest_exponent) as u32,
        }
    }

    #[inline]
    fn place(&self, value: f32) -> Place {
        let bits = value.to_bits();
        let Some(offset) = bits.checked_sub(self.lowest << 23) else { return Place { bin: 0, above: 1.0 } };
        let bin = (offset >> SHIFT) as usize;
        if bin >= BINS {
            return Place { bin: BINS - 1, above: 0.0 };
        }
        let part = (offset & ((1 << SHIFT) - 1)) as f32 / (1_u32 << SHIFT) as f32;
        Place { bin, above: 1.0 - part }
    }

    /// The p-value of a value (not negative, not NaN), in (0, 1], and its place for [`Tail::learn`].
    #[inline]
    pub(super) fn rarity(&self, value: f32) -> (f32, Place) {
        let place = self.place(value);
        let block = place.bin / BLOCK;
        let mut above = self.bins[place.bin] * place.above;
        let mut sums = [0.0_f32; 4];
        let rest = &self.bins[place.bin + 1..(block + 1) * BLOCK];
        let quads = rest.chunks_exact(4);
        for bin in quads.remainder() {
            above += bin;
        }
        for quad in quads {
            for (sum, bin) in sums.iter_mut().zip(quad) {
                *sum += bin;
            }
        }
        above += (sums[0] + sums[1]) + (sums[2] + sums[3]);
        for sum in &self.blocks[block + 1..] {
            above += sum;
        }
        (((above + self.weight) / (self.total + self.weight)).min(1.0), place)
    }

    /// Counts a value at its place.
    #[inline]
    pub(super) fn learn(&mut self, place: Place) {
        self.bins[place.bin] += self.weight;
        self.blocks[place.bin / BLOCK] += self.weight;
        self.total += self.weight;
        self.weight *= self.growth;
        if self.weight > WEIGHT_MAX {
            self.scale(1.0 / self.weight);
        }
    }

    /// Lets all that was counted weigh no more than that many rows.
    pub(super) fn discount(&mut self, rows: f32) {
        if self.total > rows * self.weight {
            self.scale_counts(rows * self.weight / self.total);
        }
    }

    fn scale(&mut self, factor: f32) {
        self.weight *= factor;
        self.scale_counts(factor);
    }

    fn scale_counts(&mut self, factor: f32) {
        for bin in &mut self.bins {
            *bin *= factor;
        }
        self.total = 0.0;
        for (block, bins) in self.blocks.iter_mut().zip(self.bins.chunks_exact(BLOCK)) {
            *block = bins.iter().sum();
            self.total += *block;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::*;

    #[test]
    fn p_values_of_exchangeable_rows_are_uniform() {
        let (mut tail, mut random, mut below) = (Tail::new(-6, 100_000), Random::new(5), [0_u32; 3]);
        let rows = 20_000;
        for _ in 0..rows {
            let value = random.unit() as f32 * 3.0 + 0.2;
            let (rarity, place) = tail.rarity(value);
            for (count, bound) in below.iter_mut().zip([0.01, 0.1, 0.5]) {
                *count += u32::from(rarity <= bound);
            }
            tail.learn(place);
        }
        for (count, share) in below.iter().zip([0.01, 0.1, 0.5]) {
            let expected = share * f64::from(rows);
            assert!((f64::from(*count) - expected).abs() < 4.0 * expected.sqrt(), "{count} of {expected}");
        }
    }

    #[test]
    fn the_plain_count_agrees() {
        let (mut tail, mut random) = (Tail::new(-6, u32::MAX), Random::new(6));
        let mut values: Vec<f32> = Vec::new();
        for _ in 0..3_000 {
            let value = (random.unit() * 40.0) as f32;
            let above = values.iter().filter(|earlier| **earlier >= value).count() as f32;
            let (rarity, place) = tail.rarity(value);
            // A bin is 1/32 of an octave wide: 2.2 % of the value, so at most about that share of these uniform values.
            let expected = (above + 1.0) / (values.len() as f32 + 1.0);
            assert!((rarity - expected).abs() < 0.03 + 1.0 / (values.len() as f32 + 1.0), "{rarity} {expected}");
            tail.learn(place);
            values.push(value);
        }
    }

    #[test]
    fn it_forgets_and_never_overflows() {
        let mut tail = Tail::new(-6, 50);
        for row in 0..5_000 {
            let value = if row < 2_500 { 10.0 } else { 1.0 };
            let (_, place) = tail.rarity(value);
            tail.learn(place);
        }
        assert!(tail.rarity(5.0).0 < 0.03);
        assert!(tail.weight <= WEIGHT_MAX && tail.total.is_finite());
        assert!((tail.rarity(0.0).0 - 1.0).abs() < 1e-5);
        assert!(tail.rarity(f32::INFINITY).0 < 0.03);
        tail.discount(10.0);
        assert!((tail.total / tail.weight - 10.0).abs() < 0.01, "{}", tail.total / tail.weight);
    }
}
