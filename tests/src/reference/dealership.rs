//! All entities of one dealer, and the zone its days are counted in.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::effect::{EntityKind, Role};
use super::entity::{self, Deed, Life};

/// One dealer's events, sorted out by entity.
#[derive(Debug, Clone, Default)]
pub(super) struct Dealership {
    /// Deeds in content order by kind and entity id.
    pub(super) deeds: BTreeMap<(EntityKind, String), Vec<Deed>>,
    /// `customer.engagement.detected` by customer: (time, share), in content order.
    pub(super) engagements: BTreeMap<String, Vec<(i64, f64)>>,
}

impl Dealership {
    /// The lives of all entities of `kind` that existed, by id. Deleted ones are left out.
    pub(super) fn lives(&self, kind: EntityKind, retention_ms: i64) -> Vec<(&str, Life<'_>)> {
        let retention_ms = match kind {
            EntityKind::Dealer | EntityKind::Rep => None,
            EntityKind::Lead | EntityKind::Deal | EntityKind::Vehicle => Some(retention_ms),
        };
        let mut found = Vec::new();
        for ((_, id), deeds) in self.deeds.range((kind, String::new())..).take_while(|((other, _), _)| *other == kind) {
            for life in entity::lives(deeds, retention_ms) {
                if life.exists() {
                    found.push((id.as_str(), life));
                }
            }
        }
        found
    }

    /// The entities of `kind` that have a row at `epoch_ms`, by id.
    pub(super) fn live(&self, kind: EntityKind, retention_ms: i64, epoch_ms: i64) -> Vec<(&str, Life<'_>)> {
        let mut lives = self.lives(kind, retention_ms);
        lives.retain(|(_, life)| !life.expired(epoch_ms));
        lives
    }

    /// The dealer's time zone by the updates up to `until_ms`; UTC if none names one.
    pub(super) fn zone(&self, until_ms: i64) -> Tz {
        let Some(deeds) = self.deeds.get(&(EntityKind::Dealer, String::new())) else {
            return Tz::UTC;
        };
        let known = deeds.partition_point(|deed| deed.stamp.time_ms <= until_ms);
        let name = entity::lives(&deeds[..known], None).first().and_then(|life| life.text("timeZone"));
        name.and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
    }

    /// Adds a deed. They must come in content order.
    pub(super) fn add(&mut self, deed: Deed) {
        debug_assert!(deed.effect.kind != EntityKind::Dealer || deed.effect.role == Role::Writes);
        self.deeds.entry((deed.effect.kind, deed.effect.entity_id.clone())).or_default().push(deed);
    }
}
