//! Models that begin anew: what they forget, what stays, whom it does not concern, and that it happens once.

use std::collections::BTreeMap;

use operators::dataflow::entities::EntitySettings;
use operators::dataflow::intelligence::clusters::CLUSTERS;
use operators::dataflow::intelligence::settings::{ModelSettings, PreparedModels, Prior, WhacoSettings};
use operators::domain::event::Topic;
use operators::domain::shards::{Barrier, ShardRange};
use operators::domain::tables::TableId;
use operators::domain::time::format_rfc3339;
use operators::models::whaco::features::LeadFields;

use crate::events::{EpochRecords, HOUR_MS, Random, Record, START_MS, world};
use crate::graph::{Outcome, Row, SETTINGS, Start, run, run_with, standard, tables};
use crate::{difference, parts_until};

const MINUTE_MS: i64 = 60_000;
/// With room for all ids, so that a record more makes none be forgotten.
const ROOMY: EntitySettings = EntitySettings { dedup_keys_max: 1 << 20, ..SETTINGS };
/// When the reset happens where one test has one.
const RESET_MS: i64 = START_MS + 10 * HOUR_MS;

/// An event of dealer `d`.
fn event(id: &str, time_ms: i64, event_type: &str, data: &str) -> (i64, Record) {
    let topic = match event_type.split('.').next() {
        Some("rep") => Topic::Reps,
        Some("deal") => Topic::Deals,
        Some("command") => Topic::Commands,
        _ => Topic::Leads,
    };
    let time = format_rfc3339(time_ms);
    let json = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/crm","type":"{event_type}","time":"{time}","dealerid":"d","data":{{{data}}}}}"#
    );
    (time_ms, Record { topic, json, offset: 0 })
}

fn reset(id: &str, time_ms: i64) -> (i64, Record) {
    event(id, time_ms, "command.accepted", r#""command":"reset","arguments":{}"#)
}

fn lead(id: &str, time_ms: i64, random: &mut Random) -> (i64, Record) {
    let (score, income) = (450 + random.below(380), random.below(25_000_000));
    let (engagement, down) = (random.below(100), random.below(1_500_000));
    let data = format!(
        r#""leadId":"{id}","customerId":"c","channel":"web","creditScore":{score},"annualIncomeCents":{income},"vehiclePriceCents":3000000,"downPaymentCents":{down},"engagement":0.{engagement:02}"#
    );
    event(id, time_ms, "lead.created", &data)
}

/// Events in epochs of a width, as they arrive.
fn epochs(events: &[(i64, Record)], width_ms: i64) -> Vec<EpochRecords> {
    let mut epochs: BTreeMap<i64, Vec<Record>> = BTreeMap::new();
    for (offset, (arrives_ms, record)) in (1..).zip(events) {
        let epoch = (arrives_ms + width_ms - 1).div_euclid(width_ms) * width_ms;
        epochs.entry(epoch).or_default().push(Record { offset, ..record.clone() });
    }
    epochs.into_iter().map(|(epoch, records)| EpochRecords { epoch, records }).collect()
}

/// Adds records to random epochs, as if they had arrived in them.
fn add(epochs: &mut [EpochRecords], random: &mut Random, number: u64, record: impl Fn(u64, i64) -> (i64, Record)) {
    for index in 0..number {
        let at = random.below(epochs.len() as u64) as usize;
        let (_, record) = record(index, epochs[at].epoch - random.below(3 * HOUR_MS as u64) as i64);
        epochs[at].records.push(Record { offset: 1_000_000 + index, ..record });
    }
}

fn of_dealer((time_ms, record): (i64, Record), dealer: u64) -> (i64, Record) {
    (
        time_ms,
        Record { json: record.json.replace(r#""dealerid":"d""#, &format!(r#""dealerid":"d-{dealer}""#)), ..record },
    )
}

/// Adds resets of random dealers of a [`world`], late ones and copies among them.
pub(crate) fn add_resets(epochs: &mut [EpochRecords], random: &mut Random, dealers: u64) {
    let salt = random.next();
    // Fewer ids than resets: some are copies of others, or reuse their ids.
    add(epochs, random, 6, |index, time_ms| {
        of_dealer(reset(&format!("reset-{}", index % 5), time_ms), (salt >> index) % dealers)
    });
}

fn all_messages(outcome: &Outcome) -> Vec<String> {
    outcome.messages.values().flatten().cloned().collect()
}

/// What is said of kinds of customers and of unusual ones after a time.
fn segmented_after(outcome: &Outcome, after_ms: i64) -> Vec<String> {
    let later = outcome.messages.range(after_ms + 1..).flat_map(|(_, messages)| messages);
    later
        .filter(|message| [r#""type":"cust"#, r#""type":"anom"#].iter().any(|kind| message.contains(kind)))
        .cloned()
        .collect()
}

fn number(message: &str, key: &str) -> f64 {
    let rest = message.split_once(key).unwrap().1;
    rest.split([',', '}', ']']).next().unwrap().parse().unwrap()
}

/// The models in every form of clusters: the user's, ours, ours with the leads of others.
fn forms() -> [PreparedModels; 3] {
    let seed = ModelSettings { whaco: Some(WhacoSettings::Seed), ..ModelSettings::standard() };
    let mut random = Random(99);
    let leads: Vec<LeadFields> =
        (0..500).map(|_| LeadFields { credit_score: Some(300 + random.below(550)), ..LeadFields::default() }).collect();
    let prior = ModelSettings::standard().prepare_with_prior(Prior { leads: &leads, worth_rows: 50 });
    [seed.prepare().unwrap(), standard(), prior.unwrap()]
}

fn history() -> Vec<(i64, Record)> {
    let mut random = Random(5);
    (0..300).map(|number| lead(&format!("old-{number}"), START_MS + number * MINUTE_MS, &mut random)).collect()
}

fn later() -> Vec<(i64, Record)> {
    let mut random = Random(6);
    (1..80).map(|number| lead(&format!("new-{number}"), RESET_MS + number * MINUTE_MS, &mut random)).collect()
}

#[test]
fn the_next_new_lead_meets_what_the_first_lead_of_a_new_dealer_meets() {
    for (form, models) in forms().iter().enumerate() {
        let said = |events: &[(i64, Record)]| {
            let outcome = run_with(models, 1, SETTINGS, None, &epochs(events, MINUTE_MS), &[], 7);
            assert!(outcome.letters.is_empty(), "{:?}", outcome.letters);
            let centroids: BTreeMap<Vec<String>, String> = tables(&outcome, i64::MAX)
                .into_iter()
                .filter(|((table, _), _)| *table == TableId::Segments)
                .map(|((_, key), cells)| (key, cells[6].clone()))
                .collect();
            assert_eq!(centroids.len(), CLUSTERS);
            (segmented_after(&outcome, RESET_MS), centroids)
        };
        let fresh = said(&later());
        assert!(fresh.0.len() >= 79);
        // An update of a lead that was there before is scored anew, and teaches nothing.
        let update = event("update", RESET_MS + 1, "lead.updated", r#""leadId":"old-7","creditScore":801"#);
        let with = |between: &[(i64, Record)]| said(&[history(), between.to_vec(), later()].concat());
        let (mut messages, centroids) = with(&[reset("reset", RESET_MS), update]);
        let updated = messages.iter().position(|message| message.contains(r#""subject":"old-7""#)).unwrap();
        assert!(messages.remove(updated).contains(r#""supersedes":""#), "form {form}");
        assert_eq!((messages, centroids), fresh, "form {form}");
        assert_ne!(with(&[]), fresh, "form {form}: without a reset there is something to forget");
    }
}

#[test]
fn what_was_said_of_leads_stays_and_the_segments_count_it() {
    let mut events = [history(), vec![reset("reset", RESET_MS)]].concat();
    events.push(event("update", RESET_MS + HOUR_MS, "lead.updated", r#""leadId":"old-7","creditScore":801"#));
    let outcome = run(1, SETTINGS, None, &epochs(&events, MINUTE_MS), &[], 1);
    let epoch = *outcome.counts.range(RESET_MS..).next().unwrap().0;
    let written: Vec<&Row> = outcome.rows[&epoch].iter().collect();
    let segments = written.iter().filter(|(table, ..)| *table == TableId::Segments);
    let time = |cells: &Vec<String>| cells[7].parse::<i64>().unwrap();
    assert_eq!(segments.map(|(_, cells, _)| time(cells)).collect::<Vec<_>>(), [RESET_MS; CLUSTERS]);
    assert!(
        written.iter().all(|(table, ..)| matches!(table, TableId::Segments | TableId::Sources | TableId::Epochs)),
        "{written:?}"
    );
    assert!(!outcome.messages.contains_key(&epoch), "there is no team to tell of");
    let before = tables(&outcome, epoch - 1);
    assert!(before.keys().any(|(table, _)| *table == TableId::Anomalies), "there are unusual leads that stay so");
    assert_counts(&outcome);
}

/// Asserts after each epoch that the rows of segments count what `segment_members` lists.
fn assert_counts(outcome: &Outcome) {
    for epoch in outcome.counts.keys() {
        let (mut listed, mut counted) = (BTreeMap::new(), BTreeMap::new());
        for ((table, key), cells) in tables(outcome, *epoch) {
            if table == TableId::SegmentMembers {
                let of_cluster: &mut (u64, u64) = listed.entry((key[0].clone(), cells[2].clone())).or_default();
                *of_cluster = (of_cluster.0 + 1, of_cluster.1 + u64::from(cells[5] == "1"));
            } else if table == TableId::Segments {
                let counts = (cells[4].parse::<u64>().unwrap(), cells[5].parse::<u64>().unwrap());
                counted.insert((key[0].clone(), key[1].clone()), counts);
            }
        }
        counted.retain(|_, counts| *counts != (0, 0));
        assert_eq!(listed, counted, "after epoch {epoch}");
    }
}

fn rep(id: &str, time_ms: i64, frequency: f64) -> (i64, Record) {
    let data = format!(r#""repId":"{id}","name":"{id}","naturalFrequency":{frequency},"skillLevel":0.5"#);
    event(id, time_ms, "rep.added", &data)
}

fn team(time_ms: i64) -> Vec<(i64, Record)> {
    vec![rep("ann", time_ms, 0.5), rep("bob", time_ms, 1.0), rep("cat", time_ms, 2.0)]
}

fn phases(message: &str) -> Vec<f64> {
    message.split(r#""phase":"#).skip(1).map(|rest| rest.split(',').next().unwrap().parse().unwrap()).collect()
}

fn team_messages(outcome: &Outcome) -> Vec<(String, String)> {
    let said = all_messages(outcome).into_iter().filter(|message| message.contains(r#""type":"team.status.changed""#));
    said.map(|message| (message.split_once(r#""time":""#).unwrap().1[..24].to_owned(), message)).collect()
}

#[test]
fn a_team_begins_anew_and_keeps_what_happened() {
    let mut events = team(START_MS);
    events.push(event("deal-1", START_MS + 1, "deal.created", r#""dealId":"sold","repId":"ann""#));
    events.push(event("deal-2", START_MS + 2, "deal.closed", r#""dealId":"sold","repId":"ann""#));
    events.push(event("deal-3", START_MS + 3, "deal.created", r#""dealId":"open","repId":"bob""#));
    events.push(event("lead", START_MS + 4, "lead.created", r#""leadId":"l","customerId":"c","channel":"web""#));
    events.push(event("answer", START_MS + 5, "lead.responded", r#""leadId":"l""#));
    events.push(event("off", START_MS + 6, "rep.status.changed", r#""repId":"cat","status":"off""#));
    // In the same local day, and off the five minutes' grid.
    let reset_ms = START_MS + 3 * HOUR_MS + 77_777;
    events.push(reset("reset", reset_ms));
    let outcome = run(1, SETTINGS, None, &epochs(&events, MINUTE_MS), &[], 1);
    let said = team_messages(&outcome);
    let at = said.iter().position(|(_, message)| message.contains(r#""causes":["reset"]"#)).unwrap();
    let (before, (time, after)) = (&said[at - 1].1, &said[at]);
    assert_eq!(*time, format_rfc3339(reset_ms));
    assert!(phases(before).iter().all(|phase| *phase > 0.0), "{before}");
    assert_eq!(phases(after), [0.0; 3], "{after}");
    assert!(!before.contains(r#""coverage":null"#) && !before.contains(r#""coverageToday":null"#), "{before}");
    assert!(after.contains(r#""coverage":null,"coverageToday":null,"status":"excellent""#), "{after}");
    let facts = |message: &str| -> Vec<String> {
        let members = message.split(r#""phase":"#).skip(1);
        members.map(|member| member.split_once(',').unwrap().1.to_owned()).collect()
    };
    assert_eq!(facts(before), facts(after));
    assert!(after.contains(r#""dealsToday":1"#) && after.contains(r#""activeDeals":1"#), "{after}");
    assert!(after.contains(r#""activeLeads":1"#) && after.contains(r#""availability":"off""#), "{after}");
    assert!(all_messages(&outcome).iter().all(|message| !message.contains("lead.unassigned")));
    let row = &tables(&outcome, *outcome.counts.range(reset_ms..).next().unwrap().0)
        [&(TableId::TeamStatus, vec!["d".into()])];
    assert_eq!(row.last().unwrap(), &reset_ms.to_string(), "{row:?}");
}

#[test]
fn a_team_that_begins_anew_moves_as_one_that_begins() {
    let end = event("end", RESET_MS + 5 * HOUR_MS, "rep.status.changed", r#""repId":"cat","status":"busy""#);
    let ticks = |events: Vec<(i64, Record)>| {
        let outcome = run(1, SETTINGS, None, &epochs(&events, MINUTE_MS), &[], 1);
        let ticks = team_messages(&outcome)
            .into_iter()
            .filter(|(time, message)| *time > format_rfc3339(RESET_MS) && message.contains(r#""timer":"tick""#));
        ticks
            .map(|(time, message)| (time, phases(&message), number(&message, r#""coverage":"#).to_bits()))
            .collect::<Vec<_>>()
    };
    let new = ticks([team(RESET_MS), vec![end.clone()]].concat());
    assert!(new.len() > 50);
    assert_eq!(ticks([team(START_MS), vec![reset("reset", RESET_MS), end.clone()]].concat()), new);
    assert_ne!(ticks([team(START_MS), vec![end]].concat()), new, "without a reset it moves otherwise");
}

#[test]
fn a_reset_that_comes_after_a_tick_that_it_should_have_preceded_is_marked() {
    let at_ms = START_MS + 2 * HOUR_MS;
    let (_, late) = reset("reset", at_ms - 20 * MINUTE_MS);
    let events =
        [team(START_MS), vec![event("e", at_ms, "lead.deleted", r#""leadId":"x""#), (at_ms + 1, late)]].concat();
    let outcome = run(1, SETTINGS, None, &epochs(&events, 1), &[], 1);
    let said = team_messages(&outcome);
    let told = said.iter().find(|(_, message)| message.contains(r#""causes":["reset"]"#)).unwrap();
    assert_eq!(told.0, format_rfc3339(at_ms - 20 * MINUTE_MS));
    assert!(told.1.contains(r#""late":true"#) && number(&told.1, r#""epoch":"#) as i64 == at_ms + 1, "{}", told.1);
    assert_eq!(phases(&told.1), [0.0; 3]);
}

/// Rows by epoch, but for the counts of what came in.
fn rows_of(outcome: &Outcome, is_meant: impl Fn(&Row) -> bool) -> Vec<(i64, Row)> {
    let rows = outcome.rows.iter().flat_map(|(epoch, rows)| rows.iter().map(|row| (*epoch, row.clone())));
    rows.filter(|(_, row)| !matches!(row.0, TableId::Sources | TableId::Epochs | TableId::DeadLetters) && is_meant(row))
        .collect()
}

#[test]
fn other_dealers_are_not_concerned() {
    for seed in 0..5 {
        let mut random = Random(seed);
        let without = world(&mut random, 80, 4);
        let mut with = without.clone();
        add(&mut with, &mut random, 10, |index, time_ms| of_dealer(reset(&format!("reset-{index}"), time_ms), 0));
        let [without, with] = [without, with].map(|epochs| run(1, ROOMY, None, &epochs, &[], 3));
        let is_own = |dealer: &str| dealer == "d-0";
        let others = |outcome: &Outcome| {
            let messages = all_messages(outcome).into_iter().filter(|message| !message.contains(r#""dealerid":"d-0""#));
            (messages.collect::<Vec<_>>(), rows_of(outcome, |(_, cells, _)| !is_own(&cells[0])))
        };
        assert_same(&others(&without).0, &others(&with).0);
        assert_same(&others(&without).1, &others(&with).1);
        assert_ne!(all_messages(&without), all_messages(&with), "seed {seed}: the dealer itself is concerned");
        assert_counts(&with);
    }
}

#[test]
fn copies_and_resets_of_before_the_last_one_change_nothing() {
    for seed in 0..5 {
        let mut once = world(&mut Random(seed), 80, 1);
        let at = once[30].epoch;
        let at_once = |id: &str, time_ms: i64| Record { offset: 2_000_000, ..of_dealer(reset(id, time_ms), 0).1 };
        once[30].records.push(at_once("reset", at));
        let mut again = once.clone();
        again[30].records.push(at_once("reset", at));
        again[31].records.push(at_once("reset", at));
        again[33].records.push(at_once("an older reset", at - 30 * MINUTE_MS));
        // Its id is forgotten by then.
        assert!(again[79].epoch - at > 2 * SETTINGS.dedup_horizon_ms);
        again[79].records.push(at_once("reset", at));
        let [once, again] = [once, again].map(|epochs| run(1, ROOMY, None, &epochs, &[], 3));
        assert_same(&all_messages(&once), &all_messages(&again));
        assert_same(&rows_of(&once, |_| true), &rows_of(&again, |_| true));
    }
}

#[test]
fn commands_that_nobody_knows_and_models_that_are_off_have_no_effect() {
    let without = world(&mut Random(8), 80, 2);
    let added = |record: &dyn Fn(u64, i64) -> (i64, Record)| {
        let mut with = without.clone();
        add(&mut with, &mut Random(9), 10, record);
        with
    };
    let same = |models: &PreparedModels, with: &[EpochRecords]| {
        let [without, with] = [&without, with].map(|epochs| run_with(models, 1, ROOMY, None, epochs, &[], 3));
        // A record without a dealer is a dead letter, and no epoch's message is another.
        let is_known = |row: &Row| row.1[0] != "d-nobody";
        assert_same(&all_messages(&without), &all_messages(&with));
        assert_same(&rows_of(&without, is_known), &rows_of(&with, is_known));
        with.letters.values().map(Vec::len).sum::<usize>() - without.letters.values().map(Vec::len).sum::<usize>()
    };
    let own = |index: u64, time_ms: i64| of_dealer(reset(&format!("reset-{index}"), time_ms), 0);
    let replaced = |from: &'static str, to: &'static str| {
        move |index: u64, time_ms: i64| {
            let (time_ms, record) = own(index, time_ms);
            (time_ms, Record { json: record.json.replace(from, to), ..record })
        }
    };
    let standard = standard();
    assert_eq!(same(&standard, &added(&replaced(r#""command":"reset""#, r#""command":"resets""#))), 0);
    assert_eq!(same(&standard, &added(&replaced(r#""dealerid":"d-0""#, r#""dealerid":"d-nobody""#))), 0);
    assert_eq!(same(&standard, &added(&replaced(r#""dealerid":"d-0","#, ""))), 10);
    let off = ModelSettings { whaco: None, oscillators: None, ..ModelSettings::standard() }.prepare().unwrap();
    assert_eq!(same(&off, &added(&own)), 0);
    // Nor does it wake a dealer who sleeps: with midnights of its own, what comes late would be marked.
    let day_ms = 24 * HOUR_MS;
    let at = |days: i64| START_MS + days * day_ms;
    let (_, late) = event("late", at(21), "lead.created", r#""leadId":"l","customerId":"c","channel":"web""#);
    let asleep = [rep("ann", START_MS, 1.0), event("e", at(22), "unheard.of", ""), (at(22) + 1, late)];
    let [unwoken, told] = [&asleep[..], &[&asleep[..1], &[reset("reset", at(20))], &asleep[1..]].concat()]
        .map(|events| all_messages(&run_with(&off, 1, ROOMY, None, &epochs(events, 1), &[], 1)));
    assert_eq!((unwoken.len(), &unwoken), (1, &told));
    // Arguments of a later build are no obstacle.
    let [plain, told] = [r#""arguments":{}"#, r#""arguments":{"of":["later",{"builds":1}]}"#]
        .map(|arguments| run(1, ROOMY, None, &added(&replaced(r#""arguments":{}"#, arguments)), &[], 3));
    assert_same(&all_messages(&plain), &all_messages(&told));
    let silent = run(1, ROOMY, None, &without, &[], 3);
    assert_ne!(all_messages(&plain), all_messages(&silent), "else nothing is compared");
}

/// Asserts that two lists are the same, and shows no more than where they begin to differ.
fn assert_same<T: std::fmt::Debug + PartialEq>(left: &[T], right: &[T]) {
    let differs = left.iter().zip(right).find(|(left, right)| left != right);
    assert!(differs.is_none() && left.len() == right.len(), "{} and {}: {differs:?}", left.len(), right.len());
}

const WIDE_MS: i64 = 5 * HOUR_MS;

/// A day of a dealer with team, leads and two resets, until the end of an epoch of any width.
fn day() -> Vec<(i64, Record)> {
    let end_ms = (later().last().unwrap().0 / WIDE_MS + 1) * WIDE_MS;
    let mut events = [team(START_MS), history(), later(), vec![rep("dan", end_ms, 1.0)]].concat();
    events.extend([reset("first", START_MS + 2 * HOUR_MS), reset("second", RESET_MS)]);
    events.sort_by_key(|(time_ms, _)| *time_ms);
    events
}

#[test]
fn epochs_of_another_width_say_the_same_around_a_reset() {
    let said = |width_ms: i64| {
        let outcome = run(1, SETTINGS, None, &epochs(&day(), width_ms), &[], 1);
        let said = outcome.messages.values().flatten();
        let mut said: Vec<String> = said
            .map(|message| {
                let (head, rest) = message.split_once(r#""epoch":"#).unwrap();
                format!("{head}{}", rest.split_once(',').unwrap().1)
            })
            .collect();
        said.sort();
        let mut rows = tables(&outcome, i64::MAX);
        rows.retain(|(table, _), _| matches!(table, TableId::Segments | TableId::SegmentMembers | TableId::TeamStatus));
        (said, rows.into_values().collect::<Vec<_>>())
    };
    let (narrow, wide) = (said(MINUTE_MS), said(WIDE_MS));
    assert_same(&narrow.0, &wide.0);
    assert_same(&narrow.1, &wide.1);
}

#[test]
fn what_follows_a_restart_behind_a_reset_is_what_would_have_followed() {
    let epochs = epochs(&day(), 20 * MINUTE_MS);
    // Whole once; what changes after, resets among it, is written alone.
    let base = |at: usize| if at == 0 { ShardRange::ALL } else { ShardRange::NONE };
    let barriers: Vec<Barrier> =
        epochs.iter().enumerate().map(|(at, epoch)| Barrier { epoch: epoch.epoch, base: base(at) }).collect();
    let whole = run(1, SETTINGS, None, &epochs, &barriers, 1);
    for (at, workers) in (1..epochs.len()).zip([1, 2].into_iter().cycle()) {
        let from = epochs[at - 1].epoch;
        let start = Start { epoch: from, parts: parts_until(&whole, from) };
        let restored = run(workers, SETTINGS, Some(start), &epochs[at..], &barriers[at..], 1);
        assert_eq!(difference(&whole, &restored, from), None, "restored behind epoch {at}");
        assert_eq!(whole.parts[&barriers.last().unwrap().epoch], restored.parts[&barriers.last().unwrap().epoch]);
    }
    // Late, an older reset changes nothing, and that is remembered, too.
    let mut with_older = epochs.clone();
    let (last, others) = with_older.split_last_mut().unwrap();
    last.records.push(Record { offset: 3_000_000, ..reset("older", RESET_MS - 1).1 });
    let from = others.last().unwrap().epoch;
    let start = Start { epoch: from, parts: parts_until(&whole, from) };
    let restored = run(1, SETTINGS, Some(start), std::slice::from_ref(last), &[], 1);
    assert_eq!(whole.messages.get(&last.epoch), restored.messages.get(&last.epoch));
}
