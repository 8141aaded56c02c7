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

    /// The minute of the local day at `time_ms`, from 0 to 1,439.
    pub fn local_minute(&mut self, time_ms: i64) -> u16 {
        let day = self.local_day(time_ms);
        let known = time_ms >= self.valid_from_ms && time_ms < self.valid_until_ms;
        let offset_ms = if known { self.offset_ms } else { self.offset_at(time_ms) };
        ((time_ms + offset_ms - day * DAY_MS) / 60_000) as u16
    }

    /// The first instant behind `time_ms` at which another local date holds than there: local midnight, or the end of the hour that a
    /// change to summer time takes from it.
    pub fn next_midnight(&mut self, time_ms: i64) -> i64 {
        let today = self.local_day(time_ms);
        // No local day is longer than 26 hours, and no offset changes twice on one.
        let (mut before, mut after) = (time_ms, time_ms + 26 * 3_600_000);
        while self.local_day(after) == today {
            (before, after) = (after, after + 26 * 3_600_000);
        }
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if self.local_day(middle) == today {
                before = middle;
            } else {
                after = middle;
            }
        }
        after
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
    fn midnights_and_minutes_follow_the_zone() {
        let at = |time: &str| parse_rfc3339_ms(time.as_bytes()).unwrap();
        for (zone, from, midnight) in [
            ("UTC", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"),
            ("America/New_York", "2026-03-07T05:00:00Z", "2026-03-08T05:00:00Z"),
            ("America/New_York", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
            ("America/New_York", "2026-11-01T12:00:00Z", "2026-11-02T05:00:00Z"),
            ("Asia/Kathmandu", "2026-03-08T18:14:59.999Z", "2026-03-08T18:15:00Z"),
            // The clocks went from 24:00 to 1:00.
            ("America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z"),
        ] {
            assert_eq!(Zone::parse(zone).unwrap().next_midnight(at(from)), at(midnight), "{zone} {from}");
        }
        assert_eq!(Zone::parse("America/New_York").unwrap().local_minute(at("2026-03-08T07:00:00Z")), 180);
        assert_eq!(Zone::parse("Asia/Kathmandu").unwrap().local_minute(at("2026-03-08T18:14:59.999Z")), 1_439);
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
