//! The workers of a running pipeline: threads that step the dataflow, fed through channels.
//!
//! ```text
//!   feed(worker) ─▶ channel ─▶ a queue of process 0 ─▶ records, on any worker ─▶ … ─▶ collect ─▶ emit, on worker 0
//! ```
//! Channels carry no bound of their own: what is on its way is bounded by the source's window. Workers of other processes are fed through
//! those of process 0, which alone reads the log and decides what belongs to which epoch: so the embedded log, which belongs to one
//! process, serves a cluster too, every record passes one place that bounds and keeps it, and an epoch is closed by one decision. The
//! price is that a record crosses the network once before it is parsed; parsing itself is shared among all workers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use operators::dataflow::snapshot::SnapshotPart;
use operators::dataflow::statistics::Statistics;
use serde::{Deserialize, Serialize};
use timely::communication::{Config as Communication, WorkerGuards};
use timely::worker::Worker;

use super::cluster::Connected;
use super::collect::EpochOutput;
use super::hand_round::hand_round;
use super::records::{EpochEnds, Feed, FeedQueue, RecordChunk};
use crate::graph::{self, GraphSettings, Machines, Restored};
use crate::replay::AbortOnPanic;

/// How long a worker sleeps at most when nothing wakes it.
const PARK: Duration = Duration::from_millis(100);

/// How often a worker tells of itself.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// What a worker tells of itself while it runs.
#[derive(Clone, Debug, Default)]
pub struct WorkerReport {
    /// Its counts.
    pub statistics: Statistics,
    /// Chunks and closes that wait for it.
    pub queue: usize,
}

/// What the workers need to know.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Number of worker threads of each process.
    pub workers: usize,
    /// How far an event may lie ahead of its epoch, in milliseconds.
    pub max_future_ms: i64,
    /// The machines.
    pub graph: GraphSettings,
}

/// Where the workers sit.
pub enum Seats {
    /// All in this process.
    Alone,
    /// In this process and those that it is connected with.
    Cluster(Connected),
}

impl Seats {
    /// The number of this process and how many there are.
    pub fn process(&self) -> (usize, usize) {
        match self {
            Seats::Alone => (0, 1),
            Seats::Cluster(connected) => (connected.process(), connected.processes()),
        }
    }
}

/// Running workers.
pub struct Engine {
    workers: Vec<(Sender<Feed>, Thread)>,
    guards: WorkerGuards<Statistics>,
    reports: Arc<Vec<Mutex<WorkerReport>>>,
}

/// What one worker of this process is given.
struct Seat {
    feeds: Receiver<Feed>,
    ready: Sender<(usize, Result<Thread, String>)>,
    restored: Option<Restored>,
}

/// A part of a snapshot on its way to the worker whose state it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum RestoredPiece {
    /// There is a snapshot, of this epoch.
    Epoch(i64),
    Part(SnapshotPart),
}

impl Engine {
    /// Starts the workers of this process, with the state of a snapshot if there is one: process 0 has all of it and shares it out.
    /// `emit` gets each epoch's outputs, in order, on worker 0's thread, which is process 0's. Workers of other processes end when
    /// process 0 says that nothing more will come.
    ///
    /// # Errors
    /// If the threads cannot be started, or the snapshot cannot be restored.
    pub fn start(
        settings: EngineSettings,
        seats: Seats,
        restored: Option<Restored>,
        emit: impl FnMut(EpochOutput) + Send + 'static,
    ) -> Result<Self, String> {
        let workers = settings.workers.max(1);
        let (process, _) = seats.process();
        let (ready, seated) = channel();
        let mut restored = Some(restored);
        let (senders, given): (Vec<_>, Vec<_>) = (0..workers)
            .map(|_| {
                let (sender, feeds) = channel();
                let restored = restored.take().flatten();
                (sender, Some(Seat { feeds, ready: ready.clone(), restored }))
            })
            .unzip();
        drop(ready);
        let given = Mutex::new(given);
        let emit = Arc::new(Mutex::new(Some(emit)));
        let reports: Arc<Vec<Mutex<WorkerReport>>> = Arc::new((0..workers).map(|_| Mutex::default()).collect());
        let told = Arc::clone(&reports);
        let work = move |worker: &mut Worker| {
            let _abort = AbortOnPanic;
            let local = worker.index() - process * workers;
            let seat = given.lock().unwrap_or_else(PoisonError::into_inner)[local].take();
            let Some(seat) = seat else { return Statistics::default() };
            let emit =
                if worker.index() == 0 { emit.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None };
            work(worker, &settings, &told[local], local, seat, emit)
        };
        let guards = match seats {
            Seats::Alone => {
                let communication = if workers == 1 { Communication::Thread } else { Communication::Process(workers) };
                timely::execute(timely::Config { communication, worker: timely::WorkerConfig::default() }, work)?
            }
            Seats::Cluster(connected) => {
                let (builders, connections) = connected.builders(workers)?;
                timely::execute::execute_from(builders, connections, timely::WorkerConfig::default(), work)?
            }
        };
        let mut threads: Vec<(usize, Thread)> = Vec::with_capacity(workers);
        for (local, thread) in seated.iter().take(workers) {
            match thread {
                Ok(thread) => threads.push((local, thread)),
                Err(error) => {
                    // The others wait for this worker, and would for ever.
                    std::mem::forget(guards);
                    return Err(error);
                }
            }
        }
        threads.sort_by_key(|(local, _)| *local);
        let workers = senders.into_iter().zip(threads).map(|(sender, (_, thread))| (sender, thread)).collect();
        Ok(Engine { workers, guards, reports })
    }

    /// What each worker last told of itself.
    pub fn reports(&self) -> Vec<WorkerReport> {
        self.reports.iter().map(|report| report.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Hands records to the worker that parses them: a number among all workers of all processes.
    pub fn feed(&self, worker: usize, chunk: RecordChunk) {
        self.send(FeedQueue::of_worker(worker, self.workers.len()), Feed::Records(worker, chunk));
    }

    /// Tells every worker that an epoch is closed.
    pub fn bind(&self, ends: &EpochEnds) {
        for queue in 0..self.workers.len() {
            self.send(queue, Feed::Close(ends.clone()));
        }
    }

    fn send(&self, queue: usize, feed: Feed) {
        if let Some((sender, thread)) = self.workers.get(queue) {
            // A worker that is gone took the process with it.
            let _ = sender.send(feed);
            thread.unpark();
        }
    }

    /// Says that nothing more will come from here, and waits until all that was fed is through. On process 0, counts over all workers.
    ///
    /// # Errors
    /// If a worker ended otherwise.
    pub fn finish(self) -> Result<Statistics, String> {
        for (sender, thread) in self.workers {
            drop(sender);
            thread.unpark();
        }
        let mut total = Statistics::default();
        for worker in self.guards.join() {
            total.add(&worker?);
        }
        Ok(total)
    }

    /// Leaves the workers to the end of the process, which must follow: what they have is given up, and other processes must not take
    /// it for an end that was asked for.
    pub fn abandon(self) {
        // To wait for them, as dropping would, is to wait for other processes too.
        std::mem::forget(self.guards);
    }
}

/// The life of one worker. The counts of all workers on worker 0, none on the others.
fn work(
    worker: &mut Worker,
    settings: &EngineSettings,
    told: &Mutex<WorkerReport>,
    local: usize,
    seat: Seat,
    mut emit: Option<impl FnMut(EpochOutput) + 'static>,
) -> Statistics {
    let Seat { feeds, ready, restored } = seat;
    let statistics = Rc::new(RefCell::new(Statistics::default()));
    let restored = share_out(worker, restored);
    let machines = match Machines::new(settings.graph.clone(), worker.index(), restored, &statistics) {
        Ok(machines) => machines,
        Err(error) => {
            let _ = ready.send((local, Err(error.to_string())));
            return Statistics::default();
        }
    };
    let emit = move |output| {
        if let Some(emit) = emit.as_mut() {
            emit(output);
        }
    };
    let queue = FeedQueue::new(settings.workers);
    let (finished, activator) = worker.dataflow(|scope| {
        graph::run(scope, queue.clone(), settings.max_future_ms, machines, settings.graph.entities, emit, &statistics)
    });
    // Nobody listens any more only if the start was given up.
    let _ = ready.send((local, Ok(std::thread::current())));
    let mut open = true;
    let mut reported = Instant::now();
    while !finished.done() {
        while open {
            match feeds.try_recv() {
                Ok(feed) => queue.push(feed),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    queue.push(Feed::End);
                    open = false;
                }
            }
        }
        if !queue.is_empty() {
            activator.activate();
        }
        worker.step_or_park(Some(PARK));
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            let report = WorkerReport { statistics: statistics.borrow().clone(), queue: queue.len() };
            *told.lock().unwrap_or_else(PoisonError::into_inner) = report;
        }
    }
    let own = statistics.take();
    let mut total = Statistics::default();
    for of_worker in hand_round(worker, vec![(0, own)]) {
        total.add(&of_worker);
    }
    total
}

/// Gives every worker the parts of a snapshot that are its own, from the one that has them all.
fn share_out(worker: &mut Worker, restored: Option<Restored>) -> Option<Restored> {
    let peers = worker.peers();
    let mut outgoing = Vec::new();
    if let Some((epoch, parts)) = restored {
        outgoing.extend((0..peers).map(|worker| (worker, RestoredPiece::Epoch(epoch))));
        outgoing.extend(parts.into_iter().map(|part| (usize::from(part.shard) % peers, RestoredPiece::Part(part))));
    }
    let mut own: Option<Restored> = None;
    for piece in hand_round(worker, outgoing) {
        match piece {
            RestoredPiece::Epoch(epoch) => own = Some((epoch, Vec::new())),
            RestoredPiece::Part(part) => {
                if let Some((_, parts)) = &mut own {
                    parts.push(part);
                }
            }
        }
    }
    own
}
