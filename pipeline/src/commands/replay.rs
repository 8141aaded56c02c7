//! `dealerflow replay`: files of events in, the outputs of the whole pipeline out.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use operators::domain::rejection::ReasonCode;
use operators::domain::tables::TableId;
use operators::domain::time::format_rfc3339;

use super::{CommandError, load_config};
use crate::config::Duration;
use crate::replay::{Progress, ReplayOptions, ReplayReport, replay};

/// Replays a folder of events.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder of events: TOPIC.jsonl, .gz, .zst, or a folder TOPIC of such
    #[arg(long, value_name = "DIR")]
    input: PathBuf,
    /// Folder for topics/ and parquet/
    #[arg(long, value_name = "DIR", required_unless_present = "no_output")]
    output: Option<PathBuf>,
    /// Worker threads; the configuration's `pipeline.workers` if not given
    #[arg(short, long, value_name = "N")]
    workers: Option<u32>,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Width of an epoch, such as 50ms or 1d; cut by count if not given
    #[arg(long, value_name = "DURATION")]
    epoch_width: Option<String>,
    /// Compute, count, and write nothing
    #[arg(long, conflicts_with = "output")]
    no_output: bool,
    /// Replace the output of an earlier replay
    #[arg(long)]
    overwrite: bool,
}

/// Runs the command.
///
/// # Errors
/// If the configuration is wrong, the input cannot be read or the output not written.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = load_config(arguments.config.as_deref())?;
    let epoch_width_ms = match &arguments.epoch_width {
        None => None,
        Some(text) => {
            let width = text
                .parse::<Duration>()
                .map_err(|error| CommandError::usage(format!("--epoch-width {text}: {error}")))?;
            let width_ms = i64::try_from(width.ms()).unwrap_or(i64::MAX);
            if width_ms == 0 {
                return Err(CommandError::usage("--epoch-width has to be at least 1ms"));
            }
            Some(width_ms)
        }
    };
    let workers = arguments.workers.unwrap_or(config.pipeline.workers);
    if !(1..=1_024).contains(&workers) {
        return Err(CommandError::usage("--workers has to be between 1 and 1024"));
    }
    let options = ReplayOptions {
        input: arguments.input.clone(),
        output: arguments.output.clone(),
        overwrite: arguments.overwrite,
        workers: workers as usize,
        epoch_width_ms,
        epoch_records: u64::from(config.replay.epoch_records),
        replay_buffer_bytes: config.replay_buffer_bytes(),
        dedup_horizon_ms: config.dedup_horizon_ms() as i64,
        dedup_keys_max: config.pipeline.dedup_keys_max as usize,
        retention_ms: config.retention_ms() as i64,
        // A file has no late events, so nothing waits for them.
        models: config.prepared_models(0),
        models_fingerprint: config.models.fingerprint(),
    };
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = "{bar:40} {pos}/{len} events  {per_sec}  {eta}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let progress: Arc<Progress> = {
        let bar = bar.clone();
        Arc::new(move |read, total| {
            bar.set_length(total);
            bar.set_position(read);
        })
    };
    let report = replay(&options, &progress).map_err(CommandError::failed)?;
    bar.finish_and_clear();
    for path in &report.ignored {
        eprintln!("dealerflow: {} belongs to no input topic and was not read", path.display());
    }
    for (path, reason) in &report.damaged {
        eprintln!("dealerflow: {} breaks off: {reason}; what came before was read", path.display());
    }
    print_summary(&report, options.output.is_some());
    Ok(())
}

fn print_summary(report: &ReplayReport, with_rows: bool) {
    let statistics = &report.statistics;
    let seconds = report.total_time.as_secs_f64();
    println!(
        "{} records ({}) in {seconds:.2} s: {} a second, {} epochs{}",
        HumanCount(report.records),
        HumanBytes(report.bytes),
        HumanCount((report.records as f64 / seconds.max(1e-9)) as u64),
        HumanCount(report.epochs as u64),
        report.epoch_last.map_or_else(String::new, |epoch| format!(" up to {}", format_rfc3339(epoch))),
    );
    println!(
        "{} accepted, {} duplicates, {} dead letters, {} of unknown types, {} unknown fields, {} ambiguous writes, {} expired",
        HumanCount(statistics.accepted),
        HumanCount(statistics.duplicates),
        HumanCount(statistics.rejected_total()),
        HumanCount(statistics.unknown),
        HumanCount(statistics.unknown_fields),
        HumanCount(statistics.ambiguous_order),
        HumanCount(statistics.expired),
    );
    println!("\n{:<16} {:>12} {:>12}", "table", "rows", "versions");
    for id in TableId::ALL {
        // What nobody reads is not computed: without outputs some tables do not exist.
        let is_read_alone = matches!(
            id,
            TableId::Customers
                | TableId::DeadLetters
                | TableId::Epochs
                | TableId::Segments
                | TableId::SegmentMembers
                | TableId::Anomalies
                | TableId::TeamStatus
                | TableId::LeadAssignments
        );
        let counted = with_rows || !is_read_alone;
        let rows =
            if counted { HumanCount(statistics.live_rows[id as usize].max(0) as u64).to_string() } else { "-".into() };
        let versions = if with_rows { HumanCount(statistics.versions[id as usize]).to_string() } else { "-".into() };
        println!("{:<16} {rows:>12} {versions:>12}", id.table().name);
    }
    if statistics.rejected_total() > 0 {
        println!("\n{:<20} {:>12}", "dead letters", "records");
        for code in ReasonCode::ALL {
            let count = statistics.rejected[code as usize];
            if count > 0 {
                println!("{:<20} {:>12}", code.name(), HumanCount(count).to_string());
            }
        }
    }
}
