//! Timers: which is due next, and what it does.
//!
//! ```text
//!   tick        every five minutes while somebody is on duty     ─▶ team.status.changed
//!   midnight    local, while there is a team                     ─▶ the day's counters begin anew
//!   placement   a shift begins while leads wait                  ─▶ waiting leads are placed
//!   inactivity  seven days after a lead's last event             ─▶ its rep has a lead less
//!   response    a rep has not answered in time                   ─▶ another rep
//!   retention   a deal leaves memory                             ─▶ its rep has a deal less
//! ```
//! Tick and midnight are periodic and sleep with the dealer.

use super::dealership::Dealership;
use super::lead_state::DealState;
use super::turn::{Cause, Turn};
use super::{Intelligence, Surroundings};
use crate::domain::messages::{CauseId, TimerKind};

/// A timer that is due: when, which, and the lead or deal that it is about.
type Due = (i64, TimerKind, Option<(u64, u32)>);

impl Dealership {
    /// The next timer, if it is due by then. Of equal times the kinds fire in the order of their numbers.
    fn due(&self, until_ms: i64) -> Option<Due> {
        let own = [
            (self.tick_due_ms, TimerKind::Tick),
            (self.midnight_due_ms, TimerKind::Midnight),
            (self.placement_due_ms, TimerKind::Placement),
        ];
        let own = own.into_iter().filter_map(|(due_ms, kind)| Some((due_ms?, kind, None)));
        let lead = self.lead_timers.first().map(|(due_ms, kind, hash, place)| (*due_ms, *kind, Some((*hash, *place))));
        let deal = self.deal_timers.first();
        let deal = deal.map(|(due_ms, hash, place)| (*due_ms, TimerKind::Retention, Some((*hash, *place))));
        own.chain(lead).chain(deal).min().filter(|(due_ms, ..)| *due_ms <= until_ms)
    }
}

impl Intelligence {
    /// Fires a dealer's timers that are due by `until_ms`, in order. Says whether anything may have come of them.
    pub(super) fn fire(
        &mut self,
        dealership: &mut Dealership,
        until_ms: i64,
        surroundings: &mut Surroundings<'_>,
    ) -> bool {
        let mut fires = false;
        while let Some((due_ms, kind, lead)) = dealership.due(until_ms) {
            let hash = lead.map_or(0, |(hash, _)| hash);
            let cause = Cause { id: CauseId::Timer(kind, due_ms, hash), time_ms: due_ms, event: None, is_late: false };
            let mut has_fired = true;
            self.turn(dealership, cause, surroundings, |turn| {
                has_fired = turn.timer(kind, lead.map(|(_, place)| place));
            });
            if has_fired {
                dealership.fired_until_ms = dealership.fired_until_ms.max(due_ms);
            }
            fires |= has_fired;
        }
        fires
    }

    /// Begins anew after a sleep: a local midnight that was slept through is made good.
    pub(super) fn wake(&mut self, dealership: &mut Dealership, event_ms: i64) {
        if event_ms <= dealership.event_ms {
            return;
        }
        let has_slept = event_ms > dealership.awake_until_ms();
        dealership.event_ms = event_ms;
        if has_slept && !dealership.roster.is_empty() {
            dealership.network.begin_event(event_ms, &mut self.workspace);
            dealership.network.begin_day(|_| None);
            dealership.schedule_midnight(event_ms);
            if self.settings.oscillators.is_some() {
                dealership.schedule_tick(event_ms);
            }
        }
    }

    /// Fires what is due at the end of an epoch.
    pub fn fire_due(&mut self, surroundings: &mut Surroundings<'_>) {
        let latest_ms = surroundings.epoch.saturating_sub(self.settings.timer_grace_ms);
        while let Some((_, dealer)) = self.calendar.first().copied().filter(|(due_ms, _)| *due_ms <= latest_ms) {
            let Some(mut dealership) = self.dealerships[dealer as usize].take() else { return };
            let has_changed = self.fire(&mut dealership, latest_ms, surroundings);
            self.put_back(dealership, has_changed);
        }
    }
}

impl Turn<'_, '_> {
    /// Fires a timer. Says whether anything may have come of it.
    fn timer(&mut self, kind: TimerKind, place: Option<u32>) -> bool {
        let due_ms = self.cause.time_ms;
        match (kind, place) {
            (TimerKind::Inactivity, Some(place)) => return self.inactivity_is_due(place),
            (TimerKind::Response, Some(place)) => {
                let hash = self.lead(place).hash;
                self.dealership.set_lead_timer(kind, (hash, place), Some(due_ms), None);
                self.response_is_due(place);
            }
            (TimerKind::Tick, _) => {
                self.dealership.network.advance(due_ms, self.shared.workspace);
                let reports = due_ms.rem_euclid(self.shared.settings.report_ms.max(1)) == 0;
                self.tell_team(reports);
                self.dealership.schedule_tick(due_ms);
            }
            (TimerKind::Midnight, _) => {
                self.dealership.network.advance(due_ms, self.shared.workspace);
                self.begin_day();
                self.tell_team(false);
                self.dealership.schedule_midnight(due_ms);
            }
            (TimerKind::Placement, _) => {
                self.dealership.placement_due_ms = None;
                self.may_place = true;
            }
            (TimerKind::Retention, Some(place)) => return self.retention_is_due(place),
            // These are about leads and deals.
            (TimerKind::Inactivity | TimerKind::Response | TimerKind::Retention, None) => {}
        }
        true
    }

    fn inactivity_is_due(&mut self, place: u32) -> bool {
        let time_ms = self.cause.time_ms;
        let lead = self.lead(place);
        let (hash, due_ms) = (lead.hash, lead.touched_ms.saturating_add(self.shared.active_ms));
        let is_idle = due_ms <= time_ms;
        let next_ms = (!is_idle).then_some(due_ms);
        self.dealership.set_lead_timer(TimerKind::Inactivity, (hash, place), Some(time_ms), next_ms);
        // Where the timer stands follows from the lead, so that moving it is no change.
        self.shared.leads[place as usize].inactivity_due_ms = next_ms;
        if is_idle {
            self.lead_mut(place).is_idle = true;
            self.route_lead(place);
        }
        is_idle
    }

    fn retention_is_due(&mut self, place: u32) -> bool {
        let time_ms = self.cause.time_ms;
        let DealState { touched_ms, timer, .. } = self.shared.deals[place as usize];
        let Some((was_ms, hash)) = timer else { return false };
        self.dealership.deal_timers.remove(&(was_ms, hash, place));
        self.shared.deals[place as usize].timer = None;
        let due_ms = touched_ms.saturating_add(self.shared.retention_ms);
        if due_ms > time_ms {
            self.schedule_deal(place, hash, due_ms);
            return false;
        }
        self.forget_deal(place);
        true
    }

    /// Sets when a deal leaves memory.
    pub fn schedule_deal(&mut self, place: u32, hash: u64, due_ms: i64) {
        self.shared.deals[place as usize].timer = Some((due_ms, hash));
        self.dealership.deal_timers.insert((due_ms, hash, place));
    }
}
