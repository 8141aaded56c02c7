//! What the loop keeps of all events: entities by kind, and who wrote what when.

use std::collections::HashMap;

use hashbrown::HashTable;
use operators::domain::batch::{Event, EventBatch, Value};
use operators::domain::entity::{EntityKind, PHASE_FRONTLINE, STAGE_DELIVERED, deal, dealer, lead, vehicle};
use operators::domain::event::{EventSpec, EventType};
use operators::domain::hash::hash_within;
use operators::domain::merge::Mark;
use operators::domain::zone::Zone;

use super::fields::{Customer, Deal, Dealer, Fields, Lead, Rep, Vehicle};
use super::kpis::{DailyKpis, KpiTotals, Measure};
use super::shelf::{Change, Key, Shelf};
use super::stamps::{Incoming, Stamps};
use super::texts::Texts;

struct DealerName {
    hash: u64,
    name: Vec<u8>,
    /// The source of its last event: most dealers have one per topic.
    source: u32,
}

/// An event and the place of its entity.
struct Found {
    /// The event's number in its batch.
    number: u32,
    dealer: u32,
    kind: EntityKind,
    place: u32,
}

/// All entities.
pub(super) struct State {
    dealer_index: HashTable<u32>,
    dealer_names: Vec<DealerName>,
    stamps: Stamps,
    texts: Texts,
    /// Values of the event in hand, by slot.
    values: Vec<(u8, Value)>,
    /// Entities of the batch in hand.
    found: Vec<Found>,
    dealers: Shelf<Dealer>,
    leads: Shelf<Lead>,
    deals: Shelf<Deal>,
    vehicles: Shelf<Vehicle>,
    reps: Shelf<Rep>,
    customers: Shelf<Customer>,
}

impl State {
    /// A state without entities, with room for the stamps of `events`.
    pub(super) fn with_capacity(events: usize) -> Self {
        State {
            dealer_index: HashTable::new(),
            dealer_names: Vec::new(),
            stamps: Stamps::with_capacity(events),
            texts: Texts::default(),
            values: Vec::new(),
            found: Vec::new(),
            dealers: Shelf::new(),
            leads: Shelf::new(),
            deals: Shelf::new(),
            vehicles: Shelf::new(),
            reps: Shelf::new(),
            customers: Shelf::new(),
        }
    }

    fn dealer(&mut self, hash: u64, name: &[u8]) -> u32 {
        let names = &mut self.dealer_names;
        if let Some(found) = self.dealer_index.find(hash, |number| names[*number as usize].name == name) {
            return *found;
        }
        let number = names.len() as u32;
        names.push(DealerName { hash, name: name.to_vec(), source: u32::MAX });
        self.dealer_index.insert_unique(hash, number, |number| names[*number as usize].hash);
        number
    }

    /// Merges the events of a batch that were not seen before, given by their numbers.
    ///
    /// All entities are found first and written then: look-ups do not depend on each other, so their waits for memory overlap.
    pub(super) fn merge(&mut self, batch: &EventBatch, first: &[u32]) {
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        found.extend(first.iter().filter_map(|number| self.find(batch, *number)));
        for found in &found {
            self.merge_found(batch, found);
        }
        self.found = found;
    }

    #[inline]
    fn find(&mut self, batch: &EventBatch, number: u32) -> Option<Found> {
        let event = &batch.events[number as usize];
        let kind = event.event_type.event_type().spec().entity?;
        let dealer = self.dealer(event.dealer_hash, batch.text(event.dealer));
        let key = Key { hash: event.entity_hash, dealer, id: batch.text(event.entity) };
        let texts = &mut self.texts;
        let place = match kind {
            EntityKind::Dealer => self.dealers.place(key, texts),
            EntityKind::Lead => self.leads.place(key, texts),
            EntityKind::Deal => self.deals.place(key, texts),
            EntityKind::Vehicle => self.vehicles.place(key, texts),
            EntityKind::Rep => self.reps.place(key, texts),
            EntityKind::Customer => self.customers.place(key, texts),
        };
        Some(Found { number, dealer, kind, place })
    }

    #[inline]
    fn merge_found(&mut self, batch: &EventBatch, &Found { number, dealer, kind, place }: &Found) {
        let event = &batch.events[number as usize];
        let event_type = event.event_type.event_type();
        let spec = event_type.spec();
        let last_source = &mut self.dealer_names[dealer as usize].source;
        let source = self.stamps.source(batch.text(event.source), *last_source);
        *last_source = source;
        let (time_ms, sequence) = (event.time_ms, event.sequence);
        let stamp = self.stamps.push(&Incoming { time_ms, sequence, id: batch.text(event.id), source });
        let mark = slot_values(spec, event_type, batch, event, &mut self.values);
        let change = Change { stamp, time_ms, effect: spec.effect, mark, values: &self.values };
        let (texts, stamps) = (&mut self.texts, &self.stamps);
        match kind {
            EntityKind::Dealer => self.dealers.merge(place, &change, batch, texts, stamps),
            EntityKind::Lead => self.leads.merge(place, &change, batch, texts, stamps),
            EntityKind::Deal => self.deals.merge(place, &change, batch, texts, stamps),
            EntityKind::Vehicle => self.vehicles.merge(place, &change, batch, texts, stamps),
            EntityKind::Rep => self.reps.merge(place, &change, batch, texts, stamps),
            EntityKind::Customer => {
                self.customers.merge(place, &change, batch, texts, stamps);
                if let Some((id, engagement)) = engaged_lead(batch, event) {
                    let values = [(lead::ENGAGEMENT, engagement)];
                    let change = Change { values: &values, ..change };
                    let key = Key { hash: hash_within(event.dealer_hash, id), dealer, id };
                    let place = self.leads.place(key, texts);
                    self.leads.merge(place, &change, batch, texts, stamps);
                }
            }
        }
    }

    /// Counts the daily KPIs of what is there, in each dealer's present zone.
    pub(super) fn daily_kpis(&mut self) -> KpiTotals {
        let mut zones = Zones::of(&self.dealers, self.dealer_names.len(), &self.texts, &self.stamps);
        let mut kpis = DailyKpis::default();
        let stamps = &self.stamps;
        self.leads.settle(stamps);
        for lead in self.leads.alive(stamps) {
            if let Some(created_ms) = lead.first_ms(Mark::Created) {
                let day = zones.local_day(lead.dealer(), created_ms);
                let response_ms = lead.first_ms(Mark::Reached).map(|responded_ms| (responded_ms - created_ms).max(0));
                kpis.count_lead(lead.dealer(), day, response_ms);
            }
        }
        self.deals.settle(stamps);
        for deal in self.deals.alive(stamps) {
            if let Some(created_ms) = deal.first_ms(Mark::Created) {
                kpis.count(deal.dealer(), zones.local_day(deal.dealer(), created_ms), Measure::DealsCreated);
            }
            if deal.has(deal::STAGE, stamps) && deal.fields.stage == STAGE_DELIVERED as i32 {
                let closed_ms = stamps.time_ms(deal.fields.writer(deal::STAGE));
                let gross = |slot, cents| if deal.has(slot, stamps) { cents } else { 0 };
                let gross_cents = [
                    gross(deal::FRONT_GROSS_CENTS, deal.fields.front_gross_cents),
                    gross(deal::BACK_GROSS_CENTS, deal.fields.back_gross_cents),
                ];
                kpis.count_closed(deal.dealer(), zones.local_day(deal.dealer(), closed_ms), gross_cents);
            }
        }
        self.vehicles.settle(stamps);
        for vehicle in self.vehicles.alive(stamps) {
            for (mark, measure) in [(Mark::Created, Measure::VehiclesAcquired), (Mark::Sold, Measure::VehiclesSold)] {
                if let Some(time_ms) = vehicle.first_ms(mark) {
                    kpis.count(vehicle.dealer(), zones.local_day(vehicle.dealer(), time_ms), measure);
                }
            }
        }
        kpis.totals()
    }
}

/// The lead that a customer's engagement names, with the engagement.
fn engaged_lead<'a>(batch: &'a EventBatch, event: &Event) -> Option<(&'a [u8], Value)> {
    let spec = event.event_type.event_type().spec();
    let named = |name| {
        let values = batch.values_of(event).iter();
        values.filter(|value| spec.fields[usize::from(value.field)].name == name).map(|value| value.value).next()
    };
    match (named("leadId"), named("engagement")) {
        (Some(Value::Text(id)), Some(engagement @ Value::Double(_))) => Some((batch.text(id), engagement)),
        _ => None,
    }
}

/// Puts what an event sets into `values`, by slot. Gives the mark it leaves.
#[inline]
fn slot_values(
    spec: &EventSpec,
    event_type: EventType,
    batch: &EventBatch,
    event: &Event,
    values: &mut Vec<(u8, Value)>,
) -> Option<Mark> {
    values.clear();
    let mut implied = spec.implied;
    let mut mark = match event_type {
        EventType::LeadResponded => Some(Mark::Reached),
        EventType::VehicleSold => Some(Mark::Sold),
        _ => None,
    };
    for field in batch.values_of(event) {
        let Some(slot) = spec.fields[usize::from(field.field)].slot else { continue };
        if let Some((_, _, true)) = implied.filter(|(own, ..)| *own == slot) {
            // The implied word gives way to one that is named, but not to null.
            if field.value == Value::Null {
                continue;
            }
            implied = None;
        }
        let names_frontline = slot == vehicle::PHASE && field.value == Value::Integer(PHASE_FRONTLINE as i64);
        if names_frontline && spec.entity == Some(EntityKind::Vehicle) {
            mark = Some(Mark::Reached);
        }
        values.push((slot, field.value));
    }
    if let Some((slot, code, _)) = implied {
        values.push((slot, Value::Integer(code as i64)));
    }
    mark
}

/// Every dealer's zone. Dealers of one zone share it, and with it the offset it remembers.
struct Zones {
    of_dealer: Vec<u32>,
    zones: Vec<Zone>,
}

impl Zones {
    fn of(dealers: &Shelf<Dealer>, count: usize, texts: &Texts, stamps: &Stamps) -> Self {
        let mut zones = Zones { of_dealer: vec![0; count], zones: vec![Zone::utc()] };
        let mut numbers = HashMap::<Vec<u8>, u32>::new();
        for dealer in dealers.alive(stamps).filter(|dealer| dealer.has(dealer::TIME_ZONE, stamps)) {
            let name = texts.bytes(dealer.fields.time_zone);
            zones.of_dealer[dealer.dealer() as usize] = *numbers.entry(name).or_insert_with_key(|name| {
                let zone = std::str::from_utf8(name).ok().and_then(Zone::parse).unwrap_or_else(Zone::utc);
                zones.zones.push(zone);
                zones.zones.len() as u32 - 1
            });
        }
        zones
    }

    fn local_day(&mut self, dealer: u32, time_ms: i64) -> i64 {
        self.zones[self.of_dealer[dealer as usize] as usize].local_day(time_ms)
    }
}
