//! What the models keep of one dealer.
//!
//! ```text
//!   Dealership ─┬─ clusters                leads ─▶ segments
//!               ├─ network, roster         reps: phases and load; number, cap, shift and skills
//!               ├─ waiting                 leads that nobody could take
//!               └─ lead timers, tick, midnight, placement ─▶ the next one that is due
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::clusters::{CLUSTERS, Clusters};
use super::settings::{AWAKE_MS, PLACEMENT_MS, TICK_MS};
use crate::domain::messages::TimerKind;
use crate::domain::zone::Zone;
use crate::models::assignment::candidate::Terms;
use crate::models::oscillators::network::{Network, Settings};

const MINUTES_PER_DAY: i64 = 1_440;

/// A rep's place in the team, beside what the network knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seat {
    /// Number of the rep.
    pub number: u32,
    /// What the rep may be given.
    pub terms: Terms,
    /// The phase at the rep's own last event.
    pub shown_phase: f64,
}

/// The team as it was told last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TeamShown {
    /// Coherence; none while nobody is on duty.
    pub coherence: Option<f64>,
    /// Mean phase in [0, 2π), likewise.
    pub mean_phase: Option<f64>,
    /// Reps on duty.
    pub reps: u32,
    /// The share of staffed time with somebody ready.
    pub coverage: Option<f64>,
    /// When.
    pub updated_ms: i64,
}

/// A waiting lead: since when, the hash of its id, its place. In the order in which leads are placed among equals.
pub type Waiting = (i64, u64, u32);
/// A lead that is active with a rep: the rep's number, the hash of the lead's id, its place.
pub type Active = (u32, u64, u32);
/// A timer of a lead: when it is due, which, the hash of the lead's id, its place.
pub type LeadTimer = (i64, TimerKind, u64, u32);

/// One dealer.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "marks of what is to be written, each for a reader of its own")]
pub struct Dealership {
    /// Its number.
    pub dealer: u32,
    /// Its clusters of leads, if the model is on.
    pub clusters: Option<Clusters>,
    /// Its team.
    pub network: Network,
    /// A seat for each member of the network, in the same order.
    pub roster: Vec<Seat>,
    /// Active deals by the number of their rep, whether or not the rep is known: as many entries as there are active deals at most.
    pub workloads: BTreeMap<u32, u32>,
    /// Its time zone.
    pub zone: Zone,
    /// Leads that wait for a rep.
    pub waiting: BTreeSet<Waiting>,
    /// Leads that are active with a rep.
    pub active: BTreeSet<Active>,
    /// Timers of leads. They may come too early: the lead says when it is due.
    pub lead_timers: BTreeSet<LeadTimer>,
    /// When deals leave memory: when, the hash of the deal's id, its place. They may come too early, too.
    pub deal_timers: BTreeSet<(i64, u64, u32)>,
    /// When the oscillators tick next; none while nobody is on duty or the dealer sleeps.
    pub tick_due_ms: Option<i64>,
    /// When the local day begins; none without a team.
    pub midnight_due_ms: Option<i64>,
    /// When a shift begins that waiting leads may go to.
    pub placement_due_ms: Option<i64>,
    /// The last event.
    pub event_ms: i64,
    /// Until when timers have fired.
    pub fired_until_ms: i64,
    /// The latest command to begin anew.
    pub reset_ms: Option<i64>,
    /// Live leads by cluster.
    pub members: [u32; CLUSTERS],
    /// Unusual ones among them.
    pub outliers: [u32; CLUSTERS],
    /// The last lead that each cluster was taught by or left by, or the reset behind it, in event time.
    pub segment_updated_ms: [i64; CLUSTERS],
    /// Which clusters' rows the epoch has changed, a bit each.
    pub dirty_segments: u8,
    /// Which clusters have a row, likewise.
    pub shown_segments: u8,
    /// Fingerprint of band, bottlenecks and mentoring as they were told last.
    pub team_fingerprint: u64,
    /// The team as it was told last.
    pub shown_team: Option<TeamShown>,
    /// Whether the epoch has told of the team.
    pub is_team_dirty: bool,
    /// Whether the team has a row.
    pub has_team_row: bool,
    /// Whether the epoch has changed it.
    pub is_dirty: bool,
    /// Whether it changed since it was last written down.
    pub is_unwritten: bool,
    /// Whether its clusters did.
    pub has_learned: bool,
    /// When the worker's calendar looks at it.
    pub calendar_ms: Option<i64>,
}

impl Dealership {
    /// A dealer of whom nothing is known.
    pub fn new(dealer: u32, clusters: Option<Clusters>, network: Settings, time_ms: i64) -> Self {
        Dealership {
            dealer,
            clusters,
            network: Network::new(network, time_ms),
            roster: Vec::new(),
            workloads: BTreeMap::new(),
            zone: Zone::utc(),
            waiting: BTreeSet::new(),
            active: BTreeSet::new(),
            lead_timers: BTreeSet::new(),
            deal_timers: BTreeSet::new(),
            tick_due_ms: None,
            midnight_due_ms: None,
            placement_due_ms: None,
            event_ms: time_ms,
            fired_until_ms: i64::MIN,
            reset_ms: None,
            members: [0; CLUSTERS],
            outliers: [0; CLUSTERS],
            segment_updated_ms: [i64::MIN; CLUSTERS],
            dirty_segments: 0,
            shown_segments: 0,
            team_fingerprint: 0,
            shown_team: None,
            is_team_dirty: false,
            has_team_row: false,
            is_dirty: false,
            is_unwritten: false,
            has_learned: false,
            calendar_ms: None,
        }
    }

    /// The place of a rep in network and roster.
    pub fn seat_of(&self, number: u32) -> Option<usize> {
        self.roster.iter().position(|seat| seat.number == number)
    }

    /// The next timer, whichever it is.
    pub fn next_due_ms(&self) -> Option<i64> {
        let lead = self.lead_timers.first().map(|(due_ms, ..)| *due_ms);
        let deal = self.deal_timers.first().map(|(due_ms, ..)| *due_ms);
        [lead, deal, self.tick_due_ms, self.midnight_due_ms, self.placement_due_ms].into_iter().flatten().min()
    }

    /// The last instant at which periodic timers are awake.
    pub fn awake_until_ms(&self) -> i64 {
        self.event_ms.saturating_add(AWAKE_MS)
    }

    /// Sets the oscillators' next tick: the first whole multiple of five minutes behind `after_ms`, if somebody is on duty and the
    /// dealer is awake then.
    pub fn schedule_tick(&mut self, after_ms: i64) {
        let due_ms = (after_ms.div_euclid(TICK_MS) + 1) * TICK_MS;
        let is_awake = self.network.on_duty() > 0 && due_ms <= self.awake_until_ms();
        self.tick_due_ms = is_awake.then_some(due_ms);
    }

    /// Sets the next local midnight behind `after_ms`, if there is a team and the dealer is awake then.
    pub fn schedule_midnight(&mut self, after_ms: i64) {
        let due_ms = self.zone.next_midnight(after_ms);
        let is_awake = !self.roster.is_empty() && due_ms <= self.awake_until_ms();
        self.midnight_due_ms = is_awake.then_some(due_ms);
    }

    /// Sets when waiting leads are looked at next, at a whole minute behind `after_ms`: when the first shift begins of those on duty who
    /// are outside theirs. All else that could make room is an event or a timer of its own, and places at once.
    pub fn schedule_placement(&mut self, after_ms: i64) {
        // One that is due already has still to fire.
        let is_due = self.placement_due_ms.is_some_and(|due_ms| due_ms <= after_ms);
        if is_due && !self.waiting.is_empty() {
            return;
        }
        self.placement_due_ms = None;
        if self.waiting.is_empty() {
            return;
        }
        let minute = self.zone.local_minute(after_ms);
        let minutes_until = |seat: &Seat| {
            let shift = seat.terms.shift.filter(|shift| !shift.contains(minute))?;
            Some((i64::from(shift.begin_minute) - i64::from(minute)).rem_euclid(MINUTES_PER_DAY))
        };
        let on_duty = self.roster.iter().zip(self.network.members()).filter(|(_, member)| member.status.is_on_duty());
        let minutes = on_duty.filter_map(|(seat, _)| minutes_until(seat)).min();
        self.placement_due_ms =
            minutes.map(|minutes| (after_ms.div_euclid(PLACEMENT_MS) + minutes.max(1)) * PLACEMENT_MS);
    }

    /// Sets or ends a timer of a lead, in place of the one that was set.
    pub fn set_lead_timer(
        &mut self,
        kind: TimerKind,
        (hash, place): (u64, u32),
        was: Option<i64>,
        due_ms: Option<i64>,
    ) {
        if let Some(was) = was {
            self.lead_timers.remove(&(was, kind, hash, place));
        }
        if let Some(due_ms) = due_ms {
            self.lead_timers.insert((due_ms, kind, hash, place));
        }
    }
}
