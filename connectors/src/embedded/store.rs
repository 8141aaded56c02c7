//! The one writer of the store, the group fsync, and what readers may see.
//!
//! ```text
//!  writer (mutex)   catalog, next offsets, fences     batch into the journal, in order: sequence 1 2 3 …
//!  syncing (mutex)  durable up to 2                   one caller syncs for all that are written; the others wait
//!  visible (mutex)  ends of partitions                move when durable; readers wait on the condition
//! ```
//! Locks are taken in this order and never held over a sync.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fjall::{Database, Keyspace, PersistMode};

use super::block::{BlockBuilder, base_of_key, block_head, block_key};
use super::catalog::Catalog;
use super::config::EmbeddedConfig;
use super::files::StoreFiles;
use super::idempotency::IdempotencyWindow;
use super::lock::FolderLock;
use crate::log::{Appended, AppendedRange, LogError, OutgoingRecords, PartitionBounds};

const CATALOG_KEY: &[u8] = b"catalog";
/// How many blocks one batch of deletions takes.
const DELETE_BATCH_BLOCKS_MAX: usize = 4096;

/// An open store.
pub(super) struct Store {
    pub(super) config: EmbeddedConfig,
    database: Database,
    blocks: Keyspace,
    meta: Keyspace,
    answers: Keyspace,
    writer: Mutex<Writer>,
    syncing: Mutex<Syncing>,
    synced: Condvar,
    visible: Mutex<Visible>,
    moved: Condvar,
    // Last, so that the folder is freed after the store is closed.
    _lock: FolderLock,
}

/// What only one thread at a time may do: write.
pub(super) struct Writer {
    pub(super) catalog: Catalog,
    /// By partition number: the next offset, durable or not.
    next: BTreeMap<u32, u64>,
    /// How many batches were written.
    written: u64,
    /// Ends that become visible once the batch of this sequence is durable.
    pending: Vec<(u64, u32, u64)>,
    window: IdempotencyWindow,
    /// By committer name: how often it was opened, and by whom last.
    fences: BTreeMap<String, (u64, String)>,
    /// True once a write failed: what is on the disk is unknown until it is opened anew.
    broken: bool,
}

#[derive(Default)]
struct Syncing {
    durable: u64,
    running: bool,
    failed: bool,
}

#[derive(Default)]
struct Visible {
    /// By partition number: earliest offset and end.
    bounds: BTreeMap<u32, (u64, u64)>,
    changes: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn earliest_key(number: u32) -> [u8; 5] {
    let mut key = [b'e'; 5];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

impl Store {
    pub(super) fn open(config: EmbeddedConfig) -> Result<Self, LogError> {
        let folder = config.folder.clone();
        let failed = |doing| move |source: fjall::Error| storage(&folder, doing, source);
        std::fs::create_dir_all(&config.folder).map_err(|source| storage(&config.folder, "created", source))?;
        let lock = FolderLock::take(&config.folder, &config.holder)?;
        let StoreFiles { database, blocks, meta, answers } = StoreFiles::open(&config)?;
        let catalog = meta.get(CATALOG_KEY).map_err(failed.clone()("read"))?;
        let window = IdempotencyWindow::recover(&answers).map_err(failed.clone()("read"))?;
        let damaged = |place: &str| LogError::Damaged { path: config.folder.clone(), place: place.to_owned() };
        let catalog: Catalog = match catalog {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|_| damaged("its catalog of topics"))?,
            // Random by the standard library's own seed; nothing that is computed depends on it.
            None => Catalog { origin: RandomState::new().build_hasher().finish(), ..Catalog::default() },
        };
        let mut bounds = BTreeMap::new();
        for number in catalog.topics.values().flat_map(|topic| topic.numbers.iter().copied()) {
            let earliest = meta.get(earliest_key(number)).map_err(failed.clone()("read"))?;
            let earliest = earliest.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes);
            let end = match blocks.prefix(number.to_be_bytes()).next_back() {
                None => earliest,
                Some(guard) => {
                    let (key, block) = guard.into_inner().map_err(failed.clone()("read"))?;
                    let head = block_head(&block).zip(base_of_key(&key));
                    let (head, base) = head.ok_or_else(|| damaged("the last block of a partition"))?;
                    base + u64::from(head.records)
                }
            };
            bounds.insert(number, (earliest, end));
        }
        let next = bounds.iter().map(|(&number, &(_, end))| (number, end)).collect();
        Ok(Self {
            database,
            blocks,
            meta,
            answers,
            writer: Mutex::new(Writer {
                catalog,
                next,
                written: 0,
                pending: Vec::new(),
                window,
                fences: BTreeMap::new(),
                broken: false,
            }),
            syncing: Mutex::default(),
            synced: Condvar::new(),
            visible: Mutex::new(Visible { bounds, changes: 0 }),
            moved: Condvar::new(),
            _lock: lock,
            config,
        })
    }

    pub(super) fn failed(&self, doing: &'static str) -> impl Fn(fjall::Error) -> LogError {
        let folder = self.config.folder.clone();
        move |source| storage(&folder, doing, source)
    }

    fn broken(&self) -> LogError {
        storage(&self.config.folder, "written after a write or sync failed; open it anew", fjall::Error::Poisoned)
    }

    pub(super) fn damaged(&self, place: String) -> LogError {
        LogError::Damaged { path: self.config.folder.clone(), place }
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }

    /// Writes records in one batch and returns when they are durable and visible. `allowed` is asked under the writer's lock: what it
    /// sees still holds when the batch is written.
    pub(super) fn write<E: From<LogError>>(
        &self,
        records: &OutgoingRecords,
        idempotency_key: Option<&[u8]>,
        allowed: impl FnOnce(&Writer) -> Result<(), E>,
    ) -> Result<Appended, WriteError<E>> {
        let before = |error: LogError| WriteError::Before(E::from(error));
        let built = build_blocks(records);
        let mut guard = self.writer();
        let writer = &mut *guard;
        allowed(writer).map_err(WriteError::Before)?;
        if writer.broken {
            return Err(before(self.broken()));
        }
        if let Some(key) = idempotency_key {
            let known =
                IdempotencyWindow::find(&self.answers, key).map_err(|source| before(self.failed("read")(source)))?;
            if let Some(appended) = known {
                let written = writer.written;
                drop(guard);
                self.sync(written).map_err(WriteError::During)?;
                return Ok(appended);
            }
        }
        let numbers: Vec<u32> = records
            .places()
            .iter()
            .map(|place| writer.catalog.number(place))
            .collect::<Result<_, _>>()
            .map_err(before)?;
        let mut batch = self.database.batch();
        let mut next: Vec<u64> =
            numbers.iter().map(|number| writer.next.get(number).copied().unwrap_or_default()).collect();
        let first = next.clone();
        for (place, block_records, block) in built {
            batch.insert(&self.blocks, block_key(numbers[place], next[place]), block);
            next[place] += u64::from(block_records);
        }
        let ranges = records.places().iter().zip(first.iter().zip(&next)).filter(|(_, (first, next))| first < next);
        let ranges = ranges.map(|(place, (&first, &next))| AppendedRange {
            topic_partition: place.clone(),
            offset_first: first,
            offset_last: next - 1,
        });
        let appended = Appended { ranges: ranges.collect(), repeated: false };
        let window = match idempotency_key {
            None => writer.window,
            Some(key) => {
                let keys_max = self.config.idempotency_keys_max;
                let window = writer.window.remember(&self.answers, &mut batch, keys_max, key, &appended);
                window.map_err(|source| before(self.failed("read")(source)))?
            }
        };
        if let Err(source) = batch.commit() {
            writer.broken = true;
            return Err(WriteError::During(self.failed("written")(source)));
        }
        writer.window = window;
        writer.written += 1;
        let written = writer.written;
        for ((&number, first), next) in numbers.iter().zip(first).zip(next) {
            if first < next {
                writer.next.insert(number, next);
                writer.pending.push((written, number, next));
            }
        }
        drop(guard);
        self.sync(written).map_err(WriteError::During)?;
        Ok(appended)
    }

    /// Returns once batch number `sequence` is durable and visible: syncs for all that is written by now, or waits for the caller who
    /// does.
    pub(super) fn sync(&self, sequence: u64) -> Result<(), LogError> {
        let mut syncing = lock(&self.syncing);
        loop {
            if syncing.failed {
                return Err(self.broken());
            }
            if syncing.durable >= sequence {
                return Ok(());
            }
            if syncing.running {
                syncing = self.synced.wait(syncing).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            syncing.running = true;
            drop(syncing);
            let written = self.writer().written;
            let result = self.database.persist(PersistMode::SyncData);
            if result.is_ok() {
                self.publish(written);
            } else {
                self.writer().broken = true;
            }
            syncing = lock(&self.syncing);
            syncing.running = false;
            match &result {
                Ok(()) => syncing.durable = written,
                Err(_) => syncing.failed = true,
            }
            self.synced.notify_all();
            result.map_err(self.failed("synced to the disk"))?;
        }
    }

    fn publish(&self, durable: u64) {
        let mut writer = self.writer();
        let durable_count = writer.pending.partition_point(|(sequence, ..)| *sequence <= durable);
        let ends: Vec<_> = writer.pending.drain(..durable_count).collect();
        let mut visible = lock(&self.visible);
        for (_, number, end) in ends {
            visible.bounds.entry(number).or_insert((0, 0)).1 = end;
        }
        visible.changes += 1;
        self.moved.notify_all();
    }

    /// The bounds of a partition by its number; `None` if its topic is gone.
    pub(super) fn bounds(&self, number: u32) -> Option<PartitionBounds> {
        let (earliest, end) = lock(&self.visible).bounds.get(&number).copied()?;
        Some(PartitionBounds { earliest, stable_end: end, end })
    }

    /// How often the bounds have moved.
    pub(super) fn changes(&self) -> u64 {
        lock(&self.visible).changes
    }

    /// Waits until the bounds have moved since `changes`, at most `timeout`.
    pub(super) fn wait(&self, changes: u64, timeout: Duration) {
        let visible = lock(&self.visible);
        drop(self.moved.wait_timeout_while(visible, timeout, |visible| visible.changes == changes));
    }

    /// The block that holds `offset` of a partition, with its base.
    pub(super) fn block_at(&self, number: u32, offset: u64) -> Result<Option<(u64, fjall::UserValue)>, LogError> {
        let failed = self.failed("read");
        // Blocks follow one another, so the next one to read mostly begins just here.
        if let Some(block) = self.blocks.get(block_key(number, offset)).map_err(&failed)? {
            return Ok(Some((offset, block)));
        }
        let range = block_key(number, 0)..=block_key(number, offset);
        let Some(guard) = self.blocks.range(range).next_back() else {
            return Ok(None);
        };
        let (key, block) = guard.into_inner().map_err(&failed)?;
        Ok(base_of_key(&key).map(|base| (base, block)))
    }

    /// Changes the catalog, durably. New partitions become visible, those that are gone vanish with their blocks.
    pub(super) fn change_catalog<T>(
        &self,
        change: impl FnOnce(&mut Catalog) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let mut writer = self.writer();
        if writer.broken {
            return Err(self.broken());
        }
        let mut catalog = writer.catalog.clone();
        let answer = change(&mut catalog)?;
        let encoded = serde_json::to_vec(&catalog).map_err(|_| self.damaged("its catalog of topics".to_owned()))?;
        let mut batch = self.database.batch();
        batch.insert(&self.meta, CATALOG_KEY, encoded);
        if let Err(source) = batch.commit() {
            writer.broken = true;
            return Err(self.failed("written")(source));
        }
        let numbers = |catalog: &Catalog| -> Vec<u32> {
            catalog.topics.values().flat_map(|topic| topic.numbers.iter().copied()).collect()
        };
        let (before, after) = (numbers(&writer.catalog), numbers(&catalog));
        writer.catalog = catalog;
        writer.written += 1;
        let written = writer.written;
        for &number in after.iter().filter(|number| !before.contains(number)) {
            writer.next.insert(number, 0);
            writer.pending.push((written, number, 0));
        }
        let gone: Vec<u32> = before.into_iter().filter(|number| !after.contains(number)).collect();
        for number in &gone {
            writer.next.remove(number);
            writer.pending.retain(|(_, pending, _)| pending != number);
        }
        drop(writer);
        self.sync(written)?;
        for number in gone {
            lock(&self.visible).bounds.remove(&number);
            self.delete_blocks(number, u64::MAX)?;
        }
        Ok(answer)
    }

    /// Raises the earliest offset of a partition and deletes the blocks that lie wholly before it.
    pub(super) fn delete_before(&self, number: u32, offset: u64) -> Result<(), LogError> {
        if self.bounds(number).is_none_or(|bounds| offset <= bounds.earliest) {
            return Ok(());
        }
        let failed = self.failed("written");
        self.meta.insert(earliest_key(number), offset.to_be_bytes()).map_err(&failed)?;
        self.database.persist(PersistMode::SyncData).map_err(&failed)?;
        {
            let mut visible = lock(&self.visible);
            visible.bounds.entry(number).or_insert((0, 0)).0 = offset;
            visible.changes += 1;
            self.moved.notify_all();
        }
        self.delete_blocks(number, offset)
    }

    fn delete_blocks(&self, number: u32, offset: u64) -> Result<(), LogError> {
        let failed = self.failed("written");
        loop {
            let range = block_key(number, 0)..=block_key(number, offset);
            let mut keys = Vec::new();
            for guard in self.blocks.range(range).take(DELETE_BATCH_BLOCKS_MAX + 1) {
                keys.push(guard.key().map_err(&failed)?);
            }
            let more = keys.len() > DELETE_BATCH_BLOCKS_MAX;
            // The last block at or before the offset may hold it.
            if offset != u64::MAX || more {
                keys.pop();
            }
            let mut batch = self.database.batch();
            for key in keys {
                batch.remove(&self.blocks, key);
            }
            batch.commit().map_err(&failed)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// See [`super::EmbeddedLog::enforce_retention`].
    pub(super) fn enforce_retention(&self, now_ms: i64) -> Result<u64, LogError> {
        let topics: Vec<_> = self.writer().catalog.topics.values().cloned().collect();
        let failed = self.failed("read");
        let mut gone = 0;
        for topic in topics.iter().filter(|topic| topic.retention_ms.is_some() || topic.retention_bytes.is_some()) {
            let oldest_ms = topic.retention_ms.map_or(i64::MIN, |kept| now_ms.saturating_sub_unsigned(kept));
            for &number in &topic.numbers {
                let mut bytes_over = match topic.retention_bytes {
                    None => 0,
                    Some(kept) => {
                        let sizes = self.blocks.prefix(number.to_be_bytes()).map(|guard| guard.size().map(u64::from));
                        sizes.sum::<fjall::Result<u64>>().map_err(&failed)?.saturating_sub(kept)
                    }
                };
                let Some(PartitionBounds { earliest, end, .. }) = self.bounds(number) else { continue };
                let mut from = earliest;
                for guard in self.blocks.prefix(number.to_be_bytes()) {
                    let (key, block) = guard.into_inner().map_err(&failed)?;
                    let Some((head, base)) = block_head(&block).zip(base_of_key(&key)) else {
                        return Err(self.damaged(format!("a block of partition number {number}")));
                    };
                    let block_end = base + u64::from(head.records);
                    let expired = head.timestamp_max_ms < oldest_ms || bytes_over > 0;
                    if !expired || block_end >= end {
                        break;
                    }
                    bytes_over = bytes_over.saturating_sub(block.len() as u64);
                    from = from.max(block_end);
                }
                self.delete_before(number, from)?;
                gone += from - earliest;
            }
        }
        Ok(gone)
    }
}

impl Writer {
    /// Opens a committer: the number of its turn, which ends every earlier one's.
    pub(super) fn fence(&mut self, name: &str, incarnation: &str) -> u64 {
        let fence = self.fences.entry(name.to_owned()).or_default();
        *fence = (fence.0 + 1, incarnation.to_owned());
        fence.0
    }

    /// Who has opened a committer of this name after turn number `turn`, if anyone.
    pub(super) fn fenced_by(&self, name: &str, turn: u64) -> Option<String> {
        self.fences.get(name).filter(|(latest, _)| *latest != turn).map(|(_, incarnation)| incarnation.clone())
    }

    /// The number of batches written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

/// The records as blocks, by place in the list, in order: (place, records, block).
fn build_blocks(records: &OutgoingRecords) -> Vec<(usize, u32, Vec<u8>)> {
    let mut open: Vec<Option<BlockBuilder>> = records.places().iter().map(|_| None).collect();
    let mut built = Vec::with_capacity(open.len());
    for record in records.iter() {
        let place = record.place.index();
        let builder = open[place].get_or_insert_with(BlockBuilder::new);
        builder.push(record.timestamp_ms, record.body);
        if builder.is_full()
            && let Some(full) = open[place].take()
        {
            built.push((place, full.records(), full.finish()));
        }
    }
    let rest = open.into_iter().enumerate();
    built.extend(
        rest.filter_map(|(place, builder)| builder.map(|builder| (place, builder.records(), builder.finish()))),
    );
    built
}

/// Where a write failed.
pub(super) enum WriteError<E> {
    /// Before anything was written.
    Before(E),
    /// In the middle: it may be on the disk or not.
    During(LogError),
}

pub(super) fn storage(folder: &std::path::Path, doing: &'static str, source: impl Into<crate::log::Cause>) -> LogError {
    LogError::Storage { path: folder.to_path_buf(), doing, source: source.into() }
}
