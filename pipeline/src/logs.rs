//! The log that a configuration names.

use std::path::PathBuf;
use std::sync::Arc;

use connectors::embedded::{EmbeddedConfig, EmbeddedLog};
use connectors::kafka::{KafkaConfig, KafkaLog};
use connectors::log::{CleanupPolicy, Log, LogAdmin, LogError, LogLimits, TopicSpec};
use operators::domain::event::Topic;

use crate::config::{Config, SourceKind};
use crate::messages::{EPOCHS, OUTPUT_TOPICS};

/// Partitions of a topic that is made, unless told otherwise.
pub const PARTITIONS_DEFAULT: u32 = 4;

/// The log of a configuration; nothing of a cluster is contacted yet.
///
/// # Errors
/// If a setting is refused, or the folder of an embedded log cannot be opened.
pub fn open_log(config: &Config) -> Result<Arc<dyn Log>, LogError> {
    let limits = LogLimits { commit_bytes_max: commit_bytes_max(config) as usize, ..LogLimits::default() };
    match config.source.kind {
        SourceKind::Kafka => {
            let mut kafka = KafkaConfig::new(&config.kafka.brokers.to_string(), &config.name);
            kafka.topic_prefix.clone_from(&config.kafka.topic_prefix);
            kafka.client = config.kafka.client.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            kafka.limits = limits;
            Ok(Arc::new(KafkaLog::new(kafka)?))
        }
        SourceKind::Embedded => {
            let mut embedded = EmbeddedConfig::new(&embedded_folder(config));
            embedded.holder = format!("dealerflow {} (process {})", config.name, std::process::id());
            // The log's own buffers are a part of the configured memory: by default 32 and 64 MiB.
            let share = |part: u64, most: u64| (config.memory_limit_bytes() / part).clamp(4 << 20, most);
            embedded.cache_bytes_max = share(128, embedded.cache_bytes_max);
            embedded.write_buffer_bytes_max = share(64, embedded.write_buffer_bytes_max);
            embedded.limits = limits;
            Ok(Arc::new(EmbeddedLog::open(embedded)?))
        }
    }
}

/// The folder of the embedded log.
pub fn embedded_folder(config: &Config) -> PathBuf {
    config.data_dir.join("log")
}

/// What the log's own bound must leave room for: one group, which may be a single large epoch.
fn commit_bytes_max(config: &Config) -> u64 {
    config.commit_bytes_max().saturating_mul(4).max(256 << 20)
}

/// Every topic of a pipeline, as it is made when it is missing.
pub fn topic_specs(partitions: u32) -> Vec<TopicSpec> {
    let inputs = Topic::ALL.into_iter().map(|topic| TopicSpec::new(topic.name(), partitions));
    let outputs = OUTPUT_TOPICS.into_iter().map(|name| TopicSpec::new(name, partitions));
    inputs.chain(outputs).chain([TopicSpec::new(EPOCHS, 1)]).collect()
}

/// What is wrong with the topics of a pipeline, a sentence each.
///
/// # Errors
/// If the log cannot be asked.
pub fn check_topics(admin: &mut dyn LogAdmin) -> Result<Vec<String>, LogError> {
    let mut problems = Vec::new();
    for spec in topic_specs(PARTITIONS_DEFAULT) {
        let is_input = Topic::ALL.into_iter().any(|topic| topic.name() == spec.name);
        match admin.describe_topic(&spec.name)? {
            None => problems.push(format!("the topic {} does not exist: run `dealerflow topics create`", spec.name)),
            Some(found) if (is_input || spec.name == EPOCHS) && found.cleanup_policy != CleanupPolicy::Delete => {
                problems.push(format!(
                    "the topic {} is compacted, so records vanish from it: set cleanup.policy=delete for it",
                    spec.name
                ));
            }
            Some(found) if spec.name == EPOCHS && found.partitions.len() != 1 => problems.push(format!(
                "the topic {EPOCHS} has {} partitions and must have one: make it anew, under another prefix",
                found.partitions.len()
            )),
            Some(_) => {}
        }
    }
    Ok(problems)
}
