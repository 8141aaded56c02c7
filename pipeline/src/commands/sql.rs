//! `dealerflow sql`: a query over a replay's output folder.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use sql::format::{Format, write};

use super::CommandError;
use crate::replay::output::open_output;

/// How the answer is written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatName {
    /// Aligned columns
    Table,
    /// RFC 4180
    Csv,
    /// One array of objects
    Json,
}

/// Asks a query.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Output folder of a replay
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// How the answer is written
    #[arg(long, value_enum, default_value = "table")]
    format: FormatName,
    /// The query
    query: String,
}

/// Runs the command.
///
/// # Errors
/// If the folder holds no finished output, or the query is wrong.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let session = open_output(&arguments.output).map_err(CommandError::failed)?;
    let result = session.query_blocking(&arguments.query).map_err(CommandError::failed)?;
    let format = match arguments.format {
        FormatName::Table => Format::Table,
        FormatName::Csv => Format::Csv,
        FormatName::Json => Format::Json,
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    match write(format, &result, &mut out).and_then(|()| Ok(out.flush()?)) {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(sql::SqlError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(CommandError::failed),
    }
}
