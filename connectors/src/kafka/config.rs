//! How the cluster is reached, and the client settings that the contract hangs on.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::log::{LogError, LogLimits};

/// Settings of the client library that a user may not give, each with the reason.
const RESERVED: [(&str, &str); 15] = [
    ("bootstrap.servers", "give kafka.brokers instead"),
    ("metadata.broker.list", "give kafka.brokers instead"),
    ("isolation.level", "readers must not see what could be undone"),
    ("enable.idempotence", "a retry must not write twice"),
    ("acks", "what is acknowledged must survive the loss of a broker"),
    ("request.required.acks", "what is acknowledged must survive the loss of a broker"),
    ("transactional.id", "it is the pipeline's name"),
    ("transaction.timeout.ms", "it follows from the commit timeout"),
    ("message.timeout.ms", "it follows from the commit and append timeouts"),
    ("enable.auto.commit", "positions are those of topic epochs alone"),
    ("auto.offset.reset", "records must not be skipped in silence"),
    ("enable.partition.eof", "the end of a partition must be told"),
    ("group.id", "it is the pipeline's name"),
    ("partitioner", "partitions are computed as Java's client does"),
    ("compression.type", "give kafka.compression instead"),
];

/// How long a broken connection waits before it is tried anew, at first.
const RETRY_BACKOFF_MS: &str = "4";

/// How much longer a transaction lives at the broker than we wait for it, so that we abort it and not the broker.
const ABORT_ALLOWANCE: Duration = Duration::from_secs(10);

/// How records are compressed on their way and at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// lz4: least work.
    Lz4,
    /// Zstandard: fewest bytes.
    #[default]
    Zstd,
}

impl Compression {
    fn setting(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// A file that holds a bearer token (a JWT), read anew whenever the client wants one: for SASL/OAUTHBEARER with tokens that
/// something else keeps fresh, such as a projected token of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthTokenFile {
    /// The file.
    pub path: PathBuf,
}

/// How the cluster is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, comma-separated; any of them leads to all.
    pub brokers: String,
    /// What every topic's name begins with.
    pub topic_prefix: String,
    /// Further settings of librdkafka (`security.protocol`, `sasl.*`, `ssl.*`, `client.rack`, …), passed through.
    pub client: BTreeMap<String, String>,
    /// How records are compressed.
    pub compression: Compression,
    /// Replicas of the topics that are made; −1 leaves it to the broker.
    pub replication_factor: i32,
    /// The consumer group in which commits mirror the input's offsets.
    pub group: String,
    /// Where bearer tokens come from, for `sasl.mechanisms=OAUTHBEARER`.
    pub oauth_token_file: Option<OauthTokenFile>,
    /// The bounds.
    pub limits: LogLimits,
}

impl fmt::Debug for KafkaConfig {
    /// As it is, but for secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client: BTreeMap<_, _> = self
            .client
            .iter()
            .map(|(name, value)| (name, if is_secret(name) { "***" } else { value.as_str() }))
            .collect();
        formatter
            .debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("topic_prefix", &self.topic_prefix)
            .field("client", &client)
            .field("compression", &self.compression)
            .field("replication_factor", &self.replication_factor)
            .field("group", &self.group)
            .field("oauth_token_file", &self.oauth_token_file)
            .field("limits", &self.limits)
            .finish()
    }
}

/// True if the value of a client setting must never be printed.
fn is_secret(name: &str) -> bool {
    const SECRET_PARTS: [&str; 7] = ["password", "secret", "token", "credential", ".pem", "oauthbearer.config", "jaas"];
    let name = name.to_ascii_lowercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

impl KafkaConfig {
    /// The cluster at `brokers`, with no prefix, zstd, and the default bounds.
    pub fn new(brokers: &str, group: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            topic_prefix: String::new(),
            client: BTreeMap::new(),
            compression: Compression::default(),
            replication_factor: -1,
            group: group.to_owned(),
            oauth_token_file: None,
            limits: LogLimits::default(),
        }
    }

    /// The name of a topic on the cluster.
    pub fn topic_on_cluster(&self, topic: &str) -> String {
        format!("{}{topic}", self.topic_prefix)
    }

    pub(super) fn check(&self) -> Result<(), LogError> {
        let refused = |setting: &str, reason: &str| {
            Err(LogError::Configuration { setting: setting.to_owned(), reason: reason.to_owned() })
        };
        if self.brokers.trim().is_empty() {
            return refused("kafka.brokers", "name at least one broker as host:port");
        }
        for (name, reason) in RESERVED {
            if self.client.contains_key(name) {
                return refused(&format!("kafka.client.{name}"), &format!("leave it out: {reason}"));
            }
        }
        let socket_timeout = self.client.get("socket.timeout.ms").and_then(|text| text.parse::<u128>().ok());
        if socket_timeout.is_some_and(|timeout_ms| timeout_ms > self.transaction_timeout().as_millis()) {
            let longest_ms = self.transaction_timeout().as_millis();
            return refused(
                "kafka.client.socket.timeout.ms",
                &format!("a request must end before its transaction does: at most {longest_ms}"),
            );
        }
        let checked =
            [self.consumer("check", 1), self.transactional_producer("check"), self.appending_producer("check")];
        checked.iter().try_for_each(|config| match config.create_native_config() {
            Ok(_) => Ok(()),
            Err(rdkafka::error::KafkaError::ClientConfig(_, reason, name, _)) => {
                refused(&format!("kafka.client.{name}"), &reason)
            }
            Err(error) => refused("kafka.client", &error.to_string()),
        })
    }

    /// How long the broker lets a transaction live.
    pub(super) fn transaction_timeout(&self) -> Duration {
        self.limits.commit_timeout + ABORT_ALLOWANCE
    }

    fn common(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("client.id", client_id)
            .set("retry.backoff.ms", RETRY_BACKOFF_MS)
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            // Below any sensible commit timeout, so that a request that hangs is tried again within it.
            .set("socket.timeout.ms", self.limits.commit_timeout.as_millis().min(10_000).to_string())
            .set("socket.nagle.disable", "true")
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.refresh.interval.ms", "10000");
        for (name, value) in &self.client {
            config.set(name, value);
        }
        // The broker list comes last: nothing overrides it.
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// Settings of a client that only asks.
    pub(super) fn asking(&self, client_id: &str) -> ClientConfig {
        self.common(client_id)
    }

    /// Settings of a reader of `partitions` partitions.
    pub(super) fn consumer(&self, client_id: &str, partitions: usize) -> ClientConfig {
        /// The client keeps one queue a partition: the bound is shared out among them, in KiB.
        const QUEUE_KIB_MIN: usize = 64;
        let read_ahead_kib = (self.limits.read_ahead_bytes_max / 1024 / partitions.max(1)).max(QUEUE_KIB_MIN);
        let fetch_bytes = (read_ahead_kib * 1024).clamp(64 << 10, 1 << 20);
        let record_bytes = self.limits.record_bytes_max.clamp(fetch_bytes, 1 << 30);
        let mut config = self.common(client_id);
        config
            .set("group.id", &self.group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.error.backoff.ms", "100")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.min.messages", "1000000")
            .set("queued.max.messages.kbytes", read_ahead_kib.to_string())
            .set("fetch.message.max.bytes", fetch_bytes.to_string())
            .set("fetch.max.bytes", record_bytes.to_string())
            // It bounds what a batch may unpack to as well, and the unpacking buffer triples as it grows.
            .set("receive.message.max.bytes", (record_bytes.min(200 << 20) * 4).max(100_000_000).to_string())
            .set("statistics.interval.ms", "1000");
        config
    }

    fn producer(&self, client_id: &str) -> ClientConfig {
        let mut config = self.common(client_id);
        let buffered_kib = (self.limits.commit_bytes_max / 1024).max(1024) * 2;
        config
            .set("enable.idempotence", "true")
            .set("compression.type", self.compression.setting())
            // A topic that is still unknown after this is missing.
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("message.max.bytes", (self.limits.record_bytes_max + (64 << 10)).to_string())
            .set("queue.buffering.max.messages", (self.limits.commit_records_max + 1).to_string())
            .set("queue.buffering.max.kbytes", buffered_kib.to_string());
        config
    }

    /// Settings of the committer called `name`.
    pub(super) fn transactional_producer(&self, name: &str) -> ClientConfig {
        let mut config = self.producer(name);
        config
            .set("transactional.id", name)
            .set("transaction.timeout.ms", self.transaction_timeout().as_millis().to_string())
            .set("message.timeout.ms", self.limits.commit_timeout.as_millis().to_string())
            // A group is in hand as a whole before it is sent, so there is nothing to wait for.
            .set("linger.ms", "0.5");
        config
    }

    /// Settings of an appender.
    pub(super) fn appending_producer(&self, name: &str) -> ClientConfig {
        let mut config = self.producer(name);
        config.set("message.timeout.ms", self.limits.append_timeout.as_millis().to_string()).set("linger.ms", "0.5");
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> KafkaConfig {
        let mut config = KafkaConfig::new("127.0.0.1:9092", "dealerflow");
        config.client.insert(name.to_owned(), value.to_owned());
        config
    }

    #[test]
    fn secrets_are_not_printed() {
        for name in ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"] {
            let printed = format!("{:?}", with(name, "hunter2"));
            assert!(!printed.contains("hunter2") && printed.contains("***"), "{printed}");
        }
        assert!(format!("{:?}", with("sasl.mechanisms", "SCRAM-SHA-512")).contains("SCRAM-SHA-512"));
    }

    #[test]
    fn what_the_contract_hangs_on_is_refused_with_the_reason() {
        for (name, reason) in RESERVED {
            let error = with(name, "1").check().unwrap_err().to_string();
            assert!(error.contains(&format!("kafka.client.{name}")) && error.contains(reason), "{error}");
        }
        let error = with("socket.timeout.ms", "90000").check().unwrap_err().to_string();
        assert!(error.contains("at most 40000"), "{error}");
        let error = with("no.such.setting", "1").check().unwrap_err().to_string();
        assert!(error.contains("no.such.setting"), "{error}");
    }

    #[test]
    fn security_settings_and_compressions_are_built_in() {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] {
            let mut config = with("sasl.mechanisms", mechanism);
            config.client.insert("security.protocol".into(), "sasl_ssl".into());
            config.client.insert("sasl.username".into(), "user".into());
            config.client.insert("sasl.password".into(), "password".into());
            assert!(config.check().is_ok(), "{mechanism}");
        }
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let config = KafkaConfig { compression, ..KafkaConfig::new("127.0.0.1:9092", "dealerflow") };
            assert!(config.check().is_ok(), "{compression:?}");
        }
    }
}
