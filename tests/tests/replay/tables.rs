//! What the tables of an output say, compared with what the reference says they must.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::dealerflow::rows;
use tests::reference::{Reference, Settings, Tables};

use crate::files::lines_of;

/// Differences told of one table.
const TOLD_MAX: usize = 10;

/// Each table and the columns that name a row.
pub(crate) const KEYS: [(&str, &[&str]); 10] = [
    ("customers", &["dealer_id", "customer_id"]),
    ("daily_kpis", &["dealer_id", "day"]),
    ("dead_letters", &["dealer_id", "topic", "log_partition", "log_offset"]),
    ("dealers", &["dealer_id"]),
    ("deals", &["dealer_id", "deal_id"]),
    ("epochs", &["epoch"]),
    ("leads", &["dealer_id", "lead_id"]),
    ("reps", &["dealer_id", "rep_id"]),
    ("sources", &["dealer_id", "topic"]),
    ("vehicles", &["dealer_id", "vehicle_id"]),
];

/// What the reference says of an input, at the epoch that an output has.
pub(crate) struct Expected {
    pub(crate) reference: Reference,
    pub(crate) tables: Tables,
    /// The last epoch, in UTC milliseconds; `None` if there is none.
    pub(crate) epoch_ms: Option<i64>,
}

/// Asserts that every table of `output` says of `input` what the reference says: row by row, every column.
pub(crate) fn assert_as_reference(input: &Path, output: &Path) -> Expected {
    assert_as_reference_with(input, output, Settings::default())
}

/// The same with other settings.
pub(crate) fn assert_as_reference_with(input: &Path, output: &Path, settings: Settings) -> Expected {
    let reference = Reference::read(input, settings).unwrap();
    // One question to all tables: those that are and ought to be empty need no other.
    let count = |(table, _): &(&str, _)| format!("(select count(*) from {table}) as {table}");
    let counts = KEYS.iter().map(count).collect::<Vec<_>>().join(", ");
    let overview = &rows(output, &format!("select (select max(epoch) from epochs) as last, {counts}"))[0];
    let epoch_ms = overview["last"].as_i64();
    assert!(epoch_ms >= reference.epoch_ms(), "the last epoch, {epoch_ms:?}, lies before {:?}", reference.epoch_ms());

    let mut tables = reference.tables_at(epoch_ms.unwrap_or(0));
    let mut files = BTreeMap::new();
    for (letter, row) in reference.dead_letters().iter().zip(tables.get_mut("dead_letters").unwrap()) {
        let file = files.entry((letter.topic, letter.partition));
        let lines = file.or_insert_with(|| lines_of(&file_of(input, letter.topic, letter.partition)));
        row["payload"] = payload(&lines[letter.line as usize - 1]).into();
    }
    let mut letters_ms = Vec::new();
    for (table, expected) in &tables {
        if expected.is_empty() && overview[table] == 0 {
            continue;
        }
        let mut actual = rows(output, &format!("select * from {table}"));
        if *table == "dead_letters" {
            letters_ms = actual.iter().map(|letter| time_ms(&letter["received_at"])).collect();
            letters_ms.sort_unstable();
            take_what_only_the_pipeline_says(&mut actual);
        }
        assert_same_rows(table, expected, &actual);
    }
    assert_epochs(output, reference.accepted_times_ms(), &letters_ms);
    Expected { reference, tables, epoch_ms }
}

/// The reference has no sentences and no times of dead letters: they are looked at, and taken away.
fn take_what_only_the_pipeline_says(letters: &mut [Value]) {
    for letter in letters {
        let letter = letter.as_object_mut().unwrap();
        let sentence = letter.remove("reason").unwrap();
        let sentence = sentence.as_str().unwrap();
        assert!(sentence.ends_with('.') && sentence.starts_with(|c: char| !c.is_whitespace()), "{sentence:?}");
        letter.remove("received_at").unwrap();
    }
}

/// Every accepted event and every dead letter belongs to the first epoch that is not before it.
fn assert_epochs(output: &Path, accepted_ms: &[i64], letters_ms: &[i64]) {
    let mut before = i64::MIN;
    for row in rows(output, "select * from epochs order by epoch") {
        let epoch = row["epoch"].as_i64().unwrap();
        let within = |times: &[i64]| {
            times.partition_point(|time| *time <= epoch) - times.partition_point(|time| *time <= before)
        };
        let expected = (within(accepted_ms) as u64, within(letters_ms) as u64);
        assert_eq!((row["events"].as_u64().unwrap(), row["outputs"].as_u64().unwrap()), expected, "epoch {epoch}");
        for column in ["closed_at", "committed_at"] {
            assert_eq!(time_ms(&row[column]), epoch, "{column} of {row}");
        }
        assert!(epoch > before && row["dealer_id"].is_null(), "{row}");
        before = epoch;
    }
    let last = accepted_ms.last().max(letters_ms.last());
    assert!(last.is_none_or(|last| *last <= before), "something lies behind the last epoch, {before}");
}

/// A cell that holds a time, in UTC milliseconds.
pub(crate) fn time_ms(cell: &Value) -> i64 {
    let text = cell.as_str().unwrap_or_else(|| panic!("{cell} is no time"));
    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

/// A topic's file: it has one, or those of a folder in the order of their names.
fn file_of(input: &Path, topic: &str, partition: usize) -> PathBuf {
    let single = input.join(format!("{topic}.jsonl"));
    if single.is_file() {
        return single;
    }
    let mut files: Vec<_> = fs::read_dir(input.join(topic)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.swap_remove(partition)
}

/// Every table of an output.
pub(crate) fn all_rows(output: &Path) -> BTreeMap<&'static str, Vec<Value>> {
    KEYS.iter().map(|(table, _)| (*table, rows(output, &format!("select * from {table}")))).collect()
}

/// Asserts that two sets of rows of a table are equal, and tells the first differences.
pub(crate) fn assert_same_rows(table: &str, expected: &[Value], actual: &[Value]) {
    let key = KEYS.iter().find(|(name, _)| *name == table).unwrap().1;
    let told = differences(key, expected, actual);
    assert!(
        told.is_empty(),
        "{table} is not as expected ({} rows, {} expected):\n  {}",
        actual.len(),
        expected.len(),
        told.join("\n  ")
    );
}

/// The first differences of two sets of rows, a sentence each.
pub(crate) fn differences(key: &[&str], expected: &[Value], actual: &[Value]) -> Vec<String> {
    let by_key = |rows: &[Value]| {
        let mut by_key: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in rows {
            let name = key.iter().map(|column| row[*column].to_string()).collect::<Vec<_>>().join(", ");
            by_key.entry(name).or_default().push(row.clone());
        }
        by_key
    };
    let (mut expected, actual) = (by_key(expected), by_key(actual));
    let mut told = Vec::new();
    for (name, rows) in actual {
        match (expected.remove(&name).unwrap_or_default().as_slice(), rows.as_slice()) {
            ([], _) => told.push(format!("({name}) should not be there: {}", rows[0])),
            ([expected], [actual]) => told.extend(cell_differences(&name, expected, actual)),
            (expected, actual) => {
                told.push(format!("({name}) is there {} times, not {}", actual.len(), expected.len()));
            }
        }
    }
    told.extend(expected.into_iter().map(|(name, rows)| format!("({name}) is missing: {}", rows[0])));
    told.truncate(TOLD_MAX);
    told
}

fn cell_differences(name: &str, expected: &Value, actual: &Value) -> Vec<String> {
    let (expected, actual) = (expected.as_object().unwrap(), actual.as_object().unwrap());
    let mut told = Vec::new();
    for (column, value) in actual {
        match expected.get(column) {
            None => told.push(format!("({name}) has a column {column} that nobody expects")),
            Some(expected) if !same(expected, value) => {
                told.push(format!("({name}) {column} is {value} instead of {expected}"));
            }
            Some(_) => {}
        }
    }
    let missing = expected.keys().filter(|column| !actual.contains_key(*column));
    told.extend(missing.map(|column| format!("({name}) lacks the column {column}")));
    told
}

/// Whether two cells are equal; an integer equals a double of its value. Doubles may differ in their last bit, because that is
/// as well as `serde_json` reads what the pipeline prints; that outputs agree to the bit is compared in their bytes.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) if left.is_f64() || right.is_f64() => {
            let bits = |number: &serde_json::Number| number.as_f64().unwrap().to_bits();
            bits(left).abs_diff(bits(right)) <= 1
        }
        _ => left == right,
    }
}

/// What a dead letter keeps of a line: its bytes without the line's end, cut at 256 KiB, as base64.
pub(crate) fn payload(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    base64(&line[..line.len().min(256 << 10)])
}

/// RFC 4648, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*group.get(at).unwrap_or(&0)));
        for digit in 0..4 {
            let own = digit <= group.len();
            text.push(if own { DIGITS[(bits >> (18 - 6 * digit)) as usize & 63] as char } else { '=' });
        }
    }
    text
}

#[test]
fn a_planted_difference_is_found_whatever_it_is() {
    let row = |id: &str, value: Value| serde_json::json!({"dealer_id": id, "value": value});
    let told = |expected: &[&Value], actual: &[&Value]| {
        let owned = |rows: &[&Value]| rows.iter().copied().cloned().collect::<Vec<Value>>();
        differences(&["dealer_id"], &owned(expected), &owned(actual)).len()
    };
    let (one, two) = (&row("a", 1.into()), &row("b", Value::Null));
    let without_value = &serde_json::json!({"dealer_id": "a"});
    assert_eq!(told(&[one, two], &[two, one]), 0);
    assert_eq!(told(&[one], &[&row("a", 1.0.into())]), 0);
    assert_eq!(told(&[one], &[&row("a", 2.into())]), 1);
    assert_eq!(told(&[one], &[&row("a", "1".into())]), 1);
    assert_eq!(told(&[one], &[&row("a", Value::Null)]), 1);
    assert_eq!(told(&[&row("a", 0.3.into())], &[&row("a", 0.300_000_000_000_001.into())]), 1);
    assert_eq!(told(&[one], &[without_value]), 1);
    assert_eq!(told(&[without_value], &[one]), 1);
    assert_eq!(told(&[one], &[one, two]), 1);
    assert_eq!(told(&[one, two], &[one]), 1);
    assert_eq!(told(&[one], &[one, one]), 1);
}

#[test]
fn base64_is_that_of_the_rfc() {
    let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
    let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
    assert_eq!(texts.map(|text| base64(text.as_bytes())), expected);
}
