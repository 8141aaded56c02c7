//! Which copies of an event count.
//!
//! ```text
//!  copies of one (dealer, source, id), least first by (time, sequence), bytes, place:
//!    first ─ accepted      later, within the horizon of the accepted one: same bytes ─ duplicate, other bytes ─ id_reused
//!                          later than that: accepted anew, and the next ones are compared with it
//! ```

use std::collections::BTreeMap;

use super::event::Event;
use super::input::Place;

/// A valid event with the place and bytes of its line.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) event: Event,
    pub(super) place: Place,
    pub(super) bytes: Vec<u8>,
}

/// What becomes of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Accepted,
    Duplicate,
    IdReused,
}

/// Judges all copies of a run. The result has one fate per copy and does not depend on the order of `copies`.
pub(super) fn judge(copies: Vec<Copy>, horizon_ms: i64) -> Vec<(Copy, Fate)> {
    let mut by_identity: BTreeMap<(String, String, String), Vec<Copy>> = BTreeMap::new();
    for copy in copies {
        let stamp = &copy.event.stamp;
        let identity = (copy.event.dealer_id.clone(), stamp.source.clone(), stamp.id.clone());
        by_identity.entry(identity).or_default().push(copy);
    }
    let mut judged = Vec::new();
    for (_, mut copies) in by_identity {
        copies.sort_by(|left, right| {
            (&left.event.stamp, &left.bytes, left.place).cmp(&(&right.event.stamp, &right.bytes, right.place))
        });
        let mut accepted: Option<(i64, Vec<u8>)> = None;
        for copy in copies {
            let time_ms = copy.event.stamp.time_ms;
            let fate = match &accepted {
                Some((accepted_ms, bytes)) if time_ms - accepted_ms <= horizon_ms => {
                    if *bytes == copy.bytes {
                        Fate::Duplicate
                    } else {
                        Fate::IdReused
                    }
                }
                _ => {
                    accepted = Some((time_ms, copy.bytes.clone()));
                    Fate::Accepted
                }
            };
            judged.push((copy, fate));
        }
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::super::event;
    use super::*;

    fn copy(line: u64, id: &str, time: &str, note: &str) -> Copy {
        let text = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"x.any","dealerid":"d","time":"{time}","note":"{note}"}}"#
        );
        let event = event::parse("leads", text.as_bytes()).unwrap();
        Copy { event, place: Place { topic: "leads", partition: 0, line }, bytes: text.into_bytes() }
    }

    fn check(copies: &[Copy], expected: &[(u64, Fate)]) {
        for reversed in [false, true] {
            let mut copies = copies.to_vec();
            if reversed {
                copies.reverse();
            }
            let mut fates: Vec<_> =
                judge(copies, 7 * 86_400_000).into_iter().map(|(copy, fate)| (copy.place.line, fate)).collect();
            fates.sort_by_key(|(line, _)| *line);
            assert_eq!(fates, expected);
        }
    }

    #[test]
    fn equal_bytes_are_duplicates_and_other_bytes_reuse_the_id() {
        let early = "2026-01-01T00:00:00Z";
        check(
            &[copy(1, "a", early, ""), copy(2, "a", early, ""), copy(3, "a", early, "z"), copy(4, "b", early, "")],
            &[(1, Fate::Accepted), (2, Fate::Duplicate), (3, Fate::IdReused), (4, Fate::Accepted)],
        );
    }

    #[test]
    fn the_least_copy_wins_by_time_and_then_by_bytes() {
        check(
            &[copy(1, "a", "2026-01-02T00:00:00Z", "a"), copy(2, "a", "2026-01-01T00:00:00Z", "z")],
            &[(1, Fate::IdReused), (2, Fate::Accepted)],
        );
        check(
            &[copy(1, "a", "2026-01-01T00:00:00Z", "b"), copy(2, "a", "2026-01-01T00:00:00Z", "a")],
            &[(1, Fate::IdReused), (2, Fate::Accepted)],
        );
    }

    #[test]
    fn beyond_the_horizon_of_the_accepted_copy_the_id_is_free_again() {
        check(
            &[
                copy(1, "a", "2026-01-01T00:00:00Z", ""),
                copy(2, "a", "2026-01-08T00:00:00Z", ""),
                copy(3, "a", "2026-01-08T00:00:00.001Z", ""),
                copy(4, "a", "2026-01-15T00:00:00Z", ""),
                copy(5, "a", "2026-01-16T00:00:00Z", ""),
            ],
            &[(1, Fate::Accepted), (2, Fate::IdReused), (3, Fate::Accepted), (4, Fate::IdReused), (5, Fate::Accepted)],
        );
    }
}
