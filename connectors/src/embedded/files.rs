//! The files of the store: made whole or not at all, then opened.
//!
//! ```text
//!  no store ─► store.making: database, keyspaces, synced, closed ─► renamed to store ─► opened
//!      ▲             │ killed: removed at the next start
//!      └─────────────┘
//! ```
//! The library makes a database in several steps and does not open one whose making was cut short.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use super::config::EmbeddedConfig;
use super::store::storage;
use crate::log::LogError;

/// A database with its keyspaces.
pub(super) struct StoreFiles {
    pub(super) database: Database,
    pub(super) blocks: Keyspace,
    pub(super) meta: Keyspace,
    pub(super) answers: Keyspace,
}

impl StoreFiles {
    /// Opens the store of a log, and makes it first if it is missing. The caller holds the folder's lock.
    pub(super) fn open(config: &EmbeddedConfig) -> Result<Self, LogError> {
        let store = config.folder.join("store");
        if !store.exists() {
            let making = config.folder.join("store.making");
            let made = remove(&making).map_err(fjall::Error::from).and_then(|()| {
                let files = Self::open_at(&making, config)?;
                files.database.persist(PersistMode::SyncAll)?;
                drop(files);
                fs::rename(&making, &store)?;
                Ok(File::open(&config.folder)?.sync_all()?)
            });
            made.map_err(|source| storage(&config.folder, "made", source))?;
        }
        Self::open_at(&store, config).map_err(|source| storage(&config.folder, "opened", source))
    }

    fn open_at(path: &Path, config: &EmbeddedConfig) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(config.cache_bytes_max)
            .max_journaling_size(config.journal_bytes_max)
            .worker_threads(2)
            .open()?;
        // Blocks lie in files of their own, which merging the index never rewrites.
        let memtable_bytes = config.write_buffer_bytes_max;
        let blocks = database.keyspace("blocks", || {
            KeyspaceCreateOptions::default()
                .with_kv_separation(Some(KvSeparationOptions::default()))
                .max_memtable_size(memtable_bytes)
        })?;
        let meta = database.keyspace("meta", KeyspaceCreateOptions::default)?;
        let answers = database.keyspace("idempotency", KeyspaceCreateOptions::default)?;
        Ok(Self { database, blocks, meta, answers })
    }
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
