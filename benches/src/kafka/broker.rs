//! A broker for as long as a benchmark lives.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::failure::Failure;
use crate::input::scratch_folder;

/// A broker and its folder; both end with it.
#[derive(Debug)]
pub struct Broker {
    script: Child,
    address: String,
    _folder: TempDir,
}

impl Broker {
    /// Starts a broker on free ports, with empty storage.
    ///
    /// # Errors
    /// If `deploy/kafka/start` cannot start one: it needs Java 17, and Maven once.
    pub fn start() -> Result<Self, Failure> {
        let folder = scratch_folder()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/start");
        let mut started = Command::new(&script)
            .arg(folder.path())
            .arg("--while-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::system(format!("{} cannot be started", script.display())))?;
        let mut line = String::new();
        let output = started.stdout.take().map(BufReader::new);
        output
            .map_or(Ok(0), |mut output| output.read_line(&mut line))
            .map_err(Failure::system("the broker's address"))?;
        let address = line.trim().to_owned();
        let broker = Broker { script: started, address, _folder: folder };
        if broker.address.is_empty() {
            return Err(Failure::Output {
                command: script.display().to_string(),
                wanted: "address of a broker; it said why above".to_owned(),
            });
        }
        Ok(broker)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Broker {
    /// The end of the script's input is the word to stop.
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
