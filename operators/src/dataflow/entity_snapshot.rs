//! The entity machine's state written down and read back.
//!
//! ```text
//!   written   entities, duplicates, sources, timers, models: shard by shard, by hash and key, never by place or number
//!   follows   places, calendar, zones, customers' roll-ups, numbers of dealers and reps: built again from the entities
//! ```
//! Once restored, the machine tells the graph at the snapshot's epoch what others keep of its state: the numbers of its dealers, its
//! reps and active deals, and if asked all rows, so that joins and live tables begin where they were.

use std::cmp::Ordering;

use super::customers::Member;
use super::driver::{Machine, Progress};
use super::entities::{DealerState, EntityMachine, EntityOutput};
use super::facts::Facts;
use super::intelligence::{Intelligence, ModelWork};
use super::snapshot::{OpenPart, PartsWriter, SLICE_BYTES, Section, SnapshotError, SnapshotPart};
use super::sources::SourceKey;
use crate::domain::binary::{BinaryReader, Malformed};
use crate::domain::entity::{EntityKind, deal, dealer, lead};
use crate::domain::entity_changes::Gone;
use crate::domain::hash::{hash_text, shard_of};
use crate::domain::rows::RowChange;
use crate::domain::shards::{Barrier, WorkerShards};
use crate::domain::tables::TableId;

/// Entities that one activation tells of after a restart.
const RESTORED_ENTITIES: u32 = 4_096;
/// The shard of records that name no dealer.
const NO_DEALER_SHARD: usize = 0;

/// An entity that is to be written, in the order of writing.
#[derive(Clone, Copy, Debug)]
struct Held {
    shard: u16,
    kind: EntityKind,
    hash: u64,
    place: u32,
}

/// A snapshot that is under way. All lists are sorted by shard, and what is written is taken from their ends.
#[derive(Debug)]
pub(super) struct SnapshotWork {
    shards: Vec<usize>,
    held: Vec<Held>,
    gone: Vec<(u16, u64, Gone)>,
    sources: Vec<(u16, SourceKey)>,
    /// The entities of the shard that is being written.
    writer: Option<PartsWriter>,
    /// So many left that nobody remembers whom.
    is_overrun: bool,
    models: ModelWork,
    /// The same of the leads that the models forgot.
    are_models_overrun: bool,
}

/// A machine that was restored and has not told of it yet.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) epoch: i64,
    /// The kind of the next entity to tell of.
    kind: usize,
    place: u32,
    has_told_dealers: bool,
}

impl EntityMachine {
    /// Remembers what changes from now on.
    pub(super) fn keep_changes(&mut self) {
        self.store.keep_changes();
        self.duplicates.keep_changes();
        self.sources.keep_changes();
    }

    /// The epoch of the snapshot to which a section of a shard is written as a delta; `None`: it is written whole.
    fn previous(&self, barrier: &Barrier, section: Section, shard: usize, is_overrun: bool) -> Option<i64> {
        let is_whole = is_overrun || !self.settings.snapshots || barrier.base.contains(shard);
        self.chains.last(section, shard).filter(|_| !is_whole)
    }

    /// See [`Machine::snapshot`].
    pub(super) fn write_snapshot(
        &mut self,
        barrier: &Barrier,
        shards: WorkerShards,
        output: &mut EntityOutput,
    ) -> Progress {
        let mut work = if let Some(work) = self.snapshot_work.take() {
            work
        } else {
            output.kpis.barrier = Some(*barrier);
            self.plan(barrier, shards)
        };
        let (mut parts, mut bytes) = (Vec::new(), 0);
        while let Some(shard) = work.shards.last().copied() {
            let from = parts.len();
            self.write_some(barrier.epoch, shard, barrier, &mut work, &mut parts);
            bytes += parts[from..].iter().map(|part: &SnapshotPart| part.bytes.len()).sum::<usize>();
            if bytes >= SLICE_BYTES {
                break;
            }
        }
        let progress = if work.shards.is_empty() { Progress::Done } else { Progress::More };
        self.snapshot_work = Some(work).filter(|_| progress == Progress::More);
        output.snapshots.push((barrier.epoch, parts));
        progress
    }

    /// Lists what is to be written, in order.
    fn plan(&mut self, barrier: &Barrier, shards: WorkerShards) -> SnapshotWork {
        let changes = self.store.take_changes().unwrap_or_default();
        let is_overrun = changes.is_overrun();
        let is_whole =
            |machine: &Self, shard| machine.previous(barrier, Section::Entities, shard, is_overrun).is_none();
        let dealers: Vec<(u16, bool)> = (0..self.store.dealers() as u32)
            .map(|dealer| self.store.shard(dealer))
            .map(|shard| (shard as u16, is_whole(self, shard)))
            .collect();
        let store = &self.store;
        let mut held = Vec::new();
        let mut add = |kind, place, dealer: u32, whole: bool| {
            let (shard, is_whole) = dealers[dealer as usize];
            if is_whole == whole {
                held.push(Held { shard, kind, hash: store.hash_at(kind, place), place });
            }
        };
        if dealers.iter().any(|(_, is_whole)| *is_whole) {
            for kind in EntityKind::ALL {
                store.held(kind).for_each(|(place, dealer)| add(kind, place, dealer, true));
            }
        }
        changes.places().for_each(|(kind, place)| add(kind, place, store.entity(kind, place).dealer(), false));
        held.sort_unstable_by(|left, right| store.compare_held(right, left));
        let mut gone: Vec<(u16, u64, Gone)> = Vec::new();
        for one in changes.gone() {
            let (shard, is_whole) = dealers[one.dealer as usize];
            if !is_whole {
                gone.push((shard, store.hash(one.dealer, &one.key), one.clone()));
            }
        }
        let key = |(shard, hash, gone): &(u16, u64, Gone)| (*shard, gone.kind, *hash);
        gone.sort_by(|left, right| {
            let names = |gone: &Gone| (store.dealer_name(gone.dealer).to_vec(), gone.key.clone());
            key(right).cmp(&key(left)).then_with(|| names(&right.2).cmp(&names(&left.2)))
        });
        gone.dedup_by(|left, right| left.2 == right.2);
        let mut own: Vec<usize> = shards.iter().collect();
        own.reverse();
        let sources = self.plan_sources(barrier);
        let are_models_overrun = self.models.as_deref().is_some_and(Intelligence::is_overrun);
        let models = self.plan_models(barrier, are_models_overrun);
        SnapshotWork { shards: own, held, gone, sources, writer: None, is_overrun, models, are_models_overrun }
    }

    fn plan_models(&mut self, barrier: &Barrier, is_overrun: bool) -> ModelWork {
        let Some(mut models) = self.models.take() else { return ModelWork::default() };
        let work =
            models.plan(&self.store, |shard| self.previous(barrier, Section::Models, shard, is_overrun).is_none());
        self.models = Some(models);
        work
    }

    fn plan_sources(&mut self, barrier: &Barrier) -> Vec<(u16, SourceKey)> {
        let changed = self.sources.take_changes();
        let shard_of = |(dealer, _): SourceKey| dealer.map_or(NO_DEALER_SHARD, |dealer| self.store.shard(dealer));
        let is_whole = |shard| self.previous(barrier, Section::Sources, shard, false).is_none();
        let all = self.sources.keys().filter(|key| is_whole(shard_of(*key)));
        let changed = changed.into_iter().filter(|key| !is_whole(shard_of(*key)));
        let mut sources: Vec<(u16, SourceKey)> = all.chain(changed).map(|key| (shard_of(key) as u16, key)).collect();
        let name = |dealer: Option<u32>| dealer.map(|dealer| self.store.dealer_name(dealer));
        sources.sort_by(|(left_shard, (left, left_topic)), (right_shard, (right, right_topic))| {
            (right_shard, name(*right), right_topic).cmp(&(left_shard, name(*left), left_topic))
        });
        sources
    }

    /// Writes entities of a shard until a part is full, or to its end and then all else of the shard.
    fn write_some(
        &mut self,
        epoch: i64,
        shard: usize,
        barrier: &Barrier,
        work: &mut SnapshotWork,
        parts: &mut Vec<SnapshotPart>,
    ) {
        let previous = self.previous(barrier, Section::Entities, shard, work.is_overrun);
        let mut writer =
            work.writer.take().unwrap_or_else(|| PartsWriter::new(Section::Entities, shard, epoch, previous));
        let (store, names) = (&self.store, &mut self.names);
        loop {
            if writer.is_at_start() {
                names.clear();
            }
            if let Some((.., gone)) = work.gone.pop_if(|(own, ..)| usize::from(*own) == shard) {
                writer.record(|writer| store.write_gone(gone.kind, gone.dealer, &gone.key, names, writer));
            } else if let Some(held) = work.held.pop_if(|held| usize::from(held.shard) == shard) {
                writer.record(|writer| store.write(held.kind, held.place, names, writer));
            } else {
                break;
            }
            if writer.has_parts() {
                parts.append(&mut writer.take());
                work.writer = Some(writer);
                return;
            }
        }
        self.finish(Section::Entities, shard, epoch, writer, parts);
        self.write_duplicates(epoch, shard, barrier, parts);
        let previous = self.previous(barrier, Section::Sources, shard, false);
        let mut writer = PartsWriter::new(Section::Sources, shard, epoch, previous);
        while let Some((_, key)) = work.sources.pop_if(|(own, _)| usize::from(*own) == shard) {
            let name = key.0.map_or(b"".as_slice(), |dealer| self.store.dealer_name(dealer));
            writer.record(|writer| self.sources.write(key, name, writer));
        }
        self.finish(Section::Sources, shard, epoch, writer, parts);
        let previous = self.previous(barrier, Section::Timers, shard, false);
        let mut writer = PartsWriter::new(Section::Timers, shard, epoch, previous);
        let fired_until_ms = self.fired_until_ms[shard];
        let known = if previous.is_none() { i64::MIN } else { self.fired_until_written_ms[shard] };
        if fired_until_ms != known {
            writer.record(|writer| writer.zigzag(fired_until_ms));
        }
        self.fired_until_written_ms[shard] = fired_until_ms;
        self.finish(Section::Timers, shard, epoch, writer, parts);
        if let Some(models) = self.models.as_deref() {
            let previous = self.previous(barrier, Section::Models, shard, work.are_models_overrun);
            let mut writer = PartsWriter::new(Section::Models, shard, epoch, previous);
            models.write(shard, &mut work.models, &self.store, &self.rep_names, &mut writer);
            self.finish(Section::Models, shard, epoch, writer, parts);
        }
        work.shards.pop();
    }

    fn write_duplicates(&mut self, epoch: i64, shard: usize, barrier: &Barrier, parts: &mut Vec<SnapshotPart>) {
        let is_overrun = self.duplicates.is_overrun(shard);
        let previous = self.previous(barrier, Section::Duplicates, shard, is_overrun);
        let mut writer = PartsWriter::new(Section::Duplicates, shard, epoch, previous);
        let record = |record: crate::domain::duplicates::Record| writer.record(|writer| record.write(writer));
        if previous.is_none() {
            self.duplicates.write_whole(shard, record);
        } else {
            self.duplicates.write_changes(shard, record);
        }
        self.finish(Section::Duplicates, shard, epoch, writer, parts);
    }

    fn finish(
        &mut self,
        section: Section,
        shard: usize,
        epoch: i64,
        writer: PartsWriter,
        parts: &mut Vec<SnapshotPart>,
    ) {
        let (mut rest, is_written) = writer.finish();
        parts.append(&mut rest);
        if is_written {
            self.chains.wrote(section, shard, epoch);
        }
    }

    /// See [`Machine::restore`].
    pub(super) fn read_snapshot(&mut self, part: &SnapshotPart) -> Result<(), SnapshotError> {
        if part.section == Section::DailyKpis {
            return Err(SnapshotError::Misrouted { section: part.section, shard: part.shard });
        }
        let part = self.chains.open(part)?;
        let shard = part.shard();
        if part.clears {
            self.clear(part.section(), shard);
        }
        match part.section() {
            Section::Entities => {
                self.names.clear();
                part.records(|reader| self.store.read(shard, &mut self.names, reader))
            }
            Section::Duplicates => part.records(|reader| self.duplicates.read(shard, reader)),
            Section::Sources => part.records(|reader| {
                let store = &mut self.store;
                let at = reader.clone();
                self.sources.read(reader, |name| {
                    let hash = hash_text(name);
                    if shard_of(hash) == shard {
                        Ok(store.dealer(hash, name))
                    } else {
                        Err(at.malformed("a dealer is of another shard"))
                    }
                })
            }),
            Section::Timers => self.read_timers(shard, &part),
            Section::Models => self.read_models(shard, &part),
            Section::DailyKpis => Ok(()),
        }
    }

    fn read_timers(&mut self, shard: usize, part: &OpenPart<'_>) -> Result<(), SnapshotError> {
        part.records(|reader: &mut BinaryReader<'_>| -> Result<(), Malformed> {
            self.fired_until_ms[shard] = reader.zigzag()?;
            self.fired_until_written_ms[shard] = self.fired_until_ms[shard];
            Ok(())
        })
    }

    fn read_models(&mut self, shard: usize, part: &OpenPart<'_>) -> Result<(), SnapshotError> {
        // Without models nobody goes on with what they knew.
        let Some(settings) = self.models.as_deref().map(Intelligence::network_settings) else { return Ok(()) };
        let (store, pending) = (&mut self.store, &mut self.pending_models);
        pending.begin_part();
        part.records(|reader| {
            let at = reader.clone();
            let mut is_elsewhere = false;
            pending.read(reader, settings, |name| {
                let hash = hash_text(name);
                is_elsewhere = shard_of(hash) != shard;
                store.dealer(hash, name)
            })?;
            if is_elsewhere { Err(at.malformed("a dealer is of another shard")) } else { Ok(()) }
        })
    }

    /// Forgets what was read of a section before its newer base.
    fn clear(&mut self, section: Section, shard: usize) {
        match section {
            Section::Entities => {
                for kind in EntityKind::ALL {
                    for place in 0..self.store.places(kind) {
                        let entity = self.store.entity(kind, place);
                        if entity.is_held() && self.store.shard(entity.dealer()) == shard {
                            self.store.remove(kind, place);
                        }
                    }
                }
            }
            Section::Duplicates => self.duplicates.clear(shard),
            Section::Sources => {
                let store = &self.store;
                self.sources.clear(|dealer| dealer.map_or(NO_DEALER_SHARD, |dealer| store.shard(dealer)) == shard);
            }
            Section::Timers => {
                self.fired_until_ms[shard] = i64::MIN;
                self.fired_until_written_ms[shard] = i64::MIN;
            }
            Section::Models => {
                let store = &self.store;
                self.pending_models.clear(|dealer| store.shard(dealer) == shard);
            }
            Section::DailyKpis => {}
        }
    }

    /// See [`Machine::restored`].
    pub(super) fn finish_restoring(&mut self, epoch: i64) -> Result<(), SnapshotError> {
        self.chains.finish()?;
        self.dealers = (0..self.store.dealers()).map(|_| DealerState::new(None)).collect();
        for kind in EntityKind::ALL {
            for place in 0..self.store.places(kind) {
                if self.store.entity(kind, place).is_held() {
                    self.restore_derived(kind, place);
                }
            }
        }
        self.restore_models()?;
        self.customers.close(epoch, &mut self.store, None, None);
        if self.settings.snapshots {
            self.keep_changes();
        }
        self.restored = Some(Restored { epoch, kind: 0, place: 0, has_told_dealers: false });
        Ok(())
    }

    fn restore_models(&mut self) -> Result<(), SnapshotError> {
        let pending = std::mem::take(&mut self.pending_models);
        let Some(models) = self.models.as_deref_mut() else { return Ok(()) };
        models
            .restore(pending, &self.store, &self.rep_names)
            .map_err(|error| SnapshotError::Clusters { reason: error.to_string() })?;
        let mut statistics = self.statistics.borrow_mut();
        models.row_counts().for_each(|(table, rows)| statistics.live_rows[table as usize] += rows);
        Ok(())
    }

    /// Builds what follows from an entity.
    fn restore_derived(&mut self, kind: EntityKind, place: u32) {
        let entity = self.store.entity(kind, place);
        let (facts, number) = (Facts::of(entity), entity.dealer());
        let due = entity.touched_at().saturating_add(self.settings.retention_ms);
        if let Some(table) = table_of(kind) {
            self.statistics.borrow_mut().live_rows[table as usize] += i64::from(facts.alive);
        }
        let (member, slot) = match kind {
            EntityKind::Dealer => {
                self.dealers[number as usize] = DealerState::new(entity.text(dealer::TIME_ZONE));
                return;
            }
            EntityKind::Customer => {
                if entity.is_alive() {
                    self.customers.engage(place);
                }
                return;
            }
            EntityKind::Rep => return,
            EntityKind::Vehicle => return self.expiry.schedule(kind, place, due),
            EntityKind::Lead => (Member::Lead, lead::CUSTOMER_ID),
            EntityKind::Deal => (Member::Deal, deal::CUSTOMER_ID),
        };
        let named = if self.settings.rows && facts.alive { entity.text(slot) } else { None };
        self.expiry.schedule(kind, place, due);
        if let Some(id) = named {
            let hash = self.store.hash(number, &id);
            let customer = self.store.find_or_insert(EntityKind::Customer, number, hash, &id);
            self.customers.set(member, place, Some(customer), facts.updated_at);
        }
    }

    /// See [`Machine::emit_restored`].
    pub(super) fn tell_restored(&mut self, output: &mut EntityOutput) -> Progress {
        let Some(mut restored) = self.restored.take() else { return Progress::Done };
        if !std::mem::replace(&mut restored.has_told_dealers, true) {
            let names =
                (0..self.store.dealers() as u32).map(|dealer| (dealer, self.store.dealer_name(dealer).to_vec()));
            output.kpis.dealers.extend(names);
            self.tell_sources(restored.epoch);
            self.tell_models(restored.epoch);
        }
        let Some(kind) = EntityKind::ALL.get(restored.kind).copied().filter(|_| self.settings.rows) else {
            self.flush(output);
            return Progress::Done;
        };
        let end = self.store.places(kind).min(restored.place.saturating_add(RESTORED_ENTITIES));
        for place in restored.place..end {
            if self.store.entity(kind, place).is_held() {
                self.tell_entity(restored.epoch, kind, place, output);
            }
        }
        restored.place = end;
        if end == self.store.places(kind) {
            (restored.kind, restored.place) = (restored.kind + 1, 0);
        }
        self.restored = Some(restored);
        self.flush(output);
        Progress::More
    }

    fn tell_sources(&mut self, epoch: i64) {
        if self.settings.rows && self.settings.restored_rows {
            for key in self.sources.keys() {
                let name = key.0.map_or(b"".as_slice(), |dealer| self.store.dealer_name(dealer));
                self.sources.write_row(epoch, key, name, &mut self.rows[TableId::Sources as usize]);
            }
        }
    }

    fn tell_models(&mut self, epoch: i64) {
        if let Some(models) = self.models.as_deref().filter(|_| self.settings.rows && self.settings.restored_rows) {
            for dealer in 0..self.store.dealers() as u32 {
                models.tell_dealer(dealer, epoch, (&self.store, &self.rep_names), &mut self.rows);
            }
        }
    }

    fn tell_entity(&mut self, epoch: i64, kind: EntityKind, place: u32, output: &mut EntityOutput) {
        let entity = self.store.entity(kind, place);
        if kind == EntityKind::Rep
            && let Some(attributes) = self.rep_attributes(entity)
        {
            let dealer = self.store.dealer_name(entity.dealer());
            let key = entity.with_key(|rep| self.rep_names.key(dealer, rep));
            output.reps.push(((key, attributes), epoch, 1));
        }
        if kind == EntityKind::Deal {
            let rep = self.active_rep(entity, &Facts::of(entity));
            output.active_deals.extend(rep.map(|rep| (rep, epoch, 1)));
        }
        if !self.settings.restored_rows {
            return;
        }
        if kind == EntityKind::Customer && self.customers.is_shown(place) {
            let rows = &mut self.rows[TableId::Customers as usize];
            self.customers.write_row(epoch, place, &self.store, self.models.as_deref(), rows);
        }
        if let Some(table) = table_of(kind).filter(|table| *table != TableId::Reps && entity.is_alive()) {
            self.write_row(epoch, kind, place, table, RowChange::Upsert);
        }
        if let Some(models) = self.models.as_deref().filter(|_| kind == EntityKind::Lead) {
            models.tell_lead(place, epoch, (&self.store, &self.rep_names), &mut self.rows);
        }
    }
}

/// The table that shows entities of a kind one by one.
fn table_of(kind: EntityKind) -> Option<TableId> {
    match kind {
        EntityKind::Dealer => Some(TableId::Dealers),
        EntityKind::Lead => Some(TableId::Leads),
        EntityKind::Deal => Some(TableId::Deals),
        EntityKind::Vehicle => Some(TableId::Vehicles),
        EntityKind::Rep => Some(TableId::Reps),
        EntityKind::Customer => None,
    }
}

impl crate::domain::entity_store::EntityStore {
    /// The order of writing: by shard, kind, hash and, where hashes are equal, by dealer and id.
    fn compare_held(&self, left: &Held, right: &Held) -> Ordering {
        let key = |held: &Held| (held.shard, held.kind, held.hash);
        key(left).cmp(&key(right)).then_with(|| {
            let name = |held: &Held| {
                let entity = self.entity(held.kind, held.place);
                (self.dealer_name(entity.dealer()).to_vec(), entity.with_key(<[u8]>::to_vec))
            };
            name(left).cmp(&name(right))
        })
    }
}
