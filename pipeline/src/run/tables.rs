//! From durable epochs to live tables: the first who hears of an epoch, before history and checkpoints.
//!
//! ```text
//!   Published ─▶ rows of each table ─arrow_rows─▶ LiveTables::publish ─▶ queries, subscribers
//!       └────────────────── then ──────────────────▶ keeper ─▶ manifest ─▶ LiveTables::history_written
//!   restored state, at the checkpoint's epoch ─▶ LiveTables::restore
//! ```
//! A thread of its own, so that commits do not wait for the tables; when it falls far behind, they do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use connectors::objects::Objects;
use connectors::parquet::Manifest;
use operators::domain::tables::TableId;
use sql::FileEntry;
use sql::live::{EpochChanges, HISTORY_URL, LiveTables};

use super::backlog::{Backlog, Room};
use super::collect::EpochOutput;
use super::commits::{Published, Publisher};
use super::historian::add_epoch_row;
use super::keeper::{KeeperThread, OnEnd, OnWritten};
use crate::arrow_rows::{RowSlice, record_batch, stored_schema};
use crate::metrics::Metrics;

/// Epochs that wait to be shown; beyond, commits wait.
const EPOCHS_WAITING_MAX: usize = 256;

/// Who hears of published epochs, in order, and makes nobody wait. After a restart those since the checkpoint come again.
pub trait Observer: Send {
    /// An epoch is durable, and the tables show it.
    fn published(&mut self, published: &Published);
}

/// What shows epochs, and who is told when it has.
pub struct Showing {
    /// The tables.
    pub tables: Arc<LiveTables>,
    /// Who hears of an epoch once the tables show it.
    pub observers: Vec<Box<dyn Observer>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

enum ToShow {
    Restored(Box<EpochOutput>),
    /// With when it was committed, and the room that was taken for it.
    Published(Box<Published>, Instant, Room),
}

/// A publisher that hands epochs to the tables' thread, which hands them on to the keeper.
pub struct ToTables {
    sender: Option<SyncSender<ToShow>>,
    thread: Option<JoinHandle<()>>,
    backlog: Backlog,
}

impl ToTables {
    fn send(&self, message: ToShow) {
        if let Some(sender) = &self.sender {
            // The thread ends early only when the run is ending.
            let _ = sender.send(message);
        }
    }
}

impl Publisher for ToTables {
    fn publish(&mut self, published: Published) {
        // Room is taken here, in front of every queue: what waits anywhere behind the commits is bounded as one.
        let committed = Instant::now();
        let room = self.backlog.take_room(published.size_bytes());
        self.send(ToShow::Published(Box::new(published), committed, room));
    }

    fn restore(&mut self, output: EpochOutput) {
        self.send(ToShow::Restored(Box::new(output)));
    }
}

impl Drop for ToTables {
    /// Waits until what was published is shown and written.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts the tables' thread.
///
/// # Errors
/// If the system gives no thread.
pub fn start_tables(showing: Showing, keeper: KeeperThread, on_end: OnEnd) -> std::io::Result<ToTables> {
    let (sender, receiver) = sync_channel(EPOCHS_WAITING_MAX);
    let backlog = keeper.backlog();
    let body = move || {
        let _abort = crate::replay::AbortOnPanic;
        keep_showing(showing, keeper, &receiver, &on_end);
    };
    let thread = std::thread::Builder::new().name("tables".to_owned()).spawn(body)?;
    Ok(ToTables { sender: Some(sender), thread: Some(thread), backlog })
}

fn keep_showing(mut showing: Showing, mut keeper: KeeperThread, receiver: &Receiver<ToShow>, on_end: &OnEnd) {
    let tables = Arc::clone(&showing.tables);
    for message in receiver {
        let shown = match message {
            ToShow::Restored(output) => {
                changes_of(&output).and_then(|changes| tables.restore(changes).map_err(|error| error.to_string()))
            }
            ToShow::Published(mut published, committed, room) => {
                add_epoch_row(&mut published);
                let shown = changes_of(&published.output)
                    .and_then(|changes| tables.publish(changes).map_err(|error| error.to_string()));
                if shown.is_ok() {
                    showing.metrics.epochs.shown(published.binding.epoch, committed.elapsed());
                    for observer in &mut showing.observers {
                        observer.published(&published);
                    }
                }
                // History has its rows; nobody needs what was said any more.
                published.output.messages = Vec::new();
                keeper.keep(published, room);
                shown
            }
        };
        if let Err(reason) = shown {
            return on_end(format!("the live tables cannot go on: {reason}; report this"));
        }
    }
}

/// An epoch's rows, table by table, as Arrow.
fn changes_of(output: &EpochOutput) -> Result<EpochChanges, String> {
    let mut by_table: BTreeMap<TableId, Vec<RowSlice>> = BTreeMap::new();
    for (table, slice) in &output.rows {
        by_table.entry(*table).or_default().push(slice.clone());
    }
    let batch = |(table, slices): (TableId, Vec<RowSlice>)| {
        let declaration = table.table();
        let batch = record_batch(declaration, &stored_schema(declaration), &slices);
        batch.map(|batch| (table as usize, batch)).map_err(|error| format!("{}: {error}", declaration.name))
    };
    let tables = by_table.into_iter().map(batch).collect::<Result<Vec<_>, _>>()?;
    Ok(EpochChanges { epoch: output.epoch, tables })
}

/// Tells the tables of every manifest that makes more history visible.
pub fn show_history(tables: &Arc<LiveTables>, store: &Objects, on_end: &OnEnd) -> OnWritten {
    let (tables, store, on_end) = (Arc::clone(tables), store.clone(), Arc::clone(on_end));
    Box::new(move |manifest: &Manifest| {
        let entry = |table: &String, path: &str| FileEntry {
            table: table.clone(),
            path: PathBuf::from(format!("{HISTORY_URL}{}", store.path(path))),
        };
        let files = manifest.tables.iter().flat_map(|(table, files)| files.iter().map(move |file| (table, file)));
        let files: Vec<FileEntry> = files.map(|(table, file)| entry(table, &file.path)).collect();
        if let Err(error) = tables.history_written(manifest.epoch_last, &files) {
            on_end(format!("the live tables cannot show history: {error}; report this"));
        }
    })
}
