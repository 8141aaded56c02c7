//! A few events written by hand, each test with one rule of the contract and the answer worked out by hand.
//!
//! Every case is replayed as written and in reverse order: what the tables say must not depend on where a line stands.

use serde_json::{Value, json};
use tests::dealerflow::rows;

use crate::files::assert_same_bytes;
use crate::summary::{Summary, assert_summary};
use crate::tables::assert_as_reference;
use crate::world::{Event, World, event};

/// Replays the events, and compares every table with the reference, and the given columns of one table, ordered by its key,
/// with `expected`. In reverse order they give the same output, byte for byte.
fn check(events: Vec<Event>, table: &str, columns: &[&str], expected: &Value) -> Summary {
    let events: Vec<Event> = events.into_iter().enumerate().map(|(index, event)| event.identified(index)).collect();
    let world = World::of(&events);
    let replayed = world.replay("output", &[]);
    let answer = rows(&replayed.output, &format!("select * from {table} order by 1, 2"));
    assert_eq!(pick(&answer, columns), *expected, "{columns:?} of {table}");

    let reversed = World::of(&events.iter().rev().cloned().collect::<Vec<_>>());
    assert_same_bytes(&replayed.output, &reversed.replay("output", &[]).output);
    let judged = assert_as_reference(&world.input(), &replayed.output);
    assert_summary(&replayed, &judged)
}

fn pick(rows: &[Value], columns: &[&str]) -> Value {
    rows.iter().map(|row| columns.iter().map(|column| row[*column].clone()).collect::<Value>()).collect()
}

fn zone(time: &str, zone: &str) -> Event {
    event(time, "dealer.updated", json!({"timeZone": zone}))
}

fn lead(time: &str, type_name: &str, mut data: Value) -> Event {
    data["leadId"] = "l".into();
    if type_name == "lead.created" {
        data["customerId"] = "c".into();
        data["channel"] = "web".into();
    }
    event(time, type_name, data)
}

fn deal(time: &str, type_name: &str, mut data: Value) -> Event {
    data["dealId"] = "x".into();
    event(time, type_name, data)
}

fn vehicle(time: &str, type_name: &str, mut data: Value) -> Event {
    data["vehicleId"] = "v".into();
    event(time, type_name, data)
}

/// New York springs forward on 2026-03-08. 04:30Z is 23:30 of the 7th at the winter's -05:00, and would be 00:30 of the 8th
/// at the summer's; 03:30Z a day later is 23:30 of the 8th at -04:00.
#[test]
fn fields_that_no_event_knows_are_counted_and_do_no_harm() {
    let data = json!({"leadId": "l", "customerId": "c", "channel": "web", "colour": "red", "x": [1]});
    let lead = event("2026-02-01T12:00:00Z", "lead.created", data).with("traceparent", "00-ab");
    let summary = check(vec![lead], "leads", &["channel"], &json!([["web"]]));
    assert_eq!((summary.accepted, summary.unknown_fields), (1, 3));
}

#[test]
fn a_correction_moves_a_lead_to_another_local_day_across_the_change_to_summer_time() {
    let columns = ["day", "leads", "responded", "response_seconds_p50"];
    let later = lead("2026-03-09T03:30:00Z", "lead.created", json!({}));
    let first = vec![zone("2026-01-01T00:00:00Z", "America/New_York"), later];
    check(first.clone(), "daily_kpis", &columns, &json!([["2026-03-08", 1, 0, null]]));

    let mut corrected = first;
    corrected.push(lead("2026-03-09T03:31:00Z", "lead.responded", json!({})));
    corrected.push(lead("2026-03-08T04:30:00Z", "lead.created", json!({})));
    check(corrected, "daily_kpis", &columns, &json!([["2026-03-07", 1, 1, 82_860.0]]));
}

/// 23:30Z of the 1st is the 2nd in Amsterdam (+01:00), the 1st in New York, and the 1st in UTC.
#[test]
fn when_a_dealer_changes_its_time_zone_its_earlier_days_are_counted_anew() {
    let columns = ["day", "leads", "deals_created", "vehicles_acquired"];
    let events = |zones: Vec<Event>| {
        let mut events = vec![
            lead("2026-02-01T23:30:00Z", "lead.created", json!({})),
            deal("2026-02-02T04:30:00Z", "deal.created", json!({})),
            vehicle("2026-02-02T12:00:00Z", "vehicle.acquired", json!({})),
        ];
        events.extend(zones);
        events
    };
    let utc = json!([["2026-02-01", 1, 0, 0], ["2026-02-02", 0, 1, 1]]);
    check(events(vec![]), "daily_kpis", &columns, &utc);
    let amsterdam = zone("2026-01-01T00:00:00Z", "Europe/Amsterdam");
    check(events(vec![amsterdam.clone()]), "daily_kpis", &columns, &json!([["2026-02-02", 1, 1, 1]]));
    let new_york = zone("2026-03-01T00:00:00Z", "America/New_York");
    let moved = json!([["2026-02-01", 1, 1, 0], ["2026-02-02", 0, 0, 1]]);
    check(events(vec![amsterdam, new_york]), "daily_kpis", &columns, &moved);
}

#[test]
fn a_deleted_lead_leaves_every_table_and_returns_only_by_a_creation() {
    let columns = ["lead_id", "visit_count", "credit_score", "created_at", "responded_at", "updated_at"];
    let mut events = vec![
        lead("2026-02-01T10:00:00Z", "lead.created", json!({"visitCount": 1, "creditScore": 700})),
        lead("2026-02-01T10:05:00Z", "lead.responded", json!({})),
        lead("2026-02-01T11:00:00Z", "lead.deleted", json!({})),
        lead("2026-02-01T12:00:00Z", "lead.updated", json!({"visitCount": 2})),
    ];
    check(events.clone(), "leads", &columns, &json!([]));
    check(events.clone(), "daily_kpis", &["day"], &json!([]));
    check(events.clone(), "customers", &["customer_id"], &json!([]));

    // Of what came before the deletion nothing counts, of what follows everything: also the update before the creation.
    events.push(lead("2026-02-03T10:00:00Z", "lead.created", json!({})));
    let at = "2026-02-03T10:00:00.000Z";
    check(events.clone(), "leads", &columns, &json!([["l", 2, null, at, null, at]]));
    check(events.clone(), "daily_kpis", &["day", "leads", "responded"], &json!([["2026-02-03", 1, 0]]));

    // A deletion in the past, learned of late, outranks nothing that came after it.
    events.push(lead("2026-01-01T00:00:00Z", "lead.deleted", json!({})));
    check(events, "leads", &["lead_id", "visit_count"], &json!([["l", 2]]));
}

#[test]
fn per_field_the_greatest_event_wins_and_null_clears() {
    let events = vec![
        lead("2026-02-01T10:00:00Z", "lead.created", json!({"visitCount": 1, "creditScore": 700, "engagement": 0.5})),
        lead("2026-02-01T12:00:00Z", "lead.updated", json!({"visitCount": 3, "engagement": null})),
        // Older than the last: a correction of what that left alone, and no more.
        lead("2026-02-01T11:00:00Z", "lead.updated", json!({"visitCount": 2, "creditScore": 650, "engagement": 0.9})),
    ];
    let columns = ["visit_count", "credit_score", "engagement", "updated_at"];
    check(events, "leads", &columns, &json!([[3, 650, null, "2026-02-01T12:00:00.000Z"]]));
}

#[test]
fn within_a_millisecond_the_sequence_orders_as_a_number_then_the_id_and_the_source_as_bytes() {
    let at = "2026-02-01T10:00:00.000Z";
    let update = |visits: u64| lead(at, "lead.updated", json!({"visitCount": visits}));
    let winner = |events: Vec<Event>, visits: u64, ambiguous: u64| {
        let summary = check(events, "leads", &["visit_count"], &json!([[visits]]));
        assert_eq!(summary.ambiguous, ambiguous, "ambiguous writes");
    };
    // Ten is more than nine, as text and as number; and a sequence that is absent is 0.
    winner(vec![update(1).with("sequence", 10), update(2).with("sequence", "9"), update(3)], 1, 0);
    winner(vec![update(1).with("sequence", "10"), update(2).with("sequence", 9)], 1, 0);
    winner(vec![update(1).with("sequence", u64::MAX), update(2).with("sequence", "18446744073709551614")], 1, 0);
    // Lower case comes after upper case, and nothing is said of a locale.
    winner(vec![update(1).with("id", "b"), update(2).with("id", "C")], 1, 1);
    winner(vec![update(1).with("id", "a").with("source", "t"), update(2).with("id", "a")], 1, 1);
    winner(vec![update(1).with("id", "é"), update(2).with("id", "z")], 1, 1);
    // Ties in other fields are no ambiguity.
    let other = lead(at, "lead.updated", json!({"creditScore": 700}));
    winner(vec![update(1), other], 1, 0);
}

#[test]
fn a_deals_stage_is_the_winning_one_and_it_is_closed_while_that_is_delivered() {
    let columns = ["stage", "closed_at", "front_gross_cents"];
    let mut events = vec![
        deal("2026-02-01T10:00:00Z", "deal.created", json!({"frontGrossCents": 100_000})),
        deal("2026-02-02T10:00:00Z", "deal.closed", json!({})),
    ];
    let closed = "2026-02-02T10:00:00.000Z";
    check(events.clone(), "deals", &columns, &json!([["delivered", closed, 100_000]]));
    events.push(deal("2026-02-03T10:00:00Z", "deal.submitted", json!({"frontGrossCents": 90_000})));
    check(events.clone(), "deals", &columns, &json!([["delivered", closed, 90_000]]));
    events.push(deal("2026-02-04T10:00:00Z", "deal.unwound", json!({})));
    check(events.clone(), "deals", &columns, &json!([["unwound", null, 90_000]]));
    let kpis = ["day", "deals_created", "deals_closed", "front_gross_cents"];
    check(events.clone(), "daily_kpis", &kpis, &json!([["2026-02-01", 1, 0, 0]]));
    events.push(deal(
        "2026-02-05T10:00:00Z",
        "deal.updated",
        json!({"stage": "delivered", "backGrossCents": -5}).clone(),
    ));
    check(events.clone(), "deals", &columns, &json!([["delivered", "2026-02-05T10:00:00.000Z", 90_000]]));
    let expected = json!([["2026-02-01", 1, 0, 0], ["2026-02-05", 0, 1, 90_000]]);
    check(events, "daily_kpis", &kpis, &expected);
}

#[test]
fn a_vehicle_ages_in_local_days_until_it_is_sold() {
    let columns = ["phase", "days_on_lot", "band", "frontline_at", "sold_at", "price_cents", "vin_valid"];
    // 23:30 of the 7th, the last hour before the short day; the last event is at 00:30 of the 8th of April, 32 days on.
    let mut events = vec![
        zone("2026-01-01T00:00:00Z", "America/New_York"),
        vehicle("2026-03-08T04:30:00Z", "vehicle.acquired", json!({"vin": "1M8GDM9AXKP042788"})),
        vehicle("2026-03-10T00:00:00Z", "vehicle.phase.moved", json!({"phase": "frontline"})),
        vehicle("2026-03-12T00:00:00Z", "vehicle.phase.moved", json!({"phase": "frontline"})),
        vehicle("2026-03-11T00:00:00Z", "vehicle.priced", json!({"priceCents": 2_000_000})),
        zone("2026-04-08T04:30:00Z", "America/New_York"),
    ];
    let front = "2026-03-10T00:00:00.000Z";
    check(events.clone(), "vehicles", &columns, &json!([["frontline", 32, "31-60", front, null, 2_000_000, true]]));
    events.push(vehicle("2026-03-20T00:00:00Z", "vehicle.sold", json!({"priceCents": 1_900_000})));
    let sold = "2026-03-20T00:00:00.000Z";
    check(events, "vehicles", &columns, &json!([["sold", 12, "0-30", front, sold, 2_000_000, true]]));
}

#[test]
fn a_response_before_the_creation_took_no_time_and_percentiles_are_nearest_rank() {
    let mut events = Vec::new();
    for (number, seconds) in [(1, 5), (2, 60), (3, 7), (4, -9)] {
        let lead_id = format!("lead {number}");
        let created = json!({"leadId": lead_id, "customerId": "c", "channel": "web"});
        events.push(event("2026-02-01T10:01:00Z", "lead.created", created));
        let at = format!("2026-02-01T10:{:02}:{:02}.250Z", (60 + seconds) / 60, (60 + seconds) % 60);
        events.push(event(&at, "lead.responded", json!({"leadId": lead_id})));
    }
    let columns = ["leads", "responded", "response_seconds_p50", "response_seconds_p90"];
    check(events.clone(), "daily_kpis", &columns, &json!([[4, 4, 5.25, 60.25]]));
    check(events, "leads", &["response_seconds"], &json!([[5.25], [60.25], [7.25], [0.0]]));
}
