//! The source of a running pipeline: records of the log in, batches of parsed events out.
//!
//! ```text
//!   process 0:  queue ─▶ feed ─(exchange: the worker that it is meant for)─▶ records, on every worker of every process
//!   records:    Feed::Records ─▶ parse at once ─▶ held by partition
//!               Feed::Close   ─▶ what lies before the epoch's ends gets its epoch ─▶ one batch per worker
//! ```
//! Only `feed` holds a capability. It is downgraded to an epoch before the word to close it goes out, so the batches of an epoch are sent
//! at that epoch, and behind it once every worker has the word. Parsing does not wait for the epoch: a tick's records are parsed while the
//! next ones are fetched. What lies too far ahead of its epoch is rejected here, where the epoch is known.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use operators::dataflow::driver::Epoch;
use operators::domain::batch::{EventBatch, Place, RawBytes, Rejected, Span};
use operators::domain::event_time::event_time_of;
use operators::domain::hash::shard_of;
use operators::domain::parse::Parser;
use operators::domain::rejection::ReasonCode;
use operators::domain::shards::Barrier;
use operators::domain::time::format_rfc3339;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::dataflow::{Scope, Stream};
use timely::scheduling::Activator;

use super::binding::InputPartition;

/// One record of a chunk.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ChunkRecord {
    /// Its payload in the chunk's bytes.
    pub payload: Span,
    /// Its offset.
    pub offset: u64,
    /// The log's own time of it, in UTC milliseconds; stands in where the record has no readable time.
    pub timestamp_ms: i64,
}

/// Neighbouring records of one partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordChunk {
    /// The partition.
    pub partition: InputPartition,
    /// Their bytes.
    pub raw: RawBytes,
    /// The records, in order; at least one.
    pub records: Vec<ChunkRecord>,
}

impl RecordChunk {
    /// Memory that it holds, in bytes.
    pub fn size_bytes(&self) -> usize {
        // A record without a payload takes room too.
        self.raw.0.len() + self.records.len() * size_of::<ChunkRecord>()
    }
}

/// An epoch as the workers need to know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EpochEnds {
    /// The epoch.
    pub epoch: i64,
    /// Of each partition that moved, the offset after the last record of the epoch.
    pub ends: Vec<(InputPartition, u64)>,
    /// Whether the state behind the epoch is to be written down, and which shards of it whole.
    pub barrier: Option<Barrier>,
}

/// What a queue is fed.
#[derive(Clone, Debug)]
pub enum Feed {
    /// Records of a partition, for the worker that parses it: a number among all workers of all processes.
    Records(usize, RecordChunk),
    /// An epoch is closed. Every queue is told, and tells the workers that it feeds.
    Close(EpochEnds),
    /// Nothing more will come.
    End,
}

/// What is on its way into the dataflow through one worker.
///
/// Process 0 has one queue for each of its workers. What a worker of any process gets passes through one of them, so it stays in order.
#[derive(Clone, Debug)]
pub struct FeedQueue {
    feeds: Rc<RefCell<VecDeque<Feed>>>,
    queues: usize,
}

impl FeedQueue {
    /// One of `queues`, at least 1.
    pub fn new(queues: usize) -> Self {
        FeedQueue { feeds: Rc::default(), queues: queues.max(1) }
    }

    /// The queue that feeds a worker.
    pub fn of_worker(worker: usize, queues: usize) -> usize {
        worker % queues.max(1)
    }

    /// Adds something.
    pub fn push(&self, feed: Feed) {
        self.feeds.borrow_mut().push_back(feed);
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.feeds.borrow().is_empty()
    }

    /// Chunks and closes that wait in it.
    pub fn len(&self) -> usize {
        self.feeds.borrow().len()
    }

    fn pop(&self) -> Option<Feed> {
        self.feeds.borrow_mut().pop_front()
    }
}

/// What goes to the worker that parses it.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Parcel {
    Records(RecordChunk),
    Close(EpochEnds),
}

/// A parsed chunk that waits for its epoch.
struct Held {
    last_offset: u64,
    batches: Vec<EventBatch>,
}

struct RecordParser {
    peers: usize,
    parser: Parser,
    max_future_ms: i64,
    held: BTreeMap<InputPartition, VecDeque<Held>>,
}

impl RecordParser {
    fn parse(&mut self, chunk: &RecordChunk) {
        let mut batches: Vec<EventBatch> = (0..self.peers)
            .map(|destination| EventBatch {
                destination: destination as u64,
                raw: chunk.raw.clone(),
                ..EventBatch::default()
            })
            .collect();
        let raw = &chunk.raw.0;
        for record in &chunk.records {
            let InputPartition { topic, partition } = chunk.partition;
            let place = Place { topic: topic as u8, partition, offset: record.offset };
            match self.parser.parse(raw, record.payload, place, 0) {
                Ok(event) => {
                    let destination = shard_of(event.dealer_hash) % self.peers;
                    self.parser.push(event, &mut batches[destination]);
                }
                Err(rejection) => {
                    let destination = shard_of(self.parser.dealer_hash(raw, &rejection)) % self.peers;
                    let Span { start, length } = record.payload;
                    let own_time = event_time_of(&raw[start as usize..(start + length) as usize]);
                    let time_ms = own_time.unwrap_or(record.timestamp_ms);
                    let at = (0, time_ms, 0);
                    self.parser.push_rejection(rejection, record.payload, place, at, &mut batches[destination]);
                }
            }
        }
        let Some(last) = chunk.records.last() else { return };
        let held = Held { last_offset: last.offset, batches };
        self.held.entry(chunk.partition).or_default().push_back(held);
    }

    /// The batches of an epoch: at least one for each worker, so that every worker knows of it.
    fn close(&mut self, ends: &EpochEnds) -> Vec<EventBatch> {
        let epoch = ends.epoch;
        let barriers: Vec<Barrier> = ends.barrier.into_iter().collect();
        let empty = |destination| EventBatch {
            destination: destination as u64,
            epochs: vec![epoch],
            barriers: barriers.clone(),
            ..EventBatch::default()
        };
        let mut closed: Vec<EventBatch> = (0..self.peers).map(empty).collect();
        for (partition, end) in &ends.ends {
            let Some(held) = self.held.get_mut(partition) else { continue };
            while let Some(chunk) = held.pop_front_if(|chunk| chunk.last_offset < *end) {
                for mut batch in chunk.batches.into_iter().filter(|batch| !batch.is_empty()) {
                    batch.epochs.push(epoch);
                    batch.events.iter_mut().for_each(|event| event.epoch = epoch);
                    batch.rejected.iter_mut().for_each(|rejected| rejected.epoch = epoch);
                    reject_future(&mut batch, epoch, self.max_future_ms);
                    closed.push(batch);
                }
            }
        }
        closed
    }
}

/// Turns events that lie more than `max_future_ms` ahead of their epoch into rejected records: they claim no id.
fn reject_future(batch: &mut EventBatch, epoch: i64, max_future_ms: i64) {
    let latest_ms = epoch.saturating_add(max_future_ms);
    if batch.events.iter().all(|event| event.time_ms <= latest_ms) {
        return;
    }
    for event in batch.events.iter().filter(|event| event.time_ms > latest_ms) {
        batch.rejected.push(Rejected {
            epoch,
            dealer: Some(event.dealer),
            record: event.record,
            unread_bytes: 0,
            time_ms: event.time_ms,
            place: event.place,
            code: ReasonCode::TooFarAhead as u8,
            sentence: format!(
                "The event's time {} lies more than {} s ahead of {}, when it arrived; correct the producer's clock.",
                format_rfc3339(event.time_ms),
                max_future_ms / 1_000,
                format_rfc3339(epoch)
            ),
        });
    }
    batch.events.retain(|event| event.time_ms <= latest_ms);
}

/// The batches that one worker parses, and what wakes the dataflow when its queue has grown. Nothing comes at or before the restored epoch,
/// so that what restored state tells of itself is whole at once.
pub fn records(
    scope: Scope<'_, Epoch>,
    queue: FeedQueue,
    max_future_ms: i64,
    restored_epoch: Option<i64>,
) -> (Stream<'_, Epoch, Vec<EventBatch>>, Activator) {
    let peers = scope.peers();
    let waker = Rc::new(RefCell::new(None));
    let given = Rc::clone(&waker);
    let index = scope.index();
    let fed = source::<_, CapacityContainerBuilder<Vec<(usize, Parcel)>>, _, _>(
        scope,
        "feed",
        move |mut capability, info| {
            if let Some(epoch) = restored_epoch {
                capability.downgrade(&(epoch as u64 + 1));
            }
            *given.borrow_mut() = Some(scope.activator_for(info.address));
            let mut held = Some(capability);
            move |output| {
                while let Some(feed) = queue.pop() {
                    let Some(capability) = held.as_mut() else { return };
                    match feed {
                        Feed::Records(worker, chunk) => {
                            output.session(&capability).give((worker, Parcel::Records(chunk)));
                        }
                        Feed::Close(ends) => {
                            let epoch = ends.epoch as u64;
                            if epoch > *capability.time() {
                                capability.downgrade(&epoch);
                            }
                            let fed = (0..peers).filter(|worker| FeedQueue::of_worker(*worker, queue.queues) == index);
                            output
                                .session(&capability)
                                .give_iterator(fed.map(|worker| (worker, Parcel::Close(ends.clone()))));
                            capability.downgrade(&(epoch + 1));
                        }
                        Feed::End => held = None,
                    }
                }
            }
        },
    );
    let waker = waker.borrow_mut().take();
    // The constructor above has run: an operator is built when it is named.
    let waker = waker.unwrap_or_else(|| unreachable!("timely builds an operator at once"));
    let mut parser = RecordParser { peers, parser: Parser::default(), max_future_ms, held: BTreeMap::new() };
    let exchange = Exchange::new(|(worker, _): &(usize, Parcel)| *worker as u64);
    let stream = fed.unary::<CapacityContainerBuilder<Vec<EventBatch>>, _, _, _>(exchange, "records", move |_, _| {
        move |input, output| {
            input.for_each(|capability, data| {
                for (_, parcel) in data.drain(..) {
                    match parcel {
                        Parcel::Records(chunk) => parser.parse(&chunk),
                        Parcel::Close(ends) => {
                            let batches = parser.close(&ends);
                            output.session(&capability).give_iterator(batches.into_iter());
                        }
                    }
                }
            });
        }
    });
    (stream, waker)
}
