//! `dealerflow simulate`: a reproducible world of dealerships, with known truth.

use std::path::PathBuf;

use super::CommandError;
use crate::simulate::{DisorderOptions, SimulateOptions, StartDate, simulate};

/// Simulates dealerships.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder for the topics' files and the truth
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Number of dealers
    #[arg(long, default_value_t = 20)]
    dealers: u32,
    /// Number of events
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Days that the events span
    #[arg(long)]
    days: Option<u32>,
    /// First day, such as 2026-01-05
    #[arg(long)]
    start: Option<StartDate>,
    /// Add duplicates, late and corrected events, deletions and bad records
    #[arg(long)]
    disorder: bool,
    /// Replace what an earlier simulation wrote
    #[arg(long)]
    overwrite: bool,
}

/// Runs the command.
///
/// # Errors
/// If the options are wrong or the files cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let mut options =
        SimulateOptions::new(arguments.output.clone(), arguments.dealers, arguments.events, arguments.seed);
    options.overwrite = arguments.overwrite;
    options.disorder = arguments.disorder.then(DisorderOptions::default);
    if let Some(days) = arguments.days {
        options.days = days;
    }
    if let Some(start) = arguments.start {
        options.start = start;
    }
    let summary = simulate(&options).map_err(CommandError::failed)?;
    println!(
        "{} events of {} dealers and {} reps in {}; the truth is in {}",
        summary.events(),
        summary.dealers,
        summary.reps,
        arguments.output.display(),
        summary.truth.display()
    );
    if let Some(disorder) = &summary.disorder {
        for (name, count) in disorder.named() {
            println!("{name:<20} {count:>10}");
        }
    }
    Ok(())
}
