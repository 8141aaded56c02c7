//! What can be wrong with a configuration: each problem is one sentence that says where it is, what it is, and how to mend it.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error as ThisError;

/// Why there is no configuration to run with.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read ({source}): check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}, column {column}: this is not TOML ({message}): mend the line", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What the parser expected, without the file's content.
        message: String,
    },
    /// Keys are unknown, or values are not permitted. Never empty.
    #[error("{}", sentences(.0))]
    Problems(Vec<Problem>),
}

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Who set the key.
    pub origin: Origin,
    /// The key with its tables, such as `pipeline.tick`; a list's elements count from 0.
    pub key: String,
    /// What is wrong, reading on from the key.
    pub fault: String,
    /// How to mend it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, fault, remedy } = self;
        write!(formatter, "{origin}: `{key}` {fault}: {remedy}")
    }
}

/// Where a key was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the embedded defaults hold.
    Default,
    /// In this file.
    File(PathBuf),
    /// By this environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("built-in default"),
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Variable(name) => write!(formatter, "variable {name}"),
        }
    }
}

/// One problem a line.
fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
