//! What makes a replay's results visible, in order: a state machine without I/O.
//!
//! ```text
//!   running ─ Finished ─▶ FinishTopics ─ TopicsFinished ─▶ PublishManifest ─ ManifestPublished ─▶ done
//!      └──────── Failed, at any time before ─▶ Discard
//! ```
//! Parquet files and partial topics may lie about before; nobody reads them until the manifest names them. A failure anywhere before
//! that leaves nothing visible.

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// All epochs are processed and every file is written.
    Finished,
    /// The topics have their final names.
    TopicsFinished,
    /// The manifest is there.
    ManifestPublished,
    /// Something failed.
    Failed,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give the topics their final names.
    FinishTopics,
    /// Publish the manifest: from then on the results are visible.
    PublishManifest,
    /// Remove what was written.
    Discard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    FinishingTopics,
    Publishing,
    Done,
}

/// The committer of one replay.
#[derive(Debug)]
pub struct Committer {
    state: State,
}

impl Default for Committer {
    fn default() -> Self {
        Committer { state: State::Running }
    }
}

impl Committer {
    /// Takes what happened and says what to do next; nothing, where the order is another.
    pub fn handle(&mut self, input: &Input) -> Option<Action> {
        let (state, action) = match (self.state, input) {
            (State::Running, Input::Finished) => (State::FinishingTopics, Some(Action::FinishTopics)),
            (State::FinishingTopics, Input::TopicsFinished) => (State::Publishing, Some(Action::PublishManifest)),
            (State::Publishing, Input::ManifestPublished) => (State::Done, None),
            (State::Running | State::FinishingTopics | State::Publishing, Input::Failed) => {
                (State::Done, Some(Action::Discard))
            }
            (state, _) => (state, None),
        };
        self.state = state;
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_comes_last_and_once() {
        let mut committer = Committer::default();
        assert_eq!(committer.handle(&Input::ManifestPublished), None);
        assert_eq!(committer.handle(&Input::Finished), Some(Action::FinishTopics));
        assert_eq!(committer.handle(&Input::TopicsFinished), Some(Action::PublishManifest));
        assert_eq!(committer.handle(&Input::Finished), None);
        assert_eq!(committer.handle(&Input::ManifestPublished), None);
        assert_eq!(committer.handle(&Input::Failed), None);
    }

    #[test]
    fn a_failure_before_the_manifest_discards() {
        for inputs in [vec![], vec![Input::Finished], vec![Input::Finished, Input::TopicsFinished]] {
            let mut committer = Committer::default();
            for input in &inputs {
                committer.handle(input);
            }
            assert_eq!(committer.handle(&Input::Failed), Some(Action::Discard), "{inputs:?}");
        }
    }
}
