//! Two sets of rows of a table: equal, or told apart row by row and cell by cell.
//!
//! ```text
//!  expected rows ─┐
//!                 ├─ by key ──► missing, too many, other cells: the first ten, a sentence each
//!  actual rows   ─┘
//! ```

#![allow(clippy::missing_panics_doc, reason = "all of this is for tests, and a test that cannot go on should panic")]
#![allow(clippy::unwrap_used, reason = "as above")]

use std::collections::BTreeMap;

use serde_json::Value;

/// Differences told of one table.
const TOLD_MAX: usize = 10;

/// Each table and the columns that name a row.
pub const KEYS: [(&str, &[&str]); 15] = [
    ("anomalies", &["dealer_id", "lead_id"]),
    ("customers", &["dealer_id", "customer_id"]),
    ("daily_kpis", &["dealer_id", "day"]),
    ("dead_letters", &["dealer_id", "topic", "log_partition", "log_offset"]),
    ("dealers", &["dealer_id"]),
    ("deals", &["dealer_id", "deal_id"]),
    ("epochs", &["epoch"]),
    ("lead_assignments", &["dealer_id", "lead_id"]),
    ("leads", &["dealer_id", "lead_id"]),
    ("reps", &["dealer_id", "rep_id"]),
    ("segment_members", &["dealer_id", "lead_id"]),
    ("segments", &["dealer_id", "cluster_id"]),
    ("sources", &["dealer_id", "topic"]),
    ("team_status", &["dealer_id"]),
    ("vehicles", &["dealer_id", "vehicle_id"]),
];

/// Asserts that two sets of rows of a table of [`KEYS`] are equal, and tells the first differences.
pub fn assert_same_rows(table: &str, expected: &[Value], actual: &[Value]) {
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
fn differences(key: &[&str], expected: &[Value], actual: &[Value]) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
