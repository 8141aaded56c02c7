//! A running pipeline.

pub mod audit;
pub mod binding;
pub mod checkpointer;
pub mod clock;
pub mod collect;
pub mod commits;
pub mod committer;
pub mod engine;
pub mod feeder;
pub mod historian;
pub mod live;
pub mod recompute;
pub mod records;
pub mod recovery;
#[cfg(test)]
mod simulation;
pub mod source;
pub mod starting;

use std::time::Duration;

use connectors::checkpoints::CheckpointStore;
use connectors::parquet::HistoryStore;
use connectors::{CheckpointsError, HistoryError};
use operators::dataflow::entities::EntitySettings;
use xxhash_rust::xxh3::xxh3_64;

use self::commits::{Published, Publisher};
use self::committer::CommitSettings;
use self::engine::EngineSettings;
use self::live::LiveSettings;
use self::source::SourceSettings;
use crate::config::{Config, StoreUrl};
use crate::graph::GraphSettings;

/// Input on its way, as a part of the configured memory: one sixteenth, at least 16 MiB.
fn window_bytes_max(config: &Config) -> u64 {
    (config.memory_limit_bytes() / 16).max(16 << 20)
}

/// Epochs without input come so often while models have timers.
const HEARTBEAT_MS: i64 = 60_000;

/// Messages of one transaction of more than one epoch.
const GROUP_MESSAGES_MAX: u64 = 50_000;

/// The settings of a run, as configured.
pub fn live_settings(config: &Config) -> LiveSettings {
    let entities = EntitySettings {
        dedup_horizon_ms: config.dedup_horizon_ms() as i64,
        dedup_keys_max: config.pipeline.dedup_keys_max as usize,
        retention_ms: config.retention_ms() as i64,
        rows: true,
        snapshots: true,
        // History holds them.
        restored_rows: false,
    };
    let max_future_ms = config.max_future_ms() as i64;
    // What decides results, and nothing that does not.
    let decisive = format!(
        "dedup_horizon_ms={};dedup_keys_max={};retention_ms={};max_future_ms={max_future_ms};timer_grace_ms={};models={}",
        entities.dedup_horizon_ms,
        entities.dedup_keys_max,
        entities.retention_ms,
        config.timer_grace_ms(),
        config.models.fingerprint()
    );
    let models = config.prepared_models(config.timer_grace_ms() as i64);
    let heartbeat_ms = models.settings().is_any_enabled().then_some(HEARTBEAT_MS);
    LiveSettings {
        name: config.name.clone(),
        engine: EngineSettings {
            workers: config.pipeline.workers as usize,
            max_future_ms,
            graph: GraphSettings { entities, models },
        },
        tick_ms: config.tick_ms() as i64,
        source: SourceSettings {
            window_bytes_max: window_bytes_max(config),
            idle_after_ms: config.idle_after_ms() as i64,
            heartbeat_ms,
        },
        commit: CommitSettings { group_bytes_max: config.commit_bytes_max(), group_messages_max: GROUP_MESSAGES_MAX },
        fingerprint: format!("{:016x}", xxh3_64(decisive.as_bytes())),
        logic: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Lets durable epochs go by: for runs whose results are read from the log alone.
pub struct Nowhere;

impl Publisher for Nowhere {
    fn publish(&mut self, _published: Published) {}
}

/// Where a run keeps what is not the log's.
#[derive(Clone, Debug)]
pub struct Stores {
    /// History.
    pub history: HistoryStore,
    /// How often it is written.
    pub history_interval: Duration,
    /// What decided results, for its manifests.
    pub history_settings: serde_json::Value,
    /// Checkpoints.
    pub checkpoints: CheckpointStore,
    /// How often one is made.
    pub checkpoint_interval: Duration,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoresError {
    /// The history's place.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The checkpoints' place.
    #[error(transparent)]
    Checkpoints(#[from] CheckpointsError),
    /// A kind of place that is not supported.
    #[error("{key} {url} names a bucket, and this build writes to folders only: name one with file:")]
    Bucket {
        /// The key of the configuration.
        key: &'static str,
        /// The place.
        url: String,
    },
}

/// Opens the places that a configuration names.
///
/// # Errors
/// If one cannot be used.
pub fn open_stores(config: &Config) -> Result<Stores, StoresError> {
    let folder = |key, url: &StoreUrl, own: &str| match url {
        // Each store names its files below a folder of its own, which a path may already end with.
        StoreUrl::Folder(folder) if folder.ends_with(own) => Ok(folder.parent().unwrap_or(folder).to_owned()),
        StoreUrl::Folder(folder) => Ok(folder.clone()),
        StoreUrl::S3 { .. } => Err(StoresError::Bucket { key, url: url.to_string() }),
    };
    Ok(Stores {
        history: HistoryStore::local(&folder("parquet.url", &config.parquet.url, "parquet")?)?,
        history_interval: Duration::from_millis(config.parquet_interval_ms()),
        history_settings: serde_json::json!({
            "dedup_horizon_ms": config.dedup_horizon_ms(),
            "retention_ms": config.retention_ms(),
            "max_future_ms": config.max_future_ms(),
            "timer_grace_ms": config.timer_grace_ms(),
            "models": config.models.fingerprint(),
            "logic_version": env!("CARGO_PKG_VERSION"),
        }),
        checkpoints: CheckpointStore::local(&folder("checkpoint.url", &config.checkpoint.url, "checkpoints")?)?,
        checkpoint_interval: Duration::from_millis(config.checkpoint_interval_ms()),
    })
}
