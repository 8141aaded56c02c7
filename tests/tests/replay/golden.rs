//! Golden cases: a folder of events and the answers to them, both as files that can be read. `golden/README.md` says what each
//! case shows and how its answers follow from the contract.
//!
//! `GOLDEN=rewrite` in the environment writes the answers anew; what changed is then read in the diff of the commit.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use tests::dealerflow::ask;

use crate::files::tree;
use crate::summary::assert_summary;
use crate::tables::{KEYS, assert_as_reference};
use crate::world::World;

/// Lines told around a difference.
const CONTEXT: usize = 2;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The answers to a case's input: each table that has rows, and each topic that has messages.
fn answers(case: &Path) -> BTreeMap<PathBuf, String> {
    let world = World::empty();
    for (path, bytes) in tree(&case.join("input")) {
        fs::write(world.input().join(path), bytes).unwrap();
    }
    // The seed form of the clusters: its numbers follow from formulas that do not change.
    let config = world.path("seed.toml");
    fs::write(&config, "[models.whaco]\nmode = \"seed\"\n").unwrap();
    let replayed = world.replay("output", &["--config", config.to_str().unwrap()]);
    // The reference knows neither times nor sentences of dead letters, but all the rest.
    let expected = assert_as_reference(&world.input(), &replayed.output);
    assert_summary(&replayed, &expected);

    let mut answers = BTreeMap::new();
    for (table, key) in KEYS {
        let query = format!("select * from {table} order by {}", key.join(", "));
        let rows = ask(&replayed.output, "json", &query).succeeded().stdout;
        if rows.trim() != "[]" {
            answers.insert(PathBuf::from(format!("{table}.json")), rows);
        }
    }
    for (path, bytes) in tree(&replayed.output.join("topics")) {
        if !bytes.is_empty() {
            answers.insert(path, String::from_utf8(bytes).unwrap());
        }
    }
    answers
}

fn check(case: &str) {
    let folder = golden().join(case);
    let actual = answers(&folder);
    let expected = folder.join("expected");
    if std::env::var_os("GOLDEN").is_some_and(|wish| wish == "rewrite") {
        let _ = fs::remove_dir_all(&expected);
        fs::create_dir(&expected).unwrap();
        for (path, text) in &actual {
            fs::write(expected.join(path), text).unwrap();
        }
    }
    let expected: BTreeMap<PathBuf, String> =
        tree(&expected).into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect();
    assert!(!expected.is_empty(), "golden case {case} expects nothing; GOLDEN=rewrite writes what there is");
    let mut told = String::new();
    for path in expected.keys().chain(actual.keys().filter(|path| !expected.contains_key(*path))) {
        let side = |answers: &BTreeMap<PathBuf, String>| answers.get(path).cloned().unwrap_or_default();
        told += &difference(path, &side(&expected), &side(&actual));
    }
    assert!(told.is_empty(), "golden case {case} has other answers (- expected, + actual):\n{told}");
}

/// What differs between two texts, from the first line that does to the last; empty if nothing does.
fn difference(path: &Path, expected: &str, actual: &str) -> String {
    let mut told = String::new();
    if expected == actual {
        return told;
    }
    let (expected, actual): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let same = |(left, right): &(&&str, &&str)| left == right;
    let before = expected.iter().zip(&actual).take_while(same).count();
    let (left, right) = (&expected[before..], &actual[before..]);
    let after = left.iter().rev().zip(right.iter().rev()).take_while(same).count();
    writeln!(told, "{}, line {}:", path.display(), before + 1).unwrap();
    for line in &expected[before.saturating_sub(CONTEXT)..before] {
        writeln!(told, "  {line}").unwrap();
    }
    for (mark, lines) in [('-', left), ('+', right)] {
        for line in &lines[..lines.len() - after] {
            writeln!(told, "{mark} {line}").unwrap();
        }
    }
    told
}

#[test]
fn the_merge_rule() {
    check("merge-rule");
}

#[test]
fn deletion_and_revival() {
    check("deletion-and-revival");
}

#[test]
fn correction() {
    check("correction");
}

#[test]
fn dead_letters() {
    check("dead-letters");
}

#[test]
fn daily_kpis() {
    check("daily-kpis");
}

#[test]
fn late_data() {
    check("late-data");
}

#[test]
fn every_golden_case_has_a_test() {
    let tested = include_str!("golden.rs");
    let cases: Vec<String> = fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(cases.len() >= 6);
    for case in cases {
        assert!(tested.contains(&format!("check(\"{case}\")")), "golden case {case} is tested by nobody");
    }
}

#[test]
fn a_difference_is_told_with_what_stands_around_it() {
    let told = difference(Path::new("f"), "a\nb\nc\nd\ne\n", "a\nb\nc\nX\nY\ne\n");
    assert_eq!(told, "f, line 4:\n  b\n  c\n- d\n+ X\n+ Y\n");
    assert_eq!(difference(Path::new("f"), "a\n", "a\n"), "");
    assert_eq!(difference(Path::new("f"), "", "a\n"), "f, line 1:\n+ a\n");
}
