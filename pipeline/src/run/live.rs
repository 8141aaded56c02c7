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
use connectors::log::{CommitterIdentity, Log, LogError, LogReader, PartitionProgress, PollLimits};
use connectors::objects::Objects;
use operators::dataflow::statistics::Statistics;
use operators::domain::shards::ShardRange;
use sql::live::LiveTables;

use super::archive_reader::ArchiveReader;
use super::binding::{InputPartition, InputRange};
use super::checkpointer::{CLOSING, Checkpointer, Found, SnapshotRequest};
use super::clock::{Clock, ClockError, Reading};
use super::cluster::ClusterError;
use super::collect::EpochOutput;
use super::commits::{Commits, Published, Publisher, RunIdentity, Turn};
use super::committer::CommitSettings;
use super::engine::{Engine, EngineSettings, Seats};
use super::feeder::{FeedError, FeedSink, Feeder};
use super::historian::{Historian, HistorianSettings};
use super::keeper::{Keeping, OnEnd, start_keeper};
use super::records::{EpochEnds, RecordChunk};
use super::recovery::Start;
use super::source::{Close, Source, SourceSettings};
use super::stalls::Stalls;
use super::starting::{StartError, Started, describe_inputs, start};
use super::stores::Stores;
use super::successor::LogSuccessor;
use super::tables::{Observer, Showing, show_history, start_tables};
use crate::metrics::{Metrics, PartitionSample};

/// How long the feeder waits for records at most, so that it sees settled epochs and the end.
const POLL_MS_MAX: i64 = 20;
/// Polls that the largest epoch takes at least.
const POLLS_PER_EPOCH: u64 = 4;
/// How long the feeder waits when the window is full.
const FULL_WAIT: Duration = Duration::from_millis(2);
/// How long the feeder lets records gather when few came and their epoch cannot be closed yet: a poll for each of a producer's small
/// batches would take more time than their events do, and nobody would see a result sooner.
const BREATH: Duration = Duration::from_millis(3);
/// What counts as few.
const SPARSE_RECORDS: u64 = 500;
/// How often metrics of what is held elsewhere are brought up to date.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// How often the log is asked for new partitions.
const PARTITIONS_EVERY: Duration = Duration::from_secs(30);
/// How often partitions are looked at for open transactions that keep their records from being read.
const STALLS_EVERY: Duration = Duration::from_secs(1);
/// How long everything closed may take to be committed and kept once the end is asked for.
const DRAIN_MAX: Duration = Duration::from_secs(8);

/// How long the stores may take to arrange the last checkpoint before it is done without.
const LAST_CALL_MAX: Duration = Duration::from_secs(1);
/// How long a reader of the history may take: files that it began with stay for so long.
const READING_MS: i64 = 3_600_000;

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
    /// The processes of a cluster did not come together.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
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
    /// Set to end the run.
    pub stop: Arc<AtomicBool>,
    /// Records that are through: those before the offsets where this run began to read, and those of the epochs published since.
    pub records_through: Arc<AtomicU64>,
    /// Set once recorded epochs are through, so that what is answered is as new as the log.
    pub ready: Arc<AtomicBool>,
    /// How long some producer's open transaction has kept records of an input partition from being read, in milliseconds; 0 if none does.
    pub stalled_ms: Arc<AtomicU64>,
}

/// Reads both clocks of this machine.
pub(super) fn reading(started: Instant) -> Reading {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Reading { wall_ms: wall.as_millis() as i64, monotonic_ms: started.elapsed().as_millis() as i64 }
}

enum ToCommit {
    Closed(Box<Close>, Vec<RecordChunk>),
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
    /// Set when everything is committed.
    drained: Arc<AtomicBool>,
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
                Turn::Drained => return self.drained.store(true, Ordering::Release),
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
            ToCommit::Closed(close, records) => self.commits.closed(*close, records),
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
    fn feed(&mut self, worker: usize, chunk: RecordChunk) {
        let (records, bytes) = (chunk.records.len() as u64, chunk.raw.0.len() as u64);
        self.metrics.log.read(chunk.partition.topic.name(), records, bytes);
        self.engine.feed(worker, chunk);
    }

    fn bind(&mut self, ends: EpochEnds) {
        self.engine.bind(&ends);
    }

    fn closed(&mut self, close: Close, records: Vec<RecordChunk>) {
        self.closed.store(close.epoch, Ordering::Release);
        if close.recorded.is_none() {
            self.closing.closed(close.epoch);
        }
        // The commit thread is gone only when the run is ending.
        let _ = self.commits.send(ToCommit::Closed(Box::new(close), records));
    }

    fn snapshot_wanted(&mut self) -> Option<ShardRange> {
        let mut request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        if request.is_some() {
            self.closed.store(CLOSING, Ordering::Release);
        }
        request.take()
    }
}

/// Runs a pipeline until `control` says stop: as the only process, or as process 0 of those that it is connected with. What becomes durable
/// is shown in `tables`, which answer once they have caught up with what was committed before.
///
/// # Errors
/// If it cannot start or go on. What was committed stays; what was not is done again by the next start.
pub fn run(
    log: &Arc<dyn Log>,
    settings: &LiveSettings,
    stores: &Stores,
    tables: &Arc<LiveTables>,
    seats: Seats,
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
        start(log.as_ref(), &settings.name, &hint, &mut find_checkpoint, &stores.history)?;
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
    let last_recorded = plan.chain.epoch;
    // What a checkpoint stands for is not fed again.
    control.records_through.store(plan.starts.iter().map(|start| start.offset).sum(), Ordering::Release);
    let clock = Clock::start(settings.tick_ms, plan.chain.epoch, now())?;
    let source = Source::new(settings.source, clock, &plan.checkpoint, plan.recorded);
    let (_, processes) = seats.process();
    let workers = settings.engine.workers.max(1) * processes;
    let reader = archive_first(log.reader("source")?, &stores.history, plan.archived)?;
    // A poll is a part of what an epoch may hold, so that a small memory is not exceeded by one.
    let default = PollLimits::default();
    let bytes_max = default.bytes_max.min((settings.source.epoch_bytes_max / POLLS_PER_EPOCH) as usize);
    let limits = PollLimits { bytes_max, ..default };
    let mut feeder = Feeder::new(reader, source, &plan.starts, workers, limits, now())?;
    if stores.archive_retention_ms.is_some() {
        feeder = feeder.keeping_records();
    }

    let identity = RunIdentity {
        pipeline: settings.name.clone(),
        incarnation: plan.incarnation,
        settings: settings.fingerprint.clone(),
        logic: settings.logic.clone(),
    };
    let committer_hint = hint.clone();
    let historian = HistorianSettings {
        incarnation: hint,
        settings: stores.history_settings.clone(),
        bytes_max: stores.history_bytes_max / 4,
        archive_retention_ms: stores.archive_retention_ms,
        reading_ms: READING_MS,
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
    let taken_over: OnEnd = {
        let (on_end, name) = (Arc::clone(&on_end), settings.name.clone());
        Arc::new(move |reason| {
            on_end(format!("another instance of {name:?} has taken over; this one ends: {reason}"));
        })
    };
    tables.answer_from(plan.chain.epoch.unwrap_or(i64::MIN));
    let keeping = Keeping {
        interval: stores.history_interval,
        bytes_max: stores.history_bytes_max,
        on_written: show_history(tables, &stores.history, &on_end),
        on_end: taken_over,
        metrics: Arc::clone(&control.metrics),
    };
    let (keeper, last_call) =
        start_keeper(historian, checkpointer, keeping).map_err(|error| RunError::Engine(error.to_string()))?;
    let showing = Showing { tables: Arc::clone(tables), observers, metrics: Arc::clone(&control.metrics) };
    let publisher = start_tables(showing, keeper, on_end);
    let publisher = publisher.map_err(|error| RunError::Engine(error.to_string()))?;
    let successor = {
        let (log, name) = (Arc::clone(log), settings.name.clone());
        let identity = CommitterIdentity { name, incarnation: committer_hint };
        Box::new(LogSuccessor { log, identity })
    };
    let (to_commit, inbox) = channel();
    let drained = Arc::new(AtomicBool::new(false));
    let released = Arc::new(AtomicI64::new(i64::MIN));
    let closing = Arc::new(ClosingTimes::default());
    let commit_thread = CommitThread {
        inbox,
        commits: Commits::new(committer, successor, settings.commit, identity, output_partitions),
        settled: Settled {
            publisher: Box::new(publisher),
            metrics: Arc::clone(&control.metrics),
            closing: Arc::clone(&closing),
            released: Arc::clone(&released),
            records: Arc::clone(&control.records_through),
        },
        failed: Arc::clone(&failed),
        stop: Arc::clone(&control.stop),
        drained: Arc::clone(&drained),
    };
    let commit_thread = spawn_commits(commit_thread)?;
    let collected = to_commit.clone();
    let restored_epoch = restored.as_ref().map(|(epoch, _)| *epoch);
    let engine = Engine::start(settings.engine.clone(), seats, restored, move |output| {
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
    let (mut stalls, mut stalls_looked) = (Stalls::default(), Instant::now());
    let mut sampled = Instant::now();
    let mut outcome = Ok(());
    while !control.stop.load(Ordering::Acquire) {
        let settled = released.load(Ordering::Acquire);
        feeder.source().released(settled);
        let is_through = replayed == 0 || last_recorded.is_none_or(|last| settled >= last);
        if is_through && !feeder.source().is_replaying() && !control.ready.swap(true, Ordering::AcqRel) {
            tracing::info!(
                after_ms = clock_started.elapsed().as_millis() as u64,
                replayed,
                "ready: new epochs are bound from here on"
            );
        }
        let wait_ms = feeder.source().wait_ms(now()).map_or(POLL_MS_MAX, |wait| wait.clamp(0, POLL_MS_MAX));
        match feeder.step(Duration::from_millis(wait_ms as u64), &mut now, &mut wiring) {
            Ok(step) => {
                report.records += step.records;
                report.epochs += step.epochs;
                if step.full {
                    std::thread::sleep(FULL_WAIT);
                } else if (1..SPARSE_RECORDS).contains(&step.records) && wait_ms > 2 * BREATH.as_millis() as i64 {
                    std::thread::sleep(BREATH);
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
        if stalls_looked.elapsed() >= STALLS_EVERY {
            stalls_looked = Instant::now();
            stalls.look(feeder.progress(), now().monotonic_ms);
            control.stalled_ms.store(stalls.longest_ms(now().monotonic_ms), Ordering::Release);
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
    // What could not go on by itself is not asked for more.
    if outcome.is_ok() && failed.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
        last_call.ask(LAST_CALL_MAX);
        match feeder.close_last(now(), &mut wiring) {
            Ok(is_closed) => report.epochs += u64::from(is_closed),
            Err(error) => outcome = Err(RunError::from(error)),
        }
    } else {
        drop(last_call);
    }
    report.last_epoch = feeder.source().last_epoch();
    drop(feeder);
    let has_failed = outcome.is_err() || failed.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    if has_failed && processes > 1 {
        engine.abandon();
    } else {
        report.statistics = engine.finish().map_err(RunError::Engine)?;
    }
    let _ = to_commit.send(ToCommit::Drain);
    wait_for(commit_thread, &drained)?;
    if let Some(reason) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(RunError::Commit(reason));
    }
    outcome.map(|()| report)
}

/// The log's reader, behind the archive's if the log has let go of what recovery needs.
pub(super) fn archive_first(
    reader: Box<dyn LogReader>,
    history: &Objects,
    archived: Vec<InputRange>,
) -> Result<Box<dyn LogReader>, HistoryError> {
    if archived.is_empty() {
        return Ok(reader);
    }
    for range in &archived {
        tracing::warn!(
            topic = range.topic,
            partition = range.partition,
            first = range.first,
            next = range.next,
            "these records have expired in the log and are read from the input archive"
        );
    }
    Ok(Box::new(ArchiveReader::new(reader, history.clone(), archived)?))
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

/// Waits for the commit thread, but not for ever: a log or a store that is gone must not keep the process.
fn wait_for(thread: JoinHandle<()>, drained: &AtomicBool) -> Result<(), RunError> {
    let started = Instant::now();
    while !thread.is_finished() {
        if started.elapsed() > DRAIN_MAX {
            if drained.load(Ordering::Acquire) {
                // What is written of it is whole; a kill at this moment would do no harm either.
                tracing::warn!(
                    "everything is committed, and the last of the history or its checkpoint is not written: the next start does that"
                );
                return Ok(());
            }
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
    let starts: Vec<Start> =
        new.map(|found| Start { partition: found.partition, offset: found.earliest, is_new: true }).collect();
    if !starts.is_empty() {
        tracing::info!(count = starts.len(), "new partitions are read from their beginning");
        feeder.add_partitions(&starts, now)?;
    }
    Ok(())
}
