//! One process of the pipeline: the core as `live` wires it, each of its threads a method that the harness calls when it likes.
//!
//! ```text
//!   feed ─▶ feeds ─▶ work (worker's queue, dataflow) ─▶ inbox ─▶ commit ─▶ log, published ─▶ keep ─▶ stores
//! ```
//! What is published goes on to the keeper: history, then checkpoints. Dropping an instance is the crash: nothing but the log and the
//! stores remains.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use connectors::log::{CommitterIdentity, Log, PollLimits};
use operators::dataflow::entities::EntitySettings;
use operators::dataflow::intelligence::settings::ModelSettings;
use operators::dataflow::statistics::Statistics;
use operators::domain::shards::ShardRange;
use timely::communication::allocator::Allocator;
use timely::communication::allocator::thread::Thread;
use timely::scheduling::Activator;
use timely::worker::Worker;

use super::super::binding::{Binding, ChainPosition};
use super::super::checkpointer::{CLOSING, Checkpointer, Found, SnapshotRequest};
use super::super::clock::{Clock, Reading};
use super::super::collect::EpochOutput;
use super::super::commits::{Commits, Published, Publisher, RunIdentity, Turn};
use super::super::committer::CommitSettings;
use super::super::feeder::{FeedSink, Feeder, Step};
use super::super::historian::{Historian, HistorianSettings, add_epoch_row};
use super::super::keeper::{self, Heard, Keeper};
use super::super::live::{RunError, add_new_partitions, archive_first};
use super::super::records::{EpochEnds, Feed, FeedQueue, RecordChunk};
use super::super::recovery::Plan;
use super::super::source::{Close, Source, SourceSettings};
use super::super::starting::{Started, output_partitions, start};
use super::super::successor::{LogSuccessor, Nobody};
use super::log::SimulatedLog;
use super::stores::{READING_MS, Stores};
use crate::graph::{self, GraphSettings, Machines, Restored};
use crate::simulate::random::Random;

/// The name under which instances of the pipeline exclude each other.
const NAME: &str = "shop";

/// How far an event may lie ahead of its epoch, in milliseconds.
pub(super) const MAX_FUTURE_MS: i64 = 300_000;
const TIMER_GRACE_MS: i64 = 5_000;

/// Settings of every instance of one simulation.
#[derive(Clone, Copy, Debug)]
pub(super) struct InstanceSettings {
    pub(super) tick_ms: i64,
    pub(super) source: SourceSettings,
    pub(super) commit: CommitSettings,
    pub(super) limits: PollLimits,
    pub(super) history_interval_ms: i64,
    pub(super) checkpoint_interval_ms: i64,
    pub(super) archives: bool,
}

impl InstanceSettings {
    /// Bounds so small that each of them is met.
    pub(super) fn seeded(random: &mut Random) -> Self {
        InstanceSettings {
            tick_ms: *random.pick(&[1, 50, 50, 1_000]),
            source: SourceSettings {
                window_bytes_max: random.between(1_000, 30_000) as u64,
                epoch_bytes_max: random.between(300, 30_000) as u64,
                idle_after_ms: 30_000,
                heartbeat_ms: None,
            },
            commit: CommitSettings {
                group_bytes_max: random.between(500, 10_000) as u64,
                group_messages_max: random.between(1, 50) as u64,
            },
            limits: PollLimits {
                records_max: random.between(1, 40) as usize,
                bytes_max: random.between(200, 8_000) as usize,
            },
            history_interval_ms: random.between(50, 1_500),
            checkpoint_interval_ms: random.between(50, 3_000),
            archives: random.chance(0.9),
        }
    }
}

enum ToCommit {
    Closed(Box<Close>, Vec<RecordChunk>),
    Collected(Box<EpochOutput>),
}

/// What threads hand each other.
struct Wires<'a> {
    feeds: &'a mut VecDeque<Feed>,
    inbox: &'a RefCell<VecDeque<ToCommit>>,
    asked: Option<&'a (SnapshotRequest, Arc<AtomicI64>)>,
}

impl FeedSink for Wires<'_> {
    fn feed(&mut self, worker: usize, chunk: RecordChunk) {
        assert_eq!(worker, 0, "there is one worker");
        self.feeds.push_back(Feed::Records(worker, chunk));
    }

    fn bind(&mut self, ends: EpochEnds) {
        self.feeds.push_back(Feed::Close(ends));
    }

    fn closed(&mut self, close: Close, records: Vec<RecordChunk>) {
        if let Some((_, closed)) = self.asked {
            closed.store(close.epoch, Ordering::Release);
        }
        self.inbox.borrow_mut().push_back(ToCommit::Closed(Box::new(close), records));
    }

    fn snapshot_wanted(&mut self) -> Option<ShardRange> {
        let (request, closed) = self.asked?;
        let mut request = request.lock().unwrap();
        if request.is_some() {
            closed.store(CLOSING, Ordering::Release);
        }
        request.take()
    }
}

#[derive(Default)]
struct Publications {
    published: Vec<Published>,
    released: Option<i64>,
}

impl Publisher for Publications {
    fn publish(&mut self, published: Published) {
        self.released = Some(published.binding.epoch);
        self.published.push(published);
    }
}

/// A running pipeline.
pub(super) struct Instance {
    /// Number of its run, as recovery gave it; 0 for one that only follows.
    pub(super) incarnation: u64,
    /// The last epoch before the first that it publishes: a checkpoint's.
    pub(super) begins_after: Option<i64>,
    feeder: Feeder,
    feeds: VecDeque<Feed>,
    worker: Worker,
    queue: FeedQueue,
    activator: Activator,
    inbox: Rc<RefCell<VecDeque<ToCommit>>>,
    commits: Commits,
    heard: Publications,
    asked: Option<(SnapshotRequest, Arc<AtomicI64>)>,
    keeper: Option<Keeper>,
    /// Published epochs that the keeper has not heard of.
    unkept: VecDeque<Published>,
}

impl Instance {
    /// Starts as a process does: recovery first.
    pub(super) fn start(
        log: &SimulatedLog,
        stores: &Stores,
        incarnation: &str,
        settings: InstanceSettings,
        now: Reading,
    ) -> Result<Self, RunError> {
        let shared: Arc<dyn Log> = Arc::new(log.clone());
        let interval = Duration::from_millis(settings.checkpoint_interval_ms as u64);
        let mut found = None;
        let mut find_checkpoint = || {
            let opened = Checkpointer::open(&stores.checkpoints(), &shared, "simulated", incarnation, interval)?;
            let place = opened.place.clone();
            found = Some(opened);
            Ok(place)
        };
        let Started { plan, committer, output_partitions } =
            start(log, NAME, incarnation, &mut find_checkpoint, &stores.history())?;
        let Some(Found { checkpointer, restored, .. }) = found else {
            return Err(RunError::Engine("recovery looked for no checkpoint".into()));
        };
        let historian = HistorianSettings {
            incarnation: incarnation.to_owned(),
            settings: serde_json::json!(null),
            bytes_max: 100_000,
            archive_retention_ms: settings.archives.then_some(i64::MAX),
            reading_ms: READING_MS,
        };
        let historian = Historian::open(stores.history(), historian)?;
        let clock = Clock::start(settings.tick_ms, plan.chain.epoch, now)?;
        let source = Source::new(settings.source, clock, &plan.checkpoint, plan.recorded.clone());
        let identity_of = CommitterIdentity { name: NAME.into(), incarnation: incarnation.to_owned() };
        let successor = Box::new(LogSuccessor { log: Arc::clone(&shared), identity: identity_of });
        let commits =
            Commits::new(committer, successor, settings.commit, identity(plan.incarnation), output_partitions);
        let asked = (checkpointer.request(), checkpointer.closed());
        let keeper = Keeper::new(
            historian,
            checkpointer,
            settings.history_interval_ms,
            now.monotonic_ms,
            Box::new(|_| {}),
            Arc::default(),
        );
        let mut instance = Self::wire(log, stores, settings, source, commits, &plan, restored, now)?;
        instance.asked = Some(asked);
        instance.keeper = Some(keeper);
        Ok(instance)
    }

    /// Follows recorded epochs without interruption and writes nothing, as a recomputation does.
    pub(super) fn follow(
        log: &SimulatedLog,
        stores: &Stores,
        settings: InstanceSettings,
        recorded: Vec<Binding>,
        plan: &Plan,
        now: Reading,
    ) -> Result<Self, RunError> {
        let clock = Clock::start(settings.tick_ms, None, now)?;
        let source = Source::new(settings.source, clock, &ChainPosition::default(), recorded).recorded_only();
        let committer = log.committer(CommitterIdentity { name: "follower".into(), incarnation: "follower".into() })?;
        let commits = Commits::new(committer, Box::new(Nobody), settings.commit, identity(0), output_partitions(log)?);
        Self::wire(log, stores, settings, source, commits, plan, None, now)
    }

    #[expect(clippy::too_many_arguments, reason = "both ways of starting end here")]
    fn wire(
        log: &SimulatedLog,
        stores: &Stores,
        settings: InstanceSettings,
        source: Source,
        commits: Commits,
        plan: &Plan,
        restored: Option<Restored>,
        now: Reading,
    ) -> Result<Self, RunError> {
        let reader = archive_first(log.reader("source")?, &stores.history(), plan.archived.clone())?;
        let mut feeder = Feeder::new(reader, source, &plan.starts, 1, settings.limits, now)?;
        if settings.archives {
            feeder = feeder.keeping_records();
        }
        let inbox = Rc::new(RefCell::new(VecDeque::new()));
        let collected = Rc::clone(&inbox);
        let queue = FeedQueue::new(1);
        let mut worker = Worker::new(timely::WorkerConfig::default(), Allocator::Thread(Thread::default()), None);
        let entities = EntitySettings {
            dedup_horizon_ms: 7 * 86_400_000,
            dedup_keys_max: 1_000_000,
            retention_ms: 400 * 86_400_000,
            rows: true,
            snapshots: true,
            restored_rows: false,
        };
        let statistics = Rc::new(RefCell::new(Statistics::default()));
        let restored_epoch = restored.as_ref().map(|(epoch, _)| *epoch);
        let models = ModelSettings { timer_grace_ms: TIMER_GRACE_MS, ..ModelSettings::standard() };
        let models = models.prepare().map_err(|error| RunError::Engine(error.to_string()))?;
        let graph_settings = GraphSettings { entities, models };
        let machines = Machines::new(graph_settings, 0, restored, &statistics)
            .map_err(|error| RunError::Engine(error.to_string()))?;
        let (_, activator) = worker.dataflow(|scope| {
            let emit = move |output: EpochOutput| {
                // As in `live`: the checkpoint's own epoch was committed before.
                if Some(output.epoch) > restored_epoch {
                    collected.borrow_mut().push_back(ToCommit::Collected(Box::new(output)));
                }
            };
            graph::run(scope, queue.clone(), MAX_FUTURE_MS, machines, entities, emit, &statistics)
        });
        Ok(Instance {
            incarnation: plan.incarnation,
            begins_after: plan.checkpoint.epoch,
            feeder,
            feeds: VecDeque::new(),
            worker,
            queue,
            activator,
            inbox,
            commits,
            heard: Publications::default(),
            asked: None,
            keeper: None,
            unkept: VecDeque::new(),
        })
    }

    /// The feeder's thread, once round.
    pub(super) fn feed(&mut self, now: Reading) -> Result<Step, RunError> {
        if let Some(released) = self.heard.released {
            self.feeder.source().released(released);
        }
        let mut wires = Wires { feeds: &mut self.feeds, inbox: &self.inbox, asked: self.asked.as_ref() };
        match self.feeder.step(Duration::ZERO, &mut || now, &mut wires) {
            Err(error) if error.retry_after().is_some() => Ok(Step::default()),
            step => Ok(step?),
        }
    }

    /// Looks for partitions that topics have now and had not before.
    pub(super) fn look_for_partitions(&mut self, log: &SimulatedLog, now: Reading) -> Result<(), RunError> {
        match add_new_partitions(log, &mut self.feeder, now) {
            Err(error) if !error.is_retriable() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The worker's thread: takes some of what it is fed and steps so many times.
    pub(super) fn work(&mut self, feeds: usize, steps: usize) {
        let taken = feeds.min(self.feeds.len());
        self.feeds.drain(..taken).for_each(|feed| self.queue.push(feed));
        if !self.queue.is_empty() {
            self.activator.activate();
        }
        for _ in 0..steps {
            self.worker.step();
        }
    }

    /// The commit thread, once round, after it took some of what came for it.
    pub(super) fn commit(&mut self, messages: usize) -> Turn {
        self.take(messages);
        self.commits.step(&mut self.heard)
    }

    fn take(&mut self, messages: usize) {
        for _ in 0..messages {
            let message = self.inbox.borrow_mut().pop_front();
            match message {
                Some(ToCommit::Closed(close, records)) => self.commits.closed(*close, records),
                Some(ToCommit::Collected(output)) => self.commits.collected(*output),
                None => break,
            }
        }
    }

    /// The end of a run: lets the workers finish, and says that no more epochs will come.
    pub(super) fn drain(&mut self, now: Reading) -> Result<(), RunError> {
        if let Some(keeper) = &mut self.keeper {
            keeper.turn(Heard::Last, now.monotonic_ms);
        }
        let mut wires = Wires { feeds: &mut self.feeds, inbox: &self.inbox, asked: self.asked.as_ref() };
        self.feeder.close_last(now, &mut wires)?;
        self.feeds.push_back(Feed::End);
        self.work(usize::MAX, 0);
        while self.worker.has_dataflows() {
            self.worker.step();
        }
        self.take(usize::MAX);
        self.commits.drain();
        Ok(())
    }

    /// The keeper's thread, once round: takes an epoch if there is one.
    pub(super) fn keep(&mut self, now: Reading) -> keeper::Turn {
        let Some(keeper) = &mut self.keeper else { return keeper::Turn::Done };
        let heard = self.unkept.pop_front().map_or(Heard::Nothing, |published| Heard::Published(Box::new(published)));
        keeper.turn(heard, now.monotonic_ms)
    }

    /// The keeper's end, once all is committed. Whether all is written.
    pub(super) fn end_keeping(&mut self, now: Reading) -> (keeper::Turn, bool) {
        while !self.unkept.is_empty() {
            if let turn @ keeper::Turn::Stop(_) = self.keep(now) {
                return (turn, false);
            }
        }
        let Some(keeper) = &mut self.keeper else { return (keeper::Turn::Done, true) };
        let turn = keeper.turn(Heard::End, now.monotonic_ms);
        (turn, keeper.historian().is_written())
    }

    /// Hands the keeper what was published.
    pub(super) fn hand_to_keeper(&mut self, mut published: Published) {
        add_epoch_row(&mut published);
        self.unkept.push_back(published);
    }

    /// What it published since it was last asked.
    pub(super) fn published(&mut self) -> Vec<Published> {
        std::mem::take(&mut self.heard.published)
    }

    /// Its source.
    pub(super) fn source(&mut self) -> &mut Source {
        self.feeder.source()
    }
}

fn identity(incarnation: u64) -> RunIdentity {
    RunIdentity { pipeline: NAME.into(), incarnation, settings: "simulated".into(), logic: "simulated".into() }
}
