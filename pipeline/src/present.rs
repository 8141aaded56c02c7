//! A world of the past, as if it happened now.
//!
//! ```text
//!   a time that is later than all before ─▶ now
//!   any other, of a late event or a copy ─▶ what the last time up to it became: copies stay copies, and late stays late
//! ```

use std::collections::VecDeque;

/// How many moments are remembered, at most one a millisecond: what is later than all of them happened at the first.
const MOMENTS_MAX: usize = 1 << 20;

/// Gives the events of a world other times, in the order in which they come.
#[derive(Debug, Default)]
pub struct Present {
    /// Times of the world that were the latest when they came, and what they became; both rise.
    moments: VecDeque<(i64, i64)>,
    latest_ms: Option<i64>,
}

impl Present {
    /// What an event's time becomes when it is `now_ms`. The same time becomes the same again.
    pub fn time_of(&mut self, time_ms: i64, now_ms: i64) -> i64 {
        if self.latest_ms.is_none_or(|latest_ms| time_ms > latest_ms) {
            self.latest_ms = Some(time_ms);
            if self.moments.back().is_none_or(|(_, last_ms)| now_ms > *last_ms) {
                if self.moments.len() == MOMENTS_MAX {
                    self.moments.pop_front();
                }
                self.moments.push_back((time_ms, now_ms));
            }
        }
        let later = self.moments.partition_point(|(moment_ms, _)| *moment_ms <= time_ms);
        self.moments.get(later.saturating_sub(1)).map_or(now_ms, |(_, became_ms)| *became_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_happens_now_and_a_copy_happened_when_the_first_did() {
        let mut present = Present::default();
        assert_eq!(present.time_of(100, 5_000), 5_000);
        assert_eq!(present.time_of(200, 5_000), 5_000);
        // Not later than the latest: when that happened.
        assert_eq!(present.time_of(200, 5_001), 5_000);
        assert_eq!(present.time_of(300, 5_002), 5_002);
        for (time_ms, became_ms) in [(100, 5_000), (200, 5_000), (250, 5_000), (300, 5_002), (1, 5_000)] {
            assert_eq!(present.time_of(time_ms, 9_000), became_ms, "{time_ms}");
        }
        // A clock that goes backwards takes nothing along.
        assert_eq!(present.time_of(400, 4_000), 5_002);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut present = Present::default();
        for moment in 0..MOMENTS_MAX as i64 + 10 {
            assert_eq!(present.time_of(moment, moment), moment);
        }
        assert_eq!((present.moments.len(), present.time_of(0, 0)), (MOMENTS_MAX, 10));
    }
}
