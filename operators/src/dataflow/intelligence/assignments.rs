//! Leads to reps: at once where somebody can take them, together by the optimiser where leads have waited.
//!
//! ```text
//!   lead ─▶ choose ─┬─▶ assigned ─(no answer in time)─▶ another rep ─▶ reassigned
//!                   │      └─(rep off or gone)─▶ waits ─▶ place ─▶ reassigned, or unassigned until there is room
//!                   └─▶ waits ─(room)─▶ place together ─▶ assigned
//!   active   assigned, without a deal, with an event in the last seven days: counts towards the cap and slows its rep
//!            one that is active again goes on with its rep if that rep can have it, and else to another
//! ```

use smallvec::SmallVec;

use super::dealership::Dealership;
use super::lead_state::{Assigned, LeadState};
use super::settings::AssignmentSettings;
use super::turn::Turn;
use crate::domain::json_writer::JsonWriter;
use crate::domain::messages::{CauseId, MessageType, TimerKind};
use crate::models::assignment::candidate::{Candidate, Lead};
use crate::models::assignment::choice::{Choice, choose, problem};
use crate::models::assignment::score::Score;
use crate::models::optimiser::optimise;
use crate::models::oscillators::member::RepStatus;
use crate::models::whaco::segment::OUTLIER_ACTION;

/// Priority of a lead that no model has scored.
const PRIORITY_UNKNOWN: f64 = 0.5;
const REP_HAS_LEFT: &str = "the rep has left, and nobody else can take the lead";
const REP_IS_OFF: &str = "the rep is off, and nobody else can take the lead";

type Team<'a> = SmallVec<[Candidate<'a>; 16]>;

/// The team as candidates, but for one of them.
fn team_of(dealership: &Dealership, without: Option<u32>) -> Team<'_> {
    let members = dealership.network.members().iter().zip(&dealership.roster).enumerate();
    members
        .filter(|(_, (_, seat))| Some(seat.number) != without)
        .map(|(index, (member, seat))| Candidate::new(member, dealership.network.phase_of(index), &seat.terms))
        .collect()
}

/// What a lead asks for.
fn demand_of<'a>(lead: &'a LeadState, settings: &AssignmentSettings) -> Lead<'a> {
    let priority = lead.segmented.as_ref().map_or(PRIORITY_UNKNOWN, |segmented| {
        if settings.uses_credit_data { segmented.priority } else { segmented.routing_priority }
    });
    let wishes = lead.wishes.as_deref();
    Lead {
        priority,
        language: wishes.and_then(|wishes| wishes.language.as_deref()),
        skills: wishes.map_or(&[], |wishes| &wishes.skills),
    }
}

/// A rep found for a lead, and what the message says of it.
struct Found {
    number: u32,
    score: f64,
    data: Vec<u8>,
}

impl Turn<'_, '_> {
    /// Gives a lead to the best rep, but for one; says whether there is one.
    fn assign(&mut self, place: u32, without: Option<u32>) -> bool {
        let Some(settings) = &self.shared.settings.assignment else { return false };
        self.move_network();
        let minute = self.dealership.zone.local_minute(self.cause.time_ms);
        let found = {
            let lead = self.lead(place);
            let team = team_of(self.dealership, without);
            let choice = choose(demand_of(lead, settings), &team, minute, &settings.policy);
            choice.rep().map(|best| {
                let mut data = Vec::new();
                let mut json = JsonWriter::new(&mut data);
                json.key("reasons");
                json.list(|json| {
                    self.why_moving(place).into_iter().for_each(|reason| json.display(reason));
                    choice.reasons().for_each(|reason| json.display(reason));
                });
                let (id, score) = (best.rep.id, best.score.total());
                write_choice(&mut json, &choice, (id, score), lead);
                Found { number: self.number_of(id), score, data }
            })
        };
        let Some(found) = found else { return false };
        self.give(place, &found);
        true
    }

    fn number_of(&self, id: &str) -> u32 {
        let members = self.dealership.network.members();
        let seat = members.binary_search_by(|member| (*member.id).cmp(id)).unwrap_or_default();
        self.dealership.roster.get(seat).map_or(0, |seat| seat.number)
    }

    /// Why a lead leaves the rep who had it, if it does.
    fn why_moving(&self, place: u32) -> Option<String> {
        let rep = self.lead(place).moving?.rep;
        let Some(seat) = self.dealership.seat_of(rep) else { return Some("the rep before has left".to_owned()) };
        let member = &self.dealership.network.members()[seat];
        let why = if matches!(self.cause.id, CauseId::Timer(TimerKind::Response, ..)) {
            "has not answered in time"
        } else if member.status == RepStatus::Off {
            "is off"
        } else {
            "is at the cap of leads"
        };
        Some(format!("{} {why}", member.profile.name))
    }

    /// Makes a rep the one who has a lead, and says so.
    fn give(&mut self, place: u32, found: &Found) {
        let Some(settings) = &self.shared.settings.assignment else { return };
        let (time_ms, response_due_ms) =
            (self.cause.time_ms, self.cause.time_ms.saturating_add(settings.response_limit_ms));
        let epoch = self.shared.epoch;
        let before = self.lead_mut(place).moving.take();
        let message_type = if before.is_some() { MessageType::LeadReassigned } else { MessageType::LeadAssigned };
        let supersedes = before.map(|before| before.message);
        let message = self.send(message_type, Some(place), supersedes, |json, _, _| json.members(&found.data));
        self.stop_waiting(place);
        let lead = self.lead_mut(place);
        lead.assigned = Some(Assigned { rep: found.number, score: found.score, assigned_ms: time_ms, epoch, message });
        let due_ms = (!lead.is_answered).then_some(response_due_ms);
        self.set_response_timer(place, due_ms);
        self.refresh_active(place);
    }

    /// Brings what a lead is to its rep, to the queue and to its timers in line with what it is by itself.
    pub fn route_lead(&mut self, place: u32) {
        if self.shared.settings.assignment.is_none() {
            return;
        }
        if !self.return_lead(place) {
            return;
        }
        self.refresh_active(place);
        let lead = self.lead(place);
        if lead.is_answered || !lead.is_created {
            self.set_response_timer(place, None);
        }
        let lead = self.lead(place);
        let wants_rep = lead.is_created && lead.deals == 0 && !lead.is_idle && lead.assigned.is_none();
        if !wants_rep {
            self.stop_waiting(place);
        } else if !lead.is_waiting && !self.assign(place, None) {
            self.wait(place);
        }
    }

    /// Lets a lead that was at rest and is active again go on with its rep, or passes it on. Says whether the rep keeps it; of a lead that was
    /// not at rest, too.
    fn return_lead(&mut self, place: u32) -> bool {
        let Some(settings) = &self.shared.settings.assignment else { return false };
        let due_ms = self.cause.time_ms.saturating_add(settings.response_limit_ms);
        let lead = self.lead(place);
        let (is_answered, response_due_ms) = (lead.is_answered, lead.response_due_ms);
        let Some(assigned) = lead.assigned.filter(|_| !lead.is_active && lead.is_active_with_a_rep()) else {
            return true;
        };
        if let Some(reason) = self.cannot_take_again(assigned.rep, is_answered) {
            self.pass_on(place, reason);
            return false;
        }
        // Nobody answered before it came to rest: the clock begins anew.
        if !is_answered && response_due_ms.is_none() {
            self.set_response_timer(place, Some(due_ms));
        }
        true
    }

    /// Why a rep cannot go on with a lead that had come to rest; `None` if nothing is against it.
    fn cannot_take_again(&self, rep: u32, is_answered: bool) -> Option<&'static str> {
        let Some(seat) = self.dealership.seat_of(rep) else { return Some(REP_HAS_LEFT) };
        let member = &self.dealership.network.members()[seat];
        if member.status == RepStatus::Off && !is_answered {
            return Some(REP_IS_OFF);
        }
        let is_full = member.active_leads >= self.dealership.roster[seat].terms.lead_cap;
        is_full.then_some("the rep is at the cap of leads, and nobody else can take the lead")
    }

    /// Gives a lead to another than its rep; if there is nobody it waits.
    fn pass_on(&mut self, place: u32, reason: &str) {
        self.move_network();
        let before = self.take_back(place);
        self.lead_mut(place).moving = before;
        if self.assign(place, before.map(|before| before.rep)) {
            return;
        }
        self.wait(place);
        if let Some(before) = self.lead_mut(place).moving.take() {
            self.say_unassigned(place, before, reason);
        }
    }

    fn wait(&mut self, place: u32) {
        let time_ms = self.cause.time_ms;
        let lead = self.lead_mut(place);
        (lead.is_waiting, lead.waiting_since_ms) = (true, time_ms);
        let waiting = (time_ms, lead.hash, place);
        self.dealership.waiting.insert(waiting);
    }

    fn stop_waiting(&mut self, place: u32) {
        if !self.lead(place).is_waiting {
            return;
        }
        let lead = self.lead_mut(place);
        lead.is_waiting = false;
        let waiting = (lead.waiting_since_ms, lead.hash, place);
        self.dealership.waiting.remove(&waiting);
    }

    /// Counts a lead among its rep's active ones, or not any more.
    pub fn refresh_active(&mut self, place: u32) {
        let lead = self.lead(place);
        let is_active = lead.is_active_with_a_rep();
        if is_active == lead.is_active {
            return;
        }
        let Some(rep) = lead.assigned.map(|assigned| assigned.rep) else { return };
        self.move_network();
        let lead = self.lead_mut(place);
        lead.is_active = is_active;
        let active = (rep, lead.hash, place);
        if is_active {
            self.dealership.active.insert(active);
            self.change_load(rep, |counters| *counters.active_leads = counters.active_leads.saturating_add(1));
        } else {
            self.dealership.active.remove(&active);
            self.change_load(rep, |counters| *counters.active_leads = counters.active_leads.saturating_sub(1));
            self.may_place = true;
        }
    }

    /// Takes a lead from its rep.
    fn take_back(&mut self, place: u32) -> Option<Assigned> {
        let lead = self.lead(place);
        let assigned = lead.assigned?;
        if lead.is_active {
            let active = (assigned.rep, lead.hash, place);
            self.dealership.active.remove(&active);
            self.change_load(assigned.rep, |counters| *counters.active_leads = counters.active_leads.saturating_sub(1));
            self.may_place = true;
        }
        self.set_response_timer(place, None);
        let lead = self.lead_mut(place);
        lead.is_active = false;
        lead.assigned.take()
    }

    /// A lead is gone: nobody has it, and it does not wait. Without words if it only left memory.
    pub fn unassign(&mut self, place: u32, tells: bool) {
        self.stop_waiting(place);
        if self.lead(place).assigned.is_some() {
            self.move_network();
        }
        let Some(before) = self.take_back(place).filter(|_| tells) else { return };
        self.say_unassigned(place, before, "the lead was deleted");
    }

    fn say_unassigned(&mut self, place: u32, before: Assigned, reason: &str) {
        self.send(MessageType::LeadUnassigned, Some(place), Some(before.message), |json, _, rep_names| {
            json.key("reasons");
            json.list(|json| json.text(reason.as_bytes()));
            json.key("repId");
            rep_names.with_number(before.rep, |rep| json.text(rep));
        });
    }

    /// A rep went off or is gone. Others get the leads that are not answered yet, of one who is gone all that are active; those that
    /// nobody can take wait.
    pub fn lose_leads(&mut self, rep: u32, is_gone: bool) {
        if self.shared.settings.assignment.is_none() {
            return;
        }
        let active = self.dealership.active.range((rep, 0, 0)..=(rep, u64::MAX, u32::MAX));
        let places: Vec<u32> = active
            .map(|(_, _, place)| *place)
            .filter(|place| is_gone || !self.shared.leads[*place as usize].is_answered)
            .collect();
        for place in &places {
            let before = self.take_back(*place);
            self.lead_mut(*place).moving = before;
            self.wait(*place);
        }
        self.place_waiting();
        for place in places {
            if let Some(before) = self.lead_mut(place).moving.take() {
                self.say_unassigned(place, before, if is_gone { REP_HAS_LEFT } else { REP_IS_OFF });
            }
        }
    }

    /// Gives waiting leads to reps with room, together.
    pub fn place_waiting(&mut self) {
        self.may_place = false;
        let Some(settings) = &self.shared.settings.assignment else { return };
        let minute = self.dealership.zone.local_minute(self.cause.time_ms);
        if self.dealership.waiting.is_empty() || !self.has_room(settings, minute) {
            return;
        }
        self.move_network();
        let places: Vec<u32> =
            self.dealership.waiting.iter().take(settings.placement_leads_max).map(|(.., place)| *place).collect();
        let found: Vec<(u32, Found)> = {
            let leads: Vec<Lead<'_>> = places.iter().map(|place| demand_of(self.lead(*place), settings)).collect();
            let team = team_of(self.dealership, None);
            let problem = problem(&leads, &team, minute, &settings.policy);
            let reps = optimise(&problem, settings.iterations).placement.reps;
            let placed = reps.iter().zip(&places).zip(&leads);
            placed
                .filter_map(|((rep, place), demand)| Some(((*rep)? as usize, *place, demand)))
                .map(|(rep, place, demand)| {
                    let choice = choose(*demand, &team, minute, &settings.policy);
                    let score = Score::of(demand, &team[rep]);
                    let mut data = Vec::new();
                    let mut json = JsonWriter::new(&mut data);
                    json.key("reasons");
                    json.list(|json| {
                        self.why_moving(place).into_iter().for_each(|reason| json.display(reason));
                        json.display(format_args!(
                            "placed together with {} waiting leads: readiness {:+.2}, freedom {:+.2}, fit {:+.2}",
                            places.len(),
                            score.readiness,
                            score.freedom,
                            score.fit
                        ));
                    });
                    write_choice(&mut json, &choice, (team[rep].id, score.total()), self.lead(place));
                    (place, Found { number: self.dealership.roster[rep].number, score: score.total(), data })
                })
                .collect()
        };
        for (place, found) in found {
            self.give(place, &found);
        }
        self.may_place = false;
    }

    /// Whether some rep could take some lead.
    fn has_room(&self, settings: &AssignmentSettings, minute: u16) -> bool {
        self.dealership.network.members().iter().zip(&self.dealership.roster).any(|(member, seat)| {
            let is_there = match member.status {
                RepStatus::Available | RepStatus::Busy => true,
                RepStatus::Break => settings.policy.assigns_on_break,
                RepStatus::Off => false,
            };
            let is_in_shift = seat.terms.shift.is_none_or(|shift| shift.contains(minute));
            is_there && is_in_shift && member.active_leads < seat.terms.lead_cap
        })
    }

    /// A rep had so long to answer a lead and did not: another gets it, if there is one.
    pub fn response_is_due(&mut self, place: u32) {
        let Some(settings) = &self.shared.settings.assignment else { return };
        let (limit_ms, reassignments_max) = (settings.response_limit_ms, settings.reassignments_max);
        self.lead_mut(place).response_due_ms = None;
        let lead = self.lead(place);
        let Some(assigned) = lead.assigned.filter(|_| lead.is_active && !lead.is_answered) else { return };
        if lead.reassignments >= reassignments_max {
            return;
        }
        self.lead_mut(place).moving = Some(assigned);
        // The lead stays with its rep until another one is found.
        self.move_network();
        let before = self.take_back(place);
        if self.assign(place, Some(assigned.rep)) {
            self.lead_mut(place).reassignments += 1;
            return;
        }
        let due_ms = self.cause.time_ms.saturating_add(limit_ms);
        let lead = self.lead_mut(place);
        (lead.assigned, lead.moving) = (before, None);
        self.set_response_timer(place, Some(due_ms));
        self.refresh_active(place);
        self.may_place = false;
    }

    fn set_response_timer(&mut self, place: u32, due_ms: Option<i64>) {
        let was = self.lead(place).response_due_ms;
        if was != due_ms {
            let lead = self.lead_mut(place);
            lead.response_due_ms = due_ms;
            let hash = lead.hash;
            self.dealership.set_lead_timer(TimerKind::Response, (hash, place), was, due_ms);
        }
    }

    /// Sets when the queue is looked at next.
    pub fn schedule_placement(&mut self) {
        let after_ms = self.cause.time_ms.max(self.dealership.fired_until_ms);
        self.dealership.schedule_placement(after_ms);
    }
}

/// Writes who gets a lead, who else could, and what to do first.
fn write_choice(json: &mut JsonWriter<'_>, choice: &Choice<'_>, (rep, score): (&str, f64), lead: &LeadState) {
    json.key("repId");
    json.text(rep.as_bytes());
    json.key("score");
    json.double(score);
    json.key("alternatives");
    json.list(|json| {
        for ranked in choice.ranked.iter().filter(|ranked| ranked.rep.id != rep) {
            json.object(|json| {
                json.key("repId");
                json.text(ranked.rep.id.as_bytes());
                json.key("score");
                json.double(ranked.score.total());
            });
        }
    });
    json.key("recommendedActions");
    json.list(|json| {
        let Some(segmented) = &lead.segmented else { return };
        if segmented.anomaly.is_some() {
            json.text(OUTLIER_ACTION.as_bytes());
        }
        segmented.segment.actions().iter().for_each(|action| json.text(action.as_bytes()));
    });
}
