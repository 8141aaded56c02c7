//! A process of `dealerflow` that is watched, killed, or ended well.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a process is looked at.
const LOOK: Duration = Duration::from_micros(500);

/// A running process whose outputs are files; it never outlives its test.
pub(crate) struct Running {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// How a process ended by itself or by SIGTERM.
#[derive(Debug)]
pub(crate) struct Ended {
    name: String,
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Running {
    /// Starts a command; what it prints goes to files in `folder`, anew.
    pub(crate) fn start(mut command: Command, folder: &Path, name: &str) -> Self {
        let (stdout, stderr) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        command.stdin(Stdio::null());
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Running { name: name.to_owned(), child, stdout, stderr }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The processes that it has started, by their numbers.
    pub(crate) fn children(&self) -> Vec<u32> {
        let parent = self.id();
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let mut children: Vec<u32> = processes
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|process| stat_of(*process).is_some_and(|(_, of)| of == parent))
            .collect();
        children.sort_unstable();
        children
    }

    /// What it has complained of so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until something holds; `false` if the process ended or `patience` did before.
    pub(crate) fn wait_until(&mut self, patience: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let started = Instant::now();
        while !holds(self) {
            if self.has_ended() || started.elapsed() > patience {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }

    /// Kills it as a power cut would. Panics if it had ended by itself: it was not asked to.
    pub(crate) fn kill(mut self) -> Ended {
        // The status is the kernel's word on which came first.
        self.child.kill().unwrap();
        let ended = self.wait(Duration::from_secs(20));
        assert_eq!(ended.status.signal(), Some(9), "it was to be killed and ended by itself: {ended:?}");
        ended
    }

    /// Sends SIGTERM and waits for the end; how long it took.
    pub(crate) fn terminate(mut self, patience: Duration) -> (Ended, Duration) {
        let started = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(sent.success(), "SIGTERM could not be sent: {}", self.stderr());
        let ended = self.wait(patience);
        (ended, started.elapsed())
    }

    /// Waits for the end. Panics if it takes longer than `patience`, or if a thread of it panicked.
    pub(crate) fn wait(&mut self, patience: Duration) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() <= patience, "{} still runs after {patience:?}:\n{}", self.name, self.stderr());
            thread::sleep(LOOK);
        };
        let (stdout, stderr) = (fs::read_to_string(&self.stdout).unwrap(), self.stderr());
        assert!(!stderr.contains("panicked"), "{} panicked:\n{stderr}", self.name);
        Ended { name: self.name.clone(), status, stdout, stderr }
    }
}

/// State and parent of a process; `None` if there is none of that number.
fn stat_of(process: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in parentheses and may hold anything: what follows it is counted from its end.
    let mut rest = stat.rsplit_once(") ")?.1.split(' ');
    Some((rest.next()?.to_owned(), rest.next()?.parse().ok()?))
}

/// Waits until a process that is not a child of ours has ended; `false` if it takes longer.
pub(crate) fn end_of(process: u32, patience: Duration) -> bool {
    let started = Instant::now();
    while stat_of(process).is_some_and(|(state, _)| state != "Z") {
        if started.elapsed() > patience {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Ended {
    /// Panics unless it ended well.
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.status.success(), "{} ended with {}:\n{}{}", self.name, self.status, self.stdout, self.stderr);
        self
    }

    /// The last of several sentences with which it and those it had started failed.
    pub(crate) fn failed_last(&self) -> String {
        assert_eq!(self.status.code(), Some(1), "{self:?}");
        let told = self.stderr.lines().rfind(|line| !line.starts_with('{'));
        told.unwrap_or_else(|| panic!("it said nothing: {}", self.stderr)).to_owned()
    }

    /// The sentence with which it failed: the last line, the only one that is not a line of the log. Panics if it did not fail.
    pub(crate) fn failed(&self) -> String {
        assert_eq!(self.status.code(), Some(1), "{self:?}");
        let told: Vec<&str> = self.stderr.lines().filter(|line| !line.starts_with('{')).collect();
        let [sentence] = told.as_slice() else { panic!("one sentence was expected: {}", self.stderr) };
        let sentence =
            sentence.strip_prefix("dealerflow: ").unwrap_or_else(|| panic!("whose error is this? {sentence}"));
        for leaked in ["Os {", "Error(", "Err(", "Some(", "kind:", "source:"] {
            assert!(!sentence.contains(leaked), "the error is for programmers: {sentence}");
        }
        sentence.to_owned()
    }
}
