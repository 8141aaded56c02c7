//! One cause at work on one dealer: an event or a timer, with all that it may read, change and say.

use super::clusters::Clusters;
use super::dealership::Dealership;
use super::lead_state::{DealState, LeadState, NamedLeads};
use super::observation::Arena;
use super::settings::ModelSettings;
use crate::dataflow::rep_names::RepNames;
use crate::domain::entity::EntityKind;
use crate::domain::entity_store::EntityStore;
use crate::domain::json_writer::JsonWriter;
use crate::domain::messages::{CauseId, Envelope, MessageBatch, MessageId, MessageType};
use crate::models::oscillators::kuramoto::Workspace;

/// What a cause is.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'a> {
    /// Its identity.
    pub id: CauseId,
    /// Its time: that of the event, or when the timer was due.
    pub time_ms: i64,
    /// The event's id; none of a timer.
    pub event: Option<&'a [u8]>,
    /// Whether it came after a timer that it should have preceded.
    pub is_late: bool,
}

/// What is the same for all causes of an epoch.
pub struct Shared<'a> {
    /// The settings.
    pub settings: &'a ModelSettings,
    /// Clusters that have seen no lead, if the model is on.
    pub beginning: Option<&'a Clusters>,
    /// The entities, for ids and names.
    pub store: &'a EntityStore,
    /// Ids of reps.
    pub rep_names: &'a RepNames,
    /// How long a lead stays active after its last event.
    pub active_ms: i64,
    /// How long a deal stays in memory after its last event.
    pub retention_ms: i64,
    /// Leads by their places.
    pub leads: &'a mut Vec<LeadState>,
    /// Deals by their places.
    pub deals: &'a mut Vec<DealState>,
    /// Leads that deals name.
    pub named: &'a mut NamedLeads,
    /// Texts of observations.
    pub arena: &'a Arena,
    /// Scratch of the oscillators.
    pub workspace: &'a mut Workspace,
    /// What goes out.
    pub messages: &'a mut MessageBatch,
    /// Leads that the epoch has changed.
    pub dirty_leads: &'a mut Vec<u32>,
    /// Leads that changed since they were last written down.
    pub unwritten_leads: &'a mut Vec<u32>,
    /// Leads that were forgotten since: dealer, hash, id.
    pub gone: &'a mut Vec<(u32, u64, Box<[u8]>)>,
    /// Whether anybody writes them down.
    pub keeps_changes: bool,
    /// The epoch.
    pub epoch: i64,
}

/// One cause at work.
pub struct Turn<'a, 'b> {
    /// The dealer.
    pub dealership: &'a mut Dealership,
    /// All else.
    pub shared: &'a mut Shared<'b>,
    /// The cause.
    pub cause: Cause<'a>,
    /// Messages of this cause so far.
    pub ordinal: u32,
    /// Whether a rep may have become free for a waiting lead.
    pub may_place: bool,
}

impl Turn<'_, '_> {
    /// When it happens.
    pub fn time_ms(&self) -> i64 {
        self.cause.time_ms
    }

    /// The state of a lead.
    pub fn lead(&self, place: u32) -> &LeadState {
        &self.shared.leads[place as usize]
    }

    /// The state of a lead that is about to change.
    pub fn lead_mut(&mut self, place: u32) -> &mut LeadState {
        let lead = &mut self.shared.leads[place as usize];
        if !lead.is_dirty {
            lead.is_dirty = true;
            self.shared.dirty_leads.push(place);
        }
        if self.shared.keeps_changes && !lead.is_unwritten {
            lead.is_unwritten = true;
            self.shared.unwritten_leads.push(place);
        }
        lead
    }

    /// Sends a message about a lead, or about the dealer as a whole. Gives its id.
    pub fn send(
        &mut self,
        message_type: MessageType,
        lead: Option<u32>,
        supersedes: Option<MessageId>,
        data: impl FnOnce(&mut JsonWriter<'_>, &EntityStore, &RepNames),
    ) -> MessageId {
        let Shared { store, rep_names, messages, epoch, .. } = &mut *self.shared;
        let store: &EntityStore = store;
        let id = MessageId { cause: self.cause.id, ordinal: self.ordinal };
        self.ordinal += 1;
        let send = |subject: Option<&[u8]>| {
            let envelope = Envelope {
                epoch: *epoch,
                time_ms: self.cause.time_ms,
                dealer: store.dealer_name(self.dealership.dealer),
                message_type,
                id,
                subject,
                cause: self.cause.event,
                is_late: self.cause.is_late,
                supersedes,
            };
            messages.push(&envelope, |json| {
                if let Some(lead) = subject {
                    json.key("leadId");
                    json.text(lead);
                }
                data(json, store, rep_names);
            });
        };
        match lead {
            Some(place) => store.entity(EntityKind::Lead, place).with_key(|key| send(Some(key))),
            None => send(None),
        }
        id
    }
}
