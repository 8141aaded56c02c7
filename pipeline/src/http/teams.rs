//! The last word on each team: what `team.status.changed` said, as it was published.
//!
//! Tables hold a rep's phase at its last own event; where a whole team is at one moment only its message tells. Bounded: beyond
//! [`TEAMS_MAX`] dealers, those that come are not remembered, and are answered from the tables alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use operators::domain::messages::MessageType;

use crate::run::commits::Published;

/// Teams that are remembered, at most.
const TEAMS_MAX: usize = 20_000;

/// What was said of a team.
#[derive(Clone, Debug)]
pub struct TeamMessage {
    /// The epoch that said it.
    pub epoch: i64,
    /// The CloudEvent.
    pub event: Arc<[u8]>,
}

impl TeamMessage {
    /// Its `data`.
    pub fn data(&self) -> serde_json::Value {
        // It was written by the models themselves; were it ever unreadable, the tables answer alone.
        let mut event: serde_json::Value = serde_json::from_slice(&self.event).unwrap_or_default();
        event.get_mut("data").map(serde_json::Value::take).unwrap_or_default()
    }
}

/// The last message of each team.
#[derive(Debug, Default)]
pub struct Teams {
    teams: Mutex<BTreeMap<Box<[u8]>, TeamMessage>>,
}

impl Teams {
    /// Remembers what an epoch said of teams.
    pub fn published(&self, published: &Published) {
        let epoch = published.binding.epoch;
        for message in &published.output.messages {
            let view = message.view();
            if view.message_type() != MessageType::TeamStatusChanged {
                continue;
            }
            let mut teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
            if teams.len() >= TEAMS_MAX && !teams.contains_key(view.dealer()) {
                continue;
            }
            teams.insert(view.dealer().into(), TeamMessage { epoch, event: view.event().into() });
        }
    }

    /// The last message of a dealer's team, if it was said at or before an epoch.
    pub fn of(&self, dealer: &str, epoch: i64) -> Option<TeamMessage> {
        let teams = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        teams.get(dealer.as_bytes()).filter(|message| message.epoch <= epoch).cloned()
    }
}
