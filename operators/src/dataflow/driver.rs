//! The only code that touches capabilities: it buffers by epoch, waits for the frontier, orders, advances.
//!
//! ```text
//!   batches ─▶ pending ─(frontier passes epoch)─▶ sort by (epoch, content order) ─▶ machine.advance(epoch, inputs) ─▶ output
//!   barriers ─▶ pending ─(epoch advanced)─▶ machine.snapshot(barrier), slice by slice ─▶ output         nothing advances meanwhile
//! ```
//! The epoch is data: a batch is sent at the lowest epoch it may hold, and one activation advances the machine over every epoch
//! that is complete. Results do not depend on how events are dealt over batches and workers, because the machine sees an epoch
//! whole and in content order. No output holds epochs from both sides of a barrier.

use std::cmp::Ordering;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

use super::snapshot::{SnapshotError, SnapshotPart};
use crate::domain::batch::{Event, EventBatch, Rejected};
use crate::domain::shards::{Barrier, WorkerShards};

/// The timestamps of the dataflow: epochs in milliseconds.
pub type Epoch = u64;

/// Whether something that is done in slices has more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Ask again.
    More,
    /// That was the last slice.
    Done,
}

/// Deterministic state that advances from epoch to epoch.
pub trait Machine: 'static {
    /// What one activation emits; sent on whole.
    type Output: Default + Clone + 'static;

    /// Called with each batch as it comes, in no particular order: for counts that belong to no epoch.
    fn arrive(&mut self, _batch: &EventBatch) {}

    /// Applies the inputs of one epoch, in content order, and fires the timers due by then. Epochs come in order.
    fn advance(&mut self, epoch: i64, inputs: &Inputs<'_>, output: &mut Self::Output);

    /// Called once after the epochs of one activation, to hand over what is batched across them.
    fn flush(&mut self, output: &mut Self::Output);

    /// Writes down the state of this worker's shards after the barrier's epoch: a slice of bounded size, and again until it says
    /// [`Progress::Done`]. The machine does not advance between.
    fn snapshot(&mut self, barrier: &Barrier, shards: WorkerShards, output: &mut Self::Output) -> Progress;

    /// Takes one part of a snapshot, before the machine is driven. Those of one shard and section come in the order in which they
    /// were written: a base, then its deltas.
    ///
    /// # Errors
    /// If the part is damaged, of another format, or does not follow the one before. The machine is of no use then.
    fn restore(&mut self, part: &SnapshotPart) -> Result<(), SnapshotError>;

    /// Ends the restoring, at the epoch of the snapshot: checks that no part is missing and builds what follows from the parts.
    ///
    /// # Errors
    /// If the last snapshot of some section is not whole.
    fn restored(&mut self, epoch: i64) -> Result<(), SnapshotError>;

    /// The epoch of [`Machine::restored`], if there was one. The driver then holds it until [`Machine::emit_restored`] is done.
    fn restored_epoch(&self) -> Option<Epoch>;

    /// Emits what others have to know of the restored state, at its epoch: a slice of bounded size, and again until it says
    /// [`Progress::Done`].
    fn emit_restored(&mut self, output: &mut Self::Output) -> Progress;
}

/// One event's place in the pending batches.
#[derive(Clone, Copy, Debug)]
struct Position {
    epoch: i64,
    time_ms: i64,
    batch: u32,
    index: u32,
}

/// The inputs of one epoch.
#[derive(Debug)]
pub struct Inputs<'a> {
    batches: &'a [EventBatch],
    events: &'a [Position],
    rejected: &'a [Position],
}

impl Inputs<'_> {
    /// Number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// An event by its number in content order, with the batch that holds its texts.
    #[inline]
    pub fn event(&self, index: usize) -> (&EventBatch, &Event) {
        let position = self.events[index];
        let batch = &self.batches[position.batch as usize];
        (batch, &batch.events[position.index as usize])
    }

    /// Rejected records in the order of their places.
    pub fn rejected(&self) -> impl Iterator<Item = (&EventBatch, &Rejected)> {
        self.rejected.iter().map(|position| {
            let batch = &self.batches[position.batch as usize];
            (batch, &batch.rejected[position.index as usize])
        })
    }
}

/// What waits for its epoch to be complete.
#[derive(Debug, Default)]
struct Pending {
    batches: Vec<EventBatch>,
    events: Vec<Position>,
    rejected: Vec<Position>,
    epochs: Vec<i64>,
    barriers: Vec<Barrier>,
}

impl Pending {
    fn add(&mut self, batch: EventBatch) {
        let number = self.batches.len() as u32;
        self.epochs.extend_from_slice(&batch.epochs);
        for barrier in &batch.barriers {
            self.add_barrier(*barrier);
        }
        self.events.extend(batch.events.iter().enumerate().map(|(index, event)| Position {
            epoch: event.epoch,
            time_ms: event.time_ms,
            batch: number,
            index: index as u32,
        }));
        self.rejected.extend(batch.rejected.iter().enumerate().map(|(index, rejected)| Position {
            epoch: rejected.epoch,
            time_ms: 0,
            batch: number,
            index: index as u32,
        }));
        self.batches.push(batch);
    }

    /// Barriers come in order almost always, and few are pending at once.
    fn add_barrier(&mut self, barrier: Barrier) {
        if let Err(at) = self.barriers.binary_search_by_key(&barrier.epoch, |barrier| barrier.epoch) {
            self.barriers.insert(at, barrier);
        }
    }

    /// The earliest epoch for which something is pending.
    fn first(&self) -> Option<i64> {
        let barriers = self.barriers.iter().map(|barrier| barrier.epoch);
        self.epochs.iter().copied().chain(barriers).min()
    }

    /// Content order; between copies of one event the bytes decide, and between equal bytes the place.
    fn compare(&self, left: &Position, right: &Position) -> Ordering {
        (left.epoch, left.time_ms).cmp(&(right.epoch, right.time_ms)).then_with(|| {
            let (left_batch, right_batch) = (&self.batches[left.batch as usize], &self.batches[right.batch as usize]);
            let (left, right) = (&left_batch.events[left.index as usize], &right_batch.events[right.index as usize]);
            left.sequence
                .cmp(&right.sequence)
                .then_with(|| left_batch.text(left.id).cmp(right_batch.text(right.id)))
                .then_with(|| left_batch.text(left.source).cmp(right_batch.text(right.source)))
                .then_with(|| left_batch.text(left.dealer).cmp(right_batch.text(right.dealer)))
                .then_with(|| left_batch.text(left.record).cmp(right_batch.text(right.record)))
                .then_with(|| left.place.cmp(&right.place))
        })
    }

    fn sort(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        // Topics come as runs in order of time, which the stable sort finds and merges.
        events.sort_by(|left, right| self.compare(left, right));
        self.events = events;
        let mut rejected = std::mem::take(&mut self.rejected);
        rejected.sort_by_key(|position| {
            (position.epoch, self.batches[position.batch as usize].rejected[position.index as usize].place)
        });
        self.rejected = rejected;
        self.epochs.sort_unstable();
        self.epochs.dedup();
    }

    /// Drops what lies before `frontier` and renumbers the batches that are still needed.
    fn retire(&mut self, frontier: Option<i64>) {
        let complete = |epoch: i64| frontier.is_none_or(|frontier| epoch < frontier);
        self.events.retain(|position| !complete(position.epoch));
        self.rejected.retain(|position| !complete(position.epoch));
        self.epochs.retain(|epoch| !complete(*epoch));
        let mut needed = vec![false; self.batches.len()];
        for position in self.events.iter().chain(&self.rejected) {
            needed[position.batch as usize] = true;
        }
        let mut numbers = Vec::with_capacity(needed.len());
        let mut next = 0_u32;
        for needed in &needed {
            numbers.push(next);
            next += u32::from(*needed);
        }
        let mut index = 0;
        self.batches.retain(|_| {
            index += 1;
            needed[index - 1]
        });
        for position in self.events.iter_mut().chain(&mut self.rejected) {
            position.batch = numbers[position.batch as usize];
        }
    }
}

/// A machine with what it waits for.
struct Driver<M> {
    machine: M,
    shards: WorkerShards,
    pending: Pending,
    /// The barrier whose snapshot is under way.
    snapshotting: Option<Barrier>,
    restoring: bool,
}

/// What one step of a driver gives.
struct Step<O> {
    output: O,
    /// Whether there is more to do at once; the driver yields between, so that what it emitted can flow on.
    progress: Progress,
}

impl<M: Machine> Driver<M> {
    fn new(machine: M, shards: WorkerShards) -> Self {
        let restoring = machine.restored_epoch().is_some();
        Driver { machine, shards, pending: Pending::default(), snapshotting: None, restoring }
    }

    fn add(&mut self, batch: EventBatch) {
        self.machine.arrive(&batch);
        self.pending.add(batch);
    }

    /// A slice of what the restored machine has to tell.
    fn emit_restored(&mut self) -> Step<M::Output> {
        let mut output = M::Output::default();
        let progress = self.machine.emit_restored(&mut output);
        self.restoring = progress == Progress::More;
        Step { output, progress }
    }

    /// Advances over the epochs before `frontier` (`None`: all), until the first barrier among them is to be written.
    fn advance(&mut self, frontier: Option<i64>) -> Step<M::Output> {
        let mut output = M::Output::default();
        if let Some(barrier) = self.snapshotting {
            return self.snapshot(barrier, output);
        }
        self.pending.sort();
        let complete = |epoch: i64| frontier.is_none_or(|frontier| epoch < frontier);
        let barrier = self.pending.barriers.first().copied().filter(|barrier| complete(barrier.epoch));
        let frontier = barrier.map_or(frontier, |barrier| Some(barrier.epoch + 1));
        let complete = |epoch: i64| frontier.is_none_or(|frontier| epoch < frontier);
        let pending = &self.pending;
        let (mut event, mut rejected) = (0, 0);
        for epoch in pending.epochs.iter().copied().take_while(|epoch| complete(*epoch)) {
            let events = event + pending.events[event..].iter().take_while(|position| position.epoch == epoch).count();
            let refused =
                rejected + pending.rejected[rejected..].iter().take_while(|position| position.epoch == epoch).count();
            let inputs = Inputs {
                batches: &pending.batches,
                events: &pending.events[event..events],
                rejected: &pending.rejected[rejected..refused],
            };
            self.machine.advance(epoch, &inputs, &mut output);
            (event, rejected) = (events, refused);
        }
        self.machine.flush(&mut output);
        self.pending.retire(frontier);
        match barrier {
            Some(barrier) => self.snapshot(barrier, output),
            None => Step { output, progress: Progress::Done },
        }
    }

    fn snapshot(&mut self, barrier: Barrier, mut output: M::Output) -> Step<M::Output> {
        let progress = self.machine.snapshot(&barrier, self.shards, &mut output);
        self.snapshotting = Some(barrier);
        if progress == Progress::Done {
            self.snapshotting = None;
            self.pending.barriers.retain(|pending| pending.epoch > barrier.epoch);
        }
        // Even after the last slice there may be epochs left that are complete.
        Step { output, progress: Progress::More }
    }
}

/// Runs a machine on each worker over the batches that are destined for it.
pub fn drive<'scope, M: Machine>(
    batches: Stream<'scope, Epoch, Vec<EventBatch>>,
    name: &str,
    machine: M,
) -> Stream<'scope, Epoch, Vec<M::Output>> {
    let exchange = Exchange::new(|batch: &EventBatch| batch.destination);
    let scope = batches.scope();
    let shards = WorkerShards { index: scope.index(), peers: scope.peers() };
    batches.unary_frontier::<CapacityContainerBuilder<Vec<M::Output>>, _, _, _>(exchange, name, move |first, info| {
        let activator = scope.activator_for(info.address);
        let mut restored = machine.restored_epoch().map(|epoch| first.delayed(&epoch));
        let mut driver = Driver::new(machine, shards);
        let mut held: Option<Capability<Epoch>> = None;
        move |(input, frontier), output| {
            input.for_each(|capability, data| {
                if held.as_ref().is_none_or(|held| capability.time() < held.time()) {
                    held = Some(capability.retain(0));
                }
                for batch in data.drain(..) {
                    driver.add(batch);
                }
            });
            if let Some(capability) = &restored {
                let step = driver.emit_restored();
                output.session(capability).give(step.output);
                if step.progress == Progress::Done {
                    restored = None;
                }
                activator.activate();
                return;
            }
            let frontier = frontier.frontier().first().map(|epoch| *epoch as i64);
            let Some(capability) = held.as_mut() else { return };
            if frontier.is_some_and(|frontier| frontier <= *capability.time() as i64) {
                return;
            }
            let step = driver.advance(frontier);
            output.session(&capability).give(step.output);
            match driver.pending.first() {
                Some(epoch) => capability.downgrade(&(epoch as u64)),
                None => held = None,
            }
            if step.progress == Progress::More {
                activator.activate();
            }
        }
    })
}
