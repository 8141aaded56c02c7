//! From the log to the workers: polls, cuts what was polled into chunks, closes epochs.
//!
//! ```text
//!   reader.poll ─▶ one chunk per partition (cut where recorded epochs end) ─▶ the partition's worker
//!   source.close ─▶ Feed::Close to every worker, and the whole Close to the committer
//! ```
//! One thread calls [`Feeder::step`] again and again; the simulation calls the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use connectors::log::{
    LogError, LogReader, PartitionSlot, PartitionStart, PollLimits, RecordBatch, StartOffset, TopicPartition,
};
use operators::domain::batch::{RawBytes, Span};
use operators::domain::event_time::event_time_of;
use operators::domain::shards::{Barrier, ShardRange};

use super::binding::InputPartition;
use super::clock::{ClockError, Reading};
use super::records::{ChunkRecord, EpochEnds, RecordChunk};
use super::recovery::Start;
use super::source::{Close, Polled, Source};

/// Where a feeder's results go.
pub trait FeedSink {
    /// Hands records to the worker that parses them: a number among all workers of all processes.
    fn feed(&mut self, worker: usize, chunk: RecordChunk);
    /// Tells every worker of an epoch whose records were all handed over.
    fn bind(&mut self, ends: EpochEnds);
    /// Tells the committer of an epoch and, if they are kept, its records; called before the workers hear of it.
    fn closed(&mut self, close: Close, records: Vec<RecordChunk>);
    /// Asked at each new epoch: the shards to write whole, if the state behind it is to be written down.
    fn snapshot_wanted(&mut self) -> Option<ShardRange> {
        None
    }
}

/// Why feeding cannot go on, or not now.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The clock cannot be trusted.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

impl FeedError {
    /// When the next step may succeed without anyone mending anything; `None` if it will not.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            FeedError::Log(error) => error.retry_after(),
            FeedError::Clock(_) => None,
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Records handed on.
    pub records: u64,
    /// Epochs closed.
    pub epochs: u64,
    /// Whether the window was full, so that nothing was polled: come back when results are settled.
    pub full: bool,
}

/// Reads the log for all workers.
pub struct Feeder {
    reader: Box<dyn LogReader>,
    source: Source,
    /// By slot of the reader's assignment.
    partitions: Vec<InputPartition>,
    paused: Vec<bool>,
    /// Offsets where recorded epochs end, by slot.
    ends: Vec<VecDeque<u64>>,
    chunks: BTreeMap<PartitionSlot, RecordChunk>,
    batch: RecordBatch,
    limits: PollLimits,
    peers: usize,
    /// What was handed on and belongs to no epoch yet, if records are kept for the archive.
    kept: Option<BTreeMap<InputPartition, VecDeque<RecordChunk>>>,
}

impl Feeder {
    /// A feeder for `peers` workers that reads from `starts`.
    ///
    /// # Errors
    /// If the log does not give the partitions.
    pub fn new(
        reader: Box<dyn LogReader>,
        source: Source,
        starts: &[Start],
        peers: usize,
        limits: PollLimits,
        now: Reading,
    ) -> Result<Self, LogError> {
        let mut feeder = Feeder {
            reader,
            source,
            partitions: Vec::new(),
            paused: Vec::new(),
            ends: Vec::new(),
            chunks: BTreeMap::new(),
            batch: RecordBatch::new(),
            limits,
            peers: peers.max(1),
            kept: None,
        };
        feeder.add_partitions(starts, now)?;
        Ok(feeder)
    }

    /// Keeps records until their epoch is closed, and hands them over with it.
    #[must_use]
    pub fn keeping_records(mut self) -> Self {
        self.kept = Some(BTreeMap::new());
        self
    }

    /// Takes on more partitions.
    ///
    /// # Errors
    /// If the log does not give them.
    pub fn add_partitions(&mut self, starts: &[Start], now: Reading) -> Result<(), LogError> {
        let assigned: Vec<PartitionStart> = starts
            .iter()
            .map(|start| PartitionStart {
                topic_partition: TopicPartition::new(start.partition.topic.name(), start.partition.partition),
                from: StartOffset::At(start.offset),
                topic_id: None,
            })
            .collect();
        if self.partitions.is_empty() {
            self.reader.assign(&assigned)?;
        } else {
            self.reader.assign_more(&assigned)?;
        }
        for start in starts {
            self.ends.push(self.source.recorded_ends(start.partition).collect());
            self.source.add_partition(start.partition, start.offset, now);
            if start.skips() {
                tracing::warn!(
                    partition = %start.partition,
                    first = 0,
                    next = start.offset,
                    "these records had expired before they were ever read; the partition's first epoch tells of them"
                );
                self.source.skips(start.partition);
            }
            self.partitions.push(start.partition);
            self.paused.push(false);
        }
        Ok(())
    }

    /// The partitions that are read.
    pub fn partitions(&self) -> &[InputPartition] {
        &self.partitions
    }

    /// The source, to tell it of released epochs and to look at it.
    pub fn source(&mut self) -> &mut Source {
        &mut self.source
    }

    /// What the reader knows of each partition.
    pub fn progress(&self) -> impl Iterator<Item = (InputPartition, connectors::log::PartitionProgress)> {
        let slots = self.partitions.iter().enumerate();
        slots.filter_map(|(slot, partition)| Some((*partition, self.reader.progress(PartitionSlot(slot as u32))?)))
    }

    /// Polls once, waiting up to `timeout` if nothing is there, and closes what epochs can be closed. `clock` is read after the wait.
    ///
    /// # Errors
    /// If the log cannot be read or the clock not be trusted. What was read before stays; unless [`FeedError::retry_after`] says
    /// otherwise there is no use in another step.
    pub fn step(
        &mut self,
        timeout: Duration,
        clock: &mut dyn FnMut() -> Reading,
        sink: &mut dyn FeedSink,
    ) -> Result<Step, FeedError> {
        let mut step = Step::default();
        self.pause_and_resume()?;
        if self.source.wants_input() {
            let polled = self.reader.poll(timeout, self.limits, &mut self.batch);
            if polled.is_ok() {
                step.records = self.batch.len() as u64;
                self.hand_on(clock(), sink);
            }
            polled?;
        } else {
            step.full = true;
        }
        while let Some(close) = self.source.close(clock())? {
            step.epochs += 1;
            self.hand_on_close(close, sink);
        }
        Ok(step)
    }

    /// Closes one last epoch of whatever is left, so that a snapshot can stand behind it; nothing while recorded epochs are left or
    /// before the first one. Whether it did.
    ///
    /// # Errors
    /// If the clock cannot be trusted.
    pub fn close_last(&mut self, now: Reading, sink: &mut dyn FeedSink) -> Result<bool, FeedError> {
        let Some(close) = self.source.close_last(now)? else { return Ok(false) };
        self.hand_on_close(close, sink);
        Ok(true)
    }

    fn hand_on_close(&mut self, close: Close, sink: &mut dyn FeedSink) {
        let ends: Vec<(InputPartition, u64)> =
            close.inputs.iter().filter_map(|range| Some((range.input_partition()?, range.next))).collect();
        let mut records = Vec::new();
        for (partition, next) in &ends {
            let Some(kept) = self.kept.as_mut().and_then(|kept| kept.get_mut(partition)) else { continue };
            while let Some(chunk) =
                kept.pop_front_if(|chunk| chunk.records.last().is_some_and(|last| last.offset < *next))
            {
                records.push(chunk);
            }
        }
        // What was recorded is written down with the first new epoch.
        let base = if close.recorded.is_none() { sink.snapshot_wanted() } else { None };
        let barrier = base.map(|base| Barrier { epoch: close.epoch, base });
        let ends = EpochEnds { epoch: close.epoch, ends, barrier };
        sink.closed(close, records);
        sink.bind(ends);
    }

    /// While recorded epochs are fed again, holds partitions back that run ahead of them.
    fn pause_and_resume(&mut self) -> Result<(), LogError> {
        let is_replaying = self.source.is_replaying();
        if !is_replaying && !self.paused.contains(&true) {
            return Ok(());
        }
        for (slot, partition) in self.partitions.iter().enumerate() {
            let pause = is_replaying && !self.source.wants(*partition);
            if pause != std::mem::replace(&mut self.paused[slot], pause) {
                let slots = [PartitionSlot(slot as u32)];
                if pause { self.reader.pause(&slots)? } else { self.reader.resume(&slots)? }
            }
        }
        Ok(())
    }

    /// Cuts the polled batch into chunks and hands them to their workers.
    fn hand_on(&mut self, now: Reading, sink: &mut dyn FeedSink) {
        let batch = std::mem::take(&mut self.batch);
        for (slot, record) in batch.records() {
            let ends = &mut self.ends[slot.index()];
            if ends.front().is_some_and(|end| record.offset >= *end) {
                while ends.front().is_some_and(|end| record.offset >= *end) {
                    ends.pop_front();
                }
                self.finish_chunk(slot, now, sink);
            }
            let partition = self.partitions[slot.index()];
            let chunk = self.chunks.entry(slot).or_insert_with(|| RecordChunk {
                partition,
                raw: RawBytes::default(),
                records: Vec::new(),
            });
            // The chunk is ours alone until it is handed on.
            let Some(raw) = Arc::get_mut(&mut chunk.raw.0) else { continue };
            let payload = record.body.payload.unwrap_or_default();
            let start = raw.len() as u32;
            raw.extend_from_slice(payload);
            chunk.records.push(ChunkRecord {
                payload: Span { start, length: payload.len() as u32 },
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
            });
        }
        while let Some(slot) = self.chunks.keys().next().copied() {
            self.finish_chunk(slot, now, sink);
        }
        self.batch = batch;
    }

    fn finish_chunk(&mut self, slot: PartitionSlot, now: Reading, sink: &mut dyn FeedSink) {
        let Some(chunk) = self.chunks.remove(&slot) else { return };
        let Some(last) = chunk.records.last() else { return };
        let Span { start, length } = last.payload;
        let polled = Polled {
            partition: chunk.partition,
            next: last.offset + 1,
            records: chunk.records.len() as u64,
            bytes: chunk.size_bytes() as u64,
            event_time_ms: event_time_of(&chunk.raw.0[start as usize..(start + length) as usize]),
        };
        self.source.polled(&polled, now);
        if let Some(kept) = &mut self.kept {
            kept.entry(chunk.partition).or_default().push_back(chunk.clone());
        }
        let worker = worker_of(chunk.partition, self.peers);
        sink.feed(worker, chunk);
    }
}

/// The worker that parses a partition.
fn worker_of(partition: InputPartition, peers: usize) -> usize {
    (partition.topic as usize + partition.partition as usize) % peers
}
