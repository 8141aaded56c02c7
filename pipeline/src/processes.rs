//! The processes of a cluster on one machine: `run -n 2` without a hostfile starts the others itself.
//!
//! ```text
//!   run -n 2 ──▶ ports that are free ─▶ hostfile ─▶ run -n 2 -p 1 -h HOSTFILE
//! ```
//! They end with this one: when it ends well they do, and when it is killed their connection with it breaks.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

/// How long the others may take to end after this one has.
const END_MAX: Duration = Duration::from_secs(2);
/// How often is looked whether they have.
const LOOK: Duration = Duration::from_millis(5);

/// Why other processes could not be started or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ProcessesError {
    /// The system refuses.
    #[error("the other processes cannot be started: {0}")]
    System(#[from] std::io::Error),
    /// One did not end well.
    #[error("process {process} ended with {status} after this one had ended well; its own words stand above")]
    EndedBadly {
        /// Its number.
        process: usize,
        /// Its status.
        status: String,
    },
    /// The hostfile cannot be used.
    #[error("the hostfile {path} {reason}", path = path.display())]
    Hostfile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and how to mend it.
        reason: String,
    },
}

/// The addresses of a hostfile: one `host:port` a line, as many as there are processes.
///
/// # Errors
/// If it cannot be read, or has other lines.
pub fn read_hostfile(path: &Path, processes: usize) -> Result<Vec<String>, ProcessesError> {
    let wrong = |reason: String| ProcessesError::Hostfile { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let lines: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if lines.len() != processes {
        return Err(wrong(format!("names {} processes, and -n says {processes}: make them agree", lines.len())));
    }
    let has_port =
        |line: &str| line.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    match lines.iter().find(|line| !has_port(line)) {
        Some(line) => Err(wrong(format!("names {line:?}: write HOST:PORT on each line"))),
        None => Ok(lines),
    }
}

/// The other processes of a cluster on this machine.
#[derive(Debug)]
pub struct Processes {
    addresses: Vec<String>,
    children: Vec<Child>,
    hostfile: NamedTempFile,
}

impl Processes {
    /// Starts processes 1 to `processes` − 1 with the same configuration, on free ports of the loopback address.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn start(processes: usize, config: Option<&Path>, workers: usize) -> Result<Self, ProcessesError> {
        // Held together, so that they differ; given up just before the processes take them.
        let held: Vec<TcpListener> =
            (0..processes).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
        let addresses: Vec<String> =
            held.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect::<std::io::Result<_>>()?;
        drop(held);
        let mut hostfile = NamedTempFile::new()?;
        hostfile.write_all(addresses.join("\n").as_bytes())?;
        let mut started = Processes { addresses, children: Vec::with_capacity(processes.saturating_sub(1)), hostfile };
        for process in 1..processes {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("run").args(["-w", &workers.to_string(), "-n", &processes.to_string()]);
            command.args(["-p", &process.to_string(), "-h"]).arg(started.hostfile.path());
            if let Some(config) = config {
                command.arg("--config").arg(config);
            }
            started.children.push(command.stdin(Stdio::null()).spawn()?);
        }
        Ok(started)
    }

    /// `host:port` of every process, by its number.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// A sentence if one of them has ended.
    pub fn ended(&mut self) -> Option<String> {
        let ended = self.children.iter_mut().enumerate().find_map(|(number, child)| {
            let status = child.try_wait().ok().flatten()?;
            Some((number + 1, status))
        });
        ended.map(|(process, status)| format!("process {process} ended with {status} before all had come"))
    }

    /// Waits until all have ended well.
    ///
    /// # Errors
    /// If one does not.
    pub fn wait(mut self) -> Result<(), ProcessesError> {
        let started = Instant::now();
        for (number, child) in self.children.iter_mut().enumerate() {
            let status = loop {
                match child.try_wait()? {
                    Some(status) => break status.to_string(),
                    None if started.elapsed() > END_MAX => break "no end".to_owned(),
                    None => std::thread::sleep(LOOK),
                }
            };
            if status != std::process::ExitStatus::default().to_string() {
                return Err(ProcessesError::EndedBadly { process: number + 1, status });
            }
        }
        Ok(())
    }
}

impl Drop for Processes {
    /// None outlives this process.
    fn drop(&mut self) {
        for child in &mut self.children {
            if child.try_wait().ok().flatten().is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, processes: usize) -> Result<Vec<String>, String> {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_hostfile(file.path(), processes).map_err(|error| error.to_string())
    }

    #[test]
    fn a_hostfile_names_each_process_once() {
        assert_eq!(read("a:1\n\n b:2 \n", 2).unwrap(), ["a:1", "b:2"]);
        assert!(read("a:1\n", 2).unwrap_err().contains("names 1 processes, and -n says 2"));
        assert!(read("a:1\nb\n", 2).unwrap_err().contains("write HOST:PORT"));
        assert!(read_hostfile(Path::new("/nowhere"), 2).unwrap_err().to_string().contains("cannot be read"));
    }
}
