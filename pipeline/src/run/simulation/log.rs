//! The simulated log: the contract of [`connectors::log`] kept in memory, without threads and without a clock.
//!
//! ```text
//!   reader, committer, appender, admin ─▶ one Storage (durable) ◀─ the harness: foreign transactions, faults, markers
//! ```
//! What a log may do, this one does by chance: polls that bring little or fail for now, commits that are undone, fenced or in doubt.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connectors::log::{
    Appended, CleanupPolicy, CommitGroup, CommitOutcome, CommitterIdentity, Header, Log, LogAdmin, LogAppender,
    LogCommitter, LogError, LogReader, OutgoingRecords, PartitionEvent, PartitionProgress, PartitionSlot,
    PartitionStart, PollLimits, RecordBatch, StartOffset, TopicCreation, TopicDescription, TopicPartition, TopicSpec,
};

use super::storage::{Defect, Storage};

/// The log, shared by all that read and write it.
#[derive(Clone)]
pub(super) struct SimulatedLog {
    storage: Arc<Mutex<Storage>>,
}

fn busy(what: &str) -> LogError {
    LogError::Busy { what: what.to_owned(), reason: "simulated".to_owned(), retry_after: Duration::ZERO }
}

fn misuse(what: &str) -> LogError {
    LogError::Misuse { what: what.to_owned() }
}

impl SimulatedLog {
    pub(super) fn new(storage: Storage) -> Self {
        SimulatedLog { storage: Arc::new(Mutex::new(storage)) }
    }

    /// The state, for one call at a time.
    pub(super) fn storage(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for SimulatedLog {
    fn reader(&self, _name: &str) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(Reader { log: self.clone(), slots: Vec::new() }))
    }

    fn committer(&self, identity: CommitterIdentity) -> Result<Box<dyn LogCommitter>, LogError> {
        Ok(Box::new(Committer { log: self.clone(), identity, number: None }))
    }

    fn appender(&self, _name: &str) -> Result<Box<dyn LogAppender>, LogError> {
        Ok(Box::new(Appender(self.clone())))
    }

    fn admin(&self) -> Result<Box<dyn LogAdmin>, LogError> {
        Ok(Box::new(Admin(self.clone())))
    }
}

struct Slot {
    place: TopicPartition,
    position: u64,
    paused: bool,
    /// Whether the end was told since the last record.
    end_told: bool,
}

struct Reader {
    log: SimulatedLog,
    slots: Vec<Slot>,
}

impl LogReader for Reader {
    fn assign(&mut self, starts: &[PartitionStart]) -> Result<(), LogError> {
        self.slots.clear();
        self.assign_more(starts)
    }

    fn assign_more(&mut self, starts: &[PartitionStart]) -> Result<(), LogError> {
        for start in starts {
            let place = start.topic_partition.clone();
            let partitions = self.log.storage().partitions(&place.topic);
            if place.partition as usize >= partitions || self.slots.iter().any(|slot| slot.place == place) {
                return Err(misuse("a partition that is not there, or is assigned already"));
            }
            let position = match start.from {
                StartOffset::Earliest => self.log.storage().bounds(&place).earliest,
                StartOffset::At(offset) => offset,
            };
            self.slots.push(Slot { place, position, paused: false, end_told: false });
        }
        Ok(())
    }

    fn poll(&mut self, _timeout: Duration, limits: PollLimits, batch: &mut RecordBatch) -> Result<(), LogError> {
        let places: Vec<TopicPartition> = self.slots.iter().map(|slot| slot.place.clone()).collect();
        batch.begin(&places);
        let storage = &mut *self.log.storage();
        // Markers arrive while others read.
        storage.settle(false);
        if storage.random.chance(storage.faults.read) {
            return Err(busy("reading"));
        }
        let records_max = if storage.random.chance(storage.faults.scant) {
            storage.random.below(4).min(limits.records_max as u64) as usize
        } else {
            limits.records_max
        };
        let limits = PollLimits { records_max, ..limits };
        let first = storage.random.below(self.slots.len() as u64) as usize;
        for turn in 0..self.slots.len() {
            let index = (first + turn) % self.slots.len();
            let slot = &mut self.slots[index];
            if slot.paused {
                continue;
            }
            let bounds = storage.bounds(&slot.place);
            if slot.position < bounds.earliest {
                slot.paused = true;
                return Err(LogError::OffsetOutOfRange {
                    partition: slot.place.clone(),
                    position: slot.position,
                    earliest: bounds.earliest,
                    latest: bounds.end,
                });
            }
            let number = PartitionSlot(index as u32);
            let (mut given, mut whole, mut left_out) = (0, true, false);
            for record in storage.readable(&slot.place, slot.position) {
                if !batch.has_room(limits) {
                    whole = false;
                    break;
                }
                let repeats = if storage.defect == Defect::RepeatedRecord && record.offset % 17 == 16 { 2 } else { 1 };
                left_out = storage.defect == Defect::LostRecord && record.offset % 17 == 16;
                for _ in 0..if left_out { 0 } else { repeats } {
                    let headers = record.headers.iter().map(|(name, value)| Header { name, value: Some(value) });
                    let (key, payload) = (record.key.as_deref(), Some(record.payload.as_slice()));
                    batch.push(number, record.offset, record.timestamp_ms, key, payload, headers);
                }
                slot.position = record.offset + 1;
                given += 1;
            }
            if given > 0 || left_out {
                slot.end_told = false;
            }
            if whole && !slot.end_told {
                slot.end_told = true;
                batch.push_event(PartitionEvent::ReachedEnd { slot: number });
            }
        }
        Ok(())
    }

    fn pause(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError> {
        for slot in slots {
            self.slots[slot.index()].paused = true;
        }
        Ok(())
    }

    fn resume(&mut self, slots: &[PartitionSlot]) -> Result<(), LogError> {
        for slot in slots {
            self.slots[slot.index()].paused = false;
        }
        Ok(())
    }

    fn progress(&self, slot: PartitionSlot) -> Option<PartitionProgress> {
        let slot = self.slots.get(slot.index())?;
        let bounds = self.log.storage().bounds(&slot.place);
        Some(PartitionProgress {
            position: Some(slot.position),
            at_end: slot.end_told,
            stable_end: Some(bounds.stable_end),
            end: Some(bounds.end),
            paused: slot.paused,
        })
    }
}

struct Committer {
    log: SimulatedLog,
    identity: CommitterIdentity,
    number: Option<u64>,
}

impl LogCommitter for Committer {
    fn open(&mut self) -> Result<(), LogError> {
        if self.number.is_some() {
            return Ok(());
        }
        let storage = &mut *self.log.storage();
        if storage.random.chance(storage.faults.unreachable) {
            return Err(busy("opening the committer"));
        }
        self.number = Some(storage.open(&self.identity.name, &self.identity.incarnation));
        Ok(())
    }

    fn commit(&mut self, group: &CommitGroup) -> CommitOutcome {
        let Some(number) = self.number else {
            return CommitOutcome::Fatal { error: misuse("a commit without opening") };
        };
        let storage = &mut *self.log.storage();
        if let Some(by) = storage.fenced_by(&self.identity.name, number) {
            let by = Some(by.to_owned());
            self.number = None;
            return CommitOutcome::Fenced { by };
        }
        let faults = storage.faults;
        let id = storage.begin(&group.records, Some(&self.identity.name));
        if storage.random.chance(faults.undone) {
            storage.end(id, false);
            let error = busy("committing");
            let timed_out = storage.random.chance(0.5);
            return if timed_out { CommitOutcome::TimedOut { error } } else { CommitOutcome::Aborted { error } };
        }
        if storage.random.chance(faults.in_doubt) {
            self.number = None;
            // Settled now, or by the next that opens.
            match storage.random.below(3) {
                0 => storage.end(id, true),
                1 => storage.end(id, false),
                _ => {}
            }
            return CommitOutcome::InDoubt { error: busy("the answer to a commit") };
        }
        if storage.random.chance(faults.fatal) {
            self.number = None;
            storage.end(id, false);
            let (what, reason) = ("committing".to_owned(), "a simulated failure for good".to_owned());
            return CommitOutcome::Fatal { error: LogError::Refused { what, reason } };
        }
        let forgotten = storage.defect == Defect::ForgottenCommit && storage.random.chance(0.1);
        storage.end(id, !forgotten);
        CommitOutcome::Committed
    }

    fn is_open(&self) -> bool {
        self.number.is_some()
    }
}

struct Appender(SimulatedLog);

impl LogAppender for Appender {
    fn append(&mut self, records: &OutgoingRecords, _idempotency_key: Option<&[u8]>) -> Result<Appended, LogError> {
        self.0.storage().append(records);
        Ok(Appended::default())
    }
}

struct Admin(SimulatedLog);

impl LogAdmin for Admin {
    fn create_topics(&mut self, specs: &[TopicSpec]) -> Result<Vec<TopicCreation>, LogError> {
        let storage = &mut *self.0.storage();
        let create = |spec: &TopicSpec| match storage.partitions(&spec.name) {
            0 => {
                storage.create_topic(&spec.name, spec.partitions as usize);
                TopicCreation::Created
            }
            partitions => TopicCreation::AlreadyThere { partitions: partitions as u32 },
        };
        Ok(specs.iter().map(create).collect())
    }

    fn add_partitions(&mut self, topic: &str, partitions_total: u32) -> Result<(), LogError> {
        let storage = &mut *self.0.storage();
        if storage.partitions(topic) >= partitions_total as usize {
            return Err(misuse("adding no partition"));
        }
        while storage.partitions(topic) < partitions_total as usize {
            storage.add_partition(topic);
        }
        Ok(())
    }

    fn delete_topic(&mut self, _topic: &str) -> Result<(), LogError> {
        Err(misuse("deleting a simulated topic"))
    }

    fn delete_records(&mut self, _topic: &str, _partition: u32, _offset: u64) -> Result<(), LogError> {
        Err(misuse("deleting simulated records"))
    }

    fn list_topics(&mut self) -> Result<Vec<String>, LogError> {
        Ok(self.0.storage().topics().map(ToString::to_string).collect())
    }

    fn describe_topic(&mut self, topic: &str) -> Result<Option<TopicDescription>, LogError> {
        let storage = &mut *self.0.storage();
        if storage.random.chance(storage.faults.unreachable) {
            return Err(busy("describing a topic"));
        }
        let partitions: Vec<_> = (0..storage.partitions(topic))
            .map(|partition| storage.bounds(&TopicPartition::new(topic, partition as u32)))
            .collect();
        Ok((!partitions.is_empty()).then(|| TopicDescription {
            name: topic.to_owned(),
            id: None,
            partitions,
            cleanup_policy: CleanupPolicy::Delete,
            retention: None,
            record_bytes_max: None,
        }))
    }
}
