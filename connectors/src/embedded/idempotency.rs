//! The idempotency keys of appends: a bounded memory in the store, written in the same batch as the records.
//!
//! ```text
//!  k + key          ─► places of the records
//!  s + sequence BE  ─► key                     the oldest goes when there are too many
//! ```

use fjall::{Keyspace, OwnedWriteBatch};

use crate::log::{Appended, AppendedRange, TopicPartition};

/// What of the memory is kept outside the store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdempotencyWindow {
    pub(super) first: u64,
    pub(super) next: u64,
}

fn sequence_key(sequence: u64) -> [u8; 9] {
    let mut key = [b's'; 9];
    key[1..].copy_from_slice(&sequence.to_be_bytes());
    key
}

fn answer_key(key: &[u8]) -> Vec<u8> {
    [b"k", key].concat()
}

impl IdempotencyWindow {
    /// The window that the store holds.
    pub(super) fn recover(keyspace: &Keyspace) -> fjall::Result<Self> {
        let sequence = |guard: Option<fjall::Guard>| -> fjall::Result<Option<u64>> {
            let Some(guard) = guard else { return Ok(None) };
            let key = guard.key()?;
            Ok(key.get(1..9).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes))
        };
        let first = sequence(keyspace.prefix(b"s").next())?.unwrap_or_default();
        let next = sequence(keyspace.prefix(b"s").next_back())?.map_or(first, |last| last + 1);
        Ok(Self { first, next })
    }

    /// The answer that was given under `key`, if it is still remembered.
    pub(super) fn find(keyspace: &Keyspace, key: &[u8]) -> fjall::Result<Option<Appended>> {
        Ok(keyspace.get(answer_key(key))?.and_then(|bytes| decode(&bytes)))
    }

    /// Adds an answer to the batch, and takes out the oldest ones beyond `keys_max`. The window as it will be once the batch
    /// is committed.
    pub(super) fn remember(
        mut self,
        keyspace: &Keyspace,
        batch: &mut OwnedWriteBatch,
        keys_max: u64,
        key: &[u8],
        appended: &Appended,
    ) -> fjall::Result<Self> {
        batch.insert(keyspace, answer_key(key), encode(appended));
        batch.insert(keyspace, sequence_key(self.next), key);
        self.next += 1;
        while self.next - self.first > keys_max.max(1) {
            let oldest = sequence_key(self.first);
            if let Some(key) = keyspace.get(oldest)? {
                batch.remove(keyspace, answer_key(&key));
                batch.remove(keyspace, oldest);
            }
            self.first += 1;
        }
        Ok(self)
    }
}

fn encode(appended: &Appended) -> Vec<u8> {
    let mut bytes = Vec::new();
    for range in &appended.ranges {
        bytes.extend_from_slice(&(range.topic_partition.topic.len() as u16).to_le_bytes());
        bytes.extend_from_slice(range.topic_partition.topic.as_bytes());
        bytes.extend_from_slice(&range.topic_partition.partition.to_le_bytes());
        bytes.extend_from_slice(&range.offset_first.to_le_bytes());
        bytes.extend_from_slice(&range.offset_last.to_le_bytes());
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<Appended> {
    let mut appended = Appended { ranges: Vec::new(), repeated: true };
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (topic, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (partition, rest) = rest.split_first_chunk::<4>()?;
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (last, rest) = rest.split_first_chunk::<8>()?;
        let topic_partition = TopicPartition::new(std::str::from_utf8(topic).ok()?, u32::from_le_bytes(*partition));
        appended.ranges.push(AppendedRange {
            topic_partition,
            offset_first: u64::from_le_bytes(*first),
            offset_last: u64::from_le_bytes(*last),
        });
        bytes = rest;
    }
    Some(appended)
}
