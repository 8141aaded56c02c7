//! Reading partitions of a cluster: one client, one queue a partition.
//!
//! ```text
//!  librdkafka ─► queue leads/0 ─┐                              ids: asked at the start and every few seconds;
//!             ─► queue leads/1 ─┼─► poll: in turn, until full  a topic with another id stops the reading
//!             ─► queue deals/0 ─┘   wait: woken by any queue
//! ```
//! A queue a partition, because the end of a partition and its errors come without the topic's name: the queue says whose they
//! are. And a partition is paused by leaving its queue alone, which loses nothing that was fetched.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::context::KafkaContext;
use super::error::{Request, is_passing};
use super::topic_ids::{TopicIdQuery, TopicIdentity};
use crate::log::{
    Header, LogError, LogReader, PartitionEvent, PartitionProgress, PartitionSlot, PartitionStart, PollLimits,
    RecordBatch, RecreationSign, StartOffset, TopicId, TopicPartition,
};

/// How often the ids of the topics are asked for.
const TOPIC_IDS_INTERVAL: Duration = Duration::from_secs(5);
/// The longest sleep before the client's own events are served.
const WAKE_INTERVAL: Duration = Duration::from_millis(100);

/// A reader of a cluster.
pub struct KafkaReader {
    config: KafkaConfig,
    name: String,
    client: Option<Arc<BaseConsumer<KafkaContext>>>,
    partitions: Vec<TopicPartition>,
    slots: Vec<Slot>,
    /// The slot whose turn is next.
    turn: usize,
    wake: Arc<Wake>,
    /// Errors met while records were being handed out.
    errors: VecDeque<LogError>,
    identities: TopicIdentities,
}

struct Slot {
    topic_on_cluster: String,
    queue: PartitionQueue<KafkaContext>,
    start: StartOffset,
    /// Behind the last record handed out.
    position: Option<u64>,
    at_end: bool,
    paused: bool,
    /// Nothing more can be read.
    failed: bool,
}

/// What is known of the topics' ids, and the question on its way.
#[derive(Default)]
struct TopicIdentities {
    /// By topic on the cluster: the id that must be found, once it is known.
    expected: Vec<(String, Option<TopicId>)>,
    query: Option<TopicIdQuery>,
    asked_at: Option<Instant>,
    /// True once all ids were seen as expected: nothing is handed out before.
    verified: bool,
}

#[derive(Default)]
struct Wake {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    fn wait(&self, timeout: Duration) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut raised, _) =
            self.changed.wait_timeout_while(raised, timeout, |raised| !*raised).unwrap_or_else(PoisonError::into_inner);
        *raised = false;
    }
}

impl KafkaReader {
    pub(super) fn new(config: KafkaConfig, name: &str) -> Self {
        Self {
            config,
            name: name.to_owned(),
            client: None,
            partitions: Vec::new(),
            slots: Vec::new(),
            turn: 0,
            wake: Arc::default(),
            errors: VecDeque::new(),
            identities: TopicIdentities::default(),
        }
    }

    fn request<'a>(&'a self, context: &'a KafkaContext, topic: Option<&'a str>) -> Request<'a> {
        let what = topic.map_or_else(|| "reading".to_owned(), |topic| format!("reading topic {topic}"));
        Request { config: &self.config, context, what, topic, timeout: self.config.limits.admin_timeout }
    }

    /// Adds partitions to the client's assignment and takes their queues.
    fn add(&mut self, client: &Arc<BaseConsumer<KafkaContext>>, starts: &[PartitionStart]) -> Result<(), LogError> {
        let refuse = |error: KafkaError| self.request(client.context(), None).error(&error);
        let mut list = TopicPartitionList::with_capacity(starts.len());
        let mut slots = Vec::with_capacity(starts.len());
        for start in starts {
            let topic_on_cluster = self.config.topic_on_cluster(&start.topic_partition.topic);
            let partition = start.topic_partition.partition as i32;
            let offset = match start.from {
                StartOffset::Earliest => Offset::Beginning,
                StartOffset::At(offset) => Offset::Offset(offset as i64),
            };
            list.add_partition_offset(&topic_on_cluster, partition, offset).map_err(refuse)?;
            // Taken before the assignment, so that not one record goes to the common queue.
            let mut queue = client
                .split_partition_queue(&topic_on_cluster, partition)
                .ok_or_else(|| LogError::Misuse { what: format!("{} names no partition", start.topic_partition) })?;
            let wake = Arc::clone(&self.wake);
            queue.set_nonempty_callback(move || wake.raise());
            let position = match start.from {
                StartOffset::Earliest => None,
                StartOffset::At(offset) => Some(offset),
            };
            slots.push(Slot {
                topic_on_cluster,
                queue,
                start: start.from,
                position,
                at_end: false,
                paused: false,
                failed: false,
            });
        }
        client.incremental_assign(&list).map_err(refuse)?;
        for (start, slot) in starts.iter().zip(&slots) {
            self.identities.expect(&slot.topic_on_cluster, start.topic_id)?;
        }
        self.identities.verified = false;
        self.identities.asked_at = None;
        self.partitions.extend(starts.iter().map(|start| start.topic_partition.clone()));
        self.slots.extend(slots);
        Ok(())
    }

    fn refuse_repeats(&self, starts: &[PartitionStart]) -> Result<(), LogError> {
        for (index, start) in starts.iter().enumerate() {
            let partition = &start.topic_partition;
            if self.partitions.contains(partition)
                || starts[..index].iter().any(|other| other.topic_partition == *partition)
            {
                return Err(LogError::Misuse { what: format!("{partition} is assigned twice") });
            }
        }
        Ok(())
    }

    /// Serves the client's own events; an error of the whole client, if one was told.
    fn serve_client(&self, client: &BaseConsumer<KafkaContext>) -> Result<(), LogError> {
        while let Some(told) = client.poll(Duration::ZERO) {
            let Err(error) = told else {
                return Err(LogError::Misuse { what: "a record came outside its partition's queue".to_owned() });
            };
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let passing = is_passing(code)
                || matches!(code, RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve);
            // One broker of many may go away and come back; that is told again when all are gone.
            if !passing && !matches!(error, KafkaError::PartitionEOF(_)) {
                return Err(self.request(client.context(), None).error(&error));
            }
        }
        Ok(())
    }

    /// Asks for the topics' ids when it is time, and checks them once they have come. Waits only while none were ever seen.
    fn watch_identities(&mut self, client: &BaseConsumer<KafkaContext>, timeout: Duration) -> Result<bool, LogError> {
        let due = self.identities.asked_at.is_none_or(|asked_at| asked_at.elapsed() >= TOPIC_IDS_INTERVAL);
        if self.identities.query.is_none() && due {
            let topics: Vec<String> = self.identities.expected.iter().map(|(topic, _)| topic.clone()).collect();
            let query = TopicIdQuery::start(client.client(), &topics, self.config.limits.admin_timeout);
            self.identities.query = query;
            self.identities.asked_at = Some(Instant::now());
        }
        let wait = if self.identities.verified { Duration::ZERO } else { timeout };
        let answer = self.identities.query.as_ref().and_then(|query| query.poll(wait));
        if let Some(answer) = answer {
            self.identities.query = None;
            match answer {
                Ok(identities) => {
                    for (topic, identity) in identities {
                        let identity = identity.map_err(|code| {
                            self.request(client.context(), Some(&topic)).error_of_code(code, &code.to_string())
                        })?;
                        self.check_identity(&topic, identity)?;
                    }
                    self.identities.verified = true;
                }
                Err(code) if !self.identities.verified => {
                    self.identities.asked_at = None;
                    return Err(self.request(client.context(), None).error_of_code(code, &code.to_string()));
                }
                // A broker that is away is told by the client itself.
                Err(_) => {}
            }
        }
        Ok(self.identities.verified)
    }

    fn check_identity(&mut self, topic: &str, identity: TopicIdentity) -> Result<(), LogError> {
        let expected = self.identities.expected.iter_mut().find(|(name, _)| name == topic).map(|(_, id)| id);
        match (expected, identity.id) {
            (Some(Some(expected)), Some(found)) if *expected != found => {
                let sign = RecreationSign::Id { expected: *expected, found };
                self.stop_topic(topic);
                return Err(LogError::TopicRecreated { topic: topic.to_owned(), sign });
            }
            (Some(unknown @ None), Some(found)) => *unknown = Some(found),
            _ => {}
        }
        let beyond = self.partitions.iter().zip(&mut self.slots).find(|(partition, slot)| {
            !slot.failed && slot.topic_on_cluster == topic && partition.partition >= identity.partitions
        });
        match beyond {
            Some((partition, slot)) => {
                slot.failed = true;
                Err(LogError::PartitionMissing { partition: partition.clone(), partitions: identity.partitions })
            }
            None => Ok(()),
        }
    }

    fn stop_topic(&mut self, topic: &str) {
        self.slots.iter_mut().filter(|slot| slot.topic_on_cluster == topic).for_each(|slot| slot.failed = true);
    }

    /// Hands out what the queues hold, in turn, until the batch is full.
    fn drain(&mut self, limits: PollLimits, batch: &mut RecordBatch) {
        for step in 0..self.slots.len() {
            let index = (self.turn + step) % self.slots.len();
            if self.slots[index].paused || self.slots[index].failed {
                continue;
            }
            while batch.has_room(limits) {
                let slot = &mut self.slots[index];
                let failure = match slot.queue.poll(Duration::ZERO) {
                    None => break,
                    Some(Ok(message)) => {
                        let next = push(batch, PartitionSlot(index as u32), &message);
                        slot.position = Some(next);
                        slot.at_end = false;
                        continue;
                    }
                    Some(Err(KafkaError::PartitionEOF(_))) => {
                        slot.at_end = true;
                        batch.push_event(PartitionEvent::ReachedEnd { slot: PartitionSlot(index as u32) });
                        continue;
                    }
                    Some(Err(error)) => error,
                };
                if let Some(error) = self.failure(index, &failure) {
                    self.errors.push_back(error);
                    break;
                }
            }
            if !batch.has_room(limits) {
                // The one that filled the batch has had its turn.
                self.turn = (index + 1) % self.slots.len();
                return;
            }
        }
    }

    /// What an error of a partition means; `None` if the client mends it by itself.
    fn failure(&mut self, index: usize, error: &KafkaError) -> Option<LogError> {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        if is_passing(code) || matches!(code, Code::BrokerTransportFailure | Code::OperationTimedOut) {
            return None;
        }
        let client = self.client.clone()?;
        let slot = &mut self.slots[index];
        slot.failed = true;
        let partition = self.partitions[index].clone();
        let topic = self.slots[index].topic_on_cluster.clone();
        if matches!(code, Code::AutoOffsetReset | Code::OffsetOutOfRange) {
            return Some(self.out_of_range(&client, index, partition, error));
        }
        let request = self.request(client.context(), Some(&topic));
        Some(match code {
            Code::UnknownPartition => LogError::PartitionMissing { partition, partitions: 0 },
            _ => request.error(error),
        })
    }

    fn out_of_range(
        &mut self,
        client: &BaseConsumer<KafkaContext>,
        index: usize,
        partition: TopicPartition,
        error: &KafkaError,
    ) -> LogError {
        let slot = &self.slots[index];
        let position = slot.position.unwrap_or_default();
        let bounds = client.fetch_watermarks(
            &slot.topic_on_cluster,
            partition.partition as i32,
            self.config.limits.admin_timeout,
        );
        let topic = slot.topic_on_cluster.clone();
        match bounds {
            Ok((earliest, latest)) => {
                let (earliest, latest) = (earliest.max(0) as u64, latest.max(0) as u64);
                if position > latest {
                    let sign = RecreationSign::EndBehindPosition { partition: partition.partition, position, latest };
                    LogError::TopicRecreated { topic, sign }
                } else {
                    LogError::OffsetOutOfRange { partition, position, earliest, latest }
                }
            }
            Err(_) => self.request(client.context(), Some(&topic)).error(error),
        }
    }

    fn set_paused(&mut self, slots: &[PartitionSlot], paused: bool) -> Result<(), LogError> {
        for slot in slots {
            let unknown = || LogError::Misuse { what: format!("slot {} was never assigned", slot.0) };
            self.slots.get_mut(slot.index()).ok_or_else(unknown)?.paused = paused;
        }
        Ok(())
    }
}

impl TopicIdentities {
    fn expect(&mut self, topic: &str, id: Option<TopicId>) -> Result<(), LogError> {
        match self.expected.iter_mut().find(|(known, _)| known == topic) {
            Some((_, Some(expected))) => match id {
                Some(found) if found != *expected => {
                    let sign = RecreationSign::Id { expected: *expected, found };
                    Err(LogError::TopicRecreated { topic: topic.to_owned(), sign })
                }
                _ => Ok(()),
            },
            Some((_, unknown)) => {
                *unknown = id;
                Ok(())
            }
            None => {
                self.expected.push((topic.to_owned(), id));
                Ok(())
            }
        }
    }
}

/// Copies a record into the batch; the offset behind it.
fn push(batch: &mut RecordBatch, slot: PartitionSlot, message: &BorrowedMessage<'_>) -> u64 {
    let offset = message.offset() as u64;
    let timestamp_ms = message.timestamp().to_millis().unwrap_or(-1);
    let headers = message.headers().map(|headers| headers.iter()).into_iter().flatten();
    let headers = headers.map(|header| Header { name: header.key, value: header.value });
    batch.push(slot, offset, timestamp_ms, message.key(), message.payload(), headers);
    offset + 1
}

impl LogReader for KafkaReader {
    fn assign(&mut self, starts: &[PartitionStart]) -> Result<(), LogError> {
        // A new client: what the old one had fetched is dropped with it, and queues are sized for the new partitions.
        self.slots.clear();
        self.partitions.clear();
        self.errors.clear();
        self.identities = TopicIdentities::default();
        self.client = None;
        self.turn = 0;
        self.refuse_repeats(starts)?;
        let settings = self.config.consumer(&self.name, starts.len());
        let context = KafkaContext::new(self.config.oauth_token_file.clone());
        let created = settings.create_with_context::<_, BaseConsumer<KafkaContext>>(context);
        let client = Arc::new(created.map_err(|error| self.request(&KafkaContext::default(), None).error(&error))?);
        self.client = Some(Arc::clone(&client));
        self.add(&client, starts)
    }

    fn assign_more(&mut self, starts: &[PartitionStart]) -> Result<(), LogError> {
        self.refuse_repeats(starts)?;
        match self.client.clone() {
            Some(client) => self.add(&client, starts),
            None => self.assign(starts),
        }
    }

    fn poll(&mut self, timeout: Duration, limits: PollLimits, batch: &mut RecordBatch) -> Result<(), LogError> {
        batch.begin(&self.partitions);
        if let Some(error) = self.errors.pop_front() {
            return Err(error);
        }
        let Some(client) = self.client.clone() else {
            return Ok(());
        };
        let deadline = Instant::now() + timeout;
        loop {
            self.serve_client(&client)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if self.watch_identities(&client, left.min(WAKE_INTERVAL))? {
                self.drain(limits, batch);
            }
            if !batch.is_empty() || !batch.events().is_empty() {
                return Ok(());
            }
            if let Some(error) = self.errors.pop_front() {
                return Err(error);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.identities.verified {
                self.wake.wait(left.min(WAKE_INTERVAL));
            }
        }
    }

    fn pause(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError> {
        self.set_paused(slots, true)
    }

    fn resume(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError> {
        self.set_paused(slots, false)
    }

    fn progress(&self, slot: PartitionSlot) -> Option<PartitionProgress> {
        let held = self.slots.get(slot.index())?;
        let partition = self.partitions.get(slot.index())?;
        let client = self.client.as_ref()?;
        let ends =
            client.context().told().ends.get(&(held.topic_on_cluster.clone(), partition.partition as i32)).copied();
        debug_assert!(
            held.position.is_some() || held.start == StartOffset::Earliest,
            "a start at an offset has a position"
        );
        Some(PartitionProgress {
            position: held.position,
            at_end: held.at_end,
            stable_end: ends.map(|(stable_end, _)| stable_end),
            end: ends.map(|(_, end)| end),
            paused: held.paused,
        })
    }
}
