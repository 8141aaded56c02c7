//! Two sessions compared, table by table, row by row in order of keys.

use std::cmp::Ordering;

use serde_json::Value;

use crate::catalog::quoted;
use crate::error::SqlError;
use crate::format::json_value;
use crate::session::{QueryResult, Session};

/// What differs in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDifference {
    /// The table.
    pub table: String,
    /// Its rows on both sides.
    pub rows: (usize, usize),
    /// The first differences, a sentence each; empty if the tables are equal.
    pub differences: Vec<String>,
}

fn rows_of(result: &QueryResult) -> Vec<Vec<Value>> {
    let rows = result.batches.iter().flat_map(|batch| {
        (0..batch.num_rows()).map(move |row| batch.columns().iter().map(|column| json_value(column, row)).collect())
    });
    rows.collect()
}

/// The order of a query's `order by … nulls first`, on JSON values of one type.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Number(left), Value::Number(right)) => left.as_i64().cmp(&right.as_i64()),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (left, right) => left.to_string().cmp(&right.to_string()),
    }
}

/// Compares the public tables of two sessions. Tables and columns that are to be ignored are left out; at most `limit` differences
/// are told per table.
///
/// # Errors
/// If a table cannot be read.
pub fn differences(
    left: &Session,
    right: &Session,
    ignored_tables: &[&str],
    ignored_columns: &[&str],
    limit: usize,
) -> Result<Vec<TableDifference>, SqlError> {
    let mut outcome = Vec::new();
    for definition in
        left.definitions().iter().filter(|table| !table.is_archive && !ignored_tables.contains(&table.name.as_str()))
    {
        let columns: Vec<&str> = definition
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .filter(|name| definition.key.iter().any(|key| key == name) || !ignored_columns.contains(name))
            .collect();
        let selected: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let order: Vec<String> = definition.key.iter().map(|key| format!("{} nulls first", quoted(key))).collect();
        let sql =
            format!("select {} from {} order by {}", selected.join(", "), quoted(&definition.name), order.join(", "));
        let (left_rows, right_rows) = (rows_of(&left.query_blocking(&sql)?), rows_of(&right.query_blocking(&sql)?));
        let keys: Vec<usize> =
            definition.key.iter().filter_map(|key| columns.iter().position(|column| column == key)).collect();
        outcome.push(TableDifference {
            table: definition.name.clone(),
            rows: (left_rows.len(), right_rows.len()),
            differences: merge(&columns, &keys, &left_rows, &right_rows, limit),
        });
    }
    Ok(outcome)
}

fn merge(columns: &[&str], keys: &[usize], left: &[Vec<Value>], right: &[Vec<Value>], limit: usize) -> Vec<String> {
    let name = |row: &[Value]| keys.iter().map(|key| row[*key].to_string()).collect::<Vec<_>>().join(", ");
    let mut told = Vec::new();
    let (mut at_left, mut at_right) = (0, 0);
    while told.len() < limit && (at_left < left.len() || at_right < right.len()) {
        let order = match (left.get(at_left), right.get(at_right)) {
            (Some(left), Some(right)) => keys
                .iter()
                .map(|key| compare(&left[*key], &right[*key]))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => told.push(format!("({}) is on the left alone", name(&left[at_left]))),
            Ordering::Greater => told.push(format!("({}) is on the right alone", name(&right[at_right]))),
            Ordering::Equal => {
                let key = name(&left[at_left]);
                for (column, (left, right)) in columns.iter().zip(left[at_left].iter().zip(&right[at_right])) {
                    // Both come from one formatter, which writes doubles so that they read back to the same bits.
                    if left != right && told.len() < limit {
                        told.push(format!("({key}) {column}: {left} on the left, {right} on the right"));
                    }
                }
            }
        }
        at_left += usize::from(order.is_le());
        at_right += usize::from(order.is_ge());
    }
    told
}
