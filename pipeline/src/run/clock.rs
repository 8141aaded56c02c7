//! Which epoch comes next: a state machine without I/O, told the time by whoever drives it.
//!
//! ```text
//!   next = max(previous + tick, wall clock), cut down to a multiple of the tick
//!   wall clock behind ─▶ epochs still go on, a tick at a time        wall clock far ahead of monotonic time ─▶ stop
//! ```
//! Epochs never go back, whatever the wall clock does, and a clock that jumps ahead stops the pipeline before it binds anything: an
//! epoch once bound cannot be taken back, and every later one would have to lie beyond it.

/// How far the wall clock may run ahead of monotonic time before it is not believed any more, in milliseconds.
pub const CLOCK_AHEAD_MS_MAX: i64 = 3_600_000;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// UTC milliseconds.
    pub wall_ms: i64,
    /// Milliseconds since any fixed moment; never goes back.
    pub monotonic_ms: i64,
}

/// Why no epoch can be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The wall clock ran ahead.
    #[error(
        "the system clock jumped {ahead_ms} ms ahead of the time that has passed; nothing was bound to it: correct the clock, then start again"
    )]
    Ahead {
        /// How far, in milliseconds.
        ahead_ms: i64,
    },
    /// The last epoch lies too far ahead of the wall clock, so its clock was wrong.
    #[error(
        "the last epoch lies {ahead_ms} ms ahead of the system clock: correct the clock of this machine, or wait until it has caught up"
    )]
    Behind {
        /// How far, in milliseconds.
        ahead_ms: i64,
    },
}

/// The clock of one pipeline.
#[derive(Clone, Debug)]
pub struct Clock {
    tick_ms: i64,
    started: Reading,
    last_epoch: Option<i64>,
    /// Monotonic time of the last close, or of the start.
    closed_ms: i64,
    backwards: u64,
    last_wall_ms: i64,
}

impl Clock {
    /// A clock that goes on after `last_epoch`, with epochs at multiples of `tick_ms` (at least 1).
    ///
    /// # Errors
    /// If the last epoch lies more than [`CLOCK_AHEAD_MS_MAX`] ahead of the wall clock.
    pub fn start(tick_ms: i64, last_epoch: Option<i64>, now: Reading) -> Result<Self, ClockError> {
        if let Some(ahead_ms) = last_epoch.map(|last| last - now.wall_ms).filter(|ahead| *ahead > CLOCK_AHEAD_MS_MAX) {
            return Err(ClockError::Behind { ahead_ms });
        }
        Ok(Clock {
            tick_ms: tick_ms.max(1),
            started: now,
            last_epoch,
            closed_ms: now.monotonic_ms,
            backwards: 0,
            last_wall_ms: now.wall_ms,
        })
    }

    /// The epoch that would be closed now.
    ///
    /// # Errors
    /// If the wall clock has run away; nothing may be bound then.
    pub fn next_epoch(&mut self, now: Reading) -> Result<i64, ClockError> {
        let passed_ms = now.monotonic_ms - self.started.monotonic_ms;
        let ahead_ms = now.wall_ms - self.started.wall_ms - passed_ms;
        if ahead_ms > CLOCK_AHEAD_MS_MAX {
            return Err(ClockError::Ahead { ahead_ms });
        }
        self.backwards += u64::from(now.wall_ms < self.last_wall_ms);
        self.last_wall_ms = now.wall_ms;
        let wall = now.wall_ms.div_euclid(self.tick_ms) * self.tick_ms;
        let after_last = self.last_epoch.map(|last| (last.div_euclid(self.tick_ms) + 1) * self.tick_ms);
        Ok(after_last.map_or(wall, |after_last| after_last.max(wall)))
    }

    /// Says that an epoch was closed now.
    pub fn closed(&mut self, epoch: i64, now: Reading) {
        self.last_epoch = Some(epoch);
        self.closed_ms = now.monotonic_ms;
    }

    /// How long ago an epoch was closed, or the clock started, in milliseconds.
    pub fn since_closed_ms(&self, now: Reading) -> i64 {
        now.monotonic_ms - self.closed_ms
    }

    /// The last epoch that was closed.
    pub fn last_epoch(&self) -> Option<i64> {
        self.last_epoch
    }

    /// How long the next epoch may not be closed yet, in milliseconds: until the wall clock reaches it, or a tick has passed since the
    /// last one. So a wall clock that was set back holds nothing up.
    pub fn wait_ms(&self, now: Reading) -> i64 {
        let until_due = |last: i64| {
            let due_ms = (last.div_euclid(self.tick_ms) + 1) * self.tick_ms;
            (due_ms - now.wall_ms).min(self.closed_ms + self.tick_ms - now.monotonic_ms).max(0)
        };
        self.last_epoch.map_or(0, until_due)
    }

    /// How often the wall clock was seen to go back.
    pub fn backwards(&self) -> u64 {
        self.backwards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: i64, monotonic_ms: i64) -> Reading {
        Reading { wall_ms, monotonic_ms }
    }

    #[test]
    fn epochs_are_multiples_of_the_tick_and_never_go_back() {
        let mut clock = Clock::start(50, None, at(1_000_020, 0)).unwrap();
        let mut last = None;
        for (wall, monotonic) in
            [(1_000_020, 0), (1_000_049, 29), (1_000_060, 40), (500, 90), (1_000_049, 99), (1_000_900, 880)]
        {
            let epoch = clock.next_epoch(at(wall, monotonic)).unwrap();
            assert_eq!(epoch % 50, 0);
            assert!(last.is_none_or(|last| epoch > last), "{last:?} {epoch}");
            clock.closed(epoch, at(wall, monotonic));
            last = Some(epoch);
        }
        assert_eq!(last, Some(1_000_900));
        assert_eq!(clock.backwards(), 1);
    }

    #[test]
    fn a_clock_that_jumps_ahead_binds_nothing() {
        let mut clock = Clock::start(50, None, at(0, 0)).unwrap();
        assert!(clock.next_epoch(at(CLOCK_AHEAD_MS_MAX + 10, 10)).is_ok());
        let error = clock.next_epoch(at(CLOCK_AHEAD_MS_MAX + 21, 20)).unwrap_err();
        assert_eq!(error, ClockError::Ahead { ahead_ms: CLOCK_AHEAD_MS_MAX + 1 });
    }

    #[test]
    fn a_wall_clock_that_was_set_back_holds_nothing_up() {
        let mut clock = Clock::start(50, None, at(1_000_000, 0)).unwrap();
        clock.closed(1_000_000, at(1_000_000, 0));
        assert_eq!(clock.wait_ms(at(400_000, 20)), 30, "ten minutes behind, and still a tick");
        assert_eq!(clock.wait_ms(at(400_030, 50)), 0);
        assert_eq!(clock.next_epoch(at(400_030, 50)), Ok(1_000_050));
        let restarted = Clock::start(50, Some(1_000_050), at(400_030, 7)).unwrap();
        assert_eq!((restarted.wait_ms(at(400_030, 7)), restarted.wait_ms(at(400_080, 57))), (50, 0));
    }

    #[test]
    fn an_epoch_from_a_wrong_clock_is_named_at_the_start() {
        assert!(Clock::start(50, Some(CLOCK_AHEAD_MS_MAX), at(0, 0)).is_ok());
        assert!(matches!(Clock::start(50, Some(CLOCK_AHEAD_MS_MAX + 1), at(0, 0)), Err(ClockError::Behind { .. })));
    }

    #[test]
    fn another_tick_after_a_restart_keeps_the_order() {
        let mut clock = Clock::start(1_000, Some(1_050), at(1_060, 0)).unwrap();
        assert_eq!(clock.next_epoch(at(1_060, 0)), Ok(2_000));
        assert_eq!(clock.wait_ms(at(1_060, 0)), 940);
    }
}
