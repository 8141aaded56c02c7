//! Keeps what is committed: history first, then checkpoints; on a thread of its own, behind a bounded queue.
//!
//! ```text
//!   commit thread ─ publish ─▶ queue (epochs, bytes) ─▶ keeper ─▶ historian: files, manifest ─▶ checkpointer: blobs, manifest
//!         └ waits while the queue and what is not written yet are as large as they may be
//! ```
//! A checkpoint never leads the history. A store that fails costs patience, not memory: what is kept is bounded, and the commits wait.
//! A store that another instance writes ends the run.
//!
//! Encoding and packing take the processor for long at a time, so while nobody waits for it they are done at leisure, behind the dataflow
//! and the queries. Near the end, or with much to keep, they are as urgent as all else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use connectors::parquet::Manifest;
use connectors::{CheckpointsError, HistoryError};
use sql::priority::at_leisure;

use super::backlog::{Backlog, Room};
use super::checkpointer::Checkpointer;
use super::commits::Published;
use super::historian::Historian;
use crate::metrics::Metrics;

/// Epochs that wait for the keeper; beyond, commits wait.
const EPOCHS_WAITING_MAX: usize = 1_024;
/// Pause before a store that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How often a checkpoint is thought of while nothing comes.
const LOOK: Duration = Duration::from_millis(500);

/// Called with the sentence when nothing can ever be kept again by this run.
pub type OnEnd = Arc<dyn Fn(String) + Send + Sync>;
/// Called with each manifest that makes more history visible, and with the one that a start finds.
pub type OnWritten = Box<dyn Fn(&Manifest) + Send>;

/// What the keeper hears.
pub enum Heard {
    /// An epoch is committed.
    Published(Box<Published>),
    /// The last epoch is about to be closed: a snapshot of it would be welcome.
    Last,
    /// Nothing, for a while.
    Nothing,
    /// Nothing more will come.
    End,
}

/// What a turn of the keeper came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// All is well.
    Done,
    /// A store failed and much is kept: the next turn should wait a little.
    Pause,
    /// Exit, and say why.
    Stop(String),
}

/// Historian and checkpointer in their order, without threads and without a clock.
pub struct Keeper {
    historian: Historian,
    checkpointer: Checkpointer,
    interval_ms: i64,
    written_ms: i64,
    metrics: Arc<Metrics>,
    /// Whether the end is near, so that nothing is done which can wait.
    is_ending: Arc<AtomicBool>,
    on_written: OnWritten,
}

impl Keeper {
    /// Writes history every `interval_ms` at least, and tells `on_written` what is visible.
    pub fn new(
        historian: Historian,
        checkpointer: Checkpointer,
        interval_ms: i64,
        now_ms: i64,
        on_written: OnWritten,
        metrics: Arc<Metrics>,
    ) -> Self {
        on_written(historian.manifest());
        let is_ending = Arc::default();
        Keeper { historian, checkpointer, interval_ms, written_ms: now_ms, metrics, is_ending, on_written }
    }

    /// The historian.
    pub fn historian(&self) -> &Historian {
        &self.historian
    }

    /// Set by whoever knows that the end is near before it is heard of: what is being tidied up is left.
    fn ending(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_ending)
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// Takes what was heard and does what is due. `now_ms` is monotonic.
    pub fn turn(&mut self, heard: Heard, now_ms: i64) -> Turn {
        let mut snapshot = None;
        let (mut is_last, mut ended) = (false, false);
        match heard {
            Heard::Published(mut published) => {
                self.checkpointer.follow(&published.binding);
                self.historian.add(&mut published);
                let parts = std::mem::take(&mut published.output.snapshot);
                snapshot = (!parts.is_empty()).then_some((published.binding.epoch, parts));
            }
            Heard::Last => {
                is_last = true;
                self.is_ending.store(true, Ordering::Release);
            }
            Heard::Nothing => {}
            Heard::End => ended = true,
        }
        let mut turn = Turn::Done;
        let is_due = now_ms - self.written_ms >= self.interval_ms;
        if ended || snapshot.is_some() || self.historian.is_full() || is_due {
            self.written_ms = now_ms;
            match self.write(!ended && !self.is_ending() && snapshot.is_none()) {
                Ok(()) => {}
                Err(error @ HistoryError::Fenced { .. }) => return Turn::Stop(error.to_string()),
                // At the end there is nothing to wait for: the next start writes it.
                Err(error) => {
                    self.metrics.stores.failed();
                    tracing::warn!(%error, "history could not be written; it is kept and tried again");
                    if !ended && self.historian.is_full() {
                        self.written_ms = now_ms - self.interval_ms;
                        turn = Turn::Pause;
                    }
                }
            }
        }
        match snapshot {
            Some((epoch, parts)) if self.historian.is_written() => {
                let begun = Instant::now();
                let bytes = parts.iter().map(|part| part.bytes.len() as u64).sum();
                match self.checkpointer.store(epoch, parts) {
                    Ok(()) => self.metrics.stores.checkpoint(epoch, bytes, begun.elapsed()),
                    Err(error @ CheckpointsError::Fenced { .. }) => return Turn::Stop(error.to_string()),
                    Err(error) => {
                        self.metrics.stores.failed();
                        tracing::warn!(%error, "a checkpoint could not be written; the next one is whole");
                    }
                }
            }
            Some(_) => self.checkpointer.give_up(),
            None => {}
        }
        if is_last {
            self.checkpointer.ask_for_last(now_ms);
        } else if !ended && !self.is_ending() {
            self.checkpointer.ask(now_ms);
        }
        turn
    }

    /// Writes history and, if there is time, tidies it up.
    fn write(&mut self, tidies: bool) -> Result<(), HistoryError> {
        let is_new = !self.historian.is_written();
        let begun = Instant::now();
        self.historian.write()?;
        if is_new {
            self.metrics.stores.history(self.historian.visible_through(), begun.elapsed());
            (self.on_written)(self.historian.manifest());
        }
        if tidies
            && is_new
            && let Err(error) = self.historian.tidy(|| self.is_ending.load(Ordering::Acquire))
        {
            tracing::warn!(%error, "small files of the history could not be merged or old ones removed; it is tried again");
        }
        Ok(())
    }
}

/// Lets go of whoever waits when the keeper's thread ends.
struct Closing(Backlog);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

enum ToKeeper {
    Published(Box<Published>, Room),
    Last(SyncSender<()>),
}

/// Hands epochs to the keeper's thread.
pub struct KeeperThread {
    sender: Option<SyncSender<ToKeeper>>,
    thread: Option<JoinHandle<()>>,
    backlog: Backlog,
    is_ending: Arc<AtomicBool>,
}

/// Tells the keeper's thread of the end before it comes.
pub struct LastCall {
    sender: SyncSender<ToKeeper>,
    is_ending: Arc<AtomicBool>,
}

impl LastCall {
    /// Asks for a snapshot behind the last epoch, and waits until that is arranged, at most so long.
    pub fn ask(self, wait_max: Duration) {
        self.is_ending.store(true, Ordering::Release);
        let (sender, receiver) = sync_channel(1);
        if self.sender.try_send(ToKeeper::Last(sender)).is_ok() {
            // If it is not, the checkpoint before is the last one.
            let _ = receiver.recv_timeout(wait_max);
        }
    }
}

impl KeeperThread {
    /// Where room for an epoch is to be taken before anything else is done with it.
    pub fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }

    /// Hands over an epoch, with the room that was taken for it.
    pub fn keep(&mut self, published: Box<Published>, room: Room) {
        if let Some(sender) = &self.sender {
            // The thread ends early only when the run is ending.
            let _ = sender.send(ToKeeper::Published(published, room));
        }
    }
}

impl Drop for KeeperThread {
    /// Waits until what was published is written.
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Release);
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How a keeper's thread is to work.
pub struct Keeping {
    /// How often history is written at least.
    pub interval: Duration,
    /// What waits and what is not written yet, in bytes, at most, beside one epoch.
    pub bytes_max: u64,
    /// Who hears of visible history.
    pub on_written: OnWritten,
    /// Who hears of the end.
    pub on_end: OnEnd,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Starts the keeper's thread.
///
/// # Errors
/// If the system gives no thread.
pub fn start_keeper(
    historian: Historian,
    checkpointer: Checkpointer,
    keeping: Keeping,
) -> std::io::Result<(KeeperThread, LastCall)> {
    let Keeping { interval, bytes_max, on_written, on_end, metrics } = keeping;
    let (sender, receiver) = sync_channel(EPOCHS_WAITING_MAX);
    let backlog = Backlog::new(bytes_max);
    let keeper = Keeper::new(historian, checkpointer, interval.as_millis() as i64, 0, on_written, metrics);
    let is_ending = keeper.ending();
    let body = {
        let closing = Closing(backlog.clone());
        move || {
            let _abort = crate::replay::AbortOnPanic;
            keep(keeper, &receiver, &closing.0, &on_end);
        }
    };
    let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(body)?;
    let last_call = LastCall { sender: sender.clone(), is_ending: Arc::clone(&is_ending) };
    Ok((KeeperThread { sender: Some(sender), thread: Some(thread), backlog, is_ending }, last_call))
}

fn keep(mut keeper: Keeper, receiver: &Receiver<ToKeeper>, backlog: &Backlog, on_end: &OnEnd) {
    let started = Instant::now();
    let mut unwritten: Vec<Room> = Vec::new();
    loop {
        let (mut asked, mut ended) = (None, false);
        let heard = match receiver.recv_timeout(LOOK) {
            Ok(ToKeeper::Published(published, room)) => {
                unwritten.push(room);
                Heard::Published(published)
            }
            Ok(ToKeeper::Last(sender)) => {
                asked = Some(sender);
                Heard::Last
            }
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => {
                ended = true;
                Heard::End
            }
        };
        let now_ms = started.elapsed().as_millis() as i64;
        let is_urgent = ended || keeper.is_ending() || !backlog.is_small();
        let turn = || keeper.turn(heard, now_ms);
        let turn = if is_urgent { turn() } else { at_leisure(turn) };
        if let Some(asked) = asked {
            // Whoever asked may have stopped waiting.
            let _ = asked.try_send(());
        }
        if keeper.historian().is_written() {
            unwritten.clear();
        }
        match turn {
            Turn::Stop(reason) => return on_end(reason),
            _ if ended => return,
            Turn::Pause => std::thread::sleep(RETRY_AFTER),
            Turn::Done => {}
        }
    }
}
