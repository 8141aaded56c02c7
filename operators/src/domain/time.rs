//! Event time: UTC milliseconds since 1970, read from and written as RFC 3339.

/// Milliseconds of one day.
pub const DAY_MS: i64 = 86_400_000;
/// 1990-01-01T00:00:00Z: earlier event times are rejected.
pub const EVENT_TIME_MIN_MS: i64 = 631_152_000_000;
/// 2100-01-01T00:00:00Z: event times from here on are rejected.
pub const EVENT_TIME_END_MS: i64 = 4_102_444_800_000;

/// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = i64::from((month + 9) % 12);
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01; the inverse of [`days_from_civil`].
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn digits(bytes: &[u8]) -> Option<u32> {
    let mut value = 0;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u32::from(digit);
    }
    Some(value)
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The bytes of a form that are not a digit's place, all ones.
const fn fixed_bytes(form: u64) -> u64 {
    let (mut fixed, mut shift) = (0, 0);
    while shift < 64 {
        if (form >> shift) & 0xff != b'0' as u64 {
            fixed |= 0xff << shift;
        }
        shift += 8;
    }
    fixed
}

/// The digits of eight bytes that look like `FORM`, where `0` stands for any digit and all else for itself.
#[inline]
fn digits_like<const FORM: u64>(text: [u8; 8]) -> Option<[u8; 8]> {
    const NIBBLES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    // A digit leaves its value, and anything above nine overflows its nibble when six is added.
    let word = u64::from_le_bytes(text) ^ FORM;
    let sound = (word | word.wrapping_add(0x0606_0606_0606_0606)) & NIBBLES == 0 && word & fixed_bytes(FORM) == 0;
    sound.then(|| word.to_le_bytes())
}

/// The form that machines write: UTC, with milliseconds.
#[inline]
fn parse_common(text: &[u8; 24]) -> Option<i64> {
    const DATE: u64 = u64::from_le_bytes(*b"0000-00-");
    const DAY_AND_TIME: u64 = u64::from_le_bytes(*b"00T00:00");
    const REST: u64 = u64::from_le_bytes(*b":00.000Z");
    let ([first, second, third], []) = text.as_chunks::<8>() else { return None };
    let (date, day_and_time) = (digits_like::<DATE>(*first)?, digits_like::<DAY_AND_TIME>(*second)?);
    let rest = digits_like::<REST>(*third)?;
    let two = |digits: &[u8; 8], at: usize| u32::from(digits[at]) * 10 + u32::from(digits[at + 1]);
    let (year, month) = (two(&date, 0) * 100 + two(&date, 2), two(&date, 5));
    let (day, hour, minute) = (two(&day_and_time, 0), two(&day_and_time, 3), two(&day_and_time, 6));
    let (second, millisecond) = (two(&rest, 1), two(&rest, 4) * 10 + u32::from(rest[6]));
    let sound = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let of_day = i64::from(hour * 3_600_000 + minute * 60_000 + second * 1_000 + millisecond);
    sound.then(|| days_from_civil(i64::from(year), month, day) * DAY_MS + of_day)
}

/// Reads an RFC 3339 date-time of any offset, cut to milliseconds. `None` if it is not one (a leap second is not).
pub fn parse_rfc3339_ms(text: &[u8]) -> Option<i64> {
    if let Ok(text) = text.try_into()
        && let Some(time_ms) = parse_common(text)
    {
        return Some(time_ms);
    }
    parse_any(text)
}

fn parse_any(text: &[u8]) -> Option<i64> {
    if text.len() < 20
        || text[4] != b'-'
        || text[7] != b'-'
        || !matches!(text[10], b'T' | b't')
        || text[13] != b':'
        || text[16] != b':'
    {
        return None;
    }
    let (year, month, day) = (digits(&text[0..4])?, digits(&text[5..7])?, digits(&text[8..10])?);
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    if !(1..=12).contains(&month)
        || day == 0
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let mut at = 19;
    let mut millisecond = 0;
    if text[at] == b'.' {
        let first = at + 1;
        at = first;
        while at < text.len() && text[at].is_ascii_digit() {
            if at - first < 3 {
                millisecond = millisecond * 10 + u32::from(text[at] - b'0');
            }
            at += 1;
        }
        let count = at - first;
        if count == 0 {
            return None;
        }
        for _ in count..3 {
            millisecond *= 10;
        }
    }
    let offset_minutes = match text.get(at)? {
        b'Z' | b'z' if text.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if text.len() == at + 6 && text[at + 3] == b':' => {
            let (hours, minutes) = (digits(&text[at + 1..at + 3])?, digits(&text[at + 4..at + 6])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let total = i64::from(hours * 60 + minutes);
            if *sign == b'+' { total } else { -total }
        }
        _ => return None,
    };
    let seconds = i64::from(hour * 3_600 + minute * 60 + second) - offset_minutes * 60;
    Some((days_from_civil(i64::from(year), month, day) * 86_400 + seconds) * 1_000 + i64::from(millisecond))
}

/// Writes UTC milliseconds as `2026-02-16T15:04:05.123Z`.
pub fn format_rfc3339(time_ms: i64) -> String {
    let (year, month, day) = civil_from_days(time_ms.div_euclid(DAY_MS));
    let of_day = time_ms.rem_euclid(DAY_MS);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600_000,
        of_day / 60_000 % 60,
        of_day / 1_000 % 60,
        of_day % 1_000
    )
}

/// Writes days since 1970-01-01 as `2026-02-16`.
pub fn format_date(days: i64) -> String {
    let (year, month, day) = civil_from_days(days);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_rfc3339_allows_and_nothing_else() {
        let time_ms = 1_771_254_245_123;
        for text in ["2026-02-16T15:04:05.123Z", "2026-02-16t15:04:05.123999z", "2026-02-16T20:34:05.123+05:30"] {
            assert_eq!(parse_rfc3339_ms(text.as_bytes()), Some(time_ms), "{text}");
        }
        assert_eq!(parse_rfc3339_ms(b"2026-02-16T15:04:05.1Z"), Some(time_ms - 23));
        assert_eq!(parse_rfc3339_ms(b"2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
        for text in [
            "",
            "2026-02-16",
            "2026-02-16 15:04:05Z",
            "2026-02-16T15:04:05",
            "2026-02-16T15:04:05.Z",
            "2026-02-16T24:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-16T15:04:60Z",
            "2026-02-16T15:04:05+0530",
            "2026-02-16T15:04:05+05:30 ",
            "2026-02-16T15:04:05Zx",
            "+026-02-16T15:04:05Z",
            "2025-02-29T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339_ms(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_short_and_the_long_way_agree() {
        let sound = *b"2024-02-29T15:04:05.123Z";
        for at in 0..sound.len() {
            for byte in 0..=u8::MAX {
                let mut text = sound;
                text[at] = byte;
                assert_eq!(parse_rfc3339_ms(&text), parse_any(&text), "{}", text.escape_ascii());
                text[5] = b'1';
                assert_eq!(parse_rfc3339_ms(&text), parse_any(&text), "{}", text.escape_ascii());
            }
        }
        assert_eq!(parse_common(&sound), parse_any(&sound));
    }

    #[test]
    fn dates_round_trip() {
        for days in (-800_000..800_000).step_by(17) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(format_rfc3339(1_771_254_245_123), "2026-02-16T15:04:05.123Z");
        assert_eq!(format_date(-1), "1969-12-31");
        assert_eq!(parse_rfc3339_ms(b"1990-01-01T00:00:00Z"), Some(EVENT_TIME_MIN_MS));
        assert_eq!(parse_rfc3339_ms(b"2100-01-01T00:00:00Z"), Some(EVENT_TIME_END_MS));
    }
}
