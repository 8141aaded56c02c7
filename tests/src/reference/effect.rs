//! What an event does to which entity.
//!
//! | event | entity | role | writes |
//! |---|---|---|---|
//! | `lead.created`, `deal.created`, `vehicle.acquired`, `rep.added` | its own | creates | its fields; stage `prospect` or phase `acquired` unless it names one |
//! | `lead.updated`, `deal.updated`, `deal.submitted`, `vehicle.phase.moved`, `vehicle.priced`, `rep.status.changed`, `rep.skill.updated`, `dealer.updated` | its own | writes | its fields |
//! | `deal.closed`, `deal.lost`, `deal.unwound` | deal | writes | its fields and the stage |
//! | `customer.engagement.detected` with a `leadId` | lead | writes | `engagement` |
//! | `lead.responded` | lead | writes | nothing: it only happened |
//! | `vehicle.sold` | vehicle | writes | phase `sold` |
//! | `lead.deleted`, `vehicle.removed`, `rep.removed` | its own | deletes | nothing |
//!
//! Every other event touches no entity. A `stage` or `phase` of null names none.

use super::event::Event;
use super::json::Json;

/// The kinds of entities whose state is merged from patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EntityKind {
    Dealer,
    Lead,
    Deal,
    Vehicle,
    Rep,
}

/// What an event is for its entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Brings the entity into being, also after a deletion.
    Creates,
    /// Brings an unseen entity into being, but no deleted one.
    Writes,
    Deletes,
}

/// What an event does to an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) kind: EntityKind,
    /// Empty for the dealer itself.
    pub(super) entity_id: String,
    pub(super) role: Role,
    /// The fields it writes. Null clears.
    pub(super) patch: Vec<(&'static str, Json)>,
}

/// The effect of `event`, or `None` if it touches no entity.
pub(super) fn of(event: &Event) -> Option<Effect> {
    use EntityKind::{Deal, Dealer, Lead, Rep, Vehicle};
    use Role::{Creates, Deletes, Writes};
    let fields = event.fields.as_ref()?;
    let all = || fields.clone();
    let with_default = |field, word| {
        let mut patch = all();
        if event.text(field).is_none() {
            set(&mut patch, field, word);
        }
        patch
    };
    let with = |field, word| {
        let mut patch = all();
        set(&mut patch, field, word);
        patch
    };
    let (kind, role, patch) = match event.type_name.as_str() {
        "dealer.updated" => (Dealer, Writes, all()),
        "lead.created" => (Lead, Creates, all()),
        "lead.updated" => (Lead, Writes, all()),
        "lead.responded" => (Lead, Writes, Vec::new()),
        "lead.deleted" => (Lead, Deletes, Vec::new()),
        "customer.engagement.detected" => {
            event.text("leadId")?;
            (Lead, Writes, fields.iter().filter(|(name, _)| *name == "engagement").cloned().collect())
        }
        "deal.created" => (Deal, Creates, with_default("stage", "prospect")),
        "deal.updated" | "deal.submitted" => (Deal, Writes, all()),
        "deal.closed" => (Deal, Writes, with("stage", "delivered")),
        "deal.lost" => (Deal, Writes, with("stage", "lost")),
        "deal.unwound" => (Deal, Writes, with("stage", "unwound")),
        "vehicle.acquired" => (Vehicle, Creates, with_default("phase", "acquired")),
        "vehicle.phase.moved" | "vehicle.priced" => (Vehicle, Writes, all()),
        "vehicle.sold" => (Vehicle, Writes, vec![("phase", Json::Text("sold".to_owned()))]),
        "vehicle.removed" => (Vehicle, Deletes, Vec::new()),
        "rep.added" => (Rep, Creates, all()),
        "rep.status.changed" | "rep.skill.updated" => (Rep, Writes, all()),
        "rep.removed" => (Rep, Deletes, Vec::new()),
        _ => return None,
    };
    let id_field = match kind {
        Dealer => return Some(Effect { kind, entity_id: String::new(), role, patch }),
        Lead => "leadId",
        Deal => "dealId",
        Vehicle => "vehicleId",
        Rep => "repId",
    };
    Some(Effect { kind, entity_id: event.text(id_field)?.to_owned(), role, patch })
}

fn set(patch: &mut Vec<(&'static str, Json)>, field: &'static str, word: &str) {
    patch.retain(|(name, _)| *name != field);
    patch.push((field, Json::Text(word.to_owned())));
}

#[cfg(test)]
mod tests {
    use super::super::event;
    use super::*;

    /// Role, entity id and what is written.
    type Expected<'a> = (Role, &'a str, &'a [(&'a str, &'a str)]);

    fn check(topic: &str, type_name: &str, data: &str, expected: Option<Expected<'_>>) {
        let line = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"{type_name}","dealerid":"d","time":"2026-01-01T00:00:00Z","data":{data}}}"#
        );
        let effect = of(&event::parse(topic, line.as_bytes()).unwrap());
        let seen = effect.map(|effect| {
            let texts = effect.patch.into_iter().filter_map(|(name, value)| match value {
                Json::Null => Some((name.to_owned(), "null".to_owned())),
                Json::Text(text) | Json::Number(text) => Some((name.to_owned(), text)),
                _ => None,
            });
            (effect.role, effect.entity_id, texts.collect::<Vec<_>>())
        });
        let expected = expected.map(|(role, id, patch)| {
            let patch = patch.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            (role, id.to_owned(), patch.collect::<Vec<_>>())
        });
        assert_eq!(seen, expected, "{type_name} {data}");
    }

    #[test]
    fn patches_write_their_own_known_fields() {
        check(
            "leads",
            "lead.updated",
            r#"{"leadId":"l","channel":null,"visitCount":2,"repId":"r"}"#,
            Some((Role::Writes, "l", &[("leadId", "l"), ("channel", "null"), ("visitCount", "2")])),
        );
        check(
            "leads",
            "lead.responded",
            r#"{"leadId":"l","repId":"r","channel":"web"}"#,
            Some((Role::Writes, "l", &[])),
        );
        check("leads", "lead.deleted", r#"{"leadId":"l"}"#, Some((Role::Deletes, "l", &[])));
    }

    #[test]
    fn stages_and_phases_are_set_unless_named() {
        let deal = r#"{"dealId":"x"}"#;
        check("deals", "deal.created", deal, Some((Role::Creates, "x", &[("dealId", "x"), ("stage", "prospect")])));
        let named = r#"{"dealId":"x","stage":"approved"}"#;
        check("deals", "deal.created", named, Some((Role::Creates, "x", &[("dealId", "x"), ("stage", "approved")])));
        check("deals", "deal.submitted", deal, Some((Role::Writes, "x", &[("dealId", "x")])));
        check("deals", "deal.lost", deal, Some((Role::Writes, "x", &[("dealId", "x"), ("stage", "lost")])));
        let sold = r#"{"vehicleId":"v","priceCents":5}"#;
        check("inventory", "vehicle.sold", sold, Some((Role::Writes, "v", &[("phase", "sold")])));
        let acquired = r#"{"vehicleId":"v","phase":null}"#;
        check(
            "inventory",
            "vehicle.acquired",
            acquired,
            Some((Role::Creates, "v", &[("vehicleId", "v"), ("phase", "acquired")])),
        );
    }

    #[test]
    fn engagement_reaches_the_lead_it_names_and_other_events_nobody() {
        let named = r#"{"customerId":"c","engagement":0.5,"leadId":"l","channel":"web"}"#;
        check("leads", "customer.engagement.detected", named, Some((Role::Writes, "l", &[("engagement", "0.5")])));
        check("leads", "customer.engagement.detected", r#"{"customerId":"c","engagement":0.5}"#, None);
        check("leads", "customer.idle", r#"{"customerId":"c","idleMinutes":5,"leadId":"l"}"#, None);
        check("deals", "deal.tax.required", r#"{"dealId":"x","state":"WA"}"#, None);
        check("leads", "x.any", r#"{"leadId":"l"}"#, None);
    }
}
