//! Reading partitions at exact positions.
//!
//! ```text
//!  assign [(leads/0, at 17), (leads/1, earliest)]      slot 0, slot 1
//!  poll ─► batch: slot 0: 17 18 21 | slot 1: 0 1 2     records of one partition stay in order
//!          events: slot 1 reached its end
//!  poll ─► Err(offset out of range, leads/0)           that partition stopped; the others go on with the next poll
//! ```

use std::time::Duration;

use super::admin::TopicId;
use super::body::{Bodies, Body, Header};
use super::error::LogError;
use super::limits::PollLimits;
use super::record::{Record, TopicPartition};

/// A reader of explicitly assigned partitions; read committed, always.
pub trait LogReader: Send {
    /// Reads these partitions and no others, from these positions. The slot of a partition is its index in `starts`.
    ///
    /// Records fetched for an earlier assignment are dropped. A log may find out that a topic is missing or an offset gone only
    /// at a later poll.
    ///
    /// # Errors
    /// If the topic is missing or is not the one that `starts` names, or a partition is named twice.
    fn assign(&mut self, starts: &[PartitionStart]) -> Result<(), LogError>;

    /// Reads these partitions too; their slots follow those given before, whose reading is not disturbed.
    ///
    /// # Errors
    /// As [`LogReader::assign`].
    fn assign_more(&mut self, starts: &[PartitionStart]) -> Result<(), LogError>;

    /// Fills `batch`, which is emptied first, with what can be read now, and waits up to `timeout` if that is nothing.
    ///
    /// Returns early with fewer records than `limits` allows rather than wait for more. Within a partition records come in
    /// the order of their offsets, each once, none left out. What was read before an error was met is handed out first: the
    /// error comes with the next poll.
    ///
    /// # Errors
    /// If a partition can not be read further ([`LogError::OffsetOutOfRange`], [`LogError::TopicMissing`],
    /// [`LogError::TopicRecreated`]): it is paused, and the next poll goes on with the others. If the log is out of reach or
    /// refuses: while [`LogError::is_retriable`], polling again goes on where it stopped, with nothing lost or repeated.
    fn poll(&mut self, timeout: Duration, limits: PollLimits, batch: &mut RecordBatch) -> Result<(), LogError>;

    /// Hands out nothing more of these partitions until they are resumed. What was fetched ahead may be fetched again, so
    /// the cheap way to slow a reader is to poll it less; this is for one partition that runs ahead of the others.
    ///
    /// # Errors
    /// If a slot was never assigned.
    fn pause(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError>;

    /// Ends [`LogReader::pause`]; goes on exactly behind the last record handed out.
    ///
    /// # Errors
    /// As [`LogReader::pause`].
    fn resume(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError>;

    /// What is known of a partition without asking the log. Its bounds are refreshed while polls are made, about every second.
    /// `None` if the slot was never assigned.
    fn progress(&self, slot: PartitionSlot) -> Option<PartitionProgress>;
}

/// A partition by its number in the reader's assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionSlot(pub u32);

impl PartitionSlot {
    /// The number as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where to begin in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStart {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The first offset wanted.
    pub from: StartOffset,
    /// The topic that the offset belongs to: if the log knows topic ids and finds another, the topic was recreated. `None`
    /// accepts whatever topic has the name.
    pub topic_id: Option<TopicId>,
}

/// The first offset wanted of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartOffset {
    /// The earliest that is still there: for partitions that were never read.
    Earliest,
    /// This one, or the first after it if it holds no readable record. If the partition begins later, that is
    /// [`LogError::OffsetOutOfRange`]; if it ends earlier, [`LogError::TopicRecreated`].
    At(u64),
}

/// Something about a partition that is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionEvent {
    /// Every record that was readable at some moment since this partition was assigned (or since its last record was handed
    /// out) has been handed out, those of this batch included. Told again each time the end is reached anew.
    ReachedEnd {
        /// The partition.
        slot: PartitionSlot,
    },
}

/// How far a reader is in a partition, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionProgress {
    /// The offset behind the last record handed out, or where reading began; `None` for a start at the earliest offset of which
    /// no record was read yet.
    pub position: Option<u64>,
    /// True while everything readable, as far as known, has been handed out.
    pub at_end: bool,
    /// The offset behind the last settled record: what is at or behind it waits for an open transaction.
    pub stable_end: Option<u64>,
    /// The offset behind the last record, settled or not.
    pub end: Option<u64>,
    /// True while paused.
    pub paused: bool,
}

impl PartitionProgress {
    /// True if there are records that only an open transaction of some producer keeps from being read. For how long, the caller
    /// knows: it has the clock.
    pub fn is_stalled(&self) -> bool {
        self.at_end && matches!((self.stable_end, self.end), (Some(stable_end), Some(end)) if stable_end < end)
    }

    /// How many offsets lie between the position and the end, if both are known.
    pub fn lag(&self) -> Option<u64> {
        if self.at_end && self.stable_end == self.end {
            return Some(0);
        }
        Some(self.end?.saturating_sub(self.position?))
    }
}

/// Records of some partitions in one buffer, with what happened to the partitions; reused from poll to poll.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    partitions: Vec<TopicPartition>,
    entries: Vec<Entry>,
    bodies: Bodies,
    events: Vec<PartitionEvent>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: PartitionSlot,
    offset: u64,
    timestamp_ms: i64,
}

impl RecordBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The records held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if no record is held; there may be events.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all bodies.
    pub fn bytes(&self) -> usize {
        self.bodies.bytes()
    }

    /// What happened to partitions, in order.
    pub fn events(&self) -> &[PartitionEvent] {
        &self.events
    }

    /// The records with the slots of their partitions. Those of one partition are in the order of their offsets; partitions
    /// may be mixed.
    pub fn records(&self) -> impl ExactSizeIterator<Item = (PartitionSlot, Record<'_>)> {
        self.entries.iter().enumerate().map(|(index, entry)| {
            let topic_partition = &self.partitions[entry.slot.index()];
            let body = self.bodies.get(index).unwrap_or_else(|| unreachable!("each entry has its body"));
            let Entry { slot, offset, timestamp_ms } = *entry;
            (slot, Record { topic_partition, offset, timestamp_ms, body })
        })
    }

    /// For logs: empties the batch for an assignment of `partitions`, by slot, and keeps the memory.
    pub fn begin(&mut self, partitions: &[TopicPartition]) {
        if self.partitions != partitions {
            self.partitions.clear();
            self.partitions.extend_from_slice(partitions);
        }
        self.entries.clear();
        self.bodies.clear();
        self.events.clear();
    }

    /// For logs: adds a record.
    ///
    /// # Panics
    /// If the slot is outside the partitions that the batch was begun with, or the batch would hold 4 GiB.
    pub fn push<'h>(
        &mut self,
        slot: PartitionSlot,
        offset: u64,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>>,
    ) {
        assert!(slot.index() < self.partitions.len(), "a slot belongs to the batch's assignment");
        self.bodies.push(key, payload, headers);
        self.entries.push(Entry { slot, offset, timestamp_ms });
    }

    /// For logs: adds a record whose body lies in another buffer.
    ///
    /// # Panics
    /// As [`RecordBatch::push`].
    pub fn push_body(&mut self, slot: PartitionSlot, offset: u64, timestamp_ms: i64, body: Body<'_>) {
        assert!(slot.index() < self.partitions.len(), "a slot belongs to the batch's assignment");
        self.bodies.push_body(body);
        self.entries.push(Entry { slot, offset, timestamp_ms });
    }

    /// For logs: adds an event.
    pub fn push_event(&mut self, event: PartitionEvent) {
        self.events.push(event);
    }

    /// For logs: true while another record may be added under `limits`.
    pub fn has_room(&self, limits: PollLimits) -> bool {
        self.entries.len() < limits.records_max && (self.entries.is_empty() || self.bodies.bytes() < limits.bytes_max)
    }
}
