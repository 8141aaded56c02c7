//! The log in a folder, for one process: what `demo` and a single shop run on, with nothing installed.
//!
//! ```text
//!  append, commit ─► one atomic batch ─► journal ─► group fsync ─► visible ─► readers woken
//!                    blocks of records     (fjall)   one fsync for    ends move only
//!                    by (partition, base)            all who wait     when durable
//! ```
//! A commit is one batch of the store: all of it or nothing survives a crash, and what was not durable was never shown. There are no
//! open transactions, so the stable end is the end, and offsets are consecutive.
//!
//! The store is fjall: a log-structured store appends each batch to a journal and syncs once, recovers by reading the journals alone
//! (their size is bounded, so a restart does not depend on the size of the log), cuts off a torn tail, and gives disk space back
//! after retention. The alternative, redb, rewrites pages of a B-tree for each commit, walks the whole file after a crash unless each
//! commit pays for two syncs, and does not shrink by itself.

mod admin;
mod appender;
mod block;
mod catalog;
mod committer;
mod config;
mod files;
mod idempotency;
mod lock;
mod reader;
mod store;

use std::sync::Arc;

pub use admin::EmbeddedAdmin;
pub use appender::EmbeddedAppender;
pub use committer::EmbeddedCommitter;
pub use config::EmbeddedConfig;
pub use reader::EmbeddedReader;

use crate::log::{CommitterIdentity, Log, LogAdmin, LogAppender, LogCommitter, LogError, LogReader};
use store::Store;

/// A log in a folder; clones share it. The folder is free again when the last of log, readers, writers and admins is gone.
#[derive(Clone)]
pub struct EmbeddedLog {
    store: Arc<Store>,
}

impl EmbeddedLog {
    /// Opens the log in the folder of `config`, or makes one.
    ///
    /// # Errors
    /// [`LogError::Locked`] if another process has it open, naming that process; otherwise if the folder cannot be used.
    pub fn open(config: EmbeddedConfig) -> Result<Self, LogError> {
        Ok(Self { store: Arc::new(Store::open(config)?) })
    }

    /// Deletes what topics keep no longer, as of `now_ms` (milliseconds since 1970 UTC), and returns how many records are gone. To be
    /// called now and then, by the one who has the clock. A topic's newest block always stays.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn enforce_retention(&self, now_ms: i64) -> Result<u64, LogError> {
        self.store.enforce_retention(now_ms)
    }
}

impl Log for EmbeddedLog {
    fn reader(&self, _name: &str) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(EmbeddedReader::new(Arc::clone(&self.store))))
    }

    fn committer(&self, identity: CommitterIdentity) -> Result<Box<dyn LogCommitter>, LogError> {
        Ok(Box::new(EmbeddedCommitter::new(Arc::clone(&self.store), identity)))
    }

    fn appender(&self, _name: &str) -> Result<Box<dyn LogAppender>, LogError> {
        Ok(Box::new(EmbeddedAppender::new(Arc::clone(&self.store))))
    }

    fn admin(&self) -> Result<Box<dyn LogAdmin>, LogError> {
        Ok(Box::new(EmbeddedAdmin::new(Arc::clone(&self.store))))
    }
}
