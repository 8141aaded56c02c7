//! Which copies of an event count, and how long: duplicates, reused ids, retention.

use std::fs;

use serde_json::{Value, json};
use tests::dealerflow::rows;
use tests::reference::Settings;

use crate::summary::assert_summary;
use crate::tables::{assert_as_reference, assert_as_reference_with};
use crate::world::{Event, Replayed, World, event};

fn replayed(events: &[Event], further: &[&str]) -> (World, Replayed) {
    let world = World::of(events);
    let replayed = world.replay("output", further);
    (world, replayed)
}

/// The summary's counts: accepted, duplicates, dead letters.
fn counts(events: &[Event]) -> (u64, u64, u64) {
    let (world, replayed) = replayed(events, &[]);
    let expected = assert_as_reference(&world.input(), &replayed.output);
    let summary = assert_summary(&replayed, &expected);
    (summary.accepted, summary.duplicates, summary.dead_letters)
}

fn visits(time: &str, number: u64) -> Event {
    event(time, "lead.updated", json!({"leadId": "l", "visitCount": number})).with("id", "one")
}

#[test]
fn the_same_bytes_within_seven_days_are_a_duplicate_and_other_bytes_reuse_the_id() {
    let at = "2026-02-01T00:00:00Z";
    assert_eq!(counts(&[visits(at, 1), visits(at, 1), visits(at, 1)]), (1, 2, 0));
    assert_eq!(counts(&[visits(at, 1), visits(at, 2)]), (1, 0, 1));
    assert_eq!(counts(&[visits(at, 1), visits("2026-02-08T00:00:00Z", 1)]), (1, 0, 1));
    assert_eq!(counts(&[visits(at, 1), visits("2026-02-08T00:00:00.001Z", 1)]), (2, 0, 0));
    // Another source or dealer is another event.
    assert_eq!(counts(&[visits(at, 1), visits(at, 1).with("source", "other")]), (2, 0, 0));
    assert_eq!(counts(&[visits(at, 1), visits(at, 1).with("dealerid", "other")]), (2, 0, 0));
}

/// 2^40 milliseconds, which a clock of 40 bits takes for none.
#[test]
fn an_id_used_again_after_thirty_five_years_is_another_event() {
    assert_eq!(counts(&[visits("2000-01-01T00:00:00Z", 1), visits("2034-11-03T19:53:47.776Z", 1)]), (2, 0, 0));
}

#[test]
fn of_two_events_with_one_id_the_least_in_content_order_and_then_in_bytes_is_accepted() {
    let earlier = visits("2026-02-01T00:00:00Z", 7);
    let later = visits("2026-02-02T00:00:00Z", 1);
    let same_time = visits("2026-02-01T00:00:00Z", 9);
    for events in [[&later, &earlier, &same_time], [&same_time, &later, &earlier]] {
        let events = events.map(Event::clone);
        assert_eq!(counts(&events), (1, 0, 2));
        let (_world, replayed) = replayed(&events, &[]);
        assert_eq!(rows(&replayed.output, "select visit_count from leads"), [json!({"visit_count": 7})]);
        let letters = rows(&replayed.output, "select distinct reason_code from dead_letters");
        assert_eq!(letters, [json!({"reason_code": "id_reused"})]);
    }
}

#[test]
fn a_rejected_event_claims_no_id() {
    let bad = event("2026-02-01T00:00:00Z", "lead.updated", json!({"leadId": "l", "visitCount": -1})).with("id", "one");
    assert_eq!(counts(&[bad.clone(), visits("2026-02-01T00:00:01Z", 4)]), (1, 0, 1));
    assert_eq!(counts(&[visits("2026-02-01T00:00:01Z", 4), bad]), (1, 0, 1));
}

/// An event that nobody is interested in but the calendar.
fn last(time: &str) -> Event {
    event(time, "dealer.updated", json!({"name": "D"}))
}

fn lead_of_new_year() -> Event {
    let data = json!({"leadId": "l", "customerId": "c", "channel": "web"});
    event("2025-01-01T12:00:00Z", "lead.created", data)
}

/// How many entities expired, the leads that are left, and the days.
fn left(events: &[Event], further: &[&str]) -> (u64, usize, Value) {
    let (world, replayed) = replayed(events, further);
    let expected = assert_as_reference(&world.input(), &replayed.output);
    let summary = assert_summary(&replayed, &expected);
    let leads = rows(&replayed.output, "select * from leads").len();
    (summary.expired, leads, rows(&replayed.output, "select day, leads from daily_kpis order by 1").into())
}

#[test]
fn four_hundred_days_after_its_last_event_an_entity_leaves_the_tables_and_its_days_stay() {
    let days = json!([{"day": "2025-01-01", "leads": 1}]);
    let width = ["--epoch-width", "1d"];
    let still = [lead_of_new_year(), last("2026-02-05T11:59:59.999Z")];
    assert_eq!(left(&still, &width), (0, 1, days.clone()));
    let expired = [lead_of_new_year(), last("2026-02-05T12:00:00.000Z")];
    assert_eq!(left(&expired, &width), (1, 0, days.clone()));
    let touched = event("2025-06-01T00:00:00Z", "lead.responded", json!({"leadId": "l"}));
    assert_eq!(left(&[lead_of_new_year(), touched, last("2026-02-05T12:00:00Z")], &width), (0, 1, days));
}

#[test]
fn an_entity_whose_life_and_end_lie_in_one_epoch_leaves_the_tables_too() {
    let expired = [lead_of_new_year(), last("2026-02-05T12:00:00.001Z")];
    assert_eq!(left(&expired, &[]), (1, 0, json!([{"day": "2025-01-01", "leads": 1}])));
}

/// The first lead was due on the 5th and is put off to the evening of the 6th, in an hour of the 6th in which the second is
/// not due yet.
#[test]
fn no_entity_misses_its_end_because_another_is_put_off_to_the_same_day() {
    let created = |time: &str, lead_id: &str| {
        event(time, "lead.created", json!({"leadId": lead_id, "customerId": lead_id, "channel": "web"}))
    };
    let events = [
        created("2025-01-01T12:00:00Z", "first"),
        event("2025-01-02T20:00:00Z", "lead.updated", json!({"leadId": "first", "visitCount": 2})),
        created("2025-01-02T06:00:00Z", "second"),
        last("2026-02-06T01:00:00Z"),
        last("2026-03-01T00:00:00Z"),
    ];
    let days = json!([{"day": "2025-01-01", "leads": 1}, {"day": "2025-01-02", "leads": 1}]);
    assert_eq!(left(&events, &["--epoch-width", "1h"]), (2, 0, days));
}

#[test]
fn an_expired_entity_that_is_touched_again_begins_a_new_life() {
    let again = event("2026-02-05T12:00:00.001Z", "lead.updated", json!({"leadId": "l", "visitCount": 2}));
    for further in [&[][..], &["--epoch-width", "1d"]] {
        let (world, replayed) = replayed(&[lead_of_new_year(), again.clone()], further);
        assert_as_reference(&world.input(), &replayed.output);
        let lead = rows(&replayed.output, "select customer_id, visit_count, created_at from leads");
        assert_eq!(lead, [json!({"customer_id": null, "visit_count": 2, "created_at": null})]);
    }
}

const DAY_MS: i64 = 86_400_000;

#[test]
fn the_horizon_and_the_retention_are_settings() {
    let world = World::simulated(21, 10, 30_000);
    let config = world.path("short.toml");
    fs::write(&config, "[pipeline]\ndedup_horizon = \"1h\"\nretention = \"10d\"\n").unwrap();
    let replayed = world.replay("short", &["--config", config.to_str().unwrap()]);
    let settings = Settings { dedup_horizon_ms: DAY_MS / 24, retention_ms: 10 * DAY_MS };
    let expected = assert_as_reference_with(&world.input(), &replayed.output, settings);
    let summary = assert_summary(&replayed, &expected);
    assert!(summary.expired > 500, "{} expired", summary.expired);

    let default = world.replay("default", &[]);
    let default = assert_summary(&default, &assert_as_reference(&world.input(), &default.output));
    assert_eq!(default.expired, 0);
}
