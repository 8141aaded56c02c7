//! Reading blocks, record by record, up to what is durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::block::{BlockCursor, block_head};
use super::store::Store;
use crate::log::{
    LogError, LogReader, PartitionBounds, PartitionEvent, PartitionProgress, PartitionSlot, PartitionStart, PollLimits,
    RecordBatch, RecreationSign, StartOffset, TopicId, TopicPartition,
};

/// A reader of an embedded log.
pub struct EmbeddedReader {
    store: Arc<Store>,
    partitions: Vec<TopicPartition>,
    slots: Vec<Slot>,
    /// The slot whose turn is next.
    turn: usize,
    error: Option<LogError>,
}

struct Slot {
    number: u32,
    topic_id: TopicId,
    position: u64,
    /// The block that holds the position, if it was begun.
    block: Option<OpenBlock>,
    /// True once the end was told and nothing was read since.
    told_end: bool,
    paused: bool,
    failed: bool,
}

struct OpenBlock {
    bytes: fjall::UserValue,
    end: u64,
    cursor: BlockCursor,
}

impl EmbeddedReader {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, partitions: Vec::new(), slots: Vec::new(), turn: 0, error: None }
    }

    fn slot(&self, start: &PartitionStart) -> Result<Slot, LogError> {
        let partition = &start.topic_partition;
        let (number, found) = {
            let writer = self.store.writer();
            (writer.catalog.number(partition)?, TopicId(writer.catalog.topic(&partition.topic)?.id))
        };
        if let Some(expected) = start.topic_id.filter(|expected| *expected != found) {
            let sign = RecreationSign::Id { expected, found };
            return Err(LogError::TopicRecreated { topic: partition.topic.to_string(), sign });
        }
        let position = match start.from {
            StartOffset::Earliest => self.store.bounds(number).map_or(0, |bounds| bounds.earliest),
            StartOffset::At(offset) => offset,
        };
        Ok(Slot { number, topic_id: found, position, block: None, told_end: false, paused: false, failed: false })
    }

    /// The bounds of a slot's partition, once it is sure that its position lies within them.
    fn checked_bounds(&self, index: usize) -> Result<PartitionBounds, LogError> {
        let (slot, partition) = (&self.slots[index], &self.partitions[index]);
        let position = slot.position;
        let Some(bounds) = self.store.bounds(slot.number) else {
            let found = TopicId(self.store.writer().catalog.topic(&partition.topic)?.id);
            let sign = RecreationSign::Id { expected: slot.topic_id, found };
            return Err(LogError::TopicRecreated { topic: partition.topic.to_string(), sign });
        };
        if position < bounds.earliest {
            let (earliest, latest) = (bounds.earliest, bounds.end);
            return Err(LogError::OffsetOutOfRange { partition: partition.clone(), position, earliest, latest });
        }
        if position > bounds.end {
            let sign =
                RecreationSign::EndBehindPosition { partition: partition.partition, position, latest: bounds.end };
            return Err(LogError::TopicRecreated { topic: partition.topic.to_string(), sign });
        }
        Ok(bounds)
    }

    /// Hands out what a slot has, until the batch is full or the end is reached.
    fn drain(&mut self, index: usize, limits: PollLimits, batch: &mut RecordBatch) -> Result<(), LogError> {
        let end = self.checked_bounds(index)?.end;
        let store = &self.store;
        let slot = &mut self.slots[index];
        let slot_number = PartitionSlot(index as u32);
        while slot.position < end && batch.has_room(limits) {
            let damaged = || store.damaged(format!("offset {} of {}", slot.position, self.partitions[index]));
            let open = match &mut slot.block {
                Some(open) => open,
                none => {
                    let (base, bytes) = store.block_at(slot.number, slot.position)?.ok_or_else(damaged)?;
                    let block_end = base + u64::from(block_head(&bytes).ok_or_else(damaged)?.records);
                    let mut cursor = BlockCursor::start();
                    for _ in base..slot.position {
                        cursor.next(&bytes).ok_or_else(damaged)?;
                    }
                    if slot.position >= block_end {
                        return Err(damaged());
                    }
                    none.insert(OpenBlock { bytes, end: block_end, cursor })
                }
            };
            while slot.position < open.end && batch.has_room(limits) {
                let (timestamp_ms, body) = open
                    .cursor
                    .next(&open.bytes)
                    .ok_or_else(|| store.damaged(format!("offset {} of {}", slot.position, self.partitions[index])))?;
                batch.push_body(slot_number, slot.position, timestamp_ms, body);
                slot.position += 1;
                slot.told_end = false;
            }
            if slot.position == open.end {
                slot.block = None;
            }
        }
        if slot.position == end && !slot.told_end {
            slot.told_end = true;
            batch.push_event(PartitionEvent::ReachedEnd { slot: slot_number });
        }
        Ok(())
    }

    fn drain_all(&mut self, limits: PollLimits, batch: &mut RecordBatch) {
        for step in 0..self.slots.len() {
            let index = (self.turn + step) % self.slots.len();
            if self.slots[index].paused || self.slots[index].failed {
                continue;
            }
            if let Err(error) = self.drain(index, limits, batch) {
                self.slots[index].failed = true;
                self.error = Some(error);
                return;
            }
            if !batch.has_room(limits) {
                // The one that filled the batch has had its turn.
                self.turn = (index + 1) % self.slots.len();
                return;
            }
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

impl LogReader for EmbeddedReader {
    fn assign(&mut self, starts: &[PartitionStart]) -> Result<(), LogError> {
        self.slots.clear();
        self.partitions.clear();
        self.turn = 0;
        self.error = None;
        self.assign_more(starts)
    }

    fn assign_more(&mut self, starts: &[PartitionStart]) -> Result<(), LogError> {
        for (index, start) in starts.iter().enumerate() {
            let partition = &start.topic_partition;
            if self.partitions.contains(partition)
                || starts[..index].iter().any(|other| other.topic_partition == *partition)
            {
                return Err(LogError::Misuse { what: format!("{partition} is assigned twice") });
            }
        }
        let slots = starts.iter().map(|start| self.slot(start)).collect::<Result<Vec<_>, _>>()?;
        self.slots.extend(slots);
        self.partitions.extend(starts.iter().map(|start| start.topic_partition.clone()));
        Ok(())
    }

    fn poll(&mut self, timeout: Duration, limits: PollLimits, batch: &mut RecordBatch) -> Result<(), LogError> {
        batch.begin(&self.partitions);
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let deadline = Instant::now() + timeout;
        loop {
            let changes = self.store.changes();
            self.drain_all(limits, batch);
            if !batch.is_empty() || !batch.events().is_empty() {
                return Ok(());
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.store.wait(changes, left);
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
        let bounds = self.store.bounds(held.number)?;
        Some(PartitionProgress {
            position: Some(held.position),
            at_end: held.told_end && held.position == bounds.end,
            stable_end: Some(bounds.stable_end),
            end: Some(bounds.end),
            paused: held.paused,
        })
    }
}
