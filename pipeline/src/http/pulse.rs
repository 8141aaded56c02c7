//! The pulse stream: what changed, epoch by epoch, for front ends that follow it.
//!
//! ```text
//!   publisher ─▶ queue (bounded, never waited for) ─▶ "pulse": rows ─▶ updates by dealer and topic ─▶ ring ─▶ readers, each a cursor
//! ```
//! An update is a correction or a fact of one published epoch: what it says is durable. When readers of the queue fall behind, epochs are
//! left out and readers are told; the pipeline never waits for them.

pub mod ring;
pub mod stream;
pub mod updates;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use operators::domain::tables::TableId;
use tokio::sync::watch;

use self::ring::{Next, Ring};
use self::updates::updates_of;
use crate::arrow_rows::RowSlice;
use crate::run::commits::Published;

/// Epochs that wait to be made into updates, at most.
const WAITING_MAX: usize = 1_024;

/// What an update is about; readers choose with `?topics=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PulseTopic {
    /// The pipeline: records, events, messages of the epoch. Needs a token of all dealers.
    Pipeline,
    /// Days of `daily_kpis` that changed.
    Kpis,
    /// Leads that changed: how many, and those that are new.
    Leads,
    /// Deals that changed: how many, and those that are new or closed.
    Deals,
    /// Vehicles that changed: how many.
    Inventory,
    /// Reps and the state of their team.
    Team,
    /// Segments whose sizes or centroids changed.
    Segments,
    /// Leads that were assigned.
    Assignments,
    /// Leads that are unlike any segment.
    Anomalies,
    /// Prices and work on the lot.
    Signals,
}

impl PulseTopic {
    /// Every topic.
    pub const ALL: [PulseTopic; 10] = [
        PulseTopic::Pipeline,
        PulseTopic::Kpis,
        PulseTopic::Leads,
        PulseTopic::Deals,
        PulseTopic::Inventory,
        PulseTopic::Team,
        PulseTopic::Segments,
        PulseTopic::Assignments,
        PulseTopic::Anomalies,
        PulseTopic::Signals,
    ];

    /// Its word in `?topics=` and in the stream.
    pub const fn name(self) -> &'static str {
        match self {
            PulseTopic::Pipeline => "pipeline",
            PulseTopic::Kpis => "kpis",
            PulseTopic::Leads => "leads",
            PulseTopic::Deals => "deals",
            PulseTopic::Inventory => "inventory",
            PulseTopic::Team => "team",
            PulseTopic::Segments => "segments",
            PulseTopic::Assignments => "assignments",
            PulseTopic::Anomalies => "anomalies",
            PulseTopic::Signals => "signals",
        }
    }
}

/// What an epoch gave, as much as updates are made of.
#[derive(Debug)]
pub struct EpochFacts {
    /// The epoch.
    pub epoch: i64,
    /// Records in it.
    pub records: u64,
    /// Events accepted.
    pub events: u64,
    /// Messages written.
    pub messages: u64,
    /// Records that were not accepted.
    pub rejected: u64,
    /// Row versions by table.
    pub rows: Vec<(TableId, RowSlice)>,
}

impl EpochFacts {
    /// What a published epoch gave; rows are shared, not copied.
    pub fn of(published: &Published) -> Self {
        EpochFacts {
            epoch: published.binding.epoch,
            records: published.binding.records,
            events: published.output.events,
            messages: published.binding.outputs.iter().map(|output| output.count).sum(),
            rejected: published.output.letters.len() as u64,
            rows: published.output.rows.clone(),
        }
    }
}

/// The ring that readers share.
#[derive(Debug)]
pub struct Pulse {
    ring: Mutex<Ring>,
    moved: watch::Sender<u64>,
    skipped: AtomicU64,
}

impl Pulse {
    /// A ring of at most so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        Pulse { ring: Mutex::new(Ring::new(bytes_max)), moved: watch::Sender::new(0), skipped: AtomicU64::new(0) }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows the last epoch that a reader had.
    pub fn after(&self, cursor: i64) -> Next {
        self.ring().after(cursor)
    }

    /// The newest epoch.
    pub fn newest(&self) -> Option<i64> {
        self.ring().newest()
    }

    /// Bytes held, and epochs that were left out because updates came too fast.
    pub fn fullness(&self) -> (u64, u64) {
        (self.ring().bytes(), self.skipped.load(Ordering::Relaxed))
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    fn moved(&self) {
        self.moved.send_modify(|moves| *moves += 1);
    }
}

/// The publisher's end of the queue.
#[derive(Debug)]
pub struct PulseFeed {
    queue: SyncSender<EpochFacts>,
    pulse: Arc<Pulse>,
}

impl PulseFeed {
    /// Hands an epoch on, and never waits: if too many wait already, it is left out.
    pub fn push(&self, facts: EpochFacts) {
        if let Err(TrySendError::Full(facts)) = self.queue.try_send(facts) {
            self.pulse.skipped.fetch_add(1, Ordering::Relaxed);
            self.pulse.ring().skip(facts.epoch);
            self.pulse.moved();
        }
    }
}

/// Starts the thread that makes updates. It ends when the feed is gone.
///
/// # Errors
/// If the system gives no thread.
pub fn start_pulse(pulse: &Arc<Pulse>) -> std::io::Result<(PulseFeed, JoinHandle<()>)> {
    let (queue, epochs) = sync_channel(WAITING_MAX);
    let thread = {
        let pulse = Arc::clone(pulse);
        std::thread::Builder::new().name("pulse".to_owned()).spawn(move || follow(&epochs, &pulse))?
    };
    Ok((PulseFeed { queue, pulse: Arc::clone(pulse) }, thread))
}

fn follow(epochs: &Receiver<EpochFacts>, pulse: &Pulse) {
    while let Ok(facts) = epochs.recv() {
        let updates = updates_of(&facts);
        let mut ring = pulse.ring();
        // An epoch that was left out may have gone by while this one waited.
        if ring.newest().is_none_or(|newest| facts.epoch > newest) {
            ring.push(updates);
        }
        drop(ring);
        pulse.moved();
    }
}
