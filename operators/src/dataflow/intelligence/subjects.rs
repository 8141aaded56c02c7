//! What an event was about, taken to the models that it concerns.

use super::lead_state::{DealState, LeadState, Wishes};
use super::observation::{Arena, DealFacts, DealSeen, LeadSeen, Subject, text_list};
use super::turn::Turn;
use crate::domain::entity::EntityKind;
use crate::domain::messages::TimerKind;
use crate::domain::zone::Zone;

impl Turn<'_, '_> {
    /// Takes in an event.
    pub fn take(&mut self, subject: Subject) {
        let event_ms = self.cause.time_ms;
        match subject {
            Subject::Dealer(zone) => self.take_zone(zone.as_deref()),
            Subject::Lead(seen) => self.take_lead(&seen),
            Subject::LeadExpired(place) => self.forget_lead(place),
            Subject::Deal(seen) => {
                self.take_seen_deal(&seen);
                self.tell_team(false);
            }
            Subject::Rep(seen) => {
                self.take_rep(*seen);
                self.tell_team(false);
            }
            Subject::Reset => self.reset(),
        }
        let after_ms = event_ms.max(self.dealership.fired_until_ms);
        if self.dealership.tick_due_ms.is_none() && self.shared.settings.oscillators.is_some() {
            self.dealership.schedule_tick(after_ms);
        }
        if self.dealership.midnight_due_ms.is_none() {
            self.dealership.schedule_midnight(after_ms);
        }
    }

    fn take_zone(&mut self, name: Option<&[u8]>) {
        let zone = name.and_then(|name| std::str::from_utf8(name).ok()).and_then(Zone::parse);
        self.dealership.zone = zone.unwrap_or_else(Zone::utc);
        // Other shifts may have begun by the other clock.
        self.may_place = true;
        let after_ms = self.cause.time_ms.max(self.dealership.fired_until_ms);
        self.dealership.schedule_midnight(after_ms);
    }

    fn take_lead(&mut self, seen: &LeadSeen) {
        let place = seen.place;
        self.make_room(place);
        let time_ms = self.cause.time_ms.max(self.dealership.fired_until_ms);
        let due_ms = seen.touched_ms.saturating_add(self.shared.active_ms);
        let arena: &Arena = self.shared.arena;
        let wishes = wishes_of(arena, seen);
        let lead = self.lead_mut(place);
        lead.is_created = seen.is_created;
        lead.is_answered = seen.is_answered;
        lead.touched_ms = seen.touched_ms;
        lead.is_idle = due_ms <= time_ms;
        if lead.wishes.as_deref() != wishes.as_ref() {
            lead.wishes = wishes.map(Box::new);
            // Who could not take it may be able to now.
            self.may_place |= self.lead(place).is_waiting;
        }
        let lead = self.lead_mut(place);
        // Until it is due the timer looks again, so one that is set already is early enough.
        if !lead.is_idle && lead.inactivity_due_ms.is_none() {
            lead.inactivity_due_ms = Some(due_ms);
            let hash = lead.hash;
            self.dealership.set_lead_timer(TimerKind::Inactivity, (hash, place), None, Some(due_ms));
        }
        self.segment_lead(seen);
        if !seen.is_created {
            self.unassign(place, true);
        }
        self.route_lead(place);
    }

    /// Makes room for the state of a lead, and fills in what never changes.
    fn make_room(&mut self, place: u32) {
        if self.shared.leads.len() <= place as usize {
            self.shared.leads.resize_with(place as usize + 1, Default::default);
        }
        let lead = &mut self.shared.leads[place as usize];
        if !lead.is_known {
            let (store, dealer) = (self.shared.store, self.dealership.dealer);
            lead.is_known = true;
            lead.dealer = dealer;
            lead.hash = store.hash_at(EntityKind::Lead, place);
            lead.deals =
                store.entity(EntityKind::Lead, place).with_key(|id| self.shared.named.deals(dealer, lead.hash, id));
        }
    }

    /// A lead leaves memory: nothing is said, and nothing remembered but the rows that stand.
    pub fn forget_lead(&mut self, place: u32) {
        if !self.shared.leads.get(place as usize).is_some_and(|lead| lead.is_known) {
            return;
        }
        self.unsegment(place, false);
        self.unassign(place, false);
        let (hash, was) = (self.lead(place).hash, self.lead(place).inactivity_due_ms);
        self.dealership.set_lead_timer(TimerKind::Inactivity, (hash, place), was, None);
        if self.shared.keeps_changes {
            let id = self.shared.store.entity(EntityKind::Lead, place).with_key(|id| Box::from(id));
            self.shared.gone.push((self.dealership.dealer, hash, id));
        }
        let lead = self.lead_mut(place);
        let (shown, is_dirty, is_unwritten) = (lead.shown, lead.is_dirty, lead.is_unwritten);
        *lead = LeadState::default();
        (lead.shown, lead.is_dirty, lead.is_unwritten) = (shown, is_dirty, is_unwritten);
    }

    fn take_seen_deal(&mut self, seen: &DealSeen) {
        let DealSeen { place, facts, lead, touched_ms } = *seen;
        if self.shared.deals.len() <= place as usize {
            self.shared.deals.resize_with(place as usize + 1, DealState::default);
        }
        self.shared.deals[place as usize].touched_ms = touched_ms;
        if self.shared.deals[place as usize].timer.is_none() {
            let hash = self.shared.store.hash_at(EntityKind::Deal, place);
            self.schedule_deal(place, hash, touched_ms.saturating_add(self.shared.retention_ms));
        }
        let dealer = self.dealership.dealer;
        let arena: &Arena = self.shared.arena;
        let named = arena.text(lead).map(|id| {
            let hash = self.shared.store.hash(dealer, id);
            self.shared.named.add(dealer, hash, id)
        });
        self.change_deal(place, facts, named);
    }

    /// A deal leaves memory.
    pub fn forget_deal(&mut self, place: u32) {
        let Some(deal) = self.shared.deals.get_mut(place as usize) else { return };
        if let Some((due_ms, hash)) = deal.timer.take() {
            self.dealership.deal_timers.remove(&(due_ms, hash, place));
        }
        self.change_deal(place, DealFacts::default(), None);
    }

    /// Counts what became of a deal; `named` is the entry of the lead that it names now.
    fn change_deal(&mut self, place: u32, facts: DealFacts, named: Option<u32>) {
        let before = self.shared.deals[place as usize];
        let changed = [before.lead, named].map(|entry| entry.and_then(|entry| self.lead_of(entry)));
        if let Some(entry) = before.lead {
            self.shared.named.remove(entry);
        }
        self.shared.deals[place as usize] = DealState { facts, lead: named, ..before };
        if facts != before.facts {
            self.take_deal(&before.facts, &facts);
        }
        for place in changed.into_iter().flatten() {
            self.count_deals(place);
        }
    }

    /// The place of a named lead, if the models know it.
    fn lead_of(&self, entry: u32) -> Option<u32> {
        let (dealer, hash, id, _) = self.shared.named.entry(entry);
        let place = self.shared.store.find(EntityKind::Lead, dealer, hash, id)?;
        self.shared.leads.get(place as usize).filter(|lead| lead.is_known).map(|_| place)
    }

    fn count_deals(&mut self, place: u32) {
        let lead = self.lead(place);
        let id = self.shared.store.entity(EntityKind::Lead, place);
        let deals = id.with_key(|id| self.shared.named.deals(lead.dealer, lead.hash, id));
        if deals != lead.deals {
            self.lead_mut(place).deals = deals;
            self.route_lead(place);
        }
    }
}

/// What a lead asks of a rep, if it asks for anything.
fn wishes_of(arena: &Arena, seen: &LeadSeen) -> Option<Wishes> {
    let language = arena.text(seen.language).map(|language| String::from_utf8_lossy(language).into());
    let skills = arena.text(seen.skills).map(text_list).unwrap_or_default();
    (language.is_some() || !skills.is_empty()).then_some(Wishes { language, skills })
}
