//! The configuration: one TOML file over embedded defaults, and environment variables over both.
//!
//! ```text
//! default.toml ──────────────────> Config (whole: every key has a value)
//!                                    │
//! the file ──────> keys ─┐           v
//! variables ─────> keys ─┴──────> overlay ──> validate ──> Config, or every problem found
//! ```
//!
//! Contract: a key that is not known, or a value that is not permitted, is an error that names who set it, where, and how to mend it;
//! all problems are reported, not only the first. Nothing here reads the environment or the clock, and only [`Config::load`] and
//! [`check`] touch files. Secrets are masked wherever a configuration is shown.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod broker_list;
mod byte_size;
pub mod check;
mod client_settings;
mod duration;
mod error;
mod layers;
mod models;
mod nearest;
mod overlay;
mod prior_leads;
mod reader;
mod sections;
mod setting;
mod store_url;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod validate;

pub use broker_list::{Broker, BrokerList};
pub use byte_size::ByteSize;
pub use client_settings::ClientSettings;
pub use duration::Duration;
pub use error::{ConfigError, Origin, Problem};
pub use models::{AssignmentSection, ModelsSection, OscillatorsSection, WhacoSection};
pub use sections::{
    ArchiveSection, HttpSection, KafkaSection, PipelineSection, ReplaySection, SecuritySection, SourceSection,
    SqlSection, StoreSection, Token,
};
pub use setting::{Role, SourceKind, TablesKept};
pub use store_url::StoreUrl;

/// The embedded defaults: every key but the tokens and the free tables, each with its meaning.
pub const DEFAULTS: &str = include_str!("config/default.toml");

/// All settings of a run. `Debug` and [`Config::effective_toml`] mask secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The pipeline's name: transactional id, consumer group, lock.
    pub name: String,
    /// The folder of the embedded log and of whatever names no place of its own.
    pub data_dir: PathBuf,
    /// Where input comes from.
    pub source: SourceSection,
    /// The cluster and its topics.
    pub kafka: KafkaSection,
    /// Workers, time and limits.
    pub pipeline: PipelineSection,
    /// How files are replayed.
    pub replay: ReplaySection,
    /// Where and how often checkpoints are written.
    pub checkpoint: StoreSection,
    /// Where and how often history is written.
    pub parquet: StoreSection,
    /// Input records beside the history.
    pub archive: ArchiveSection,
    /// The HTTP server.
    pub http: HttpSection,
    /// The SQL server.
    pub sql: SqlSection,
    /// Who may call.
    #[serde(default)]
    pub security: SecuritySection,
    /// What the models are told.
    pub models: ModelsSection,
}

impl Default for Config {
    /// The embedded defaults.
    #[expect(clippy::expect_used, reason = "the text is part of the program, and a test reads it")]
    fn default() -> Self {
        toml::from_str(DEFAULTS).expect("default.toml is embedded and holds every key with a value of its type")
    }
}

impl Config {
    /// Reads the file, if there is one, over the defaults, and the variables named `DEALERFLOW_…` over both. With two variables for one
    /// key, which differ in case only, the later one holds.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] and [`ConfigError::Syntax`] for the file as a whole; otherwise [`ConfigError::Problems`] with every
    /// unknown key and every value that is not permitted.
    pub fn load(path: Option<&Path>, environment: &[(String, String)]) -> Result<Self, ConfigError> {
        let mut entries = match path {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
                layers::file_entries(path, &text)?
            }
            None => layers::Entries::new(),
        };
        entries.extend(layers::variable_entries(environment));
        let origins = validate::Origins::of(&entries);
        let mut config = Self::default();
        let mut problems = overlay::overlay(&mut config, entries);
        validate::validate(&config, &origins, &mut problems);
        if problems.is_empty() {
            validate::read_prior(&mut config, &origins, &mut problems);
        }
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Problems(problems)) }
    }

    /// Every setting as a TOML file that could be loaded again, but for secrets: `***` stands in their place.
    pub fn effective_toml(&self) -> String {
        // Only a path that is no UTF-8 cannot be written, and none that was loaded from text is such.
        toml::to_string(self).unwrap_or_else(|cause| format!("# the settings cannot be written as TOML: {cause}\n"))
    }

    /// `pipeline.tick` in milliseconds.
    pub fn tick_ms(&self) -> u64 {
        self.pipeline.tick.ms()
    }

    /// `pipeline.retention` in milliseconds.
    pub fn retention_ms(&self) -> u64 {
        self.pipeline.retention.ms()
    }

    /// `pipeline.dedup_horizon` in milliseconds.
    pub fn dedup_horizon_ms(&self) -> u64 {
        self.pipeline.dedup_horizon.ms()
    }

    /// `pipeline.max_future` in milliseconds.
    pub fn max_future_ms(&self) -> u64 {
        self.pipeline.max_future.ms()
    }

    /// `pipeline.idle_after` in milliseconds.
    pub fn idle_after_ms(&self) -> u64 {
        self.pipeline.idle_after.ms()
    }

    /// `pipeline.timer_grace` in milliseconds.
    pub fn timer_grace_ms(&self) -> u64 {
        self.pipeline.timer_grace.ms()
    }

    /// `checkpoint.interval` in milliseconds.
    pub fn checkpoint_interval_ms(&self) -> u64 {
        self.checkpoint.interval.ms()
    }

    /// `parquet.interval` in milliseconds.
    pub fn parquet_interval_ms(&self) -> u64 {
        self.parquet.interval.ms()
    }

    /// `archive.retention` in milliseconds.
    pub fn archive_retention_ms(&self) -> u64 {
        self.archive.retention.ms()
    }

    /// `pipeline.memory_limit` in bytes.
    pub fn memory_limit_bytes(&self) -> u64 {
        self.pipeline.memory_limit.bytes()
    }

    /// `pipeline.commit_bytes_max` in bytes.
    pub fn commit_bytes_max(&self) -> u64 {
        self.pipeline.commit_bytes_max.bytes()
    }

    /// `replay.replay_buffer` in bytes.
    pub fn replay_buffer_bytes(&self) -> u64 {
        self.replay.replay_buffer.bytes()
    }
}
