//! Runs the binary `dealerflow` as its users do, and holds it to what every run owes them.
//!
//! ```text
//!  arguments ──► dealerflow ──► exit code, stdout, stderr ──► never a panic, never endless, an error is one sentence
//! ```
//!
//! The binary is the one that the environment's `DEALERFLOW` names, else the one of the profile that the tests were built
//! in. Variables that begin with `DEALERFLOW_` are settings, so none of the caller's reach it.

#![allow(clippy::missing_panics_doc, reason = "all of this is for tests, and a test that cannot go on should panic")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "as above")]

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// How long a run may take before it counts as hanging. Far beyond what any of them needs.
const RUN_TIME_MAX: Duration = Duration::from_mins(5);

/// The file of the binary under test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("DEALERFLOW") {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "DEALERFLOW names {}, which is no file: build it, or unset the variable",
            path.display()
        );
        return path;
    }
    let own = std::env::current_exe().expect("a test has a file of its own");
    let profile = own.parent().and_then(Path::parent).expect("tests lie in TARGET/PROFILE/deps");
    let path = profile.join("dealerflow");
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace --bins` first (`make test` does), or let DEALERFLOW name the binary",
        path.display()
    );
    path
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command, for messages.
    pub command: String,
    /// How the process ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Outcome {
    /// Panics unless the run succeeded.
    #[must_use]
    pub fn succeeded(self) -> Self {
        assert!(self.status.success(), "{} failed with {}:\n{}", self.command, self.status, self.stderr);
        self
    }

    /// The sentence with which the run failed, without the program's name.
    ///
    /// Panics unless it ended with `exit_code`, printed nothing else, and the sentence is one: a line, and not Rust's own
    /// way to print an error.
    #[must_use]
    pub fn failed(&self, exit_code: i32) -> String {
        assert_eq!(self.status.code(), Some(exit_code), "{}:\n{}{}", self.command, self.stdout, self.stderr);
        let lines: Vec<&str> = self.stderr.lines().collect();
        let [line] = lines.as_slice() else {
            panic!("{}: the error has {} lines instead of one:\n{}", self.command, lines.len(), self.stderr);
        };
        let sentence = line.strip_prefix("dealerflow: ").unwrap_or_else(|| panic!("whose error is this? {line}"));
        for leaked in ["Os {", "Error(", "Err(", "Some(", "{ ", "kind:", "source:"] {
            assert!(!sentence.contains(leaked), "{}: the error is for programmers: {sentence}", self.command);
        }
        sentence.to_owned()
    }

    /// Standard output as the rows of `dealerflow sql --format json`.
    pub fn rows(&self) -> Vec<Value> {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: {error} in the answer:\n{}", self.command, self.stdout))
    }
}

/// Runs the binary to its end.
pub fn dealerflow<I, S>(arguments: I) -> Outcome
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = command();
    command.args(arguments);
    run(command)
}

/// The binary as a command without arguments, free of the caller's settings.
pub fn command() -> Command {
    without_settings(Command::new(binary()))
}

/// The binary as a command of a shell, which may set limits before it: `script` calls it by `exec "$@"`.
pub fn command_in_shell(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script, "dealerflow"]).arg(binary());
    without_settings(command)
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DEALERFLOW_") {
            command.env_remove(name);
        }
    }
    // Tests run side by side: each takes a free port.
    command.env("DEALERFLOW_HTTP__LISTEN", "127.0.0.1:0");
    command
}

/// Runs a command to its end. Panics if it takes longer than any run should, or tells of a panic.
pub fn run(mut command: Command) -> Outcome {
    let name = format!("{command:?}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    finish(&name, child.unwrap_or_else(|error| panic!("{name} does not start: {error}")))
}

/// Waits for a child whose outputs are pipes.
pub fn finish(name: &str, mut child: Child) -> Outcome {
    let (sender, receiver) = mpsc::channel();
    let stderr = child.stderr.take().expect("standard error is a pipe");
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let errors = read_all(stderr, sender.clone());
    let output = read_all(stdout, sender);
    for _ in 0..2 {
        if receiver.recv_timeout(RUN_TIME_MAX).is_err() {
            let _ = child.kill();
            panic!("{name} was still running after {} s", RUN_TIME_MAX.as_secs());
        }
    }
    let status = child.wait().expect("a child can be waited for");
    let outcome = Outcome {
        command: name.to_owned(),
        status,
        stdout: output.join().expect("standard output is UTF-8"),
        stderr: errors.join().expect("standard error is UTF-8"),
    };
    assert!(!outcome.stderr.contains("panicked"), "{name} panicked:\n{}", outcome.stderr);
    outcome
}

/// Reads a pipe to its end on a thread of its own, and tells when it is there.
fn read_all(mut pipe: impl Read + Send + 'static, ended: mpsc::Sender<()>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        let read = pipe.read_to_string(&mut text);
        let _ = ended.send(());
        read.expect("what is printed is UTF-8");
        text
    })
}

/// Replays `input` to `output`, with further arguments, and expects success.
pub fn replay(input: &Path, output: &Path, further: &[&str]) -> Outcome {
    try_replay(input, output, further).succeeded()
}

/// Replays `input` to `output`, with further arguments.
pub fn try_replay(input: &Path, output: &Path, further: &[&str]) -> Outcome {
    let mut command = command();
    // Two months of five minutes are many messages that say the same: tests that look at them ask for them.
    command.env("DEALERFLOW_MODELS__OSCILLATORS__REPORT_EVERY", "12h");
    command.arg("replay").arg("--input").arg(input).arg("--output").arg(output).args(further);
    run(command)
}

/// Asks a query of an output, in a format.
pub fn ask(output: &Path, format: &str, query: &str) -> Outcome {
    let mut command = command();
    command.arg("sql").arg("--output").arg(output).args(["--format", format, query]);
    run(command)
}

/// The rows that answer a query of an output.
pub fn rows(output: &Path, query: &str) -> Vec<Value> {
    ask(output, "json", query).succeeded().rows()
}

/// Compares two outputs with `dealerflow diff`.
pub fn diff(left: &Path, right: &Path, further: &[&str]) -> Outcome {
    let mut command = command();
    command.arg("diff").arg(left).arg(right).args(further);
    run(command)
}

/// Simulates dealers into `output`.
pub fn simulate(output: &Path, further: &[&str]) -> Outcome {
    let mut command = command();
    command.arg("simulate").arg("--output").arg(output).args(further);
    run(command).succeeded()
}
