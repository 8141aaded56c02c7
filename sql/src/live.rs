//! Live tables: all tables of an epoch become visible at once, and every query sees one epoch.
//!
//! ```text
//!   publish(epoch, changes) ─▶ writers, one a table ─▶ Snapshot of all tables ─swap─▶ current        queries pin one Snapshot
//!                                                         │                             └─▶ subscribers: the epoch's changes
//!                                                         └─ the one before ─▶ ring of retained epochs (`as_of`)
//! ```
//! Readers never wait for the writer and the writer never waits for readers. Tables that only grow are not held here: they are read from
//! history, files and tail together, and so are whole at the pinned epoch, too.

mod admit;
mod chunk;
mod filter;
mod history;
mod key;
pub(crate) mod pin;
mod provider;
mod scan;
mod snapshot;
mod subscription;
mod table;
mod tail;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use tokio::sync::watch;

use crate::definition::{FileEntry, TableDefinition};
use history::HistoryFiles;
use key::KeyCodec;
pub(crate) use provider::{StoredTable, VersionsTable};
pub use snapshot::Retention;
use snapshot::Ring;
pub(crate) use snapshot::Snapshot;
use subscription::Subscribers;
pub use subscription::{Published, Subscription, TooManySubscriptions};
use table::{Replaced, TableWriter};
use tail::Tail;

/// Stands before the paths of history's files: the store that the engine was given for them.
pub const HISTORY_URL: &str = "dealerflow-history://files/";

/// What changed in one epoch.
#[derive(Clone, Debug)]
pub struct EpochChanges {
    /// The epoch, in milliseconds since 1970.
    pub epoch: i64,
    /// Versions of rows, by the place of the table among the definitions, in the table's versions schema.
    pub tables: Vec<(usize, RecordBatch)>,
}

/// Why changes cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A batch does not fit its table.
    #[error("changes of table {table} do not fit it: {source}")]
    Table {
        /// The table.
        table: String,
        /// What the engine said.
        source: ArrowError,
    },
    /// A table that is not declared.
    #[error("changes of table number {place} came, and there are {count} tables")]
    UnknownTable {
        /// Its number.
        place: usize,
        /// How many there are.
        count: usize,
    },
    /// An epoch that is not after the present one.
    #[error("epoch {epoch} came after epoch {present}")]
    Order {
        /// The epoch.
        epoch: i64,
        /// The present one.
        present: i64,
    },
    /// A file of the history cannot be named.
    #[error("the history's files cannot be opened: {0}")]
    Files(#[from] DataFusionError),
}

/// How far the tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The epoch that is shown.
    pub epoch: i64,
    /// Queries are answered from this epoch on: until then the tables are being filled after a start.
    pub answers_from: i64,
}

/// How large the tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows of each table that is held in memory.
    pub rows: Vec<(String, usize)>,
    /// Past epochs that are kept.
    pub retained_epochs: usize,
    /// Memory that those alone hold, in bytes.
    pub retained_bytes: usize,
}

/// The live tables of one pipeline.
#[derive(Debug)]
pub struct LiveTables {
    definitions: Arc<[TableDefinition]>,
    codecs: Vec<KeyCodec>,
    current: ArcSwap<Snapshot>,
    writers: Mutex<Vec<Option<TableWriter>>>,
    ring: Mutex<Ring>,
    progress: watch::Sender<Progress>,
    subscribers: Subscribers,
}

impl LiveTables {
    /// Empty tables at epoch 0.
    ///
    /// # Errors
    /// If a key column is none of its table's stored columns, or has a type without an order.
    pub fn new(definitions: Vec<TableDefinition>, retention: Retention) -> Result<Self, PublishError> {
        let definitions: Arc<[TableDefinition]> = definitions.into();
        let mut codecs = Vec::new();
        let mut writers = Vec::new();
        for definition in definitions.iter() {
            let wrong = |source| PublishError::Table { table: definition.name.clone(), source };
            let schema = definition.stored_schema();
            let columns = definition.key.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>();
            let codec = KeyCodec::new(&schema, columns.map_err(wrong)?).map_err(wrong)?;
            writers.push((!definition.only_grows).then(|| TableWriter::new(schema, codec.clone())));
            codecs.push(codec);
        }
        let tables = writers.iter().map(|writer| writer.as_ref().map(TableWriter::version)).collect();
        let files = HistoryFiles { epoch_last: None, tables: definitions.iter().map(|_| None).collect() };
        let snapshot = Snapshot { epoch: 0, tables, files: Arc::new(files), tail: Tail::default() };
        Ok(LiveTables {
            definitions,
            codecs,
            current: ArcSwap::from_pointee(snapshot),
            writers: Mutex::new(writers),
            ring: Mutex::new(Ring::new(retention)),
            progress: watch::Sender::new(Progress { epoch: 0, answers_from: i64::MIN }),
            subscribers: Subscribers::default(),
        })
    }

    /// The tables.
    pub fn definitions(&self) -> &Arc<[TableDefinition]> {
        &self.definitions
    }

    pub(crate) fn codec(&self, place: usize) -> &KeyCodec {
        &self.codecs[place]
    }

    /// The epoch that is shown.
    pub fn epoch(&self) -> i64 {
        self.current.load().epoch
    }

    /// Lets queries wait until `epoch` is shown: a start fills the tables up to there first.
    pub fn answer_from(&self, epoch: i64) {
        self.progress.send_modify(|progress| progress.answers_from = epoch);
    }

    /// Takes on the rows of a checkpoint at its epoch. They are no news: neither history nor subscribers hear of them.
    ///
    /// # Errors
    /// If they do not fit their tables, or something was published before.
    pub fn restore(&self, changes: EpochChanges) -> Result<(), PublishError> {
        self.show(changes, false)
    }

    /// Shows all changes of an epoch at once.
    ///
    /// # Errors
    /// If they do not fit their tables, or the epoch is not after the present one.
    pub fn publish(&self, changes: EpochChanges) -> Result<(), PublishError> {
        self.show(changes, true)
    }

    fn show(&self, changes: EpochChanges, is_news: bool) -> Result<(), PublishError> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.current.load_full();
        let epoch = changes.epoch;
        if epoch <= present.epoch {
            return Err(PublishError::Order { epoch, present: present.epoch });
        }
        let mut tables = present.tables.clone();
        let mut replaced = Replaced::default();
        for (place, versions) in &changes.tables {
            let count = self.definitions.len();
            let unknown = || PublishError::UnknownTable { place: *place, count };
            let (writer, table) = writers.get_mut(*place).zip(tables.get_mut(*place)).ok_or_else(unknown)?;
            if let Some(writer) = writer {
                let wrong = |source| PublishError::Table { table: self.definitions[*place].name.clone(), source };
                replaced.bytes += writer.apply(versions).map_err(wrong)?.bytes;
                *table = Some(writer.version());
            }
        }
        let changes = Arc::new(changes);
        let in_files = present.files.epoch_last.is_some_and(|last| epoch <= last);
        let tail = if is_news && !in_files { present.tail.with(Arc::clone(&changes)) } else { present.tail.clone() };
        let next = Snapshot { epoch, tables, files: Arc::clone(&present.files), tail };
        if is_news {
            self.ring.lock().unwrap_or_else(PoisonError::into_inner).push(present, replaced);
        }
        self.current.store(Arc::new(next));
        self.progress.send_modify(|progress| progress.epoch = epoch);
        if is_news {
            self.subscribers.tell(&changes);
        }
        Ok(())
    }

    /// History has everything up to `epoch_last` in these files.
    ///
    /// # Errors
    /// If a file cannot be named.
    pub fn history_written(&self, epoch_last: i64, files: &[FileEntry]) -> Result<(), PublishError> {
        let files = Arc::new(HistoryFiles::open(&self.definitions, files, Some(epoch_last))?);
        // Held so that no publication is lost between reading and storing.
        let _writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.current.load_full();
        let next = Snapshot { files, tail: present.tail.without_until(epoch_last), ..Snapshot::clone(&present) };
        self.current.store(Arc::new(next));
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The snapshot that held at `epoch`, if it is kept.
    pub(crate) fn snapshot_at(&self, epoch: i64) -> Option<Arc<Snapshot>> {
        let current = self.current.load_full();
        if current.epoch <= epoch {
            return Some(current);
        }
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).at(epoch).cloned()
    }

    /// Waits until queries are answered and `epoch` is shown, but not longer than `limit`. Says how far the tables are.
    ///
    /// # Errors
    /// How far they are, if the time was not enough.
    pub async fn wait_for(&self, epoch: i64, limit: Duration) -> Result<Progress, Progress> {
        let is_there = |progress: &Progress| progress.epoch >= progress.answers_from.max(epoch);
        let mut progress = self.progress.subscribe();
        match tokio::time::timeout(limit, progress.wait_for(is_there)).await {
            Ok(Ok(progress)) => Ok(*progress),
            _ => Err(*self.progress.borrow()),
        }
    }

    /// How far the tables are, now and whenever that changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Subscribes to the changes behind the epoch that is shown now.
    ///
    /// # Errors
    /// If too many subscribe already.
    pub fn subscribe(&self) -> Result<Subscription, TooManySubscriptions> {
        let _writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        self.subscribers.add(self.epoch())
    }

    /// How large the tables are.
    pub fn size(&self) -> Size {
        let current = self.current.load();
        let named = self.definitions.iter().zip(&current.tables);
        let rows =
            named.filter_map(|(definition, table)| Some((definition.name.clone(), table.as_ref()?.rows()))).collect();
        let (retained_epochs, retained_bytes) = self.ring.lock().unwrap_or_else(PoisonError::into_inner).size();
        Size { rows, retained_epochs, retained_bytes }
    }
}
