//! How often each caller may call: a bucket of tokens that fills every second, one for each caller and one for all who are not known.

use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::problem::{Problem, ProblemKind};

/// Requests a second of all who bring no valid token: enough to find out, too few to guess one.
const UNKNOWN_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// The buckets.
#[derive(Debug)]
pub struct Rates {
    known: Vec<DefaultDirectRateLimiter>,
    unknown: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Rates {
    /// Buckets for so many callers.
    pub fn new(callers: usize, requests_per_second: u32) -> Self {
        let quota = Quota::per_second(NonZeroU32::new(requests_per_second).unwrap_or(NonZeroU32::MIN));
        Rates {
            known: (0..callers).map(|_| RateLimiter::direct(quota)).collect(),
            unknown: RateLimiter::direct(Quota::per_second(UNKNOWN_PER_SECOND)),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one request of a caller by its place, or of somebody unknown.
    ///
    /// # Errors
    /// [`ProblemKind::TooMany`], with the seconds until the next may come.
    pub fn take(&self, caller: Option<usize>) -> Result<(), Problem> {
        let bucket = caller.and_then(|caller| self.known.get(caller)).unwrap_or(&self.unknown);
        bucket.check().map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let detail = "more requests than this server allows one caller: wait, and send them more slowly";
            Problem { retry_after_seconds: Some(seconds.max(1)), ..Problem::new(ProblemKind::TooMany, detail) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_callers_haste_is_nobody_elses() {
        let rates = Rates::new(2, 3);
        let taken = |caller| (0..50).filter(|_| rates.take(caller).is_ok()).count();
        assert!(taken(Some(0)) < 50);
        assert!(rates.take(Some(1)).is_ok());
        assert!(rates.take(None).is_ok());
        let problem = (0..50).find_map(|_| rates.take(None).err()).unwrap();
        assert_eq!((problem.kind, problem.retry_after_seconds), (ProblemKind::TooMany, Some(1)));
    }
}
