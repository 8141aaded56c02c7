//! Topics of a cluster.

use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::context::KafkaContext;
use super::error::Request;
use super::topic_ids::{TopicIdQuery, TopicIdentity};
use crate::log::{
    CleanupPolicy, LogAdmin, LogError, PartitionBounds, TopicCreation, TopicDescription, TopicPartition, TopicSpec,
};

/// How often a new topic is looked for until every broker knows it.
const VISIBILITY_POLL: Duration = Duration::from_millis(20);

/// How many of the client's events are served before an error is put into words.
const EVENTS_BEFORE_ERROR_MAX: usize = 64;

/// Topics of a cluster.
pub struct KafkaAdmin {
    config: KafkaConfig,
    client: AdminClient<KafkaContext>,
    /// Sees the stable end.
    committed: BaseConsumer<KafkaContext>,
    /// Sees the end.
    uncommitted: BaseConsumer<KafkaContext>,
}

impl KafkaAdmin {
    pub(super) fn new(config: KafkaConfig) -> Result<Self, LogError> {
        let refuse = |error: KafkaError| LogError::Configuration { setting: "kafka".into(), reason: error.to_string() };
        let context = || KafkaContext::new(config.oauth_token_file.clone());
        let client = config.asking("dealerflow-admin").create_with_context(context()).map_err(refuse)?;
        let mut settings = config.consumer("dealerflow-admin", 1);
        settings.remove("statistics.interval.ms");
        let committed = settings.create_with_context(context()).map_err(refuse)?;
        let uncommitted =
            settings.set("isolation.level", "read_uncommitted").create_with_context(context()).map_err(refuse)?;
        Ok(Self { config, client, committed, uncommitted })
    }

    fn options(&self) -> AdminOptions {
        let timeout = self.config.limits.admin_timeout;
        AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout))
    }

    fn error(&self, what: &str, topic: Option<&str>, error: &KafkaError) -> LogError {
        // The words about connections and credentials come to the consumer, whose events are served here.
        // Each look serves one of them, whether it has something to say or not.
        for _ in 0..EVENTS_BEFORE_ERROR_MAX {
            self.committed.poll(Duration::ZERO);
        }
        let what = topic.map_or_else(|| what.to_owned(), |topic| format!("{what} topic {topic}"));
        let timeout = self.config.limits.admin_timeout;
        Request { config: &self.config, context: self.committed.context(), what, topic, timeout }.error(error)
    }

    fn identity(&self, topic: &str) -> Result<Option<TopicIdentity>, LogError> {
        let timeout = self.config.limits.admin_timeout;
        let failed = |code| self.error("describing", Some(topic), &KafkaError::MetadataFetch(code));
        let query = TopicIdQuery::start(self.committed.client(), &[topic.to_owned()], timeout)
            .ok_or_else(|| failed(RDKafkaErrorCode::InvalidArgument))?;
        let deadline = Instant::now() + timeout;
        let answer = loop {
            if let Some(answer) = query.poll(Duration::from_millis(100)) {
                break answer;
            }
            while self.committed.poll(Duration::ZERO).is_some() {}
            if self.committed.context().told().authentication.is_some() || Instant::now() > deadline {
                break Err(RDKafkaErrorCode::OperationTimedOut);
            }
        };
        match answer.map_err(failed)?.into_iter().next() {
            Some((_, Ok(identity))) => Ok(Some(identity)),
            None | Some((_, Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic))) => {
                Ok(None)
            }
            Some((_, Err(code))) => Err(failed(code)),
        }
    }

    fn bounds(&self, topic: &str, partition: u32) -> Result<PartitionBounds, LogError> {
        let timeout = self.config.limits.admin_timeout;
        let deadline = Instant::now() + timeout;
        let ask = |consumer: &BaseConsumer<KafkaContext>| loop {
            let watermarks = consumer.fetch_watermarks(topic, partition as i32, timeout);
            let error = match watermarks {
                Ok(watermarks) => return Ok(watermarks),
                Err(error) => self.error("describing", Some(topic), &error),
            };
            // The leader of a new partition takes its time to know that it is one.
            if !matches!(error, LogError::Busy { .. }) || Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(VISIBILITY_POLL);
        };
        // The stable end first: what is committed in between must not look like an open transaction.
        let (_, stable_end) = ask(&self.committed)?;
        let (earliest, end) = ask(&self.uncommitted)?;
        let (_, stable_end_after) = if stable_end < end { ask(&self.committed)? } else { (0, stable_end) };
        let [earliest, stable_end, end] = [earliest, stable_end_after.min(end), end].map(|offset| offset.max(0) as u64);
        Ok(PartitionBounds { earliest, stable_end, end })
    }
}

impl LogAdmin for KafkaAdmin {
    fn own_name(&self, topic: &str) -> String {
        self.config.topic_on_cluster(topic)
    }

    fn create_topics(&mut self, specs: &[TopicSpec]) -> Result<Vec<TopicCreation>, LogError> {
        let mut creations = Vec::with_capacity(specs.len());
        for spec in specs {
            let name = self.config.topic_on_cluster(&spec.name);
            let retention = spec.retention.map_or_else(|| "-1".to_owned(), |kept| kept.as_millis().to_string());
            let retention_bytes = spec.retention_bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
            let batch_bytes = (self.config.limits.record_bytes_max + (64 << 10)).to_string();
            let mut settings = vec![
                ("cleanup.policy", "delete"),
                ("retention.ms", &retention),
                ("retention.bytes", &retention_bytes),
                ("max.message.bytes", &batch_bytes),
            ];
            settings.retain(|(name, _)| !spec.settings.iter().any(|(given, _)| given == name));
            settings.extend(spec.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let replication = TopicReplication::Fixed(self.config.replication_factor);
            let mut topic = NewTopic::new(&name, spec.partitions as i32, replication);
            for (setting, value) in &settings {
                topic = topic.set(setting, value);
            }
            let results = block_on(self.client.create_topics([&topic], &self.options()))
                .map_err(|error| self.error("creating", Some(&name), &error))?;
            match results.into_iter().next() {
                Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
                    let partitions = self.identity(&name)?.map_or(0, |identity| identity.partitions);
                    creations.push(TopicCreation::AlreadyThere { partitions });
                }
                Some(Err((_, code))) => return Err(self.error("creating", Some(&name), &KafkaError::AdminOp(code))),
                Some(Ok(_)) | None => {
                    let deadline = Instant::now() + self.config.limits.admin_timeout;
                    while self.identity(&name)?.is_none_or(|identity| identity.partitions < spec.partitions)
                        && Instant::now() < deadline
                    {
                        std::thread::sleep(VISIBILITY_POLL);
                    }
                    creations.push(TopicCreation::Created);
                }
            }
        }
        Ok(creations)
    }

    fn add_partitions(&mut self, topic: &str, partitions_total: u32) -> Result<(), LogError> {
        let name = self.config.topic_on_cluster(topic);
        let more = NewPartitions::new(&name, partitions_total as usize);
        let results = block_on(self.client.create_partitions([&more], &self.options()))
            .map_err(|error| self.error("adding partitions to", Some(&name), &error))?;
        match results.into_iter().next() {
            Some(Err((_, code))) => Err(self.error("adding partitions to", Some(&name), &KafkaError::AdminOp(code))),
            _ => Ok(()),
        }
    }

    fn delete_topic(&mut self, topic: &str) -> Result<(), LogError> {
        let name = self.config.topic_on_cluster(topic);
        let results = block_on(self.client.delete_topics(&[&name], &self.options()))
            .map_err(|error| self.error("deleting", Some(&name), &error))?;
        match results.into_iter().next() {
            Some(Err((_, code))) => Err(self.error("deleting", Some(&name), &KafkaError::AdminOp(code))),
            _ => Ok(()),
        }
    }

    fn delete_records(&mut self, topic: &str, partition: u32, offset: u64) -> Result<(), LogError> {
        let name = self.config.topic_on_cluster(topic);
        let failed = |error: &KafkaError| self.error("deleting records of", Some(&name), error);
        let mut list = TopicPartitionList::with_capacity(1);
        let number = partition as i32;
        list.add_partition_offset(&name, number, Offset::Offset(offset as i64)).map_err(|error| failed(&error))?;
        let answer = block_on(self.client.delete_records(&list, &self.options())).map_err(|error| failed(&error))?;
        match answer.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::error) {
            Some(Err(KafkaError::OffsetFetch(RDKafkaErrorCode::OffsetOutOfRange))) => {
                let PartitionBounds { earliest, end, .. } = self.bounds(&name, partition)?;
                let partition = TopicPartition::new(topic, partition);
                Err(LogError::OffsetOutOfRange { partition, position: offset, earliest, latest: end })
            }
            Some(Err(error)) => Err(failed(&error)),
            _ => Ok(()),
        }
    }

    fn list_topics(&mut self) -> Result<Vec<String>, LogError> {
        let timeout = self.config.limits.admin_timeout;
        let metadata = self.committed.fetch_metadata(None, timeout);
        let metadata = metadata.map_err(|error| self.error("listing topics", None, &error))?;
        let names = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none())
            .map(rdkafka::metadata::MetadataTopic::name);
        let ours = names.filter(|name| !name.starts_with("__"));
        let mut ours: Vec<String> =
            ours.filter_map(|name| name.strip_prefix(&self.config.topic_prefix)).map(str::to_owned).collect();
        ours.sort_unstable();
        Ok(ours)
    }

    fn describe_topic(&mut self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        let name = self.config.topic_on_cluster(topic);
        let Some(identity) = self.identity(&name)? else {
            return Ok(None);
        };
        let resource = ResourceSpecifier::Topic(&name);
        let answers = block_on(self.client.describe_configs([&resource], &self.options()));
        let answers = answers.map_err(|error| self.error("describing", Some(&name), &error))?;
        let settings = match answers.into_iter().next() {
            Some(Ok(settings)) => settings,
            Some(Err(code)) => return Err(self.error("describing", Some(&name), &KafkaError::AdminOp(code))),
            None => return Ok(None),
        };
        let setting = |name: &str| settings.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default();
        let policy = setting("cleanup.policy");
        let cleanup_policy = match (policy.contains("compact"), policy.contains("delete")) {
            (true, true) => CleanupPolicy::CompactAndDelete,
            (true, false) => CleanupPolicy::Compact,
            (false, _) => CleanupPolicy::Delete,
        };
        let partitions =
            (0..identity.partitions).map(|partition| self.bounds(&name, partition)).collect::<Result<_, _>>()?;
        Ok(Some(TopicDescription {
            name: topic.to_owned(),
            id: identity.id,
            partitions,
            cleanup_policy,
            retention: setting("retention.ms").parse().ok().map(Duration::from_millis),
            record_bytes_max: setting("max.message.bytes").parse().ok(),
        }))
    }
}
