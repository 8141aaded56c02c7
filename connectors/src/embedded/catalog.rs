//! The topics of an embedded log, as the store keeps them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::log::{LogError, TopicId, TopicPartition};

/// A topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Topic {
    /// Half of the id is the store's count of topics ever made, half its own random number: unique without a clock.
    pub(super) id: u128,
    /// By partition, the number under which the store keeps its blocks. Numbers are never given again.
    pub(super) numbers: Vec<u32>,
    pub(super) retention_ms: Option<u64>,
    pub(super) retention_bytes: Option<u64>,
}

/// All topics, and the next partition number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Catalog {
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) numbers_given: u32,
    pub(super) topics_made: u64,
    /// Drawn when the log was made, so that topics of two logs differ.
    pub(super) origin: u64,
}

impl Catalog {
    /// Gives `count` new partition numbers.
    pub(super) fn give_numbers(&mut self, count: u32) -> Vec<u32> {
        let first = self.numbers_given;
        self.numbers_given += count;
        (first..self.numbers_given).collect()
    }

    /// A new topic's id.
    pub(super) fn give_id(&mut self) -> TopicId {
        self.topics_made += 1;
        TopicId((u128::from(self.origin) << 64) | u128::from(self.topics_made))
    }

    /// The number of a partition.
    ///
    /// # Errors
    /// If topic or partition is missing.
    pub(super) fn number(&self, partition: &TopicPartition) -> Result<u32, LogError> {
        let topic = self.topic(&partition.topic)?;
        topic.numbers.get(partition.partition as usize).copied().ok_or_else(|| LogError::PartitionMissing {
            partition: partition.clone(),
            partitions: topic.numbers.len() as u32,
        })
    }

    /// A topic.
    ///
    /// # Errors
    /// If it is missing.
    pub(super) fn topic(&self, name: &str) -> Result<&Topic, LogError> {
        self.topics.get(name).ok_or_else(|| LogError::TopicMissing { topic: name.to_owned() })
    }
}
