//! The whole of the real data: counted, and judged by the reference.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::*;
use crate::reference::{Reference, Settings, Tables};

struct Converted {
    folder: TempDir,
    summary: Summary,
}

/// The conversion that all tests share; `None` without the data, said past the test runner's capture of output.
fn converted(test: &str) -> Option<&'static Converted> {
    static CONVERTED: OnceLock<Option<Converted>> = OnceLock::new();
    let converted = CONVERTED.get_or_init(|| {
        let shared = default_folder();
        if absent(&shared).is_some() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let summary = convert(&shared, folder.path()).unwrap();
        Some(Converted { folder, summary })
    });
    if converted.is_none() {
        let reason = absent(&default_folder()).unwrap();
        writeln!(io::stderr(), "\n*** SKIPPED {test}: {reason}\n").unwrap();
    }
    converted.as_ref()
}

fn counts(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

/// How often each value stands in a column.
fn tally(tables: &Tables, table: &str, column: &str) -> BTreeMap<String, u64> {
    let mut tally = BTreeMap::new();
    for row in &tables[table] {
        let value = row[column].as_str().map_or_else(|| row[column].to_string(), str::to_owned);
        *tally.entry(value).or_default() += 1;
    }
    tally
}

#[test]
fn every_row_of_the_banks_log_is_one_event() {
    let Some(Converted { summary, .. }) = converted("every_row_of_the_banks_log_is_one_event") else { return };
    let rows = [
        ("customer.engagement.detected", 8_142),
        ("customer.idle", 8_000),
        ("deal.closed", 2_246),
        ("deal.created", 5_113),
        ("deal.lost", 2_537),
        ("deal.submitted", 7_030),
        ("deal.updated", 29_264),
        ("lead.created", 13_087),
        ("lead.updated", 20_454),
        ("rep.status.changed", 127_646),
        ("x.application.cancelled", 1_101),
        ("x.application.declined", 6_804),
        ("x.offer.cancelled", 3_655),
        ("x.offer.declined", 802),
        ("x.work.completed", 1),
        ("x.work.scheduled", 26_318),
    ];
    assert_eq!(summary.bank, counts(&rows));
    assert_eq!(summary.bank.values().sum::<u64>(), 262_200);
    let mut events = counts(&rows);
    events.extend(counts(&[("dealer.updated", 1), ("rep.added", 68), ("lead.responded", 9_657)]));
    assert_eq!(summary.bank_events_by_type, events);
}

#[test]
fn the_bank_is_all_accepted_and_its_leads_deals_and_reps_are_there() {
    let test = "the_bank_is_all_accepted_and_its_leads_deals_and_reps_are_there";
    let Some(Converted { folder, summary }) = converted(test) else { return };
    let reference = Reference::read(&folder.path().join(BANK_FOLDER), Settings::default()).unwrap();
    assert_eq!(reference.dead_letters(), []);
    assert_eq!(*reference.accepted_by_type(), summary.bank_events_by_type);
    let tables = reference.tables();
    assert_eq!((tables["leads"].len(), tables["customers"].len(), tables["reps"].len()), (13_087, 13_087, 68));
    assert!(tables["leads"].iter().all(|lead| lead["created_at"].is_string() && lead["credit_score"].is_number()));
    assert_eq!(tables["leads"].iter().filter(|lead| lead["responded_at"].is_string()).count(), 9_657);
    let stages =
        [("delivered", 2_246), ("lost", 2_537), ("negotiating", 240), ("pending_finance", 87), ("prospect", 3)];
    assert_eq!(tally(&tables, "deals", "stage"), counts(&stages));
    let closed_days = tables["daily_kpis"].iter().filter_map(|day| day["deals_closed"].as_u64());
    assert_eq!(closed_days.sum::<u64>(), 2_246);
}

#[test]
fn the_inventorys_changes_are_those_between_the_snapshots() {
    let Some(Converted { summary, .. }) = converted("the_inventorys_changes_are_those_between_the_snapshots") else {
        return;
    };
    let number = |outcome: &str| summary.inventory.get(outcome).copied().unwrap_or(0);
    let rows = ["row used", "row skipped: repeated", "row skipped: no VIN"].map(number);
    assert_eq!((rows, rows.iter().sum::<u64>()), ([64_352, 111, 14], 64_477));
    // The same four numbers as the derived_events.csv that comes with the snapshots.
    let changes = ["change: first seen", "change: status", "change: price", "change: gone"].map(number);
    assert_eq!(changes, [3_298, 2_150, 1_713, 2_899]);
    let gone = ["gone: from stock", "gone: replaced by a twin", "gone: before arrival"].map(number);
    assert_eq!((gone[0], gone.iter().sum::<u64>()), (858 + 278, 2_899));
    let event = |type_name: &str| summary.inventory_events_by_type[type_name];
    assert_eq!(event("vehicle.phase.moved") + event("x.vehicle.status.changed"), 2_150);
    let prices = event("vehicle.priced") + event("x.price.implausible") + event("x.price.withdrawn");
    assert_eq!(prices, 1_713 + number("first price"));
}

#[test]
fn the_inventory_is_all_accepted_and_no_price_is_beyond_belief() {
    let test = "the_inventory_is_all_accepted_and_no_price_is_beyond_belief";
    let Some(Converted { folder, summary }) = converted(test) else { return };
    let reference = Reference::read(&folder.path().join(INVENTORY_FOLDER), Settings::default()).unwrap();
    assert_eq!(reference.dead_letters(), []);
    assert_eq!(*reference.accepted_by_type(), summary.inventory_events_by_type);
    let tables = reference.tables();
    assert_eq!(tables["dealers"].len(), 11);
    assert_eq!(tables["vehicles"].len() as u64, 3_298 - summary.inventory_events_by_type["vehicle.removed"]);
    let phases = [("acquired", 279), ("frontline", 55), ("sale_pending", 65), ("sold", 1_136)];
    assert_eq!(tally(&tables, "vehicles", "phase"), counts(&phases));
    let prices: Vec<i64> = tables["vehicles"].iter().filter_map(|car| car["price_cents"].as_i64()).collect();
    assert!(prices.len() > 1_500 && prices.iter().all(|price| (3_000_000..=10_000_000).contains(price)));
    // Factory placeholders fail the check digit and are flagged, not refused.
    assert_eq!(tally(&tables, "vehicles", "vin_valid"), counts(&[("false", 17), ("true", 1_518)]));
}

#[test]
fn the_borrowers_that_cannot_be_believed_are_not_drawn() {
    let Some(Converted { summary, .. }) = converted("the_borrowers_that_cannot_be_believed_are_not_drawn") else {
        return;
    };
    let expected = [
        ("in the pool", 6_232),
        ("skipped: income not believable", 38),
        ("skipped: no score", 103),
        ("skipped: score beyond 850", 44),
    ];
    assert_eq!(summary.borrowers, counts(&expected));
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let Some(Converted { folder, summary }) = converted("the_same_data_gives_the_same_bytes") else { return };
    let again = tempfile::tempdir().unwrap();
    assert_eq!(convert(&default_folder(), again.path()).unwrap(), *summary);
    let files = ["bank/dealers", "bank/leads", "bank/deals", "bank/reps", "inventory/dealers", "inventory/inventory"];
    for file in files.map(|file| format!("{file}.jsonl")) {
        let bytes = |folder: &Path| fs::read(folder.join(&file)).unwrap();
        assert!(bytes(folder.path()) == bytes(again.path()), "{file} differs");
    }
    let refused = convert(&default_folder(), again.path());
    assert!(matches!(refused, Err(RealDataError::OutputNotEmpty { .. })), "{refused:?}");
}

#[test]
fn absent_data_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let reason = absent(folder.path()).unwrap();
    assert!(reason.contains("events.csv.gz is absent") && reason.contains("licences"), "{reason}");
    for file in [bank_log::FILE, snapshots::FILE, borrowers::FILE] {
        assert!(absent(folder.path()).is_some_and(|reason| reason.contains(file)), "{file}");
        fs::create_dir_all(folder.path().join(file).parent().unwrap()).unwrap();
        fs::write(folder.path().join(file), "").unwrap();
    }
    assert_eq!(absent(folder.path()), None);
}
