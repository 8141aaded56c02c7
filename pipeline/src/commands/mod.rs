//! The command line: one file a command.

pub mod audit;
pub mod check;
pub mod dead_letters;
pub mod demo;
pub mod diff;
pub mod graph;
pub mod lab;
pub mod replay;
pub mod run;
pub mod simulate;
pub mod sql;
pub mod topics;

use std::path::Path;

use crate::config::{Config, ConfigError};

/// How a command failed: the exit code and the sentence for people.
#[derive(Debug)]
pub struct CommandError {
    /// 1 failed, 2 bad usage or configuration.
    pub exit_code: u8,
    /// What, where, how to mend.
    pub sentence: String,
}

impl CommandError {
    /// A failure of the work itself.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        CommandError { exit_code: 1, sentence: error.to_string() }
    }

    /// Bad usage or configuration.
    pub fn usage(error: impl std::fmt::Display) -> Self {
        CommandError { exit_code: 2, sentence: error.to_string() }
    }
}

/// The configuration of a file over the defaults, with the environment over both.
pub(crate) fn load_config(path: Option<&Path>) -> Result<Config, CommandError> {
    load_config_with(path, &[])
}

/// The same, with a command's own variables over the environment: what follows from a setting follows from theirs.
pub(crate) fn load_config_with(path: Option<&Path>, own: &[(&str, &str)]) -> Result<Config, CommandError> {
    let mut environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("DEALERFLOW_"))
        .collect();
    environment.sort();
    // Of two variables for one key the later one holds.
    environment.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Config::load(path, &environment).map_err(|error: ConfigError| CommandError::usage(error))
}
