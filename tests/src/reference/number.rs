//! Numbers of JSON by their mathematical value.
//!
//! The rule of integer fields: a JSON number is an integer if its value is one, however it is written. `3`, `3.0`, `3e0`
//! and `0.3e1` are the integer three, `3.5` is none, and `1e999` is one that no field has room for.

/// What a JSON number is as an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integer {
    Value(i128),
    /// The value has a fractional part.
    Fraction,
    /// An integer beyond 38 digits.
    Huge,
}

/// The integer that the JSON number `text` is.
pub(super) fn integer(text: &str) -> Integer {
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = format!("{whole}{fraction}");
    let digits = all_digits.trim_end_matches('0');
    let trailing_zeros = all_digits.len() - digits.len();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Integer::Value(0);
    }
    // An exponent too long for i64 is far beyond what any digits could make up for.
    let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
    let shift = exponent.saturating_sub(fraction.len() as i64).saturating_add(trailing_zeros as i64);
    if shift < 0 {
        return Integer::Fraction;
    }
    if shift.saturating_add(digits.len() as i64) > 38 {
        return Integer::Huge;
    }
    let written = format!("{digits}{}", "0".repeat(shift as usize));
    written.parse::<i128>().map_or(Integer::Huge, |value| Integer::Value(if negative { -value } else { value }))
}

/// The double nearest to the JSON number `text`; `None` when it is beyond the doubles.
pub(super) fn double(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_judged_by_value() {
        for text in ["3", "3.0", "3.000", "3e0", "0.3e1", "30E-1", "3.00e+0"] {
            assert_eq!(integer(text), Integer::Value(3), "{text}");
        }
        assert_eq!(integer("-3e2"), Integer::Value(-300));
        for text in ["0", "-0", "0.0", "0e99999999999999999999"] {
            assert_eq!(integer(text), Integer::Value(0), "{text}");
        }
        for text in ["3.5", "1e-1", "0.1", "1e-99999999999999999999"] {
            assert_eq!(integer(text), Integer::Fraction, "{text}");
        }
        for text in ["1e999", "-1e38", "1e99999999999999999999"] {
            assert_eq!(integer(text), Integer::Huge, "{text}");
        }
        assert_eq!(integer("9223372036854775808"), Integer::Value(i128::from(i64::MAX) + 1));
    }

    #[test]
    fn doubles_are_finite() {
        assert_eq!(double("2.5e-1"), Some(0.25));
        assert_eq!(double("1e999"), None);
        assert_eq!(double("1e-999"), Some(0.0));
    }
}
