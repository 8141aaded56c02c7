//! One process of the pipeline: the core as `live` wires it, each of its threads a method that the harness calls when it likes.
//!
//! ```text
//!   feed ─▶ feeds ─▶ work (worker's queue, dataflow) ─▶ inbox ─▶ commit ─▶ log, published
//! ```
//! Dropping it is the crash: nothing but the log remains.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use connectors::log::{CommitterIdentity, Log, PollLimits};
use operators::dataflow::entities::EntitySettings;
use operators::dataflow::intelligence::settings::ModelSettings;
use operators::dataflow::statistics::Statistics;
use timely::communication::allocator::Allocator;
use timely::communication::allocator::thread::Thread;
use timely::scheduling::Activator;
use timely::worker::Worker;

use super::super::binding::{Binding, ChainPosition};
use super::super::clock::{Clock, Reading};
use super::super::collect::EpochOutput;
use super::super::commits::{Commits, Published, Publisher, RunIdentity, Turn};
use super::super::committer::CommitSettings;
use super::super::feeder::{FeedSink, Feeder, Step};
use super::super::live::{RunError, add_new_partitions};
use super::super::records::{Feed, FeedQueue};
use super::super::recovery::Plan;
use super::super::source::{Close, Source, SourceSettings};
use super::super::starting::{Started, output_partitions, start};
use super::log::SimulatedLog;
use crate::graph::{self, GraphSettings, Machines};
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
}

impl InstanceSettings {
    /// Bounds so small that each of them is met.
    pub(super) fn seeded(random: &mut Random) -> Self {
        InstanceSettings {
            tick_ms: *random.pick(&[1, 50, 50, 1_000]),
            source: SourceSettings {
                window_bytes_max: random.between(1_000, 30_000) as u64,
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
        }
    }
}

enum ToCommit {
    Closed(Box<Close>),
    Collected(Box<EpochOutput>),
}

/// What threads hand each other.
struct Wires<'a> {
    feeds: &'a mut VecDeque<Feed>,
    inbox: &'a RefCell<VecDeque<ToCommit>>,
}

impl FeedSink for Wires<'_> {
    fn feed(&mut self, worker: usize, feed: Feed) {
        assert_eq!(worker, 0, "there is one worker");
        self.feeds.push_back(feed);
    }

    fn closed(&mut self, close: Close) {
        self.inbox.borrow_mut().push_back(ToCommit::Closed(Box::new(close)));
    }
}

#[derive(Default)]
struct Heard {
    published: Vec<Published>,
    released: Option<i64>,
}

impl Publisher for Heard {
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
    heard: Heard,
}

impl Instance {
    /// Starts as a process does: recovery first.
    pub(super) fn start(log: &SimulatedLog, settings: InstanceSettings, now: Reading) -> Result<Self, RunError> {
        let Started { plan, committer, output_partitions } = start(log, NAME, "simulated", &mut || Ok(None))?;
        let clock = Clock::start(settings.tick_ms, plan.chain.epoch, now)?;
        let source = Source::new(settings.source, clock, &plan.checkpoint, plan.recorded.clone());
        let commits = Commits::new(committer, settings.commit, identity(plan.incarnation), output_partitions);
        Self::wire(log, settings, source, commits, &plan, now)
    }

    /// Follows recorded epochs without interruption and writes nothing, as a recomputation does.
    pub(super) fn follow(
        log: &SimulatedLog,
        settings: InstanceSettings,
        recorded: Vec<Binding>,
        plan: &Plan,
        now: Reading,
    ) -> Result<Self, RunError> {
        let clock = Clock::start(settings.tick_ms, None, now)?;
        let source = Source::new(settings.source, clock, &ChainPosition::default(), recorded).recorded_only();
        let committer = log.committer(CommitterIdentity { name: "follower".into(), incarnation: "follower".into() })?;
        let commits = Commits::new(committer, settings.commit, identity(0), output_partitions(log)?);
        Self::wire(log, settings, source, commits, plan, now)
    }

    fn wire(
        log: &SimulatedLog,
        settings: InstanceSettings,
        source: Source,
        commits: Commits,
        plan: &Plan,
        now: Reading,
    ) -> Result<Self, RunError> {
        let feeder = Feeder::new(log.reader("source")?, source, &plan.starts, 1, settings.limits, now)?;
        let inbox = Rc::new(RefCell::new(VecDeque::new()));
        let collected = Rc::clone(&inbox);
        let queue = FeedQueue::default();
        let mut worker = Worker::new(timely::WorkerConfig::default(), Allocator::Thread(Thread::default()), None);
        let entities = EntitySettings {
            dedup_horizon_ms: 7 * 86_400_000,
            dedup_keys_max: 1_000_000,
            retention_ms: 400 * 86_400_000,
            rows: true,
            snapshots: false,
            restored_rows: false,
        };
        let statistics = Rc::new(RefCell::new(Statistics::default()));
        let models = ModelSettings { timer_grace_ms: TIMER_GRACE_MS, ..ModelSettings::standard() };
        let models = models.prepare().map_err(|error| RunError::Engine(error.to_string()))?;
        let settings = GraphSettings { entities, models };
        let machines =
            Machines::new(settings, 0, None, &statistics).map_err(|error| RunError::Engine(error.to_string()))?;
        let (_, activator) = worker.dataflow(|scope| {
            let emit = move |output| collected.borrow_mut().push_back(ToCommit::Collected(Box::new(output)));
            graph::run(scope, Rc::clone(&queue), MAX_FUTURE_MS, machines, entities, emit, &statistics)
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
            heard: Heard::default(),
        })
    }

    /// The feeder's thread, once round.
    pub(super) fn feed(&mut self, now: Reading) -> Result<Step, RunError> {
        if let Some(released) = self.heard.released {
            self.feeder.source().released(released);
        }
        let mut wires = Wires { feeds: &mut self.feeds, inbox: &self.inbox };
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
        self.queue.borrow_mut().extend(self.feeds.drain(..taken));
        if !self.queue.borrow().is_empty() {
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
                Some(ToCommit::Closed(close)) => self.commits.closed(*close),
                Some(ToCommit::Collected(output)) => self.commits.collected(*output),
                None => break,
            }
        }
    }

    /// The end of a run: lets the workers finish, and says that no more epochs will come.
    pub(super) fn drain(&mut self) {
        self.feeds.push_back(Feed::End);
        self.work(usize::MAX, 0);
        while self.worker.has_dataflows() {
            self.worker.step();
        }
        self.take(usize::MAX);
        self.commits.drain();
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
