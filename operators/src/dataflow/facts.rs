//! What the views need to know of an entity: a few words instead of a row.

use crate::domain::entity::{EntityKind, STAGE_CONTRACTED, STAGE_DELIVERED, deal};
use crate::domain::entity_store::EntityView;
use crate::domain::merge::Mark;

/// The facts of one entity that views count. All empty while it is not alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether users see it.
    pub alive: bool,
    /// Lead or deal created, vehicle acquired, in UTC milliseconds.
    pub created_at: Option<i64>,
    /// Lead answered or vehicle sold.
    pub reached_at: Option<i64>,
    /// Deal delivered: when, with front and back gross in minor units.
    pub closed: Option<(i64, i64, i64)>,
    /// Deal in a stage from prospect to contracted.
    pub active: bool,
    /// The greatest event applied.
    pub updated_at: i64,
}

impl Facts {
    /// The facts of an entity as it is now.
    pub fn of(entity: EntityView<'_>) -> Self {
        if !entity.is_alive() {
            return Facts::default();
        }
        let mut facts = Facts {
            alive: true,
            created_at: entity.first_at(Mark::Created),
            updated_at: entity.touched_at(),
            ..Facts::default()
        };
        match entity.kind() {
            EntityKind::Lead => facts.reached_at = entity.first_at(Mark::Reached),
            EntityKind::Vehicle => facts.reached_at = entity.first_at(Mark::Sold),
            EntityKind::Deal => {
                let stage = entity.bits(deal::STAGE);
                facts.active = stage.is_some_and(|stage| stage <= STAGE_CONTRACTED);
                if stage == Some(STAGE_DELIVERED) {
                    let gross = |slot| entity.bits(slot).map_or(0, |bits| bits as i64);
                    facts.closed = entity
                        .slot_time(deal::STAGE)
                        .map(|time| (time, gross(deal::FRONT_GROSS_CENTS), gross(deal::BACK_GROSS_CENTS)));
                }
            }
            EntityKind::Dealer | EntityKind::Rep | EntityKind::Customer => {}
        }
        facts
    }
}
