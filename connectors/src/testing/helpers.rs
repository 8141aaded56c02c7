//! Small steps that most checks take.

use std::time::{Duration, Instant};

use crate::log::{
    CommitGroup, Header, Log, LogError, OutgoingRecords, PartitionEvent, PartitionStart, PollLimits, RecordBatch,
    StartOffset, TopicCreation, TopicPartition, TopicSpec,
};

/// How long a check waits for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A record that outlives its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset.
    pub offset: u64,
    /// The timestamp.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The payload.
    pub payload: Option<Vec<u8>>,
    /// The headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The records of a batch.
pub fn records_of(batch: &RecordBatch) -> Vec<Owned> {
    let owned = |record: crate::log::Record<'_>| Owned {
        partition: record.topic_partition.clone(),
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.body.key.map(<[u8]>::to_vec),
        payload: record.body.payload.map(<[u8]>::to_vec),
        headers: record
            .body
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    };
    batch.records().map(|(_, record)| owned(record)).collect()
}

/// Makes a topic that must not be there yet.
pub fn topic(log: &dyn Log, name: &str, partitions: u32) {
    let made = log.admin().unwrap().create_topics(&[TopicSpec::new(name, partitions)]).unwrap();
    assert_eq!(made, [TopicCreation::Created], "{name}");
}

/// A start at an offset, or at the earliest.
pub fn start_at(topic: &str, partition: u32, from: Option<u64>) -> PartitionStart {
    let from = from.map_or(StartOffset::Earliest, StartOffset::At);
    PartitionStart { topic_partition: TopicPartition::new(topic, partition), from, topic_id: None }
}

/// Everything from `starts` to the ends of their partitions.
///
/// # Errors
/// What a poll says that is not retriable.
pub fn read_to_end(log: &dyn Log, starts: &[PartitionStart]) -> Result<Vec<Owned>, LogError> {
    let mut reader = log.reader("check")?;
    reader.assign(starts)?;
    let mut ended = vec![false; starts.len()];
    let mut batch = RecordBatch::new();
    let mut read = Vec::new();
    let started = Instant::now();
    while ended.iter().any(|ended| !ended) {
        assert!(started.elapsed() < PATIENCE, "no end of {starts:?} after {} records", read.len());
        match reader.poll(Duration::from_millis(200), PollLimits::default(), &mut batch) {
            Ok(()) => {}
            Err(error) if error.is_retriable() => continue,
            Err(error) => return Err(error),
        }
        read.extend(records_of(&batch));
        for PartitionEvent::ReachedEnd { slot } in batch.events() {
            ended[slot.index()] = true;
        }
    }
    Ok(read)
}

/// Adds a record with a payload and nothing else.
pub(super) fn push(records: &mut OutgoingRecords, topic: &str, partition: u32, payload: &[u8]) {
    let place = records.place(&TopicPartition::new(topic, partition));
    records.push(place, 1_700_000_000_000, None, Some(payload), std::iter::empty::<Header<'_>>());
}

/// A group of plain records.
pub fn group_of(records: &[(&str, u32, &[u8])]) -> CommitGroup {
    let mut group = CommitGroup::new();
    for (topic, partition, payload) in records {
        push(&mut group.records, topic, *partition, payload);
    }
    group
}

/// The payloads as text.
pub(super) fn payloads(records: &[Owned]) -> Vec<String> {
    records
        .iter()
        .map(|record| String::from_utf8_lossy(record.payload.as_deref().unwrap_or_default()).into_owned())
        .collect()
}
