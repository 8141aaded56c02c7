//! Dates, and the local time of dealers in the United States.
//!
//! The simulated world needs whole-hour offsets and one daylight saving rule, so it carries them itself: a newer edition of a time
//! zone database must not change the bytes of an old seed.

use std::fmt;
use std::str::FromStr;

/// Milliseconds of one second.
pub(super) const SECOND_MS: i64 = 1_000;
/// Milliseconds of one minute.
pub(super) const MINUTE_MS: i64 = 60_000;
/// Milliseconds of one hour.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of one day.
pub(super) const DAY_MS: i64 = 86_400_000;

/// The UTC date on which a simulated world begins: 2007-03-11 (when today's daylight saving rule began) to 2095-12-31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StartDate {
    days: i64,
}

impl StartDate {
    const MIN_DAYS: i64 = days_from_civil(2007, 3, 11);
    const MAX_DAYS: i64 = days_from_civil(2095, 12, 31);

    /// The date so many days before that of a moment, in UTC milliseconds; none outside the dates that there are.
    pub fn days_before(moment_ms: i64, days: u32) -> Option<Self> {
        let days = moment_ms.div_euclid(DAY_MS) - i64::from(days);
        (Self::MIN_DAYS..=Self::MAX_DAYS).contains(&days).then_some(StartDate { days })
    }

    /// Its midnight, in UTC milliseconds since 1970.
    pub(super) fn midnight_ms(self) -> i64 {
        self.days * DAY_MS
    }
}

impl Default for StartDate {
    /// Monday, 2026-01-05.
    fn default() -> Self {
        StartDate { days: days_from_civil(2026, 1, 5) }
    }
}

impl fmt::Display for StartDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.days);
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

/// A text that is no [`StartDate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a start date: write it as 2026-01-05, from 2007-03-11 to 2095-12-31")]
pub struct StartDateError {
    text: String,
}

impl FromStr for StartDate {
    type Err = StartDateError;

    fn from_str(text: &str) -> Result<Self, StartDateError> {
        let parse = || {
            let mut parts = text.split('-');
            let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
                return None;
            }
            let date = (year.parse::<u16>().ok()?, month.parse::<u8>().ok()?, day.parse::<u8>().ok()?);
            let days = days_from_civil(i64::from(date.0), i64::from(date.1), i64::from(date.2));
            let exists = civil_from_days(days) == (i64::from(date.0), i64::from(date.1), i64::from(date.2));
            (exists && (Self::MIN_DAYS..=Self::MAX_DAYS).contains(&days)).then_some(StartDate { days })
        };
        parse().ok_or_else(|| StartDateError { text: text.to_owned() })
    }
}

/// Days since 1970-01-01 of a Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(super) const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub(super) const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// Day of the week of a number of days since 1970-01-01, 0 for Monday.
pub(super) const fn weekday(days: i64) -> usize {
    (days + 3).rem_euclid(7) as usize
}

/// A time zone of the United States.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    /// Its IANA name.
    pub(super) name: &'static str,
    standard_hours: i64,
    daylight_saving: bool,
}

impl Zone {
    pub(super) const fn new(name: &'static str, standard_hours: i64, daylight_saving: bool) -> Self {
        Zone { name, standard_hours, daylight_saving }
    }

    /// Local time minus UTC at a UTC time, in ms: a whole number of hours, so UTC hours are local hours.
    pub(super) fn offset_ms(self, time_ms: i64) -> i64 {
        let standard = self.standard_hours * HOUR_MS;
        if !self.daylight_saving {
            return standard;
        }
        let (year, _, _) = civil_from_days((time_ms + standard).div_euclid(DAY_MS));
        // Second Sunday of March, 02:00 standard time, to the first Sunday of November, 01:00 standard time.
        let begins = (first_sunday(year, 3) + 7) * DAY_MS + 2 * HOUR_MS - standard;
        let ends = first_sunday(year, 11) * DAY_MS + HOUR_MS - standard;
        if (begins..ends).contains(&time_ms) { standard + HOUR_MS } else { standard }
    }
}

fn first_sunday(year: i64, month: i64) -> i64 {
    let first = days_from_civil(year, month, 1);
    first + (6 - weekday(first) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc_ms(year: i64, month: i64, day: i64, hour: i64) -> i64 {
        days_from_civil(year, month, day) * DAY_MS + hour * HOUR_MS
    }

    #[test]
    fn daylight_saving_follows_the_law_of_2007() {
        let new_york = Zone::new("America/New_York", -5, true);
        for (time, hours) in [
            (utc_ms(2026, 3, 8, 7) - 1, -5),
            (utc_ms(2026, 3, 8, 7), -4),
            (utc_ms(2026, 11, 1, 6) - 1, -4),
            (utc_ms(2026, 11, 1, 6), -5),
            (utc_ms(2027, 3, 14, 7), -4),
        ] {
            assert_eq!(new_york.offset_ms(time), hours * HOUR_MS, "{time}");
        }
        assert_eq!(Zone::new("America/Phoenix", -7, false).offset_ms(utc_ms(2026, 7, 1, 0)), -7 * HOUR_MS);
    }

    #[test]
    fn dates_are_read_and_refused() {
        assert_eq!("2026-01-05".parse::<StartDate>(), Ok(StartDate::default()));
        assert_eq!(StartDate::default().to_string(), "2026-01-05");
        assert_eq!(weekday(days_from_civil(2026, 1, 5)), 0);
        for text in ["", "2026-1-5", "2026-02-30", "1999-01-01", "2026-01-05T00:00:00Z", "2096-01-01", "+026-01-05"] {
            assert!(text.parse::<StartDate>().is_err(), "{text}");
        }
    }
}
