//! Where the entity machine and the models meet.
//!
//! ```text
//!   merge, command ─▶ observe ─(end of a block)─▶ think ─(end of the epoch)─▶ fire timers ─▶ leads that changed count as touched ─▶ rows
//!   an entity leaves ─▶ the models forget it
//! ```
//! The machine decides what is a duplicate and what an entity is; the models see only that. They come before the rows of the epoch,
//! which show their columns.

use super::driver::Inputs;
use super::entities::{EntityMachine, EntityOutput};
use super::entity_rows::{ModelColumns, RepAttributes};
use super::intelligence::observation::{DealSeen, LeadSeen, Observation, RepSeen, Subject};
use super::intelligence::settings::PreparedModels;
use super::intelligence::{Intelligence, Surroundings};
use crate::domain::batch::{Event, EventBatch, Value};
use crate::domain::entity::{EntityKind, dealer};
use crate::domain::entity_store::EntityView;
use crate::domain::event::{Effect, RESET_COMMAND};
use crate::domain::merge::{Change, Outcome};
use crate::domain::messages::MessageBatch;

impl EntityMachine {
    /// The machine with models on top. Without rows nobody reads what they say, and they are left out.
    #[must_use]
    pub fn with_models(mut self, models: PreparedModels) -> Self {
        if models.settings().is_any_enabled() && self.settings.rows {
            let mut models = Intelligence::new(models, self.settings.retention_ms);
            if self.settings.snapshots {
                models.keep_changes();
            }
            self.models = Some(Box::new(models));
        }
        self
    }

    /// What rows of leads and reps show of the models.
    pub(super) fn model_columns(&self) -> ModelColumns<'_> {
        ModelColumns { models: self.models.as_deref(), rep_names: &self.rep_names }
    }

    /// The attributes of a rep, with what the models say.
    pub(super) fn rep_attributes(&self, entity: EntityView<'_>) -> Option<RepAttributes> {
        let attributes = RepAttributes::of(entity, &self.rep_names)?;
        let phase = self.models.as_deref().and_then(|models| {
            let dealer = self.store.dealer_name(entity.dealer());
            let number = entity.with_key(|rep| self.rep_names.key(dealer, rep).1);
            models.shown_phase(entity.dealer(), number)
        });
        Some(RepAttributes { phase: phase.map(f64::to_bits), ..attributes })
    }

    /// Notes what an event made of its entity.
    #[inline]
    pub(super) fn observe(&mut self, kind: EntityKind, place: u32, change: &Change<'_>, outcome: Outcome) {
        let Some(models) = self.models.as_deref_mut().filter(|_| outcome.changed) else { return };
        let entity = self.store.entity(kind, place);
        let dealer = entity.dealer();
        let number = |rep: &[u8]| self.rep_names.key(self.store.dealer_name(dealer), rep).1;
        let subject = match kind {
            EntityKind::Lead => {
                let is_segmented = models.lead(place).is_some_and(|lead| lead.segmented.is_some());
                let news = (outcome.slots, change.effect == Effect::Create);
                Subject::Lead(LeadSeen::of(entity, place, news, is_segmented, models.arena()))
            }
            EntityKind::Deal => Subject::Deal(DealSeen::of(entity, place, number, models.arena())),
            EntityKind::Rep => {
                let number = entity.with_key(number);
                Subject::Rep(Box::new(RepSeen::of(entity, number, models.lead_cap())))
            }
            EntityKind::Dealer if outcome.slots & (1 << dealer::TIME_ZONE) != 0 => {
                Subject::Dealer(entity.text(dealer::TIME_ZONE))
            }
            EntityKind::Dealer | EntityKind::Vehicle | EntityKind::Customer => return,
        };
        models.observe(Observation { index: self.event_index, dealer, subject });
    }

    /// Notes a command that the models heed. Another one, which a later build may know, has no effect.
    pub(super) fn observe_command(&mut self, index: usize, dealer: u32, batch: &EventBatch, event: &Event) {
        const COMMAND: u8 = 0;
        let Some(models) = self.models.as_deref_mut() else { return };
        let is_reset = batch.values_of(event).iter().any(|field| {
            field.field == COMMAND && matches!(field.value, Value::Text(name) if batch.text(name) == RESET_COMMAND)
        });
        if is_reset {
            models.observe(Observation { index: index as u32, dealer, subject: Subject::Reset });
        }
    }

    /// Notes that a lead's retention had ended before the event that touches it.
    pub(super) fn observe_expired(&mut self, kind: EntityKind, place: u32) {
        if let Some(models) = self.models.as_deref_mut().filter(|_| kind == EntityKind::Lead) {
            let dealer = self.store.entity(kind, place).dealer();
            models.observe(Observation { index: self.event_index, dealer, subject: Subject::LeadExpired(place) });
        }
    }

    fn with_surroundings(
        &mut self,
        epoch: i64,
        messages: &mut MessageBatch,
        work: impl FnOnce(&mut Intelligence, &mut Surroundings<'_>),
    ) {
        if let Some(models) = self.models.as_deref_mut() {
            let mut surroundings = Surroundings { store: &self.store, rep_names: &self.rep_names, messages, epoch };
            work(models, &mut surroundings);
        }
    }

    /// Lets the models take in what a block of events did.
    pub(super) fn think(&mut self, epoch: i64, inputs: &Inputs<'_>, output: &mut EntityOutput) {
        self.with_surroundings(epoch, &mut output.messages, |models, surroundings| {
            models.think(|index| inputs.event(index), surroundings);
        });
    }

    /// Fires the models' timers that are due by the end of the epoch; the leads that the models changed count as touched.
    pub(super) fn end_thinking(&mut self, epoch: i64, output: &mut EntityOutput) {
        self.with_surroundings(epoch, &mut output.messages, Intelligence::fire_due);
        let Some(models) = self.models.take() else { return };
        for place in models.changed_leads() {
            let touched = self.touch(EntityKind::Lead, *place);
            self.mark_changed(touched);
        }
        self.models = Some(models);
    }

    /// An entity leaves memory at the end of the epoch.
    pub(super) fn forget_in_models(&mut self, epoch: i64, kind: EntityKind, place: u32, output: &mut EntityOutput) {
        if kind == EntityKind::Lead
            && let Some(models) = self.models.as_deref_mut()
        {
            let is_alive = self.store.entity(kind, place).is_alive();
            let counts = models.end_rows(place, is_alive, epoch, (&self.store, &self.rep_names), &mut self.rows);
            let mut statistics = self.statistics.borrow_mut();
            for (table, change) in counts.into_iter().flatten() {
                statistics.live_rows[table as usize] += change;
            }
        }
        self.with_surroundings(epoch, &mut output.messages, |models, surroundings| {
            models.leave(kind, place, surroundings);
        });
    }

    /// Writes the rows of the models' tables.
    pub(super) fn write_model_rows(&mut self, epoch: i64) {
        if let Some(models) = self.models.as_deref_mut() {
            let mut statistics = self.statistics.borrow_mut();
            models.write_rows(epoch, (&self.store, &self.rep_names), &mut self.rows, |(table, change)| {
                statistics.live_rows[table as usize] += change;
            });
        }
    }
}
