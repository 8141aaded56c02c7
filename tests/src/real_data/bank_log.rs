//! The log of a Dutch bank's loan applications (BPI Challenge 2012), row by row.

use std::path::Path;

use chrono::DateTime;

use super::{RealDataError, table_file};

/// The file, in the folder of shared data.
pub(super) const FILE: &str = "bpic2012_loan_applications/events.csv.gz";

/// The resource that is the bank's own software.
pub(super) const SYSTEM: &str = "112";

/// One row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogRow {
    /// Its place in the file, counted from 1: the log's own order inside a millisecond.
    pub(super) number: u64,
    pub(super) application: u64,
    pub(super) amount_requested_cents: i64,
    /// `A_…` of the application, `O_…` of an offer, `W_…` of a piece of work.
    pub(super) activity: String,
    /// `SCHEDULE`, `START` or `COMPLETE`.
    pub(super) transition: String,
    /// Who did it; `None` where the log does not say.
    pub(super) resource: Option<String>,
    /// As written, with its offset.
    pub(super) time: String,
    pub(super) time_ms: i64,
}

/// Reads the log in the order of time, and of the file inside a millisecond.
pub(super) fn read(path: &Path) -> Result<Vec<LogRow>, RealDataError> {
    let mut rows = Vec::new();
    table_file::for_each_row(path, |row| {
        let time = row.text("time:timestamp")?;
        let time_ms = DateTime::parse_from_rfc3339(time)
            .map_err(|error| row.problem(format!("time {time:?}: {error}")))?
            .timestamp_millis();
        let whole = |column: &str| {
            let text = row.text(column)?;
            text.parse::<u64>().map_err(|error| row.problem(format!("column {column} holds {text:?}: {error}")))
        };
        let resource = row.text("org:resource")?;
        rows.push(LogRow {
            number: rows.len() as u64 + 1,
            application: whole("case:concept:name")?,
            amount_requested_cents: whole("case:AMOUNT_REQ")? as i64 * 100,
            activity: row.text("concept:name")?.to_owned(),
            transition: row.text("lifecycle:transition")?.to_owned(),
            resource: (!resource.is_empty()).then(|| resource.to_owned()),
            time: time.to_owned(),
            time_ms,
        });
        Ok(())
    })?;
    rows.sort_by_key(|row| (row.time_ms, row.number));
    Ok(rows)
}
