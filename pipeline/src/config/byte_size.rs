//! Sizes as people write them: `64KiB`, `256MiB`, `4GiB`, `1MB`.
//!
//! ```text
//! size = digits unit      unit = B | KiB | MiB | GiB | TiB (powers of 1,024) | kB | MB | GB | TB (powers of 1,000)
//! ```
//!
//! Whole numbers only: what is read is exactly what was written, and a number that does not fit 64 bits is an error.

use std::fmt;
use std::str::FromStr;

use super::setting::{Setting, text_serde};

/// Units and their sizes in bytes; among units that write a size equally short the first is taken.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize {
    bytes: u64,
}

impl ByteSize {
    /// A size of so many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

/// Why a text is no size; each reads on from "which …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// Nothing, or a unit without a number before it.
    #[error("does not begin with a whole number")]
    NumberMissing,
    /// A number without a unit after it.
    #[error("has no unit after {number}")]
    UnitMissing {
        /// The digits that stand alone.
        number: String,
    },
    /// A unit that is none of the nine.
    #[error("has the unknown unit {unit:?}")]
    UnitUnknown {
        /// What stands where the unit should.
        unit: String,
    },
    /// More bytes than 64 bits can count.
    #[error("is larger than 64 bits can count")]
    TooLarge,
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        if digits.is_empty() {
            return Err(ByteSizeError::NumberMissing);
        }
        if unit.is_empty() {
            return Err(ByteSizeError::UnitMissing { number: digits.to_owned() });
        }
        let Some((_, unit_bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(ByteSizeError::UnitUnknown { unit: unit.to_owned() });
        };
        let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(*unit_bytes));
        bytes.map(Self::from_bytes).ok_or(ByteSizeError::TooLarge)
    }
}

/// The exact unit with the smallest number before it; reads back as the same size.
impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().filter(|(_, unit_bytes)| self.bytes > 0 && self.bytes.is_multiple_of(*unit_bytes));
        let (unit, unit_bytes) = exact.min_by_key(|(_, unit_bytes)| self.bytes / unit_bytes).unwrap_or(&("B", 1));
        write!(formatter, "{}{unit}", self.bytes / unit_bytes)
    }
}

impl Setting for ByteSize {
    const PERMITTED: &'static str = "a size such as \"64KiB\", \"256MiB\" or \"4GiB\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: ByteSizeError| error.to_string())
    }
}

text_serde!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::numbers;

    fn check(text: &str, bytes: u64) {
        assert_eq!(text.parse::<ByteSize>().map(ByteSize::bytes), Ok(bytes), "{text}");
    }

    fn check_error(text: &str, expect: &str) {
        assert_eq!(text.parse::<ByteSize>().unwrap_err().to_string(), expect, "{text}");
    }

    #[test]
    fn every_unit_is_exact() {
        check("0B", 0);
        check("64KiB", 65_536);
        check("512MiB", 536_870_912);
        check("4GiB", 4_294_967_296);
        check("2TiB", 2_199_023_255_552);
        check("3kB", 3_000);
        check("1MB", 1_000_000);
        check("7GB", 7_000_000_000);
        check("1TB", 1_000_000_000_000);
        check("18446744073709551615B", u64::MAX);
    }

    #[test]
    fn anything_else_says_what_is_wrong() {
        check_error("", "does not begin with a whole number");
        check_error("GiB", "does not begin with a whole number");
        check_error("-1GiB", "does not begin with a whole number");
        check_error("1024", "has no unit after 1024");
        check_error("1.5GiB", "has the unknown unit \".5GiB\"");
        check_error("4 GiB", "has the unknown unit \" GiB\"");
        check_error("4gib", "has the unknown unit \"gib\"");
        check_error("1KB", "has the unknown unit \"KB\"");
        check_error("16777216TiB", "is larger than 64 bits can count");
        check_error("18446744073709551616B", "is larger than 64 bits can count");
    }

    #[test]
    fn what_is_written_reads_back() {
        for number in numbers() {
            for bytes in [number, number << 20, number >> 24, (number >> 40) * 1_000_000] {
                let size = ByteSize::from_bytes(bytes);
                assert_eq!(size.to_string().parse(), Ok(size), "{bytes}");
            }
        }
    }

    #[test]
    fn the_shortest_exact_form_is_written() {
        for (text, expect) in [
            ("1024MiB", "1GiB"),
            ("1000kB", "1MB"),
            ("1025B", "1025B"),
            ("0GiB", "0B"),
            ("500GB", "500GB"),
            ("1KiB", "1KiB"),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), expect);
        }
    }
}
