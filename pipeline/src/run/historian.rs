//! Writes durable epochs into the history: Parquet files, made visible by one manifest at a time.
//!
//! ```text
//!   Published ─▶ rows by (day, table) ─(interval, or many rows)─▶ files ─▶ manifest n+1: visible up to its epoch
//!                 └─ epochs that the history holds already are skipped: a restart brings them again
//! ```
//! History lags behind the log and never leads it. A store that fails costs patience: rows are kept and written again, and when they
//! become too many the pipeline waits. A store that another instance writes ends the run.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connectors::parquet::{HistoryStore, Manifest};
use connectors::{CheckpointsError, HistoryError};
use operators::domain::rows::{Cell, RowBatch, RowChange};
use operators::domain::tables::TableId;

use super::checkpointer::Checkpointer;
use super::commits::{Published, Publisher};
use crate::arrow_rows::RowSlice;
use crate::metrics::Metrics;
use crate::sinks::parquet::{DayWriter, TableFile};

/// Rows that are kept before they are written, at most; beyond, they are written before the interval is over.
const ROWS_MAX: usize = 500_000;
/// Epochs that wait for the historian; beyond, commits wait.
const EPOCHS_WAITING_MAX: usize = 1_024;
/// Pause before a store that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Called with the sentence when the history can never be written again by this run.
pub type OnEnd = Arc<dyn Fn(String) + Send + Sync>;
/// Called with each manifest that makes more history visible, and with the one that a start finds.
pub type OnWritten = Box<dyn Fn(&Manifest) + Send>;

/// Settings of the historian.
#[derive(Clone, Debug)]
pub struct HistorianSettings {
    /// Who writes: one run of one instance.
    pub incarnation: String,
    /// What decided results, for the manifest.
    pub settings: serde_json::Value,
    /// How often history is written.
    pub interval: Duration,
}

/// The history of a running pipeline.
pub struct Historian {
    store: HistoryStore,
    settings: HistorianSettings,
    manifest: Option<Manifest>,
    writer: DayWriter,
    rows: usize,
    epoch_last: Option<i64>,
}

impl Historian {
    /// Goes on with what the store holds.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(store: HistoryStore, settings: HistorianSettings) -> Result<Self, HistoryError> {
        let manifest = match Manifest::latest(&store) {
            Ok(manifest) => Some(manifest),
            Err(HistoryError::NoManifest { .. }) => None,
            Err(error) => return Err(error),
        };
        let writer = DayWriter::new(store.clone());
        Ok(Historian { store, settings, manifest, writer, rows: 0, epoch_last: None })
    }

    /// The epoch up to which history is visible.
    pub fn visible_through(&self) -> Option<i64> {
        self.manifest.as_ref().map(|manifest| manifest.epoch_last)
    }

    /// Takes on an epoch's rows, unless history holds them.
    pub fn add(&mut self, published: &Published) {
        let epoch = published.binding.epoch;
        if self.visible_through().is_some_and(|visible| epoch <= visible) {
            return;
        }
        for (table, slice) in &published.output.rows {
            self.rows += slice.range.len();
            self.writer.add(*table, epoch, slice.clone());
        }
        self.epoch_last = Some(epoch);
    }

    /// Whether so much is kept that it should be written now.
    pub fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX
    }

    /// Writes what is kept and makes it visible. After an error all of it is still kept.
    ///
    /// # Errors
    /// If the store cannot be written, or another instance writes it ([`HistoryError::Fenced`]).
    pub fn write(&mut self) -> Result<(), HistoryError> {
        let Some(epoch_last) = self.epoch_last else { return Ok(()) };
        let mut files: Vec<TableFile> = self.writer.write_all()?;
        let incarnation = &self.settings.incarnation;
        let mut next = match &self.manifest {
            Some(manifest) => manifest.next(incarnation, epoch_last),
            None => Manifest::first(incarnation, epoch_last, self.settings.settings.clone()),
        };
        files.sort_by_key(|file| (file.table, file.epoch_first));
        for table in TableId::ALL {
            next.tables.entry(table.table().name.to_owned()).or_default();
        }
        for file in files {
            next.add(file.table.table().name, file.epoch_first, file.epoch_last, file.written);
        }
        next.publish(&self.store)?;
        self.manifest = Some(next);
        self.writer.clear();
        self.rows = 0;
        self.epoch_last = None;
        Ok(())
    }
}

/// Adds the row of table `epochs` to an epoch's rows. When it was committed is told by this machine's clock, outside what a replay repeats.
pub(super) fn add_epoch_row(published: &mut Published) {
    let epoch = published.binding.epoch;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let outputs: u64 = published.binding.outputs.iter().map(|sum| sum.count).sum();
    let mut rows = RowBatch::new(TableId::Epochs.width());
    rows.start(epoch, RowChange::Upsert);
    let (events, outputs) = (published.output.events as i64, outputs as i64);
    for cell in [
        Cell::Null,
        Cell::Integer(epoch),
        Cell::Integer(epoch),
        Cell::Integer(now),
        Cell::Integer(events),
        Cell::Integer(outputs),
    ] {
        rows.cell(cell);
    }
    rows.finish();
    published.output.rows.push((TableId::Epochs, RowSlice { rows: Arc::new(rows), range: 0..1 }));
}

/// A publisher that hands epochs to the historian's thread.
pub struct ToHistorian {
    sender: Option<SyncSender<Published>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher for ToHistorian {
    fn publish(&mut self, published: Published) {
        if let Some(sender) = &self.sender {
            // The thread ends early only when the run is ending.
            let _ = sender.send(published);
        }
    }
}

impl Drop for ToHistorian {
    /// Waits until what was published is written.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts the historian's thread.
///
/// # Errors
/// If the system gives no thread.
pub fn start_historian(
    historian: Historian,
    checkpointer: Checkpointer,
    on_written: OnWritten,
    on_end: OnEnd,
    metrics: Arc<Metrics>,
) -> std::io::Result<ToHistorian> {
    let (sender, receiver) = sync_channel(EPOCHS_WAITING_MAX);
    if let Some(manifest) = &historian.manifest {
        on_written(manifest);
    }
    let body = move || {
        let _abort = crate::replay::AbortOnPanic;
        keep_writing(historian, checkpointer, &receiver, &on_written, &on_end, &metrics);
    };
    let thread = std::thread::Builder::new().name("historian".to_owned()).spawn(body)?;
    Ok(ToHistorian { sender: Some(sender), thread: Some(thread) })
}

/// How often a checkpoint is thought of while nothing comes.
const LOOK: Duration = Duration::from_millis(500);

fn keep_writing(
    mut historian: Historian,
    mut checkpointer: Checkpointer,
    receiver: &Receiver<Published>,
    on_written: &OnWritten,
    on_end: &OnEnd,
    metrics: &Metrics,
) {
    let interval = historian.settings.interval;
    let mut written = Instant::now();
    loop {
        let mut snapshot = None;
        let ended = match receiver.recv_timeout(interval.saturating_sub(written.elapsed()).min(LOOK)) {
            Ok(mut published) => {
                checkpointer.follow(&published.binding);
                historian.add(&published);
                let parts = std::mem::take(&mut published.output.snapshot);
                snapshot = (!parts.is_empty()).then_some((published.binding.epoch, parts));
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        let mut is_written = true;
        if ended || snapshot.is_some() || historian.is_full() || written.elapsed() >= interval {
            written = Instant::now();
            match historian.write() {
                Ok(()) => {
                    if let Some(manifest) = &historian.manifest {
                        metrics.stores.history(manifest.epoch_last, written.elapsed());
                        on_written(manifest);
                    }
                }
                Err(error @ HistoryError::Fenced { .. }) => return on_end(error.to_string()),
                // At the end there is nothing to wait for: the next start writes it.
                Err(error) => {
                    metrics.stores.failed();
                    tracing::warn!(%error, "history could not be written; it is kept and tried again");
                    is_written = false;
                    if !ended && historian.is_full() {
                        std::thread::sleep(RETRY_AFTER);
                        written = written.checked_sub(interval).unwrap_or(written);
                    }
                }
            }
        }
        match snapshot {
            Some((epoch, parts)) if is_written => {
                let begun = Instant::now();
                let bytes = parts.iter().map(|part| part.bytes.len() as u64).sum();
                match checkpointer.store(epoch, parts) {
                    Ok(()) => metrics.stores.checkpoint(epoch, bytes, begun.elapsed()),
                    Err(error @ CheckpointsError::Fenced { .. }) => return on_end(error.to_string()),
                    Err(error) => {
                        metrics.stores.failed();
                        tracing::warn!(%error, "a checkpoint could not be written; the next one is whole");
                    }
                }
            }
            Some(_) => checkpointer.give_up(),
            None => {}
        }
        if ended {
            return;
        }
        checkpointer.ask();
    }
}
