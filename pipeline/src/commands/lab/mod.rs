//! `dealerflow lab`: the models on anybody's own numbers, one experiment a file.

pub mod assign;
pub mod kuramoto;
mod score_table;
mod sheet;
pub mod whaco;

use std::io::{self, BufWriter, StdoutLock};

use super::CommandError;

/// Tries a model on numbers from files.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Debug, clap::Subcommand)]
enum Experiment {
    /// Cluster the rows of a CSV file and score how unusual each is, in one pass
    Whaco(whaco::Arguments),
    /// Let coupled oscillators run, and print their coherence over time
    Kuramoto(kuramoto::Arguments),
    /// Place leads with reps, and print how far from the optimum each iteration is
    Assign(assign::Arguments),
}

/// Runs the command.
///
/// # Errors
/// If a file cannot be read or is not what the experiment needs.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    match &arguments.experiment {
        Experiment::Whaco(arguments) => whaco::run(arguments),
        Experiment::Kuramoto(arguments) => kuramoto::run(arguments),
        Experiment::Assign(arguments) => assign::run(arguments),
    }
}

/// Prints an experiment's rows to standard output. Whoever reads may have read enough.
fn print_rows(print: impl FnOnce(&mut BufWriter<StdoutLock<'_>>) -> io::Result<()>) -> Result<(), CommandError> {
    match print(&mut BufWriter::new(io::stdout().lock())) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(|error| CommandError::failed(format!("the rows cannot be written: {error}"))),
    }
}

/// A cell of CSV, quoted if it has to be.
fn quoted(cell: &str) -> std::borrow::Cow<'_, str> {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\"")).into()
    } else {
        cell.into()
    }
}
