//! `dealerflow run`: the pipeline, live, against the log that the configuration names.

use std::path::PathBuf;

use indicatif::HumanCount;
use operators::domain::time::format_rfc3339;

use super::demo::print_addresses;
use super::{CommandError, load_config};
use crate::http::server::HttpServer;
use crate::logs::open_log;
use crate::run::live::{Control, RunReport, run as run_live};
use crate::run::tables::Observer;
use crate::run::{live_settings, open_stores};
use crate::serving::Serving;
use crate::signals::stop_on_signals;

/// Runs the pipeline until it is told to stop.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration file; the defaults if not given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Worker threads; the configuration's `pipeline.workers` if not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    workers: Option<u32>,
}

/// Runs the command.
///
/// # Errors
/// If the pipeline cannot start or go on.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let mut config = load_config(arguments.config.as_deref())?;
    config.pipeline.workers = arguments.workers.unwrap_or(config.pipeline.workers);
    crate::logging::start();
    let log = open_log(&config).map_err(CommandError::failed)?;
    let control = Control::default();
    stop_on_signals(&control.stop).map_err(CommandError::failed)?;
    let stores = open_stores(&config).map_err(CommandError::failed)?;
    let serving = Serving::start(&config, &stores.history).map_err(CommandError::failed)?;
    let (server, observer) = HttpServer::start(&config, &log, &serving, &control).map_err(CommandError::failed)?;
    print_addresses(&server, &serving, &config);
    let observers: Vec<Box<dyn Observer>> = vec![Box::new(observer)];
    let outcome = run_live(&log, &live_settings(&config), &stores, &serving.tables, &control, observers);
    server.stop();
    let report = outcome.map_err(CommandError::failed)?;
    print_report(&report);
    Ok(())
}

/// One line on what a run did.
pub(crate) fn print_report(report: &RunReport) {
    println!(
        "{} records in {} epochs{}: {} accepted, {} duplicates, {} dead letters",
        HumanCount(report.records),
        HumanCount(report.epochs),
        report.last_epoch.map_or_else(String::new, |epoch| format!(" up to {}", format_rfc3339(epoch))),
        HumanCount(report.statistics.accepted),
        HumanCount(report.statistics.duplicates),
        HumanCount(report.statistics.rejected_total()),
    );
}
