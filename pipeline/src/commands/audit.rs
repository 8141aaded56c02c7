//! `dealerflow audit`: proves from the topics that every epoch is there once and whole.

use std::path::PathBuf;

use indicatif::HumanCount;
use operators::domain::time::format_rfc3339;

use super::{CommandError, load_config};
use crate::logs::open_log;
use crate::run::audit::audit;
use crate::run::recompute::recompute;
use crate::run::stores::open_stores;
use crate::run::{Nowhere, live_settings};

/// Audits the output topics.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration file; the defaults if not given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Feed the recorded input to a fresh pipeline as well, and compare what it gives
    #[arg(long)]
    recompute: bool,
}

/// Runs the command.
///
/// # Errors
/// If the log cannot be read, or what it holds is not right.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = load_config(arguments.config.as_deref())?;
    crate::logging::start();
    let log = open_log(&config).map_err(CommandError::failed)?;
    let (report, bindings) = audit(log.as_ref()).map_err(CommandError::failed)?;
    println!(
        "{} epochs of {} runs{}, {} records, {} messages",
        HumanCount(report.epochs),
        HumanCount(report.incarnations),
        report.chain.epoch.map_or_else(String::new, |epoch| format!(" up to {}", format_rfc3339(epoch))),
        HumanCount(report.records),
        HumanCount(report.messages),
    );
    for range in bindings.iter().flat_map(|binding| &binding.skipped) {
        println!(
            "SKIPPED  the records {} to {} of {}/{} had expired before they were ever read",
            range.first,
            range.next - 1,
            range.topic,
            range.partition
        );
    }
    for partition in &report.open_transactions {
        println!("OPEN     a transaction is open in {partition}: readers wait for it");
    }
    if report.hidden > 0 {
        println!("HIDDEN   {} epochs lie behind open transactions and were not judged; audit again", report.hidden);
    }
    for problem in &report.problems {
        println!("PROBLEM  {problem}");
    }
    if report.problems_total > 0 {
        return Err(CommandError::failed(format!("the audit found {} problems; see above", report.problems_total)));
    }
    println!("ok       epochs form one chain, ranges tile every partition, every message is there once and whole");
    if arguments.recompute {
        let stores = open_stores(&config).map_err(CommandError::failed)?;
        let epochs = recompute(&log, &live_settings(&config), bindings, &stores.history, &mut Nowhere)
            .map_err(CommandError::failed)?;
        println!(
            "ok       {} epochs computed again give the recorded outputs, byte for byte",
            HumanCount(epochs as u64)
        );
    }
    Ok(())
}
