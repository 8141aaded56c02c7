//! The same events give the same answers: with any number of workers, dealt over files in any way, packed or not, in epochs of
//! any width.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::dealerflow::{diff, replay, rows};

use crate::files::{
    assert_same_bytes, assert_same_trees, deal, gzip, lines_of, pack, paths_below, split, tree, zstandard,
};
use crate::models::MODEL_TOPICS;
use crate::summary::Summary;
use crate::tables::{all_rows, assert_same_rows};
use crate::world::{Random, World, event, write_events};

#[test]
fn one_two_and_four_workers_write_the_same_bytes() {
    let world = World::simulated(31, 30, 60_000);
    let outputs = ["1", "2", "4"].map(|workers| world.replay(&format!("w{workers}"), &["-w", workers]));
    for other in &outputs[1..] {
        assert_same_bytes(&outputs[0].output, &other.output);
    }
    let told = diff(&outputs[0].output, &outputs[2].output, &[]).succeeded().stdout;
    assert!(told.ends_with("equal\n") && told.contains("table leads: equal") && !told.contains("DIFFERENT"), "{told}");

    // What was compared is an output worth the name.
    let files = tree(&outputs[0].output);
    let parquet = files.keys().filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).count();
    assert!(parquet > 100, "{parquet} Parquet files");
    assert!(files.keys().any(|path| path.ends_with("topics/dead-letters.jsonl")));
    assert!(files.keys().any(|path| path.starts_with("parquet/_manifests")));
}

#[test]
fn any_number_of_workers_lets_the_same_entities_expire() {
    let world = World::simulated(41, 10, 20_000);
    let config = world.path("short.toml");
    fs::write(&config, "[pipeline]\nretention = \"10d\"\n").unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let outputs =
        ["1", "2", "4"].map(|workers| world.replay(&format!("w{workers}"), &[&config[..], &["-w", workers]].concat()));
    for other in &outputs[1..] {
        assert_same_bytes(&outputs[0].output, &other.output);
    }
    assert!(Summary::of(&outputs[0].outcome.stdout).expired > 100);
    let by_day = world.replay("by day", &[&config[..], &["--epoch-width", "1d"]].concat());
    assert_same_but_for_epochs(&outputs[0].output, &all_rows(&outputs[0].output), &by_day.output);
}

/// A thousand ids, each used again 70 seconds on for another event, and room for a hundred.
#[test]
fn any_number_of_workers_remembers_the_same_ids_when_there_are_too_many() {
    let world = World::empty();
    let mut events = Vec::new();
    for number in 0..1_000 {
        for seconds in [number, number + 70] {
            let time = format!("2026-02-01T{:02}:{:02}:{:02}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60);
            let data = json!({"leadId": "l", "visitCount": number});
            events.push(event(&time, "lead.updated", data).with("id", number.to_string()));
        }
    }
    write_events(&world.input(), &events);
    let config = world.path("few.toml");
    fs::write(&config, "[pipeline]\ndedup_keys_max = 100\n").unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let outputs =
        ["1", "2", "4"].map(|workers| world.replay(&format!("w{workers}"), &[&config[..], &["-w", workers]].concat()));
    for other in &outputs[1..] {
        assert_same_bytes(&outputs[0].output, &other.output);
    }
}

#[test]
fn replayed_again_the_bytes_are_the_same() {
    let world = World::simulated(32, 10, 20_000);
    let (first, second) = (world.replay("first", &[]), world.replay("second", &[]));
    assert_same_bytes(&first.output, &second.output);
}

#[test]
fn packed_files_give_the_same_bytes_even_if_they_do_not_fit_the_buffer() {
    let world = World::simulated(33, 20, 40_000);
    let plain = world.replay("plain", &[]);
    let config = world.path("small.toml");
    fs::write(&config, "[replay]\nreplay_buffer = \"1MiB\"\n").unwrap();
    for (ending, packer) in [("gz", gzip as fn(&[u8]) -> Vec<u8>), ("zst", zstandard)] {
        let input = world.path(ending);
        pack(&world.input(), &input, ending, packer);
        for (name, further) in [("kept", &[][..]), ("spilled", &["--config", config.to_str().unwrap()])] {
            let output = world.path(&format!("{ending} {name}"));
            replay(&input, &output, further);
            assert_same_bytes(&plain.output, &output);
        }
    }
}

/// Dead letters name their file and line, and so do their messages; all else is the same, byte for byte.
fn assert_same_but_for_places(left: &Path, right: &Path) {
    let without_places = |output: &Path| {
        let mut files = tree(output);
        files.retain(|path, _| {
            !path.ends_with("topics/dead-letters.jsonl")
                && !path.starts_with("parquet/dead_letters")
                && !path.starts_with("parquet/_manifests")
        });
        files
    };
    assert_same_trees(&without_places(left), &without_places(right), "the outputs, but for dead letters,");
    assert_eq!(letters_without_places(left), letters_without_places(right));
    assert_eq!(messages_without_places(left), messages_without_places(right));
}

fn letters_without_places(output: &Path) -> Vec<Value> {
    let query = "select dealer_id, topic, reason_code, reason, received_at, payload from dead_letters order by 6, 5, 4";
    let letters = rows(output, query);
    assert!(!letters.is_empty(), "there is no dead letter to compare");
    letters
}

fn messages_without_places(output: &Path) -> Vec<String> {
    let mut messages: Vec<String> = lines_of(&output.join("topics/dead-letters.jsonl"))
        .iter()
        .map(|line| {
            let mut message: Value = serde_json::from_slice(line).unwrap();
            for place in ["id", "logpartition", "logoffset"] {
                assert!(message.as_object_mut().unwrap().remove(place).is_some(), "{message}");
            }
            message.to_string()
        })
        .collect();
    messages.sort();
    messages
}

#[test]
fn events_dealt_at_random_over_files_give_the_same_tables() {
    let world = World::simulated(34, 20, 40_000);
    let whole = world.replay("whole", &[]);
    for (seed, files) in [(1, 3), (2, 7)] {
        let input = world.path(&format!("dealt {seed}"));
        deal(&world.input(), &input, files, &mut Random(seed));
        let output = world.path(&format!("output {seed}"));
        let outcome = replay(&input, &output, &[]);
        assert_same_but_for_places(&whole.output, &output);
        assert_eq!(Summary::of(&whole.outcome.stdout), Summary::of(&outcome.stdout));
    }
}

#[test]
fn topics_cut_into_files_of_every_packing_give_the_same_tables() {
    let world = World::simulated(35, 20, 40_000);
    let whole = world.replay("whole", &[]);
    let input = world.path("cut");
    split(&world.input(), &input, 5);
    assert_eq!(paths_below(&input).len(), 25);
    let output = world.path("output");
    replay(&input, &output, &["-w", "3"]);
    assert_same_but_for_places(&whole.output, &output);
}

/// The tables but `epochs`, and the topics but for each message's epoch. `tables` are those of `left`.
fn assert_same_but_for_epochs(left: &Path, tables: &BTreeMap<&str, Vec<Value>>, right: &Path) {
    let told = diff(left, right, &["--ignore-epochs"]).succeeded().stdout;
    assert!(told.ends_with("equal\n"), "{told}");
    for (table, rows) in all_rows(right) {
        // An assignment names the epoch in which it was decided.
        let without_epoch = |rows: &[Value]| {
            let mut rows = rows.to_vec();
            for row in &mut rows {
                let row = row.as_object_mut().unwrap();
                for column in ["epoch", "assigned_epoch"] {
                    row.remove(column);
                }
            }
            rows
        };
        if table != "epochs" {
            assert_same_rows(table, &without_epoch(&tables[table]), &without_epoch(&rows));
        }
    }
    let messages = |output: &Path, topic: &str| -> Vec<Value> {
        let lines = lines_of(&output.join(format!("topics/{topic}.jsonl")));
        let messages = lines.iter().map(|line| {
            let mut message: Value = serde_json::from_slice(line).unwrap();
            let holder = if topic == "dead-letters" { &mut message } else { &mut message["data"] };
            assert!(holder.as_object_mut().unwrap().remove("epoch").is_some_and(|epoch| epoch.is_i64()), "{message}");
            message
        });
        messages.collect()
    };
    for topic in MODEL_TOPICS.into_iter().chain(["dead-letters"]) {
        assert!(messages(left, topic) == messages(right, topic), "topic {topic}, in order");
    }
}

#[test]
fn epochs_of_any_width_give_the_same_tables_and_topics() {
    let world = World::simulated(36, 20, 12_000);
    let by_count = world.replay("by count", &[]);
    let tables = all_rows(&by_count.output);
    let mut numbers = vec![Summary::of(&by_count.outcome.stdout).epochs];
    for width in ["7m", "1h", "1d", "365d"] {
        let by_width = world.replay(width, &["--epoch-width", width]);
        assert_same_but_for_epochs(&by_count.output, &tables, &by_width.output);
        let (left, right) = (Summary::of(&by_count.outcome.stdout), Summary::of(&by_width.outcome.stdout));
        assert_eq!(left.epoch_last_ms, right.epoch_last_ms, "the last epoch is the greatest time, whatever the width");
        assert_eq!((left.accepted, left.rows["leads"]), (right.accepted, right.rows["leads"]));
        numbers.push(right.epochs);
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 5, "each width was to have another number of epochs: {numbers:?}");
}

#[test]
fn epochs_of_another_count_give_the_same_tables_and_topics() {
    let world = World::simulated(37, 20, 12_000);
    let default = world.replay("default", &[]);
    let tables = all_rows(&default.output);
    for records in [1_000, 10_000] {
        let config = world.path(&format!("{records}.toml"));
        fs::write(&config, format!("[replay]\nepoch_records = {records}\n")).unwrap();
        let other = world.replay(&records.to_string(), &["--config", config.to_str().unwrap()]);
        assert_same_but_for_epochs(&default.output, &tables, &other.output);
        assert_ne!(Summary::of(&default.outcome.stdout).epochs, Summary::of(&other.outcome.stdout).epochs);
    }
}

/// Replays the first output's input with one line changed, and gives both outputs.
fn planted(world: &World, topic: &str, change: impl Fn(&mut Vec<Vec<u8>>)) -> (PathBuf, PathBuf) {
    let whole = world.replay(&format!("whole {topic}"), &[]);
    let input = world.path(&format!("planted {topic}"));
    fs::create_dir(&input).unwrap();
    for file in paths_below(&world.input()) {
        if file.extension().is_some_and(|ending| ending == "jsonl") {
            fs::copy(&file, input.join(file.file_name().unwrap())).unwrap();
        }
    }
    let file = input.join(format!("{topic}.jsonl"));
    let mut lines = lines_of(&file);
    change(&mut lines);
    fs::write(&file, crate::files::joined(&lines)).unwrap();
    let output = world.path(&format!("other {topic}"));
    replay(&input, &output, &[]);
    (whole.output, output)
}

#[test]
fn diff_finds_a_changed_cell_and_fails() {
    let world = World::simulated(38, 3, 3_000);
    let (whole, other) = planted(&world, "leads", |lines| {
        let number = lines.len() / 2;
        let (text, at) = lines[number..]
            .iter()
            .zip(number..)
            .map(|(line, at)| (String::from_utf8_lossy(line).into_owned(), at))
            .find(|(text, _)| text.contains("lead.created") && text.contains("\"channel\":\"web\""))
            .unwrap();
        lines[at] = text.replace("\"channel\":\"web\"", "\"channel\":\"fax\"").into_bytes();
    });
    let outcome = diff(&whole, &other, &[]);
    assert_eq!(outcome.failed(1), "the outputs differ in 1 tables or topics");
    let told = outcome.stdout;
    assert!(told.contains("table leads: DIFFERENT"), "{told}");
    assert!(told.contains("channel: \"web\" on the left, \"fax\" on the right"), "{told}");
    assert!(told.contains("table deals: equal") && !told.contains("table deals: DIFFERENT"), "{told}");
    assert_eq!(diff(&other, &whole, &[]).status.code(), Some(1));
    assert_eq!(diff(&whole, &whole, &[]).succeeded().stdout.lines().last(), Some("equal"));
}

#[test]
fn diff_finds_a_missing_row_and_a_message_more_and_fails() {
    let world = World::simulated(39, 3, 3_000);
    let (whole, other) = planted(&world, "dealers", |lines| lines.push(b"rubbish".to_vec()));
    let outcome = diff(&whole, &other, &["--ignore-epochs"]);
    let sentence = outcome.failed(1);
    let told = outcome.stdout;
    assert!(told.contains("table dead_letters: DIFFERENT"), "{sentence}\n{told}");
    assert!(told.contains("is on the right alone"), "{told}");
    assert!(told.contains("topic dead-letters: DIFFERENT"), "{told}");
    assert!(told.contains("table sources: DIFFERENT"), "{told}");
    assert!(told.contains("table leads: equal"), "{told}");
}

#[test]
fn diff_of_what_is_no_output_is_an_error_that_names_it() {
    let world = World::simulated(40, 1, 500);
    let output = world.replay("output", &[]).output;
    let absent = world.path("absent");
    for (left, right) in [(&output, &absent), (&absent, &output)] {
        let sentence = diff(left, right, &[]).failed(1);
        assert!(sentence.contains(absent.to_str().unwrap()), "{sentence}");
    }
}
