//! Which epochs are committed together, and what becomes of a commit: a state machine without I/O.
//!
//! ```text
//!   Collected(epoch) ─▶ queue ─▶ Commit(n epochs) ─┬─ Committed ─▶ Publish(n), then the next group
//!        further epochs join the queue meanwhile   ├─ Resendable ─▶ Resend after a while: the same group
//!                                                  ├─ Lost ─▶ Renew: another committer, and what topic `epochs` holds ─▶ Renewed
//!                                                  └─ Ended ─▶ Stop: exit; a restart reads the truth from `epochs`
//! ```
//! A commit is lost when its answer never came, or when the committer failed for good, as it may when a broker dies. Then nobody but the log
//! knows what became of it: a new committer settles it, and the last record of `epochs` says whether the group is in. Epochs are committed in order, each once. A group holds whole epochs, at least one, and beyond one never more than its bounds. Resending goes on
//! for as long as the log wants it: what waits is bounded by the source's window, so a log that is gone costs patience, not memory.

use std::collections::VecDeque;

/// Bounds of one transaction.
#[derive(Clone, Copy, Debug)]
pub struct CommitSettings {
    /// Bytes of a group of more than one epoch.
    pub group_bytes_max: u64,
    /// Messages of a group of more than one epoch.
    pub group_messages_max: u64,
}

/// First pause before a group is sent again, in milliseconds; it doubles up to [`RESEND_AFTER_MS_MAX`].
pub const RESEND_AFTER_MS_MIN: u64 = 10;
/// Longest pause before a group is sent again, in milliseconds.
pub const RESEND_AFTER_MS_MAX: u64 = 5_000;

/// How many committers in a row may be lost before the reason is taken for one that only people can mend.
pub const RENEWALS_MAX: u32 = 8;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The next epoch's outputs are whole.
    Collected {
        /// Their bytes.
        bytes: u64,
        /// Their number, the epoch's record among them.
        messages: u64,
    },
    /// The group is durable.
    Committed,
    /// Nothing of the group was written, and it may be sent again.
    Resendable,
    /// What became of the group is not known here, and the committer is of no more use; why.
    Lost(String),
    /// There is another committer, and topic `epochs` holds so many epochs of the group: all, or none.
    Renewed {
        /// How many.
        epochs: usize,
    },
    /// There is no other committer yet.
    NotRenewed,
    /// The pause is over.
    PauseOver,
    /// The committer is of no more use; why.
    Ended(String),
    /// No more epochs will come.
    Drain,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Commit the first epochs of the queue.
    Commit {
        /// How many.
        epochs: usize,
    },
    /// Open another committer, wait until everything is settled, and read what of the group is in topic `epochs`.
    Renew,
    /// Wait, then say [`Input::PauseOver`].
    Pause {
        /// How long, in milliseconds.
        pause_ms: u64,
    },
    /// Show the results of the first epochs of the queue and take them off it.
    Publish {
        /// How many.
        epochs: usize,
    },
    /// Everything is committed.
    Drained,
    /// Exit, and say why.
    Stop(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Committing {
        epochs: usize,
    },
    Renewing {
        epochs: usize,
    },
    /// Before the group is sent again, or before the next attempt at another committer.
    Pausing {
        epochs: usize,
        renews: bool,
    },
    Stopped,
}

/// The committer of a running pipeline.
#[derive(Debug)]
pub struct Committer {
    settings: CommitSettings,
    queue: VecDeque<(u64, u64)>,
    queue_bytes: u64,
    state: State,
    pause_ms: u64,
    draining: bool,
    resent: u64,
    /// Committers lost since the last commit.
    lost: u32,
}

impl Committer {
    /// A committer with nothing to do.
    pub fn new(settings: CommitSettings) -> Self {
        Committer {
            settings,
            queue: VecDeque::new(),
            queue_bytes: 0,
            state: State::Idle,
            pause_ms: RESEND_AFTER_MS_MIN,
            draining: false,
            resent: 0,
            lost: 0,
        }
    }

    /// Takes what happened and says what to do, in this order. An input out of turn changes nothing.
    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match (self.state, input) {
            (State::Stopped, _) => return actions,
            (_, Input::Collected { bytes, messages }) => {
                self.queue.push_back((bytes, messages));
                self.queue_bytes += bytes;
            }
            (_, Input::Drain) => self.draining = true,
            (State::Committing { epochs }, Input::Committed) => actions.push(self.committed(epochs)),
            (State::Renewing { epochs }, Input::Renewed { epochs: found }) if found == epochs => {
                actions.push(self.committed(epochs));
            }
            (State::Renewing { epochs }, Input::Renewed { epochs: 0 }) => {
                self.resent += 1;
                self.state = State::Committing { epochs };
                actions.push(Action::Commit { epochs });
            }
            (State::Renewing { epochs }, Input::Renewed { epochs: found }) => {
                self.state = State::Stopped;
                actions.push(Action::Stop(format!(
                    "topic `epochs` holds {found} of {epochs} epochs of one transaction: the log is torn; report this"
                )));
            }
            (State::Committing { epochs }, Input::Lost(reason)) => {
                self.lost += 1;
                if self.lost > RENEWALS_MAX {
                    self.state = State::Stopped;
                    actions.push(Action::Stop(reason));
                } else {
                    self.state = State::Renewing { epochs };
                    actions.push(Action::Renew);
                }
            }
            (State::Committing { epochs }, Input::Resendable) => {
                self.resent += 1;
                actions.push(self.pause(epochs, false));
            }
            (State::Renewing { epochs }, Input::NotRenewed) => actions.push(self.pause(epochs, true)),
            (State::Pausing { epochs, renews: false }, Input::PauseOver) => {
                self.state = State::Committing { epochs };
                actions.push(Action::Commit { epochs });
            }
            (State::Pausing { epochs, renews: true }, Input::PauseOver) => {
                self.state = State::Renewing { epochs };
                actions.push(Action::Renew);
            }
            (_, Input::Ended(reason)) => {
                self.state = State::Stopped;
                actions.push(Action::Stop(reason));
            }
            (
                _,
                Input::Committed
                | Input::Resendable
                | Input::PauseOver
                | Input::Lost(_)
                | Input::Renewed { .. }
                | Input::NotRenewed,
            ) => {}
        }
        if self.state == State::Idle {
            match self.group() {
                0 if self.draining => {
                    self.state = State::Stopped;
                    actions.push(Action::Drained);
                }
                0 => {}
                epochs => {
                    self.state = State::Committing { epochs };
                    actions.push(Action::Commit { epochs });
                }
            }
        }
        actions
    }

    fn committed(&mut self, epochs: usize) -> Action {
        self.queue_bytes -= self.queue.drain(..epochs).map(|(bytes, _)| bytes).sum::<u64>();
        self.pause_ms = RESEND_AFTER_MS_MIN;
        self.lost = 0;
        self.state = State::Idle;
        Action::Publish { epochs }
    }

    fn pause(&mut self, epochs: usize, renews: bool) -> Action {
        self.state = State::Pausing { epochs, renews };
        let pause_ms = self.pause_ms;
        self.pause_ms = (pause_ms * 2).min(RESEND_AFTER_MS_MAX);
        Action::Pause { pause_ms }
    }

    /// How many epochs go together now.
    fn group(&self) -> usize {
        let (mut bytes, mut messages) = (0, 0);
        let fits = |(own_bytes, own_messages): &&(u64, u64)| {
            bytes += own_bytes;
            messages += own_messages;
            bytes <= self.settings.group_bytes_max && messages <= self.settings.group_messages_max
        };
        self.queue.iter().take_while(fits).count().max(self.queue.len().min(1))
    }

    /// Bytes that wait for their commit.
    pub fn queue_bytes(&self) -> u64 {
        self.queue_bytes
    }

    /// Groups that were sent again.
    pub fn resent(&self) -> u64 {
        self.resent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committer() -> Committer {
        Committer::new(CommitSettings { group_bytes_max: 100, group_messages_max: 10 })
    }

    fn collected(bytes: u64) -> Input {
        Input::Collected { bytes, messages: 1 }
    }

    #[test]
    fn epochs_that_come_during_a_commit_go_together_in_the_next() {
        let mut committer = committer();
        assert_eq!(committer.handle(collected(10)), [Action::Commit { epochs: 1 }]);
        assert_eq!(committer.handle(collected(60)), []);
        assert_eq!(committer.handle(collected(40)), []);
        assert_eq!(committer.handle(collected(1)), []);
        assert_eq!(committer.handle(Input::Committed), [Action::Publish { epochs: 1 }, Action::Commit { epochs: 2 }]);
        assert_eq!(committer.handle(Input::Drain), []);
        assert_eq!(committer.handle(Input::Committed), [Action::Publish { epochs: 2 }, Action::Commit { epochs: 1 }]);
        assert_eq!(committer.handle(Input::Committed), [Action::Publish { epochs: 1 }, Action::Drained]);
    }

    #[test]
    fn an_epoch_larger_than_the_bound_goes_alone() {
        let mut committer = committer();
        assert_eq!(committer.handle(collected(5_000)), [Action::Commit { epochs: 1 }]);
        assert_eq!(committer.queue_bytes(), 5_000);
    }

    #[test]
    fn the_same_group_is_sent_again_with_growing_pauses() {
        let mut committer = committer();
        committer.handle(collected(10));
        committer.handle(collected(10));
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let [Action::Pause { pause_ms }] = committer.handle(Input::Resendable)[..] else { panic!() };
            pauses.push(pause_ms);
            assert_eq!(committer.handle(collected(1)), [], "a pause is not cut short");
            assert_eq!(committer.handle(Input::PauseOver), [Action::Commit { epochs: 1 }]);
        }
        assert_eq!((pauses[0], pauses[1], pauses[11]), (10, 20, RESEND_AFTER_MS_MAX));
        assert_eq!(committer.resent(), 12);
        assert!(matches!(
            committer.handle(Input::Committed)[..],
            [Action::Publish { epochs: 1 }, Action::Commit { .. }]
        ));
    }

    #[test]
    fn a_lost_group_is_sent_again_only_if_the_log_does_not_hold_it() {
        for found in [0, 2] {
            let mut committer = committer();
            committer.handle(collected(10));
            committer.handle(collected(1));
            committer.handle(collected(2));
            committer.handle(Input::Committed);
            assert_eq!(committer.handle(Input::Lost("gone".into())), [Action::Renew]);
            assert_eq!(committer.handle(collected(3)), []);
            assert_eq!(committer.handle(Input::NotRenewed), [Action::Pause { pause_ms: 10 }]);
            assert_eq!(committer.handle(Input::PauseOver), [Action::Renew]);
            let expected = if found == 0 {
                vec![Action::Commit { epochs: 2 }]
            } else {
                vec![Action::Publish { epochs: 2 }, Action::Commit { epochs: 1 }]
            };
            assert_eq!(committer.handle(Input::Renewed { epochs: found }), expected);
        }
    }

    #[test]
    fn half_a_group_in_the_log_and_committers_lost_for_ever_stop() {
        let mut torn = committer();
        (0..3).for_each(|_| drop(torn.handle(collected(10))));
        assert_eq!(torn.handle(Input::Committed), [Action::Publish { epochs: 1 }, Action::Commit { epochs: 2 }]);
        torn.handle(Input::Lost("gone".into()));
        assert!(
            matches!(&torn.handle(Input::Renewed { epochs: 1 })[..], [Action::Stop(reason)] if reason.contains("1 of 2"))
        );
        let mut lost = committer();
        lost.handle(collected(10));
        for _ in 0..RENEWALS_MAX {
            assert_eq!(lost.handle(Input::Lost("gone".into())), [Action::Renew]);
            assert_eq!(lost.handle(Input::Renewed { epochs: 0 }), [Action::Commit { epochs: 1 }]);
        }
        assert_eq!(lost.handle(Input::Lost("gone".into())), [Action::Stop("gone".into())]);
    }

    #[test]
    fn nothing_follows_an_end() {
        let mut committer = committer();
        committer.handle(collected(10));
        assert_eq!(committer.handle(Input::Ended("fenced".into())), [Action::Stop("fenced".into())]);
        assert_eq!(committer.handle(Input::Committed), []);
        assert_eq!(committer.handle(collected(1)), []);
    }
}
