//! The event time of a record that is not parsed yet: what the index of a file needs, and no more.
//!
//! The short way trusts nothing it has not seen: a `"time"` followed by a colon with a single `{` before it can only be the
//! envelope's key. Whatever looks different goes the long way, through the scanner.

use std::ops::Range;

use memchr::memmem;

use super::json::{Scanner, Token, unescape};
use super::time::{EVENT_TIME_END_MS, EVENT_TIME_MIN_MS, format_rfc3339, parse_rfc3339_ms};

fn accepted(time_ms: i64) -> Option<i64> {
    (EVENT_TIME_MIN_MS..EVENT_TIME_END_MS).contains(&time_ms).then_some(time_ms)
}

/// The event time in UTC milliseconds of a line that holds an event. For every line that parsing accepts it is that event's time;
/// `None` if the line has no readable time.
pub fn event_time_of(line: &[u8]) -> Option<i64> {
    match short_way(line) {
        Some(value) => parse_rfc3339_ms(&line[value]).and_then(accepted),
        None => long_way(line),
    }
}

/// The line with another event time, in UTC milliseconds, and all else as it was. `None` if it has no readable time, or one that is
/// written as no producer of ours writes it.
pub fn with_event_time(line: &[u8], time_ms: i64) -> Option<Vec<u8>> {
    let value = short_way(line)?;
    parse_rfc3339_ms(&line[value.clone()]).and_then(accepted)?;
    Some([&line[..value.start], format_rfc3339(time_ms).as_bytes(), &line[value.end..]].concat())
}

/// Where the text of the envelope's time stands; `None` where only the long way can tell.
fn short_way(line: &[u8]) -> Option<Range<usize>> {
    const KEY: &[u8] = b"\"time\"";
    thread_local! {
        static FINDER: memmem::Finder<'static> = memmem::Finder::new(KEY);
    }
    let key = FINDER.with(|finder| finder.find(line))?;
    // Behind a backslash the quote belongs to a longer key: `"local\"time"`.
    if memchr::memchr_iter(b'{', &line[..key]).count() != 1 || line[key - 1] == b'\\' {
        return None;
    }
    let skip = |mut at: usize| {
        while let Some(b' ' | b'\t') = line.get(at) {
            at += 1;
        }
        at
    };
    let colon = skip(key + KEY.len());
    let at = skip(colon + 1);
    // Rarer white space, or another type than text.
    if line.get(colon) != Some(&b':') || line.get(at) != Some(&b'"') {
        return None;
    }
    let value = &line[at + 1..line.len().min(at + 1 + 64)];
    let end = memchr::memchr2(b'"', b'\\', value)?;
    (value[end] != b'\\').then_some(at + 1..at + 1 + end)
}

fn long_way(line: &[u8]) -> Option<i64> {
    let mut scanner = Scanner::new(line, 0);
    scanner.skip_whitespace();
    let mut found = None;
    // A broken line may still have shown its time before the break; such a line is rejected, so either answer is right.
    let _ = scanner.object(|scanner, key| {
        let value = scanner.value(1)?;
        if found.is_none() && &*unescape(line, key) == b"time" {
            found = Some(match value {
                Token::String(token) => parse_rfc3339_ms(&unescape(line, token)).and_then(accepted),
                _ => None,
            });
        }
        Ok(())
    });
    found.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME_MS: i64 = 1_771_254_245_123;

    #[test]
    fn finds_the_envelopes_time_and_no_other() {
        for line in [
            r#"{"id":"1","time":"2026-02-16T15:04:05.123Z","data":{}}"#,
            r#"{"id":"1", "time" : "2026-02-16T15:04:05.123Z"}"#,
            r#"{"data":{"time":"2020-01-01T00:00:00Z"},"time":"2026-02-16T15:04:05.123Z"}"#,
            r#"{"subject":"{","time":"2026-02-16T15:04:05.123Z"}"#,
            r#"{"subject":"time","time":"2026-02-16T15:04:05.123Z"}"#,
            r#"{"subject":"\"time\":\"2020-01-01T00:00:00Z\"","time":"2026-02-16T15:04:05.123Z"}"#,
            r#"{"\u0074ime":"2026-02-16T15:04:05.123Z"}"#,
            r#"{"time":"2026-02-16T15:04:05.123\u005a"}"#,
            r#"{"local\"time":"2020-01-01T00:00:00Z","time":"2026-02-16T15:04:05.123Z"}"#,
            "{\"time\"\r:\r\"2026-02-16T15:04:05.123Z\"}",
        ] {
            assert_eq!(event_time_of(line.as_bytes()), Some(TIME_MS), "{line}");
        }
        for line in [
            "",
            "{",
            "rubbish",
            r#"{"time":5}"#,
            r#"{"time":"soon"}"#,
            r#"{"time":"1989-12-31T23:59:59Z"}"#,
            r#"{"data":{"time":"2026-02-16T15:04:05Z"}}"#,
        ] {
            assert_eq!(event_time_of(line.as_bytes()), None, "{line}");
            assert_eq!(with_event_time(line.as_bytes(), TIME_MS), None, "{line}");
        }
    }

    #[test]
    fn another_time_changes_nothing_else() {
        let line = |time: &str| format!(r#"{{"id":"1","time":"{time}","data":{{"time":"2020-01-01T00:00:00Z"}}}}"#);
        let found = with_event_time(line("1999-01-01T00:00:00+01:00").as_bytes(), TIME_MS);
        assert_eq!(found, Some(line("2026-02-16T15:04:05.123Z").into_bytes()));
        assert_eq!(with_event_time(line("soon").as_bytes(), TIME_MS), None);
    }
}
