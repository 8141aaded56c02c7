//! Folders and files that are not what a replay needs: one clear sentence that names them, and nothing is touched; damaged
//! packed files give what they hold.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::dealerflow::{Outcome, ask, command_in_shell, replay, rows, run, try_replay};

use crate::files::{gzip, joined, lines_of, tree, zstandard};
use crate::summary::Summary;
use crate::world::{World, good_lead, write_events};

/// Asserts that a run failed with one sentence that names `path` and says each of `words`, and that it wrote no output.
fn refused(outcome: &Outcome, path: &Path, words: &[&str]) {
    let sentence = outcome.failed(1);
    assert!(sentence.contains(path.to_str().unwrap()), "{} is not named: {sentence}", path.display());
    for word in words {
        assert!(sentence.contains(word), "{word:?} is missing: {sentence}");
    }
    assert!(!sentence.contains("see the cause"), "there is no cause to see: {sentence}");
    assert_eq!(outcome.stdout, "");
}

/// A world with one good lead in its input.
fn world() -> World {
    World::of(&[good_lead("l")])
}

fn refused_input(input: &Path, named: &Path, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    refused(&try_replay(input, &output, &[]), named, words);
    assert!(!output.exists(), "a refused replay leaves no output behind");
}

#[test]
fn a_missing_input_folder_is_named() {
    let world = world();
    let path = world.path("absent");
    refused_input(&path, &path, &["does not exist"]);
}

#[test]
fn a_file_in_place_of_the_input_folder_is_named() {
    let world = world();
    let path = world.input().join("leads.jsonl");
    refused_input(&path, &path, &["not a folder"]);
}

#[test]
fn an_input_folder_without_topics_is_named_with_what_it_should_hold() {
    let world = World::empty();
    refused_input(&world.input(), &world.input(), &["leads.jsonl", "no input topic"]);
    fs::write(world.input().join("notes.jsonl"), "{}\n").unwrap();
    fs::create_dir(world.input().join("leads")).unwrap();
    refused_input(&world.input(), &world.input(), &["leads.jsonl"]);
}

#[test]
fn an_input_file_that_is_a_pipe_or_leads_nowhere_is_named() {
    let world = World::empty();
    let path = world.input().join("leads.jsonl");
    symlink("nowhere", &path).unwrap();
    refused_input(&world.input(), &path, &["does not exist"]);
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    refused_input(&world.input(), &path, &["not a regular file"]);
}

#[test]
fn an_input_file_that_is_a_circle_of_links_is_named_with_the_cause() {
    let world = World::empty();
    let path = world.input().join("leads.jsonl");
    symlink("leads.jsonl", &path).unwrap();
    refused_input(&world.input(), &path, &["link"]);
}

#[test]
fn an_input_file_that_may_not_be_read_is_named() {
    let world = world();
    let path = world.input().join("leads.jsonl");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        let test = "an_input_file_that_may_not_be_read_is_named";
        writeln!(io::stderr(), "\n*** SKIPPED {test}: this user may read every file, as root does\n").unwrap();
        return;
    }
    refused_input(&world.input(), &path, &["permission"]);
}

#[test]
fn files_of_no_topic_are_told_of_and_left_alone() {
    let world = world();
    for name in ["notes.jsonl", "Leads.jsonl", "reps.jsonl.bz2"] {
        fs::write(world.input().join(name), "rubbish\n").unwrap();
    }
    fs::write(world.input().join("README.md"), "rubbish\n").unwrap();
    let replayed = world.replay("output", &[]);
    let told: Vec<&str> = replayed.outcome.stderr.lines().collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for name in ["notes.jsonl", "Leads.jsonl", "reps.jsonl.bz2"] {
        let path = world.input().join(name);
        assert!(told.iter().any(|line| line.contains(path.to_str().unwrap())), "{name} is not in {told:?}");
    }
    let summary = Summary::of(&replayed.outcome.stdout);
    assert_eq!((summary.records, summary.accepted, summary.dead_letters), (1, 1, 0));
}

#[test]
fn an_empty_file_gives_empty_tables() {
    let world = World::empty();
    fs::write(world.input().join("leads.jsonl"), "").unwrap();
    let replayed = world.replay("output", &[]);
    let summary = Summary::of(&replayed.outcome.stdout);
    assert_eq!((summary.records, summary.epochs, summary.epoch_last_ms), (0, 0, None));
    for (table, _) in crate::tables::KEYS {
        assert_eq!(rows(&replayed.output, &format!("select * from {table}")), [] as [Value; 0], "{table}");
    }
}

/// What a replay finds in its output folder, untouched: it must still be there, byte for byte.
fn refused_output(input: &Path, output: &Path, further: &[&str], words: &[&str]) {
    let before = tree(output);
    refused(&try_replay(input, output, further), output, words);
    assert_eq!(tree(output), before, "a refused replay touches nothing");
}

#[test]
fn an_earlier_output_is_kept_unless_it_may_be_overwritten() {
    let world = world();
    let output = world.replay("output", &[]).output;
    let earlier = tree(&output);
    refused_output(&world.input(), &output, &[], &["--overwrite"]);

    write_events(&world.input(), &[good_lead("other")]);
    replay(&world.input(), &output, &["--overwrite"]);
    assert_eq!(rows(&output, "select lead_id from leads"), [json!({"lead_id": "other"})]);
    assert_ne!(tree(&output), earlier);
}

#[test]
fn an_output_folder_with_foreign_files_is_never_written_to() {
    let world = world();
    let output = world.replay("output", &[]).output;
    fs::write(output.join("thesis.doc"), "five years of work").unwrap();
    for further in [&[][..], &["--overwrite"]] {
        refused_output(&world.input(), &output, further, &["thesis.doc"]);
        refused_output(&world.input(), &world.input(), further, &["leads.jsonl"]);
    }
}

#[test]
fn an_output_that_is_a_file_or_lies_in_one_is_named() {
    let world = world();
    let file = world.path("file");
    fs::write(&file, "precious").unwrap();
    refused(&try_replay(&world.input(), &file, &[]), &file, &["it is a file"]);
    refused(&try_replay(&world.input(), &file.join("output"), &[]), &file, &[]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_simulation_writes_over_nothing_unless_it_may() {
    let world = World::simulated(51, 1, 300);
    let before = tree(&world.input());
    let simulate = |further: &[&str]| {
        let mut command = tests::dealerflow::command();
        command.args(["simulate", "--events", "200", "--dealers", "1", "--output"]).arg(world.input()).args(further);
        run(command)
    };
    refused(&simulate(&[]), &world.input(), &["overwrit"]);
    assert_eq!(tree(&world.input()), before);
    let _ = simulate(&["--overwrite"]).succeeded();
    assert_ne!(tree(&world.input()), before);
}

#[test]
fn a_query_of_what_is_no_output_is_refused_with_its_path() {
    let world = world();
    let absent = world.path("absent");
    refused(&ask(&absent, "json", "select 1"), &absent, &["does not exist"]);
    let empty = world.path("empty");
    fs::create_dir(&empty).unwrap();
    refused(&ask(&empty, "json", "select 1"), &empty, &["holds no manifest"]);
}

/// Packs leads, damages what is packed, and tells what came of it: how many leads of all, and the summary.
fn damaged(ending: &str, damage: impl Fn(&mut Vec<u8>)) -> (usize, usize, Summary) {
    let world = World::simulated(52, 2, 4_000);
    let lines = lines_of(&world.input().join("leads.jsonl"));
    let input = world.path("damaged");
    fs::create_dir(&input).unwrap();
    let mut bytes = if ending == "gz" { gzip(&joined(&lines)) } else { zstandard(&joined(&lines)) };
    damage(&mut bytes);
    let path: PathBuf = input.join(format!("leads.jsonl.{ending}"));
    fs::write(&path, bytes).unwrap();
    write_events(&input, &[good_lead("good").on_topic("commands")]);
    let output = world.path("output");
    let outcome = replay(&input, &output, &[]);
    assert!(outcome.stderr.contains(path.to_str().unwrap()), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert_eq!(rows(&output, "select count(*) as n from leads where lead_id = 'good'"), [json!({"n": 1})]);

    let letters =
        rows(&output, "select log_offset from dead_letters where reason_code = 'damaged_file' and topic = 'leads'");
    assert_eq!(letters.len(), 1, "the damage is a dead letter, once");
    let offset = letters[0]["log_offset"].as_u64().unwrap();
    let read =
        rows(&output, "select coalesce(sum(records), 0) as n from sources where topic = 'leads'")[0]["n"].as_u64();
    let blank = lines.iter().take(offset as usize).filter(|line| line.iter().all(u8::is_ascii_whitespace)).count();
    assert_eq!(read.unwrap() + blank as u64, offset, "the damage stands behind the last line read");
    (offset as usize - 1, lines.len(), Summary::of(&outcome.stdout))
}

#[test]
fn a_packed_file_that_is_cut_off_gives_what_came_before_and_a_dead_letter() {
    for ending in ["gz", "zst"] {
        let (read, all, summary) = damaged(ending, |bytes| bytes.truncate(bytes.len() * 2 / 3));
        assert!(read > all / 4 && read < all, "{ending}: {read} of {all} lines were read");
        assert!(summary.accepted as usize > all / 5, "{ending}: {summary:?}");
    }
}

/// Turns some bytes at two thirds of a file.
fn turned(bytes: &mut [u8]) {
    let from = bytes.len() * 2 / 3;
    bytes[from..from + 64].iter_mut().for_each(|byte| *byte ^= 0x5a);
}

#[test]
fn a_gzip_file_with_wrong_bytes_gives_what_came_before_and_a_dead_letter() {
    let (read, all, _) = damaged("gz", |bytes| turned(bytes));
    assert!(read > all / 4 && read <= all + 1, "{read} of {all} lines were read");
}

#[test]
fn a_zstandard_file_with_wrong_bytes_gives_what_came_before_and_a_dead_letter() {
    let (read, all, _) = damaged("zst", |bytes| turned(bytes));
    assert!(read > all / 4 && read <= all, "{read} of {all} lines were read");
}

#[test]
fn a_packed_file_that_is_not_packed_or_empty_is_a_dead_letter() {
    for ending in ["gz", "zst"] {
        let (read, _, summary) = damaged(ending, |bytes| *bytes = b"{\"plain\":\"text\"}\n".to_vec());
        assert_eq!((read, summary.accepted), (0, 1), "{ending}");
        let (read, _, summary) = damaged(ending, Vec::clear);
        assert_eq!((read, summary.accepted), (0, 1), "{ending}");
    }
}

#[test]
fn a_packed_file_that_holds_nothing_readable_is_a_dead_letter_even_if_there_is_nothing_else() {
    let world = World::empty();
    fs::write(world.input().join("leads.jsonl.gz"), "this is no gzip").unwrap();
    let replayed = world.replay("output", &[]);
    let letters = rows(&replayed.output, "select topic, log_offset, reason_code from dead_letters");
    assert_eq!(letters, [json!({"topic": "leads", "log_offset": 1, "reason_code": "damaged_file"})]);
    assert_eq!(Summary::of(&replayed.outcome.stdout).dead_letters, 1);
}

/// Files of at most `kib` KiB can be written, as if the disk were full.
fn on_a_full_disk(world: &World, output: &Path, kib: u32) -> Outcome {
    let mut command = command_in_shell(&format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\""));
    command.arg("replay").arg("--input").arg(world.input()).arg("--output").arg(output);
    run(command)
}

#[test]
fn on_a_full_disk_a_replay_fails_with_a_sentence_and_leaves_nothing_half_done() {
    let world = World::simulated(53, 10, 20_000);
    let whole = world.replay("whole", &[]).output;
    for kib in [0, 1, 4, 16] {
        let output = world.path(&format!("{kib} KiB"));
        let outcome = on_a_full_disk(&world, &output, kib);
        let sentence = outcome.failed(1);
        assert!(sentence.contains("disk is full"), "{kib} KiB: {sentence}");
        assert_eq!(tree(&output), BTreeMap::new(), "{kib} KiB: what was written is removed");
        let _ = ask(&output, "json", "select * from leads").failed(1);
        // Once there is room, the same folder serves.
        replay(&world.input(), &output, &[]);
        crate::files::assert_same_bytes(&whole, &output);
    }
}

#[test]
fn the_sentence_on_a_full_disk_names_the_output_folder() {
    let world = World::simulated(54, 2, 2_000);
    let output = world.path("output");
    refused(&on_a_full_disk(&world, &output, 1), &output, &["disk is full"]);
}
