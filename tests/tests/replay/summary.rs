//! The summary that a replay prints, read back.

use std::collections::BTreeMap;

use chrono::DateTime;

use crate::tables::Expected;
use crate::world::Replayed;

/// What a replay says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) records: u64,
    pub(crate) epochs: u64,
    /// The last epoch, in UTC milliseconds.
    pub(crate) epoch_last_ms: Option<i64>,
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    pub(crate) dead_letters: u64,
    pub(crate) unknown: u64,
    pub(crate) unknown_fields: u64,
    pub(crate) ambiguous: u64,
    pub(crate) expired: u64,
    pub(crate) rows: BTreeMap<String, u64>,
    pub(crate) versions: BTreeMap<String, u64>,
    pub(crate) dead_letters_by_reason: BTreeMap<String, u64>,
}

impl Summary {
    /// Reads what a replay printed.
    pub(crate) fn of(stdout: &str) -> Self {
        let (head, tables) = stdout.split_once("\n\n").unwrap_or_else(|| panic!("no blank line in {stdout}"));
        let (first, second) = head.split_once('\n').unwrap_or_else(|| panic!("no second line in {stdout}"));
        let (tables, letters) = tables.split_once("\n\n").unwrap_or((tables, ""));
        let before = |line: &str, words: &str| -> u64 {
            let at = line.find(words).unwrap_or_else(|| panic!("{words:?} is missing from {line}"));
            number(line[..at].rsplit(' ').next().unwrap())
        };
        let column = |text: &str, at: usize| -> BTreeMap<String, u64> {
            let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let lines = text.lines().skip(1).map(cells);
            lines.map(|cells| (cells[0].clone(), number(&cells[at]))).collect()
        };
        let epoch_last = first.split_once(" up to ").map(|(_, time)| time.trim());
        Summary {
            records: before(first, " records ("),
            epochs: before(first, " epochs"),
            epoch_last_ms: epoch_last.map(|time| DateTime::parse_from_rfc3339(time).unwrap().timestamp_millis()),
            accepted: before(second, " accepted"),
            duplicates: before(second, " duplicates"),
            dead_letters: before(second, " dead letters"),
            unknown: before(second, " of unknown types"),
            unknown_fields: before(second, " unknown fields"),
            ambiguous: before(second, " ambiguous writes"),
            expired: before(second, " expired"),
            rows: column(tables, 1),
            versions: column(tables, 2),
            dead_letters_by_reason: column(letters, 1),
        }
    }
}

/// `98,795` as a number.
fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// Asserts that the summary says what the reference counts.
pub(crate) fn assert_summary(replayed: &Replayed, expected: &Expected) -> Summary {
    let summary = Summary::of(&replayed.outcome.stdout);
    let total = |column: &str| expected.tables["sources"].iter().map(|row| row[column].as_u64().unwrap()).sum::<u64>();
    let counted = [summary.records, summary.accepted, summary.duplicates, summary.dead_letters, summary.unknown];
    let columns = ["records", "accepted", "duplicates", "rejected", "unknown"];
    assert_eq!(counted, columns.map(total), "{columns:?}");
    assert_eq!(summary.records, summary.accepted + summary.duplicates + summary.dead_letters, "{summary:?}");
    assert_eq!(summary.epoch_last_ms, expected.epoch_ms);
    for (table, rows) in &expected.tables {
        assert_eq!(summary.rows[*table], rows.len() as u64, "rows of {table}");
    }
    assert_eq!(summary.rows["epochs"], summary.epochs);
    let mut by_reason: BTreeMap<String, u64> = BTreeMap::new();
    for letter in expected.reference.dead_letters() {
        *by_reason.entry(letter.reason.code().to_owned()).or_default() += 1;
    }
    assert_eq!(summary.dead_letters_by_reason, by_reason);
    summary
}
