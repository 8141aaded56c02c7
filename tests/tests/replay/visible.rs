//! Nobody ever sees half of an output: a replay that is killed leaves nothing visible, or all of it.
//!
//! A replay is killed when its output folder reaches a certain state, so the moment does not depend on the machine's speed:
//!
//! ```text
//!  spawned ──► first file ──► … n files … ──► topic finished ──► manifest published ──► exit
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;

use serde_json::{Value, json};
use tests::dealerflow::{ask, command, diff, finish, replay, rows};

use crate::files::{assert_same_bytes, paths_below, tree};
use crate::world::{Random, World};

fn spawn(input: &Path, output: &Path, further: &[&str]) -> Child {
    let mut command = command();
    // As the whole replay that it is compared with.
    command.env("DEALERFLOW_MODELS__OSCILLATORS__REPORT_EVERY", "12h");
    command.arg("replay").arg("--input").arg(input).arg("--output").arg(output).args(further);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Kills a replay as soon as `reached` holds. `false` if it ended by itself before.
fn killed_when(mut child: Child, mut reached: impl FnMut() -> bool) -> bool {
    while !reached() {
        if child.try_wait().unwrap().is_some() {
            let _ = finish("the replay to be killed", child).succeeded();
            return false;
        }
        thread::yield_now();
    }
    child.kill().unwrap();
    let outcome = finish("the replay to be killed", child);
    outcome.status.code().is_none()
}

fn manifests(output: &Path) -> usize {
    let published = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    paths_below(&output.join("parquet/_manifests")).iter().filter(|path| published(path)).count()
}

/// The Parquet files that may be seen are those of the manifest: each can be read, and the tables are those of `whole`.
fn assert_visible_as(whole: &Path, output: &Path) {
    let told = diff(whole, output, &[]).succeeded().stdout;
    assert!(told.ends_with("equal\n"), "{told}");
    assert_eq!(tree(&whole.join("parquet")), tree(&output.join("parquet")));
}

/// Asserts that a query either gets the whole answer or one sentence, and says which.
fn is_visible(whole: &Path, output: &Path) -> bool {
    if manifests(output) > 0 {
        assert_visible_as(whole, output);
        return true;
    }
    let outcome = ask(output, "json", "select count(*) as n from leads");
    let sentence = outcome.failed(1);
    assert!(sentence.contains("holds no manifest") || sentence.contains("does not exist"), "{sentence}");
    false
}

#[test]
fn a_killed_replay_shows_nothing_and_the_next_one_gives_what_an_undisturbed_one_does() {
    let world = World::simulated(61, 20, 100_000);
    let whole = world.replay("whole", &["-w", "2"]).output;
    let files = paths_below(&whole).len();
    assert!(files > 150, "{files} files are too few to be interrupted among");
    let output = world.path("killed");
    let mut random = Random(61);
    let mut moments: Vec<usize> = (0..6).map(|_| 1 + random.below(files * 3 / 4)).collect();
    moments.extend([0, 1, 2]);
    let mut killed = 0;
    for moment in moments {
        let child = spawn(&world.input(), &output, &["-w", "2"]);
        killed += u32::from(killed_when(child, || paths_below(&output).len() >= moment));
        if is_visible(&whole, &output) {
            std::fs::remove_dir_all(&output).unwrap();
        }
    }
    assert!(killed >= 5, "only {killed} replays were killed before they were done");

    // Whatever was left behind, the next replay starts without being asked to overwrite anything.
    let child = spawn(&world.input(), &output, &["-w", "2"]);
    let cut = killed_when(child, || paths_below(&output).len() >= files / 2);
    assert!(!is_visible(&whole, &output) || !cut);
    if cut {
        assert!(!paths_below(&output).is_empty(), "the kill was to leave something behind");
    } else {
        std::fs::remove_dir_all(&output).unwrap();
    }
    replay(&world.input(), &output, &["-w", "2"]);
    assert_same_bytes(&whole, &output);
}

#[test]
fn a_replay_killed_around_its_last_step_shows_nothing_or_everything() {
    let world = World::simulated(62, 5, 20_000);
    let whole = world.replay("whole", &[]).output;
    let (mut nothing, mut everything) = (0, 0);
    for attempt in 0..6 {
        let output = world.path(&format!("killed {attempt}"));
        let child = spawn(&world.input(), &output, &[]);
        let topic = output.join("topics/dead-letters.jsonl");
        let manifest = output.join("parquet/_manifests");
        killed_when(child, || if attempt % 2 == 0 { topic.exists() } else { manifest.exists() });
        if is_visible(&whole, &output) {
            everything += 1;
        } else {
            nothing += 1;
        }
    }
    println!("nothing was visible {nothing} times, everything {everything} times");
    assert_eq!(nothing + everything, 6);
}

/// With `--overwrite` the old output goes first: at no moment do old and new files show together.
#[test]
fn a_replay_killed_while_it_overwrites_shows_the_old_output_or_nothing_or_the_new_one() {
    let old = World::simulated(63, 5, 3_000);
    let new = World::simulated(64, 20, 60_000);
    let (old_whole, new_whole) = (old.replay("whole", &[]).output, new.replay("whole", &[]).output);
    let files = paths_below(&new_whole).len();
    let mut seen = BTreeSet::new();
    let mut random = Random(63);
    for attempt in 0..6 {
        let output = new.path(&format!("overwritten {attempt}"));
        replay(&old.input(), &output, &[]);
        let before = tree(&output);
        let child = spawn(&new.input(), &output, &["--overwrite"]);
        let moment = random.below(files * 3 / 4);
        killed_when(child, || attempt == 0 || (manifests(&output) == 0 && paths_below(&output).len() >= moment));
        if manifests(&output) > 0 && tree(&output) == before {
            assert_visible_as(&old_whole, &output);
            seen.insert("old");
        } else if is_visible(&new_whole, &output) {
            seen.insert("new");
        } else {
            seen.insert("nothing");
        }
    }
    assert!(seen.contains("nothing"), "no replay was killed in the middle: {seen:?}");
}

/// A Parquet file that is not in the manifest, whole or half, is not there.
#[test]
fn files_that_no_manifest_names_are_not_read() {
    let world = World::simulated(65, 3, 3_000);
    let output = world.replay("output", &[]).output;
    let query = "select count(*) as n from leads";
    let before: Vec<Value> = rows(&output, query);
    assert_ne!(before, [json!({"n": 0})]);
    let parquet = paths_below(&output.join("parquet/leads")).pop().unwrap();
    let bytes = std::fs::read(&parquet).unwrap();
    std::fs::write(parquet.with_file_name("9-9.parquet"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(parquet.with_file_name("8-8.parquet"), &bytes).unwrap();
    assert_eq!(rows(&output, query), before);
    assert_eq!(rows(&output, "select count(*) as n from leads where dealer_id is null"), [json!({"n": 0})]);
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let world = World::simulated(67, 3, 3_000);
    let output = world.replay("output", &[]).output;
    let parquet = paths_below(&output.join("parquet/leads")).pop().unwrap();
    std::fs::remove_file(&parquet).unwrap();
    let sentence = ask(&output, "json", "select count(*), max(visit_count) from leads").failed(1);
    assert!(sentence.contains(parquet.file_name().unwrap().to_str().unwrap()), "{sentence}");
}

#[test]
fn a_damaged_file_or_manifest_is_an_error_and_never_half_an_answer() {
    let world = World::simulated(66, 3, 3_000);
    let output = world.replay("output", &[]).output;
    let manifest = paths_below(&output.join("parquet/_manifests")).pop().unwrap();
    let parquet = paths_below(&output.join("parquet/leads")).pop().unwrap();
    let bytes = std::fs::read(&parquet).unwrap();
    let query = "select count(*), max(visit_count) from leads";

    std::fs::write(&parquet, &bytes[..bytes.len() / 2]).unwrap();
    let outcome = ask(&output, "json", query);
    assert_ne!(outcome.status.code(), Some(0), "half a file gave an answer: {}", outcome.stdout);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);

    std::fs::write(&parquet, bytes).unwrap();
    assert_eq!(rows(&output, query).len(), 1);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    let sentence = ask(&output, "json", query).failed(1);
    assert!(sentence.contains(manifest.file_name().unwrap().to_str().unwrap()), "{sentence}");
}
