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
use std::rc::Rc;

use super::customers::{Customers, Member};
use super::daily_kpis::{KpiBatch, KpiChange, Measure};
use super::driver::{Inputs, Machine};
use super::entity_rows::{RepAttributes, write_row};
use super::expiry::Expiry;
use super::facts::Facts;
use super::letters::DeadLetter;
use super::sources::Sources;
use super::statistics::Statistics;
use crate::domain::batch::{Event, EventBatch, Value};
use crate::domain::duplicates::{Duplicates, Sighting};
use crate::domain::entity::{EntityKind, PHASE_FRONTLINE, deal, dealer, lead, vehicle};
use crate::domain::event::{Effect, EventSpec, EventType};
use crate::domain::hash::hash_within;
use crate::domain::merge::{Change, EntityStore, Incoming, Mark, SlotValue};
use crate::domain::rejection::ReasonCode;
use crate::domain::rows::{RowBatch, RowChange};
use crate::domain::tables::TableId;
use crate::domain::zone::Zone;

/// Key of a rep: dealer and rep id.
pub type RepKey = (Vec<u8>, Vec<u8>);

/// Bounds in event time.
#[derive(Clone, Copy, Debug)]
pub struct EntitySettings {
    /// How long an event's id is remembered.
    pub dedup_horizon_ms: i64,
    /// How many ids a worker remembers at most.
    pub dedup_keys_max: usize,
    /// How long an untouched lead, deal or vehicle stays.
    pub retention_ms: i64,
    /// Whether anybody reads rows; counts are kept all the same.
    pub rows: bool,
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
    /// Counts by epoch.
    pub epochs: Vec<EpochCounts>,
}

/// An entity touched in the present epoch.
#[derive(Debug)]
struct Touched {
    kind: EntityKind,
    place: u32,
    changed: bool,
    /// Whether a row of it stood there before.
    shown: bool,
    facts: Facts,
    /// The rep of a deal that was active.
    rep: Option<Vec<u8>>,
    attributes: Option<Box<RepAttributes>>,
}

struct DealerState {
    zone: Zone,
    zone_name: Vec<u8>,
}

const UNTOUCHED: u32 = u32::MAX;

/// The machine.
pub struct EntityMachine {
    settings: EntitySettings,
    store: EntityStore,
    duplicates: Duplicates,
    dealers: Vec<DealerState>,
    sources: Sources,
    customers: Customers,
    expiry: Expiry,
    touched: Vec<Touched>,
    touched_at: [Vec<u32>; 6],
    rows: Vec<RowBatch>,
    fired_until_ms: i64,
    statistics: Rc<RefCell<Statistics>>,
}

impl EntityMachine {
    /// A machine without entities. Its counts appear in `statistics`.
    pub fn new(settings: EntitySettings, statistics: Rc<RefCell<Statistics>>) -> Self {
        EntityMachine {
            settings,
            store: EntityStore::default(),
            duplicates: Duplicates::new(settings.dedup_horizon_ms, settings.dedup_keys_max),
            dealers: Vec::new(),
            sources: Sources::default(),
            customers: Customers::default(),
            expiry: Expiry::default(),
            touched: Vec::new(),
            touched_at: Default::default(),
            rows: TableId::ALL.map(|table| RowBatch::new(table.width())).into(),
            fired_until_ms: i64::MIN,
            statistics,
        }
    }

    fn dealer(&mut self, hash: u64, name: &[u8], kpis: &mut KpiBatch) -> u32 {
        let dealer = self.store.dealer(hash, name);
        if self.dealers.len() <= dealer as usize {
            self.dealers.push(DealerState { zone: Zone::utc(), zone_name: b"UTC".to_vec() });
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

    fn event(
        &mut self,
        epoch: i64,
        batch: &EventBatch,
        event: &Event,
        counts: &mut EpochCounts,
        output: &mut EntityOutput,
    ) {
        let dealer = self.dealer(event.dealer_hash, batch.text(event.dealer), &mut output.kpis);
        let source = self.sources.count(Some(dealer), event.place.topic);
        source.records += 1;
        match self.duplicates.insert(event.identity, event.content, event.time_ms) {
            Sighting::First => {}
            Sighting::Duplicate => {
                source.duplicates += 1;
                self.statistics.borrow_mut().duplicates += 1;
                return;
            }
            Sighting::Reused => {
                source.rejected += 1;
                counts.outputs += 1;
                let (payload, payload_bytes) = DeadLetter::payload_of(batch.text(event.record));
                let sentence =
                    "The id was accepted before from this source, with other bytes; give each event an id of its own.";
                let letter = DeadLetter {
                    epoch,
                    time_ms: event.time_ms,
                    dealer: Some(batch.text(event.dealer).to_vec()),
                    place: event.place,
                    code: ReasonCode::IdReused as u8,
                    sentence: sentence.into(),
                    payload,
                    payload_bytes,
                };
                self.letter(output, letter);
                return;
            }
        }
        source.accepted += 1;
        counts.events += 1;
        let late = event.time_ms < self.fired_until_ms;
        source.late += u64::from(late);
        let event_type = event.event_type.event_type();
        let unknown = event_type == EventType::Unknown;
        source.unknown += u64::from(unknown);
        if unknown {
            self.statistics.borrow_mut().unknown += 1;
            return;
        }
        let spec = event_type.spec();
        let Some(kind) = spec.entity else { return };
        let mut values = [(0, SlotValue::Null); 24];
        let (count, mark) = slot_values(spec, event_type, batch, event, &mut values);
        let change = Change {
            incoming: Incoming {
                time_ms: event.time_ms,
                sequence: event.sequence,
                id: batch.text(event.id),
                source: batch.text(event.source),
            },
            effect: spec.effect,
            mark,
            values: &values[..count],
        };
        self.merge(epoch, kind, (dealer, event.entity_hash, batch.text(event.entity)), &change, &mut output.kpis);
        if event_type == EventType::CustomerEngagementDetected {
            // It sets its lead's engagement if it names one.
            let named =
                |field: u8| batch.values_of(event).iter().find(|value| value.field == field).map(|value| value.value);
            if let (Some(Value::Text(lead_id)), Some(Value::Double(engagement))) = (named(2), named(1)) {
                let lead_id = batch.text(lead_id);
                let values = [(lead::ENGAGEMENT, SlotValue::Bits(engagement.to_bits()))];
                let change = Change { values: &values, effect: Effect::Patch, ..change };
                let key = (dealer, hash_within(event.dealer_hash, lead_id), lead_id);
                self.merge(epoch, EntityKind::Lead, key, &change, &mut output.kpis);
            }
        }
    }

    /// Merges one change into its entity and remembers what the entity was before.
    fn merge(
        &mut self,
        epoch: i64,
        kind: EntityKind,
        key: (u32, u64, &[u8]),
        change: &Change<'_>,
        kpis: &mut KpiBatch,
    ) {
        let (dealer, hash, id) = key;
        let expires = matches!(kind, EntityKind::Lead | EntityKind::Deal | EntityKind::Vehicle);
        let place = if let Some(place) = self.store.find(kind, dealer, hash, id) {
            let due = self.store.touched_at(kind, place).saturating_add(self.settings.retention_ms);
            if expires && due < change.incoming.time_ms { self.restart(epoch, kind, place, key, kpis) } else { place }
        } else {
            let place = self.store.find_or_insert(kind, dealer, hash, id);
            if expires {
                self.expiry.schedule(kind, place, change.incoming.time_ms.saturating_add(self.settings.retention_ms));
            }
            place
        };
        let touched = self.touch(kind, place);
        let outcome = self.store.apply(kind, place, change);
        self.touched[touched].changed |= outcome.changed;
        self.statistics.borrow_mut().ambiguous_order += u64::from(outcome.ambiguous);
        if kind == EntityKind::Customer && outcome.changed {
            self.customers.touch(place);
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
        self.count(epoch, kind, dealer, &old, &Facts::of(&self.store, kind, place), kpis);
        let rep = self.touched[index].rep.take();
        self.leave(kind, place);
        // The place that was freed last is given out first, and the calendar still has it.
        let place = self.store.find_or_insert(kind, dealer, hash, id);
        // Its days' counts are frozen, so what follows is compared with nothing.
        self.touched[index] =
            Touched { kind, place, changed: true, shown, facts: Facts::default(), rep, attributes: None };
        self.touched_at[kind as usize][place as usize] = index as u32;
        place
    }

    /// Takes an entity out of memory and of the views, but not out of its days' counts.
    fn leave(&mut self, kind: EntityKind, place: u32) {
        self.fired_until_ms =
            self.fired_until_ms.max(self.store.touched_at(kind, place).saturating_add(self.settings.retention_ms));
        match kind {
            EntityKind::Lead => self.customers.set(Member::Lead, place, None, 0),
            EntityKind::Deal => self.customers.set(Member::Deal, place, None, 0),
            _ => {}
        }
        self.store.remove(kind, place);
    }

    /// The entry of an entity among the touched ones, made from what it is now.
    fn touch(&mut self, kind: EntityKind, place: u32) -> usize {
        let touched_at = &mut self.touched_at[kind as usize];
        if touched_at.len() <= place as usize {
            touched_at.resize(place as usize + 1, UNTOUCHED);
        }
        if touched_at[place as usize] != UNTOUCHED {
            return touched_at[place as usize] as usize;
        }
        touched_at[place as usize] = self.touched.len() as u32;
        let facts = Facts::of(&self.store, kind, place);
        let rows = self.settings.rows;
        let rep =
            (rows && facts.active).then(|| self.store.with_text(kind, place, deal::REP_ID, <[u8]>::to_vec)).flatten();
        let attributes =
            if rows && kind == EntityKind::Rep { RepAttributes::of(&self.store, place).map(Box::new) } else { None };
        self.touched.push(Touched { kind, place, changed: false, shown: facts.alive, facts, rep, attributes });
        self.touched.len() - 1
    }

    /// Compares what an entity was before the epoch with what it is now, and tells the views.
    fn settle(&mut self, epoch: i64, touched: Touched, output: &mut EntityOutput) {
        let Touched { kind, place, changed, shown, facts: old, rep, attributes } = touched;
        if !changed || kind == EntityKind::Customer {
            return;
        }
        let new = Facts::of(&self.store, kind, place);
        let dealer = self.store.dealer_of(kind, place);
        self.count(epoch, kind, dealer, &old, &new, &mut output.kpis);
        let table = match kind {
            EntityKind::Dealer => TableId::Dealers,
            EntityKind::Lead => TableId::Leads,
            EntityKind::Deal => TableId::Deals,
            EntityKind::Vehicle => TableId::Vehicles,
            EntityKind::Rep | EntityKind::Customer => TableId::Reps,
        };
        {
            let live = &mut self.statistics.borrow_mut().live_rows[table as usize];
            *live += i64::from(new.alive) - i64::from(shown);
        }
        match kind {
            EntityKind::Lead => self.settle_customer(Member::Lead, kind, place, lead::CUSTOMER_ID, &new),
            EntityKind::Deal => self.settle_customer(Member::Deal, kind, place, deal::CUSTOMER_ID, &new),
            _ => {}
        }
        if !self.settings.rows {
            return;
        }
        if kind == EntityKind::Rep {
            let after = RepAttributes::of(&self.store, place).map(Box::new);
            if after != attributes {
                let key = (self.store.dealer_name(dealer).to_vec(), self.store.with_key(kind, place, <[u8]>::to_vec));
                output.reps.extend(attributes.map(|attributes| ((key.clone(), *attributes), epoch, -1)));
                output.reps.extend(after.map(|attributes| ((key, *attributes), epoch, 1)));
            }
            return;
        }
        if kind == EntityKind::Deal {
            let after = new.active.then(|| self.store.with_text(kind, place, deal::REP_ID, <[u8]>::to_vec)).flatten();
            if after != rep {
                let name = self.store.dealer_name(dealer);
                output.active_deals.extend(rep.map(|rep| ((name.to_vec(), rep), epoch, -1)));
                output.active_deals.extend(after.map(|rep| ((name.to_vec(), rep), epoch, 1)));
            }
        }
        let rows = &mut self.rows[table as usize];
        if new.alive {
            write_row(&self.store, kind, place, epoch, RowChange::Upsert, rows);
        } else if shown {
            write_row(&self.store, kind, place, epoch, RowChange::Delete, rows);
        }
    }

    fn settle_customer(&mut self, member: Member, kind: EntityKind, place: u32, slot: u8, new: &Facts) {
        let dealer = self.store.dealer_of(kind, place);
        let id = if new.alive { self.store.with_text(kind, place, slot, <[u8]>::to_vec) } else { None };
        let customer = id.map(|id| {
            let known = self.customers.customer_of(member, place);
            known
                .filter(|customer| self.store.with_key(EntityKind::Customer, *customer, |key| key == id))
                .unwrap_or_else(|| {
                    let hash = hash_within(crate::domain::hash::hash_text(self.store.dealer_name(dealer)), &id);
                    self.store.find_or_insert(EntityKind::Customer, dealer, hash, &id)
                })
        });
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

    /// Counts a dealer's entities anew after its zone changed. Frozen counts of entities that left stay on their days.
    fn rezone(&mut self, epoch: i64, dealer: u32, zone: &Zone, zone_name: &[u8], kpis: &mut KpiBatch) {
        for take in [true, false] {
            if !take {
                self.dealers[dealer as usize] = DealerState { zone: zone.clone(), zone_name: zone_name.to_vec() };
            }
            for kind in [EntityKind::Lead, EntityKind::Deal, EntityKind::Vehicle] {
                for place in 0..self.store.places(kind) {
                    if self.store.is_held(kind, place) && self.store.dealer_of(kind, place) == dealer {
                        let facts = Facts::of(&self.store, kind, place);
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
        let mut zones = Vec::new();
        let mut touched = std::mem::take(&mut self.touched);
        for entity in touched.drain(..) {
            self.touched_at[entity.kind as usize][entity.place as usize] = UNTOUCHED;
            if entity.kind == EntityKind::Dealer && entity.changed {
                zones.push(entity.place);
            }
            self.settle(epoch, entity, output);
        }
        self.touched = touched;
        for place in zones {
            let dealer = self.store.dealer_of(EntityKind::Dealer, place);
            let name = self.store.with_text(EntityKind::Dealer, place, dealer::TIME_ZONE, <[u8]>::to_vec);
            let name = name.unwrap_or_else(|| b"UTC".to_vec());
            if name != self.dealers[dealer as usize].zone_name {
                let zone = std::str::from_utf8(&name).ok().and_then(Zone::parse).unwrap_or_else(Zone::utc);
                self.rezone(epoch, dealer, &zone, &name, &mut output.kpis);
            }
        }
        let (store, retention_ms) = (&self.store, self.settings.retention_ms);
        let due = self.expiry.take_due(epoch, |kind, place| {
            store.is_held(kind, place).then(|| store.touched_at(kind, place).saturating_add(retention_ms))
        });
        for (kind, place) in due {
            self.expire(epoch, kind, place, output);
        }
        let customer_rows = self.settings.rows.then_some(&mut self.rows[TableId::Customers as usize]);
        self.customers.close(epoch, &mut self.store, customer_rows);
        let source_rows = self.settings.rows.then_some(&mut self.rows[TableId::Sources as usize]);
        let store = &self.store;
        self.sources.close(epoch, source_rows, |dealer| store.dealer_name(dealer));
    }

    fn expire(&mut self, epoch: i64, kind: EntityKind, place: u32, output: &mut EntityOutput) {
        if self.store.is_alive(kind, place) {
            let table = match kind {
                EntityKind::Lead => TableId::Leads,
                EntityKind::Deal => TableId::Deals,
                _ => TableId::Vehicles,
            };
            let mut statistics = self.statistics.borrow_mut();
            statistics.live_rows[table as usize] -= 1;
            statistics.expired += 1;
            if self.settings.rows {
                write_row(&self.store, kind, place, epoch, RowChange::Expire, &mut self.rows[table as usize]);
                let active = kind == EntityKind::Deal && Facts::of(&self.store, kind, place).active;
                let rep = active.then(|| self.store.with_text(kind, place, deal::REP_ID, <[u8]>::to_vec)).flatten();
                let dealer = self.store.dealer_name(self.store.dealer_of(kind, place)).to_vec();
                output.active_deals.extend(rep.map(|rep| ((dealer, rep), epoch, -1)));
            }
        }
        self.leave(kind, place);
    }
}

/// The slots that an event sets, and the mark it leaves.
fn slot_values<'a>(
    spec: &EventSpec,
    event_type: EventType,
    batch: &'a EventBatch,
    event: &Event,
    values: &mut [(u8, SlotValue<'a>); 24],
) -> (usize, Option<Mark>) {
    let mut count = 0;
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
        values[count] = (slot, value);
        count += 1;
    }
    if let Some((slot, code, _)) = implied {
        values[count] = (slot, SlotValue::Bits(code));
        count += 1;
    }
    (count, mark)
}

impl Machine for EntityMachine {
    type Output = EntityOutput;

    fn advance(&mut self, epoch: i64, inputs: &Inputs<'_>, output: &mut EntityOutput) {
        let mut counts = EpochCounts { epoch, ..EpochCounts::default() };
        for (batch, rejected) in inputs.rejected() {
            let name = rejected.dealer.map(|dealer| batch.text(dealer));
            let dealer = name.map(|name| self.dealer(crate::domain::hash::hash_text(name), name, &mut output.kpis));
            let source = self.sources.count(dealer, rejected.place.topic);
            source.records += 1;
            source.rejected += 1;
            counts.outputs += 1;
            let (payload, payload_bytes) = DeadLetter::payload_of(batch.text(rejected.record));
            let letter = DeadLetter {
                epoch,
                time_ms: rejected.time_ms,
                dealer: name.map(<[u8]>::to_vec),
                place: rejected.place,
                code: rejected.code,
                sentence: rejected.sentence.clone(),
                payload,
                payload_bytes,
            };
            self.letter(output, letter);
        }
        for (batch, event) in inputs.events() {
            self.event(epoch, batch, event, &mut counts, output);
        }
        self.close(epoch, output);
        self.statistics.borrow_mut().accepted += counts.events;
        output.epochs.push(counts);
    }

    fn flush(&mut self, output: &mut EntityOutput) {
        for table in TableId::ALL {
            let rows = &mut self.rows[table as usize];
            if !rows.is_empty() {
                output.rows.push((table, std::mem::replace(rows, RowBatch::new(table.width()))));
            }
        }
        let mut statistics = self.statistics.borrow_mut();
        statistics.live_rows[TableId::Customers as usize] = self.customers.rows() as i64;
        statistics.live_rows[TableId::Sources as usize] = self.sources.rows() as i64;
        statistics.state_bytes = (self.store.size_bytes() + self.duplicates.size_bytes()) as u64;
        statistics.dedup_keys = self.duplicates.keys() as u64;
    }
}
