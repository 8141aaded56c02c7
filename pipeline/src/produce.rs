//! Events of files, appended to a log in the order of their time.
//!
//! ```text
//!   DIR/<topic>.jsonl, each in its own order ─▶ the line with the earliest time next ─▶ keyed by dealer ─▶ appender, in batches
//! ```
//! Lines without a readable time follow the line before them, and lines without a dealer go where their bytes hash to.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connectors::log::{Log, LogError, OutgoingRecords, TopicPartition, partition_of_key};
use operators::domain::event::Topic;
use operators::domain::event_time::{event_time_of, with_event_time};
use serde::Deserialize;

use crate::present::Present;

/// Records of one append, at most.
const BATCH_RECORDS: usize = 1_000;
/// Bytes of one append, about.
const BATCH_BYTES: usize = 1 << 20;
/// How long the future is left alone before it is looked at again.
const LOOK: Duration = Duration::from_millis(50);
/// How often an append is tried again while the log is out of reach.
const RETRIES_MAX: usize = 100;

/// How fast events are appended.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as the log takes them.
    Unbounded,
    /// So many a second.
    PerSecond(u64),
    /// So many a second, each as if it happened now.
    PerSecondNow(u64),
    /// The past as fast as the log takes it, and then each event when its time has come.
    AsItHappens,
}

/// Why events could not be appended.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// A file cannot be read.
    #[error("the events in {path} cannot be read: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There are no events.
    #[error("{path} holds no events: expected files such as leads.jsonl", path = path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The log refuses.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A topic's file, read up to its next line.
struct Head {
    topic: Topic,
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    time_ms: i64,
}

impl Head {
    /// Reads the next line that is not blank; `false` at the end.
    fn advance(&mut self) -> Result<bool, ProduceError> {
        loop {
            self.line.clear();
            let read = self.reader.read_until(b'\n', &mut self.line);
            if read.map_err(|source| ProduceError::File { path: self.path.clone(), source })? == 0 {
                return Ok(false);
            }
            while self.line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                self.line.pop();
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                self.time_ms = event_time_of(&self.line).unwrap_or(self.time_ms);
                return Ok(true);
            }
        }
    }
}

#[derive(Deserialize)]
struct Envelope {
    dealerid: Option<String>,
}

/// The key of a record: its dealer, if it names one.
fn key_of(line: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<Envelope>(line).ok()?.dealerid.map(String::into_bytes)
}

/// Appends the events of a folder to the input topics of a log. `stop` ends it early. Number of records.
///
/// # Errors
/// If a file cannot be read or the log refuses; what was appended stays.
pub fn produce(folder: &Path, log: &dyn Log, pace: Pace, stop: &dyn Fn() -> bool) -> Result<u64, ProduceError> {
    let mut heads = Vec::new();
    for topic in Topic::ALL {
        let path = folder.join(format!("{}.jsonl", topic.name()));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(ProduceError::File { path, source }),
        };
        let reader = BufReader::with_capacity(1 << 20, file);
        let mut head = Head { topic, path, reader, line: Vec::new(), time_ms: i64::MIN };
        if head.advance()? {
            heads.push(head);
        }
    }
    if heads.is_empty() {
        return Err(ProduceError::Empty { path: folder.to_owned() });
    }
    let mut admin = log.admin()?;
    let mut partitions = Vec::new();
    for topic in Topic::ALL {
        let found = admin.existing_topic(topic.name())?;
        partitions.push(found.partitions.len().max(1) as u32);
    }
    let mut appender = log.appender("producer")?;
    let mut records = OutgoingRecords::new();
    let started = Instant::now();
    let mut total = 0_u64;
    // Records of one paced batch: a fiftieth of a second's.
    let batch_records = match pace {
        Pace::Unbounded | Pace::AsItHappens => BATCH_RECORDS,
        Pace::PerSecond(rate) | Pace::PerSecondNow(rate) => ((rate / 50).max(1) as usize).min(BATCH_RECORDS),
    };
    let mut present = matches!(pace, Pace::PerSecondNow(_)).then(Present::default);
    while !heads.is_empty() && !stop() {
        let next = (0..heads.len()).min_by_key(|head| (heads[*head].time_ms, heads[*head].topic)).unwrap_or(0);
        if matches!(pace, Pace::AsItHappens) {
            let early_ms = heads[next].time_ms.saturating_sub(now_ms());
            if early_ms > 0 {
                if !records.is_empty() {
                    total += records.len() as u64;
                    append(appender.as_mut(), &records)?;
                    records.clear();
                }
                std::thread::sleep(LOOK.min(Duration::from_millis(early_ms as u64)));
                continue;
            }
        }
        let head = &mut heads[next];
        let key = key_of(&head.line);
        let partition = partition_of_key(key.as_deref().unwrap_or(&head.line), partitions[head.topic as usize]);
        let place = records.place(&TopicPartition::new(head.topic.name(), partition));
        let moved = present.as_mut().and_then(|present| {
            let time_ms = present.time_of(head.time_ms, now_ms());
            Some((time_ms, with_event_time(&head.line, time_ms)?))
        });
        let (time_ms, line) = moved.as_ref().map_or((head.time_ms, &head.line), |(time_ms, line)| (*time_ms, line));
        records.push(place, time_ms.max(0), key.as_deref(), Some(line), []);
        if !head.advance()? {
            heads.remove(next);
        }
        if records.len() >= batch_records || records.bytes() >= BATCH_BYTES || heads.is_empty() {
            total += records.len() as u64;
            append(appender.as_mut(), &records)?;
            records.clear();
            if let Pace::PerSecond(rate) | Pace::PerSecondNow(rate) = pace {
                let due = Duration::from_secs_f64(total as f64 / rate.max(1) as f64);
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
        }
    }
    Ok(total)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// Appends a batch, again and again while the log is out of reach: a repeat is the same events, which the pipeline takes once.
fn append(appender: &mut dyn connectors::log::LogAppender, records: &OutgoingRecords) -> Result<(), LogError> {
    let mut tries = 0;
    loop {
        match appender.append(records, None) {
            Ok(_) => return Ok(()),
            Err(error) => match error.retry_after().filter(|_| tries < RETRIES_MAX) {
                Some(pause) => std::thread::sleep(pause.min(Duration::from_secs(1))),
                None => return Err(error),
            },
        }
        tries += 1;
    }
}
