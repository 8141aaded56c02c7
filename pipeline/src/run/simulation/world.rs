//! The scheduler: one seed decides what happens next, step by step, until all is healed and must come to rest.
//!
//! ```text
//!   seed ─▶ settings, faults ─▶ hundreds of actions, invariants after each ─▶ heal ─▶ all committed within a bound ─▶ results
//! ```

use connectors::log::{LogError, TopicPartition};
use connectors::testing::faulty_objects::ObjectDefect;
use operators::domain::event::Topic;

use super::super::archive_reader::missing_in_archive;
use super::super::clock::{CLOCK_AHEAD_MS_MAX, Reading};
use super::super::commits::Turn;
use super::super::keeper;
use super::super::live::RunError;
use super::super::recovery::{Action as Recovered, Input, Recovery};
use super::super::starting::{StartError, describe_inputs};
use super::instance::{Instance, InstanceSettings};
use super::log::SimulatedLog;
use super::producer::Producer;
use super::storage::{Defect, Faults, Storage};
use super::stores::Stores;
use super::truth::Truth;
use crate::messages::{EPOCHS, OUTPUT_TOPICS};
use crate::simulate::random::Random;

/// True time at the beginning, in UTC milliseconds.
const BEGIN_MS: i64 = 1_771_000_000_000;
/// Instances at once: one in power, others that do not know yet.
const INSTANCES_MAX: usize = 3;
/// Foreign transactions at once.
const FOREIGN_MAX: usize = 2;
/// Partitions of a topic, at most.
const PARTITIONS_MAX: usize = 4;
/// Rounds after healing in which every record must be committed, beside one for each.
const ROUNDS_MAX: usize = 200;
/// Steps of one action in which a part must come to rest.
const STEPS_MAX: usize = 10_000;

/// What may happen, with its weight.
const ACTIONS: [(Action, f64); 23] = [
    (Action::Produce, 12.0),
    (Action::Feed, 22.0),
    (Action::Work, 20.0),
    (Action::Commit, 24.0),
    (Action::Advance, 16.0),
    (Action::AdvanceWall, 0.6),
    (Action::SetBackWall, 0.6),
    (Action::StandStill, 0.6),
    (Action::RunAwayWall, 0.05),
    (Action::Crash, 1.0),
    (Action::Start, 0.8),
    (Action::Drain, 0.5),
    (Action::BeginForeign, 1.0),
    (Action::EndForeign, 2.0),
    (Action::Settle, 2.0),
    (Action::AddPartition, 0.3),
    (Action::LookForPartitions, 0.8),
    (Action::ChangeFaults, 0.5),
    (Action::Keep, 14.0),
    (Action::ChangeStoreFaults, 0.8),
    (Action::Expire, 0.6),
    (Action::BeginReading, 0.5),
    (Action::EndReading, 0.5),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Produce,
    Feed,
    Work,
    Commit,
    Advance,
    AdvanceWall,
    SetBackWall,
    StandStill,
    RunAwayWall,
    Crash,
    Start,
    Drain,
    BeginForeign,
    EndForeign,
    Settle,
    AddPartition,
    LookForPartitions,
    ChangeFaults,
    Keep,
    ChangeStoreFaults,
    Expire,
    BeginReading,
    EndReading,
}

/// What one simulation came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Actions before healing.
    pub(super) steps: u64,
    /// Epochs committed.
    pub(super) epochs: u64,
    /// Instances that came to run.
    pub(super) starts: u64,
    /// Instances that were crashed, fenced, or left in doubt.
    pub(super) ends: u64,
    /// Input records bound.
    pub(super) records: u64,
    /// The most bytes on their way in percent of the window.
    pub(super) in_flight_share_max: u64,
    /// Fingerprint of everything that happened.
    pub(super) trace: u64,
}

impl Report {
    /// Adds another's counts.
    pub(super) fn add(&mut self, other: &Report) {
        self.steps += other.steps;
        self.epochs += other.epochs;
        self.starts += other.starts;
        self.ends += other.ends;
        self.records += other.records;
        self.in_flight_share_max = self.in_flight_share_max.max(other.in_flight_share_max);
    }
}

/// An instance with what is to be remembered of it.
struct Process {
    instance: Instance,
    /// Epochs that it has published, with those before a checkpoint.
    published: usize,
    stands_still: bool,
    /// Which of all instances it is.
    run: u64,
}

struct World {
    log: SimulatedLog,
    stores: Stores,
    random: Random,
    settings: InstanceSettings,
    wall_ms: i64,
    monotonic_ms: i64,
    producer: Producer,
    processes: Vec<Process>,
    foreign: Vec<usize>,
    truth: Truth,
    report: Report,
    /// Instances that were started, whatever came of it.
    runs: u64,
    /// The last of them that came to run.
    power: u64,
    is_verbose: bool,
}

/// Whether a start failed because of a store that fails for now.
fn is_of_store(error: &RunError) -> bool {
    let sentence = error.to_string();
    sentence.contains("simulated: ") || sentence.contains("the disk is full")
}

/// Runs the simulation of one seed.
///
/// # Errors
/// With the invariant that does not hold.
pub(super) fn simulate(seed: u64, defect: Defect, is_verbose: bool) -> Result<Report, String> {
    simulate_with(seed, defect, ObjectDefect::None, is_verbose)
}

/// The same on stores that may be broken, too.
///
/// # Errors
/// As [`simulate`].
pub(super) fn simulate_with(
    seed: u64,
    defect: Defect,
    store_defect: ObjectDefect,
    is_verbose: bool,
) -> Result<Report, String> {
    let mut world = World::new(seed, defect, store_defect, is_verbose);
    let steps = 100 + world.random.below(300);
    for step in 0..steps {
        world.report.steps = step;
        world.act().and_then(|()| world.check()).map_err(|reason| format!("step {step}: {reason}"))?;
    }
    world.heal().map_err(|reason| format!("after healing: {reason}"))?;
    world.check_whole().map_err(|reason| format!("at the end: {reason}"))?;
    Ok(world.report)
}

impl World {
    fn new(seed: u64, defect: Defect, store_defect: ObjectDefect, is_verbose: bool) -> Self {
        let mut random = Random::new(seed, 0);
        let mut storage = Storage::new(Random::new(seed, 1), defect);
        for topic in Topic::ALL {
            storage.create_topic(topic.name(), 1 + random.below(3) as usize);
        }
        for topic in OUTPUT_TOPICS {
            storage.create_topic(topic, 1 + random.below(3) as usize);
        }
        storage.create_topic(EPOCHS, 1);
        storage.faults = Faults::seeded(&mut random);
        World {
            log: SimulatedLog::new(storage),
            stores: Stores::new(seed, store_defect),
            settings: InstanceSettings::seeded(&mut random),
            random,
            wall_ms: BEGIN_MS,
            monotonic_ms: 0,
            producer: Producer::default(),
            processes: Vec::new(),
            foreign: Vec::new(),
            truth: Truth::default(),
            report: Report::default(),
            runs: 0,
            power: 0,
            is_verbose,
        }
    }

    fn now(&self) -> Reading {
        Reading { wall_ms: self.wall_ms, monotonic_ms: self.monotonic_ms }
    }

    fn tell(&mut self, what: &str) {
        let step = self.report.steps;
        let line = format!("{step} {what} {} {}", self.wall_ms - BEGIN_MS, self.truth.committed().len());
        self.report.trace = xxhash_rust::xxh3::xxh3_64_with_seed(line.as_bytes(), self.report.trace);
        if self.is_verbose {
            println!(
                "step {step}: {what}; wall {} ms, {} epochs",
                self.wall_ms - BEGIN_MS,
                self.truth.committed().len()
            );
        }
    }

    /// Does the next thing.
    fn act(&mut self) -> Result<(), String> {
        let weights = ACTIONS.map(|(_, weight)| weight);
        let (action, _) = ACTIONS[self.random.weighted(&weights)];
        self.tell(&format!("{action:?}"));
        let count = self.processes.len() as u64;
        // The youngest is the one in power.
        let process = if self.random.chance(0.8) { count.saturating_sub(1) } else { self.random.below(count) } as usize;
        match action {
            Action::Produce => self.produce(),
            Action::Advance => {
                let passed_ms = self.random.between(0, 3 * self.settings.tick_ms.max(20));
                self.wall_ms += passed_ms;
                self.monotonic_ms += passed_ms;
            }
            Action::AdvanceWall => self.wall_ms += self.random.between(1, 1_200_000),
            Action::SetBackWall => self.wall_ms -= self.random.between(1, 1_200_000),
            Action::RunAwayWall => self.wall_ms += CLOCK_AHEAD_MS_MAX + self.random.between(1, 10_000_000),
            Action::BeginForeign => self.begin_foreign(),
            Action::EndForeign => self.end_foreign(),
            Action::Settle => self.log.storage().settle(false),
            Action::AddPartition => {
                let topics = Topic::ALL.map(Topic::name).into_iter().chain(OUTPUT_TOPICS).collect::<Vec<_>>();
                let topic = *self.random.pick(&topics);
                let mut storage = self.log.storage();
                if storage.partitions(topic) < PARTITIONS_MAX {
                    storage.add_partition(topic);
                }
            }
            Action::ChangeFaults => {
                let faults = Faults::seeded(&mut self.random);
                self.log.storage().faults = faults;
            }
            Action::Start => return self.start(),
            Action::ChangeStoreFaults => self.stores.change_faults(&mut self.random),
            Action::Expire => return self.expire(),
            Action::BeginReading => return self.stores.begin_reading(self.store_now_ms()),
            Action::EndReading => return self.stores.end_reading(self.store_now_ms()),
            Action::Feed | Action::Work | Action::Commit | Action::Keep
                if self.processes.get(process).is_some_and(|process| process.stands_still) => {}
            _ if self.processes.is_empty() => return self.start(),
            Action::Feed => return self.feed(process),
            Action::Work => {
                let (feeds, steps) = (self.random.below(8) as usize, self.random.below(30) as usize);
                self.processes[process].instance.work(feeds, steps);
            }
            Action::Commit => {
                let (messages, turns) = (self.random.below(12) as usize, 1 + self.random.below(4));
                for turn in 0..turns {
                    if self.commit(process, if turn == 0 { messages } else { 0 })? != Some(Turn::Busy) {
                        break;
                    }
                }
            }
            Action::Keep => {
                for _ in 0..=self.random.below(6) {
                    if !self.keep(process)? {
                        break;
                    }
                }
            }
            Action::LookForPartitions => {
                let now = self.now();
                let sought = self.processes[process].instance.look_for_partitions(&self.log, now);
                sought.map_err(|error| error.to_string())?;
            }
            Action::StandStill => {
                let process = &mut self.processes[process];
                process.stands_still = !process.stands_still;
            }
            Action::Crash => {
                self.processes.remove(process);
                self.report.ends += 1;
            }
            Action::Drain => return self.drain(process),
        }
        Ok(())
    }

    /// What the stores' own clock says.
    fn store_now_ms(&self) -> i64 {
        BEGIN_MS + self.monotonic_ms
    }

    /// Lets records expire that the archive holds.
    fn expire(&mut self) -> Result<(), String> {
        let archived = self.stores.archived()?;
        if archived.is_empty() {
            return Ok(());
        }
        let range = self.random.pick(&archived).clone();
        let before = range.first + self.random.below(range.next - range.first + 1);
        self.log.storage().expire(&TopicPartition::new(range.topic.as_str(), range.partition), before);
        Ok(())
    }

    /// One turn of an instance's keeper; false if the instance has ended with it.
    fn keep(&mut self, process: usize) -> Result<bool, String> {
        let now = self.now();
        self.stores.set_now(self.store_now_ms());
        let turn = self.processes[process].instance.keep(now);
        self.stores.check(&self.truth, self.power)?;
        let keeper::Turn::Stop(reason) = turn else { return Ok(true) };
        self.check_keeping_ended(process, &reason)?;
        self.tell("an instance ends: its stores are another's");
        self.processes.remove(process);
        self.report.ends += 1;
        Ok(false)
    }

    /// Only a later one may have taken an instance's stores, whatever became of it since.
    fn check_keeping_ended(&self, process: usize, reason: &str) -> Result<(), String> {
        let by = reason.split('"').find_map(|part| part.strip_prefix("simulated ")?.parse::<u64>().ok());
        if reason.contains("another instance writes") && by > Some(self.processes[process].run) {
            return Ok(());
        }
        Err(format!("keeping of instance {} ends: {reason}", self.processes[process].run))
    }

    fn produce(&mut self) {
        let count = 1 + self.random.below(12);
        let mut storage = self.log.storage();
        let now_ms = BEGIN_MS + self.monotonic_ms;
        let records = self.producer.produce(&mut self.random, &storage, now_ms, count);
        storage.append(&records);
    }

    fn begin_foreign(&mut self) {
        if self.foreign.len() == FOREIGN_MAX {
            return;
        }
        let count = 1 + self.random.below(5);
        let mut storage = self.log.storage();
        let now_ms = BEGIN_MS + self.monotonic_ms;
        let records = self.producer.produce(&mut self.random, &storage, now_ms, count);
        self.foreign.push(storage.begin(&records, None));
    }

    fn end_foreign(&mut self) {
        if self.foreign.is_empty() {
            return;
        }
        let one = self.random.below(self.foreign.len() as u64) as usize;
        let commit = self.random.chance(0.7);
        self.log.storage().end(self.foreign.swap_remove(one), commit);
    }

    /// Starts one more instance, which takes the power from all others.
    fn start(&mut self) -> Result<(), String> {
        if self.processes.len() == INSTANCES_MAX {
            self.processes.remove(0);
            self.report.ends += 1;
        }
        self.stores.set_now(self.store_now_ms());
        self.runs += 1;
        let incarnation = format!("simulated {}", self.runs);
        let started = Instance::start(&self.log, &self.stores, &incarnation, self.settings, self.now());
        self.truth.follow(&self.log)?;
        match started {
            Ok(instance) => {
                self.report.starts += 1;
                self.power = self.runs;
                self.tell(&format!("run {} starts", instance.incarnation));
                let before = |epoch| instance.begins_after.is_some_and(|last| epoch <= last);
                let published = self.truth.committed().iter().take_while(|binding| before(binding.epoch)).count();
                self.processes.push(Process { instance, published, stands_still: false, run: self.runs });
                // The one before may keep on for a moment.
                let before = self.processes.len().checked_sub(2).filter(|_| self.random.chance(0.5));
                for _ in 0..4 {
                    if !before.map_or(Ok(false), |before| self.keep(before))? {
                        break;
                    }
                }
                Ok(())
            }
            Err(RunError::Log(error) | RunError::Start(StartError::Log(error))) if error.is_retriable() => Ok(()),
            Err(error) if is_of_store(&error) => Ok(()),
            // Too far back for now: time will pass.
            Err(RunError::Clock(_))
                if self.truth.last_epoch().is_some_and(|last| last - self.wall_ms > CLOCK_AHEAD_MS_MAX) =>
            {
                self.wall_ms += CLOCK_AHEAD_MS_MAX;
                Ok(())
            }
            Err(error) => Err(format!("an instance does not start: {error}")),
        }
    }

    fn feed(&mut self, process: usize) -> Result<(), String> {
        let now = self.now();
        let instance = &mut self.processes[process].instance;
        let before = instance.source().bytes_in_flight();
        let mut is_replaying = instance.source().is_replaying();
        match instance.feed(now) {
            Ok(_) => {
                let in_flight = instance.source().bytes_in_flight();
                let share = in_flight * 100 / self.settings.source.window_bytes_max;
                self.report.in_flight_share_max = self.report.in_flight_share_max.max(share);
                let was_replaying = std::mem::replace(&mut is_replaying, instance.source().is_replaying());
                let partitions = instance.source().partitions(now).len() as u64;
                let window = self.settings.source.window_bytes_max;
                // A poll ends with the record that exceeds it, and each record takes a little more room than its bytes.
                let poll = self.settings.limits.bytes_max as u64 + 24 * self.settings.limits.records_max as u64 + 1_000;
                let bound = if was_replaying { window * 3 / 2 + poll * (2 + partitions) } else { window + poll };
                if in_flight > bound.max(before) {
                    return Err(format!("{in_flight} bytes are on their way, and {bound} may be"));
                }
                Ok(())
            }
            // It ends, as it says; the clock will be put right.
            Err(RunError::Clock(_)) => {
                self.processes.remove(process);
                self.report.ends += 1;
                self.tell("an instance ends: the clock ran ahead");
                self.wall_ms = BEGIN_MS + self.monotonic_ms;
                Ok(())
            }
            // What it was about to read has expired: the next start reads the archive.
            Err(RunError::Log(LogError::OffsetOutOfRange { .. })) => {
                self.tell("an instance ends: records expired before it");
                self.processes.remove(process);
                self.report.ends += 1;
                Ok(())
            }
            Err(error) => Err(format!("feeding ends: {error}")),
        }
    }

    /// One turn of the commit thread; `None` if the instance has ended with it.
    fn commit(&mut self, process: usize, messages: usize) -> Result<Option<Turn>, String> {
        let turn = self.processes[process].instance.commit(messages);
        self.truth.follow(&self.log)?;
        let one = &mut self.processes[process];
        for published in one.instance.published() {
            self.truth.published(one.published, &published)?;
            one.published += 1;
            one.instance.hand_to_keeper(published);
        }
        let Turn::Stop(reason) = &turn else { return Ok(Some(turn)) };
        // One that lost its committer opens another, and so takes power even from one that started after it.
        let is_simulated = reason.contains("simulated") || reason.contains("has taken over");
        if !is_simulated {
            return Err(format!("committing ends: {reason}"));
        }
        self.tell("an instance ends: fenced, in doubt or failed");
        self.processes.remove(process);
        self.report.ends += 1;
        Ok(None)
    }

    /// Ends an instance as a signal does: what was closed is committed first, unless that is not possible.
    fn drain(&mut self, process: usize) -> Result<(), String> {
        let now = self.now();
        self.stores.set_now(self.store_now_ms());
        match self.processes[process].instance.drain(now) {
            Ok(()) => {}
            Err(RunError::Clock(_)) => {
                self.processes.remove(process);
                self.report.ends += 1;
                return Ok(());
            }
            Err(error) => return Err(format!("draining ends: {error}")),
        }
        for _ in 0..STEPS_MAX {
            match self.commit(process, 0)? {
                None => return Ok(()),
                Some(Turn::Drained) => {
                    let mut one = self.processes.remove(process);
                    self.report.ends += 1;
                    let last = one.published.checked_sub(1).map(|index| self.truth.committed()[index].epoch);
                    let closed = one.instance.source().last_epoch();
                    if closed != last {
                        return Err(format!("an instance drained after epoch {last:?} and had closed {closed:?}"));
                    }
                    one.instance.end_keeping(now);
                    self.stores.check(&self.truth, self.power)?;
                    return Ok(());
                }
                Some(Turn::Busy | Turn::Pause(_)) => {}
                Some(turn) => return Err(format!("an instance that drains is {turn:?}")),
            }
        }
        Err("an instance does not drain".to_owned())
    }

    /// What must hold after every action.
    fn check(&mut self) -> Result<(), String> {
        self.truth.follow(&self.log)?;
        if self.random.chance(0.1) { Truth::audit(&self.log) } else { Ok(()) }
    }

    /// Mends everything and waits until all is committed.
    fn heal(&mut self) -> Result<(), String> {
        self.tell("healing");
        {
            let mut storage = self.log.storage();
            storage.faults = Faults::NONE;
            for foreign in self.foreign.drain(..) {
                storage.end(foreign, true);
            }
            storage.settle(true);
        }
        self.stores.heal();
        self.processes.iter_mut().for_each(|process| process.stands_still = false);
        let rounds_max = ROUNDS_MAX + self.records_in() * 2;
        for _ in 0..rounds_max {
            while self.processes.len() > 1 {
                self.processes.remove(0);
            }
            self.wall_ms += self.settings.tick_ms;
            self.monotonic_ms += self.settings.tick_ms;
            if self.processes.is_empty() {
                self.start()?;
                continue;
            }
            let now = self.now();
            self.processes[0].instance.look_for_partitions(&self.log, now).map_err(|error| error.to_string())?;
            self.feed(0)?;
            if let Some(process) = self.processes.first_mut() {
                process.instance.work(usize::MAX, 20);
                for _ in 0..STEPS_MAX {
                    if self.commit(0, usize::MAX)?.is_none_or(|turn| turn == Turn::Waiting) {
                        break;
                    }
                }
            }
            if !self.processes.is_empty() {
                self.keep(0)?;
            }
            // One that has just started may still be about to show, and to keep, what others committed.
            let committed = self.truth.committed().len();
            let has_shown_all = self.processes.first().is_some_and(|process| process.published == committed);
            if has_shown_all && self.truth.is_whole(&self.log) {
                return self.end_well();
            }
        }
        Err(format!("not every record is committed after {rounds_max} rounds"))
    }

    /// Ends the last instance as a signal does, on stores that are whole: then everything is in them.
    fn end_well(&mut self) -> Result<(), String> {
        let Some(mut last) = self.processes.pop() else { return self.stores.check(&self.truth, self.power) };
        let now = self.now();
        match last.instance.end_keeping(now) {
            (keeper::Turn::Stop(reason), _) => return Err(format!("keeping ends after healing: {reason}")),
            (_, false) => return Err("history is not written at the end".to_owned()),
            _ => {}
        }
        self.stores.check(&self.truth, self.power)?;
        if self.settings.archives { self.stores.check_whole(&self.truth, &self.log) } else { Ok(()) }
    }

    fn records_in(&self) -> usize {
        let storage = self.log.storage();
        let of = |topic: Topic| {
            (0..storage.partitions(topic.name()))
                .map(|one| storage.committed(&TopicPartition::new(topic.name(), one as u32), 0).count())
                .sum::<usize>()
        };
        Topic::ALL.into_iter().map(of).sum()
    }

    /// Holds results against a run without interruption and against a plain reading of the input.
    fn check_whole(&mut self) -> Result<(), String> {
        Truth::audit(&self.log)?;
        if !self.log.storage().is_settled() {
            return Err("a transaction is still open".to_owned());
        }
        self.truth.check_results(&self.log)?;
        let bindings = self.truth.committed().to_vec();
        self.report.epochs = bindings.len() as u64;
        self.report.records = bindings.iter().map(|binding| binding.records).sum();
        if self.report.records != self.records_in() as u64 {
            return Err(format!("{} records are bound of {}", self.report.records, self.records_in()));
        }
        let topics = describe_inputs(&self.log).map_err(|error| error.to_string())?;
        let mut recovery = Recovery::default();
        for input in [Input::Begin, Input::CommitterOpened, Input::CheckpointFound(None)] {
            recovery.handle(input);
        }
        recovery.handle(Input::BindingsRead(bindings.clone()));
        let mut action = recovery.handle(Input::TopicsDescribed(topics));
        if let Recovered::FindArchived(ranges) = &action {
            let missing = missing_in_archive(&self.stores.history(), ranges).map_err(|error| error.to_string())?;
            action = recovery.handle(Input::ArchiveSearched(missing));
        }
        let Recovered::Go(plan) = action else {
            return Err(format!("a fresh start is refused: {action:?}"));
        };
        let count = bindings.len();
        let followed = Instance::follow(&self.log, &self.stores, self.settings, bindings, &plan, self.now());
        let mut follower = followed.map_err(|error| error.to_string())?;
        let mut published = 0;
        for _ in 0..ROUNDS_MAX + self.records_in() * 2 {
            follower.feed(self.now()).map_err(|error| error.to_string())?;
            follower.work(usize::MAX, 20);
            let mut turn = Turn::Busy;
            while turn == Turn::Busy {
                turn = follower.commit(usize::MAX);
            }
            for one in follower.published() {
                self.truth.published(published, &one)?;
                published += 1;
            }
            if published == count {
                return Ok(());
            }
            if let Turn::Stop(reason) = turn {
                return Err(format!("a run without interruption stops after {published} of {count} epochs: {reason}"));
            }
        }
        Err(format!("a run without interruption stands still after {published} of {count} epochs"))
    }
}
