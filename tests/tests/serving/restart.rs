//! Live tables after a restart are those of before: from the checkpoint, from what was recorded behind it, and from history.

use serde_json::Value;

use crate::served::Served;

/// Every table, row by row; what the machine's clock told is left out.
fn all_tables(served: &Served) -> Vec<(String, Vec<Value>)> {
    let tables = served.rows("select table_name from system.tables where table_name <> 'events' order by 1");
    let mut all = Vec::new();
    for table in tables {
        let name = table["table_name"].as_str().unwrap().to_owned();
        let columns = served.rows(&format!("select column_name from system.columns where table_name = '{name}'"));
        let columns: Vec<String> = columns.iter().map(|row| row["column_name"].as_str().unwrap().to_owned()).collect();
        let shown: Vec<String> =
            columns.iter().filter(|name| *name != "committed_at").map(|name| format!("\"{name}\"")).collect();
        let (shown, order) =
            (shown.join(", "), (1..=shown.len().min(5)).map(|place| place.to_string()).collect::<Vec<_>>());
        all.push((name.clone(), served.rows(&format!("select {shown} from {name} order by {}", order.join(", ")))));
        let history = format!("select count(*) as versions, count(distinct valid_from) as times from history.{name}");
        all.push((format!("history.{name}"), served.rows(&history)));
    }
    all
}

#[test]
fn tables_after_a_restart_are_those_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // Slow enough for some checkpoints: restarts begin with the state of the last one.
    let arguments =
        ["demo", "--events", "6000", "--dealers", "5", "--rate", "2000", "--data-dir", data.to_str().unwrap()];
    let served = Served::start(folder.path(), &arguments, &[]);
    served.wait_for_records(6_000);
    let (before, epoch) = (all_tables(&served), served.number("select dealerflow_epoch()"));
    let filled = before.iter().filter(|(_, rows)| !rows.is_empty()).count();
    assert!(filled >= 16, "{filled} tables have rows");
    served.kill();
    for restart in 0..3 {
        let served = Served::start(folder.path(), &["run"], &[]);
        assert_eq!(served.number("select dealerflow_epoch()"), epoch);
        for ((name, before), (_, after)) in before.iter().zip(all_tables(&served)) {
            assert_eq!(before.len(), after.len(), "{name} after restart {restart}");
            if let Some((old, new)) = before.iter().zip(&after).find(|(old, new)| old != new) {
                panic!("{name} after restart {restart}: {old} became {new}");
            }
        }
        served.kill();
    }
}

#[test]
fn the_past_is_found_in_memory_and_after_a_restart_in_history() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::demo(folder.path(), 3_000, &[]);
    served.wait_for_records(3_000);
    let epochs = served.rows("select epoch from epochs order by epoch");
    let middle = epochs[epochs.len() / 2]["epoch"].as_i64().unwrap();
    let ask = |served: &Served| {
        let text = format!(
            "set dealerflow.as_of = '{middle}'; select stage, count(*) as deals, sum(front_gross_cents) as gross from deals group by stage order by 1; \
             select count(*) as leads, dealerflow_epoch() as epoch from leads; reset dealerflow.as_of; select dealerflow_epoch() > {middle} as is_later"
        );
        served.psql(&text)
    };
    let Some(before) = ask(&served) else { return };
    assert!(before.contains(&middle.to_string()), "{before}");
    served.kill();
    let served = Served::start(folder.path(), &["run"], &[]);
    assert_eq!(ask(&served).unwrap(), before);
}
