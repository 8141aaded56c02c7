//! Local days: the IANA zone database that is compiled in, so that every machine agrees.

use chrono::{Offset, TimeZone, Utc};
use chrono_tz::Tz;

use super::time::DAY_MS;

/// A dealer's time zone, with the offset in force around the last question remembered.
///
/// Asking the database costs about 100 ns; events come in order of time, so almost every question lies in the span of the last.
#[derive(Clone, Debug)]
pub struct Zone {
    tz: Tz,
    offset_ms: i64,
    valid_from_ms: i64,
    valid_until_ms: i64,
}

/// Offsets are constant inside a quarter of an hour that has the same offset at both ends: no zone since 1990 changed for less.
const SPAN_MS: i64 = 900_000;

impl Zone {
    /// UTC, which a dealer has until it says otherwise.
    pub fn utc() -> Self {
        Self::from_tz(Tz::UTC)
    }

    /// The zone of an IANA name, `None` if there is none such.
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok().map(Self::from_tz)
    }

    fn from_tz(tz: Tz) -> Self {
        Zone { tz, offset_ms: 0, valid_from_ms: 0, valid_until_ms: 0 }
    }

    fn offset_at(&self, time_ms: i64) -> i64 {
        Utc.timestamp_millis_opt(time_ms).single().map_or(0, |time| {
            i64::from(self.tz.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc()) * 1_000
        })
    }

    /// The local date at `time_ms`, in days since 1970-01-01.
    pub fn local_day(&mut self, time_ms: i64) -> i64 {
        if time_ms < self.valid_from_ms || time_ms >= self.valid_until_ms {
            let start = time_ms.div_euclid(SPAN_MS) * SPAN_MS;
            let (first, last) = (self.offset_at(start), self.offset_at(start + SPAN_MS - 1));
            if first != last {
                return (time_ms + self.offset_at(time_ms)).div_euclid(DAY_MS);
            }
            // Stretch the span while the offset stays: one look a day ahead and one behind cover most of a replay.
            self.offset_ms = first;
            self.valid_from_ms = start;
            self.valid_until_ms = start + SPAN_MS;
            for hours in [1, 6, 24] {
                let later = start + hours * 3_600_000;
                if self.offset_at(later) == first {
                    self.valid_until_ms = later;
                } else {
                    break;
                }
            }
        }
        (time_ms + self.offset_ms).div_euclid(DAY_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{format_date, parse_rfc3339_ms};

    fn day(zone: &str, time: &str) -> String {
        format_date(Zone::parse(zone).unwrap().local_day(parse_rfc3339_ms(time.as_bytes()).unwrap()))
    }

    #[test]
    fn local_days_around_midnight_and_daylight_saving() {
        assert_eq!(day("America/New_York", "2026-03-08T04:59:59.999Z"), "2026-03-07");
        assert_eq!(day("America/New_York", "2026-03-08T05:00:00Z"), "2026-03-08");
        assert_eq!(day("America/New_York", "2026-03-09T03:59:59Z"), "2026-03-08");
        assert_eq!(day("America/New_York", "2026-03-09T04:00:00Z"), "2026-03-09");
        assert_eq!(day("Asia/Kathmandu", "2026-03-08T18:15:00Z"), "2026-03-09");
        assert!(Zone::parse("Mars/Olympus").is_none());
    }

    #[test]
    fn the_remembered_span_never_changes_an_answer() {
        for name in ["America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Europe/London", "UTC"] {
            let mut remembering = Zone::parse(name).unwrap();
            let mut time_ms = 1_293_800_000_000; // Apia skipped 2011-12-30.
            for step in 0..40_000_i64 {
                time_ms += (step * 7_919) % 3_600_000;
                assert_eq!(
                    remembering.local_day(time_ms),
                    Zone::parse(name).unwrap().local_day(time_ms),
                    "{name} {time_ms}"
                );
            }
        }
    }
}
