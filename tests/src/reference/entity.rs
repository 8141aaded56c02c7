//! The state of one entity from its events.
//!
//! ```text
//!  events in content order ──► lives (a gap beyond the retention ends one) ──► per life: what lies after the greatest
//!  deletion counts, and per field the greatest event that writes it wins
//! ```
//!
//! An entity lives until its retention has passed since its last event; an event exactly then is still part of it.

use serde_json::Value;

use super::effect::{Effect, Role};
use super::event::Stamp;
use super::json::Json;
use super::number::{self, Integer};

/// One event of an entity.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) stamp: Stamp,
    pub(super) type_name: String,
    pub(super) effect: Effect,
}

/// One life of an entity: what became of the deeds between its first event and its expiry.
#[derive(Debug, Clone)]
pub(super) struct Life<'a> {
    /// The deeds after the greatest deletion, in content order.
    counting: Vec<&'a Deed>,
    gone: bool,
    /// When it expires, in UTC milliseconds; `None` for what never does.
    pub(super) due_ms: Option<i64>,
    /// Whether a later event came after that.
    outlived: bool,
}

/// Cuts `deeds`, which must be in content order, into lives. `retention_ms` is `None` for entities that never expire.
pub(super) fn lives(deeds: &[Deed], retention_ms: Option<i64>) -> Vec<Life<'_>> {
    let mut lives: Vec<Life<'_>> = Vec::new();
    let mut from = 0;
    for to in 1..=deeds.len() {
        let due_ms = retention_ms.map(|retention_ms| deeds[to - 1].stamp.time_ms + retention_ms);
        let next_ms = deeds.get(to).map(|deed| deed.stamp.time_ms);
        let outlived = next_ms.is_some_and(|next_ms| due_ms.is_some_and(|due_ms| next_ms > due_ms));
        if outlived || to == deeds.len() {
            lives.push(Life::new(&deeds[from..to], due_ms, outlived));
            from = to;
        }
    }
    lives
}

impl<'a> Life<'a> {
    fn new(deeds: &'a [Deed], due_ms: Option<i64>, outlived: bool) -> Self {
        let deletion = deeds.iter().rposition(|deed| deed.effect.role == Role::Deletes);
        let counting: Vec<&Deed> = deeds[deletion.map_or(0, |at| at + 1)..].iter().collect();
        let created = counting.iter().any(|deed| deed.effect.role == Role::Creates);
        Life { gone: deletion.is_some() && !created, counting, due_ms, outlived }
    }

    /// Whether its deeds left an entity rather than a deletion.
    pub(super) fn exists(&self) -> bool {
        !self.gone
    }

    /// Whether it has no more than frozen counts at `epoch_ms`.
    pub(super) fn expired(&self, epoch_ms: i64) -> bool {
        self.outlived || self.due_ms.is_some_and(|due_ms| due_ms <= epoch_ms)
    }

    /// The deed that wins `field`, with the value it wrote.
    pub(super) fn winner(&self, field: &str) -> Option<(&'a Deed, &'a Json)> {
        self.counting
            .iter()
            .rev()
            .find_map(|deed| deed.effect.patch.iter().find(|(name, _)| *name == field).map(|(_, value)| (*deed, value)))
    }

    /// The value of a text field.
    pub(super) fn text(&self, field: &str) -> Option<&'a str> {
        match self.winner(field) {
            Some((_, Json::Text(text))) => Some(text),
            _ => None,
        }
    }

    /// The value of an integer field.
    pub(super) fn integer(&self, field: &str) -> Option<i64> {
        match self.winner(field) {
            Some((_, Json::Number(text))) => match number::integer(text) {
                Integer::Value(value) => i64::try_from(value).ok(),
                Integer::Fraction | Integer::Huge => None,
            },
            _ => None,
        }
    }

    /// The value of a field of doubles.
    pub(super) fn double(&self, field: &str) -> Option<f64> {
        match self.winner(field) {
            Some((_, Json::Number(text))) => number::double(text),
            _ => None,
        }
    }

    /// The value of a text or integer field as a cell.
    pub(super) fn cell(&self, field: &str) -> Value {
        match self.winner(field) {
            Some((_, Json::Number(_))) => self.integer(field).into(),
            _ => self.text(field).into(),
        }
    }

    /// The earliest time of a counting deed of this type, in UTC milliseconds.
    pub(super) fn earliest_ms(&self, type_name: &str) -> Option<i64> {
        self.earliest_where_ms(|deed| deed.type_name == type_name)
    }

    /// The earliest time of a counting deed that `chosen` picks, in UTC milliseconds.
    pub(super) fn earliest_where_ms(&self, chosen: impl Fn(&Deed) -> bool) -> Option<i64> {
        self.counting.iter().find(|deed| chosen(deed)).map(|deed| deed.stamp.time_ms)
    }

    /// The greatest time of a counting deed, in UTC milliseconds.
    pub(super) fn updated_ms(&self) -> Option<i64> {
        self.counting.last().map(|deed| deed.stamp.time_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::super::effect::EntityKind;
    use super::*;

    /// Deeds at (time, sequence) = (number, 0), written as `type field=value`, where `-` is null.
    fn deeds(texts: &[(i64, &str)]) -> Vec<Deed> {
        let deed = |&(time_ms, text): &(i64, &str)| {
            let (type_name, assignment) = text.split_once(' ').unwrap_or((text, ""));
            let role = match type_name {
                "created" => Role::Creates,
                "deleted" => Role::Deletes,
                _ => Role::Writes,
            };
            let patch = assignment
                .split_once('=')
                .map(|(_, value)| ("field", if value == "-" { Json::Null } else { Json::Text(value.to_owned()) }));
            let effect =
                Effect { kind: EntityKind::Lead, entity_id: String::new(), role, patch: patch.into_iter().collect() };
            let stamp = Stamp { time_ms, sequence: 0, id: String::new(), source: String::new() };
            Deed { stamp, type_name: type_name.to_owned(), effect }
        };
        texts.iter().map(deed).collect()
    }

    /// Whether the entity exists, its field's value, its last update and when it expires.
    type Expected<'a> = (bool, Option<&'a str>, Option<i64>, Option<i64>);

    fn check(texts: &[(i64, &str)], expected: &[Expected<'_>]) {
        let deeds = deeds(texts);
        let lives = lives(&deeds, Some(400));
        let seen: Vec<_> =
            lives.iter().map(|life| (life.exists(), life.text("field"), life.updated_ms(), life.due_ms)).collect();
        assert_eq!(seen, expected, "{texts:?}");
    }

    #[test]
    fn the_greatest_write_of_a_field_wins_and_null_clears() {
        check(&[(1, "created f=a"), (2, "updated"), (3, "updated f=b")], &[(true, Some("b"), Some(3), Some(403))]);
        check(&[(1, "created f=a"), (2, "updated f=-")], &[(true, None, Some(2), Some(402))]);
        check(&[(1, "updated f=a")], &[(true, Some("a"), Some(1), Some(401))]);
    }

    #[test]
    fn deletion_hides_what_came_before_and_creation_revives() {
        check(&[(1, "created f=a"), (2, "deleted")], &[(false, None, None, Some(402))]);
        check(&[(1, "created f=a"), (2, "deleted"), (3, "updated f=b")], &[(false, Some("b"), Some(3), Some(403))]);
        check(
            &[(1, "created f=a"), (2, "deleted"), (3, "updated f=b"), (4, "created")],
            &[(true, Some("b"), Some(4), Some(404))],
        );
        check(
            &[(1, "deleted"), (2, "created f=a"), (3, "deleted"), (4, "updated f=b")],
            &[(false, Some("b"), Some(4), Some(404))],
        );
    }

    #[test]
    fn a_gap_beyond_the_retention_begins_a_new_life() {
        check(&[(1, "created f=a"), (401, "updated")], &[(true, Some("a"), Some(401), Some(801))]);
        check(
            &[(1, "created f=a"), (402, "updated")],
            &[(true, Some("a"), Some(1), Some(401)), (true, None, Some(402), Some(802))],
        );
        check(
            &[(1, "created f=a"), (2, "deleted"), (403, "updated f=b")],
            &[(false, None, None, Some(402)), (true, Some("b"), Some(403), Some(803))],
        );
    }

    #[test]
    fn lives_expire_when_due_and_entities_without_retention_never() {
        let deeds = deeds(&[(1, "created f=a"), (402, "updated")]);
        let bounded = lives(&deeds, Some(400));
        assert_eq!(bounded.iter().map(|life| life.expired(402)).collect::<Vec<_>>(), [true, false]);
        assert!(!bounded[1].expired(801) && bounded[1].expired(802));
        let unbounded = lives(&deeds, None);
        assert_eq!((unbounded.len(), unbounded[0].expired(i64::MAX)), (1, false));
    }
}
