//! Whether loop and pipeline found the same: the totals of every column of `daily_kpis`.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use crate::child::{Binaries, run};
use crate::failure::Failure;
use crate::hand_loop::KPI_COLUMNS;

/// The loop sums milliseconds as integers and SQL seconds as doubles; sums of millions differ in the last digits.
const TOLERANCE: f64 = 1e-9;

/// What the comparison says.
#[derive(Clone, Debug, PartialEq)]
pub enum Agreement {
    /// All totals are equal.
    Same,
    /// Columns that differ: name, the loop's total, the pipeline's.
    Different(Vec<(&'static str, Option<f64>, Option<f64>)>),
    /// The totals could not be had; the figures above say nothing about equal work.
    NotCompared(String),
}

impl fmt::Display for Agreement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |total: &Option<f64>| total.map_or("none".to_owned(), |total| total.to_string());
        match self {
            Agreement::Same => write!(formatter, "daily_kpis: the totals of all {} columns agree", KPI_COLUMNS.len()),
            Agreement::Different(columns) => {
                write!(formatter, "daily_kpis DIFFER:")?;
                columns.iter().try_for_each(|(name, own, other)| {
                    write!(formatter, "\n  {name}: loop {}, pipeline {}", show(own), show(other))
                })
            }
            Agreement::NotCompared(why) => write!(formatter, "daily_kpis were not compared: {why}"),
        }
    }
}

/// The figure that stands behind `name` on a line of its own.
pub fn figure(printed: &str, name: &str) -> Option<f64> {
    printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Compares what the loop printed with the pipeline's output folder.
pub fn compare(binaries: &Binaries, output: &Path, loop_printed: &str) -> Agreement {
    match pipeline_totals(binaries, output) {
        Ok(row) => judge(loop_printed, &row),
        Err(failure) => Agreement::NotCompared(failure.to_string()),
    }
}

fn judge(loop_printed: &str, row: &serde_json::Value) -> Agreement {
    let mut different = Vec::new();
    for name in KPI_COLUMNS {
        let own = figure(loop_printed, name);
        // A sum over nothing is null in SQL.
        let other = row.get(name).map(|total| total.as_f64().unwrap_or(0.0));
        let same =
            own.zip(other).is_some_and(|(own, other)| (own - other).abs() <= TOLERANCE * own.abs().max(other.abs()));
        if !same {
            different.push((name, own, other));
        }
    }
    if different.is_empty() { Agreement::Same } else { Agreement::Different(different) }
}

fn pipeline_totals(binaries: &Binaries, output: &Path) -> Result<serde_json::Value, Failure> {
    let sums = KPI_COLUMNS[1..].iter().map(|name| format!("sum({name}) as {name}")).collect::<Vec<_>>().join(", ");
    let query = format!("select count(*) as \"rows\", {sums} from daily_kpis");
    let arguments: [OsString; 6] =
        ["sql".into(), "--output".into(), output.into(), "--format".into(), "json".into(), query.into()];
    let (_, printed) = run(&binaries.dealerflow, &arguments)?;
    let rows: Option<Vec<serde_json::Value>> = serde_json::from_str(&printed).ok();
    rows.and_then(|rows| rows.into_iter().next()).ok_or_else(|| Failure::Output {
        command: "dealerflow sql --format json".into(),
        wanted: "array with one row of totals".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(p50: &str) -> String {
        let line = |name: &&str| format!("{name} {}\n", if name.ends_with("p50") { p50 } else { "7" });
        format!("records 9\n{}", KPI_COLUMNS.iter().map(line).collect::<String>())
    }

    fn row(p50: f64) -> serde_json::Value {
        let column = |name: &&str| ((*name).to_owned(), if name.ends_with("p50") { p50.into() } else { 7.into() });
        serde_json::Value::Object(KPI_COLUMNS.iter().map(column).collect())
    }

    #[test]
    fn doubles_may_differ_in_the_last_digits_only() {
        assert_eq!(judge(&printed("123456789.123"), &row(123_456_789.123_000_01)), Agreement::Same);
        let different = judge(&printed("123456789.123"), &row(123_456_789.624));
        assert_eq!(
            different,
            Agreement::Different(vec![("response_seconds_p50", Some(123_456_789.123), Some(123_456_789.624))])
        );
    }

    #[test]
    fn a_missing_column_is_a_difference() {
        let agreement = judge(&printed("7"), &serde_json::json!({}));
        assert!(matches!(agreement, Agreement::Different(columns) if columns.len() == KPI_COLUMNS.len()));
    }

    #[test]
    fn figures_are_found_by_their_whole_name() {
        assert_eq!((figure("records 9\nrows 7\n", "rows"), figure("rowset 7\n", "rows")), (Some(7.0), None));
    }
}
