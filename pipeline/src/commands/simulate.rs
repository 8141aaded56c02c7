//! `dealerflow simulate`: a reproducible world of dealerships, with known truth.

use std::path::PathBuf;

use super::{CommandError, load_config};
use crate::config::{BrokerList, SourceKind};
use crate::logs::open_log;
use crate::produce::{Pace, produce};
use crate::simulate::{DisorderOptions, SimulateOptions, StartDate, simulate};

/// Simulates dealerships.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder for the topics' files and the truth
    #[arg(long, value_name = "DIR", required_unless_present_any = ["brokers", "log"])]
    output: Option<PathBuf>,
    /// Brokers of a Kafka cluster to append the events to, HOST:PORT, several with commas
    #[arg(long, value_name = "BROKERS", conflicts_with = "log")]
    brokers: Option<BrokerList>,
    /// Configuration file of a pipeline, to whose log the events are appended
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Events a second that are appended; as fast as the log takes them if not given
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Append each event as if it happened now
    #[arg(long, requires = "rate")]
    now: bool,
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
    let log = match (&arguments.brokers, &arguments.log) {
        (None, None) => None,
        (brokers, path) => {
            let mut config = load_config(path.as_deref())?;
            if let Some(brokers) = brokers {
                config.source.kind = SourceKind::Kafka;
                config.kafka.brokers = brokers.clone();
            }
            Some(open_log(&config).map_err(CommandError::failed)?)
        }
    };
    let scratch = if arguments.output.is_some() { None } else { Some(scratch_folder()?) };
    let folder = arguments.output.clone().or_else(|| scratch.as_ref().map(|scratch| scratch.path().join("events")));
    let folder = folder.ok_or_else(|| CommandError::usage("name a folder with --output"))?;
    let mut options = SimulateOptions::new(folder.clone(), arguments.dealers, arguments.events, arguments.seed);
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
        "{} events of {} dealers and {} reps{}",
        summary.events(),
        summary.dealers,
        summary.reps,
        arguments.output.as_ref().map_or_else(String::new, |output| format!(
            " in {}; the truth is in {}",
            output.display(),
            summary.truth.display()
        ))
    );
    if let Some(disorder) = &summary.disorder {
        for (name, count) in disorder.named() {
            println!("{name:<20} {count:>10}");
        }
    }
    if let Some(log) = log {
        let paced = if arguments.now { Pace::PerSecondNow } else { Pace::PerSecond };
        let pace = arguments.rate.map_or(Pace::Unbounded, paced);
        let records = produce(&folder, log.as_ref(), pace, &|| false).map_err(CommandError::failed)?;
        println!("{records} records were appended to the input topics");
    }
    Ok(())
}

/// A folder that is gone when the command ends.
fn scratch_folder() -> Result<tempfile::TempDir, CommandError> {
    tempfile::tempdir().map_err(|error| CommandError::failed(format!("no scratch folder could be made: {error}")))
}
