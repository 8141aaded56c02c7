//! The events of a test, what must come of them, and whether it did.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use connectors::log::Log;
use serde_json::Value;
use tests::compare::assert_same_rows;
use tests::reference::{Reference, Settings};

use crate::bindings::{Bound, INPUTS, Lines, assert_bound};
use crate::place::{MEMORY_DAYS, Place};

const DAY_MS: i64 = 86_400_000;
/// The tables that show one row for each thing of the world.
const TABLES: [&str; 7] = ["customers", "daily_kpis", "dealers", "deals", "leads", "reps", "vehicles"];

/// A simulated world with disorder, as files, with the arguments that make it again anywhere.
pub(crate) struct Produced {
    folder: PathBuf,
    pub(crate) arguments: Vec<String>,
    reference: Reference,
}

/// How often the world was appended to the log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Productions {
    /// Each time to its end.
    Whole(u64),
    /// Several times, at least once to its end.
    Cut,
}

impl Produced {
    /// Simulates a world. The same seed must give the same bytes, as the log gets them from another process.
    pub(crate) fn simulated(place: &Place, events: u64, dealers: u64, seed: u64) -> Self {
        let arguments: Vec<String> = [("--events", events), ("--dealers", dealers), ("--seed", seed)]
            .iter()
            .flat_map(|(name, value)| [(*name).to_owned(), value.to_string()])
            .collect();
        let simulate = |name: &str| {
            let folder = place.path(name);
            let mut all = vec!["simulate", "--disorder", "--output", folder.to_str().unwrap()];
            all.extend(arguments.iter().map(String::as_str));
            let _ = place.run(&all).succeeded();
            folder
        };
        let (folder, again) = (simulate("events"), simulate("events again"));
        assert_eq!(lines_of(&folder), lines_of(&again), "the same seed gives the same lines");
        let memory_ms = MEMORY_DAYS * DAY_MS;
        let settings = Settings { dedup_horizon_ms: memory_ms, retention_ms: memory_ms };
        let reference = Reference::read(&folder, settings).unwrap();
        let produced = Produced { folder, arguments, reference };
        produced.assert_disordered();
        produced
    }

    /// A test with an orderly world would show little.
    fn assert_disordered(&self) {
        let reasons: BTreeSet<&str> = self.reference.dead_letters().iter().map(|letter| letter.reason.code()).collect();
        assert!(reasons.len() >= 8 && reasons.contains("id_reused"), "{reasons:?}");
        let tables = self.reference.tables();
        let sum = |column: &str| tables["sources"].iter().map(|row| row[column].as_u64().unwrap()).sum::<u64>();
        assert!(sum("duplicates") > 10 && sum("unknown") > 0, "{} {}", sum("duplicates"), sum("unknown"));
    }

    /// Records of one production.
    pub(crate) fn records(&self) -> u64 {
        lines_of(&self.folder).values().sum()
    }

    /// Asserts everything that must hold once a pipeline has ended well with all records bound.
    pub(crate) fn assert_done(&self, place: &Place, log: &dyn Log, productions: Productions) -> Bound {
        let bound = assert_bound(log);
        let lines = lines_of(&self.folder);
        match productions {
            Productions::Whole(times) => {
                let expected: Lines = lines.into_iter().map(|(line, count)| (line, count * times)).collect();
                assert!(bound.lines == expected, "the log holds other lines than were produced {times} times");
            }
            Productions::Cut => {
                let same = bound.lines.keys().eq(lines.keys());
                assert!(same, "the log holds other lines than were produced");
                let fewer = lines.iter().find(|(line, count)| bound.lines[line] < **count);
                assert!(fewer.is_none(), "no production was whole: {fewer:?}");
            }
        }
        self.assert_tables(place);
        self.assert_sources(place, productions);
        self.assert_letters(place, productions);
        bound
    }

    /// Every column of every table, at the last epoch: that is what columns which depend on the date refer to.
    fn assert_tables(&self, place: &Place) {
        let last = &rows(place, "select max(epoch) as last from epochs")[0]["last"];
        let expected = self.reference.tables_at(last.as_i64().expect("there are epochs"));
        for table in TABLES {
            assert!(!expected[table].is_empty(), "{table} is empty, which would show nothing");
            let mut actual = rows(place, &format!("select * from {table}"));
            let mut expected = expected[table].clone();
            // What models say depends on arrival: it is judged by computing it anew from the recorded epochs.
            let by_models: &[&str] = match table {
                "leads" => &["assigned_rep_id", "segment", "is_outlier", "priority_score", "active"],
                "customers" => &["segment"],
                "reps" => &["phase", "active_leads"],
                _ => &[],
            };
            for row in actual.iter_mut().chain(&mut expected) {
                for column in by_models {
                    row.as_object_mut().unwrap().remove(*column);
                }
            }
            assert_same_rows(table, &expected, &actual);
        }
    }

    /// What was accepted was accepted once, however often it came. Lateness is a matter of arrival and has no reference.
    fn assert_sources(&self, place: &Place, productions: Productions) {
        let mut expected = self.reference.tables().remove("sources").unwrap();
        let mut actual = rows(place, "select * from sources");
        for row in expected.iter_mut().chain(&mut actual) {
            let row = row.as_object_mut().unwrap();
            row.remove("late").unwrap();
            let number = |row: &serde_json::Map<String, Value>, column: &str| row[column].as_u64().unwrap();
            let parts = ["accepted", "duplicates", "rejected"].map(|column| number(row, column));
            assert_eq!(parts.iter().sum::<u64>(), number(row, "records"), "{row:?}");
            if let Productions::Cut = productions {
                for column in ["records", "duplicates", "rejected"] {
                    row.remove(column).unwrap();
                }
            }
        }
        if let Productions::Whole(times) = productions {
            for row in &mut expected {
                let [records, accepted, rejected] =
                    ["records", "accepted", "rejected"].map(|column| row[column].as_u64().unwrap() * times);
                let accepted = accepted / times;
                row["records"] = records.into();
                row["rejected"] = rejected.into();
                row["duplicates"] = (records - accepted - rejected).into();
            }
        }
        assert_same_rows("sources", &expected, &actual);
    }

    /// Dead letters by topic and reason. Which of two copies of a reused id came first, and so is accepted, is decided by the log's
    /// order, while a replay of files decides by content: so letters are counted, by topic and reason, and their bytes are not
    /// compared. The copies differ in nothing that a table shows.
    fn assert_letters(&self, place: &Place, productions: Productions) {
        let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut distinct = BTreeSet::new();
        let mut files = BTreeMap::new();
        for letter in self.reference.dead_letters() {
            let lines = files.entry(letter.topic).or_insert_with(|| raw_lines(&self.folder, letter.topic));
            let is_new = distinct.insert((letter.topic, letter.reason.code(), lines[letter.line as usize - 1].clone()));
            let count = match productions {
                Productions::Whole(times) => times,
                Productions::Cut => u64::from(is_new),
            };
            *expected.entry((letter.topic.to_owned(), letter.reason.code().to_owned())).or_default() += count;
        }
        let counted = match productions {
            Productions::Whole(_) => "count(*)",
            Productions::Cut => "count(distinct payload)",
        };
        let query =
            format!("select topic, reason_code, {counted} as letters from dead_letters group by topic, reason_code");
        let text = |cell: &Value| cell.as_str().unwrap().to_owned();
        let actual: BTreeMap<(String, String), u64> = rows(place, &query)
            .iter()
            .map(|row| ((text(&row["topic"]), text(&row["reason_code"])), row["letters"].as_u64().unwrap()))
            .collect();
        assert_eq!(actual, expected, "dead letters by topic and reason");
    }
}

/// The rows that answer a query of a place's history.
fn rows(place: &Place, query: &str) -> Vec<Value> {
    let data_dir = place.data_dir();
    place.run(&["sql", "--output", data_dir.to_str().unwrap(), "--format", "json", query]).succeeded().rows()
}

/// The lines of a topic's file, as they stand there.
fn raw_lines(folder: &Path, topic: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(folder.join(format!("{topic}.jsonl"))).unwrap();
    bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The lines of a folder that are records: neither blank nor with their ends.
fn lines_of(folder: &Path) -> Lines {
    let mut lines = Lines::new();
    for topic in INPUTS {
        for line in raw_lines(folder, topic) {
            let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
            if !line[..end].iter().all(u8::is_ascii_whitespace) {
                *lines.entry((topic.to_owned(), line[..end].to_vec())).or_default() += 1;
            }
        }
    }
    lines
}
