//! When entities leave memory: a calendar of days, looked at as event time passes.

use std::collections::BTreeMap;

use crate::domain::entity::EntityKind;
use crate::domain::time::DAY_MS;

/// Entities by the day on which they may be due. An entity that was touched since is put back under its new day.
#[derive(Debug, Default)]
pub struct Expiry {
    days: BTreeMap<i64, Vec<(EntityKind, u32)>>,
}

impl Expiry {
    /// Puts an entity under the day on which it is due.
    pub fn schedule(&mut self, kind: EntityKind, place: u32, due_ms: i64) {
        self.days.entry(due_ms.div_euclid(DAY_MS)).or_default().push((kind, place));
    }

    /// Takes what may be due at `now_ms`; `due_of` gives the true due time (`None`: not there any more). What is due is returned, the
    /// rest put back.
    pub fn take_due(&mut self, now_ms: i64, due_of: impl Fn(EntityKind, u32) -> Option<i64>) -> Vec<(EntityKind, u32)> {
        let mut due = Vec::new();
        let today = now_ms.div_euclid(DAY_MS);
        let later = self.days.split_off(&(today + 1));
        for (kind, place) in std::mem::replace(&mut self.days, later).into_values().flatten() {
            match due_of(kind, place) {
                Some(at) if at <= now_ms => due.push((kind, place)),
                Some(at) => self.schedule(kind, place, at),
                None => {}
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_leave_when_due_and_not_before() {
        let mut expiry = Expiry::default();
        expiry.schedule(EntityKind::Lead, 1, 5 * DAY_MS + 10);
        expiry.schedule(EntityKind::Lead, 2, 5 * DAY_MS + 20);
        expiry.schedule(EntityKind::Lead, 3, 4 * DAY_MS);
        let due_of = |_, place| match place {
            1 => Some(5 * DAY_MS + 10),
            2 => Some(9 * DAY_MS),
            _ => None,
        };
        assert_eq!(expiry.take_due(5 * DAY_MS, due_of), []);
        assert_eq!(expiry.take_due(5 * DAY_MS + 10, due_of), [(EntityKind::Lead, 1)]);
        assert_eq!(expiry.take_due(9 * DAY_MS, due_of), [(EntityKind::Lead, 2)]);
        assert!(expiry.days.is_empty());
    }

    #[test]
    fn what_is_put_off_to_today_joins_what_is_due_today() {
        let mut expiry = Expiry::default();
        expiry.schedule(EntityKind::Lead, 1, 4 * DAY_MS);
        expiry.schedule(EntityKind::Lead, 2, 5 * DAY_MS + 20);
        expiry.schedule(EntityKind::Lead, 3, 5 * DAY_MS + 10);
        let due_of = |_, place| Some(5 * DAY_MS + if place == 3 { 10 } else { 20 });
        assert_eq!(expiry.take_due(5 * DAY_MS + 10, due_of), [(EntityKind::Lead, 3)]);
        assert_eq!(expiry.take_due(5 * DAY_MS + 20, due_of), [(EntityKind::Lead, 1), (EntityKind::Lead, 2)]);
    }
}
