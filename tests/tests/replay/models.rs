//! What the models say: the tables of an output follow from its topics, message by message, and the messages from the contract.
//!
//! ```text
//!   customer-segments ─▶ segment, outlier, priority of each lead ─┬─▶ columns of leads and customers, tables of the models
//!   lead-assignments  ─▶ rep of each lead ────────────────────────┘      active leads: counted from the tables alone
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::dealerflow::rows;
use tests::reference::Tables;

use crate::files::assert_same_bytes;
use crate::tables::time_ms;
use crate::world::{Event, World, event, write_events};

const WEEK_MS: i64 = 7 * 86_400_000;

/// Topics of the models.
pub(crate) const MODEL_TOPICS: [&str; 4] = ["anomalies", "customer-segments", "lead-assignments", "team-status"];

type Key = (String, String);

/// The messages of a topic, in order.
pub(crate) fn messages(output: &Path, topic: &str) -> Vec<Value> {
    let text = fs::read_to_string(output.join(format!("topics/{topic}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn key(message: &Value) -> Key {
    (text(&message["dealerid"]), text(&message["data"]["leadId"]))
}

fn row_key(row: &Value) -> Key {
    (text(&row["dealer_id"]), text(&row["lead_id"]))
}

/// The last word on each lead.
struct Said {
    segments: BTreeMap<Key, Value>,
    reps: BTreeMap<Key, Value>,
}

impl Said {
    /// Reads the topics, and asserts that each message takes the place of the one before about its lead.
    fn read(output: &Path) -> Self {
        let mut said = Said { segments: BTreeMap::new(), reps: BTreeMap::new() };
        let mut ids = BTreeSet::new();
        for message in messages(output, "customer-segments") {
            assert!(ids.insert((text(&message["dealerid"]), text(&message["id"]))), "twice: {message}");
            let before = if message["type"] == "customer.segmented" {
                said.segments.insert(key(&message), message.clone())
            } else {
                said.segments.remove(&key(&message))
            };
            // What left memory is not superseded.
            if let Some(supersedes) = message["data"].get("supersedes") {
                assert_eq!(Some(supersedes), before.as_ref().map(|before| &before["id"]), "{message}");
            }
        }
        for message in messages(output, "lead-assignments") {
            assert!(ids.insert((text(&message["dealerid"]), text(&message["id"]))), "twice: {message}");
            let before = if message["type"] == "lead.unassigned" {
                said.reps.remove(&key(&message))
            } else {
                said.reps.insert(key(&message), message.clone())
            };
            match message["data"].get("supersedes") {
                Some(supersedes) => {
                    assert_eq!(Some(supersedes), before.as_ref().map(|before| &before["id"]), "{message}");
                }
                None => assert_eq!(message["type"], "lead.assigned", "{message}"),
            }
        }
        said
    }
}

/// Fills in what the reference does not know: the columns of the models, from the topics. Counts of active leads it derives.
pub(crate) fn fill(output: &Path, tables: &mut Tables, epoch_ms: i64) {
    let said = Said::read(output);
    let deals: BTreeSet<Key> =
        tables["deals"].iter().map(|deal| (text(&deal["dealer_id"]), text(&deal["lead_id"]))).collect();
    let mut active: BTreeMap<Key, u64> = BTreeMap::new();
    let mut segments: BTreeMap<Key, (i64, Value)> = BTreeMap::new();
    for lead in tables.get_mut("leads").unwrap() {
        let key = row_key(lead);
        // One that left memory and came back by an update has no creation, and nothing is said of it.
        if lead["created_at"].is_null() {
            continue;
        }
        if let Some(message) = said.segments.get(&key) {
            let data = &message["data"];
            lead["segment"] = data["clusterName"].clone();
            lead["is_outlier"] = data["isOutlier"].clone();
            lead["priority_score"] = data["priorityScore"].clone();
            let scored = (time_ms(&message["time"]), data["clusterName"].clone());
            let last = segments.entry((key.0.clone(), text(&lead["customer_id"]))).or_insert((i64::MIN, Value::Null));
            if scored.0 > last.0 {
                *last = scored;
            }
        }
        if let Some(message) = said.reps.get(&key) {
            lead["assigned_rep_id"] = message["data"]["repId"].clone();
            if !deals.contains(&key) && time_ms(&lead["updated_at"]) >= epoch_ms - WEEK_MS {
                lead["active"] = true.into();
                *active.entry((key.0, text(&lead["assigned_rep_id"]))).or_default() += 1;
            }
        }
    }
    for customer in tables.get_mut("customers").unwrap() {
        let key = (text(&customer["dealer_id"]), text(&customer["customer_id"]));
        if let Some((_, segment)) = segments.get(&key) {
            customer["segment"] = segment.clone();
        }
    }
    for rep in tables.get_mut("reps").unwrap() {
        let key = (text(&rep["dealer_id"]), text(&rep["rep_id"]));
        rep["active_leads"] = active.get(&key).copied().unwrap_or(0).into();
    }
}

/// The phase of a rep follows from differential equations: it is looked at, and taken away.
pub(crate) fn take_phases(reps: &mut [Value]) {
    for rep in reps {
        let phase = rep.as_object_mut().unwrap().remove("phase").unwrap();
        assert!(phase.as_f64().is_some_and(|phase| (0.0..std::f64::consts::TAU).contains(&phase)), "{phase} of {rep}");
    }
}

/// The messages of each epoch, as they say themselves.
pub(crate) fn messages_by_epoch(output: &Path) -> BTreeMap<i64, u64> {
    let mut counts = BTreeMap::new();
    for topic in MODEL_TOPICS {
        for message in messages(output, topic) {
            *counts.entry(message["data"]["epoch"].as_i64().unwrap()).or_default() += 1;
        }
    }
    counts
}

/// Asserts what holds between the models' own tables, the leads and the topics.
fn assert_tables_of_models(output: &Path) {
    let leads: BTreeMap<Key, Value> =
        rows(output, "select * from leads").into_iter().map(|row| (row_key(&row), row)).collect();
    let segmented = leads.values().filter(|lead| !lead["segment"].is_null()).count();
    let members = rows(output, "select * from segment_members");
    assert_eq!(members.len(), segmented);
    let names: BTreeMap<(String, i64), Value> = rows(output, "select * from segments")
        .into_iter()
        .map(|row| ((text(&row["dealer_id"]), row["cluster_id"].as_i64().unwrap()), row))
        .collect();
    let mut sizes: BTreeMap<(String, i64), (u64, u64)> = BTreeMap::new();
    for member in &members {
        let lead = &leads[&row_key(member)];
        assert_eq!((&member["customer_id"], &member["is_outlier"]), (&lead["customer_id"], &lead["is_outlier"]));
        let confidence = member["confidence"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&confidence), "{member}");
        let size = sizes.entry((text(&member["dealer_id"]), member["cluster_id"].as_i64().unwrap())).or_default();
        size.0 += 1;
        size.1 += u64::from(member["is_outlier"] == true);
    }
    for (cluster, segment) in &names {
        let (customers, outliers) = sizes.get(cluster).copied().unwrap_or_default();
        assert_eq!((segment["customers"].as_u64(), segment["outliers"].as_u64()), (Some(customers), Some(outliers)));
        let centroid: Vec<f64> = serde_json::from_str(segment["centroid"].as_str().unwrap()).unwrap();
        assert_eq!(centroid.len(), 10, "{segment}");
    }
    assert!(sizes.keys().all(|cluster| names.contains_key(cluster)));
    let anomalies = rows(output, "select * from anomalies");
    assert_eq!(anomalies.len(), leads.values().filter(|lead| lead["is_outlier"] == true).count());
    assert!(anomalies.iter().all(|row| row["reason"].as_str().is_some_and(|reason| reason.contains("expected"))));
    let assigned: BTreeMap<Key, Value> =
        rows(output, "select * from lead_assignments").into_iter().map(|row| (row_key(&row), row)).collect();
    for (key, lead) in &leads {
        assert_eq!(assigned.get(key).map_or(&Value::Null, |row| &row["rep_id"]), &lead["assigned_rep_id"], "{key:?}");
    }
}

/// Asserts that leads were given only to reps who were on duty and below their cap: a plain walk over input and topic, by time.
fn assert_assignments(input: &Path, output: &Path) -> usize {
    let mut steps: Vec<(i64, u8, Value)> = Vec::new();
    for line in fs::read_to_string(input.join("reps.jsonl")).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        steps.push((time_ms(&event["time"]), 0, event));
    }
    for message in messages(output, "lead-assignments") {
        steps.push((time_ms(&message["time"]), 1, message));
    }
    steps.sort_by_key(|(time, kind, _)| (*time, *kind));
    let mut status: BTreeMap<Key, String> = BTreeMap::new();
    let mut given = 0;
    for (_, _, step) in steps {
        let rep = (text(&step["dealerid"]), text(&step["data"]["repId"]));
        match step["type"].as_str().unwrap() {
            "rep.added" => {
                status.entry(rep).or_insert_with(|| "available".to_owned());
            }
            "rep.removed" => {
                status.remove(&rep);
            }
            "rep.status.changed" => {
                status.insert(rep, text(&step["data"]["status"]));
            }
            "lead.assigned" | "lead.reassigned" => {
                let known = status.get(&rep).map(String::as_str);
                assert!(matches!(known, Some("available" | "busy")), "{known:?}: {step}");
                assert!(!step["data"]["reasons"].as_array().unwrap().is_empty(), "{step}");
                let others = step["data"]["alternatives"].as_array().unwrap();
                assert!(others.iter().all(|other| other["repId"] != step["data"]["repId"]), "{step}");
                given += 1;
            }
            _ => {}
        }
    }
    given
}

#[test]
fn the_models_tables_follow_from_their_topics_and_their_messages_from_the_contract() {
    let world = World::orderly(51, 12, 12_000);
    let output = world.replay("output", &[]).output;
    assert_tables_of_models(&output);
    assert!(assert_assignments(&world.input(), &output) > 300);
    let segmented = messages(&output, "customer-segments");
    let first = segmented.iter().filter(|message| message["data"].get("supersedes").is_none()).count();
    let created = rows(&output, "select count(*) as leads from leads where created_at is not null");
    assert_eq!(created[0]["leads"], first as u64, "each created lead is segmented once, and then corrected");
    for topic in MODEL_TOPICS {
        let messages = messages(&output, topic);
        let order = |message: &Value| ["time", "dealerid", "type", "id"].map(|field| text(&message[field]));
        assert!(messages.is_sorted_by_key(order), "{topic}");
    }
    assert!(messages(&output, "team-status").iter().all(|message| {
        let coherence = &message["data"]["coherence"];
        coherence.is_null() || coherence.as_f64().is_some_and(|coherence| (0.0..=1.0).contains(&coherence))
    }));
}

#[test]
fn the_seed_form_and_models_that_are_off_are_settings() {
    let world = World::orderly(52, 3, 3_000);
    let config = world.path("seed.toml");
    fs::write(&config, "[models.whaco]\nmode = \"seed\"\n[models.oscillators]\nenabled = false\n").unwrap();
    let seed = world.replay("seed", &["--config", config.to_str().unwrap()]).output;
    assert_tables_of_models(&seed);
    assert!(
        messages(&seed, "customer-segments")
            .iter()
            .all(|message| { message["type"] != "customer.segmented" || message["data"]["model"] == "whaco-seed-1" })
    );
    assert!(messages(&seed, "team-status").is_empty());
    assert!(!messages(&seed, "lead-assignments").is_empty());

    let off = ["whaco", "oscillators", "assignment"].map(|model| format!("[models.{model}]\nenabled = false\n"));
    fs::write(&config, off.concat()).unwrap();
    let off = world.replay("off", &["--config", config.to_str().unwrap()]).output;
    assert!(MODEL_TOPICS.iter().all(|topic| messages(&off, topic).is_empty()));
    assert_eq!(rows(&off, "select count(*) as rows from leads where segment is not null")[0]["rows"], 0);
}

fn lead(time: &str, id: &str, further: &Value) -> Event {
    let mut data = json!({"leadId": id, "customerId": format!("c-{id}"), "channel": "web"});
    data.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    event(time, "lead.created", data)
}

fn rep(time: &str, id: &str, further: &Value) -> Event {
    let mut data = json!({"repId": id, "name": id});
    data.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    event(time, "rep.added", data)
}

/// What became of leads: type, lead and rep of each message.
fn assignments(world: &World) -> Vec<(String, String, String)> {
    let output = world.replay("output", &["--overwrite"]).output;
    let said = messages(&output, "lead-assignments");
    said.iter().map(|m| (text(&m["type"]), text(&m["data"]["leadId"]), text(&m["data"]["repId"]))).collect()
}

fn said(expected: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    expected.iter().map(|(kind, lead, rep)| ((*kind).into(), (*lead).into(), (*rep).into())).collect()
}

#[test]
fn a_lead_waits_until_a_rep_comes_and_moves_on_when_the_rep_goes() {
    let status = |time: &str, rep: &str, status: &str| {
        event(time, "rep.status.changed", json!({"repId": rep, "status": status}))
    };
    let world = World::of(&[
        lead("2026-02-16T10:00:00Z", "early", &json!({})),
        rep("2026-02-16T10:05:00Z", "ann", &json!({})),
        rep("2026-02-16T10:06:00Z", "bob", &json!({})),
        status("2026-02-16T10:10:00Z", "ann", "off"),
        status("2026-02-16T10:20:00Z", "bob", "off"),
        status("2026-02-16T10:30:00Z", "ann", "available"),
        event("2026-02-16T10:40:00Z", "lead.deleted", json!({"leadId": "early"})),
    ]);
    let expected = said(&[
        ("lead.assigned", "early", "ann"),
        ("lead.reassigned", "early", "bob"),
        ("lead.unassigned", "early", "bob"),
        ("lead.assigned", "early", "ann"),
        ("lead.unassigned", "early", "ann"),
    ]);
    assert_eq!(assignments(&world), expected);
}

#[test]
fn caps_skills_and_shifts_bind_and_a_slow_rep_loses_the_lead() {
    let world = World::of(&[
        rep("2026-02-16T09:00:00Z", "ann", &json!({"leadCap": 1, "skills": ["trucks"]})),
        rep("2026-02-16T09:00:01Z", "bob", &json!({"shiftStart": "12:00", "shiftEnd": "18:00"})),
        lead("2026-02-16T10:00:00Z", "l-1", &json!({"skills": ["trucks"]})),
        // Ann is at her cap, Bob's shift begins at noon.
        lead("2026-02-16T10:00:10Z", "l-2", &json!({})),
        event("2026-02-16T10:01:00Z", "lead.responded", json!({"leadId": "l-1"})),
        // An hour after noon Bob has not answered; Ann has no room, so it stays with him.
        event("2026-02-16T13:30:00Z", "dealer.updated", json!({"name": "d"})),
        // With room for Ann the next hour moves it on.
        event("2026-02-16T13:40:00Z", "deal.created", json!({"dealId": "x", "leadId": "l-1", "repId": "ann"})),
        event("2026-02-16T14:59:00Z", "dealer.updated", json!({"name": "d"})),
    ]);
    let expected =
        said(&[("lead.assigned", "l-1", "ann"), ("lead.assigned", "l-2", "bob"), ("lead.reassigned", "l-2", "ann")]);
    assert_eq!(assignments(&world), expected);
    let said = messages(&world.path("output"), "lead-assignments");
    assert_eq!(
        (&said[1]["time"], &said[1]["data"]["timer"]),
        (&"2026-02-16T12:00:00.000Z".into(), &"placement".into())
    );
    assert_eq!((&said[2]["time"], &said[2]["data"]["timer"]), (&"2026-02-16T14:00:00.000Z".into(), &"response".into()));
}

#[test]
fn credit_data_moves_no_lead_unless_the_policy_says_so() {
    let given = |score: u64, config: &str| {
        let world = World::empty();
        let reps = [("ann", 0.9), ("bob", 0.5)];
        let mut events: Vec<Event> =
            reps.iter().map(|(id, skill)| rep("2026-02-16T09:00:00Z", id, &json!({"skillLevel": skill}))).collect();
        events.push(lead("2026-02-16T09:00:00.001Z", "l", &json!({"creditScore": score, "engagement": 0.5})));
        write_events(&world.input(), &events);
        let file = world.path("policy.toml");
        fs::write(&file, config).unwrap();
        let output = world.replay("output", &["--config", file.to_str().unwrap()]).output;
        messages(&output, "lead-assignments")[0]["data"]["score"].as_f64().unwrap()
    };
    assert_eq!(given(520, "").to_bits(), given(840, "").to_bits());
    let uses = "[models.assignment]\nuses_credit_data = true\n";
    assert_ne!(given(520, uses).to_bits(), given(840, uses).to_bits());
}

#[test]
fn a_team_is_told_of_at_every_tick_while_somebody_is_on_duty_and_sleeps_after_a_week() {
    let world = World::of(&[
        rep("2026-02-16T09:01:00Z", "ann", &json!({})),
        event("2026-02-16T10:02:00Z", "rep.status.changed", json!({"repId": "ann", "status": "off"})),
        event("2026-02-16T11:02:00Z", "rep.status.changed", json!({"repId": "ann", "status": "available"})),
        event("2026-03-16T11:02:00Z", "dealer.updated", json!({"name": "d"})),
    ]);
    let config = world.path("often.toml");
    fs::write(&config, "").unwrap();
    let mut command = tests::dealerflow::command();
    command.args(["replay", "--input"]).arg(world.input()).arg("--output").arg(world.path("output"));
    let _ = tests::dealerflow::run(command).succeeded();
    let said = messages(&world.path("output"), "team-status");
    let ticks = said.iter().filter(|message| message["data"]["timer"] == "tick").count();
    // Twelve from 9:05 to 10:00 and none until 11:05; then 2,016 until a week after 11:02.
    assert_eq!(ticks, 12 + 2_016);
    let off = said.iter().find(|message| message["data"]["onDuty"] == 0).unwrap();
    assert_eq!((&off["time"], &off["data"]["coherence"]), (&"2026-02-16T10:02:00.000Z".into(), &Value::Null));
}

#[test]
fn any_number_of_workers_and_any_files_say_the_same() {
    let world = World::simulated(53, 8, 8_000);
    let outputs = ["1", "4"].map(|workers| world.replay(&format!("w{workers}"), &["-w", workers]).output);
    assert_same_bytes(&outputs[0], &outputs[1]);
    assert!(MODEL_TOPICS[1..].iter().all(|topic| messages(&outputs[0], topic).len() > 100));
}
