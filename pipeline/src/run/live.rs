//! A pipeline, live: threads around the state machines.
//!
//! ```text
//!   this thread: feeder ─▶ workers ─▶ commit thread: commits ─▶ log, publisher
//!        ▲                                 │ released epoch
//!        └─────────────────────────────────┘
//! ```
//! It ends when it is told to (everything closed is committed first), or when something fails that only people can mend.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connectors::HistoryError;
use connectors::log::{Log, LogError, PartitionProgress, PollLimits};
use operators::dataflow::statistics::Statistics;
use operators::domain::shards::ShardRange;
use sql::live::LiveTables;

use super::Stores;
use super::binding::InputPartition;
use super::checkpointer::{CLOSING, Checkpointer, Found, SnapshotRequest};
use super::clock::{Clock, ClockError, Reading};
use super::collect::EpochOutput;
use super::commits::{Commits, Published, Publisher, RunIdentity, Turn};
use super::committer::CommitSettings;
use super::engine::{Engine, EngineSettings};
use super::feeder::{FeedError, FeedSink, Feeder};
use super::historian::{Historian, HistorianSettings, OnEnd, start_historian};
use super::records::Feed;
use super::recovery::Start;
use super::source::{Close, Source, SourceSettings};
use super::starting::{StartError, Started, describe_inputs, start};
use super::tables::{Observer, Showing, show_history, start_tables};
use crate::metrics::{Metrics, PartitionSample};

/// How long the feeder waits for records at most, so that it sees settled epochs and the end.
const POLL_MS_MAX: i64 = 20;
/// How long the feeder waits when the window is full.
const FULL_WAIT: Duration = Duration::from_millis(2);
/// How often metrics of what is held elsewhere are brought up to date.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// How often the log is asked for new partitions.
const PARTITIONS_EVERY: Duration = Duration::from_secs(30);
/// How long everything closed may take to be committed once the end is asked for.
const DRAIN_MAX: Duration = Duration::from_secs(8);

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct LiveSettings {
    /// The pipeline's name.
    pub name: String,
    /// The workers.
    pub engine: EngineSettings,
    /// Distance of epochs, in milliseconds.
    pub tick_ms: i64,
    /// The source.
    pub source: SourceSettings,
    /// The committer.
    pub commit: CommitSettings,
    /// Fingerprint of the settings that decide results.
    pub fingerprint: String,
    /// Version of the logic.
    pub logic: String,
}

/// Why a run ended otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The clock cannot be trusted.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The workers did not start or did not end well.
    #[error("the workers failed: {0}")]
    Engine(String),
    /// Committing ended; the sentence is its own.
    #[error("{0}")]
    Commit(String),
    /// Not everything was committed in time.
    #[error(
        "not every closed epoch was committed within {seconds} s of the end; nothing is lost: the next start does it again"
    )]
    DrainTooSlow {
        /// How long was waited.
        seconds: u64,
    },
}

impl From<FeedError> for RunError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Log(error) => RunError::Log(error),
            FeedError::Clock(error) => RunError::Clock(error),
        }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// Records read.
    pub records: u64,
    /// Epochs closed.
    pub epochs: u64,
    /// Recorded epochs that were fed again first.
    pub replayed: usize,
    /// The last epoch.
    pub last_epoch: Option<i64>,
    /// Counts over all workers.
    pub statistics: Statistics,
}

/// What others may watch and say while a pipeline runs.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Set once what was recorded before the start is through, so that new epochs are bound.
    pub caught_up: Arc<AtomicBool>,
    /// Set to end the run.
    pub stop: Arc<AtomicBool>,
    /// Records that are through: those before the offsets where this run began to read, and those of the epochs published since.
    pub records_through: Arc<AtomicU64>,
}

/// Reads both clocks of this machine.
pub(super) fn reading(started: Instant) -> Reading {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Reading { wall_ms: wall.as_millis() as i64, monotonic_ms: started.elapsed().as_millis() as i64 }
}

enum ToCommit {
    Closed(Box<Close>),
    Collected(Box<EpochOutput>),
    Restored(Box<EpochOutput>),
    Drain,
}

/// The commit thread's side of a run.
struct CommitThread {
    inbox: Receiver<ToCommit>,
    commits: Commits,
    settled: Settled,
    failed: Arc<Mutex<Option<String>>>,
    stop: Arc<AtomicBool>,
}

/// When the epochs that are on their way were closed.
#[derive(Debug, Default)]
struct ClosingTimes(Mutex<VecDeque<(i64, Instant)>>);

impl ClosingTimes {
    fn closed(&self, epoch: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back((epoch, Instant::now()));
    }

    /// How long ago an epoch was closed; it and those before it are not asked for again. None if it was recorded by an earlier run.
    fn settled(&self, epoch: i64) -> Option<Duration> {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while times.front().is_some_and(|(closed, _)| *closed < epoch) {
            times.pop_front();
        }
        if times.front().is_some_and(|(closed, _)| *closed == epoch) {
            return times.pop_front().map(|(_, at)| at.elapsed());
        }
        None
    }

    /// Epochs on their way, and the age of the oldest.
    fn waiting(&self) -> (usize, Duration) {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (times.len(), times.front().map_or(Duration::ZERO, |(_, at)| at.elapsed()))
    }
}

/// Publishes on, and notes what is settled.
struct Settled {
    publisher: Box<dyn Publisher + Send>,
    metrics: Arc<Metrics>,
    closing: Arc<ClosingTimes>,
    released: Arc<AtomicI64>,
    records: Arc<AtomicU64>,
}

impl Publisher for Settled {
    fn publish(&mut self, published: Published) {
        let (epoch, records) = (published.binding.epoch, published.binding.records);
        let commit = self.closing.settled(epoch);
        self.metrics.epochs.committed(commit);
        for output in &published.binding.outputs {
            self.metrics.log.written(&output.topic, output.count);
        }
        self.publisher.publish(published);
        self.released.store(epoch, Ordering::Release);
        self.records.fetch_add(records, Ordering::AcqRel);
    }

    fn restore(&mut self, output: EpochOutput) {
        self.publisher.restore(output);
    }
}

impl CommitThread {
    /// Runs until everything is committed, or nothing can be any more.
    fn run(mut self) {
        loop {
            while let Ok(message) = self.inbox.try_recv() {
                self.take(message);
            }
            match self.commits.step(&mut self.settled) {
                Turn::Busy => {}
                Turn::Pause(pause_ms) => std::thread::sleep(Duration::from_millis(pause_ms)),
                Turn::Waiting => match self.inbox.recv() {
                    Ok(message) => self.take(message),
                    Err(_) => return,
                },
                Turn::Drained => return,
                Turn::Stop(reason) => {
                    self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
                    self.stop.store(true, Ordering::Release);
                    return;
                }
            }
        }
    }

    fn take(&mut self, message: ToCommit) {
        match message {
            ToCommit::Closed(close) => self.commits.closed(*close),
            ToCommit::Collected(output) => self.commits.collected(*output),
            ToCommit::Restored(output) => self.settled.restore(*output),
            ToCommit::Drain => self.commits.drain(),
        }
    }
}

/// Hands what is fed to the workers and what is closed to the commit thread.
struct Wiring<'a> {
    engine: &'a Engine,
    commits: &'a Sender<ToCommit>,
    request: SnapshotRequest,
    closed: Arc<AtomicI64>,
    closing: Arc<ClosingTimes>,
    metrics: Arc<Metrics>,
}

impl FeedSink for Wiring<'_> {
    fn feed(&mut self, worker: usize, feed: Feed) {
        if let Feed::Records(chunk) = &feed {
            let (records, bytes) = (chunk.records.len() as u64, chunk.raw.0.len() as u64);
            self.metrics.log.read(chunk.partition.topic.name(), records, bytes);
        }
        self.engine.feed(worker, feed);
    }

    fn closed(&mut self, close: Close) {
        self.closed.store(close.epoch, Ordering::Release);
        if close.recorded.is_none() {
            self.closing.closed(close.epoch);
        }
        // The commit thread is gone only when the run is ending.
        let _ = self.commits.send(ToCommit::Closed(Box::new(close)));
    }

    fn snapshot_wanted(&mut self) -> Option<ShardRange> {
        let mut request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        if request.is_some() {
            self.closed.store(CLOSING, Ordering::Release);
        }
        request.take()
    }
}

/// Runs a pipeline until `control` says stop. What becomes durable is shown in `tables`, which answer once they have caught up with what
/// was committed before.
///
/// # Errors
/// If it cannot start or go on. What was committed stays; what was not is done again by the next start.
pub fn run(
    log: &Arc<dyn Log>,
    settings: &LiveSettings,
    stores: &Stores,
    tables: &Arc<LiveTables>,
    control: &Control,
    observers: Vec<Box<dyn Observer>>,
) -> Result<RunReport, RunError> {
    let clock_started = Instant::now();
    let mut now = move || reading(clock_started);
    let hint = format!("process {} since {}", std::process::id(), now().wall_ms);
    let mut found = None;
    let mut find_checkpoint = || {
        let (store, interval) = (stores.checkpoints.clone(), stores.checkpoint_interval);
        let opened = Checkpointer::open(&store, log, &settings.logic, &hint, interval)?;
        let place = opened.place.clone();
        found = Some(opened);
        Ok(place)
    };
    let Started { plan, committer, output_partitions } =
        start(log.as_ref(), &settings.name, &hint, &mut find_checkpoint)?;
    let Some(Found { checkpointer, restored, .. }) = found else {
        return Err(RunError::Engine("recovery looked for no checkpoint; report this".into()));
    };
    tracing::info!(
        incarnation = plan.incarnation,
        checkpoint = plan.checkpoint.epoch,
        last_epoch = plan.chain.epoch,
        recorded = plan.recorded.len(),
        "taken over: recorded epochs are fed again, then new ones are bound"
    );
    let replayed = plan.recorded.len();
    // What a checkpoint stands for is not fed again.
    control.records_through.store(plan.starts.iter().map(|start| start.offset).sum(), Ordering::Release);
    let clock = Clock::start(settings.tick_ms, plan.chain.epoch, now())?;
    let source = Source::new(settings.source, clock, &plan.checkpoint, plan.recorded);
    let workers = settings.engine.workers.max(1);
    let reader = log.reader("source")?;
    let mut feeder = Feeder::new(reader, source, &plan.starts, workers, PollLimits::default(), now())?;

    let identity = RunIdentity {
        pipeline: settings.name.clone(),
        incarnation: plan.incarnation,
        settings: settings.fingerprint.clone(),
        logic: settings.logic.clone(),
    };
    let historian = HistorianSettings {
        incarnation: hint,
        settings: stores.history_settings.clone(),
        interval: stores.history_interval,
    };
    let historian = Historian::open(stores.history.clone(), historian)?;
    let failed = Arc::new(Mutex::new(None));
    let on_end: OnEnd = {
        let (failed, stop) = (Arc::clone(&failed), Arc::clone(&control.stop));
        Arc::new(move |reason| {
            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
            stop.store(true, Ordering::Release);
        })
    };
    let (request, closed) = (checkpointer.request(), checkpointer.closed());
    tables.answer_from(plan.chain.epoch.unwrap_or(i64::MIN));
    let on_written = show_history(tables, &stores.history, &on_end);
    let historian =
        start_historian(historian, checkpointer, on_written, Arc::clone(&on_end), Arc::clone(&control.metrics));
    let historian = historian.map_err(|error| RunError::Engine(error.to_string()))?;
    let showing = Showing { tables: Arc::clone(tables), observers, metrics: Arc::clone(&control.metrics) };
    let publisher = start_tables(showing, historian, on_end);
    let publisher = publisher.map_err(|error| RunError::Engine(error.to_string()))?;
    let (to_commit, inbox) = channel();
    let released = Arc::new(AtomicI64::new(i64::MIN));
    let closing = Arc::new(ClosingTimes::default());
    let commit_thread = CommitThread {
        inbox,
        commits: Commits::new(committer, settings.commit, identity, output_partitions),
        settled: Settled {
            publisher: Box::new(publisher),
            metrics: Arc::clone(&control.metrics),
            closing: Arc::clone(&closing),
            released: Arc::clone(&released),
            records: Arc::clone(&control.records_through),
        },
        failed: Arc::clone(&failed),
        stop: Arc::clone(&control.stop),
    };
    let commit_thread = spawn_commits(commit_thread)?;
    let collected = to_commit.clone();
    let restored_epoch = restored.as_ref().map(|(epoch, _)| *epoch);
    let engine = Engine::start(settings.engine.clone(), restored, move |output| {
        // What restored workers tell of the checkpoint's own epoch was committed and written before.
        let is_new = Some(output.epoch) > restored_epoch;
        let output = Box::new(output);
        let _ = collected.send(if is_new { ToCommit::Collected(output) } else { ToCommit::Restored(output) });
    })
    .map_err(RunError::Engine)?;

    let mut report = RunReport { replayed, ..RunReport::default() };
    let metrics = Arc::clone(&control.metrics);
    let mut wiring =
        Wiring { engine: &engine, commits: &to_commit, request, closed, closing: Arc::clone(&closing), metrics };
    let mut partitions_asked = Instant::now();
    let mut sampled = Instant::now();
    let mut outcome = Ok(());
    while !control.stop.load(Ordering::Acquire) {
        feeder.source().released(released.load(Ordering::Acquire));
        let wait_ms = feeder.source().wait_ms(now()).map_or(POLL_MS_MAX, |wait| wait.clamp(0, POLL_MS_MAX));
        match feeder.step(Duration::from_millis(wait_ms as u64), &mut now, &mut wiring) {
            Ok(step) => {
                report.records += step.records;
                report.epochs += step.epochs;
                if step.full {
                    std::thread::sleep(FULL_WAIT);
                }
            }
            Err(error) => {
                let Some(pause) = error.retry_after() else {
                    outcome = Err(RunError::from(error));
                    break;
                };
                tracing::warn!(%error, "the log is not readable for now");
                std::thread::sleep(pause.min(Duration::from_secs(1)));
            }
        }
        if !feeder.source().is_replaying() {
            control.caught_up.store(true, Ordering::Release);
        }
        if sampled.elapsed() >= SAMPLE_EVERY {
            sampled = Instant::now();
            sample(&control.metrics, &mut feeder, &engine, &closing, now());
        }
        if partitions_asked.elapsed() >= PARTITIONS_EVERY {
            partitions_asked = Instant::now();
            if let Err(error) = add_new_partitions(log.as_ref(), &mut feeder, now()) {
                tracing::warn!(%error, "new partitions could not be looked for");
            }
        }
    }
    report.last_epoch = feeder.source().last_epoch();
    drop(feeder);
    report.statistics = engine.finish().map_err(RunError::Engine)?;
    let _ = to_commit.send(ToCommit::Drain);
    wait_for(commit_thread)?;
    if let Some(reason) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(RunError::Commit(reason));
    }
    outcome.map(|()| report)
}

/// Brings the metrics of what is held elsewhere up to date.
fn sample(metrics: &Metrics, feeder: &mut Feeder, engine: &Engine, closing: &ClosingTimes, now: Reading) {
    let reports = engine.reports();
    let mut statistics = Statistics::default();
    for (worker, report) in reports.iter().enumerate() {
        statistics.add(&report.statistics);
        metrics.state.worker(worker, report.queue);
    }
    metrics.events.observe(&statistics);
    metrics.state.observe(&statistics);
    let (waiting, oldest) = closing.waiting();
    metrics.epochs.waiting(waiting, oldest);
    let progress: BTreeMap<InputPartition, PartitionProgress> = feeder.progress().collect();
    let source = feeder.source();
    metrics.epochs.window(source.bytes_in_flight(), source.window_bytes_max());
    let samples: Vec<PartitionSample> = source
        .partitions(now)
        .into_iter()
        .map(|view| {
            let progress = progress.get(&view.partition);
            let delay_ms = view.watermark_ms.filter(|_| !view.idle).map(|watermark| (now.wall_ms - watermark).max(0));
            PartitionSample {
                topic: view.partition.topic.name(),
                partition: view.partition.partition,
                lag_records: progress.and_then(PartitionProgress::lag),
                watermark_delay_seconds: delay_ms.map(|delay_ms| delay_ms as f64 / 1_000.0),
                is_stalled: progress.is_some_and(PartitionProgress::is_stalled),
            }
        })
        .collect();
    metrics.log.partitions(&samples);
}

fn spawn_commits(thread: CommitThread) -> Result<JoinHandle<()>, RunError> {
    let body = move || {
        let _abort = crate::replay::AbortOnPanic;
        thread.run();
    };
    std::thread::Builder::new()
        .name("commits".to_owned())
        .spawn(body)
        .map_err(|error| RunError::Engine(error.to_string()))
}

/// Waits for the commit thread, but not for ever: a log that is gone must not keep the process.
fn wait_for(thread: JoinHandle<()>) -> Result<(), RunError> {
    let started = Instant::now();
    while !thread.is_finished() {
        if started.elapsed() > DRAIN_MAX {
            return Err(RunError::DrainTooSlow { seconds: DRAIN_MAX.as_secs() });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // A panic in it has aborted the process.
    let _ = thread.join();
    Ok(())
}

/// Takes on partitions that topics have now and had not before: from their beginning.
pub(super) fn add_new_partitions(log: &dyn Log, feeder: &mut Feeder, now: Reading) -> Result<(), LogError> {
    let topics = describe_inputs(log)?;
    let found = topics.iter().flat_map(|topic| &topic.partitions);
    let new = found.filter(|found| !feeder.partitions().contains(&found.partition));
    let starts: Vec<Start> = new.map(|found| Start { partition: found.partition, offset: found.earliest }).collect();
    if !starts.is_empty() {
        tracing::info!(count = starts.len(), "new partitions are read from their beginning");
        feeder.add_partitions(&starts, now)?;
    }
    Ok(())
}
