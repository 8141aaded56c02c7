//! A dealer's models begin anew, because an admin says so.
//!
//! ```text
//!   command.accepted, reset ─┬─▶ clusters: those of a dealer who begins ─▶ rows of table segments
//!                            └─▶ network: phase 0, nothing covered ──────▶ team.status.changed
//! ```
//! What the models learned is forgotten; what happened and what was said of it stays. So a rep's status, skill, deals and leads stay, and
//! a lead keeps its segment until it is scored again: a model that has seen nothing knows less of the lead than the one that said so, and one
//! cause would send a message for every lead of more than a year. When it is scored again the new clusters do it, and it teaches them
//! nothing: a lead teaches once, when it is created. So the next new lead meets exactly what the first lead of a new dealer meets.
//!
//! A reset that is not later than the one before it changes nothing, since that one has forgotten all that it would forget. So a copy
//! changes nothing, either, that comes after its id has been forgotten.

use super::Intelligence;
use super::clusters::CLUSTERS;
use super::turn::Turn;

impl Intelligence {
    /// Whether a reset of that time changes anything: a model is on that learns, it has begun, and not anew since.
    pub(super) fn heeds_reset(&self, dealer: u32, time_ms: i64) -> bool {
        let learns = self.settings.whaco.is_some() || self.settings.oscillators.is_some();
        let dealership = self.dealerships.get(dealer as usize).and_then(Option::as_ref);
        learns && dealership.is_some_and(|dealership| dealership.reset_ms.is_none_or(|reset_ms| reset_ms < time_ms))
    }
}

impl Turn<'_, '_> {
    /// The dealer's models begin anew.
    pub fn reset(&mut self) {
        self.dealership.reset_ms = Some(self.cause.time_ms);
        self.reset_clusters();
        self.reset_team();
    }

    fn reset_clusters(&mut self) {
        let dealership = &mut *self.dealership;
        let Some((clusters, beginning)) = dealership.clusters.as_mut().zip(self.shared.beginning) else { return };
        clusters.clone_from(beginning);
        dealership.has_learned = true;
        // Members stay where they were counted; the centroids beside them are others now. A cluster that has no row waits for its first lead.
        dealership.dirty_segments |= dealership.shown_segments;
        for cluster in (0..CLUSTERS).filter(|cluster| dealership.dirty_segments & (1 << cluster) != 0) {
            let updated_ms = &mut dealership.segment_updated_ms[cluster];
            *updated_ms = self.cause.time_ms.max(*updated_ms);
        }
    }

    fn reset_team(&mut self) {
        if self.shared.settings.oscillators.is_none() {
            return;
        }
        self.move_network();
        self.dealership.network.reset();
        // What was told does not hold any more, so it is told anew, whatever it is; of a team that there never was nothing is told.
        if self.dealership.shown_team.is_some() || !self.dealership.roster.is_empty() {
            self.dealership.team_fingerprint = 0;
            self.tell_team(false);
        }
    }
}
