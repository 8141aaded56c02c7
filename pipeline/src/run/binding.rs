//! Bindings: which input an epoch holds and what came of it, as recorded on topic `epochs`.
//!
//! ```text
//!   epoch 150 { previous 100, leads/0 [10, 25), deals/1 [7, 9), dead-letters/0: 3 messages, checksum }
//!   epoch 200 { previous 150, leads/0 [25, 26) … }            ranges tile each partition, epochs form one chain
//! ```
//! `epochs` is the sole authority on what was done: a restart feeds the recorded ranges again and must get the recorded checksums.

use std::collections::BTreeMap;

use operators::domain::event::Topic;
use operators::domain::time::format_rfc3339;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// Version of the record's form.
pub const BINDING_FORMAT: u32 = 1;

/// A partition of an input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InputPartition {
    /// The topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: u32,
}

impl std::fmt::Display for InputPartition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.topic.name(), self.partition)
    }
}

/// The offsets of one partition that belong to an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRange {
    /// Name of the input topic.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// First offset.
    pub first: u64,
    /// Offset after the last.
    pub next: u64,
}

impl InputRange {
    /// The partition, if the topic is one of ours.
    pub fn input_partition(&self) -> Option<InputPartition> {
        let topic = Topic::ALL.into_iter().find(|topic| topic.name() == self.topic)?;
        Some(InputPartition { topic, partition: self.partition })
    }
}

/// What an epoch wrote to one partition of an output topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSum {
    /// Name of the output topic.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Messages.
    pub count: u64,
    /// [`MessageSum`] of them in their order, as 16 hexadecimal digits.
    pub checksum: String,
}

/// One epoch's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Default))]
pub struct Binding {
    /// [`BINDING_FORMAT`].
    pub format: u32,
    /// Number of the run that wrote it, counted from 1 over all restarts.
    pub incarnation: u64,
    /// The epoch, in UTC milliseconds.
    pub epoch: i64,
    /// The epoch before; none for the first.
    pub previous: Option<i64>,
    /// The ranges of every input partition that moved, by topic and partition.
    pub inputs: Vec<InputRange>,
    /// Partitions that were silent for so long that they hold no watermark back, as `topic/partition`.
    pub idle: Vec<String>,
    /// Records in the ranges.
    pub records: u64,
    /// Records that had expired before their partition was ever read, where there are such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<InputRange>,
    /// What was written, by topic and partition.
    pub outputs: Vec<OutputSum>,
    /// How many partitions each output topic had, where that is known: fed again, its messages go to the same ones.
    #[serde(default)]
    pub output_partitions: BTreeMap<String, u32>,
    /// Fingerprint of the settings that decide results.
    pub settings: String,
    /// Version of the logic.
    pub logic: String,
}

/// The CloudEvents type of a binding.
pub const EPOCH_BOUND: &str = "epoch.bound";

/// A binding as the `CloudEvent` on topic `epochs`.
#[derive(Debug, Serialize, Deserialize)]
struct BindingEvent {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    time: String,
    data: Binding,
}

/// Why a record of `epochs` cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// It is no binding.
    #[error(
        "the record at offset {offset} of topic `epochs` is no binding: {reason}; restore the topic, or start a pipeline of another name"
    )]
    Unreadable {
        /// Its offset.
        offset: u64,
        /// What the reader said.
        reason: String,
    },
    /// A later version wrote it.
    #[error(
        "epoch {epoch} was recorded in form {format}, and this version reads forms up to {BINDING_FORMAT}: start a newer version"
    )]
    Format {
        /// The epoch.
        epoch: i64,
        /// Its form.
        format: u32,
    },
    /// The chain of epochs is broken.
    #[error(
        "epoch {epoch} says that epoch {said:?} came before it, but {found:?} did: records of topic `epochs` are missing or foreign"
    )]
    Chain {
        /// The epoch.
        epoch: i64,
        /// What it says.
        said: Option<i64>,
        /// What came before.
        found: Option<i64>,
    },
    /// A partition's ranges leave a gap or overlap.
    #[error(
        "epoch {epoch} begins at offset {first} of {partition}, but {expected} was next: input is missing or bound twice"
    )]
    Tile {
        /// The epoch.
        epoch: i64,
        /// The partition.
        partition: String,
        /// Where its range begins.
        first: u64,
        /// Where it should.
        expected: u64,
    },
    /// A run wrote after a later one had begun.
    #[error("epoch {epoch} was written by run {incarnation} after run {later} had begun: two instances wrote at once")]
    Incarnation {
        /// The epoch.
        epoch: i64,
        /// Its run.
        incarnation: u64,
        /// The run before it.
        later: u64,
    },
}

impl Binding {
    /// The record's bytes, for a pipeline's `epochs` topic.
    pub fn to_bytes(&self, pipeline: &str) -> Vec<u8> {
        let event = BindingEvent {
            specversion: "1.0".into(),
            id: self.epoch.to_string(),
            source: format!("/pipelines/{pipeline}"),
            event_type: EPOCH_BOUND.into(),
            time: format_rfc3339(self.epoch),
            data: self.clone(),
        };
        // Strings and numbers alone: nothing in it can fail to be written.
        serde_json::to_vec(&event).unwrap_or_default()
    }

    /// Reads a record's bytes.
    ///
    /// # Errors
    /// If they are no binding, or of a form that this version does not know.
    pub fn from_bytes(offset: u64, bytes: &[u8]) -> Result<Self, BindingError> {
        let event: BindingEvent = serde_json::from_slice(bytes)
            .map_err(|error| BindingError::Unreadable { offset, reason: error.to_string() })?;
        if event.data.format != BINDING_FORMAT {
            return Err(BindingError::Format { epoch: event.data.epoch, format: event.data.format });
        }
        for range in &event.data.inputs {
            if range.input_partition().is_none() || range.next < range.first {
                let reason = format!("it names {}/{} [{}, {})", range.topic, range.partition, range.first, range.next);
                return Err(BindingError::Unreadable { offset, reason });
            }
        }
        Ok(event.data)
    }
}

/// Where a chain of bindings stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPosition {
    /// The last epoch.
    pub epoch: Option<i64>,
    /// The run that wrote it.
    pub incarnation: u64,
    /// The next offset of every partition that ever moved.
    pub positions: BTreeMap<String, u64>,
}

impl ChainPosition {
    /// Follows one more binding.
    ///
    /// # Errors
    /// If it does not fit behind the ones before; then nothing has changed.
    pub fn follow(&mut self, binding: &Binding) -> Result<(), BindingError> {
        let epoch = binding.epoch;
        if binding.previous != self.epoch || self.epoch.is_some_and(|last| epoch <= last) {
            return Err(BindingError::Chain { epoch, said: binding.previous, found: self.epoch });
        }
        if binding.incarnation < self.incarnation {
            let (incarnation, later) = (binding.incarnation, self.incarnation);
            return Err(BindingError::Incarnation { epoch, incarnation, later });
        }
        let name = |range: &InputRange| format!("{}/{}", range.topic, range.partition);
        for range in &binding.inputs {
            // A partition's first range begins wherever its log did.
            if let Some(expected) = self.positions.get(&name(range)).copied().filter(|next| *next != range.first) {
                return Err(BindingError::Tile { epoch, partition: name(range), first: range.first, expected });
            }
        }
        for range in &binding.inputs {
            self.positions.insert(name(range), range.next);
        }
        self.epoch = Some(epoch);
        self.incarnation = binding.incarnation;
        Ok(())
    }

    /// The next offset of a partition, if it ever moved.
    pub fn next_offset(&self, partition: InputPartition) -> Option<u64> {
        self.positions.get(&partition.to_string()).copied()
    }
}

/// Checksum of messages in their order: XXH3 over key, headers and payload, each led by its length.
#[derive(Clone, Default)]
pub struct MessageSum {
    hasher: Xxh3,
    count: u64,
}

impl MessageSum {
    /// Adds a message.
    pub fn add<'a>(&mut self, key: &[u8], headers: impl Iterator<Item = (&'a str, &'a [u8])>, payload: &[u8]) {
        let mut part = |bytes: &[u8]| {
            self.hasher.update(&(bytes.len() as u64).to_le_bytes());
            self.hasher.update(bytes);
        };
        part(key);
        part(payload);
        for (name, value) in headers {
            part(name.as_bytes());
            part(value);
        }
        self.hasher.update(&[0xff]);
        self.count += 1;
    }

    /// Messages so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The checksum, as 16 hexadecimal digits.
    pub fn checksum(&self) -> String {
        format!("{:016x}", self.hasher.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(epoch: i64, previous: Option<i64>, first: u64, next: u64) -> Binding {
        Binding {
            format: BINDING_FORMAT,
            incarnation: 1,
            epoch,
            previous,
            inputs: vec![InputRange { topic: "leads".into(), partition: 0, first, next }],
            idle: vec!["deals/1".into()],
            records: next - first,
            skipped: Vec::new(),
            outputs: Vec::new(),
            output_partitions: BTreeMap::new(),
            settings: "s".into(),
            logic: "l".into(),
        }
    }

    #[test]
    fn a_binding_is_read_as_it_was_written() {
        let mut binding = binding(150, Some(100), 3, 9);
        binding.outputs.push(OutputSum {
            topic: "dead-letters".into(),
            partition: 2,
            count: 4,
            checksum: "00000000000000ff".into(),
        });
        let bytes = binding.to_bytes("shop");
        assert_eq!(Binding::from_bytes(0, &bytes), Ok(binding));
        assert!(String::from_utf8_lossy(&bytes).contains(r#""source":"/pipelines/shop""#));
        assert!(matches!(Binding::from_bytes(7, b"{}"), Err(BindingError::Unreadable { offset: 7, .. })));
    }

    #[test]
    fn a_chain_refuses_gaps_overlaps_and_strangers() {
        let mut chain = ChainPosition::default();
        chain.follow(&binding(100, None, 5, 7)).unwrap();
        chain.follow(&binding(150, Some(100), 7, 9)).unwrap();
        assert_eq!(chain.positions.get("leads/0"), Some(&9));
        let kept = chain.clone();
        assert!(matches!(chain.follow(&binding(200, Some(100), 9, 10)), Err(BindingError::Chain { .. })));
        assert!(matches!(chain.follow(&binding(150, Some(150), 9, 10)), Err(BindingError::Chain { .. })));
        assert!(matches!(chain.follow(&binding(200, Some(150), 8, 10)), Err(BindingError::Tile { expected: 9, .. })));
        assert!(matches!(chain.follow(&binding(200, Some(150), 10, 11)), Err(BindingError::Tile { .. })));
        let foreign = Binding { incarnation: 0, ..binding(200, Some(150), 9, 10) };
        assert!(matches!(chain.follow(&foreign), Err(BindingError::Incarnation { .. })));
        assert_eq!(chain, kept);
    }

    #[test]
    fn a_checksum_knows_order_and_bounds() {
        let sum = |messages: &[(&str, &str)]| {
            let mut sum = MessageSum::default();
            for (key, payload) in messages {
                sum.add(key.as_bytes(), [("epoch", b"1".as_slice())].into_iter(), payload.as_bytes());
            }
            sum.checksum()
        };
        assert_ne!(sum(&[("a", "b"), ("c", "d")]), sum(&[("c", "d"), ("a", "b")]));
        assert_ne!(sum(&[("ab", "c")]), sum(&[("a", "bc")]));
        assert_eq!(sum(&[("a", "b")]).len(), 16);
    }
}
