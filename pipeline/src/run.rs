//! A running pipeline.

pub mod archive;
pub mod archive_reader;
pub mod audit;
pub mod backlog;
pub mod binding;
pub mod checkpointer;
pub mod clock;
pub mod cluster;
pub mod collect;
pub mod commits;
pub mod committer;
pub mod engine;
pub mod feeder;
pub mod follower;
pub mod hand_round;
pub mod historian;
pub mod keeper;
pub mod live;
pub mod recompute;
pub mod records;
pub mod recovery;
#[cfg(test)]
mod simulation;
pub mod source;
pub mod stalls;
pub mod starting;
pub mod stores;
pub mod successor;
pub mod tables;

use operators::dataflow::entities::EntitySettings;
use xxhash_rust::xxh3::xxh3_64;

use self::commits::{Published, Publisher};
use self::committer::CommitSettings;
use self::engine::EngineSettings;
use self::live::LiveSettings;
use self::source::SourceSettings;
use crate::config::{Config, TablesKept};
use crate::graph::GraphSettings;

/// Input on its way, as a part of the configured memory: one forty-eighth, at least 8 MiB. What operators make of it waits with it, and is
/// several times as much.
fn window_bytes_max(config: &Config) -> u64 {
    (config.memory_limit_bytes() / 48).max(8 << 20)
}

/// Epochs of the most bytes that may be on their way at once: one is read while others are computed, committed and written down.
const EPOCHS_PER_WINDOW: u64 = 4;

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
        rows: config.pipeline.tables == TablesKept::All,
        snapshots: true,
        // The live tables begin with them.
        restored_rows: true,
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
            epoch_bytes_max: window_bytes_max(config) / EPOCHS_PER_WINDOW,
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
