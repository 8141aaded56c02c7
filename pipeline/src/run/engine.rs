//! The workers of a running pipeline: threads that step the dataflow, fed through channels.
//!
//! ```text
//!   feed(worker) ─▶ channel ─▶ worker's queue ─▶ records ─▶ … ─▶ collect ─▶ emit, on worker 0
//! ```
//! Channels carry no bound of their own: what is on its way is bounded by the source's window.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use operators::dataflow::statistics::Statistics;
use timely::communication::Config as Communication;

use super::collect::EpochOutput;
use super::records::{Feed, FeedQueue};
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
    /// Number of worker threads.
    pub workers: usize,
    /// How far an event may lie ahead of its epoch, in milliseconds.
    pub max_future_ms: i64,
    /// The machines.
    pub graph: GraphSettings,
}

/// Running workers.
pub struct Engine {
    workers: Vec<(Sender<Feed>, Thread)>,
    guards: timely::communication::WorkerGuards<Statistics>,
    reports: Arc<Vec<Mutex<WorkerReport>>>,
}

type Seat = (Receiver<Feed>, Sender<(usize, Result<Thread, String>)>);

impl Engine {
    /// Starts the workers, with the state of a snapshot if there is one. `emit` gets each epoch's outputs, in order, on worker 0's thread.
    ///
    /// # Errors
    /// If the threads cannot be started, or the snapshot cannot be restored.
    pub fn start(
        settings: EngineSettings,
        restored: Option<Restored>,
        emit: impl FnMut(EpochOutput) + Send + 'static,
    ) -> Result<Self, String> {
        let workers = settings.workers.max(1);
        let (ready, seated) = channel();
        let (senders, seats): (Vec<_>, Vec<_>) = (0..workers)
            .map(|_| {
                let (sender, receiver) = channel();
                (sender, Some((receiver, ready.clone()) as Seat))
            })
            .unzip();
        drop(ready);
        let restored: Vec<Option<Restored>> = match restored {
            None => vec![None; workers],
            Some((epoch, parts)) => {
                let mut by_worker = vec![(epoch, Vec::new()); workers];
                for part in parts {
                    by_worker[usize::from(part.shard) % workers].1.push(part);
                }
                by_worker.into_iter().map(Some).collect()
            }
        };
        let restored = Mutex::new(restored);
        let seats = Mutex::new(seats);
        let emit = Arc::new(Mutex::new(Some(emit)));
        let reports: Arc<Vec<Mutex<WorkerReport>>> = Arc::new((0..workers).map(|_| Mutex::default()).collect());
        let told = Arc::clone(&reports);
        let communication = if workers == 1 { Communication::Thread } else { Communication::Process(workers) };
        let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
        let guards = timely::execute(config, move |worker| {
            let _abort = AbortOnPanic;
            let index = worker.index();
            let seat = seats.lock().unwrap_or_else(PoisonError::into_inner)[index].take();
            let statistics = Rc::new(RefCell::new(Statistics::default()));
            let Some((feed, ready)) = seat else { return statistics.take() };
            let restored = restored.lock().unwrap_or_else(PoisonError::into_inner)[index].take();
            let machines = match Machines::new(settings.graph.clone(), index, restored, &statistics) {
                Ok(machines) => machines,
                Err(error) => {
                    let _ = ready.send((index, Err(error.to_string())));
                    return statistics.take();
                }
            };
            let emit = if index == 0 { emit.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None };
            let mut emit = emit;
            let emit = move |output| {
                if let Some(emit) = emit.as_mut() {
                    emit(output);
                }
            };
            let queue = FeedQueue::default();
            let (finished, activator) = worker.dataflow(|scope| {
                let queue = Rc::clone(&queue);
                let entities = settings.graph.entities;
                graph::run(scope, queue, settings.max_future_ms, machines, entities, emit, &statistics)
            });
            // Nobody listens any more only if the start was given up.
            let _ = ready.send((index, Ok(std::thread::current())));
            let mut open = true;
            let mut reported = Instant::now();
            while !finished.done() {
                while open {
                    match feed.try_recv() {
                        Ok(feed) => queue.borrow_mut().push_back(feed),
                        Err(TryRecvError::Empty) => break,
                        Err(TryRecvError::Disconnected) => {
                            queue.borrow_mut().push_back(Feed::End);
                            open = false;
                        }
                    }
                }
                if !queue.borrow().is_empty() {
                    activator.activate();
                }
                worker.step_or_park(Some(PARK));
                if reported.elapsed() >= REPORT_EVERY {
                    reported = Instant::now();
                    let report = WorkerReport { statistics: statistics.borrow().clone(), queue: queue.borrow().len() };
                    *told[index].lock().unwrap_or_else(PoisonError::into_inner) = report;
                }
            }
            while worker.step() {}
            statistics.take()
        })?;
        let mut threads: Vec<(usize, Thread)> = Vec::with_capacity(workers);
        for (index, thread) in seated.iter().take(workers) {
            threads.push((index, thread?));
        }
        threads.sort_by_key(|(index, _)| *index);
        let workers = senders.into_iter().zip(threads).map(|(sender, (_, thread))| (sender, thread)).collect();
        Ok(Engine { workers, guards, reports })
    }

    /// What each worker last told of itself.
    pub fn reports(&self) -> Vec<WorkerReport> {
        self.reports.iter().map(|report| report.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Hands something to a worker and wakes it.
    pub fn feed(&self, worker: usize, feed: Feed) {
        if let Some((sender, thread)) = self.workers.get(worker) {
            // A worker that is gone took the process with it.
            let _ = sender.send(feed);
            thread.unpark();
        }
    }

    /// Says that nothing more will come, and waits until all that was fed is through. Counts over all workers.
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
}
