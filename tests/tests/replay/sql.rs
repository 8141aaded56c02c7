//! The command line beside the replay: queries, their formats and errors, the history, and the commands that only print.

use std::path::Path;

use serde_json::{Value, json};
use tests::dealerflow::{Outcome, ask, command, dealerflow, replay, rows, run};

use crate::files::tree;
use crate::summary::Summary;
use crate::tables::KEYS;
use crate::world::{World, event, good_lead};

/// A lead that is created, changed, deleted and created anew, a day each.
fn four_days() -> World {
    let lead = |day: u32, type_name: &str, mut data: Value| {
        data["leadId"] = "l".into();
        event(&format!("2026-02-0{day}T12:00:00Z"), type_name, data)
    };
    let created = |visits: u64| json!({"customerId": "c", "channel": "web", "visitCount": visits});
    World::of(&[
        lead(1, "lead.created", created(1)),
        lead(2, "lead.updated", json!({"visitCount": 2})),
        lead(3, "lead.deleted", json!({})),
        lead(4, "lead.created", created(4)),
    ])
}

#[test]
fn history_shows_each_version_with_the_time_over_which_it_held() {
    let world = four_days();
    let output = world.replay("output", &["--epoch-width", "1d"]).output;
    let versions = rows(&output, "select visit_count, valid_from, valid_to from history.leads order by valid_from");
    // An epoch is named by its end: midnight, or the last event.
    let midnight = |day: u32| format!("2026-02-0{day}T00:00:00.000Z");
    let expected = [
        json!({"visit_count": 1, "valid_from": midnight(2), "valid_to": midnight(3)}),
        json!({"visit_count": 2, "valid_from": midnight(3), "valid_to": midnight(4)}),
        json!({"visit_count": 4, "valid_from": "2026-02-04T12:00:00.000Z", "valid_to": null}),
    ];
    assert_eq!(versions, expected);

    let at = |time: &str| {
        let when = format!("valid_from <= timestamp '{time}' and (valid_to is null or valid_to > timestamp '{time}')");
        let query = format!("select visit_count from history.leads where {when}");
        rows(&output, &query).iter().map(|row| row["visit_count"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let times = ["2026-02-01T13:00:00Z", "2026-02-02T13:00:00Z", "2026-02-04T11:00:00Z", "2026-02-05T00:00:00Z"];
    assert_eq!(times.map(at), [vec![], vec![1], vec![], vec![4]]);
    let days = rows(&output, "select day, leads, valid_to is null as current from history.daily_kpis order by day");
    let day = |day: &str, current: bool| json!({"day": day, "leads": 1, "current": current});
    assert_eq!(days, [day("2026-02-01", false), day("2026-02-04", true)]);
}

#[test]
fn the_last_versions_of_the_history_are_the_live_tables() {
    let world = World::simulated(71, 10, 20_000);
    let replayed = world.replay("output", &[]);
    let summary = Summary::of(&replayed.outcome.stdout);
    let count = |query: String| rows(&replayed.output, &query)[0]["n"].as_u64().unwrap();
    for (table, key) in KEYS {
        let live = count(format!("select count(*) as n from {table}"));
        let current = count(format!("select count(*) as n from history.{table} where valid_to is null"));
        assert_eq!((live, current), (summary.rows[table], summary.rows[table]), "{table}");
        let versions = count(format!("select count(*) as n from versions.{table}"));
        assert_eq!(versions, summary.versions[table], "versions of {table}");
        // No row has two versions of one epoch, and none ends before it begins.
        let keys = key.join(", ");
        let epoch = if table == "epochs" { "" } else { ", epoch" };
        let twice = format!("select {keys}{epoch} from versions.{table} group by {keys}{epoch} having count(*) > 1");
        assert_eq!(count(format!("select count(*) as n from ({twice})")), 0, "{table}");
        let backwards = format!("select count(*) as n from history.{table} where valid_to <= valid_from");
        assert_eq!(count(backwards), 0, "{table}");
    }
    assert!(summary.versions["leads"] > summary.rows["leads"]);
}

#[test]
fn every_table_and_column_has_a_meaning_that_can_be_asked_for() {
    let world = World::of(&[good_lead("l")]);
    let output = world.replay("output", &[]).output;
    for (table, _) in KEYS {
        let comments = rows(&output, &format!("select comment from system.tables where table_name = '{table}'"));
        assert!(
            comments.len() == 1 && comments[0]["comment"].as_str().unwrap().ends_with('.'),
            "{table}: {comments:?}"
        );
        let named =
            rows(&output, &format!("select column_name, comment from system.columns where table_name = '{table}'"));
        assert!(named.iter().all(|row| row["comment"].as_str().is_some_and(|text| text.len() > 3)), "{named:?}");
        let mut named: Vec<&str> = named.iter().map(|row| row["column_name"].as_str().unwrap()).collect();
        let query = format!(
            "select column_name from information_schema.columns where table_schema = 'public' and table_name = '{table}'"
        );
        let columns = rows(&output, &query);
        let mut columns: Vec<&str> = columns.iter().map(|row| row["column_name"].as_str().unwrap()).collect();
        named.sort_unstable();
        columns.sort_unstable();
        assert_eq!(named, columns, "{table}");
        assert!(columns.contains(&"dealer_id"));
    }
}

/// A dealer whose name needs quotes in CSV, and one that has none.
fn awkward() -> (World, std::path::PathBuf) {
    let name = |dealer: &str, name: Value| {
        event("2026-02-16T15:04:05.123Z", "dealer.updated", json!({"name": name})).with("dealerid", dealer)
    };
    let world = World::of(&[name("a", "Smith, \"Sons\" & Söhne\nInc".into()), name("b", Value::Null), good_lead("l")]);
    let output = world.replay("output", &[]).output;
    (world, output)
}

#[test]
fn csv_is_that_of_the_rfc_with_nothing_for_null() {
    let (_world, output) = awkward();
    let csv = ask(&output, "csv", "select dealer_id, name, updated_at from dealers order by 1").succeeded().stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["dealer_id", "name", "updated_at"]);
    let records: Vec<Vec<String>> =
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
    let at = "2026-02-16T15:04:05.123Z";
    assert_eq!(records, [vec!["a", "Smith, \"Sons\" & Söhne\nInc", at], vec!["b", "", at]]);
}

#[test]
fn json_is_an_array_of_objects_with_typed_values() {
    let (_world, output) = awkward();
    let query = "select name, updated_at, cast(updated_at as date) as day, 1 as one, 0.5 as half, true as yes, state \
                 from dealers order by dealer_id limit 1";
    let expected = json!({"name": "Smith, \"Sons\" & Söhne\nInc", "updated_at": "2026-02-16T15:04:05.123Z",
        "day": "2026-02-16", "one": 1, "half": 0.5, "yes": true, "state": null});
    assert_eq!(rows(&output, query), [expected]);
    assert_eq!(ask(&output, "json", "select * from deals").succeeded().stdout, "[]\n");
}

#[test]
fn a_null_that_belongs_to_no_column_is_null_too() {
    let (_world, output) = awkward();
    assert_eq!(rows(&output, "select null as nothing"), [json!({"nothing": null})]);
}

#[test]
fn a_table_is_aligned_and_counts_its_rows() {
    let (_world, output) = awkward();
    let text = ask(&output, "table", "select lead_id, channel, visit_count from leads").succeeded().stdout;
    let expected =
        " lead_id | channel | visit_count\n---------+---------+-------------\n l       | web     |\n(1 row)\n";
    assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n", expected);
    let none = ask(&output, "table", "select * from deals").succeeded().stdout;
    assert!(none.ends_with("(0 rows)\n"), "{none}");
}

fn refused(output: &Path, query: &str) -> String {
    ask(output, "json", query).failed(1)
}

#[test]
fn a_misspelt_name_is_answered_with_the_nearest() {
    let (_world, output) = awkward();
    assert!(refused(&output, "select * from lead").contains("did you mean leads?"));
    assert!(refused(&output, "select * from history.daly_kpis").contains("did you mean daily_kpis?"));
    assert!(refused(&output, "select lead_idd from leads").contains("lead_id"));
    assert!(refused(&output, "select * from unheard_of").contains("SHOW TABLES"));
}

#[test]
fn a_query_that_is_no_sql_is_told_so_in_a_sentence() {
    let (_world, output) = awkward();
    let sentence = refused(&output, "selec 1");
    assert!(sentence.contains("selec"), "{sentence}");
    assert!(!refused(&output, "").is_empty());
}

#[test]
fn no_statement_writes_anything() {
    let (world, output) = awkward();
    let before = tree(&output);
    let leak = world.path("leak.csv");
    let statements = [
        "insert into leads select * from leads".to_owned(),
        "update leads set channel = 'fax'".to_owned(),
        "delete from leads".to_owned(),
        "drop table leads".to_owned(),
        "create table mine as select 1".to_owned(),
        "create view mine as select 1".to_owned(),
        format!("copy leads to '{}'", leak.display()),
        "create external table passwords stored as csv location '/etc/passwd'".to_owned(),
        "set datafusion.execution.batch_size = 1".to_owned(),
    ];
    for statement in statements {
        let sentence = refused(&output, &statement);
        assert!(sentence.contains("read-only"), "{statement}: {sentence}");
    }
    let _ = refused(&output, "select 1; drop table leads");
    let _ = refused(&output, "select * from '/etc/passwd'");
    assert_eq!(tree(&output), before);
    assert!(!leak.exists());
}

#[test]
fn without_output_the_counts_are_the_same_and_nothing_is_written() {
    let world = World::simulated(72, 5, 5_000);
    let with = Summary::of(&world.replay("output", &[]).outcome.stdout);
    let before = tree(&world.path(""));
    let mut command = command();
    command.current_dir(world.path("")).arg("replay").arg("--input").arg(world.input()).arg("--no-output");
    let outcome = run(command).succeeded();
    assert_eq!(tree(&world.path("")), before);
    let counted = outcome.stdout.lines().nth(1).unwrap();
    let expected = format!(
        "{} duplicates, {} dead letters, {} of unknown types",
        with.duplicates, with.dead_letters, with.unknown
    );
    assert!(counted.contains(&expected), "{counted}");
    let leads = outcome.stdout.lines().find(|line| line.starts_with("leads ")).unwrap();
    assert_eq!(leads.split_whitespace().nth(1).unwrap().replace(',', ""), with.rows["leads"].to_string());
}

#[test]
fn wrong_usage_ends_with_two_and_says_what_is_wrong() {
    let world = World::of(&[good_lead("l")]);
    let (input, output) = (world.input(), world.path("output"));
    let with = |further: &[&str]| -> Outcome { tests::dealerflow::try_replay(&input, &output, further) };
    assert!(with(&["-w", "0"]).failed(2).contains("--workers"));
    assert!(with(&["--epoch-width", "0ms"]).failed(2).contains("--epoch-width"));
    assert!(with(&["--epoch-width", "wide"]).failed(2).contains("wide"));
    assert!(with(&["--config", "/no/such.toml"]).failed(2).contains("/no/such.toml"));
    for arguments in [&["replay"][..], &["nonsense"], &["sql", "--format", "xml", "select 1"], &[]] {
        let outcome = dealerflow(arguments);
        assert_eq!(outcome.status.code(), Some(2), "{arguments:?}");
        assert!(outcome.stderr.contains("Usage") || outcome.stderr.contains("error:"), "{}", outcome.stderr);
    }
    assert!(!output.exists(), "wrong usage writes nothing");
}

/// `dealerflow check` with a configuration, in a folder of its own.
fn check(config: &str) -> Outcome {
    let world = World::empty();
    let path = world.path("dealerflow.toml");
    std::fs::write(&path, config).unwrap();
    let mut command = command();
    command.current_dir(world.path("")).arg("check").arg("--config").arg(&path);
    run(command)
}

#[test]
fn check_prints_the_effective_configuration_and_what_can_be_used() {
    let told = check("[source]\nkind = \"embedded\"\n[pipeline]\nworkers = 3\n[http]\nlisten = \"127.0.0.1:0\"\n[sql]\nlisten = \"127.0.0.1:0\"\n")
        .succeeded()
        .stdout;
    for line in ["workers = 3", "retention = \"400d\"", "dedup_horizon = \"7d\"", "[checkpoint]"] {
        assert!(told.lines().any(|own| own == line), "{line} is missing from\n{told}");
    }
    assert!(told.lines().any(|line| line.starts_with("ok ") && line.contains("data_dir")), "{told}");
    assert!(!told.contains("PROBLEM"), "{told}");
}

#[test]
fn check_names_what_is_wrong_and_how_to_mend_it() {
    let unknown = check("[pipeline]\nworkerz = 3\n").failed(2);
    assert!(unknown.contains("pipeline.workerz") && unknown.contains("pipeline.workers`?"), "{unknown}");
    let value = check("[pipeline]\nretention = \"soon\"\n").failed(2);
    assert!(value.contains("pipeline.retention") && value.contains("soon"), "{value}");
    let syntax = check("[pipeline").failed(2);
    assert!(syntax.contains("dealerflow.toml, line 1"), "{syntax}");
    let away = check("[kafka]\nbrokers = \"127.0.0.1:1\"\n");
    assert_eq!(away.status.code(), Some(2));
    assert!(
        away.stdout.lines().any(|line| line.starts_with("PROBLEM") && line.contains("127.0.0.1:1")),
        "{}",
        away.stdout
    );
    let folder = check("data_dir = \"/proc/nowhere\"\n[source]\nkind = \"embedded\"\n");
    assert_eq!(folder.status.code(), Some(2));
    assert!(
        folder.stdout.lines().any(|line| line.starts_with("PROBLEM") && line.contains("/proc/nowhere")),
        "{}",
        folder.stdout
    );
}

#[test]
fn settings_of_the_environment_go_over_those_of_the_file() {
    let world = four_days();
    let mut command = command();
    command.env("DEALERFLOW_REPLAY__EPOCH_RECORDS", "1");
    command.arg("replay").arg("--input").arg(world.input()).arg("--output").arg(world.path("output"));
    assert_eq!(Summary::of(&run(command).succeeded().stdout).epochs, 4);
    assert_eq!(Summary::of(&replay(&world.input(), &world.path("default"), &[]).stdout).epochs, 1);
}

#[test]
fn graph_prints_the_dataflow_from_the_source_to_the_sinks() {
    let told = dealerflow(["graph"]).succeeded().stdout;
    let edges: Vec<(&str, &str)> = told.lines().filter_map(|line| line.split_once(" -> ")).collect();
    assert_eq!(edges.len(), told.lines().count(), "every line is an edge:\n{told}");
    assert!(edges.iter().any(|(from, _)| *from == "replay source"), "{told}");
    // What the source gives reaches each sink.
    let mut reached = vec!["replay source"];
    while let Some((_, to)) = edges.iter().find(|(from, to)| reached.contains(from) && !reached.contains(to)) {
        reached.push(to);
    }
    for sink in ["parquet sink", "topic sink"] {
        assert!(reached.contains(&sink), "{sink} is not reached:\n{told}");
    }
}
