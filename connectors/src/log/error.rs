//! Why a log could not do what it was asked, whichever log it is.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error as ThisError;

use super::admin::TopicId;
use super::record::TopicPartition;

/// What the client library or the store said, kept as a cause.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a log could not be read, written or administered. Names of topics are those that the log uses, with the prefix.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum LogError {
    /// Records that are wanted are gone.
    #[error(
        "{partition} has no offset {position} any more: it begins at {earliest} and ends at {latest}, so the records \
         {position} to {} have expired; take them from the archive, or accept their loss by name", earliest.saturating_sub(1)
    )]
    OffsetOutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The offset that was wanted.
        position: u64,
        /// The first offset that is there.
        earliest: u64,
        /// The offset behind the last.
        latest: u64,
    },
    /// The topic is not there.
    #[error("the topic {topic} does not exist: create it (`dealerflow topics create`), or check the topic prefix")]
    TopicMissing {
        /// The topic.
        topic: String,
    },
    /// The topic has fewer partitions than one that was named.
    #[error("{partition} does not exist: the topic has {}", match partitions {
        0 => "fewer partitions".to_owned(),
        partitions => format!("{partitions} partitions"),
    })]
    PartitionMissing {
        /// The partition.
        partition: TopicPartition,
        /// How many there are, 0 if that is not known.
        partitions: u32,
    },
    /// Another topic has the name now.
    #[error(
        "the topic {topic} is not the one that was read before ({sign}): offsets of the old one mean nothing in it; \
         restore the old topic, or start the pipeline anew under another name"
    )]
    TopicRecreated {
        /// The topic.
        topic: String,
        /// How that was seen.
        sign: RecreationSign,
    },
    /// The log does not accept who we say we are.
    #[error("{endpoint} refuses the credentials: {reason}; check user, password, mechanism and certificates")]
    AuthenticationFailed {
        /// Who refuses.
        endpoint: String,
        /// What it said.
        reason: String,
    },
    /// The log knows us and does not let us.
    #[error("{what} is not allowed to this user: grant it (an ACL of the broker)")]
    NotAuthorized {
        /// What was refused.
        what: String,
    },
    /// No answer, for now.
    #[error("{endpoint} cannot be reached: {reason}; check that it runs and that its address and port are right")]
    Unreachable {
        /// Who does not answer.
        endpoint: String,
        /// What is known.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The log answered that it cannot just now.
    #[error("{what} did not succeed for now: {reason}")]
    Busy {
        /// What was asked.
        what: String,
        /// What the log said.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// A request took longer than its bound.
    #[error("{what} took longer than {} ms: raise the timeout, or find what slows the log", timeout.as_millis())]
    TimedOut {
        /// What was asked.
        what: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// A record is larger than the log takes.
    #[error(
        "a record of {bytes} bytes for {partition} is larger than the {bytes_max} bytes that the log takes: shorten it, or \
         raise the limit of client and topic"
    )]
    RecordTooLarge {
        /// Where it was to go.
        partition: TopicPartition,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A group is larger than one commit takes.
    #[error(
        "a group of {records} records and {bytes} bytes is larger than one commit takes ({records_max} records, {bytes_max} \
         bytes): commit fewer epochs together, or raise the limit"
    )]
    GroupTooLarge {
        /// Records of the group.
        records: usize,
        /// Bytes of the group.
        bytes: usize,
        /// The limit of records.
        records_max: usize,
        /// The limit of bytes.
        bytes_max: usize,
    },
    /// Another instance took over.
    #[error("another instance of {name:?} has taken over{}: run one instance of a pipeline, or give this one another name",
        by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default())]
    Fenced {
        /// The committer's name.
        name: String,
        /// The other's incarnation, if known.
        by: Option<String>,
    },
    /// The folder of an embedded log is in use.
    #[error("the log in {} is in use by {holder}: stop it, ask it instead, or choose another data_dir", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who holds it, as far as it said so.
        holder: String,
    },
    /// A setting is refused.
    #[error("the setting {setting} is refused: {reason}")]
    Configuration {
        /// The setting, by the name that the user gave it.
        setting: String,
        /// What is wrong with it, and how to mend it.
        reason: String,
    },
    /// A call out of turn: a mistake of the program.
    #[error("{what}: this is a mistake in the program")]
    Misuse {
        /// What was done.
        what: String,
    },
    /// The disk below an embedded log failed.
    #[error("the log in {} cannot be {doing}: check the disk, its space and permissions", path.display())]
    Storage {
        /// The folder.
        path: PathBuf,
        /// "read", "written", …
        doing: &'static str,
        /// What the store or the operating system said.
        source: Cause,
    },
    /// What an embedded log holds is not what it wrote.
    #[error("the log in {} is damaged at {place}: restore the folder from a copy", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// Where in it.
        place: String,
    },
    /// Anything else that the client library reports.
    #[error("{what} failed for good: {reason}")]
    Refused {
        /// What was asked.
        what: String,
        /// What the log said.
        reason: String,
    },
}

/// How a recreated topic was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
pub enum RecreationSign {
    /// Its id is another.
    #[error("its id was {expected} and is {found}")]
    Id {
        /// The id that was expected.
        expected: TopicId,
        /// The id that was found.
        found: TopicId,
    },
    /// It ends before a position that was read before.
    #[error("partition {partition} ends at {latest}, before the position {position}")]
    EndBehindPosition {
        /// The partition.
        partition: u32,
        /// The position.
        position: u64,
        /// The offset behind its last record.
        latest: u64,
    },
}

impl LogError {
    /// When the same call may succeed without anyone mending anything; `None` if it will not.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { retry_after, .. } | Self::Busy { retry_after, .. } => Some(*retry_after),
            Self::TimedOut { .. } => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// True if the same call may succeed later without anyone mending anything.
    pub fn is_retriable(&self) -> bool {
        self.retry_after().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_offset_names_the_lost_range() {
        let error = LogError::OffsetOutOfRange {
            partition: TopicPartition::new("leads", 3),
            position: 17,
            earliest: 40,
            latest: 90,
        };
        assert!(error.to_string().contains("leads/3 has no offset 17"), "{error}");
        assert!(error.to_string().contains("17 to 39 have expired"), "{error}");
        assert!(!error.is_retriable());
    }

    #[test]
    fn what_passes_by_itself_says_when_to_try_again() {
        let reason = "connection refused".to_owned();
        let retry_after = Duration::from_millis(250);
        let gone = LogError::Unreachable { endpoint: "127.0.0.1:9092".into(), reason, retry_after };
        assert_eq!(gone.retry_after(), Some(retry_after));
        let fenced = LogError::Fenced { name: "dealerflow".into(), by: Some("run 7".into()) };
        assert!(fenced.to_string().contains("(run 7)"), "{fenced}");
        assert!(!fenced.is_retriable());
    }
}
