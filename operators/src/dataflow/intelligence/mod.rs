//! The models in the dataflow: clusters of leads, networks of reps, assignment.
//!
//! ```text
//!   entity machine ─▶ observations, in content order ─┐            ┌─▶ messages: segments, anomalies, assignments, team status
//!                     timers, in order of due times ──┴▶ turns ────┼─▶ columns of leads, customers and reps (read by the entity machine)
//!                                                                  └─▶ rows of segments, members, anomalies, assignments, teams
//! ```
//! **Contract**: one turn for each cause, an event, a command or a timer of one dealer. A timer fires before events that are later than it was
//! due, once the epoch is `timer_grace` past it; an event that comes after a timer that it should have preceded is applied in its
//! epoch, and what it says is marked late. Dealers do not see each other, so neither epochs of another width nor another number of
//! workers change what is said. A dealer without events for seven days has no periodic timers.
//!
//! The models keep no entity of their own: they see what the merge rule made of an event, once, and remember by the entity's place
//! what follows from it.

pub mod assignments;
pub mod clusters;
pub mod dealership;
pub mod lead_state;
pub mod observation;
mod reset;
mod restore;
pub mod rows;
pub mod segments;
pub mod settings;
mod snapshot;
mod subjects;
pub mod team;
mod timers;
pub mod turn;

use std::collections::BTreeSet;

use self::clusters::Clusters;
use self::dealership::Dealership;
use self::lead_state::{DealState, LeadState, NamedLeads};
use self::observation::{Arena, Observation, Subject};
use self::settings::{ACTIVE_MS, ModelSettings, PreparedModels};
pub(super) use self::snapshot::{ModelWork, PendingModels};
use self::turn::{Cause, Shared, Turn};
use super::rep_names::RepNames;
use crate::domain::batch::{Event, EventBatch};
use crate::domain::entity::EntityKind;
use crate::domain::entity_store::EntityStore;
use crate::domain::messages::{CauseId, MessageBatch, TimerKind};
use crate::models::oscillators::kuramoto::Workspace;
use crate::models::oscillators::network;

/// What the models read and write of the entity machine.
pub struct Surroundings<'a> {
    /// The entities, for ids.
    pub store: &'a EntityStore,
    /// Ids of reps.
    pub rep_names: &'a RepNames,
    /// What goes out.
    pub messages: &'a mut MessageBatch,
    /// The epoch.
    pub epoch: i64,
}

/// The models of one worker's dealers.
pub struct Intelligence {
    settings: ModelSettings,
    /// How long a lead stays active after its last event: seven days, or less if it leaves memory before.
    active_ms: i64,
    retention_ms: i64,
    /// Clusters that have seen no lead, from which every dealer's begin.
    beginning: Option<Clusters>,
    dealerships: Vec<Option<Box<Dealership>>>,
    leads: Vec<LeadState>,
    deals: Vec<DealState>,
    named: NamedLeads,
    /// When to look at which dealer.
    calendar: BTreeSet<(i64, u32)>,
    workspace: Workspace,
    observed: Vec<Observation>,
    arena: Arena,
    dirty_leads: Vec<u32>,
    dirty_dealers: Vec<u32>,
    unwritten_leads: Vec<u32>,
    unwritten_dealers: Vec<u32>,
    /// Leads that are not there any more since they were written down: dealer, hash, id.
    gone: Vec<(u32, u64, Box<[u8]>)>,
    /// Whether what changes is remembered for snapshots.
    keeps_changes: bool,
}

impl Intelligence {
    /// Models that have seen nothing. Leads and deals leave memory `retention_ms` after their last event.
    pub fn new(models: PreparedModels, retention_ms: i64) -> Self {
        let PreparedModels { settings, beginning } = models;
        Intelligence {
            settings,
            active_ms: retention_ms.min(ACTIVE_MS + 1),
            retention_ms,
            beginning,
            dealerships: Vec::new(),
            leads: Vec::new(),
            deals: Vec::new(),
            named: NamedLeads::default(),
            calendar: BTreeSet::new(),
            workspace: Workspace::default(),
            observed: Vec::new(),
            arena: Arena::default(),
            dirty_leads: Vec::new(),
            dirty_dealers: Vec::new(),
            unwritten_leads: Vec::new(),
            unwritten_dealers: Vec::new(),
            gone: Vec::new(),
            keeps_changes: false,
        }
    }

    /// The cap of reps who have none of their own.
    pub fn lead_cap(&self) -> u32 {
        let assignment = self.settings.assignment.as_ref();
        assignment.map_or(crate::models::assignment::candidate::LEAD_CAP_DEFAULT, |assignment| assignment.lead_cap)
    }

    /// Where texts of observations are kept.
    pub fn arena(&mut self) -> &mut Arena {
        &mut self.arena
    }

    /// Notes what an event did, for [`Intelligence::think`].
    pub fn observe(&mut self, observation: Observation) {
        self.observed.push(observation);
    }

    /// What the models know of a lead.
    pub fn lead(&self, place: u32) -> Option<&LeadState> {
        self.leads.get(place as usize)
    }

    /// Leads whose columns the epoch has changed.
    pub fn changed_leads(&self) -> &[u32] {
        &self.dirty_leads
    }

    /// The phase of a rep at the rep's own last event.
    pub fn shown_phase(&self, dealer: u32, number: u32) -> Option<f64> {
        self.settings.oscillators?;
        let dealership = self.dealerships.get(dealer as usize)?.as_ref()?;
        dealership.seat_of(number).map(|seat| dealership.roster[seat].shown_phase)
    }

    /// Takes in what was observed, in content order. `event` gives an event of the epoch by its number.
    pub fn think<'a>(
        &mut self,
        event: impl Fn(usize) -> (&'a EventBatch, &'a Event),
        surroundings: &mut Surroundings<'_>,
    ) {
        let mut observed = std::mem::take(&mut self.observed);
        // Stable: of one event a lead that expired comes before what became of it.
        observed.sort_by_key(|observation| observation.index);
        for Observation { index, dealer, subject } in observed.drain(..) {
            let (batch, event) = event(index as usize);
            self.event(dealer, subject, batch, event, surroundings);
        }
        self.observed = observed;
        self.arena.clear();
    }

    /// Takes a dealer out, to be worked on; one that was not known begins.
    fn dealership(&mut self, dealer: u32, time_ms: i64) -> Box<Dealership> {
        self.dealerships.get_mut(dealer as usize).and_then(Option::take).unwrap_or_else(|| {
            let network = self.network_settings();
            Box::new(Dealership::new(dealer, self.beginning.clone(), network, time_ms))
        })
    }

    /// The settings of networks.
    pub fn network_settings(&self) -> network::Settings {
        self.settings.oscillators.unwrap_or_default()
    }

    fn event(
        &mut self,
        dealer: u32,
        subject: Subject,
        batch: &EventBatch,
        event: &Event,
        surroundings: &mut Surroundings<'_>,
    ) {
        if matches!(subject, Subject::Reset) && !self.heeds_reset(dealer, event.time_ms) {
            return;
        }
        let mut dealership = self.dealership(dealer, event.time_ms);
        let latest_ms = surroundings.epoch.saturating_sub(self.settings.timer_grace_ms);
        self.fire(&mut dealership, latest_ms.min(event.time_ms.saturating_sub(1)), surroundings);
        self.wake(&mut dealership, event.time_ms);
        let cause = Cause {
            id: CauseId::Event(event.identity),
            time_ms: event.time_ms,
            event: Some(batch.text(event.id)),
            is_late: event.time_ms <= dealership.fired_until_ms,
        };
        self.turn(&mut dealership, cause, surroundings, |turn| turn.take(subject));
        self.put_back(dealership, true);
    }

    /// A lead or deal leaves memory at the end of the epoch.
    pub fn leave(&mut self, kind: EntityKind, place: u32, surroundings: &mut Surroundings<'_>) {
        if !matches!(kind, EntityKind::Lead | EntityKind::Deal) {
            return;
        }
        let entity = surroundings.store.entity(kind, place);
        let (dealer, due_ms) = (entity.dealer(), entity.touched_at().saturating_add(self.retention_ms));
        let hash = surroundings.store.hash_at(kind, place);
        let mut dealership = self.dealership(dealer, due_ms);
        let id = CauseId::Timer(TimerKind::Retention, due_ms, hash);
        let cause = Cause { id, time_ms: due_ms, event: None, is_late: false };
        self.turn(&mut dealership, cause, surroundings, |turn| match kind {
            EntityKind::Lead => turn.forget_lead(place),
            _ => turn.forget_deal(place),
        });
        self.put_back(dealership, true);
    }

    /// Lets a cause work on a dealer, and brings the dealer's timers in line with what came of it.
    fn turn(
        &mut self,
        dealership: &mut Dealership,
        cause: Cause<'_>,
        surroundings: &mut Surroundings<'_>,
        work: impl FnOnce(&mut Turn<'_, '_>),
    ) {
        let mut shared = Shared {
            settings: &self.settings,
            beginning: self.beginning.as_ref(),
            active_ms: self.active_ms,
            retention_ms: self.retention_ms,
            store: surroundings.store,
            rep_names: surroundings.rep_names,
            leads: &mut self.leads,
            deals: &mut self.deals,
            named: &mut self.named,
            arena: &self.arena,
            workspace: &mut self.workspace,
            messages: surroundings.messages,
            dirty_leads: &mut self.dirty_leads,
            unwritten_leads: &mut self.unwritten_leads,
            gone: &mut self.gone,
            keeps_changes: self.keeps_changes,
            epoch: surroundings.epoch,
        };
        let mut turn = Turn { dealership, shared: &mut shared, cause, ordinal: 0, may_place: false };
        work(&mut turn);
        if turn.may_place {
            turn.place_waiting();
        }
        turn.schedule_placement();
    }

    /// Ends the work on a dealer: notes that it changed, and when to look at it next.
    fn put_back(&mut self, mut dealership: Box<Dealership>, has_changed: bool) {
        let dealer = dealership.dealer;
        if has_changed && !std::mem::replace(&mut dealership.is_dirty, true) {
            self.dirty_dealers.push(dealer);
        }
        if has_changed && self.keeps_changes && !std::mem::replace(&mut dealership.is_unwritten, true) {
            self.unwritten_dealers.push(dealer);
        }
        let due_ms = dealership.next_due_ms();
        if due_ms != dealership.calendar_ms {
            if let Some(was_ms) = dealership.calendar_ms {
                self.calendar.remove(&(was_ms, dealer));
            }
            self.calendar.extend(due_ms.map(|due_ms| (due_ms, dealer)));
            dealership.calendar_ms = due_ms;
        }
        if self.dealerships.len() <= dealer as usize {
            self.dealerships.resize_with(dealer as usize + 1, || None);
        }
        self.dealerships[dealer as usize] = Some(dealership);
    }
}
