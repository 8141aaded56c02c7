//! Errors of queries: one sentence, with the way to mend it where there is one.

use std::time::Duration;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The query itself is wrong.
    #[error("{0}")]
    Query(String),
    /// The statement would change something.
    #[error("the tables are read-only: only SELECT, WITH, EXPLAIN, SHOW and DESCRIBE are answered")]
    ReadOnly,
    /// It took too long.
    #[error("the query took longer than {0:?} and was stopped; narrow it, or raise the limit")]
    Timeout(Duration),
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
