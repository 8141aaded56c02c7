//! The way of requests into the input log: one thread that appends what many requests bring, together.
//!
//! ```text
//!   request: events ─▶ queue (bounded) ─▶ "appender": records of all that wait, one append ─▶ Placed { partition, offset } to each
//! ```
//! The log acknowledges what it holds for good. While it is out of reach requests wait, up to their own time; then they are told so.
//! A request that gave up may still be appended: its events' ids make a repeat harmless.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use connectors::log::{Log, LogAppender, LogError, OutgoingRecords, TopicPartition, partition_of_key};
use operators::domain::event::Topic;
use tokio::sync::oneshot;

use super::problem::Problem;
use crate::run::binding::InputPartition;

/// Requests that wait to be appended, at most.
const WAITING_MAX: usize = 1_024;
/// Records of one append, at most, unless one request has more.
const RECORDS_MAX: usize = 5_000;
/// Bytes of one append, about.
const BYTES_MAX: usize = 4 << 20;
/// How long an append is tried again while the log is out of reach.
const TRIED_FOR: Duration = Duration::from_secs(10);

/// An event on its way into the log.
#[derive(Clone, Debug)]
pub struct InputEvent {
    /// Where it goes.
    pub topic: Topic,
    /// The dealer, which is the record's key.
    pub dealer: String,
    /// Its time, in UTC milliseconds.
    pub time_ms: i64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Where a request's events came to lie, in the order of its events.
pub type Placed = Vec<(InputPartition, u64)>;

struct Append {
    events: Vec<InputEvent>,
    reply: oneshot::Sender<Result<Placed, Problem>>,
}

/// Appends events to the input log.
#[derive(Clone, Debug)]
pub struct Appender {
    queue: SyncSender<Append>,
}

impl Appender {
    /// Starts the thread. It ends when the last handle is gone.
    ///
    /// # Errors
    /// If the log cannot be asked, or the system gives no thread.
    pub fn start(log: &Arc<dyn Log>) -> Result<(Self, JoinHandle<()>), LogError> {
        let mut admin = log.admin()?;
        let mut partitions = BTreeMap::new();
        for topic in Topic::ALL {
            let found = admin.existing_topic(topic.name())?;
            partitions.insert(topic, found.partitions.len().max(1) as u32);
        }
        let log_appender = log.appender("http")?;
        let (queue, requests) = sync_channel(WAITING_MAX);
        let mut thread = AppendThread { requests, log_appender, partitions };
        let thread = std::thread::Builder::new().name("appender".to_owned()).spawn(move || thread.run());
        let thread = thread.map_err(|error| LogError::Busy {
            what: "starting the appender".to_owned(),
            reason: error.to_string(),
            retry_after: Duration::from_secs(1),
        })?;
        Ok((Appender { queue }, thread))
    }

    /// Appends events and waits until the log holds them for good.
    ///
    /// # Errors
    /// A [`Problem`] for the caller: too much is waiting, or the log refuses or is out of reach.
    pub async fn append(&self, events: Vec<InputEvent>) -> Result<Placed, Problem> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Append { events, reply }).map_err(|error| match error {
            TrySendError::Full(_) => Problem::unavailable("too many writes are waiting for the log: try again"),
            TrySendError::Disconnected(_) => Problem::unavailable("dealerflow is ending: try again after its restart"),
        })?;
        answer.await.unwrap_or_else(|_| Err(Problem::unavailable("dealerflow is ending: try again after its restart")))
    }
}

struct AppendThread {
    requests: Receiver<Append>,
    log_appender: Box<dyn LogAppender>,
    partitions: BTreeMap<Topic, u32>,
}

impl AppendThread {
    fn run(&mut self) {
        let mut records = OutgoingRecords::new();
        while let Ok(first) = self.requests.recv() {
            let mut group = vec![first];
            let (mut count, mut bytes) = size(&group[0]);
            while count < RECORDS_MAX && bytes < BYTES_MAX {
                let Ok(next) = self.requests.try_recv() else { break };
                let (more, more_bytes) = size(&next);
                (count, bytes) = (count + more, bytes + more_bytes);
                group.push(next);
            }
            // Who gave up meanwhile is not written for.
            group.retain(|append| !append.reply.is_closed());
            records.clear();
            let places: Vec<Vec<InputPartition>> = group.iter().map(|append| self.add(append, &mut records)).collect();
            let ends = self.append(&records);
            for (append, places) in group.into_iter().zip(places) {
                let placed = ends.clone().map(|ends| {
                    places.into_iter().map(|place| (place, ends.get(&place).copied().unwrap_or_default())).collect()
                });
                let _ = append.reply.send(placed);
            }
        }
    }

    /// Adds a request's events to the records: where each goes.
    fn add(&self, append: &Append, records: &mut OutgoingRecords) -> Vec<InputPartition> {
        let place = |event: &InputEvent, records: &mut OutgoingRecords| {
            let count = self.partitions.get(&event.topic).copied().unwrap_or(1);
            let partition = partition_of_key(event.dealer.as_bytes(), count);
            let place = records.place(&TopicPartition::new(event.topic.name(), partition));
            records.push(place, event.time_ms.max(0), Some(event.dealer.as_bytes()), Some(&event.bytes), []);
            InputPartition { topic: event.topic, partition }
        };
        append.events.iter().map(|event| place(event, records)).collect()
    }

    /// Appends, again and again while the log is out of reach: the last offset of each partition.
    fn append(&mut self, records: &OutgoingRecords) -> Result<BTreeMap<InputPartition, u64>, Problem> {
        if records.is_empty() {
            return Ok(BTreeMap::new());
        }
        let begun = Instant::now();
        loop {
            match self.log_appender.append(records, None) {
                Ok(appended) => {
                    let ends = appended.ranges.into_iter().filter_map(|range| {
                        let topic =
                            Topic::ALL.into_iter().find(|topic| topic.name() == &*range.topic_partition.topic)?;
                        Some((InputPartition { topic, partition: range.topic_partition.partition }, range.offset_last))
                    });
                    return Ok(ends.collect());
                }
                Err(error) => {
                    let Some(pause) = error.retry_after().filter(|_| begun.elapsed() < TRIED_FOR) else {
                        tracing::warn!(%error, "events of the HTTP server could not be appended");
                        return Err(Problem::unavailable(format!("the log does not take the events: {error}")));
                    };
                    std::thread::sleep(pause.clamp(Duration::from_millis(5), Duration::from_secs(1)));
                }
            }
        }
    }
}

fn size(append: &Append) -> (usize, usize) {
    (append.events.len(), append.events.iter().map(|event| event.bytes.len()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::load_config_with;
    use crate::logs::{open_log, topic_specs};

    #[tokio::test]
    async fn every_request_hears_where_its_events_lie() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap().to_owned();
        let own = [("DEALERFLOW_DATA_DIR", folder.as_str()), ("DEALERFLOW_SOURCE__KIND", "embedded")];
        let log = open_log(&load_config_with(None, &own).unwrap()).unwrap();
        log.admin().unwrap().create_topics(&topic_specs(2)).unwrap();
        let (appender, thread) = Appender::start(&log).unwrap();
        let event = |topic, dealer: &str, bytes: &str| InputEvent {
            topic,
            dealer: dealer.to_owned(),
            time_ms: 1,
            bytes: bytes.as_bytes().to_vec(),
        };
        let first = vec![event(Topic::Leads, "d-1", "{}"), event(Topic::Deals, "d-1", "{}")];
        let placed = appender.append(first).await.unwrap();
        assert_eq!(
            placed.iter().map(|(place, offset)| (place.topic, *offset)).collect::<Vec<_>>(),
            [(Topic::Leads, 0), (Topic::Deals, 0)]
        );
        let again = appender.append(vec![event(Topic::Leads, "d-1", "{}"); 3]).await.unwrap();
        assert_eq!(again, vec![(placed[0].0, 3); 3], "an offset is the last of its partition in the append");
        drop(appender);
        thread.join().unwrap();
    }
}
