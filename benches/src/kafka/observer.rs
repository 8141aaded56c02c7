//! Who reads the results as any user would: read committed, every output topic and `epochs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use super::settings;
use crate::failure::Failure;

/// How long one look takes at most.
const LOOK: Duration = Duration::from_millis(20);
/// How long the cluster may take to tell its topics.
const METADATA_MAX: Duration = Duration::from_secs(10);

/// What a result came of.
#[derive(Clone, Debug)]
pub enum Cause {
    /// Records of an input partition.
    Records {
        /// The input topic, without prefix.
        topic: String,
        /// Its partition.
        partition: i32,
        /// First offset.
        first: u64,
        /// Offset behind the last.
        next: u64,
    },
    /// Events of a dealer, by their ids.
    Events {
        /// The dealer.
        dealer: String,
        /// The ids.
        ids: Vec<String>,
    },
}

/// A result, readable.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it came of.
    pub cause: Cause,
    /// When it was in hand, in microseconds of the benchmark's clock.
    pub seen_us: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Observed {
    /// Results that name what caused them.
    pub outputs: Vec<Seen>,
    /// Ranges of epochs that were recorded.
    pub bound: Vec<Seen>,
    /// Epochs that were recorded.
    pub epochs: u64,
}

/// Reads until it is told to stop.
pub struct Observer {
    thread: JoinHandle<Result<Observed, Failure>>,
    stop: Arc<AtomicBool>,
    records: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct EpochBound {
    data: Binding,
}

#[derive(Deserialize)]
struct Binding {
    inputs: Vec<Range>,
    records: u64,
}

#[derive(Deserialize)]
struct Range {
    topic: String,
    partition: i32,
    first: u64,
    next: u64,
}

impl Observer {
    /// Begins to read every topic under the prefix that is not an input, from its beginning.
    ///
    /// # Errors
    /// If the cluster cannot be asked.
    pub fn start(brokers: &str, prefix: &str, inputs: &[&str], origin: Instant) -> Result<Self, Failure> {
        let consumer: BaseConsumer = settings::consumer(brokers, "observer", 8)
            .create()
            .map_err(Failure::kafka("the observer cannot be made"))?;
        let metadata =
            consumer.fetch_metadata(None, METADATA_MAX).map_err(Failure::kafka("the cluster tells no topics"))?;
        let mut list = TopicPartitionList::new();
        for topic in metadata.topics() {
            let is_result = topic.name().strip_prefix(prefix).is_some_and(|name| !inputs.contains(&name));
            if !is_result {
                continue;
            }
            for partition in topic.partitions() {
                list.add_partition_offset(topic.name(), partition.id(), Offset::Beginning)
                    .map_err(Failure::kafka("a partition cannot be read"))?;
            }
        }
        consumer.assign(&list).map_err(Failure::kafka("the results cannot be read"))?;
        let (stop, records) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let epochs = format!("{prefix}epochs");
        let (told, counted) = (Arc::clone(&stop), Arc::clone(&records));
        let thread = std::thread::spawn(move || {
            let mut observed = Observed::default();
            while !told.load(Ordering::Acquire) {
                let Some(Ok(message)) = consumer.poll(LOOK) else { continue };
                let seen_us = origin.elapsed().as_micros() as u64;
                if message.topic() == epochs {
                    observed.take_epoch(&message, seen_us, &counted)?;
                } else {
                    observed.outputs.extend(cause(&message).map(|cause| Seen { cause, seen_us }));
                }
            }
            Ok(observed)
        });
        Ok(Observer { thread, stop, records })
    }

    /// Input records whose epoch is recorded, so far.
    pub fn records_bound(&self) -> u64 {
        self.records.load(Ordering::Acquire)
    }

    /// Whether it has ended by itself, which it does only when it cannot read.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If a record made no sense.
    pub fn finish(self) -> Result<Observed, Failure> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap_or_else(|_| Ok(Observed::default()))
    }
}

impl Observed {
    fn take_epoch(&mut self, message: &BorrowedMessage<'_>, seen_us: u64, counted: &AtomicU64) -> Result<(), Failure> {
        let record: EpochBound = serde_json::from_slice(message.payload().unwrap_or_default())
            .map_err(|error| Failure::Broker { what: "a record of `epochs`".to_owned(), reason: error.to_string() })?;
        self.epochs += 1;
        for Range { topic, partition, first, next } in record.data.inputs {
            self.bound.push(Seen { cause: Cause::Records { topic, partition, first, next }, seen_us });
        }
        counted.fetch_add(record.data.records, Ordering::AcqRel);
        Ok(())
    }
}

/// What a result names as its cause, in its headers: a record, or events of the dealer that is its key.
fn cause(message: &BorrowedMessage<'_>) -> Option<Cause> {
    let text = |name: &str| {
        let header = message.headers()?.iter().find(|header| header.key == name)?;
        std::str::from_utf8(header.value?).ok()
    };
    if let (Some(topic), Some(partition), Some(offset)) = (text("topic"), text("partition"), text("offset")) {
        let first = offset.parse().ok()?;
        let partition = partition.parse().ok()?;
        return Some(Cause::Records { topic: topic.to_owned(), partition, first, next: first + 1 });
    }
    let dealer = std::str::from_utf8(message.key()?).ok()?.to_owned();
    Some(Cause::Events { dealer, ids: serde_json::from_str(text("causes")?).ok()? })
}
