//! The real data, converted and replayed: every table says what the reference says, and the figures are those of the data.
//!
//! The data is no part of the project. `DEALERFLOW_SHARED` names the folder that holds `data/`; else it is looked for beside
//! the checkout. Without it the test says so and passes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};
use tests::dealerflow::rows;
use tests::real_data::{BANK_FOLDER, INVENTORY_FOLDER, absent, convert, default_folder};

use crate::summary::{Summary, assert_summary};
use crate::tables::assert_as_reference;
use crate::world::World;

fn shared() -> PathBuf {
    std::env::var_os("DEALERFLOW_SHARED").map_or_else(default_folder, |folder| PathBuf::from(folder).join("data"))
}

/// Replays a folder of the world's, with everything compared that the reference knows.
fn replay(world: &World, folder: &str) -> (PathBuf, Summary) {
    let input = world.path("converted").join(folder);
    let output = world.path(folder);
    let outcome = tests::dealerflow::replay(&input, &output, &["-w", "2"]);
    let expected = assert_as_reference(&input, &output);
    let replayed = crate::world::Replayed { output, outcome };
    let summary = assert_summary(&replayed, &expected);
    assert_eq!(summary.dead_letters, 0);
    (replayed.output, summary)
}

fn counts(output: &std::path::Path, query: &str) -> BTreeMap<String, u64> {
    let rows = rows(output, query);
    rows.iter().map(|row| (row["name"].as_str().unwrap().to_owned(), row["n"].as_u64().unwrap())).collect()
}

fn named<const N: usize>(figures: [(&str, u64); N]) -> BTreeMap<String, u64> {
    figures.into_iter().map(|(name, number)| (name.to_owned(), number)).collect()
}

#[test]
fn the_banks_log_and_the_dealers_inventory_give_the_references_tables_and_the_datas_figures() {
    let shared = shared();
    if let Some(reason) = absent(&shared) {
        let test = "the_banks_log_and_the_dealers_inventory_give_the_references_tables_and_the_datas_figures";
        writeln!(io::stderr(), "\n*** SKIPPED {test}: {reason}\n").unwrap();
        return;
    }
    let world = World::empty();
    let converted = convert(&shared, &world.path("converted")).unwrap();
    assert_eq!(converted.bank.values().sum::<u64>(), 262_200, "rows of the bank's log");

    let (bank, summary) = replay(&world, BANK_FOLDER);
    // One event a row, and the dealer, 68 reps and 9,657 responses that the rows show beside.
    assert_eq!(summary.accepted, 262_200 + 1 + 68 + 9_657);
    assert_eq!(["leads", "deals", "reps", "dealers"].map(|table| summary.rows[table]), [13_087, 5_113, 68, 1]);
    let stages = counts(&bank, "select stage as name, count(*) as n from deals group by stage");
    let expected =
        [("delivered", 2_246), ("lost", 2_537), ("negotiating", 240), ("pending_finance", 87), ("prospect", 3)];
    assert_eq!(stages, named(expected));
    let sums = rows(
        &bank,
        "select sum(leads) as leads, sum(responded) as responded, sum(deals_closed) as closed from daily_kpis",
    );
    assert_eq!(sums, [json!({"leads": 13_087, "responded": 9_657, "closed": 2_246})]);
    let first = rows(&bank, "select day, leads from daily_kpis order by day limit 1");
    assert_eq!(first[0]["day"], "2011-10-01", "the log begins in October 2011, local time");

    let (inventory, summary) = replay(&world, INVENTORY_FOLDER);
    assert_eq!(summary.accepted, converted.inventory_events_by_type.values().sum::<u64>());
    assert_eq!(summary.rows["dealers"], 11);
    let phases = counts(&inventory, "select phase as name, count(*) as n from vehicles group by phase");
    assert_eq!(phases, named([("acquired", 279), ("frontline", 55), ("sale_pending", 65), ("sold", 1_136)]));
    let valid = rows(&inventory, "select vin_valid, count(*) as n from vehicles group by vin_valid order by vin_valid");
    let expected: Vec<Value> = vec![json!({"vin_valid": false, "n": 17}), json!({"vin_valid": true, "n": 1_518})];
    assert_eq!(valid, expected, "placeholder VINs are flagged, not refused");
    let sold = rows(&inventory, "select sum(vehicles_sold) as sold from daily_kpis");
    assert_eq!(sold, [json!({"sold": 1_136})]);
}
