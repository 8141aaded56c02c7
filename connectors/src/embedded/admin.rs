//! Topics of an embedded log.

use std::sync::Arc;
use std::time::Duration;

use super::catalog::Topic;
use super::store::Store;
use crate::log::{
    CleanupPolicy, LogAdmin, LogError, TopicCreation, TopicDescription, TopicId, TopicPartition, TopicSpec,
};

/// The most partitions of a topic.
const PARTITIONS_MAX: u32 = 1024;

/// Topics of an embedded log.
pub struct EmbeddedAdmin {
    store: Arc<Store>,
}

impl EmbeddedAdmin {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

fn check_partitions(topic: &str, partitions: u32) -> Result<(), LogError> {
    if (1..=PARTITIONS_MAX).contains(&partitions) {
        return Ok(());
    }
    let reason = format!("a topic has between 1 and {PARTITIONS_MAX} partitions, not {partitions}");
    Err(LogError::Configuration { setting: format!("the partitions of topic {topic}"), reason })
}

fn check_settings(spec: &TopicSpec) -> Result<(), LogError> {
    spec.settings.first().map_or(Ok(()), |(name, _)| {
        let reason = "the embedded log has no such setting of topics: leave it out".to_owned();
        Err(LogError::Configuration { setting: name.clone(), reason })
    })
}

impl LogAdmin for EmbeddedAdmin {
    fn create_topics(&mut self, specs: &[TopicSpec]) -> Result<Vec<TopicCreation>, LogError> {
        specs.iter().try_for_each(|spec| {
            check_partitions(&spec.name, spec.partitions)?;
            check_settings(spec)
        })?;
        self.store.change_catalog(|catalog| {
            let mut creations = Vec::with_capacity(specs.len());
            for spec in specs {
                if let Some(topic) = catalog.topics.get(&spec.name) {
                    creations.push(TopicCreation::AlreadyThere { partitions: topic.numbers.len() as u32 });
                    continue;
                }
                let TopicId(id) = catalog.give_id();
                let topic = Topic {
                    id,
                    numbers: catalog.give_numbers(spec.partitions),
                    retention_ms: spec.retention.map(|kept| kept.as_millis() as u64),
                    retention_bytes: spec.retention_bytes,
                };
                catalog.topics.insert(spec.name.clone(), topic);
                creations.push(TopicCreation::Created);
            }
            Ok(creations)
        })
    }

    fn add_partitions(&mut self, topic: &str, partitions_total: u32) -> Result<(), LogError> {
        check_partitions(topic, partitions_total)?;
        self.store.change_catalog(|catalog| {
            let held = catalog.topic(topic)?.numbers.len() as u32;
            let more =
                partitions_total.checked_sub(held).filter(|&more| more > 0).ok_or_else(|| LogError::Refused {
                    what: format!("adding partitions to topic {topic}"),
                    reason: format!("it has {held} partitions already"),
                })?;
            let numbers = catalog.give_numbers(more);
            if let Some(topic) = catalog.topics.get_mut(topic) {
                topic.numbers.extend(numbers);
            }
            Ok(())
        })
    }

    fn delete_topic(&mut self, topic: &str) -> Result<(), LogError> {
        self.store.change_catalog(|catalog| {
            catalog.topic(topic)?;
            catalog.topics.remove(topic);
            Ok(())
        })
    }

    fn delete_records(&mut self, topic: &str, partition: u32, offset: u64) -> Result<(), LogError> {
        let partition = TopicPartition::new(topic, partition);
        let number = self.store.writer().catalog.number(&partition)?;
        let gone = || LogError::TopicMissing { topic: topic.to_owned() };
        let bounds = self.store.bounds(number).ok_or_else(gone)?;
        if offset > bounds.end {
            let (earliest, latest) = (bounds.earliest, bounds.end);
            return Err(LogError::OffsetOutOfRange { partition, position: offset, earliest, latest });
        }
        self.store.delete_before(number, offset)
    }

    fn list_topics(&mut self) -> Result<Vec<String>, LogError> {
        Ok(self.store.writer().catalog.topics.keys().cloned().collect())
    }

    fn describe_topic(&mut self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        let Some(held) = self.store.writer().catalog.topics.get(topic).cloned() else {
            return Ok(None);
        };
        Ok(Some(TopicDescription {
            name: topic.to_owned(),
            id: Some(TopicId(held.id)),
            partitions: held.numbers.iter().filter_map(|&number| self.store.bounds(number)).collect(),
            cleanup_policy: CleanupPolicy::Delete,
            retention: held.retention_ms.map(Duration::from_millis),
            record_bytes_max: Some(self.store.config.limits.record_bytes_max as u64),
        }))
    }
}
