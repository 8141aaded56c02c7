//! Why a benchmark could not be run.

use std::io;
use std::path::PathBuf;

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A binary that is to be timed is not there.
    #[error("{path} is missing; build it with `cargo build --release -p {package}`, in the same profile as this runner", path = path.display())]
    MissingBinary {
        /// Where it should be.
        path: PathBuf,
        /// The package that builds it.
        package: &'static str,
    },
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A child ran and failed.
    #[error("`{command}` ended with {status}; it said: {said}")]
    Child {
        /// The command line.
        command: String,
        /// Exit code or signal.
        status: String,
        /// The end of its standard error.
        said: String,
    },
    /// A child's output is not what was agreed.
    #[error("`{command}` printed no {wanted}; are runner and binaries of one build?")]
    Output {
        /// The command line.
        command: String,
        /// What was looked for.
        wanted: String,
    },
    /// The settings of a model are out of their bounds.
    #[error("the model of leads cannot be made: {0}")]
    Model(#[from] operators::models::whaco::settings::SettingsError),
}

impl Failure {
    /// Wraps what the system said about `what`.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let what = what.into();
        move |source| Failure::System { what, source }
    }
}
