//! Lengths of time as people write them: `50ms`, `7d`, `1h30m`.
//!
//! ```text
//! duration = part+            larger units first, each at most once
//! part     = digits unit      unit = d | h | m | s | ms
//! ```
//!
//! Whole numbers only: what is read is exactly what was written, to the millisecond, and a number that does not fit is an error,
//! never a wrapped or rounded value.

use std::fmt;
use std::str::FromStr;

use super::setting::{Setting, text_serde};

/// Units from the largest to the smallest, with their lengths in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A hundred years: added to any event time it stays far from the ends of 64 bits.
const DAYS_MAX: u64 = 36_500;

/// A length of time in whole milliseconds, at most 36,500 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    length_ms: u64,
}

impl Duration {
    /// The longest length that a setting may have.
    pub const MAX: Self = Self { length_ms: DAYS_MAX * UNITS[0].1 };

    /// A length of so many milliseconds, if it is not longer than [`Duration::MAX`].
    pub const fn from_ms(length_ms: u64) -> Option<Self> {
        if length_ms <= Self::MAX.length_ms { Some(Self { length_ms }) } else { None }
    }

    /// The length in milliseconds.
    pub const fn ms(self) -> u64 {
        self.length_ms
    }

    /// Whether the length is nothing.
    pub const fn is_zero(self) -> bool {
        self.length_ms == 0
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from_millis(duration.length_ms)
    }
}

/// Why a text is no duration; each reads on from "which …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing, or a unit without a number before it.
    #[error("has no whole number where one must stand")]
    NumberMissing,
    /// A number without a unit after it.
    #[error("has no unit after {number}")]
    UnitMissing {
        /// The digits that stand alone.
        number: String,
    },
    /// A unit that is none of the five.
    #[error("has the unknown unit {unit:?}")]
    UnitUnknown {
        /// What stands where a unit should.
        unit: String,
    },
    /// A unit for the second time, or after a smaller one.
    #[error("has its units out of order at {unit:?}")]
    UnitOrder {
        /// The unit that comes too late.
        unit: String,
    },
    /// More than [`Duration::MAX`].
    #[error("is longer than {DAYS_MAX} days")]
    TooLong,
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let mut rest = text;
        let mut length_ms = 0_u64;
        let mut units_left = UNITS.as_slice();
        loop {
            let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
            if digits.is_empty() {
                return Err(DurationError::NumberMissing);
            }
            let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
            if unit.is_empty() {
                return Err(DurationError::UnitMissing { number: digits.to_owned() });
            }
            let Some(position) = units_left.iter().position(|(name, _)| *name == unit) else {
                let unit = unit.to_owned();
                let known = UNITS.iter().any(|(name, _)| *name == unit);
                return Err(if known {
                    DurationError::UnitOrder { unit }
                } else {
                    DurationError::UnitUnknown { unit }
                });
            };
            length_ms = digits
                .parse::<u64>()
                .ok()
                .and_then(|count| count.checked_mul(units_left[position].1))
                .and_then(|part_ms| length_ms.checked_add(part_ms))
                .ok_or(DurationError::TooLong)?;
            units_left = &units_left[position + 1..];
            rest = after;
            if rest.is_empty() {
                return Self::from_ms(length_ms).ok_or(DurationError::TooLong);
            }
        }
    }
}

/// The shortest way to write it, which reads back as the same length.
impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return formatter.write_str("0s");
        }
        let mut rest_ms = self.length_ms;
        for (unit, unit_ms) in UNITS {
            let count = rest_ms / unit_ms;
            rest_ms %= unit_ms;
            if count > 0 {
                write!(formatter, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Setting for Duration {
    const PERMITTED: &'static str = "a duration such as \"50ms\", \"30s\" or \"1h30m\", at most \"36500d\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: DurationError| error.to_string())
    }
}

text_serde!(Duration);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::numbers;

    fn check(text: &str, length_ms: u64) {
        assert_eq!(text.parse::<Duration>().map(Duration::ms), Ok(length_ms), "{text}");
    }

    fn check_error(text: &str, expect: &str) {
        assert_eq!(text.parse::<Duration>().unwrap_err().to_string(), expect, "{text}");
    }

    #[test]
    fn every_unit_and_their_sums_are_exact() {
        check("0ms", 0);
        check("50ms", 50);
        check("30s", 30_000);
        check("5m", 300_000);
        check("1h30m", 5_400_000);
        check("400d", 34_560_000_000);
        check("1d1h1m1s1ms", 90_061_001);
        check("36500d", Duration::MAX.ms());
    }

    #[test]
    fn anything_else_says_what_is_wrong() {
        check_error("", "has no whole number where one must stand");
        check_error("ms", "has no whole number where one must stand");
        check_error("-5s", "has no whole number where one must stand");
        check_error("5", "has no unit after 5");
        check_error("1h30", "has no unit after 30");
        check_error("5 s", "has the unknown unit \" s\"");
        check_error("1.5h", "has the unknown unit \".\"");
        check_error("50us", "has the unknown unit \"us\"");
        check_error("7D", "has the unknown unit \"D\"");
        check_error("7٣d", "has the unknown unit \"٣d\"");
        check_error("30m1h", "has its units out of order at \"h\"");
        check_error("1h1h", "has its units out of order at \"h\"");
        check_error("36500d1ms", "is longer than 36500 days");
        check_error("213503982335d", "is longer than 36500 days");
        check_error("18446744073709551616ms", "is longer than 36500 days");
        check_error("18446744073709551s18446744073709551ms", "is longer than 36500 days");
    }

    #[test]
    fn what_is_written_reads_back() {
        for number in numbers() {
            let duration = Duration::from_ms(number % (Duration::MAX.ms() + 1)).unwrap();
            assert_eq!(duration.to_string().parse(), Ok(duration), "{duration}");
        }
    }

    #[test]
    fn the_shortest_form_is_written() {
        for (text, expect) in [("60s", "1m"), ("90m", "1h30m"), ("0ms", "0s"), ("1500ms", "1s500ms"), ("24h", "1d")] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), expect);
        }
    }
}
