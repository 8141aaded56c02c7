//! Errors of queries: one sentence, with the way to mend it where there is one, and the code by which PostgreSQL's clients know them.

use std::time::Duration;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::definition::TableDefinition;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The query itself is wrong.
    #[error("{message}")]
    Query {
        /// What is wrong.
        message: String,
        /// PostgreSQL's code for it.
        sqlstate: &'static str,
    },
    /// It names a table that is not there.
    #[error("there is no table {name}: {hint}")]
    NoTable {
        /// The name.
        name: String,
        /// What to do.
        hint: String,
    },
    /// The statement would change something.
    #[error("the tables are read-only: only SELECT, WITH, EXPLAIN, SHOW and DESCRIBE are answered")]
    ReadOnly,
    /// It took too long.
    #[error("the query took longer than {0:?} and was stopped; narrow it, or raise the limit")]
    Timeout(Duration),
    /// Its caller took it back.
    #[error("the query was cancelled by its caller")]
    Cancelled,
    /// Its answer is too long.
    #[error("the answer has more than {0} rows and was stopped; narrow it with WHERE or LIMIT, or raise sql.rows_max")]
    TooManyRows(u64),
    /// Too many at once.
    #[error("{0} queries are under way, which is the limit; try again")]
    Busy(usize),
    /// An epoch that cannot come in time: nobody can have heard of it.
    #[error("epoch {wanted} lies in the future, epoch {shown} is shown: epochs are times in UTC milliseconds")]
    Future {
        /// The epoch asked for.
        wanted: i64,
        /// The epoch that is shown.
        shown: i64,
    },
    /// An epoch that has not come yet.
    #[error("epoch {wanted} is not shown yet, epoch {shown} is; waited for {waited:?}")]
    NotYet {
        /// The epoch asked for.
        wanted: i64,
        /// The epoch that is shown.
        shown: i64,
        /// How long was waited.
        waited: Duration,
    },
    /// A start is still filling the tables.
    #[error("the tables are being filled after a start: they are at epoch {shown} of {wanted}; try again")]
    Filling {
        /// The epoch from which on queries are answered.
        wanted: i64,
        /// The epoch that is there.
        shown: i64,
    },
    /// A setting with a value that it cannot have.
    #[error("{setting} cannot be {value:?}: {remedy}")]
    Setting {
        /// The setting.
        setting: String,
        /// The value.
        value: String,
        /// What it may be.
        remedy: String,
    },
    /// The caller may not.
    #[error("{0}")]
    Denied(String),
    /// Something of the same name is there, or too much.
    #[error("{0}")]
    View(String),
    /// Files could not be read.
    #[error("the tables cannot be opened: {0}")]
    Storage(String),
    /// A fault of ours: the query's own, never the process's.
    #[error("the query failed inside the engine: {0}; please report it with the query")]
    Internal(String),
    /// Writing the answer failed.
    #[error("the answer cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

impl SqlError {
    /// PostgreSQL's code for it.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            SqlError::Query { sqlstate, .. } => sqlstate,
            SqlError::NoTable { .. } => "42P01",
            SqlError::ReadOnly => "25006",
            SqlError::Timeout(_) | SqlError::Cancelled => "57014",
            SqlError::TooManyRows(_) => "54000",
            SqlError::Busy(_) => "53400",
            SqlError::NotYet { .. } => "55000",
            SqlError::Filling { .. } => "57P03",
            SqlError::Setting { .. } | SqlError::Future { .. } => "22023",
            SqlError::Denied(_) => "42501",
            SqlError::View(_) => "42P07",
            SqlError::Storage(_) | SqlError::Output(_) => "58030",
            SqlError::Internal(_) => "XX000",
        }
    }
}

/// The code for an engine's error.
fn sqlstate_of(error: &DataFusionError, message: &str) -> &'static str {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::AmbiguousReference { .. } => "42702",
            SchemaError::FieldNotFound { .. } => "42703",
            _ => "42701",
        },
        DataFusionError::NotImplemented(_) => "0A000",
        DataFusionError::ResourcesExhausted(_) => "53200",
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            arrow::error::ArrowError::DivideByZero => "22012",
            arrow::error::ArrowError::CastError(_) | arrow::error::ArrowError::ParseError(_) => "22P02",
            arrow::error::ArrowError::ArithmeticOverflow(_) => "22003",
            _ => "22000",
        },
        DataFusionError::Plan(_) if message.starts_with("Invalid function") => "42883",
        DataFusionError::SQL(..) | DataFusionError::Plan(_) => "42601",
        DataFusionError::Execution(_) => "22000",
        DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => "58030",
        _ => "XX000",
    }
}

/// The engine's error as one sentence, with the nearest name for a table that is misspelt.
pub(crate) fn explain(error: &DataFusionError, definitions: &[TableDefinition]) -> SqlError {
    const REFUSALS: [&str; 3] = ["DDL not supported", "DML not supported", "Statement not supported"];
    let message = error.to_string();
    if REFUSALS.iter().any(|refusal| message.contains(refusal)) {
        return SqlError::ReadOnly;
    }
    // The root says what is wrong; what stands around it says where in the engine.
    let message = sentence(&error.find_root().to_string());
    if let Some(name) = message.strip_prefix("table '").and_then(|rest| rest.split('\'').next()) {
        let name = name.rsplit('.').next().unwrap_or(name);
        let tables = definitions.iter().map(|table| table.name.as_str());
        let nearest = tables.min_by_key(|own| strsim::levenshtein(own, name));
        let hint = nearest.filter(|nearest| strsim::levenshtein(nearest, name) <= 3);
        let hint = hint.map_or_else(|| "SHOW TABLES lists them".to_owned(), |hint| format!("did you mean {hint}?"));
        return SqlError::NoTable { name: name.to_owned(), hint };
    }
    let sqlstate = sqlstate_of(error, &message);
    SqlError::Query { message, sqlstate }
}

/// The first line of an engine's message, without the names of its error kinds.
pub(crate) fn sentence(message: &str) -> String {
    const KINDS: [&str; 6] = [
        "Error during planning: ",
        "SQL error: ",
        "Schema error: ",
        "Execution error: ",
        "External error: ",
        "Arrow error: ",
    ];
    let mut text = message.lines().next().unwrap_or(message);
    while let Some(shorter) = KINDS.iter().find_map(|kind| text.strip_prefix(kind)) {
        text = shorter;
    }
    // The parser's errors come in their debug form.
    let parser = ["ParserError(\"", "TokenizerError(\""].iter().find_map(|kind| text.strip_prefix(kind));
    match parser.and_then(|message| message.strip_suffix("\")")) {
        Some(message) => format!("this is no SQL: {}", message.replace("\\\"", "\"").replace("\\n", " ")),
        None => text.to_owned(),
    }
}
