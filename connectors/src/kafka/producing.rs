//! Handing records to a producer and waiting until each is acknowledged: what committer and appender share.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};

use super::config::KafkaConfig;
use super::context::{KafkaContext, Told};
use super::error::{Request, too_large};
use crate::log::{LogError, OutgoingRecord, OutgoingRecords, TopicPartition};

/// The pause between two looks at the producer's acknowledgements. `flush` of the bindings would look every 100 ms only, and their `poll`
/// never waits for the last millisecond of its time but asks again and again.
const ACKNOWLEDGEMENT_PAUSE: Duration = Duration::from_micros(500);

/// How many of the client's events are served to find out why it refuses a record.
const EVENTS_AFTER_REFUSAL_MAX: usize = 64;

/// A producer and what it is called.
pub(super) struct Producing<'a> {
    pub(super) config: &'a KafkaConfig,
    pub(super) producer: &'a BaseProducer<KafkaContext>,
    /// As messages begin: "committing", "appending".
    pub(super) what: &'static str,
    pub(super) timeout: Duration,
}

/// What became of records.
pub(super) enum Produced {
    /// Each is acknowledged.
    All,
    /// The time was up.
    TimedOut,
    /// One was refused.
    Refused(LogError),
    /// The producer is of no more use.
    Broken,
}

impl Producing<'_> {
    pub(super) fn request<'a>(&'a self, topic: Option<&'a str>) -> Request<'a> {
        let what = topic.map_or_else(|| self.what.to_owned(), |topic| format!("{} to topic {topic}", self.what));
        Request { config: self.config, context: self.producer.context(), what, topic, timeout: self.timeout }
    }

    /// Sends all records and waits until all are acknowledged, one fails or `deadline` comes.
    pub(super) fn produce(&self, records: &OutgoingRecords, deadline: Instant) -> Produced {
        {
            let mut told = self.producer.context().told();
            told.undelivered = None;
            told.transaction = None;
            told.not_added = None;
            told.delivered.clear();
        }
        let topics: Vec<String> =
            records.places().iter().map(|place| self.config.topic_on_cluster(&place.topic)).collect();
        for record in records.iter() {
            if let Some(stop) = self.send(&record, &topics[record.place.index()], deadline) {
                return stop;
            }
        }
        while self.producer.in_flight_count() > 0 {
            self.look();
            if let Some(stop) = self.stopped(records, deadline) {
                return stop;
            }
        }
        self.stopped(records, deadline).unwrap_or(Produced::All)
    }

    /// Serves what the client has to tell, after a pause if that was nothing.
    fn look(&self) {
        let before = self.producer.in_flight_count();
        self.producer.poll(Duration::ZERO);
        if self.producer.in_flight_count() == before {
            std::thread::sleep(ACKNOWLEDGEMENT_PAUSE);
        }
    }

    fn send(&self, record: &OutgoingRecord<'_>, topic: &str, deadline: Instant) -> Option<Produced> {
        let mut outgoing = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, record.place.index())
            .partition(record.topic_partition.partition as i32)
            .timestamp(record.timestamp_ms);
        outgoing.key = record.body.key;
        outgoing.payload = record.body.payload;
        if !record.body.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.body.headers.len());
            outgoing.headers = Some(record.body.headers.iter().fold(headers, |headers, header| {
                headers.insert(KafkaHeader { key: header.name, value: header.value })
            }));
        }
        loop {
            let (error, back) = match self.producer.send(outgoing) {
                Ok(()) => return None,
                Err(refused) => refused,
            };
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if Instant::now() < deadline => {
                    self.look();
                    outgoing = back;
                }
                Some(RDKafkaErrorCode::QueueFull) => return Some(Produced::TimedOut),
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    return Some(Produced::Refused(self.too_large(record.topic_partition, record.body.bytes())));
                }
                Some(RDKafkaErrorCode::UnknownPartition) => {
                    let partition = record.topic_partition.clone();
                    return Some(Produced::Refused(LogError::PartitionMissing { partition, partitions: 0 }));
                }
                _ if self.producer.client().fatal_error().is_some() => return Some(Produced::Broken),
                // A transaction that was given up refuses every record; why, it says only among its events.
                _ => {
                    for _ in 0..EVENTS_AFTER_REFUSAL_MAX {
                        self.producer.poll(Duration::ZERO);
                    }
                    let given_up = self.transaction_failed();
                    return Some(Produced::Refused(
                        given_up.unwrap_or_else(|| self.request(Some(topic)).error(&error)),
                    ));
                }
            }
        }
    }

    fn too_large(&self, partition: &TopicPartition, bytes: usize) -> LogError {
        too_large(partition.clone(), bytes, self.config.limits.record_bytes_max)
    }

    /// Why there is no use in waiting longer, if so.
    fn stopped(&self, records: &OutgoingRecords, deadline: Instant) -> Option<Produced> {
        if self.producer.client().fatal_error().is_some() {
            return Some(Produced::Broken);
        }
        // First why the transaction was given up: what is undelivered may be so because of that.
        if let Some(refused) = self.transaction_failed() {
            return Some(Produced::Refused(refused));
        }
        let undelivered = self.producer.context().told().undelivered.clone();
        if let Some((code, topic, partition)) = undelivered {
            return Some(Produced::Refused(self.undelivered(records, code, &topic, partition)));
        }
        if self.producer.context().told().authentication.is_some() {
            let code = RDKafkaErrorCode::Authentication;
            return Some(Produced::Refused(self.request(None).error_of_code(code, &code.to_string())));
        }
        (Instant::now() >= deadline && self.producer.in_flight_count() > 0).then_some(Produced::TimedOut)
    }

    /// Why the transaction is lost, if the client library has given it up: then what waits will never be sent.
    fn transaction_failed(&self) -> Option<LogError> {
        let (reason, topic) = {
            let told = self.producer.context().told();
            (told.transaction.clone()?, told.not_added.clone())
        };
        let request = self.request(topic.as_deref());
        if reason.contains("TOPIC_AUTHORIZATION_FAILED") {
            return Some(request.error_of_code(RDKafkaErrorCode::TopicAuthorizationFailed, &reason));
        }
        Some(LogError::Busy { what: request.what, reason, retry_after: Duration::from_millis(10) })
    }

    fn undelivered(&self, records: &OutgoingRecords, code: RDKafkaErrorCode, topic: &str, partition: i32) -> LogError {
        let place = records
            .places()
            .iter()
            .find(|place| self.config.topic_on_cluster(&place.topic) == topic && place.partition as i32 == partition);
        match (code, place) {
            (RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge, Some(place)) => {
                let sizes =
                    records.iter().filter(|record| record.topic_partition == place).map(|record| record.body.bytes());
                self.too_large(place, sizes.max().unwrap_or_default())
            }
            (RDKafkaErrorCode::UnknownPartition, Some(place)) => {
                LogError::PartitionMissing { partition: place.clone(), partitions: 0 }
            }
            _ => self.request(Some(topic)).error_of_code(code, &code.to_string()),
        }
    }

    /// Waits until nothing is on its way any more, or nothing that is will arrive.
    pub(super) fn drain(&self, deadline: Instant) {
        let lost = |told: &Told| told.transaction.is_some() || told.all_brokers_down || told.authentication.is_some();
        while self.producer.in_flight_count() > 0
            && self.producer.client().fatal_error().is_none()
            && !lost(&self.producer.context().told())
            && Instant::now() < deadline
        {
            self.look();
        }
    }

    /// Forgets what is not acknowledged and serves the reports of that, so that nothing of it is sent any more.
    pub(super) fn purge(&self, deadline: Instant) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.look();
        }
    }

    /// The typed error for what the client library said.
    pub(super) fn error(&self, error: &KafkaError) -> LogError {
        self.request(None).error(error)
    }
}
