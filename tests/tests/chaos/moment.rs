//! When a process is killed: a place in its life, and a while after it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tests::random::Random;

use crate::place::Place;
use crate::running::Running;

/// How long a place in its life may be away. Beyond, the process is killed where it is.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for writing, which ends once everything is produced.
const WRITING_PATIENCE: Duration = Duration::from_millis(1_200);

/// What a process has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Nothing of the log is open.
    Starting,
    /// The log is being opened, and what was recorded is read.
    Opening,
    /// Recorded epochs are fed again, then new ones are committed and history is written.
    Running,
}

/// A moment to kill at: so long after something happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    Started(Duration),
    LogLocked(Duration),
    TakenOver(Duration),
    /// The journal grew so many times: something is being appended or committed just now.
    Written(usize),
    /// So many manifests came: the next files of history are being written.
    Shown(usize),
}

impl Moment {
    /// A moment of any kind, each as likely.
    pub(crate) fn any(random: &mut Random) -> Self {
        let mut after = |most_ms: usize| Duration::from_micros(random.below(most_ms * 1_000) as u64);
        let choices = [
            Moment::Started(after(100)),
            Moment::LogLocked(after(40)),
            Moment::TakenOver(after(80)),
            Moment::TakenOver(after(900)),
        ];
        match random.below(6) {
            4 => Moment::Written(1 + random.below(40)),
            5 => Moment::Shown(1 + random.below(5)),
            choice => choices[choice],
        }
    }

    /// Waits for the moment.
    pub(crate) fn wait(self, place: &Place, process: &mut Running) {
        let data_dir = place.data_dir();
        let manifests = data_dir.join("parquet/_manifests");
        match self {
            Moment::Started(after) => std::thread::sleep(after),
            Moment::LogLocked(after) => {
                process.wait_until(PATIENCE, |process| stage(process, &data_dir) >= Stage::Opening);
                std::thread::sleep(after);
            }
            Moment::TakenOver(after) => {
                process.wait_until(PATIENCE, |process| stage(process, &data_dir) == Stage::Running);
                std::thread::sleep(after);
            }
            Moment::Written(times) => {
                process.wait_until(PATIENCE, |process| stage(process, &data_dir) == Stage::Running);
                let (mut size, mut grown) = (journal_bytes(&data_dir), 0);
                process.wait_until(WRITING_PATIENCE, |_| {
                    let now = journal_bytes(&data_dir);
                    grown += usize::from(std::mem::replace(&mut size, now) < now);
                    grown >= times
                });
            }
            Moment::Shown(times) => {
                let before = entries(&manifests);
                process.wait_until(WRITING_PATIENCE, |_| entries(&manifests) >= before + times);
            }
        }
    }
}

/// What a process on an embedded log has come to.
pub(crate) fn stage(process: &Running, data_dir: &Path) -> Stage {
    if process.stderr().contains("taken over") {
        return Stage::Running;
    }
    let holder = fs::read_to_string(data_dir.join("log/lock")).unwrap_or_default();
    if holder.contains(&format!("(process {})", process.id())) { Stage::Opening } else { Stage::Starting }
}

fn journal_bytes(data_dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(data_dir.join("log/store")) else { return 0 };
    let journals =
        entries.filter_map(Result::ok).filter(|entry| entry.path().extension().is_some_and(|end| end == "jnl"));
    journals.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}
