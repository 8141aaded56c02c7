//! The entity machine: duplicates out, the merge rule, and what changed since the last epoch.
//!
//! ```text
//!   event ─▶ duplicates ─▶ merge ─▶ touched entities ─┬─ at the end of the epoch: old facts against new
//!                │                                    ├─▶ rows of dealers, leads, deals, vehicles; attributes of reps
//!                └─▶ dead letter id_reused            ├─▶ changes of daily counts, of customers, of active deals
//!                                                     └─▶ counts of sources and epochs
//! ```
//! Its timers are the retention of leads, deals and vehicles. They fire between events in order: an entity that was due before an
//! event touches it has left by then.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use smallvec::SmallVec;

use super::customers::{Customers, Member};
use super::daily_kpis::{KpiBatch, KpiChange, Measure};
use super::driver::{Epoch, Inputs, Machine, Progress};
use super::entity_rows::{RepAttributes, write_row};
use super::entity_snapshot::{Restored, SnapshotWork};
use super::expiry::Expiry;
use super::facts::Facts;
use super::intelligence::{Intelligence, PendingModels};
use super::letters::{DeadLetter, Payload};
use super::rep_names::{RepKey, RepNames};
use super::snapshot::{Chains, SnapshotError, SnapshotPart, SnapshotSlice};
use super::sources::Sources;
use super::statistics::Statistics;
use crate::domain::batch::{Event, EventBatch, Value};
use crate::domain::duplicates::{Duplicates, Sighting};
use crate::domain::entity::{EntityKind, PHASE_FRONTLINE, deal, dealer, lead, vehicle};
use crate::domain::entity_record::EntityNames;
use crate::domain::entity_store::{EntityStore, EntityView, UNTAGGED};
use crate::domain::event::{Effect, EventSpec, EventType};
use crate::domain::hash::{SHARDS, hash_text, hash_within, shard_of};
use crate::domain::merge::{Change, Incoming, Mark, SlotValue};
use crate::domain::messages::MessageBatch;
use crate::domain::rejection::ReasonCode;
use crate::domain::rows::{RowBatch, RowChange};
use crate::domain::shards::{Barrier, WorkerShards};
use crate::domain::tables::TableId;
use crate::domain::zone::Zone;

/// Bounds in event time.
#[derive(Clone, Copy, Debug)]
pub struct EntitySettings {
    /// How long an event's id is remembered.
    pub dedup_horizon_ms: i64,
    /// How many ids are remembered at most, over all shards of all workers.
    pub dedup_keys_max: usize,
    /// How long an untouched lead, deal or vehicle stays.
    pub retention_ms: i64,
    /// Whether anybody reads rows. If not, only what daily counts need is computed: no customers.
    pub rows: bool,
    /// Whether the state is written down at barriers, so that what changes between them has to be remembered.
    pub snapshots: bool,
    /// Whether a restored machine emits the rows of all that it holds, to fill tables that begin empty.
    pub restored_rows: bool,
}

/// Counts of one epoch on one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EpochCounts {
    /// The epoch.
    pub epoch: i64,
    /// Events accepted.
    pub events: u64,
    /// Messages for output topics.
    pub outputs: u64,
}

/// What the machine emits for the epochs of one activation.
#[derive(Clone, Debug, Default)]
pub struct EntityOutput {
    /// Row versions by table.
    pub rows: Vec<(TableId, RowBatch)>,
    /// Changes of daily counts, in order of epochs.
    pub kpis: KpiBatch,
    /// Reps that came, changed or went, with the epoch.
    pub reps: Vec<((RepKey, RepAttributes), i64, isize)>,
    /// Deals that became active or ceased to be, by rep.
    pub active_deals: Vec<(RepKey, i64, isize)>,
    /// Records that were not accepted.
    pub letters: Vec<DeadLetter>,
    /// What the models say.
    pub messages: MessageBatch,
    /// Counts by epoch.
    pub epochs: Vec<EpochCounts>,
    /// Parts of the snapshot of a barrier.
    pub snapshots: Vec<SnapshotSlice>,
}

/// An entity touched in the present epoch.
#[derive(Debug)]
struct Touched {
    kind: EntityKind,
    place: u32,
    changed: bool,
    /// Whether its retention ends with the epoch.
    expires: bool,
    /// The slots that were written, a bit each.
    slots: u32,
    /// Whether a row of it stood there before.
    shown: bool,
    facts: Facts,
    /// The rep of a deal that was active.
    rep: Option<RepKey>,
    attributes: Option<RepAttributes>,
}

pub(super) struct DealerState {
    zone: Zone,
    zone_name: Vec<u8>,
}

impl DealerState {
    /// Of a dealer with the name of a zone; it has UTC until it says otherwise.
    pub(super) fn new(zone_name: Option<Vec<u8>>) -> Self {
        let zone_name = zone_name.unwrap_or_else(|| b"UTC".to_vec());
        let zone = std::str::from_utf8(&zone_name).ok().and_then(Zone::parse).unwrap_or_else(Zone::utc);
        DealerState { zone, zone_name }
    }
}

/// One change of one entity, on its way.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    /// The event's number in the epoch.
    index: usize,
    dealer: u32,
    /// Where its entity was found.
    place: Option<u32>,
    /// Whether it is the lead that a customer's engagement names, and not the event's own entity.
    is_engaged_lead: bool,
}

/// Events that take each step together. The lookups of a block do not wait for one another, so that their cache misses overlap, and
/// what they find is still in the cache when it is merged.
const BLOCK_EVENTS: usize = 256;

/// Slots that one event sets, at most.
type Values<'a> = SmallVec<[(u8, SlotValue<'a>); 24]>;

/// The machine.
pub struct EntityMachine {
    pub(super) settings: EntitySettings,
    pub(super) store: EntityStore,
    pub(super) duplicates: Duplicates,
    pub(super) dealers: Vec<DealerState>,
    pub(super) sources: Sources,
    pub(super) customers: Customers,
    pub(super) expiry: Expiry,
    pub(super) rep_names: RepNames,
    /// In the order of their first touch; an entity's tag is its index here while it stands in the list.
    touched: Vec<Touched>,
    /// A block of changes by kind, in content order each.
    block: [Vec<Accepted>; 6],
    pub(super) rows: Vec<RowBatch>,
    /// Until when timers have fired, by shard.
    pub(super) fired_until_ms: Box<[i64; SHARDS]>,
    pub(super) statistics: Rc<RefCell<Statistics>>,
    /// The models, if any is on and rows are read.
    pub(super) models: Option<Box<Intelligence>>,
    /// The number in its epoch of the event that is being merged.
    pub(super) event_index: u32,
    /// What of the state was written down or read.
    pub(super) chains: Chains,
    pub(super) names: EntityNames,
    /// Where [`EntityMachine::fired_until_ms`] stood when it was written down.
    pub(super) fired_until_written_ms: Box<[i64; SHARDS]>,
    pub(super) snapshot_work: Option<SnapshotWork>,
    pub(super) restored: Option<Restored>,
    /// What was read of the models, until the entities are whole.
    pub(super) pending_models: PendingModels,
}

impl EntityMachine {
    /// A machine without entities. Its counts appear in `statistics`.
    pub fn new(settings: EntitySettings, rep_names: RepNames, statistics: Rc<RefCell<Statistics>>) -> Self {
        let mut machine = EntityMachine {
            settings,
            store: EntityStore::default(),
            duplicates: Duplicates::new(settings.dedup_horizon_ms, settings.dedup_keys_max),
            dealers: Vec::new(),
            sources: Sources::default(),
            customers: Customers::default(),
            expiry: Expiry::default(),
            rep_names,
            touched: Vec::new(),
            block: Default::default(),
            rows: TableId::ALL.map(|table| RowBatch::new(table.width())).into(),
            fired_until_ms: Box::new([i64::MIN; SHARDS]),
            statistics,
            models: None,
            event_index: 0,
            chains: Chains::default(),
            names: EntityNames::default(),
            fired_until_written_ms: Box::new([i64::MIN; SHARDS]),
            snapshot_work: None,
            restored: None,
            pending_models: PendingModels::default(),
        };
        if settings.snapshots {
            machine.keep_changes();
        }
        machine
    }

    fn dealer(&mut self, hash: u64, name: &[u8], kpis: &mut KpiBatch) -> u32 {
        let dealer = self.store.dealer(hash, name);
        if self.dealers.len() <= dealer as usize {
            self.dealers.push(DealerState::new(None));
            kpis.dealers.push((dealer, name.to_vec()));
        }
        dealer
    }

    fn letter(&mut self, output: &mut EntityOutput, letter: DeadLetter) {
        self.statistics.borrow_mut().rejected[usize::from(letter.code)] += 1;
        if self.settings.rows {
            letter.write_row(&mut self.rows[TableId::DeadLetters as usize]);
            output.letters.push(letter);
        }
    }

    /// Applies the events of an epoch, a block at a time and in it kind by kind. Kinds do not meet before the epoch is closed, but for
    /// dealers, whose zone decides in which days all others count: they stand alone between blocks.
    fn apply(&mut self, epoch: i64, inputs: &Inputs<'_>, counts: &mut EpochCounts, output: &mut EntityOutput) {
        for start in (0..inputs.len()).step_by(BLOCK_EVENTS) {
            let indexes = start..inputs.len().min(start + BLOCK_EVENTS);
            black_box(indexes.clone().fold(0, |sum, index| {
                let (batch, event) = inputs.event(index);
                sum ^ self.duplicates.warm(shard_of(event.dealer_hash), event.identity) ^ u64::from(batch.warm(event))
            }));
            for index in indexes {
                let (batch, event) = inputs.event(index);
                let Some(dealer) = self.accept(epoch, batch, event, counts, output) else { continue };
                let event_type = event.event_type.event_type();
                if event_type == EventType::CommandAccepted {
                    self.observe_command(index, dealer, batch, event);
                }
                let Some(kind) = event_type.spec().entity else { continue };
                let accepted = Accepted { index, dealer, place: None, is_engaged_lead: false };
                if kind == EntityKind::Dealer {
                    self.apply_block(epoch, inputs, output);
                }
                self.block[kind as usize].push(accepted);
                if kind == EntityKind::Dealer {
                    self.apply_block(epoch, inputs, output);
                }
                if event_type == EventType::CustomerEngagementDetected && engaged_lead(batch, event).is_some() {
                    self.block[EntityKind::Lead as usize].push(Accepted { is_engaged_lead: true, ..accepted });
                }
            }
            self.apply_block(epoch, inputs, output);
            self.think(epoch, inputs, output);
        }
    }

    fn apply_block(&mut self, epoch: i64, inputs: &Inputs<'_>, output: &mut EntityOutput) {
        for kind in EntityKind::ALL {
            let mut block = std::mem::take(&mut self.block[kind as usize]);
            self.look_up(kind, inputs, &mut block);
            for accepted in block.drain(..) {
                let (batch, event) = inputs.event(accepted.index);
                self.event(epoch, kind, batch, event, &accepted, output);
            }
            self.block[kind as usize] = block;
        }
    }

    /// Finds the entities of a block of changes, and brings what the changes will touch into the cache.
    fn look_up(&self, kind: EntityKind, inputs: &Inputs<'_>, block: &mut [Accepted]) {
        for accepted in &mut *block {
            let (batch, event) = inputs.event(accepted.index);
            accepted.place = self.store.guess(kind, key_of(batch, event, accepted).0);
        }
        let guesses = || block.iter().filter_map(|accepted| accepted.place);
        black_box(guesses().fold(0, |sum, place| sum ^ self.store.warm(kind, place)));
        black_box(guesses().fold(0, |sum, place| sum ^ self.store.warm_key(kind, place)));
        for accepted in block.iter_mut().filter(|accepted| accepted.place.is_some()) {
            let (batch, event) = inputs.event(accepted.index);
            let (hash, id) = key_of(batch, event, accepted);
            accepted.place = self.store.find(kind, accepted.dealer, hash, id);
        }
    }

    /// Counts an event and tells its dealer, if it is new and of a known type.
    fn accept(
        &mut self,
        epoch: i64,
        batch: &EventBatch,
        event: &Event,
        counts: &mut EpochCounts,
        output: &mut EntityOutput,
    ) -> Option<u32> {
        let dealer = self.dealer(event.dealer_hash, batch.text(event.dealer), &mut output.kpis);
        let source = self.sources.count(Some(dealer), event.place.topic);
        source.records += 1;
        let shard = shard_of(event.dealer_hash);
        match self.duplicates.insert(shard, event.identity, event.content, event.time_ms) {
            Sighting::First => {}
            Sighting::Duplicate => {
                source.duplicates += 1;
                self.statistics.borrow_mut().duplicates += 1;
                return None;
            }
            Sighting::Reused => {
                source.rejected += 1;
                counts.outputs += 1;
                let sentence =
                    "The id was accepted before from this source, with other bytes; give each event an id of its own.";
                let letter = DeadLetter {
                    epoch,
                    time_ms: event.time_ms,
                    dealer: Some(batch.text(event.dealer).to_vec()),
                    place: event.place,
                    code: ReasonCode::IdReused as u8,
                    sentence: sentence.into(),
                    payload: Payload::of(batch.text(event.record), 0),
                };
                self.letter(output, letter);
                return None;
            }
        }
        source.accepted += 1;
        counts.events += 1;
        source.late += u64::from(event.time_ms < self.fired_until_ms[shard]);
        if event.event_type.event_type() == EventType::Unknown {
            source.unknown += 1;
            self.statistics.borrow_mut().unknown += 1;
            return None;
        }
        Some(dealer)
    }

    fn event(
        &mut self,
        epoch: i64,
        kind: EntityKind,
        batch: &EventBatch,
        event: &Event,
        accepted: &Accepted,
        output: &mut EntityOutput,
    ) {
        let event_type = event.event_type.event_type();
        let spec = event_type.spec();
        let (mut values, mut mark) = (Values::new(), None);
        let mut effect = spec.effect;
        if accepted.is_engaged_lead {
            // It sets its lead's engagement, and says nothing else of it.
            let engagement = engaged_lead(batch, event).map_or(0.0, |(_, engagement)| engagement);
            values.push((lead::ENGAGEMENT, SlotValue::Bits(engagement.to_bits())));
            effect = Effect::Patch;
        } else {
            mark = slot_values(spec, event_type, batch, event, &mut values);
        }
        let incoming = Incoming {
            time_ms: event.time_ms,
            sequence: event.sequence,
            id: batch.text(event.id),
            source: batch.text(event.source),
        };
        let change = Change { incoming, effect, mark, values: &values };
        self.event_index = accepted.index as u32;
        let (hash, id) = key_of(batch, event, accepted);
        // An earlier change of the block may have made the entity.
        let place = accepted.place.or_else(|| self.store.find(kind, accepted.dealer, hash, id));
        self.merge(epoch, kind, place, (accepted.dealer, hash, id), &change, &mut output.kpis);
    }

    /// Merges one change into its entity and remembers what the entity was before.
    fn merge(
        &mut self,
        epoch: i64,
        kind: EntityKind,
        place: Option<u32>,
        key: (u32, u64, &[u8]),
        change: &Change<'_>,
        kpis: &mut KpiBatch,
    ) {
        let (dealer, hash, id) = key;
        let expires = matches!(kind, EntityKind::Lead | EntityKind::Deal | EntityKind::Vehicle);
        let place = if let Some(place) = place {
            let due = self.store.entity(kind, place).touched_at().saturating_add(self.settings.retention_ms);
            if expires && due < change.incoming.time_ms { self.restart(epoch, kind, place, key, kpis) } else { place }
        } else {
            let place = self.store.insert(kind, dealer, hash, id);
            if expires {
                self.expiry.schedule(kind, place, change.incoming.time_ms.saturating_add(self.settings.retention_ms));
            }
            place
        };
        if !self.settings.rows
            && self.store.tag(kind, place) == UNTAGGED
            && !may_be_counted(kind, change)
            && self.store.entity(kind, place).is_alive()
        {
            let outcome = self.store.apply(kind, place, change);
            self.statistics.borrow_mut().ambiguous_order += u64::from(outcome.ambiguous);
            return;
        }
        let touched = self.touch(kind, place);
        let outcome = self.store.apply(kind, place, change);
        self.touched[touched].changed |= outcome.changed;
        self.touched[touched].slots |= outcome.slots;
        self.observe(kind, place, change, outcome);
        if outcome.ambiguous {
            self.statistics.borrow_mut().ambiguous_order += 1;
        }
        if kind == EntityKind::Customer && outcome.changed {
            self.customers.engage(place);
        }
        if kind == EntityKind::Dealer && outcome.slots & (1 << dealer::TIME_ZONE) != 0 {
            self.change_zone(epoch, place, change.incoming.time_ms, kpis);
        }
    }

    /// An entity that was due before the event that touches it: it leaves, and begins anew at the same place.
    fn restart(
        &mut self,
        epoch: i64,
        kind: EntityKind,
        place: u32,
        key: (u32, u64, &[u8]),
        kpis: &mut KpiBatch,
    ) -> u32 {
        let (dealer, hash, id) = key;
        let index = self.touch(kind, place);
        let (shown, old) = (self.touched[index].shown, self.touched[index].facts);
        // What it did earlier in this epoch counts before it leaves.
        self.count(epoch, kind, dealer, &old, &Facts::of(self.store.entity(kind, place)), kpis);
        let rep = self.touched[index].rep.take();
        self.statistics.borrow_mut().expired += u64::from(self.store.entity(kind, place).is_alive());
        self.observe_expired(kind, place);
        self.leave(kind, place);
        // The place that was freed last is given out first, and the calendar still has it.
        let place = self.store.find_or_insert(kind, dealer, hash, id);
        // Its days' counts are frozen, so what follows is compared with nothing.
        self.touched[index] = Touched {
            kind,
            place,
            changed: true,
            expires: false,
            slots: u32::MAX,
            shown,
            facts: Facts::default(),
            rep,
            attributes: None,
        };
        self.store.set_tag(kind, place, index as u32);
        place
    }

    /// Takes an entity out of memory and of the views, but not out of its days' counts.
    fn leave(&mut self, kind: EntityKind, place: u32) {
        let entity = self.store.entity(kind, place);
        let fired_until_ms = &mut self.fired_until_ms[self.store.shard(entity.dealer())];
        *fired_until_ms = (*fired_until_ms).max(entity.touched_at().saturating_add(self.settings.retention_ms));
        match kind {
            EntityKind::Lead => self.customers.set(Member::Lead, place, None, 0),
            EntityKind::Deal => self.customers.set(Member::Deal, place, None, 0),
            _ => {}
        }
        self.store.remove(kind, place);
    }

    /// Says that an entity's row is another, though no event of its own changed it.
    pub(super) fn mark_changed(&mut self, touched: usize) {
        self.touched[touched].changed = true;
    }

    /// The entry of an entity among the touched ones, made from what it is now.
    pub(super) fn touch(&mut self, kind: EntityKind, place: u32) -> usize {
        let tag = self.store.tag(kind, place);
        if tag != UNTAGGED {
            return tag as usize;
        }
        let index = self.touched.len();
        self.store.set_tag(kind, place, index as u32);
        let entity = self.store.entity(kind, place);
        let facts = Facts::of(entity);
        let rows = self.settings.rows;
        let rep = if rows { self.active_rep(entity, &facts) } else { None };
        let attributes = if rows && kind == EntityKind::Rep { self.rep_attributes(entity) } else { None };
        self.touched.push(Touched {
            kind,
            place,
            changed: false,
            expires: false,
            slots: 0,
            shown: facts.alive,
            facts,
            rep,
            attributes,
        });
        index
    }

    /// Compares what an entity was before the epoch with what it is now, and tells the views.
    fn settle(&mut self, epoch: i64, touched: &Touched, output: &mut EntityOutput) {
        let Touched { kind, place, changed, expires, slots, shown, facts: old, rep, attributes } = *touched;
        if !changed || kind == EntityKind::Customer {
            return;
        }
        let entity = self.store.entity(kind, place);
        let new = Facts::of(entity);
        let dealer = entity.dealer();
        self.count(epoch, kind, dealer, &old, &new, &mut output.kpis);
        let table = match kind {
            EntityKind::Dealer => TableId::Dealers,
            EntityKind::Lead => TableId::Leads,
            EntityKind::Deal => TableId::Deals,
            EntityKind::Vehicle => TableId::Vehicles,
            EntityKind::Rep | EntityKind::Customer => TableId::Reps,
        };
        if expires {
            return self.settle_expired(epoch, (kind, place), table, (shown, new.alive), rep, output);
        }
        if new.alive != shown {
            self.statistics.borrow_mut().live_rows[table as usize] += i64::from(new.alive) - i64::from(shown);
        }
        match kind {
            _ if !self.settings.rows => {}
            EntityKind::Lead => self.settle_customer(Member::Lead, kind, place, (lead::CUSTOMER_ID, slots), &new),
            EntityKind::Deal => self.settle_customer(Member::Deal, kind, place, (deal::CUSTOMER_ID, slots), &new),
            _ => {}
        }
        if !self.settings.rows {
            return;
        }
        if kind == EntityKind::Rep {
            let entity = self.store.entity(kind, place);
            let after = self.rep_attributes(entity);
            if after != attributes {
                let key = entity.with_key(|rep| self.rep_names.key(self.store.dealer_name(dealer), rep));
                output.reps.extend(attributes.map(|attributes| ((key, attributes), epoch, -1)));
                output.reps.extend(after.map(|attributes| ((key, attributes), epoch, 1)));
            }
            return;
        }
        if kind == EntityKind::Deal {
            let after = self.active_rep(self.store.entity(kind, place), &new);
            if after != rep {
                output.active_deals.extend(rep.map(|rep| (rep, epoch, -1)));
                output.active_deals.extend(after.map(|rep| (rep, epoch, 1)));
            }
        }
        let change = if new.alive { RowChange::Upsert } else { RowChange::Delete };
        if new.alive || shown {
            self.write_row(epoch, kind, place, table, change);
        }
    }

    /// Adds an entity's row to those of its table.
    pub(super) fn write_row(&mut self, epoch: i64, kind: EntityKind, place: u32, table: TableId, change: RowChange) {
        let mut rows = std::mem::take(&mut self.rows[table as usize]);
        write_row(&self.store, self.model_columns(), (kind, place), epoch, change, &mut rows);
        self.rows[table as usize] = rows;
    }

    /// An entity that was touched in the epoch and is due by its end: it leaves without having been shown as it was between.
    fn settle_expired(
        &mut self,
        epoch: i64,
        (kind, place): (EntityKind, u32),
        table: TableId,
        (shown, alive): (bool, bool),
        rep: Option<RepKey>,
        output: &mut EntityOutput,
    ) {
        {
            let mut statistics = self.statistics.borrow_mut();
            statistics.live_rows[table as usize] -= i64::from(shown);
            statistics.expired += u64::from(alive);
        }
        if self.settings.rows && shown {
            let change = if alive { RowChange::Expire } else { RowChange::Delete };
            self.write_row(epoch, kind, place, table, change);
        }
        output.active_deals.extend(rep.map(|rep| (rep, epoch, -1)));
        self.forget_in_models(epoch, kind, place, output);
        self.leave(kind, place);
    }

    /// The rep of an active deal.
    pub(super) fn active_rep(&self, entity: EntityView<'_>, facts: &Facts) -> Option<RepKey> {
        let dealer = self.store.dealer_name(entity.dealer());
        if facts.active { entity.with_text(deal::REP_ID, |rep| self.rep_names.key(dealer, rep)) } else { None }
    }

    /// Tells the customers' roll-ups of a lead or deal. `slot` is that of its customer, with the slots that the epoch wrote.
    fn settle_customer(&mut self, member: Member, kind: EntityKind, place: u32, slot: (u8, u32), new: &Facts) {
        let (slot, written) = slot;
        let known = self.customers.customer_of(member, place);
        let customer = if !new.alive {
            None
        } else if written & (1 << slot) == 0 && known.is_some() {
            known
        } else {
            let entity = self.store.entity(kind, place);
            let dealer = entity.dealer();
            entity.text(slot).map(|id| {
                let hash = self.store.hash(dealer, &id);
                self.store.find_or_insert(EntityKind::Customer, dealer, hash, &id)
            })
        };
        self.customers.set(member, place, customer, new.updated_at);
    }

    /// The changes of daily counts between two states of an entity.
    fn count(&mut self, epoch: i64, kind: EntityKind, dealer: u32, old: &Facts, new: &Facts, kpis: &mut KpiBatch) {
        let zone = &mut self.dealers[dealer as usize].zone;
        let mut change = |measure, sign, at: i64, amounts: [i64; 2]| {
            kpis.changes.push(KpiChange { epoch, dealer, day: zone.local_day(at) as i32, measure, sign, amounts });
        };
        let mut moved = |measure, old: Option<i64>, new: Option<i64>| {
            if old != new {
                if let Some(at) = old {
                    change(measure, -1, at, [0; 2]);
                }
                if let Some(at) = new {
                    change(measure, 1, at, [0; 2]);
                }
            }
        };
        match kind {
            EntityKind::Lead => {
                moved(Measure::Leads, old.created_at, new.created_at);
                let response = |facts: &Facts| facts.created_at.zip(facts.reached_at);
                let (before, after) = (response(old), response(new));
                if before != after {
                    for (sign, response) in [(-1, before), (1, after)] {
                        if let Some((created, reached)) = response {
                            change(Measure::Responded, sign, created, [(reached - created).max(0), 0]);
                        }
                    }
                }
            }
            EntityKind::Deal => {
                moved(Measure::DealsCreated, old.created_at, new.created_at);
                if old.closed != new.closed {
                    for (sign, closed) in [(-1, old.closed), (1, new.closed)] {
                        if let Some((at, front, back)) = closed {
                            change(Measure::DealsClosed, sign, at, [front, back]);
                        }
                    }
                }
            }
            EntityKind::Vehicle => {
                moved(Measure::VehiclesAcquired, old.created_at, new.created_at);
                moved(Measure::VehiclesSold, old.reached_at, new.reached_at);
            }
            EntityKind::Dealer | EntityKind::Rep | EntityKind::Customer => {}
        }
    }

    /// Counts a dealer's entities anew if its zone is another now. What left before `changed_at` stays counted as it was.
    fn change_zone(&mut self, epoch: i64, place: u32, changed_at: i64, kpis: &mut KpiBatch) {
        let entity = self.store.entity(EntityKind::Dealer, place);
        let dealer = entity.dealer();
        let mut state = Some(DealerState::new(entity.text(dealer::TIME_ZONE)));
        if state.as_ref().is_some_and(|state| state.zone_name == self.dealers[dealer as usize].zone_name) {
            return;
        }
        // What the epoch did until here counts in the zone that was.
        for index in 0..self.touched.len() {
            let Touched { kind, place, facts: old, .. } = self.touched[index];
            let entity = self.store.entity(kind, place);
            if entity.dealer() == dealer {
                let new = Facts::of(entity);
                self.count(epoch, kind, dealer, &old, &new, kpis);
                self.touched[index].facts = new;
            }
        }
        for take in [true, false] {
            if let Some(state) = state.take_if(|_| !take) {
                self.dealers[dealer as usize] = state;
            }
            for kind in [EntityKind::Lead, EntityKind::Deal, EntityKind::Vehicle] {
                for place in 0..self.store.places(kind) {
                    let entity = self.store.entity(kind, place);
                    let due = entity.touched_at().saturating_add(self.settings.retention_ms);
                    if entity.is_held() && entity.dealer() == dealer && due > changed_at {
                        let facts = Facts::of(entity);
                        let none = Facts::default();
                        let (old, new) = if take { (&facts, &none) } else { (&none, &facts) };
                        self.count(epoch, kind, dealer, old, new, kpis);
                    }
                }
            }
        }
    }

    /// Ends the epoch: settles what was touched, lets go what is due, and closes the roll-ups.
    fn close(&mut self, epoch: i64, output: &mut EntityOutput) {
        let (store, retention_ms) = (&self.store, self.settings.retention_ms);
        let mut due = self.expiry.take_due(epoch, |kind, place| {
            let entity = store.entity(kind, place);
            entity.is_held().then(|| entity.touched_at().saturating_add(retention_ms))
        });
        // What was touched as well gets one row for both.
        due.retain(|(kind, place)| {
            let touched = self.touched.get_mut(self.store.tag(*kind, *place) as usize);
            touched.filter(|touched| touched.changed).map(|touched| touched.expires = true).is_none()
        });
        let mut touched = std::mem::take(&mut self.touched);
        while !touched.is_empty() {
            // From the end, since what was touched last is likely to be in the cache still; the views do not care for the order.
            let block = touched.len().saturating_sub(BLOCK_EVENTS);
            self.warm(&touched[block..]);
            for entity in touched.drain(block..) {
                self.store.set_tag(entity.kind, entity.place, UNTAGGED);
                self.settle(epoch, &entity, output);
            }
        }
        self.touched = touched;
        for (kind, place) in due {
            self.expire(epoch, kind, place, output);
        }
        let customer_rows = self.settings.rows.then_some(&mut self.rows[TableId::Customers as usize]);
        self.customers.close(epoch, &mut self.store, self.models.as_deref(), customer_rows);
        let source_rows = self.settings.rows.then_some(&mut self.rows[TableId::Sources as usize]);
        let store = &self.store;
        self.sources.close(epoch, source_rows, |dealer| store.dealer_name(dealer));
        self.write_model_rows(epoch);
    }

    /// Brings what settling a block will read into the cache.
    fn warm(&self, block: &[Touched]) {
        let heads = block.iter().fold(0, |sum, touched| sum ^ self.store.warm(touched.kind, touched.place));
        let customers = block.iter().fold(0, |sum, touched| match touched.kind {
            EntityKind::Lead => sum ^ self.customers.warm(Member::Lead, touched.place),
            EntityKind::Deal => sum ^ self.customers.warm(Member::Deal, touched.place),
            _ => sum,
        });
        black_box((heads, customers));
    }

    fn expire(&mut self, epoch: i64, kind: EntityKind, place: u32, output: &mut EntityOutput) {
        let entity = self.store.entity(kind, place);
        if entity.is_alive() {
            let table = match kind {
                EntityKind::Lead => TableId::Leads,
                EntityKind::Deal => TableId::Deals,
                _ => TableId::Vehicles,
            };
            {
                let mut statistics = self.statistics.borrow_mut();
                statistics.live_rows[table as usize] -= 1;
                statistics.expired += 1;
            }
            if self.settings.rows {
                let rep = self.active_rep(entity, &Facts::of(entity));
                output.active_deals.extend(rep.map(|rep| (rep, epoch, -1)));
                self.write_row(epoch, kind, place, table, RowChange::Expire);
            }
        }
        self.forget_in_models(epoch, kind, place, output);
        self.leave(kind, place);
    }
}

/// Hash and id of the entity that is changed.
#[inline]
fn key_of<'a>(batch: &'a EventBatch, event: &Event, accepted: &Accepted) -> (u64, &'a [u8]) {
    if accepted.is_engaged_lead {
        let id = engaged_lead(batch, event).map_or(b"".as_slice(), |(id, _)| id);
        (hash_within(event.dealer_hash, id), id)
    } else {
        (event.entity_hash, batch.text(event.entity))
    }
}

/// The lead that a customer's engagement names, with the engagement.
fn engaged_lead<'a>(batch: &'a EventBatch, event: &Event) -> Option<(&'a [u8], f64)> {
    const ENGAGEMENT: u8 = 1;
    const LEAD_ID: u8 = 2;
    let named = |field: u8| batch.values_of(event).iter().find(|value| value.field == field).map(|value| value.value);
    match (named(LEAD_ID), named(ENGAGEMENT)) {
        (Some(Value::Text(id)), Some(Value::Double(engagement))) => Some((batch.text(id), engagement)),
        _ => None,
    }
}

/// Whether daily counts may see a change of an entity that is alive.
fn may_be_counted(kind: EntityKind, change: &Change<'_>) -> bool {
    const COUNTED: [u8; 3] = [deal::STAGE, deal::FRONT_GROSS_CENTS, deal::BACK_GROSS_CENTS];
    matches!(change.effect, Effect::Create | Effect::Delete)
        || match kind {
            EntityKind::Dealer => true,
            EntityKind::Lead => change.mark.is_some(),
            EntityKind::Deal => change.values.iter().any(|(slot, _)| COUNTED.contains(slot)),
            EntityKind::Vehicle => change.mark == Some(Mark::Sold),
            EntityKind::Rep | EntityKind::Customer => false,
        }
}

/// Puts the slots that an event sets into `values`, and gives the mark it leaves.
fn slot_values<'a>(
    spec: &EventSpec,
    event_type: EventType,
    batch: &'a EventBatch,
    event: &Event,
    values: &mut Values<'a>,
) -> Option<Mark> {
    let mut implied = spec.implied;
    let mut mark = match event_type {
        EventType::LeadResponded => Some(Mark::Reached),
        EventType::VehicleSold => Some(Mark::Sold),
        _ => None,
    };
    for field in batch.values_of(event) {
        let Some(slot) = spec.fields[usize::from(field.field)].slot else { continue };
        let value = match field.value {
            Value::Null => SlotValue::Null,
            Value::Integer(value) => SlotValue::Bits(value as u64),
            Value::Double(value) => SlotValue::Bits(value.to_bits()),
            Value::Text(text) => SlotValue::Text(batch.text(text)),
        };
        if let Some((own, _, true)) = implied.filter(|(own, ..)| *own == slot) {
            if matches!(value, SlotValue::Null) {
                continue;
            }
            debug_assert_eq!(own, slot);
            implied = None;
        }
        if spec.entity == Some(EntityKind::Vehicle)
            && slot == vehicle::PHASE
            && matches!(value, SlotValue::Bits(PHASE_FRONTLINE))
        {
            mark = Some(Mark::Reached);
        }
        values.push((slot, value));
    }
    if let Some((slot, code, _)) = implied {
        values.push((slot, SlotValue::Bits(code)));
    }
    mark
}

impl Machine for EntityMachine {
    type Output = EntityOutput;

    fn arrive(&mut self, batch: &EventBatch) {
        self.statistics.borrow_mut().unknown_fields += batch.unknown_fields;
    }

    fn advance(&mut self, epoch: i64, inputs: &Inputs<'_>, output: &mut EntityOutput) {
        let mut counts = EpochCounts { epoch, ..EpochCounts::default() };
        for (batch, rejected) in inputs.rejected() {
            let name = rejected.dealer.map(|dealer| batch.text(dealer));
            let dealer = name.map(|name| self.dealer(hash_text(name), name, &mut output.kpis));
            let source = self.sources.count(dealer, rejected.place.topic);
            source.records += 1;
            source.rejected += 1;
            counts.outputs += 1;
            let letter = DeadLetter {
                epoch,
                time_ms: rejected.time_ms,
                dealer: name.map(<[u8]>::to_vec),
                place: rejected.place,
                code: rejected.code,
                sentence: rejected.sentence.clone(),
                payload: Payload::of(batch.text(rejected.record), rejected.unread_bytes),
            };
            self.letter(output, letter);
        }
        let messages = output.messages.len();
        self.apply(epoch, inputs, &mut counts, output);
        self.end_thinking(epoch, output);
        counts.outputs += (output.messages.len() - messages) as u64;
        self.close(epoch, output);
        self.statistics.borrow_mut().accepted += counts.events;
        output.epochs.push(counts);
    }

    fn flush(&mut self, output: &mut EntityOutput) {
        for table in TableId::ALL {
            let rows = &mut self.rows[table as usize];
            if !rows.is_empty() {
                output.rows.push((table, rows.take()));
            }
        }
        let mut statistics = self.statistics.borrow_mut();
        statistics.live_rows[TableId::Customers as usize] = self.customers.rows() as i64;
        statistics.live_rows[TableId::Sources as usize] = self.sources.rows() as i64;
        self.store.limit_changes();
        statistics.state_bytes = (self.store.size_bytes() + self.duplicates.size_bytes()) as u64;
        statistics.dedup_keys = self.duplicates.keys() as u64;
    }

    fn snapshot(&mut self, barrier: &Barrier, shards: WorkerShards, output: &mut EntityOutput) -> Progress {
        self.write_snapshot(barrier, shards, output)
    }

    fn restore(&mut self, part: &SnapshotPart) -> Result<(), SnapshotError> {
        self.read_snapshot(part)
    }

    fn restored(&mut self, epoch: i64) -> Result<(), SnapshotError> {
        self.finish_restoring(epoch)
    }

    fn restored_epoch(&self) -> Option<Epoch> {
        self.restored.as_ref().map(|restored| restored.epoch as Epoch)
    }

    fn emit_restored(&mut self, output: &mut EntityOutput) -> Progress {
        self.tell_restored(output)
    }
}
