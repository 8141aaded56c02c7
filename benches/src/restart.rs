//! Restart with a million live entities: time until the pipeline is ready, and its memory, beside those of the run before.
//!
//! ```text
//!   demo fills a log as fast as it can, ends ─▶ demo goes on at a steady rate ─ SIGKILL ─▶ run: time to ready, peak memory
//!                                                                                         run: SIGTERM ─▶ time to the end
//! ```
//! All on the embedded log in a scratch folder, whole processes; a start is timed from `exec` to the line that says it is ready.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::child::{Binaries, Started, run};
use crate::failure::Failure;
use crate::figures::Target;
use crate::input::scratch_folder;
use crate::table::Table;

/// Dealers of the simulated world.
const DEALERS: u64 = 500;
/// Events a second while the run that is killed goes on.
const RATE: u64 = 5_000;
/// How long that run goes on after it was ready.
const RUNNING: Duration = Duration::from_secs(30);
/// Months pass here in minutes, and teams would tell of each of their changes: tens of gigabytes of log, which no restart reads.
const TEAMS_SILENT: [(&str, &str); 1] = [("DEALERFLOW_MODELS__OSCILLATORS__ENABLED", "false")];
/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_mins(20);
/// What a line of the log says when a run is ready.
const READY: &str = "ready: ";
const SECONDS_MAX: f64 = 10.0;
const MEGABYTE: f64 = 1_000_000.0;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Restart {
    entities: u64,
    /// Of the runs before: the one that filled the log, or the one that was killed.
    running_peak_bytes: u64,
    ready: Duration,
    ready_cpu: Duration,
    restarted_peak_bytes: u64,
    ended: Duration,
}

/// A process whose standard error is a file.
struct Running {
    child: Child,
    errors: PathBuf,
    started: Instant,
}

impl Running {
    fn start(binaries: &Binaries, data: &Path, arguments: &[&str]) -> Result<Self, Failure> {
        let errors = data.with_extension("err");
        let file = File::create(&errors).map_err(Failure::system("a scratch file cannot be made"))?;
        let started = Instant::now();
        let child = Command::new(&binaries.dealerflow)
            .args(arguments)
            .envs(TEAMS_SILENT)
            .env("DEALERFLOW_SOURCE__KIND", "embedded")
            .env("DEALERFLOW_DATA_DIR", data)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(Failure::system("dealerflow cannot be started"))?;
        Ok(Running { child, errors, started })
    }

    /// Waits for a line of its log; how long after the start.
    fn wait_for(&mut self, wanted: &str) -> Result<Duration, Failure> {
        while self.started.elapsed() < PATIENCE {
            let file = File::open(&self.errors).map_err(Failure::system("a scratch file cannot be read"))?;
            if BufReader::new(file).lines().map_while(Result::ok).any(|line| line.contains(wanted)) {
                return Ok(self.started.elapsed());
            }
            if self.child.try_wait().map_err(Failure::system("dealerflow cannot be watched"))?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(self.failed(&format!("line with {wanted:?}")))
    }

    fn failed(&mut self, wanted: &str) -> Failure {
        let mut said = String::new();
        let read =
            File::open(&self.errors).and_then(|mut file| file.rewind().and_then(|()| file.read_to_string(&mut said)));
        let last = said.lines().last().unwrap_or_default();
        Failure::Output { command: format!("dealerflow ({read:?}, last: {last})"), wanted: wanted.to_owned() }
    }

    /// The most memory that it ever had, in bytes.
    fn peak_bytes(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .map_err(Failure::system("a process's memory cannot be read (this bench needs Linux)"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1_024)
    }

    /// CPU time that it has used.
    fn cpu(&self) -> Result<Duration, Failure> {
        /// What the kernel counts CPU time in, in all its books for users.
        const TICK: Duration = Duration::from_millis(10);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .map_err(Failure::system("a process's time cannot be read (this bench needs Linux)"))?;
        // Behind the name, which may hold anything, come 11 fields and then user and system time.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        Ok(TICK * fields.filter_map(|ticks| ticks.parse::<u32>().ok()).sum::<u32>())
    }

    fn kill(mut self) -> Result<(), Failure> {
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .map(drop)
            .map_err(Failure::system("dealerflow cannot be killed"))
    }

    /// Ends it as a service manager does; how long it took.
    fn terminate(mut self) -> Result<Duration, Failure> {
        let (started, id) = (Instant::now(), self.child.id().to_string());
        Command::new("kill").args(["-TERM", &id]).status().map_err(Failure::system("SIGTERM cannot be sent"))?;
        let ended = self.child.wait().map_err(Failure::system("dealerflow cannot be waited for"))?;
        if ended.success() { Ok(started.elapsed()) } else { Err(self.failed("success")) }
    }
}

/// Measures one restart after `events` events.
///
/// # Errors
/// If a subject cannot be run or fails.
pub fn measure(binaries: &Binaries, events: u64, say: impl Fn(&str)) -> Result<Restart, Failure> {
    let scratch = scratch_folder()?;
    let data = scratch.path().join("data");
    let folder = data.to_string_lossy().into_owned();
    let demo = |events: u64, seed: &'static str| -> Vec<String> {
        let (events, dealers) = (events.to_string(), DEALERS.to_string());
        ["demo", "--events", &events, "--dealers", &dealers, "--seed", seed, "--data-dir", &folder]
            .map(str::to_owned)
            .into()
    };
    say(&format!("filling the log with {events} events"));
    let mut fill: Vec<std::ffi::OsString> = demo(events, "1").into_iter().map(Into::into).collect();
    fill.push("--exit".into());
    let silent = TEAMS_SILENT.map(|(name, value)| (name, value.to_owned()));
    let (filling, _) = Started::start(&binaries.dealerflow, &fill, &silent)?.wait()?;
    say("running on at a steady rate");
    let mut steady = demo(RATE * RUNNING.as_secs() * 4, "2");
    let rate = RATE.to_string();
    steady.extend(["--rate".to_owned(), rate]);
    let steady: Vec<&str> = steady.iter().map(String::as_str).collect();
    let mut running = Running::start(binaries, &data, &steady)?;
    running.wait_for(READY)?;
    std::thread::sleep(RUNNING);
    let running_peak_bytes = running.peak_bytes()?.max(filling.peak_bytes);
    running.kill()?;
    say("starting again");
    let mut restarted = Running::start(binaries, &data, &["run"])?;
    let ready = restarted.wait_for(READY)?;
    let ready_cpu = restarted.cpu()?;
    let restarted_peak_bytes = restarted.peak_bytes()?;
    let ended = restarted.terminate()?;
    say("counting");
    let tables = ["leads", "deals", "vehicles", "reps", "customers", "dealers"];
    let counts = tables.map(|table| format!("select count(*) as n from {table}")).join(" union all ");
    let sql = format!("select cast(sum(n) as bigint) as entities from ({counts})");
    let arguments = ["sql", "--output", &folder, "--format", "json", &sql].map(Into::into);
    let (_, printed) = run(&binaries.dealerflow, &arguments)?;
    let digits: String = printed.chars().filter(char::is_ascii_digit).collect();
    let entities = digits.parse().map_err(|_| Failure::Output {
        command: "dealerflow sql".to_owned(),
        wanted: "number of entities".to_owned(),
    })?;
    Ok(Restart { entities, running_peak_bytes, ready, ready_cpu, restarted_peak_bytes, ended })
}

impl std::fmt::Display for Restart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = Table::new(&["promise", "measured", "target", "verdict"]);
        let mut row = |name: &str, value: f64, target: Target| {
            let (target_text, verdict) = (target.to_string(), target.verdict(value).to_owned());
            table.row([name.to_owned(), format!("{value:.2}"), target_text, verdict]);
        };
        row("seconds to ready after SIGKILL", self.ready.as_secs_f64(), Target::AtMost(SECONDS_MAX));
        row("seconds to the end after SIGTERM", self.ended.as_secs_f64(), Target::AtMost(SECONDS_MAX));
        let running = self.running_peak_bytes as f64 / MEGABYTE;
        row("peak MB of the restart", self.restarted_peak_bytes as f64 / MEGABYTE, Target::AtMost(running));
        let cpu = self.ready_cpu.as_secs_f64();
        writeln!(
            formatter,
            "{} entities; ready after {cpu:.2} CPU s; the runs before it had {running:.0} MB at their peak\n",
            self.entities
        )?;
        write!(formatter, "{table}")
    }
}
