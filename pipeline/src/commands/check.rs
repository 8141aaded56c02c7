//! `dealerflow check`: the effective configuration, and whether what it names can be used.

use std::path::PathBuf;

use super::{CommandError, load_config};
use crate::config::check::{Outcome, check_storage};

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
    if problems == 0 { Ok(()) } else { Err(CommandError::usage(format!("{problems} problems were found; see above"))) }
}
