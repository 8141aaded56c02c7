//! The only code that touches capabilities: it buffers by epoch, waits for the frontier, orders, advances.
//!
//! ```text
//!   batches ─▶ pending ─(frontier passes epoch)─▶ sort by (epoch, content order) ─▶ machine.advance(epoch, inputs) ─▶ output
//! ```
//! The epoch is data: a batch is sent at the lowest epoch it may hold, and one activation advances the machine over every epoch
//! that is complete. Results do not depend on how events are dealt over batches and workers, because the machine sees an epoch
//! whole and in content order.

use std::cmp::Ordering;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;

use crate::domain::batch::{Event, EventBatch, Rejected};

/// The timestamps of the dataflow: epochs in milliseconds.
pub type Epoch = u64;

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
}

impl Pending {
    fn add(&mut self, batch: EventBatch) {
        let number = self.batches.len() as u32;
        self.epochs.extend_from_slice(&batch.epochs);
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

/// Runs a machine on each worker over the batches that are destined for it.
pub fn drive<'scope, M: Machine>(
    batches: Stream<'scope, Epoch, Vec<EventBatch>>,
    name: &str,
    mut machine: M,
) -> Stream<'scope, Epoch, Vec<M::Output>> {
    let exchange = Exchange::new(|batch: &EventBatch| batch.destination);
    batches.unary_frontier::<CapacityContainerBuilder<Vec<M::Output>>, _, _, _>(
        exchange,
        name,
        move |_capability, _info| {
            let mut pending = Pending::default();
            let mut held: Option<Capability<Epoch>> = None;
            move |(input, frontier), output| {
                input.for_each(|capability, data| {
                    if held.as_ref().is_none_or(|held| capability.time() < held.time()) {
                        held = Some(capability.retain(0));
                    }
                    for batch in data.drain(..) {
                        machine.arrive(&batch);
                        pending.add(batch);
                    }
                });
                let frontier = frontier.frontier().first().map(|epoch| *epoch as i64);
                let Some(capability) = held.as_mut() else { return };
                if frontier.is_some_and(|frontier| frontier <= *capability.time() as i64) {
                    return;
                }
                pending.sort();
                let complete = |epoch: i64| frontier.is_none_or(|frontier| epoch < frontier);
                let mut result = M::Output::default();
                let (mut event, mut rejected) = (0, 0);
                for epoch in pending.epochs.iter().copied().take_while(|epoch| complete(*epoch)) {
                    let events =
                        event + pending.events[event..].iter().take_while(|position| position.epoch == epoch).count();
                    let refused = rejected
                        + pending.rejected[rejected..].iter().take_while(|position| position.epoch == epoch).count();
                    let inputs = Inputs {
                        batches: &pending.batches,
                        events: &pending.events[event..events],
                        rejected: &pending.rejected[rejected..refused],
                    };
                    machine.advance(epoch, &inputs, &mut result);
                    (event, rejected) = (events, refused);
                }
                machine.flush(&mut result);
                output.session(&capability).give(result);
                pending.retire(frontier);
                match pending.epochs.first() {
                    Some(epoch) => capability.downgrade(&(*epoch as u64)),
                    None => held = None,
                }
            }
        },
    )
}
