//! Commits of one pipeline: two transactional producers in turn.
//!
//! ```text
//!   group 1 ─▶ producer 1: begin … commit ─┐ markers are being written
//!   group 2 ─────────────▶ producer 2: begin … commit ─┐
//!   group 3 ───────────────────────────▶ producer 1: begin …
//! ```
//! A broker answers a commit before it has written its markers, and refuses the same producer's next transaction until it has; the client
//! library then asks again after 20 ms. With another producer the next transaction begins at once. They stay in order: a
//! transaction begins only when the commit before it was answered, from when on it cannot be undone.
//!
//! **Fencing**: opening fences both, and settles what either left. Only then is the log's end looked at, so what a fenced instance
//! managed to commit in between is seen. Two that open at once may each fence one of the other's. Both begin with the first producer, so one
//! at most commits anything, and both end as fenced.

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};

use super::config::KafkaConfig;
use super::context::KafkaContext;
use super::transactional::{TransactionalProducer, refused};
use crate::log::{CommitGroup, CommitOutcome, CommitterIdentity, LogCommitter, LogError};

/// What the second producer's id has behind the pipeline's name, which is the first one's.
const SECOND: &str = "-2";

/// The committer of one pipeline.
pub struct KafkaCommitter {
    config: KafkaConfig,
    /// The pipeline's name.
    name: String,
    /// The group that offsets are mirrored to, whoever's turn it is.
    consumers: Option<ConsumerGroupMetadata>,
    producers: [TransactionalProducer; 2],
    /// Whose turn it is.
    turn: usize,
}

impl KafkaCommitter {
    pub(super) fn new(config: &KafkaConfig, identity: CommitterIdentity) -> Self {
        let name = identity.name;
        let producers = ["", SECOND].map(|end| TransactionalProducer::new(config.clone(), format!("{name}{end}")));
        KafkaCommitter { config: config.clone(), name, consumers: None, producers, turn: 0 }
    }

    /// The name of the group that offsets are mirrored to, as the client library wants it.
    fn name_consumers(&mut self) -> Result<(), LogError> {
        if self.consumers.is_some() {
            return Ok(());
        }
        let context = KafkaContext::new(self.config.oauth_token_file.clone());
        // This consumer never asks anything.
        let consumer: Result<BaseConsumer<KafkaContext>, _> =
            self.config.consumer(&self.name, 1).create_with_context(context);
        self.consumers = consumer.map_err(|error| refused(&error))?.group_metadata();
        Ok(())
    }
}

impl LogCommitter for KafkaCommitter {
    fn open(&mut self) -> Result<(), LogError> {
        self.name_consumers()?;
        self.producers.iter_mut().try_for_each(TransactionalProducer::open)
    }

    fn commit(&mut self, group: &CommitGroup) -> CommitOutcome {
        let outcome = self.producers[self.turn].commit(group, self.consumers.as_ref());
        // What was undone is settled by the producer that began it, before another begins anything.
        if matches!(outcome, CommitOutcome::Committed) {
            self.turn = (self.turn + 1) % self.producers.len();
        }
        outcome
    }

    fn is_open(&self) -> bool {
        self.producers.iter().all(TransactionalProducer::is_open)
    }
}
