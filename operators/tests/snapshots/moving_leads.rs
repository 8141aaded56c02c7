//! Leads on their way between reps, and the team's day: leads that were at rest and are active again, leads that wait for what changes
//! without a rep's doing; whether or not the state was written and read in between.

use operators::dataflow::entities::EntitySettings;
use operators::domain::event::Topic;
use operators::domain::shards::{Barrier, ShardRange};
use operators::domain::time::format_rfc3339;

use crate::events::{EpochRecords, HOUR_MS, Record, START_MS};
use crate::graph::{SETTINGS, Start, run};
use crate::{difference, parts_until};

/// Longer than a lead takes to come to rest, so that it can come back.
const RETURNING: EntitySettings = EntitySettings { retention_ms: 30 * 24 * HOUR_MS, ..SETTINGS };
/// A lead rests after seven days without an event.
const RESTED: i64 = 8 * 24;

/// One event an epoch, as (hour, type, data).
fn epochs(events: &[(i64, &str, &str)]) -> Vec<EpochRecords> {
    let record = |offset: u64, (hour, event_type, data): &(i64, &str, &str)| {
        // Events of one hour are a second apart; all say what some need.
        let epoch = START_MS + hour * HOUR_MS + offset as i64 * 1_000;
        let topic = match event_type.split('.').next() {
            Some("rep") => Topic::Reps,
            Some("deal") => Topic::Deals,
            Some("dealer") => Topic::Dealers,
            _ => Topic::Leads,
        };
        let time = format_rfc3339(epoch);
        let json = format!(
            r#"{{"specversion":"1.0","id":"event-{offset}","source":"/crm","type":"{event_type}","time":"{time}","dealerid":"d","data":{{"name":"n","customerId":"c","channel":"web",{data}}}}}"#
        );
        EpochRecords { epoch, records: vec![Record { topic, json, offset }] }
    };
    (0..).zip(events).map(|(offset, event)| record(offset, event)).collect()
}

fn after<'a>(message: &'a str, key: &str) -> &'a str {
    message.split_once(key).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}

/// Runs the events and gives the messages of a type; asserts that they are the same after a restart behind any of the events.
fn messages(events: &[(i64, &str, &str)], message_type: &str) -> Vec<String> {
    let epochs = epochs(events);
    let barriers: Vec<Barrier> =
        epochs.iter().map(|epoch| Barrier { epoch: epoch.epoch, base: ShardRange::ALL }).collect();
    let whole = run(1, RETURNING, None, &epochs, &barriers, 1);
    assert!(whole.letters.is_empty(), "{:?}", whole.letters);
    for at in 1..epochs.len() {
        let from = epochs[at - 1].epoch;
        let start = Start { epoch: from, parts: parts_until(&whole, from) };
        let restored = run(1, RETURNING, Some(start), &epochs[at..], &barriers[at..], 1);
        assert_eq!(difference(&whole, &restored, from), None, "restored behind event {at}");
    }
    let wanted = format!(r#""type":"{message_type}"#);
    whole.messages.into_values().flatten().filter(|message| message.contains(&wanted)).collect()
}

/// Runs the events and tells what was said of the leads' reps.
fn check(events: &[(i64, &str, &str)], expected: &[&str]) {
    let said: Vec<String> = messages(events, "lead.")
        .iter()
        .map(|message| {
            let word = |key: &str| after(message, key);
            format!("{} {} {}", word(r#""type":"lead."#), word(r#""subject":""#), word(r#""repId":""#))
        })
        .collect();
    assert_eq!(said, expected);
}

#[test]
fn a_lead_that_comes_back_stays_below_the_cap() {
    check(
        &[
            (0, "rep.added", r#""repId":"ann","leadCap":2"#),
            (0, "lead.created", r#""leadId":"first""#),
            (0, "lead.created", r#""leadId":"second""#),
            (RESTED, "lead.created", r#""leadId":"third""#),
            // There is room for one more: the rep goes on with it.
            (RESTED, "lead.updated", r#""leadId":"first","language":"en""#),
            (RESTED, "rep.added", r#""repId":"bob","leadCap":1"#),
            (RESTED, "lead.updated", r#""leadId":"second","language":"en""#),
            (RESTED, "rep.status.changed", r#""repId":"bob","status":"busy""#),
        ],
        &["assigned first ann", "assigned second ann", "assigned third ann", "reassigned second bob"],
    );
}

#[test]
fn a_lead_that_comes_back_to_a_full_team_waits() {
    check(
        &[
            (0, "rep.added", r#""repId":"ann","leadCap":1"#),
            (0, "lead.created", r#""leadId":"first""#),
            (RESTED, "lead.created", r#""leadId":"second""#),
            (RESTED, "lead.updated", r#""leadId":"first","language":"en""#),
            (RESTED, "deal.created", r#""dealId":"x","leadId":"second","repId":"ann""#),
        ],
        &["assigned first ann", "assigned second ann", "unassigned first ann", "assigned first ann"],
    );
}

#[test]
fn a_lead_does_not_come_back_to_a_rep_who_is_off_or_gone() {
    check(
        &[
            (0, "rep.added", r#""repId":"ann""#),
            (0, "lead.created", r#""leadId":"answered""#),
            (0, "lead.responded", r#""leadId":"answered""#),
            (0, "lead.created", r#""leadId":"open""#),
            (RESTED, "rep.added", r#""repId":"bob""#),
            (RESTED, "rep.status.changed", r#""repId":"ann","status":"off""#),
            (RESTED, "lead.updated", r#""leadId":"open","language":"en""#),
            // What is answered stays with its rep, until that one is gone.
            (RESTED, "lead.updated", r#""leadId":"answered","language":"en""#),
            (2 * RESTED, "rep.removed", r#""repId":"ann""#),
            (2 * RESTED, "lead.updated", r#""leadId":"answered","language":"de""#),
        ],
        &["assigned answered ann", "assigned open ann", "reassigned open bob", "reassigned answered bob"],
    );
}

#[test]
fn a_lead_that_nobody_answered_is_timed_anew_when_it_comes_back() {
    check(
        &[
            (0, "rep.added", r#""repId":"ann""#),
            (0, "lead.created", r#""leadId":"open""#),
            (RESTED, "rep.added", r#""repId":"bob""#),
            (RESTED, "lead.updated", r#""leadId":"open","language":"en""#),
            (RESTED + 1, "rep.status.changed", r#""repId":"bob","status":"busy""#),
        ],
        &["assigned open ann", "reassigned open bob"],
    );
}

#[test]
fn a_lead_that_moves_says_why() {
    let events = [
        (0, "rep.added", r#""repId":"ann""#),
        (0, "lead.created", r#""leadId":"slow""#),
        (0, "rep.added", r#""repId":"bob""#),
        (1, "dealer.updated", r#""state":"TX""#),
        (1, "rep.status.changed", r#""repId":"bob","status":"off""#),
        (1, "rep.removed", r#""repId":"ann""#),
        (1, "rep.status.changed", r#""repId":"bob","status":"available""#),
    ];
    let said = messages(&events, "lead.");
    let first_reasons: Vec<&str> = said.iter().map(|message| after(message, r#""reasons":[""#)).collect();
    assert_eq!(
        first_reasons[1..3],
        ["n has not answered in time", "n is off"],
        "to Bob after an hour, and back when he goes"
    );
    assert_eq!(first_reasons[3], "the rep has left, and nobody else can take the lead");
    assert!(first_reasons[4].starts_with("placed together with 1 waiting leads"), "{first_reasons:?}");
}

#[test]
fn a_lead_that_waits_goes_once_it_asks_for_less_or_the_clock_is_another() {
    check(
        &[
            (0, "rep.added", r#""repId":"ann""#),
            (0, "rep.added", r#""repId":"bob","skills":["ev"]"#),
            (0, "rep.status.changed", r#""repId":"bob","status":"off""#),
            (0, "lead.created", r#""leadId":"electric","skills":["ev"]"#),
            (0, "lead.updated", r#""leadId":"electric","skills":[]"#),
        ],
        &["assigned electric ann"],
    );
    // It is 15:04 in UTC and 10:04 in New York.
    check(
        &[
            (0, "rep.added", r#""repId":"ann","shiftStart":"09:00","shiftEnd":"12:00""#),
            (0, "lead.created", r#""leadId":"early""#),
            (0, "dealer.updated", r#""timeZone":"America/New_York""#),
        ],
        &["assigned early ann"],
    );
}

#[test]
fn the_team_begins_anew_at_the_dealers_midnight() {
    // It is 07:04 of the dealer's day, 15:04 in UTC.
    let events = [
        (0, "dealer.updated", r#""timeZone":"America/Los_Angeles""#),
        (0, "rep.added", r#""repId":"ann""#),
        (1, "deal.created", r#""dealId":"x","repId":"ann""#),
        (2, "deal.closed", r#""dealId":"x","repId":"ann""#),
        (30, "rep.status.changed", r#""repId":"ann","status":"busy""#),
    ];
    let closed = |message: &String| {
        let today = message.split_once(r#""dealsToday":"#).unwrap().1;
        let time = after(message, r#""time":""#).to_owned();
        (time, today.split(',').next().unwrap().to_owned())
    };
    let ticks: Vec<(String, String)> = messages(&events, "team.").iter().map(closed).collect();
    let at = |hour: &str| ticks.iter().find(|(time, _)| time.contains(hour)).map(|(_, today)| today.as_str());
    assert_eq!(at("2026-02-16T17:00"), Some("0"));
    assert_eq!(at("2026-02-16T17:10"), Some("1"));
    // Midnight in UTC is nothing to this dealer.
    assert_eq!(at("2026-02-17T07:55"), Some("1"));
    assert_eq!(at("2026-02-17T08:05"), Some("0"));
}
