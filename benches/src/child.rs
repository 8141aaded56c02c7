//! One process, run to its end and billed.
//!
//! CPU times and peak memory are the kernel's own (`wait4`): exact for this child alone, where `/proc` forgets the peak as soon as
//! the child ends and `getrusage` adds all children up. A child inherits its parent's peak at birth, so the runner stays small.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use crate::failure::Failure;

/// What one run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// CPU time in user mode, all threads.
    pub user: Duration,
    /// CPU time in the kernel, all threads.
    pub system: Duration,
    /// From start to exit.
    pub wall: Duration,
    /// Greatest resident memory in bytes.
    pub peak_bytes: u64,
}

/// The binaries that are timed.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The pipeline.
    pub dealerflow: PathBuf,
    /// The hand-written loop over files.
    pub hand_loop: PathBuf,
    /// The hand-written loops over a broker.
    pub kafka_loop: PathBuf,
}

impl Binaries {
    /// Finds them beside the running executable.
    ///
    /// # Errors
    /// If one is not there.
    pub fn beside_this_one() -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(Failure::system("the runner's own path cannot be found"))?;
        let folder = own.parent().unwrap_or_else(|| Path::new("."));
        let find = |name: &str, package| {
            let path = folder.join(name).with_extension(std::env::consts::EXE_EXTENSION);
            if path.is_file() { Ok(path) } else { Err(Failure::MissingBinary { path, package }) }
        };
        Ok(Binaries {
            dealerflow: find("dealerflow", "pipeline")?,
            hand_loop: find("loop", "benches")?,
            kafka_loop: find("kafka-loop", "benches")?,
        })
    }
}

/// Months of event time pass in a minute here: told of every five minutes, teams would have a message for every few events.
pub const TEAMS_REPORTED: (&str, &str) = ("DEALERFLOW_MODELS__OSCILLATORS__REPORT_EVERY", "12h");

/// Lines of a child's complaints that are quoted.
const LINES_QUOTED: usize = 5;

/// Runs a program to its end. Gives its cost and what it printed.
///
/// # Errors
/// If it cannot be started, or does not end with success.
pub fn run(program: &Path, arguments: &[OsString]) -> Result<(Cost, String), Failure> {
    Started::start(program, arguments, &[])?.wait()
}

/// A program that runs.
#[derive(Debug)]
pub struct Started {
    command_line: String,
    child: Child,
    began: Instant,
    output: File,
    errors: File,
}

impl Started {
    /// Starts a program, with these variables beside its own.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(program: &Path, arguments: &[OsString], variables: &[(&str, String)]) -> Result<Self, Failure> {
        let command_line = std::iter::once(program.as_os_str())
            .chain(arguments.iter().map(OsString::as_os_str))
            .map(|part| part.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        // Files, not pipes: nobody has to empty them while the child runs, so the runner sleeps.
        let scratch = || tempfile::tempfile().map_err(Failure::system("a scratch file cannot be made"));
        let (output, errors) = (scratch()?, scratch()?);
        let hand =
            |file: &File| file.try_clone().map(Stdio::from).map_err(Failure::system("a scratch file cannot be shared"));
        let began = Instant::now();
        let child = Command::new(program)
            .args(arguments)
            .env(TEAMS_REPORTED.0, TEAMS_REPORTED.1)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(hand(&output)?)
            .stderr(hand(&errors)?)
            .spawn()
            .map_err(Failure::system(format!("`{command_line}` cannot be started")))?;
        Ok(Started { command_line, child, began, output, errors })
    }

    /// Since its start.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        // Looked at without taking its status, which is for `wait`.
        std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
    }

    /// The last lines of what it complained of so far.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn complaints(&self) -> Result<String, Failure> {
        let errors = self.errors.try_clone();
        last_lines_of(&mut errors.map_err(Failure::system("a scratch file cannot be shared"))?)
    }

    /// Asks it to end well and waits for that.
    ///
    /// # Errors
    /// As [`Started::wait`].
    pub fn terminate(self) -> Result<(Cost, String), Failure> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        sent.map_err(Failure::system(format!("process {pid} cannot be asked to end")))?;
        self.wait()
    }

    /// Waits for its end. Gives its cost and what it printed.
    ///
    /// # Errors
    /// If it does not end with success.
    pub fn wait(mut self) -> Result<(Cost, String), Failure> {
        let Started { command_line, child, began, output, errors } = &mut self;
        let ended = child.wait4().map_err(Failure::system(format!("`{command_line}` cannot be waited for")))?;
        let wall = began.elapsed();
        if !ended.status.success() {
            let said = last_lines_of(errors)?;
            return Err(Failure::Child {
                command: std::mem::take(command_line),
                status: ended.status.to_string(),
                said,
            });
        }
        let usage = ended.rusage;
        Ok((Cost { user: usage.utime, system: usage.stime, wall, peak_bytes: usage.maxrss }, text_of(output)?))
    }
}

fn text_of(file: &mut File) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(Failure::system("what a child printed cannot be read"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn last_lines_of(file: &mut File) -> Result<String, Failure> {
    let text = text_of(file)?;
    let lines: Vec<&str> = text.trim_end().lines().collect();
    Ok(lines[lines.len().saturating_sub(LINES_QUOTED)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bills_a_child_and_gives_what_it_printed() {
        let (cost, printed) = run(Path::new("/bin/sh"), &["-c".into(), "echo hello".into()]).unwrap();
        assert_eq!(printed, "hello\n");
        assert!(cost.peak_bytes > 0 && cost.wall >= cost.user.min(cost.wall));
    }

    #[test]
    fn a_failing_child_is_quoted() {
        let failure = run(Path::new("/bin/sh"), &["-c".into(), "echo no such luck >&2; exit 3".into()]).unwrap_err();
        let sentence = failure.to_string();
        assert!(sentence.contains("no such luck") && sentence.contains('3'), "{sentence}");
    }
}
