//! Times: RFC 3339 in, UTC milliseconds within, RFC 3339 UTC out.
//!
//! ```text
//!  "2026-02-16T16:04:05.1239+01:00" ──parse──► 1771254245123 ──format──► "2026-02-16T15:04:05.123Z"
//! ```

use chrono::{DateTime, NaiveDate, TimeDelta};
use chrono_tz::Tz;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;

/// Reads an RFC 3339 time as UTC milliseconds, digits below the millisecond cut off. `t` and `z` may be lower case; a
/// space between date and time, a leap second and a missing offset are refused with `None`.
pub(super) fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !text.is_ascii() || separators.iter().any(|&(at, byte)| bytes.get(at) != Some(&byte)) {
        return None;
    }
    if !matches!(bytes[10], b'T' | b't') {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(
        number(&text[0..4])? as i32,
        number(&text[5..7])? as u32,
        number(&text[8..10])? as u32,
    )?;
    let time = date.and_hms_opt(
        number(&text[11..13])? as u32,
        number(&text[14..16])? as u32,
        number(text.get(17..19)?)? as u32,
    )?;
    let mut rest = &text[19..];
    let mut millisecond = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return None;
        }
        millisecond = format!("{:0<3}", &fraction[..length])[..3].parse::<i64>().ok()?;
        rest = &fraction[length..];
    }
    Some(time.and_utc().timestamp_millis() + millisecond - offset_ms(rest)?)
}

/// A run of digits as a number.
fn number(digits: &str) -> Option<i64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

fn offset_ms(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// Whether `time_ms` lies in the years 1990 to 2099.
pub(super) fn in_range(time_ms: i64) -> bool {
    const YEAR_1990_MS: i64 = 631_152_000_000;
    const YEAR_2100_MS: i64 = 4_102_444_800_000;
    (YEAR_1990_MS..YEAR_2100_MS).contains(&time_ms)
}

/// `time_ms` as RFC 3339 UTC with three digits below the second.
pub(super) fn format(time_ms: i64) -> String {
    let time = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(time_ms);
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The calendar day of `time_ms` in `zone`.
pub(super) fn local_day(time_ms: i64, zone: Tz) -> NaiveDate {
    (DateTime::UNIX_EPOCH + TimeDelta::milliseconds(time_ms)).with_timezone(&zone).date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_is_read_strictly_and_cut_to_milliseconds() {
        let expected = Some(1_771_254_245_123);
        for text in [
            "2026-02-16T15:04:05.123Z",
            "2026-02-16t15:04:05.123z",
            "2026-02-16T15:04:05.123999Z",
            "2026-02-16T16:04:05.123+01:00",
            "2026-02-16T09:34:05.123-05:30",
            "2026-02-16T15:04:05.123-00:00",
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse("2026-02-16T15:04:05Z"), Some(1_771_254_245_000));
        assert_eq!(parse("2026-02-16T15:04:05.1Z"), Some(1_771_254_245_100));
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for text in [
            "",
            "2026-02-16",
            "2026-02-16 15:04:05Z",
            "2026-02-16T15:04:05",
            "2026-02-16T15:04Z",
            "2026-02-30T15:04:05Z",
            "2026-02-16T24:00:00Z",
            "2026-12-31T23:59:60Z",
            "2026-02-16T15:04:05.Z",
            "2026-02-16T15:04:05+0100",
            "2026-02-16T15:04:05+24:00",
            "2026-02-16T15:04:05+01:60",
            "2026-02-16T15:04:05Zjunk",
            "+026-02-16T15:04:05Z",
            "2026-2-16T15:04:05Z",
            "２026-02-16T15:04:05Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_years_from_1990_to_2099_are_in_range() {
        let at = |text: &str| in_range(parse(text).unwrap());
        assert!(at("1990-01-01T00:00:00Z") && at("2099-12-31T23:59:59.999Z"));
        assert!(!at("1989-12-31T23:59:59.999Z") && !at("2100-01-01T00:00:00Z"));
    }

    #[test]
    fn days_are_local_and_times_print_in_utc() {
        let time_ms = parse("2026-03-01T23:30:00Z").unwrap();
        assert_eq!(local_day(time_ms, Tz::UTC).to_string(), "2026-03-01");
        assert_eq!(local_day(time_ms, Tz::Europe__Amsterdam).to_string(), "2026-03-02");
        assert_eq!(format(time_ms + 7), "2026-03-01T23:30:00.007Z");
    }
}
