//! Where an embedded log lies, and its bounds.

use std::path::{Path, PathBuf};

use crate::log::LogLimits;

/// Where an embedded log lies, and its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// The folder; made if it is missing.
    pub folder: PathBuf,
    /// What the holder of the folder is called when another process meets its lock.
    pub holder: String,
    /// How many idempotency keys of appends are remembered. Default 100,000.
    pub idempotency_keys_max: u64,
    /// Memory for blocks that were read, in bytes. Default 32 MiB.
    pub cache_bytes_max: u64,
    /// Memory for blocks that are only in the journal so far, in bytes. Default 64 MiB.
    pub write_buffer_bytes_max: u64,
    /// The largest size of all journals, which bounds the time of recovery, in bytes. Default 512 MiB.
    pub journal_bytes_max: u64,
    /// The bounds of every log.
    pub limits: LogLimits,
}

impl EmbeddedConfig {
    /// A log in `folder`, with the default bounds.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            holder: "dealerflow".to_owned(),
            idempotency_keys_max: 100_000,
            cache_bytes_max: 32 << 20,
            write_buffer_bytes_max: 64 << 20,
            journal_bytes_max: 512 << 20,
            limits: LogLimits::default(),
        }
    }
}
