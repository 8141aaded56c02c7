//! What belongs to which epoch, and how much may be on its way: a state machine without I/O.
//!
//! ```text
//!   polled(partition, offsets) ─▶ pending ─┬─ recorded epochs first: closed once their ranges are read ─▶ Close { replayed }
//!                                          └─ then at each tick of the clock, if anything is pending ─▶ Close
//!   released(epoch) ─▶ its bytes leave the window          wants(partition): false while the window is full
//! ```
//! A range once closed is never changed. Memory is bounded: what was polled and has not been released stays below the window, plus
//! one poll. While recorded epochs are replayed, a partition that is read ahead of them waits at half the window's share for it, and
//! one that they still need waits for nothing but epochs on their way, so the replay cannot stand still. Then the next epoch itself
//! (once it fitted the window and a poll), what was read ahead (half a window) and a poll for each partition is the bound.

use std::collections::{BTreeMap, VecDeque};

use super::binding::{Binding, ChainPosition, InputPartition, InputRange};
use super::clock::{Clock, ClockError, Reading};

/// Bounds of the source.
#[derive(Clone, Copy, Debug)]
pub struct SourceSettings {
    /// Input that was polled and whose results are not settled yet, in bytes.
    pub window_bytes_max: u64,
    /// Input of one epoch, in bytes, give or take a poll: what is left waits for the next tick, so that the outputs of one epoch, which are
    /// committed together, stay bounded, too.
    pub epoch_bytes_max: u64,
    /// A partition silent for this long holds no watermark back, in milliseconds.
    pub idle_after_ms: i64,
    /// An epoch without input is closed when there was none for so long, so that timers fire; never if nobody has any.
    pub heartbeat_ms: Option<i64>,
}

/// Records of one partition as they were polled: neighbours, in order.
#[derive(Clone, Copy, Debug)]
pub struct Polled {
    /// The partition.
    pub partition: InputPartition,
    /// Offset after the last record.
    pub next: u64,
    /// Number of records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The event time of the last one, if readable.
    pub event_time_ms: Option<i64>,
}

/// An epoch to close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The epoch.
    pub epoch: i64,
    /// The epoch before.
    pub previous: Option<i64>,
    /// The ranges of every partition that moved, by partition.
    pub inputs: Vec<InputRange>,
    /// Partitions that hold no watermark back.
    pub idle: Vec<String>,
    /// Records in the ranges.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that had expired before their partition was ever read.
    pub skipped: Vec<InputRange>,
    /// The record of it, if it was committed before a restart: then its outputs are compared and not written.
    pub recorded: Option<Binding>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    next: u64,
    records: u64,
    bytes: u64,
}

#[derive(Debug)]
struct PartitionState {
    /// First offset that belongs to no epoch.
    unbound: u64,
    /// Offset after the last record that was polled.
    polled: u64,
    /// What was polled and belongs to no epoch.
    pending: VecDeque<Run>,
    pending_bytes: u64,
    watermark_ms: Option<i64>,
    active_ms: i64,
    /// Whether records before the first one had expired and no epoch says so yet.
    skips: bool,
}

impl PartitionState {
    /// Takes what lies before `next` off the pending records: records and bytes.
    fn take_before(&mut self, next: u64) -> (u64, u64) {
        let (mut records, mut bytes) = (0, 0);
        while let Some(run) = self.pending.front().filter(|run| run.next <= next) {
            records += run.records;
            bytes += run.bytes;
            self.pending.pop_front();
        }
        self.pending_bytes -= bytes;
        self.unbound = next;
        (records, bytes)
    }
}

/// What is known of a partition, for tables and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// The partition.
    pub partition: InputPartition,
    /// First offset that belongs to no epoch.
    pub next_offset: u64,
    /// Greatest event time seen.
    pub watermark_ms: Option<i64>,
    /// Whether it holds no watermark back.
    pub idle: bool,
}

/// The source of a running pipeline.
#[derive(Debug)]
pub struct Source {
    settings: SourceSettings,
    clock: Clock,
    partitions: BTreeMap<InputPartition, PartitionState>,
    recorded: VecDeque<Binding>,
    pending_records: u64,
    pending_bytes: u64,
    /// Closed epochs that are not released, with their bytes.
    closed: VecDeque<(i64, u64)>,
    closed_bytes: u64,
    last_epoch: Option<i64>,
    binds_new: bool,
}

impl Source {
    /// A source that goes on behind `chain`, through the `recorded` epochs first. `clock` must go on behind the last of these.
    pub fn new(settings: SourceSettings, clock: Clock, chain: &ChainPosition, recorded: Vec<Binding>) -> Self {
        Source {
            settings,
            clock,
            partitions: BTreeMap::new(),
            recorded: recorded.into(),
            pending_records: 0,
            pending_bytes: 0,
            closed: VecDeque::new(),
            closed_bytes: 0,
            last_epoch: chain.epoch,
            binds_new: true,
        }
    }

    /// Ends with the last recorded epoch: nothing new is ever bound.
    #[must_use]
    pub fn recorded_only(mut self) -> Self {
        self.binds_new = false;
        self
    }

    /// Takes on a partition that is read from `start` on.
    pub fn add_partition(&mut self, partition: InputPartition, start: u64, now: Reading) {
        let state = PartitionState {
            unbound: start,
            polled: start,
            pending: VecDeque::new(),
            pending_bytes: 0,
            watermark_ms: None,
            active_ms: now.monotonic_ms,
            skips: false,
        };
        self.partitions.insert(partition, state);
    }

    /// Says that the records before a partition's start had expired before any was read: its first epoch tells.
    pub fn skips(&mut self, partition: InputPartition) {
        if let Some(state) = self.partitions.get_mut(&partition) {
            state.skips = true;
        }
    }

    /// Offsets at which records of a partition must be kept apart, because recorded epochs end there, in order.
    pub fn recorded_ends(&self, partition: InputPartition) -> impl Iterator<Item = u64> {
        self.recorded
            .iter()
            .flat_map(|binding| &binding.inputs)
            .filter(move |range| range.input_partition() == Some(partition))
            .map(|range| range.next)
    }

    /// Whether recorded epochs are left.
    pub fn is_replaying(&self) -> bool {
        !self.recorded.is_empty()
    }

    /// Takes in what was polled. Runs of a partition come in order and, while recorded epochs are left, do not reach over one's end.
    pub fn polled(&mut self, polled: &Polled, now: Reading) {
        let Some(state) = self.partitions.get_mut(&polled.partition) else { return };
        state.polled = polled.next;
        state.active_ms = now.monotonic_ms;
        state.watermark_ms = state.watermark_ms.max(polled.event_time_ms);
        state.pending.push_back(Run { next: polled.next, records: polled.records, bytes: polled.bytes });
        state.pending_bytes += polled.bytes;
        self.pending_records += polled.records;
        self.pending_bytes += polled.bytes;
    }

    /// Whether any partition may be polled.
    pub fn wants_input(&self) -> bool {
        self.is_replaying()
            || (self.pending_bytes < self.settings.epoch_bytes_max
                && self.pending_bytes + self.closed_bytes < self.settings.window_bytes_max)
    }

    /// Whether this partition may be polled: differs from [`Source::wants_input`] while recorded epochs are left.
    pub fn wants(&self, partition: InputPartition) -> bool {
        let Some(next) = self.recorded.front() else { return self.wants_input() };
        let Some(state) = self.partitions.get(&partition) else { return false };
        let share = self.settings.window_bytes_max / 2 / (self.partitions.len() as u64).max(1);
        let needed =
            next.inputs.iter().any(|range| range.input_partition() == Some(partition) && state.polled < range.next);
        // What is on its way holds everything back, but only until it is through: then what the next epoch needs is read, however
        // much was read ahead of it.
        let room = self.pending_bytes + self.closed_bytes < self.settings.window_bytes_max;
        if needed { room || self.closed_bytes == 0 } else { room && state.pending_bytes < share }
    }

    /// The next epoch that can be closed now, if any.
    ///
    /// # Errors
    /// If the clock cannot be trusted; nothing was closed then.
    pub fn close(&mut self, now: Reading) -> Result<Option<Close>, ClockError> {
        if let Some(binding) = self.recorded.front() {
            let is_read = |range: &InputRange| {
                let state = range.input_partition().and_then(|partition| self.partitions.get(&partition));
                state.is_some_and(|state| state.polled >= range.next)
            };
            if !binding.inputs.iter().all(is_read) || self.closed_bytes >= self.settings.window_bytes_max {
                return Ok(None);
            }
            let Some(binding) = self.recorded.pop_front() else { return Ok(None) };
            self.clock.closed(binding.epoch, now);
            return Ok(Some(self.bind(binding.epoch, binding.inputs.clone(), binding.idle.clone(), Some(binding))));
        }
        let has_reason = self.pending_records > 0 || self.is_heartbeat_due(now);
        if !self.binds_new || !has_reason || self.clock.wait_ms(now) > 0 {
            return Ok(None);
        }
        self.close_new(now).map(Some)
    }

    /// The last epoch, of whatever is pending, perhaps nothing; none while recorded epochs are left, or before the first one.
    ///
    /// # Errors
    /// As [`Source::close`].
    pub fn close_last(&mut self, now: Reading) -> Result<Option<Close>, ClockError> {
        let is_empty = self.last_epoch.is_none() && self.pending_records == 0;
        if self.is_replaying() || !self.binds_new || is_empty { Ok(None) } else { self.close_new(now).map(Some) }
    }

    fn close_new(&mut self, now: Reading) -> Result<Close, ClockError> {
        let epoch = self.clock.next_epoch(now)?;
        self.clock.closed(epoch, now);
        let moved = self.partitions.iter().filter(|(_, state)| !state.pending.is_empty());
        let inputs = moved
            .map(|(partition, state)| InputRange {
                topic: partition.topic.name().to_owned(),
                partition: partition.partition,
                first: state.unbound,
                next: state.polled,
            })
            .collect();
        let idle = self.partitions.iter().filter(|(_, state)| self.is_idle(state, now));
        let idle = idle.map(|(partition, _)| partition.to_string()).collect();
        Ok(self.bind(epoch, inputs, idle, None))
    }

    /// Whether there was no epoch for so long that timers may be waiting. Before the first there are none.
    fn is_heartbeat_due(&self, now: Reading) -> bool {
        let is_over = |heartbeat_ms| self.clock.since_closed_ms(now) >= heartbeat_ms;
        self.last_epoch.is_some() && self.settings.heartbeat_ms.is_some_and(is_over)
    }

    fn bind(&mut self, epoch: i64, inputs: Vec<InputRange>, idle: Vec<String>, recorded: Option<Binding>) -> Close {
        let (mut records, mut bytes) = (0, 0);
        let mut skipped = Vec::new();
        for range in &inputs {
            if let Some(state) = range.input_partition().and_then(|partition| self.partitions.get_mut(&partition)) {
                if std::mem::take(&mut state.skips) {
                    skipped.push(InputRange { first: 0, next: range.first, ..range.clone() });
                }
                let taken = state.take_before(range.next);
                records += taken.0;
                bytes += taken.1;
            }
        }
        self.pending_records -= records;
        self.pending_bytes -= bytes;
        self.closed.push_back((epoch, bytes));
        self.closed_bytes += bytes;
        let previous = self.last_epoch.replace(epoch);
        Close { epoch, previous, inputs, idle, records, bytes, skipped, recorded }
    }

    /// Says that the results of every epoch up to this one are settled.
    pub fn released(&mut self, epoch: i64) {
        while let Some((_, bytes)) = self.closed.front().copied().filter(|(closed, _)| *closed <= epoch) {
            self.closed_bytes -= bytes;
            self.closed.pop_front();
        }
    }

    /// How long nothing can be closed, as far as the clock goes, in milliseconds; none if nothing is pending.
    pub fn wait_ms(&self, now: Reading) -> Option<i64> {
        (self.is_replaying() || self.pending_records > 0).then(|| self.clock.wait_ms(now))
    }

    /// Epochs that are closed and not released.
    pub fn epochs_in_flight(&self) -> usize {
        self.closed.len()
    }

    /// How many there may be before nothing more is polled.
    pub fn window_bytes_max(&self) -> u64 {
        self.settings.window_bytes_max
    }

    /// Bytes that were polled and are not released.
    pub fn bytes_in_flight(&self) -> u64 {
        self.pending_bytes + self.closed_bytes
    }

    /// The last epoch that was closed.
    pub fn last_epoch(&self) -> Option<i64> {
        self.last_epoch
    }

    fn is_idle(&self, state: &PartitionState, now: Reading) -> bool {
        now.monotonic_ms - state.active_ms >= self.settings.idle_after_ms
    }

    /// What is known of each partition.
    pub fn partitions(&self, now: Reading) -> Vec<PartitionView> {
        let view = |(partition, state): (&InputPartition, &PartitionState)| PartitionView {
            partition: *partition,
            next_offset: state.unbound,
            watermark_ms: state.watermark_ms,
            idle: self.is_idle(state, now),
        };
        self.partitions.iter().map(view).collect()
    }

    /// The event time up to which every partition that is not idle has been read, and the partition that is furthest behind.
    pub fn watermark(&self, now: Reading) -> Option<(i64, InputPartition)> {
        let active = self.partitions.iter().filter(|(_, state)| !self.is_idle(state, now));
        active.map(|(partition, state)| (state.watermark_ms.unwrap_or(i64::MIN), *partition)).min()
    }
}

#[cfg(test)]
mod tests {
    use operators::domain::event::Topic;

    use super::super::binding::BINDING_FORMAT;
    use super::*;

    const LEADS: InputPartition = InputPartition { topic: Topic::Leads, partition: 0 };
    const DEALS: InputPartition = InputPartition { topic: Topic::Deals, partition: 0 };

    fn at(wall_ms: i64) -> Reading {
        Reading { wall_ms, monotonic_ms: wall_ms }
    }

    fn source(recorded: Vec<Binding>) -> Source {
        let (idle_after_ms, heartbeat_ms) = (30_000, None);
        let settings = SourceSettings { window_bytes_max: 1_000, epoch_bytes_max: 400, idle_after_ms, heartbeat_ms };
        let last = recorded.last().map(|binding| binding.epoch);
        let mut source =
            Source::new(settings, Clock::start(50, last, at(0)).unwrap(), &ChainPosition::default(), recorded);
        source.add_partition(LEADS, 0, at(0));
        source.add_partition(DEALS, 0, at(0));
        source
    }

    fn polled(partition: InputPartition, first: u64, next: u64) -> Polled {
        Polled { partition, next, records: next - first, bytes: 100 * (next - first), event_time_ms: None }
    }

    fn binding(epoch: i64, previous: Option<i64>, inputs: &[(&str, u64, u64)]) -> Binding {
        let range = |(topic, first, next): &(&str, u64, u64)| InputRange {
            topic: (*topic).to_owned(),
            partition: 0,
            first: *first,
            next: *next,
        };
        Binding {
            format: BINDING_FORMAT,
            incarnation: 1,
            epoch,
            previous,
            inputs: inputs.iter().map(range).collect(),
            idle: Vec::new(),
            records: 0,
            skipped: Vec::new(),
            outputs: Vec::new(),
            output_partitions: BTreeMap::new(),
            settings: String::new(),
            logic: String::new(),
        }
    }

    #[test]
    fn an_epoch_holds_what_was_polled_since_the_last_and_empty_ones_do_not_exist() {
        let mut source = source(Vec::new());
        assert_eq!(source.close(at(100)).unwrap(), None);
        source.polled(&polled(LEADS, 0, 2), at(101));
        let close = source.close(at(110)).unwrap().unwrap();
        assert_eq!((close.epoch, close.previous, close.records, close.bytes), (100, None, 2, 200));
        assert_eq!(close.inputs.len(), 1);
        source.polled(&polled(LEADS, 2, 3), at(120));
        assert_eq!(source.close(at(120)).unwrap(), None, "the tick is not over");
        assert_eq!(source.wait_ms(at(120)), Some(30));
        source.polled(&polled(DEALS, 7, 8), at(130));
        let close = source.close(at(155)).unwrap().unwrap();
        assert_eq!((close.epoch, close.previous), (150, Some(100)));
        let ranges: Vec<_> = close.inputs.iter().map(|range| (range.first, range.next)).collect();
        assert_eq!(ranges, [(2, 3), (0, 8)]);
    }

    #[test]
    fn without_input_an_epoch_comes_with_each_heartbeat_once_there_was_one() {
        let mut source = source(Vec::new());
        source.settings.heartbeat_ms = Some(1_000);
        assert_eq!(source.close(at(5_000)).unwrap(), None);
        source.polled(&polled(LEADS, 0, 2), at(5_010));
        assert_eq!(source.close(at(5_010)).unwrap().unwrap().epoch, 5_000);
        assert_eq!(source.close(at(6_009)).unwrap(), None);
        let close = source.close(at(6_010)).unwrap().unwrap();
        assert_eq!((close.epoch, close.previous, close.records, close.inputs.len()), (6_000, Some(5_000), 0, 0));
        assert_eq!(source.close(at(6_900)).unwrap(), None);
    }

    #[test]
    fn a_full_window_waits_for_results() {
        let mut source = source(Vec::new());
        source.polled(&polled(LEADS, 0, 10), at(1));
        assert!(!source.wants(LEADS) && !source.wants_input());
        let epoch = source.close(at(60)).unwrap().unwrap().epoch;
        assert!(!source.wants_input());
        source.released(epoch);
        assert!(source.wants_input());
        assert_eq!((source.epochs_in_flight(), source.bytes_in_flight()), (0, 0));
    }

    #[test]
    fn what_would_make_an_epoch_too_large_waits_for_the_next() {
        let mut source = source(Vec::new());
        source.polled(&polled(LEADS, 0, 3), at(1));
        assert!(source.wants_input());
        source.polled(&polled(LEADS, 3, 4), at(1));
        assert!(!source.wants(LEADS) && !source.wants_input());
        assert_eq!(source.close(at(60)).unwrap().unwrap().records, 4);
        assert!(source.wants_input(), "the window has room for one more");
    }

    #[test]
    fn recorded_epochs_come_first_and_as_they_were() {
        let recorded =
            vec![binding(50, None, &[("leads", 0, 3)]), binding(500, Some(50), &[("leads", 3, 4), ("deals", 0, 1)])];
        let mut source = source(recorded.clone());
        assert_eq!(source.recorded_ends(LEADS).collect::<Vec<_>>(), [3, 4]);
        source.polled(&polled(LEADS, 0, 3), at(600));
        source.polled(&polled(LEADS, 3, 4), at(600));
        source.polled(&polled(LEADS, 4, 6), at(600));
        assert_eq!(source.close(at(600)).unwrap().unwrap().recorded, Some(recorded[0].clone()));
        assert_eq!(source.close(at(600)).unwrap(), None, "deals are missing");
        assert!(source.wants(DEALS));
        assert!(!source.wants(LEADS), "leads are far enough ahead");
        source.polled(&polled(DEALS, 0, 1), at(600));
        let close = source.close(at(600)).unwrap().unwrap();
        assert_eq!((close.epoch, close.previous, close.records), (500, Some(50), 2));
        let live = source.close(at(600)).unwrap().unwrap();
        assert_eq!((live.epoch, live.previous, live.records, live.recorded), (600, Some(500), 2, None));
    }

    #[test]
    fn a_replay_reads_no_more_than_the_window_while_epochs_are_on_their_way() {
        let mut source = source(vec![
            binding(50, None, &[("leads", 0, 6)]),
            binding(100, Some(50), &[("leads", 6, 11), ("deals", 0, 9)]),
        ]);
        source.polled(&polled(LEADS, 0, 6), at(200));
        source.close(at(200)).unwrap().unwrap();
        source.polled(&polled(LEADS, 6, 11), at(200));
        assert!(!source.wants(DEALS), "the window is full, and the epoch before is not through");
        source.released(50);
        assert!(source.wants(DEALS));
        source.polled(&polled(DEALS, 0, 8), at(200));
        assert!(source.wants(DEALS), "nothing is on its way: without the last record nothing ever moves");
        assert!(!source.wants(LEADS));
    }

    #[test]
    fn silent_partitions_hold_nothing_back() {
        let mut source = source(Vec::new());
        source.polled(&Polled { event_time_ms: Some(77), ..polled(LEADS, 0, 1) }, at(40_000));
        assert_eq!(source.watermark(at(40_000)), Some((77, LEADS)));
        assert_eq!(source.close(at(40_000)).unwrap().unwrap().idle, ["deals/0"]);
        source.polled(&polled(DEALS, 0, 1), at(40_001));
        assert_eq!(source.watermark(at(40_001)), Some((i64::MIN, DEALS)));
    }
}
