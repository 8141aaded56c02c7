//! What is replayed: a folder given by name, or one made by the simulator in a scratch folder.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use operators::domain::event_time::event_time_of;
use operators::domain::time::{DAY_MS, format_rfc3339};
use tempfile::TempDir;

use crate::child::{Binaries, run};
use crate::failure::Failure;

/// Dealers of the simulated world: the same at every size, so that more events mean more days.
const DEALERS: u64 = 500;
/// Days of a world that ends about now.
const RECENT_DAYS: i64 = 60;
/// The last events of a world fall a few days behind its end.
const MARGIN_DAYS: i64 = 7;

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
        Self::made(binaries, events, seed, &[])
    }

    /// The same, with events that end about now: a running pipeline forgets what is too old, and refuses what is too new.
    ///
    /// # Errors
    /// As [`InputFolder::simulated`].
    pub fn recent(binaries: &Binaries, events: u64, seed: u64) -> Result<Self, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        let first = format_rfc3339(now - (RECENT_DAYS + MARGIN_DAYS) * DAY_MS);
        let days = RECENT_DAYS.to_string();
        // The date of an RFC 3339 time is its first ten characters.
        Self::made(binaries, events, seed, &["--days", &days, "--start", first.get(..10).unwrap_or_default()])
    }

    fn made(binaries: &Binaries, events: u64, seed: u64, more: &[&str]) -> Result<Self, Failure> {
        let scratch = scratch_folder()?;
        let path = scratch.path().join("events");
        let mut arguments: Vec<OsString> = vec!["simulate".into(), "--output".into(), path.clone().into()];
        for (name, value) in [("--dealers", DEALERS), ("--events", events), ("--seed", seed)] {
            arguments.extend([name.into(), value.to_string().into()]);
        }
        arguments.extend(more.iter().map(Into::into));
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
