//! Commits: one batch of the store each.

use std::sync::Arc;

use super::store::{Store, WriteError};
use crate::log::{CommitGroup, CommitOutcome, CommitterIdentity, LogCommitter, LogError};

/// A committer of an embedded log.
pub struct EmbeddedCommitter {
    store: Arc<Store>,
    identity: CommitterIdentity,
    turn: Option<u64>,
    ended: bool,
}

/// Why a commit was refused before it wrote anything.
enum Refusal {
    Fenced(String),
    Failed(LogError),
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        Self::Failed(error)
    }
}

impl EmbeddedCommitter {
    pub(super) fn new(store: Arc<Store>, identity: CommitterIdentity) -> Self {
        Self { store, identity, turn: None, ended: false }
    }

    fn check(&self, group: &CommitGroup) -> Result<(), LogError> {
        let limits = &self.store.config.limits;
        let (records, bytes) = (group.records.len(), group.records.bytes());
        let (records_max, bytes_max) = (limits.commit_records_max, limits.commit_bytes_max);
        if records > records_max || bytes > bytes_max {
            return Err(LogError::GroupTooLarge { records, bytes, records_max, bytes_max });
        }
        group.records.check_records(limits)
    }
}

impl LogCommitter for EmbeddedCommitter {
    fn open(&mut self) -> Result<(), LogError> {
        if self.ended {
            return Err(LogError::Misuse { what: "a committer that has ended was opened again".to_owned() });
        }
        if self.turn.is_some() {
            return Ok(());
        }
        let (turn, written) = {
            let mut writer = self.store.writer();
            (writer.fence(&self.identity.name, &self.identity.incarnation), writer.written())
        };
        // What the former one wrote before it was fenced becomes durable before anybody reads on.
        self.store.sync(written)?;
        self.turn = Some(turn);
        Ok(())
    }

    /// `mirrored_offsets` are for tools of Kafka and are not kept.
    fn commit(&mut self, group: &CommitGroup) -> CommitOutcome {
        let Some(turn) = self.turn.filter(|_| !self.ended) else {
            let what = "a group was committed before the committer was open, or after it had ended".to_owned();
            return CommitOutcome::Fatal { error: LogError::Misuse { what } };
        };
        if let Err(error) = self.check(group) {
            return CommitOutcome::Fatal { error };
        }
        let name = &self.identity.name;
        let written = self.store.write(&group.records, None, |writer| {
            writer.fenced_by(name, turn).map_or(Ok(()), |by| Err(Refusal::Fenced(by)))
        });
        match written {
            Ok(_) => CommitOutcome::Committed,
            // A topic that is missing may be made and the group sent again.
            Err(WriteError::Before(Refusal::Failed(
                error @ (LogError::TopicMissing { .. } | LogError::PartitionMissing { .. }),
            ))) => CommitOutcome::Aborted { error },
            Err(refused) => {
                self.ended = true;
                match refused {
                    WriteError::Before(Refusal::Fenced(by)) => CommitOutcome::Fenced { by: Some(by) },
                    WriteError::Before(Refusal::Failed(error)) => CommitOutcome::Fatal { error },
                    WriteError::During(error) => CommitOutcome::InDoubt { error },
                }
            }
        }
    }

    fn is_open(&self) -> bool {
        self.turn.is_some() && !self.ended
    }
}
