//! Simulated dealers with disorder: every table says what the plain reference says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::dealerflow::{ask, rows};

use crate::files::{TOPICS, lines_of};
use crate::summary::assert_summary;
use crate::tables::{Expected, assert_as_reference, base64};
use crate::world::{Replayed, World};

/// Asserts all that the reference can tell of a replay, and that the disorder which makes it worth telling was there.
fn check(seed: u64, dealers: u64, events: u64) -> (World, Replayed, Expected) {
    let world = World::simulated(seed, dealers, events);
    let replayed = world.replay("output", &[]);
    let expected = assert_as_reference(&world.input(), &replayed.output);
    let summary = assert_summary(&replayed, &expected);
    assert_eq!(summary.records, records(&world.input()), "records are the lines that are not blank");
    assert_eq!(expected.tables["dealers"].len() as u64, dealers);
    assert!(summary.duplicates * 200 > events, "{} duplicates of {events} events", summary.duplicates);
    assert!(summary.dead_letters * 1_000 > events, "{} dead letters of {events} events", summary.dead_letters);
    assert!(summary.dead_letters_by_reason.len() >= 10, "{:?}", summary.dead_letters_by_reason);
    assert!(summary.unknown > 0);
    (world, replayed, expected)
}

fn records(input: &Path) -> u64 {
    let lines = TOPICS.iter().flat_map(|topic| lines_of(&input.join(format!("{topic}.jsonl"))));
    lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count() as u64
}

#[test]
fn a_hundred_and_sixty_thousand_disordered_events_of_fifty_dealers_give_the_references_tables() {
    check(11, 50, 160_000);
}

#[test]
fn other_seeds_give_the_references_tables_too() {
    for (seed, dealers, events) in [(12, 20, 60_000), (13, 1, 10_000), (14, 35, 10_000)] {
        check(seed, dealers, events);
    }
}

#[test]
fn daily_kpis_as_json_are_the_references_rows_in_order() {
    let (_world, replayed, expected) = check(15, 20, 20_000);
    let answer = ask(&replayed.output, "json", "select * from daily_kpis order by 1, 2").succeeded().rows();
    assert_eq!(answer, expected.tables["daily_kpis"]);
    let sums = rows(
        &replayed.output,
        "select sum(leads) leads, sum(deals_closed) closed, sum(front_gross_cents) gross from daily_kpis",
    );
    let sum = |column: &str| expected.tables["daily_kpis"].iter().map(|row| row[column].as_i64().unwrap()).sum::<i64>();
    assert_eq!(sums[0]["leads"], sum("leads"));
    assert_eq!(sums[0]["closed"], sum("deals_closed"));
    assert_eq!(sums[0]["gross"], sum("front_gross_cents"));
    assert!(sum("leads") > 1_000 && sum("deals_closed") > 50);
}

#[test]
fn stages_and_reasons_are_counted_as_the_reference_counts_them() {
    let (_world, replayed, expected) = check(16, 20, 20_000);
    for (table, column) in [("deals", "stage"), ("dead_letters", "reason_code"), ("vehicles", "band")] {
        let query = format!("select {column}, count(*) as number from {table} group by {column}");
        let answer = rows(&replayed.output, &query);
        let actual: BTreeMap<String, u64> =
            answer.iter().map(|row| (row[column].to_string(), row["number"].as_u64().unwrap())).collect();
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for row in &expected.tables[table] {
            *counted.entry(row[column].to_string()).or_default() += 1;
        }
        assert_eq!(actual, counted, "{table} by {column}");
        assert!(counted.len() >= 3, "{counted:?}");
    }
}

/// A message of `dead-letters` and the row of the table tell the same, and the file is ordered as the contract says.
#[test]
fn the_topic_of_dead_letters_holds_the_tables_rows_in_order() {
    let (_world, replayed, expected) = check(17, 20, 20_000);
    let text = fs::read_to_string(replayed.output.join("topics/dead-letters.jsonl")).unwrap();
    let messages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(messages.len(), expected.tables["dead_letters"].len());
    let order = |message: &Value| {
        let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
        (text("time"), text("dealerid"), text("type"), text("id"))
    };
    assert!(messages.is_sorted_by_key(order));

    let mut by_place: BTreeMap<(String, u64, u64), &Value> = BTreeMap::new();
    for message in &messages {
        assert_eq!((&message["type"], &message["specversion"]), (&"record.rejected".into(), &"1.0".into()));
        let place = |key: &str| message[key].as_u64().unwrap();
        let topic = message["topic"].as_str().unwrap().to_owned();
        by_place.insert((topic, place("logpartition"), place("logoffset")), message);
    }
    for row in rows(&replayed.output, "select * from dead_letters") {
        let topic = row["topic"].as_str().unwrap().to_owned();
        let place = (topic, row["log_partition"].as_u64().unwrap(), row["log_offset"].as_u64().unwrap());
        let message = by_place.remove(&place).unwrap_or_else(|| panic!("no message of {place:?}"));
        let columns = ["dealer_id", "reason_code", "reason", "received_at", "payload"];
        let attributes = ["dealerid", "reasoncode", "reason", "time", "data_base64"];
        assert_eq!(columns.map(|column| &row[column]), attributes.map(|key| &message[key]), "{place:?}");
    }
}

/// The table's payload is compared with the input everywhere; here it is read from the input by hand.
#[test]
fn a_dead_letter_keeps_the_bytes_even_if_they_are_not_utf8() {
    let world = World::empty();
    let bytes = b"{\"specversion\":\"1.0\",\"id\":\"\xff\xfe\",\"time\":\"2026-02-16T15:04:05Z\"}";
    fs::write(world.input().join("leads.jsonl"), bytes).unwrap();
    let replayed = world.replay("output", &[]);
    let letters = rows(&replayed.output, "select * from dead_letters");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["payload"], base64(bytes));
    assert_eq!(letters[0]["reason_code"], "invalid_utf8");
    assert_eq!(letters[0]["received_at"], "2026-02-16T15:04:05.000Z");
    assert_eq!(letters[0]["dealer_id"], Value::Null);
}
