//! The tables of the configuration, as types. `default.toml` says what each key means and holds its default.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::broker_list::BrokerList;
use super::byte_size::ByteSize;
use super::client_settings::ClientSettings;
use super::duration::Duration;
use super::setting::{Role, SourceKind, TablesKept};
use super::store_url::StoreUrl;

/// `[source]`: where input comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSection {
    /// A Kafka cluster or the embedded log.
    pub kind: SourceKind,
}

/// `[kafka]`: the cluster and its topics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSection {
    /// Brokers to begin with.
    pub brokers: BrokerList,
    /// Stands before every topic's name; may be empty.
    pub topic_prefix: String,
    /// Passed through to the Kafka client.
    pub client: ClientSettings,
}

/// `[pipeline]`: workers, time and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineSection {
    /// Threads of each process, 1 to 1,024.
    pub workers: u32,
    /// The least distance between two epochs, at least 1 ms.
    pub tick: Duration,
    /// The most memory this process may take.
    pub memory_limit: ByteSize,
    /// How long an entity that nothing touches is kept; at least `dedup_horizon`.
    pub retention: Duration,
    /// A second arrival within this much event time is a duplicate; more than nothing.
    pub dedup_horizon: Duration,
    /// The most event ids remembered for that, at least 1.
    pub dedup_keys_max: u32,
    /// An event further ahead of its epoch is rejected.
    pub max_future: Duration,
    /// A partition silent for this long no longer holds the others back; more than nothing.
    pub idle_after: Duration,
    /// A timer fires once its epoch is this far past it.
    pub timer_grace: Duration,
    /// The most output in one transaction; more than nothing, at most `memory_limit`.
    pub commit_bytes_max: ByteSize,
    /// The tables that `run` keeps; messages and recovery do not depend on it.
    pub tables: TablesKept,
}

/// `[replay]`: how files are replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaySection {
    /// Events in one epoch, at least 1.
    pub epoch_records: u32,
    /// Stragglers of compressed files kept in memory; more are spilled.
    pub replay_buffer: ByteSize,
}

/// `[checkpoint]` and `[parquet]`: a place, and how often it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSection {
    /// The place; a folder in `data_dir` unless set.
    pub url: StoreUrl,
    /// The time between two writes; more than nothing.
    pub interval: Duration,
    /// Passed through to the client of a bucket.
    pub client: ClientSettings,
}

/// `[archive]`: input records beside the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSection {
    /// How long they are kept; nothing keeps none.
    pub retention: Duration,
}

/// `[http]`: the HTTP server and its bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSection {
    /// Loopback only, while there are no tokens. Port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// PEM file of the certificate for TLS, the server's own first; empty without.
    pub certificate_file: String,
    /// PEM file of its key.
    pub key_file: String,
    /// Requests a second of one caller, at least 1.
    pub requests_per_second: u32,
    /// The longest body of a request; more than nothing.
    pub body_bytes_max: ByteSize,
    /// The longest a request may take; more than nothing.
    pub timeout: Duration,
    /// Event streams that are open at once, at least 1.
    pub streams_max: u32,
    /// Updates kept for readers that resume; more than nothing.
    pub pulse_bytes_max: ByteSize,
    /// Results of commands kept for repeats, at least 1.
    pub results_max: u32,
}

/// `[sql]`: the SQL server, and bounds on what it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlSection {
    /// Loopback only, while there are no tokens. Port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// PEM file of the certificate for TLS; empty without.
    pub certificate_file: String,
    /// PEM file of its key.
    pub key_file: String,
    /// Clients at once, at least 1.
    pub connections_max: u32,
    /// Queries under way at once, at least 1.
    pub queries_max: u32,
    /// Threads that answer, at least 1.
    pub threads: u32,
    /// The most time for one query.
    pub timeout: Duration,
    /// The most time to wait for an epoch that is asked for.
    pub wait_max: Duration,
    /// The most rows of one answer, at least 1.
    pub rows_max: u32,
    /// The most memory for all queries together.
    pub memory_limit: ByteSize,
    /// Past epochs that `dealerflow.as_of` finds in memory; older ones are read from history.
    pub retained_epochs: u32,
    /// The most memory for those.
    pub retained_bytes: ByteSize,
}

/// `[security]`: who may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecuritySection {
    /// `[[security.token]]`, in the order written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token: Vec<Token>,
}

/// One bearer token and what it is good for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The file whose content is the token.
    pub token_file: PathBuf,
    /// What its bearer may do.
    pub role: Role,
    /// The dealers it may see, or `*` alone for all.
    pub dealers: Vec<String>,
}

impl Token {
    /// The name that it goes by where one is asked beside the secret: that of its file, without folder and ending.
    pub fn user(&self) -> String {
        self.token_file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }
}
