//! Whole worlds, read back from their files and held against the contract.

mod contract;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use contract::{Checked, check, time_ms};

use super::calendar::{DAY_MS, HOUR_MS};
use super::*;

fn world(dealers: u32, events: u64, seed: u64, disorder: Option<DisorderOptions>) -> (tempfile::TempDir, Summary) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = SimulateOptions::new(folder.path(), dealers, events, seed);
    options.disorder = disorder;
    let summary = simulate(&options).unwrap();
    (folder, summary)
}

/// The lines of a topic, without line ends.
fn lines_of(folder: &Path, topic: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(folder.join(format!("{topic}.jsonl"))).unwrap();
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.pop();
    lines
}

fn all_bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let topics = Topic::ALL.map(|topic| format!("{}.jsonl", topic.name()));
    let truth = truth::TruthTable::ALL.map(|table| format!("truth/{}", table.file_name()));
    topics.into_iter().chain(truth).map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

/// The rows of a table of truth, by column.
fn truth_of(folder: &Path, name: &str) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(folder.join("truth").join(name)).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), header.len(), "{line}");
        header.iter().zip(cells).map(|(column, cell)| ((*column).to_owned(), cell.to_owned())).collect()
    };
    lines.map(row).collect()
}

#[test]
fn the_same_options_give_the_same_bytes() {
    for disorder in [None, Some(DisorderOptions::default())] {
        let (first, summary) = world(9, 12_000, 5, disorder.clone());
        let (second, again) = world(9, 12_000, 5, disorder.clone());
        let (other, _) = world(9, 12_000, 6, disorder);
        assert_eq!(all_bytes(first.path()), all_bytes(second.path()));
        assert_ne!(all_bytes(first.path())[1], all_bytes(other.path())[1]);
        assert_eq!(Summary { truth: again.truth.clone(), ..summary }, again);
    }
}

#[test]
fn every_record_is_counted() {
    for (dealers, events) in [(1, 1), (1, 10), (50, 7), (3, 500), (40, 5_000), (2, 30_000)] {
        for disorder in [None, Some(DisorderOptions::default())] {
            let (folder, summary) = world(dealers, events, 3, disorder);
            assert_eq!(summary.events(), events);
            let mut bytes = 0;
            for (topic, count) in summary.events_by_topic {
                let lines = lines_of(folder.path(), topic);
                assert_eq!(lines.iter().filter(|line| !line.is_empty()).count() as u64, count, "{topic} of {events}");
                bytes += fs::metadata(folder.path().join(format!("{topic}.jsonl"))).unwrap().len();
            }
            assert_eq!(bytes, summary.bytes);
        }
    }
}

#[test]
fn without_disorder_every_line_is_valid_in_order_and_about_something_known() {
    let (folder, summary) = world(12, 40_000, 11, None);
    let mut events: Vec<(usize, Checked)> = Vec::new();
    for topic in Topic::ALL {
        let mut newest_ms = i64::MIN;
        for line in lines_of(folder.path(), topic.name()) {
            let checked = check(topic.name(), &line)
                .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line)));
            assert!(checked.known && checked.unknown_fields == 0, "{checked:?}");
            assert!(checked.time_ms >= newest_ms, "{} is out of order", checked.text("id"));
            newest_ms = checked.time_ms;
            events.push((topic as usize, checked));
        }
    }
    let ids: BTreeSet<&str> = events.iter().map(|(_, event)| event.text("id")).collect();
    assert_eq!(ids.len(), events.len());
    assert!(ids.iter().all(|id| id.len() == 26));

    // Rows of one millisecond were made in the order of reps, inventory, leads, deals.
    events.sort_by_key(|(topic, event)| (event.time_ms, [0, 3, 4, 2, 1][*topic]));
    let mut known = BTreeSet::new();
    for (_, event) in &events {
        let dealer = event.text("dealerid").to_owned();
        let creates = match event.text("type") {
            "lead.created" => "leadId",
            "deal.created" => "dealId",
            "vehicle.acquired" => "vehicleId",
            "rep.added" => "repId",
            _ => "",
        };
        if event.text("type") == "dealer.updated" {
            known.insert((dealer.clone(), String::new()));
        }
        assert!(known.contains(&(dealer.clone(), String::new())), "{dealer} is not introduced");
        for key in ["leadId", "dealId", "vehicleId", "repId"] {
            let Some(id) = event.field(key).as_str() else { continue };
            if key == creates {
                assert!(known.insert((dealer.clone(), id.to_owned())), "{id} is created twice");
            }
            assert!(known.contains(&(dealer.clone(), id.to_owned())), "{id} of {dealer} is unknown in {event:?}");
        }
    }
    let days = (summary.last_ms - summary.first_ms) as f64 / DAY_MS as f64;
    assert!((days - 60.0).abs() < 2.0, "{days} days");
}

#[test]
fn vehicles_have_valid_numbers_but_for_placeholders() {
    let (folder, _) = world(20, 60_000, 2, None);
    let vins: Vec<String> = lines_of(folder.path(), "inventory")
        .iter()
        .filter_map(|line| check("inventory", line).unwrap().field("vin").as_str().map(str::to_owned))
        .collect();
    let invalid = vins
        .iter()
        .filter(|vin| {
            let bytes: &[u8; 17] = vin.as_bytes().try_into().unwrap();
            vin::check_digit(bytes) != bytes[8]
        })
        .count();
    let share = invalid as f64 / vins.len() as f64;
    assert!(vins.len() > 1_000 && (0.01..0.03).contains(&share), "{invalid} of {}", vins.len());
    assert_eq!(vins.iter().collect::<BTreeSet<_>>().len(), vins.len());
}

#[test]
fn the_truth_agrees_with_the_events() {
    let (folder, summary) = world(15, 80_000, 4, None);
    let leads = truth_of(folder.path(), "leads.csv");
    let mut ends = BTreeMap::new();
    for line in lines_of(folder.path(), "deals") {
        let event = check("deals", &line).unwrap();
        if let kind @ ("deal.closed" | "deal.lost") = event.text("type") {
            let lead = event.text("subject").replace("deal-", "lead-");
            ends.insert((event.text("dealerid").to_owned(), lead), (kind.to_owned(), event.time_ms));
        }
    }
    let created = lines_of(folder.path(), "leads")
        .iter()
        .filter(|line| check("leads", line).unwrap().text("type") == "lead.created")
        .count();
    assert_eq!(leads.len(), created);
    assert_eq!(leads.len() as u64, summary.leads);
    let (mut expected, mut closed, mut seen) = (0.0, 0.0, 0);
    for lead in &leads {
        let is_sale = matches!(&*lead["outcome"], "closed" | "unwound");
        expected += lead["close_probability"].parse::<f64>().unwrap();
        closed += f64::from(u8::from(is_sale));
        let end = ends.get(&(lead["dealer_id"].clone(), lead["lead_id"].clone()));
        let known_ms = time_ms(&lead["outcome_at"]).filter(|outcome_ms| *outcome_ms < summary.last_ms);
        let kind = if is_sale { "deal.closed" } else { "deal.lost" };
        assert_eq!(
            end.map(|(kind, at_ms)| (&**kind, *at_ms)),
            known_ms.map(|outcome_ms| (kind, outcome_ms)),
            "{lead:?}"
        );
        seen += usize::from(end.is_some());
    }
    assert!(seen > 2_000, "{seen} deals ended");
    assert!((closed / expected - 1.0).abs() < 0.07, "{closed} of {expected} expected");
    assert_eq!(truth_of(folder.path(), "customers.csv").len() as u64, summary.customers);
    assert!(summary.customers < summary.leads);
    assert_eq!(truth_of(folder.path(), "reps.csv").len() as u64, summary.reps);
    let sold = truth_of(folder.path(), "vehicles.csv").iter().filter(|vehicle| vehicle["fate"] == "sold").count();
    let sales = lines_of(folder.path(), "inventory")
        .iter()
        .filter(|line| check("inventory", line).unwrap().text("type") == "vehicle.sold")
        .count();
    assert_eq!(sold, sales);
}

#[test]
fn customers_come_by_day_and_week() {
    let (folder, _) = world(10, 60_000, 8, None);
    let zones: BTreeMap<String, &str> = lines_of(folder.path(), "dealers")
        .iter()
        .filter_map(|line| {
            let event = check("dealers", line).unwrap();
            let town = catalog::TOWNS.iter().find(|town| Some(town.zone.name) == event.field("timeZone").as_str())?;
            Some((event.text("dealerid").to_owned(), town.zone.name))
        })
        .collect();
    let (mut by_weekday, mut by_hour) = ([0_u32; 7], [0_u32; 24]);
    for lead in truth_of(folder.path(), "leads.csv") {
        let zone = catalog::TOWNS.iter().find(|town| town.zone.name == zones[&lead["dealer_id"]]).unwrap().zone;
        let at_ms = time_ms(&lead["created_at"]).unwrap();
        let local_ms = at_ms + zone.offset_ms(at_ms);
        by_weekday[calendar::weekday(local_ms.div_euclid(DAY_MS))] += 1;
        by_hour[(local_ms.rem_euclid(DAY_MS) / HOUR_MS) as usize] += 1;
    }
    assert_eq!(by_weekday.iter().max(), Some(&by_weekday[5]), "{by_weekday:?}");
    assert_eq!(by_weekday.iter().min(), Some(&by_weekday[6]), "{by_weekday:?}");
    assert!(by_hour[11] > 8 * by_hour[3], "{by_hour:?}");
}

#[test]
fn disorder_is_what_the_summary_says() {
    let options = DisorderOptions { deletion_share: 0.004, ..DisorderOptions::default() };
    let (folder, summary) = world(12, 60_000, 21, Some(options));
    let counts = summary.disorder.unwrap();
    let mut found = DisorderCounts::default();
    let mut bytes_of_id: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut created = BTreeSet::new();
    let mut out_of_order = 0;
    for topic in Topic::ALL {
        let mut newest_ms = i64::MIN;
        for mut line in lines_of(folder.path(), topic.name()) {
            if line.is_empty() {
                found.blank_lines += 1;
                continue;
            }
            if line.ends_with(b"\r") {
                found.carriage_returns += 1;
                line.pop();
            }
            let Ok(event) = check(topic.name(), &line) else {
                found.bad[0] += 1;
                continue;
            };
            let copies = bytes_of_id.entry(event.text("id").to_owned()).or_default();
            let seen = !copies.is_empty();
            if !copies.insert(line.clone()) {
                found.duplicates += 1;
                continue;
            }
            if seen {
                found.ids_reused += 1;
                continue;
            }
            found.unknown_types += u64::from(!event.known);
            found.unknown_fields += u64::from(event.unknown_fields > 0);
            found.other_offsets += u64::from(event.text("time").ends_with("+05:30"));
            found.finer_times += u64::from(event.text("time").len() == 27 && event.text("time").ends_with('Z'));
            found.sequences += u64::from(event.event.contains_key("sequence"));
            let deletes = matches!(event.text("type"), "lead.deleted" | "rep.removed" | "vehicle.removed");
            let brings = matches!(event.text("type"), "lead.created" | "rep.added" | "vehicle.acquired");
            let by_mistake = event.field("reason").as_str() == Some("entered by mistake");
            found.deletions += u64::from(deletes && (by_mistake || event.text("type") == "lead.deleted"));
            let entity = (event.text("dealerid").to_owned(), event.text("subject").to_owned());
            found.revivals += u64::from(brings && !created.insert(entity));
            out_of_order += u64::from(event.time_ms < newest_ms);
            newest_ms = newest_ms.max(event.time_ms);
        }
    }
    assert_eq!(found.bad[0], counts.bad_total());
    assert!(counts.bad.iter().all(|bad| *bad > 0), "{:?}", counts.bad);
    assert_eq!(found.duplicates, counts.duplicates);
    assert_eq!(found.ids_reused, counts.ids_reused);
    assert_eq!(found.unknown_types, counts.unknown_types);
    // The reused ids' second copies carry an unknown field, and are not looked at above.
    assert_eq!(found.unknown_fields, counts.unknown_fields);
    assert_eq!(found.blank_lines, counts.blank_lines);
    assert_eq!(found.carriage_returns, counts.carriage_returns);
    assert_eq!(found.other_offsets, counts.other_offsets);
    assert_eq!(found.finer_times, counts.finer_times);
    assert_eq!(found.sequences, counts.sequences);
    assert_eq!(found.revivals, counts.revivals);
    // Reps leave in the ordinary world too, so only the others' deletions can be told apart.
    assert!(
        found.deletions <= counts.deletions && 2 * found.deletions > counts.deletions,
        "{} {}",
        found.deletions,
        counts.deletions
    );
    assert!(out_of_order > counts.late / 2, "{out_of_order} {}", counts.late);

    let near = |count: u64, share: f64| (count as f64 / 60_000.0 / share - 1.0).abs() < 0.02;
    assert!(near(counts.duplicates, 0.01) && near(counts.late, 0.02) && near(counts.bad_total(), 0.002), "{counts:?}");
    assert!(
        near(counts.corrections, 0.005) && near(counts.deletions, 0.004) && near(counts.revivals, 0.002),
        "{counts:?}"
    );
    assert_eq!(counts.ids_reused, 5);
}

#[test]
fn options_out_of_range_and_files_in_the_way_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = SimulateOptions::new(folder.path(), 1, 10, 1);
    simulate(&good).unwrap();
    assert!(matches!(simulate(&good), Err(SimulateError::OutputExists { .. })));
    simulate(&SimulateOptions { overwrite: true, ..good.clone() }).unwrap();
    for bad in [
        SimulateOptions { dealers: 0, ..good.clone() },
        SimulateOptions { events: 0, ..good.clone() },
        SimulateOptions { days: 0, ..good.clone() },
        SimulateOptions {
            disorder: Some(DisorderOptions { late_share: f64::NAN, ..DisorderOptions::default() }),
            ..good.clone()
        },
        SimulateOptions {
            disorder: Some(DisorderOptions { bad_share: 0.7, ..DisorderOptions::default() }),
            ..good.clone()
        },
    ] {
        assert!(matches!(simulate(&bad), Err(SimulateError::Option { .. })), "{bad:?}");
    }
    let nowhere = SimulateOptions { output: folder.path().join("leads.jsonl").join("x"), ..good };
    assert!(matches!(simulate(&nowhere), Err(SimulateError::Create { .. })));
}
