//! `dealerflow run`: the pipeline, live, against the log that the configuration names.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use indicatif::HumanCount;
use operators::domain::time::format_rfc3339;

use super::demo::print_addresses;
use super::{CommandError, load_config};
use crate::allocator;
use crate::http::server::HttpServer;
use crate::logs::open_log;
use crate::processes::{Processes, read_hostfile};
use crate::run::cluster::{ClusterError, ClusterIdentity, ClusterSettings, Connected, end_with_the_others, gather};
use crate::run::engine::Seats;
use crate::run::follower::follow;
use crate::run::live::{Control, LiveSettings, RunReport, run as run_live};
use crate::run::live_settings;
use crate::run::stores::open_stores;
use crate::run::tables::Observer;
use crate::serving::Serving;
use crate::signals::stop_on_signals;

/// Runs the pipeline until it is told to stop.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// Configuration file; the defaults if not given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Worker threads of each process; the configuration's `pipeline.workers` if not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    workers: Option<u32>,
    /// Processes; without -p the others are started here, on this machine
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    processes: u32,
    /// The number of this process, from 0: process 0 reads the log and writes the results
    #[arg(short = 'p', long, value_name = "I", requires = "hostfile")]
    process: Option<u32>,
    /// File with a line HOST:PORT for each process, in the order of their numbers
    #[arg(short = 'h', long, value_name = "FILE", requires = "process")]
    hostfile: Option<PathBuf>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Runs the command.
///
/// # Errors
/// If the pipeline cannot start or go on.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    allocator::for_service();
    let mut config = load_config(arguments.config.as_deref())?;
    config.pipeline.workers = arguments.workers.unwrap_or(config.pipeline.workers);
    let settings = live_settings(&config);
    let processes = arguments.processes as usize;
    let process = arguments.process.unwrap_or(0) as usize;
    if process >= processes {
        return Err(CommandError::usage(format!(
            "-p {process} names no process: there are {processes}, from 0 to {}",
            processes - 1
        )));
    }
    let cluster = match &arguments.hostfile {
        Some(path) => Some(read_hostfile(path, processes).map_err(CommandError::usage)?),
        None => None,
    };
    crate::logging::start();
    let control = Control::default();
    stop_on_signals(&control.stop).map_err(CommandError::failed)?;
    let (seats, others) = match (cluster, processes) {
        (None, 1) => (Seats::Alone, None),
        (Some(addresses), _) => {
            let connected = connect(&settings, &ClusterSettings { addresses, process }, &control, &mut || None)?;
            let Some(connected) = connected else { return Ok(()) };
            if process > 0 {
                return follow(settings.engine, connected, &control).map_err(CommandError::failed);
            }
            (Seats::Cluster(connected), None)
        }
        (None, _) => {
            let config = arguments.config.as_deref();
            let mut others =
                Processes::start(processes, config, settings.engine.workers).map_err(CommandError::failed)?;
            let own = ClusterSettings { addresses: others.addresses().to_vec(), process: 0 };
            let Some(connected) = connect(&settings, &own, &control, &mut || others.ended())? else { return Ok(()) };
            (Seats::Cluster(connected), Some(others))
        }
    };
    let log = open_log(&config).map_err(CommandError::failed)?;
    let stores = open_stores(&config).map_err(CommandError::failed)?;
    let serving = Serving::start(&config, &stores.history, &control.metrics).map_err(CommandError::failed)?;
    let (server, observer) = HttpServer::start(&config, &log, &serving, &control).map_err(CommandError::failed)?;
    print_addresses(&server, &serving, &config);
    let observers: Vec<Box<dyn Observer>> = vec![Box::new(observer)];
    let outcome = run_live(&log, &settings, &stores, &serving.tables, seats, &control, observers);
    server.stop();
    let report = outcome.map_err(CommandError::failed)?;
    if let Some(others) = others {
        others.wait().map_err(CommandError::failed)?;
    }
    print_report(&report);
    Ok(())
}

/// Finds the other processes; `None` if the end was asked for before all had come.
fn connect(
    settings: &LiveSettings,
    cluster: &ClusterSettings,
    control: &Control,
    ended: &mut dyn FnMut() -> Option<String>,
) -> Result<Option<Connected>, CommandError> {
    let identity = ClusterIdentity {
        pipeline: settings.name.clone(),
        settings: settings.fingerprint.clone(),
        logic: settings.logic.clone(),
        workers: settings.engine.workers,
        processes: cluster.addresses.len(),
    };
    end_with_the_others();
    let stop = || control.stop.load(Ordering::Acquire);
    let mut given_up = || if stop() { Some("the end was asked for".to_owned()) } else { ended() };
    match gather(cluster, &identity, &mut given_up) {
        Ok(connected) => {
            tracing::info!(process = cluster.process, processes = identity.processes, "all processes are there");
            Ok(Some(connected))
        }
        Err(ClusterError::GivenUp(_)) if stop() => Ok(None),
        Err(error) => Err(CommandError::failed(error)),
    }
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
