//! What the tables of an output say, compared with what the reference says they must.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
pub(crate) use tests::compare::{KEYS, assert_same_rows};
use tests::dealerflow::rows;
use tests::reference::{Reference, Settings, Tables};

use crate::files::lines_of;

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
    crate::models::fill(output, &mut tables, epoch_ms.unwrap_or(0));
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
        if *table == "reps" {
            crate::models::take_phases(&mut actual);
            let mut expected = expected.clone();
            for rep in &mut expected {
                rep.as_object_mut().unwrap().remove("phase");
            }
            assert_same_rows(table, &expected, &actual);
            continue;
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
    let messages = crate::models::messages_by_epoch(output);
    for row in rows(output, "select * from epochs order by epoch") {
        let epoch = row["epoch"].as_i64().unwrap();
        let within = |times: &[i64]| {
            times.partition_point(|time| *time <= epoch) - times.partition_point(|time| *time <= before)
        };
        let said = messages.get(&epoch).copied().unwrap_or(0);
        let expected = (within(accepted_ms) as u64, within(letters_ms) as u64 + said);
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
fn base64_is_that_of_the_rfc() {
    let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
    let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
    assert_eq!(texts.map(|text| base64(text.as_bytes())), expected);
}
