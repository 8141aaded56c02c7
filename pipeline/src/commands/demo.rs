//! `dealerflow demo`: simulated dealers, an embedded log and the whole pipeline, in one process with nothing installed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectors::log::{Log, LogError};
use indicatif::HumanCount;
use operators::domain::time::format_rfc3339;

use super::run::print_report;
use super::{CommandError, load_config_with};
use crate::allocator;
use crate::config::Config;
use crate::http::commands::now_ms;
use crate::http::server::HttpServer;
use crate::logs::{PARTITIONS_DEFAULT, open_log, topic_specs};
use crate::produce::{Pace, produce};
use crate::run::audit::audit;
use crate::run::engine::Seats;
use crate::run::live::{Control, run as run_live};
use crate::run::live_settings;
use crate::run::starting::describe_inputs;
use crate::run::stores::open_stores;
use crate::run::tables::Observer;
use crate::serving::Serving;
use crate::signals::stop_on_signals;
use crate::simulate::{DisorderOptions, SimulateOptions, StartDate, simulate};

/// Days of a world that ends tomorrow: few, so that something happens every few seconds.
const LIVE_DAYS: u32 = 7;
/// How often the demo looks whether everything is through.
const LOOK: Duration = Duration::from_millis(20);

/// Runs simulated dealers through the whole pipeline.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Number of events
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// Number of dealers
    #[arg(long, default_value_t = 20)]
    dealers: u32,
    /// The same seed gives the same events
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Events a second of a world of the past; if not given, the past comes as fast as it is taken, and then each event at its time
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Each event happens when it comes, at any rate: what is measured then is not a world of months that passes in minutes
    #[arg(long, requires = "rate", conflicts_with = "data_dir")]
    now: bool,
    /// End when every event is through, and audit what was written
    #[arg(long)]
    exit: bool,
    /// Folder of the log; a scratch folder that is removed at the end if not given
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If the log cannot be opened, or the pipeline fails.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    allocator::for_service();
    crate::logging::start();
    let scratch = tempfile::tempdir()
        .map_err(|error| CommandError::failed(format!("no scratch folder could be made: {error}")))?;
    let events = scratch.path().join("events");
    let mut options = SimulateOptions::new(events.clone(), arguments.dealers, arguments.events, arguments.seed);
    options.disorder = Some(DisorderOptions::default());
    // What ends by itself is the same every time; what is looked at happens now: its world ends tomorrow.
    let is_live = !arguments.exit && arguments.rate.is_none();
    if is_live {
        options.days = LIVE_DAYS;
        options.start = StartDate::days_before(now_ms(), options.days - 1).unwrap_or_default();
    }
    simulate(&options).map_err(CommandError::failed)?;

    let data_dir = arguments.data_dir.clone().unwrap_or_else(|| scratch.path().join("data"));
    let data_dir = data_dir.to_str().ok_or_else(|| CommandError::usage("the name of the folder is not UTF-8"))?;
    let mut own = vec![("DEALERFLOW_DATA_DIR", data_dir), ("DEALERFLOW_SOURCE__KIND", "embedded")];
    if arguments.exit {
        // Nobody connects to a demo that ends by itself, so that several may run at once.
        own.extend([("DEALERFLOW_SQL__LISTEN", "127.0.0.1:0"), ("DEALERFLOW_HTTP__LISTEN", "127.0.0.1:0")]);
    }
    let config = load_config_with(None, &own)?;
    let log = open_log(&config).map_err(CommandError::failed)?;
    let mut admin = log.admin().map_err(CommandError::failed)?;
    admin.create_topics(&topic_specs(PARTITIONS_DEFAULT)).map_err(CommandError::failed)?;
    drop(admin);
    // What a log of earlier demos holds comes before anything new, bound or not: a killed demo leaves records that no epoch has.
    let held = records_held(log.as_ref()).map_err(CommandError::failed)?;

    let control = Control::default();
    stop_on_signals(&control.stop).map_err(CommandError::failed)?;
    let pace = match arguments.rate {
        None if is_live => Pace::AsItHappens,
        None => Pace::Unbounded,
        Some(rate) if arguments.now => Pace::PerSecondNow(rate),
        Some(rate) => Pace::PerSecond(rate),
    };
    let produced = Arc::new(AtomicU64::new(u64::MAX));
    let producer = {
        let (log, control, produced) = (Arc::clone(&log), control.clone(), Arc::clone(&produced));
        move || {
            let stop = || control.stop.load(Ordering::Acquire);
            let outcome = produce(&events, log.as_ref(), pace, &stop);
            match &outcome {
                Ok(records) => produced.store(*records, Ordering::Release),
                Err(_) => control.stop.store(true, Ordering::Release),
            }
            outcome
        }
    };
    let producer = std::thread::Builder::new().name("producer".to_owned()).spawn(producer);
    let producer = producer.map_err(CommandError::failed)?;
    if arguments.exit {
        let (control, produced) = (control.clone(), Arc::clone(&produced));
        let watch = move || {
            while !control.stop.load(Ordering::Acquire) {
                let wanted = produced.load(Ordering::Acquire).saturating_add(held);
                if control.records_through.load(Ordering::Acquire) >= wanted {
                    control.stop.store(true, Ordering::Release);
                }
                std::thread::sleep(LOOK);
            }
        };
        std::thread::Builder::new().name("watch".to_owned()).spawn(watch).map_err(CommandError::failed)?;
    } else {
        println!("{} events of {} dealers stream through; Ctrl-C ends it", arguments.events, arguments.dealers);
    }
    let stores = open_stores(&config).map_err(CommandError::failed)?;
    let serving = Serving::start(&config, &stores.history, &control.metrics).map_err(CommandError::failed)?;
    let (server, observer) = HttpServer::start(&config, &log, &serving, &control).map_err(CommandError::failed)?;
    print_addresses(&server, &serving, &config);
    let observers: Vec<Box<dyn Observer>> = vec![Box::new(observer)];
    let settings = live_settings(&config);
    let outcome = run_live(&log, &settings, &stores, &serving.tables, Seats::Alone, &control, observers);
    server.stop();
    let report = outcome.map_err(CommandError::failed)?;
    match producer.join() {
        Ok(outcome) => outcome.map(drop).map_err(CommandError::failed)?,
        Err(_) => return Err(CommandError::failed("the producer failed")),
    }
    print_report(&report);
    let (audited, _) = audit(log.as_ref()).map_err(CommandError::failed)?;
    for problem in &audited.problems {
        println!("PROBLEM  {problem}");
    }
    if audited.problems_total > 0 {
        return Err(CommandError::failed(format!("the audit found {} problems", audited.problems_total)));
    }
    println!(
        "audit: {} epochs{} form one chain over {} records; {} messages, each once and whole",
        HumanCount(audited.epochs),
        audited.chain.epoch.map_or_else(String::new, |epoch| format!(" up to {}", format_rfc3339(epoch))),
        HumanCount(audited.records),
        HumanCount(audited.messages),
    );
    Ok(())
}

/// Where to look, and lines to try.
pub(crate) fn print_addresses(server: &HttpServer, serving: &Serving, config: &Config) {
    let url = server.url();
    println!("HTTP on {}: {url}/floor and {url}/pulse/meta", server.address());
    println!("SQL on {}: {}", serving.sql_address(), serving.psql_line(config));
    println!("  curl '{url}/api/intelligence/insights?dealerId=d-0001'");
    println!("  curl -N '{url}/api/pulse-stream?topics=kpis,team'");
    println!("  {url}/api/openapi.json has the rest, {url}/metrics the metrics");
}

/// Records that the input topics of an embedded log were ever given: offsets are consecutive there.
fn records_held(log: &dyn Log) -> Result<u64, LogError> {
    let topics = describe_inputs(log)?;
    Ok(topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.end).sum())
}

#[cfg(test)]
mod tests {
    use connectors::log::{OutgoingRecords, TopicPartition};

    use super::*;

    #[test]
    fn records_that_no_epoch_has_are_held_too() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap().to_owned();
        let own = [("DEALERFLOW_DATA_DIR", folder.as_str()), ("DEALERFLOW_SOURCE__KIND", "embedded")];
        let config = load_config_with(None, &own).unwrap();
        assert_eq!(config.parquet.url.to_string(), format!("file:{folder}/parquet"), "history follows the folder");
        let log = open_log(&config).unwrap();
        log.admin().unwrap().create_topics(&topic_specs(2)).unwrap();
        assert_eq!(records_held(log.as_ref()).unwrap(), 0);
        let mut records = OutgoingRecords::new();
        for topic in ["leads", "deals", "leads"] {
            let place = records.place(&TopicPartition::new(topic, 1));
            records.push(place, 0, None, Some(b"{}"), []);
        }
        log.appender("test").unwrap().append(&records, None).unwrap();
        assert_eq!(records_held(log.as_ref()).unwrap(), 3);
        assert_eq!(audit(log.as_ref()).unwrap().0.records, 0);
    }
}
