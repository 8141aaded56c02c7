//! `dealerflow check`: the effective configuration, and whether what it names can be used.

use std::path::PathBuf;

use super::{CommandError, load_config};
use crate::config::SourceKind;
use crate::config::check::{Outcome, check_storage};
use crate::logs::{check_topics, embedded_folder, open_log};
use crate::run::stores::check_buckets;

/// Checks a configuration.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration file; the defaults if not given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If the configuration is wrong, or something that it names cannot be used.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = load_config(arguments.config.as_deref())?;
    println!("{}", config.effective_toml());
    let mut problems = 0;
    for finding in check_storage(&config) {
        match finding.outcome {
            Outcome::Ok => println!("ok       {}", finding.what),
            Outcome::Problem(sentence) => {
                problems += 1;
                println!("PROBLEM  {}: {sentence}", finding.what);
            }
        }
    }
    for (what, outcome) in check_buckets(&config) {
        match outcome {
            Ok(()) => println!("ok       {what}"),
            Err(error) => {
                problems += 1;
                println!("PROBLEM  {what}: {error}");
            }
        }
    }
    let is_unmade = config.source.kind == SourceKind::Embedded && !embedded_folder(&config).exists();
    if is_unmade {
        println!("ok       the embedded log is made at the first start");
    } else {
        match open_log(&config).and_then(|log| log.admin()).and_then(|mut admin| check_topics(admin.as_mut())) {
            Ok(found) if found.is_empty() => println!("ok       the log answers, and its topics are as they must be"),
            Ok(found) => {
                for sentence in found {
                    problems += 1;
                    println!("PROBLEM  {sentence}");
                }
            }
            Err(error) => {
                problems += 1;
                println!("PROBLEM  {error}");
            }
        }
    }
    if problems == 0 { Ok(()) } else { Err(CommandError::usage(format!("{problems} problems were found; see above"))) }
}
