//! What a log holds, read by a reader that knows nothing of the pipeline, and held against the records of its epochs.
//!
//! ```text
//!  epochs        ─► one chain: each names the one before ─► ranges tile every input partition, from its first record to its last
//!  input topics  ─► as many records in each range as the epoch says │ the lines that were produced, and no others
//!  output topics ─► as many messages of each epoch and partition as it says, whole and in order
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectors::log::{
    Log, PartitionEvent, PartitionStart, PollLimits, Record, RecordBatch, StartOffset, TopicPartition,
};
use serde_json::Value;

/// The input topics.
pub(crate) const INPUTS: [&str; 5] = ["dealers", "deals", "inventory", "leads", "reps"];
/// The output topics.
const OUTPUTS: [&str; 5] = ["anomalies", "customer-segments", "dead-letters", "lead-assignments", "team-status"];
/// How long a partition may give nothing before its end.
const PATIENCE_POLLS: usize = 60;

/// Lines and how often each is there.
pub(crate) type Lines = BTreeMap<(String, Vec<u8>), u64>;

/// What the checks counted.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) epochs: usize,
    /// Runs that recorded an epoch.
    pub(crate) incarnations: usize,
    pub(crate) records: u64,
    /// The lines of the input topics.
    pub(crate) lines: Lines,
}

/// Reads a whole log and asserts that its epochs account for every record of it, once.
pub(crate) fn assert_bound(log: &dyn Log) -> Bound {
    let mut lines = Lines::new();
    let mut offsets: BTreeMap<(String, u64), Vec<u64>> = BTreeMap::new();
    for topic in INPUTS {
        for partition in partitions(log, topic) {
            offsets.insert((topic.to_owned(), u64::from(partition)), Vec::new());
        }
    }
    read(log, &INPUTS, |topic, partition, record| {
        offsets.get_mut(&(topic.to_owned(), partition)).unwrap().push(record.offset);
        *lines.entry((topic.to_owned(), record.body.payload.unwrap_or_default().to_vec())).or_default() += 1;
    });
    let mut epochs = Vec::new();
    read(log, &["epochs"], |_, _, record| {
        let event: Value = serde_json::from_slice(record.body.payload.unwrap()).unwrap();
        epochs.push(event["data"].clone());
    });
    let records = assert_tiled(&epochs, &offsets);
    assert_messages(log, &epochs);
    let mut incarnations: Vec<u64> = epochs.iter().map(|epoch| epoch["incarnation"].as_u64().unwrap()).collect();
    assert!(incarnations.is_sorted(), "a later run stands before an earlier one: {incarnations:?}");
    incarnations.dedup();
    Bound { epochs: epochs.len(), incarnations: incarnations.len(), records, lines }
}

/// Number of records in all ranges.
fn assert_tiled(epochs: &[Value], offsets: &BTreeMap<(String, u64), Vec<u64>>) -> u64 {
    let mut positions: BTreeMap<(String, u64), u64> = BTreeMap::new();
    let mut previous = None;
    let mut total = 0;
    for epoch in epochs {
        let number = epoch["epoch"].as_i64().unwrap();
        assert_eq!(epoch["previous"].as_i64(), previous, "epoch {number} does not follow the one before it");
        assert!(previous.is_none_or(|previous| previous < number), "epoch {number} is not behind {previous:?}");
        previous = Some(number);
        let mut records = 0;
        for range in epoch["inputs"].as_array().unwrap() {
            let partition = (range["topic"].as_str().unwrap().to_owned(), range["partition"].as_u64().unwrap());
            let (first, next) = (range["first"].as_u64().unwrap(), range["next"].as_u64().unwrap());
            let position = positions.insert(partition.clone(), next).unwrap_or(0);
            assert_eq!(first, position, "epoch {number}: {partition:?} has a gap, or records that were bound before");
            let own = &offsets[&partition];
            let within = own.partition_point(|offset| *offset < next) - own.partition_point(|offset| *offset < first);
            assert!(within > 0, "epoch {number} holds an empty range of {partition:?}");
            records += within as u64;
        }
        assert_eq!(epoch["records"].as_u64(), Some(records), "records of epoch {number}");
        total += records;
    }
    for (partition, own) in offsets {
        let end = own.last().map_or(0, |last| last + 1);
        let bound = positions.get(partition).copied().unwrap_or(0);
        assert_eq!(bound, end, "{partition:?} is bound up to {bound} and ends at {end}");
    }
    total
}

/// Every message of an output topic belongs to an epoch, and every epoch has those that it says.
fn assert_messages(log: &dyn Log, epochs: &[Value]) {
    let mut said = BTreeMap::new();
    for epoch in epochs {
        for output in epoch["outputs"].as_array().unwrap() {
            let topic = output["topic"].as_str().unwrap().to_owned();
            assert!(OUTPUTS.contains(&topic.as_str()), "{topic} is no output topic");
            let key = (topic, output["partition"].as_u64().unwrap(), epoch["epoch"].as_i64().unwrap());
            said.insert(key, output["count"].as_u64().unwrap());
        }
    }
    let mut found: BTreeMap<(String, u64, i64), u64> = BTreeMap::new();
    let mut last: BTreeMap<(String, u64), i64> = BTreeMap::new();
    read(log, &OUTPUTS, |topic, partition, record| {
        let epoch = record.body.headers.last("epoch").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let epoch: i64 = epoch.expect("a message names its epoch");
        let before = last.insert((topic.to_owned(), partition), epoch);
        assert!(before <= Some(epoch), "epoch {epoch} stands behind {before:?} in {topic}/{partition}");
        *found.entry((topic.to_owned(), partition, epoch)).or_default() += 1;
    });
    assert_eq!(found, said, "messages by topic, partition and epoch: found, and as recorded");
}

/// Records that the input topics hold: nobody writes them in transactions, so offsets are consecutive.
pub(crate) fn input_records(log: &dyn Log) -> u64 {
    let mut admin = log.admin().unwrap();
    let found = INPUTS.map(|topic| admin.describe_topic(topic).unwrap().unwrap());
    found.iter().flat_map(|topic| &topic.partitions).map(|bounds| bounds.end - bounds.earliest).sum()
}

fn partitions(log: &dyn Log, topic: &str) -> std::ops::Range<u32> {
    let found = log.admin().unwrap().describe_topic(topic).unwrap();
    0..found.unwrap_or_else(|| panic!("{topic} is missing")).partitions.len() as u32
}

/// Reads every partition of some topics from its beginning to its end; each gets the topic, the partition and the record.
fn read(log: &dyn Log, topics: &[&str], mut each: impl FnMut(&str, u64, Record<'_>)) {
    let mut reader = log.reader("chaos").unwrap();
    let mut starts = Vec::new();
    for topic in topics {
        starts.extend(partitions(log, topic).map(|partition| {
            let topic_partition = TopicPartition::new(*topic, partition);
            PartitionStart { topic_partition, from: StartOffset::Earliest, topic_id: None }
        }));
    }
    reader.assign(&starts).unwrap();
    let mut batch = RecordBatch::new();
    let (mut ended, mut waited) = (BTreeSet::new(), 0);
    while ended.len() < starts.len() {
        reader.poll(Duration::from_millis(500), PollLimits::default(), &mut batch).unwrap();
        for (slot, record) in batch.records() {
            let partition = &starts[slot.index()].topic_partition;
            each(&partition.topic, u64::from(partition.partition), record);
        }
        ended.extend(batch.events().iter().map(|PartitionEvent::ReachedEnd { slot }| *slot));
        waited = if batch.is_empty() { waited + 1 } else { 0 };
        assert!(waited < PATIENCE_POLLS, "{topics:?} do not come to their ends");
    }
}
