//! What is replayed: a folder given by name, or one made by the simulator in a scratch folder.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use operators::domain::event_time::event_time_of;
use operators::domain::time::DAY_MS;
use tempfile::TempDir;

use crate::child::{Binaries, run};
use crate::failure::Failure;

/// Dealers of the simulated world: the same at every size, so that more events mean more days.
const DEALERS: u64 = 500;

/// A folder of events; a scratch folder goes with it.
#[derive(Debug)]
pub struct InputFolder {
    path: PathBuf,
    _scratch: Option<TempDir>,
}

impl InputFolder {
    /// A folder that is there already.
    pub fn given(path: &Path) -> Self {
        InputFolder { path: path.to_owned(), _scratch: None }
    }

    /// A folder made by `dealerflow simulate`.
    ///
    /// # Errors
    /// If the simulator fails or there is no room.
    pub fn simulated(binaries: &Binaries, events: u64, seed: u64) -> Result<Self, Failure> {
        let scratch = scratch_folder()?;
        let path = scratch.path().join("events");
        let mut arguments: Vec<OsString> = vec!["simulate".into(), "--output".into(), path.clone().into()];
        for (name, value) in [("--dealers", DEALERS), ("--events", events), ("--seed", seed)] {
            arguments.extend([name.into(), value.to_string().into()]);
        }
        run(&binaries.dealerflow, &arguments)?;
        Ok(InputFolder { path, _scratch: Some(scratch) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Days from the first lead to the last, to see that bigger inputs are longer and not denser. `None` if it cannot be told.
    pub fn days(&self) -> Option<f64> {
        // Line by line: a child's peak memory begins at its parent's.
        let file = File::open(self.path.join("leads.jsonl")).ok()?;
        let mut times = BufReader::new(file).split(b'\n').map_while(Result::ok).filter_map(|line| event_time_of(&line));
        let first = times.next()?;
        let (least, greatest) =
            times.fold((first, first), |(least, greatest), time| (least.min(time), greatest.max(time)));
        Some((greatest - least) as f64 / DAY_MS as f64)
    }
}

/// A folder that is removed when it is dropped.
///
/// # Errors
/// If it cannot be made.
pub fn scratch_folder() -> Result<TempDir, Failure> {
    tempfile::Builder::new()
        .prefix("dealerflow-bench-")
        .tempdir()
        .map_err(Failure::system("a scratch folder cannot be made; point TMPDIR at a disk with room"))
}
