//! The log on Apache Kafka.
//!
//! ```text
//!  KafkaConfig ─► KafkaLog ─┬─► KafkaReader     assign, one queue a partition, read_committed, topic ids watched
//!                           ├─► KafkaCommitter  init_transactions; begin, produce, wait, offsets, commit
//!                           ├─► KafkaAppender   idempotent producer, acks=all
//!                           └─► KafkaAdmin      topics, settings, bounds; open transactions by the stable end
//! ```
//! Nothing here ever subscribes: no group hands out partitions behind our back, and no committed offset is ever read. The client
//! library decides nothing about positions (`auto.offset.reset=error`) or partitions (each record names its own).

mod admin;
mod appender;
mod committer;
mod config;
mod context;
mod error;
mod producing;
mod reader;
mod topic_ids;
mod transactional;

pub use admin::KafkaAdmin;
pub use appender::KafkaAppender;
pub use committer::KafkaCommitter;
pub use config::{Compression, KafkaConfig, OauthTokenFile};
pub use reader::KafkaReader;

use crate::log::{CommitterIdentity, Log, LogAdmin, LogAppender, LogCommitter, LogError, LogReader};

/// A Kafka cluster seen under one configuration.
#[derive(Clone, Debug)]
pub struct KafkaLog {
    config: KafkaConfig,
}

impl KafkaLog {
    /// A log on the cluster that `config` names; nothing is contacted yet.
    ///
    /// # Errors
    /// If a setting is refused: by us, because the contract hangs on it, or by the client library.
    pub fn new(config: KafkaConfig) -> Result<Self, LogError> {
        config.check()?;
        Ok(Self { config })
    }
}

impl Log for KafkaLog {
    fn reader(&self, name: &str) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(KafkaReader::new(self.config.clone(), name)))
    }

    fn committer(&self, identity: CommitterIdentity) -> Result<Box<dyn LogCommitter>, LogError> {
        Ok(Box::new(KafkaCommitter::new(&self.config, identity)))
    }

    fn appender(&self, name: &str) -> Result<Box<dyn LogAppender>, LogError> {
        Ok(Box::new(KafkaAppender::new(self.config.clone(), name)?))
    }

    fn admin(&self) -> Result<Box<dyn LogAdmin>, LogError> {
        Ok(Box::new(KafkaAdmin::new(self.config.clone())?))
    }
}
