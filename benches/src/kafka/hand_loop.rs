//! What one would write by hand on a broker: read and parse; or read, parse and write on, in transactions.
//!
//! ```text
//!   partitions ─▶ poll ─▶ the pipeline's parser ─▶ (forward: the record with its headers ─▶ producer ─▶ commit every 50 ms)
//! ```
//! It reads up to the ends that the partitions have when it starts, and ends. It does less than the pipeline, in its own favour: no
//! epochs, no order, no duplicates, no state.

use std::time::{Duration, Instant};

use operators::domain::batch::{EventBatch, Place, Span};
use operators::domain::event::Topic;
use operators::domain::parse::Parser;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::settings;
use crate::failure::Failure;

/// How long the cluster may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long one look at a client takes at most.
const LOOK: Duration = Duration::from_millis(1);
/// How long a transaction takes in records.
const TRANSACTION: Duration = Duration::from_millis(50);

/// How far the loop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Parses each record and drops it.
    Parse,
    /// Parses each record and writes it on.
    Forward,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Records read.
    pub records: u64,
    /// Events among them.
    pub parsed: u64,
    /// Transactions.
    pub transactions: u64,
}

/// Reads the input topics under a prefix to their present ends.
///
/// # Errors
/// If the broker refuses.
pub fn run(brokers: &str, prefix: &str, mode: Mode) -> Result<Report, Failure> {
    let group = format!("{prefix}loop");
    let consumer: BaseConsumer = settings::consumer(brokers, &group, Topic::ALL.len() * 4)
        .create()
        .map_err(Failure::kafka("the consumer cannot be made"))?;
    let (list, mut left) = partitions(&consumer, prefix)?;
    consumer.assign(&list).map_err(Failure::kafka("the input cannot be read"))?;
    let mut forward = if mode == Mode::Forward { Some(Forward::open(brokers, prefix)?) } else { None };
    let mut pass = Pass { parser: Parser::default(), batch: EventBatch::default() };
    let mut report = Report::default();
    while left > 0 {
        match consumer.poll(LOOK) {
            Some(Ok(message)) => {
                let outcome = pass.parse(&message, prefix);
                report.records += 1;
                report.parsed += u64::from(outcome.is_ok());
                left -= 1;
                if let (Some(forward), Err((code, sentence))) = (&mut forward, outcome) {
                    forward.send(&message, prefix, code, &sentence)?;
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => return Err(Failure::kafka("the input cannot be read")(error)),
        }
        if let Some(forward) = &mut forward
            && (left == 0 || forward.began.elapsed() >= TRANSACTION)
        {
            forward.commit(&consumer)?;
            report.transactions += 1;
        }
    }
    Ok(report)
}

/// The input partitions that hold records, from their beginnings, and how many records there are.
fn partitions(consumer: &BaseConsumer, prefix: &str) -> Result<(TopicPartitionList, u64), Failure> {
    let metadata = consumer.fetch_metadata(None, ANSWER_MAX).map_err(Failure::kafka("the cluster tells no topics"))?;
    let (mut list, mut records) = (TopicPartitionList::new(), 0);
    for topic in Topic::ALL {
        let name = format!("{prefix}{}", topic.name());
        let found = metadata.topics().iter().find(|found| found.name() == name);
        for partition in found.into_iter().flat_map(rdkafka::metadata::MetadataTopic::partitions) {
            let (first, end) = consumer
                .fetch_watermarks(&name, partition.id(), ANSWER_MAX)
                .map_err(Failure::kafka("a partition tells no end"))?;
            records += (end - first).max(0) as u64;
            list.add_partition_offset(&name, partition.id(), Offset::Offset(first))
                .map_err(Failure::kafka("a partition cannot be read"))?;
        }
    }
    Ok((list, records))
}

struct Pass {
    parser: Parser,
    batch: EventBatch,
}

impl Pass {
    /// Parses a record and lets go of what came of it; the reason why it is none, if so.
    fn parse(&mut self, message: &BorrowedMessage<'_>, prefix: &str) -> Result<(), (&'static str, String)> {
        let payload = message.payload().unwrap_or_default();
        let topic = Topic::ALL.into_iter().find(|topic| message.topic().strip_prefix(prefix) == Some(topic.name()));
        let place = Place {
            topic: topic.unwrap_or(Topic::Leads) as u8,
            partition: message.partition() as u32,
            offset: message.offset() as u64,
        };
        let record = Span { start: 0, length: payload.len() as u32 };
        let event = self
            .parser
            .parse(payload, record, place, 0)
            .map_err(|rejection| (rejection.code.name(), rejection.sentence))?;
        // As in the loop over files: the event is put where one would use it.
        self.parser.push(event, &mut self.batch);
        if self.batch.events.len() >= 1_024 {
            self.batch.events.clear();
            self.batch.values.clear();
            self.batch.extra.clear();
        }
        Ok(())
    }
}

struct Forward {
    producer: BaseProducer,
    topic: String,
    began: Instant,
    epoch: String,
}

impl Forward {
    fn open(brokers: &str, prefix: &str) -> Result<Self, Failure> {
        let producer: BaseProducer = settings::transactional(brokers, &format!("{prefix}loop"))
            .set("partitioner", "murmur2_random")
            .create()
            .map_err(Failure::kafka("the producer cannot be made"))?;
        producer.init_transactions(ANSWER_MAX).map_err(Failure::kafka("transactions cannot be begun"))?;
        producer.begin_transaction().map_err(Failure::kafka("a transaction cannot be begun"))?;
        Ok(Forward {
            producer,
            topic: format!("{prefix}dead-letters"),
            began: Instant::now(),
            epoch: "1767225600000".to_owned(),
        })
    }

    /// Writes a record on, with the headers that the pipeline gives it.
    fn send(&mut self, message: &BorrowedMessage<'_>, prefix: &str, code: &str, sentence: &str) -> Result<(), Failure> {
        let (partition, offset) = (message.partition().to_string(), message.offset().to_string());
        let topic = message.topic().strip_prefix(prefix).unwrap_or_default();
        let headers = [
            ("epoch", self.epoch.as_str()),
            ("topic", topic),
            ("partition", &partition),
            ("offset", &offset),
            ("reason-code", code),
            ("reason", sentence),
        ];
        let headers = headers.into_iter().fold(OwnedHeaders::new_with_capacity(6), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let mut record =
            BaseRecord::<[u8], [u8]>::to(&self.topic).payload(message.payload().unwrap_or_default()).headers(headers);
        record.key = message.key();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    settings::look(&self.producer);
                    record = back;
                }
                Err((error, _)) => return Err(Failure::kafka("a record cannot be written")(error)),
            }
        }
    }

    /// Waits for what was sent, commits it with the input's offsets, and begins the next transaction.
    fn commit(&mut self, consumer: &BaseConsumer) -> Result<(), Failure> {
        // The bindings' flush would look every 100 ms only.
        while self.producer.in_flight_count() > 0 {
            settings::look(&self.producer);
        }
        let positions = consumer.position().map_err(Failure::kafka("positions cannot be told"))?;
        let mut read = TopicPartitionList::new();
        for element in positions.elements() {
            if let Offset::Offset(offset) = element.offset() {
                read.add_partition_offset(element.topic(), element.partition(), Offset::Offset(offset))
                    .map_err(Failure::kafka("positions cannot be told"))?;
            }
        }
        if let Some(group) = consumer.group_metadata() {
            self.producer
                .send_offsets_to_transaction(&read, &group, ANSWER_MAX)
                .map_err(Failure::kafka("offsets cannot be written"))?;
        }
        self.producer.commit_transaction(ANSWER_MAX).map_err(Failure::kafka("a transaction cannot be committed"))?;
        self.producer.begin_transaction().map_err(Failure::kafka("a transaction cannot be begun"))?;
        self.began = Instant::now();
        Ok(())
    }
}
