//! What was read of the models, brought together with the entities that it belongs to.
//!
//! ```text
//!   dealers, clusters ─▶ dealerships       reps ─▶ terms       deals ─▶ load, deals of leads       leads ─▶ queue, timers, members
//! ```

use super::dealership::{Dealership, Seat};
use super::lead_state::{DealState, Wishes};
use super::observation::{Arena, DealSeen, LeadSeen, RepSeen, text_list};
use super::snapshot::{DealerRecord, LeadRecord, PendingModels, is_active, is_idle, is_waiting};
use super::{Intelligence, rows};
use crate::dataflow::rep_names::RepNames;
use crate::domain::entity::{EntityKind, dealer, lead};
use crate::domain::entity_store::EntityStore;
use crate::domain::messages::TimerKind;
use crate::domain::zone::Zone;
use crate::models::whaco::snapshot::SnapshotError as WhacoError;

impl Intelligence {
    /// Takes over what was read.
    ///
    /// # Errors
    /// If the bytes of a dealer's clusters are damaged. Those of the form that is not in use now are passed over: it begins anew.
    pub fn restore(
        &mut self,
        pending: PendingModels,
        store: &EntityStore,
        rep_names: &RepNames,
    ) -> Result<(), WhacoError> {
        let (dealers, mut clusters, mut leads) = pending.into_records();
        for (dealer, record) in dealers {
            let mut dealership = self.restored_dealership(dealer, record, store, rep_names);
            if let Some(own) = dealership.clusters.as_mut()
                && let Some(bytes) = clusters.remove(&dealer)
            {
                match own.restore(&bytes) {
                    Ok(()) | Err(WhacoError::NoSnapshot { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            self.put_back(dealership, false);
        }
        for place in 0..store.places(EntityKind::Deal) {
            self.restore_deal(place, store, rep_names);
        }
        for place in 0..store.places(EntityKind::Lead) {
            let entity = store.entity(EntityKind::Lead, place);
            if !entity.is_held() {
                continue;
            }
            let key = (entity.dealer(), entity.with_key(<[u8]>::to_vec));
            if let Some(record) = leads.remove(&key) {
                self.restore_lead(place, record, &key.1, store, rep_names);
            }
        }
        Ok(())
    }

    fn restored_dealership(
        &self,
        dealer: u32,
        record: DealerRecord,
        store: &EntityStore,
        rep_names: &RepNames,
    ) -> Box<Dealership> {
        let settings = self.network_settings();
        let mut dealership = Box::new(Dealership::new(dealer, self.beginning.clone(), settings, record.event_ms));
        let name = store.dealer_name(dealer);
        let own = store.find(EntityKind::Dealer, dealer, store.hash(dealer, name), name);
        dealership.zone = own
            .and_then(|place| store.entity(EntityKind::Dealer, place).text(dealer::TIME_ZONE))
            .and_then(|zone| Zone::parse(&String::from_utf8_lossy(&zone)))
            .unwrap_or_else(Zone::utc);
        let seats = record.network.members().iter().zip(record.phases);
        dealership.roster = seats
            .map(|(member, shown_phase)| {
                let id = member.id.as_bytes();
                let number = rep_names.key(name, id).1;
                let place = store.find(EntityKind::Rep, dealer, store.hash(dealer, id), id);
                let seen =
                    place.map(|place| RepSeen::of(store.entity(EntityKind::Rep, place), number, self.lead_cap()));
                let terms = seen.and_then(|seen| seen.known).map(|(_, _, terms)| terms).unwrap_or_default();
                Seat { number, terms, shown_phase }
            })
            .collect();
        dealership.network = record.network;
        dealership.fired_until_ms = record.fired_until_ms;
        dealership.reset_ms = record.reset_ms;
        [dealership.tick_due_ms, dealership.midnight_due_ms, dealership.placement_due_ms] = record.due_ms;
        dealership.segment_updated_ms = record.segment_updated_ms;
        dealership.shown_segments = record.shown_segments;
        dealership.team_fingerprint = record.team_fingerprint;
        dealership.has_team_row = record.shown_team.is_some();
        dealership.shown_team = record.shown_team;
        dealership
    }

    fn restore_deal(&mut self, place: u32, store: &EntityStore, rep_names: &RepNames) {
        let entity = store.entity(EntityKind::Deal, place);
        let number = entity.dealer();
        if !entity.is_held() || !self.dealerships.get(number as usize).is_some_and(Option::is_some) {
            return;
        }
        let mut arena = Arena::default();
        let name = store.dealer_name(number);
        let seen = DealSeen::of(entity, place, |rep| rep_names.key(name, rep).1, &mut arena);
        let lead = arena.text(seen.lead).map(|id| self.named.add(number, store.hash(number, id), id));
        let mut dealership = self.dealership(number, seen.touched_ms);
        if let Some(rep) = seen.facts.rep.filter(|_| seen.facts.is_active) {
            *dealership.workloads.entry(rep).or_default() += 1;
        }
        let (due_ms, hash) =
            (seen.touched_ms.saturating_add(self.retention_ms), store.hash_at(EntityKind::Deal, place));
        dealership.deal_timers.insert((due_ms, hash, place));
        if self.deals.len() <= place as usize {
            self.deals.resize_with(place as usize + 1, DealState::default);
        }
        self.deals[place as usize] =
            DealState { facts: seen.facts, lead, touched_ms: seen.touched_ms, timer: Some((due_ms, hash)) };
        self.put_back(dealership, false);
    }

    fn restore_lead(&mut self, place: u32, record: LeadRecord, id: &[u8], store: &EntityStore, rep_names: &RepNames) {
        let entity = store.entity(EntityKind::Lead, place);
        let number = entity.dealer();
        let mut arena = Arena::default();
        let seen = LeadSeen::of(entity, place, (0, false), true, &mut arena);
        let hash = store.hash_at(EntityKind::Lead, place);
        if self.leads.len() <= place as usize {
            self.leads.resize_with(place as usize + 1, Default::default);
        }
        let mut dealership = self.dealership(number, seen.touched_ms);
        let state = &mut self.leads[place as usize];
        (state.is_known, state.dealer, state.hash) = (true, number, hash);
        (state.is_created, state.is_answered, state.touched_ms) = (seen.is_created, seen.is_answered, seen.touched_ms);
        (state.is_idle, state.is_waiting, state.is_active) =
            (is_idle(record.marks), is_waiting(record.marks), is_active(record.marks));
        (state.reassignments, state.waiting_since_ms) = (record.reassignments, record.waiting_since_ms);
        state.deals = self.named.deals(number, hash, id);
        let language = entity.with_text(lead::LANGUAGE, |text| String::from_utf8_lossy(text).into());
        let skills = entity.with_text(lead::SKILLS, text_list).unwrap_or_default();
        let asks = language.is_some() || !skills.is_empty();
        state.wishes = asks.then(|| Box::new(Wishes { language, skills }));
        let name = store.dealer_name(number);
        state.assigned = record.assigned.map(|(rep, assigned)| {
            let rep = rep_names.key(name, &rep).1;
            super::lead_state::Assigned { rep, ..assigned }
        });
        if let Some(segmented) = &record.segmented {
            let cluster = usize::from(segmented.cluster);
            dealership.members[cluster] += 1;
            dealership.outliers[cluster] += u32::from(segmented.anomaly.is_some());
        }
        state.segmented = record.segmented;
        state.shown = state.shows();
        if state.is_waiting {
            dealership.waiting.insert((state.waiting_since_ms, hash, place));
        }
        if let Some(assigned) = state.assigned.filter(|_| state.is_active) {
            dealership.active.insert((assigned.rep, hash, place));
        }
        state.response_due_ms = record.response_due_ms;
        if let Some(due_ms) = record.response_due_ms {
            dealership.lead_timers.insert((due_ms, TimerKind::Response, hash, place));
        }
        if !state.is_idle {
            let due_ms = seen.touched_ms.saturating_add(self.active_ms);
            state.inactivity_due_ms = Some(due_ms);
            dealership.lead_timers.insert((due_ms, TimerKind::Inactivity, hash, place));
        }
        self.put_back(dealership, false);
    }

    /// Rows that stand, after a restart.
    pub fn row_counts(&self) -> impl Iterator<Item = rows::RowCount> + '_ {
        let leads = self.leads.iter().flat_map(rows::lead_counts);
        leads.chain(self.dealerships.iter().flatten().flat_map(|dealership| rows::dealer_counts(dealership)))
    }
}
