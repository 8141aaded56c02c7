//! Output that goes nowhere for a while, at full input: memory stays below its limit, and nothing is lost.
//!
//! One test in a process of its own, so that the process's memory is the pipeline's. `BLOCKED_SECONDS` says for how long output is
//! blocked; by default long enough that everything has come to a stop.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connectors::log::{
    CommitGroup, CommitOutcome, CommitterIdentity, Log, LogAdmin, LogAppender, LogCommitter, LogError, LogReader,
};
use connectors::testing::faulty_objects::{FaultyObjects, ObjectDefect, ObjectFaults};
use pipeline::allocator::for_service;
use pipeline::config::Config;
use pipeline::logs::{open_log, topic_specs};
use pipeline::produce::{Pace, produce};
use pipeline::run::audit::audit;
use pipeline::run::engine::Seats;
use pipeline::run::live::{Control, run};
use pipeline::run::live_settings;
use pipeline::run::stores::{Stores, history_bytes_max};
use pipeline::serving::live_tables;
use pipeline::simulate::{SimulateOptions, simulate};

const MEMORY_LIMIT: &str = "384MiB";
const MEMORY_LIMIT_KIB: u64 = 384 << 10;
/// Several times what may be on its way.
const EVENTS: u64 = 400_000;
/// How long nothing moves until everything is taken to stand.
const STILL: Duration = Duration::from_secs(2);

/// A log whose commits do not come through while it is blocked.
struct BlockedLog {
    log: Arc<dyn Log>,
    is_blocked: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
}

struct BlockedCommitter {
    committer: Box<dyn LogCommitter>,
    is_blocked: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
}

impl LogCommitter for BlockedCommitter {
    fn open(&mut self) -> Result<(), LogError> {
        self.committer.open()
    }

    fn commit(&mut self, group: &CommitGroup) -> CommitOutcome {
        if self.is_blocked.load(Ordering::Acquire) {
            self.refused.fetch_add(1, Ordering::AcqRel);
            let (what, reason, retry_after) = ("a commit".to_owned(), "blocked".to_owned(), Duration::ZERO);
            return CommitOutcome::TimedOut { error: LogError::Busy { what, reason, retry_after } };
        }
        self.committer.commit(group)
    }

    fn is_open(&self) -> bool {
        self.committer.is_open()
    }
}

impl Log for BlockedLog {
    fn reader(&self, name: &str) -> Result<Box<dyn LogReader>, LogError> {
        self.log.reader(name)
    }

    fn committer(&self, identity: CommitterIdentity) -> Result<Box<dyn LogCommitter>, LogError> {
        let (is_blocked, refused) = (Arc::clone(&self.is_blocked), Arc::clone(&self.refused));
        Ok(Box::new(BlockedCommitter { committer: self.log.committer(identity)?, is_blocked, refused }))
    }

    fn appender(&self, name: &str) -> Result<Box<dyn LogAppender>, LogError> {
        self.log.appender(name)
    }

    fn admin(&self) -> Result<Box<dyn LogAdmin>, LogError> {
        self.log.admin()
    }
}

/// What the process has in memory now, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Watches until records have not moved for a while and `BLOCKED_SECONDS` are over. The most memory meanwhile, and where records stood.
fn stand_still(control: &Control, waited: impl Fn() -> bool) -> (u64, u64) {
    let blocked = std::env::var("BLOCKED_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(5);
    let (started, mut moved) = (Instant::now(), Instant::now());
    let (mut through, mut most) = (0, 0);
    while !waited() || moved.elapsed() < STILL || started.elapsed() < Duration::from_secs(blocked) {
        most = most.max(resident_kib());
        let now = control.records_through.load(Ordering::Acquire);
        if now != through {
            (through, moved) = (now, Instant::now());
        }
        assert!(started.elapsed() < Duration::from_mins(5), "it does not come to a stop");
        std::thread::sleep(Duration::from_millis(20));
    }
    (most, through)
}

#[test]
fn blocked_output_costs_patience_and_not_memory() {
    // As the service does.
    for_service();
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events");
    simulate(&SimulateOptions::new(events.clone(), 20, EVENTS, 3)).unwrap();
    let data_dir = folder.path().join("data");
    let variables = [
        ("DEALERFLOW_PIPELINE__MEMORY_LIMIT", MEMORY_LIMIT),
        // Weeks of five minutes would be messages that say the same.
        ("DEALERFLOW_MODELS__OSCILLATORS__REPORT_EVERY", "12h"),
        ("DEALERFLOW_SQL__RETAINED_BYTES", "16MiB"),
        ("DEALERFLOW_SOURCE__KIND", "embedded"),
        ("DEALERFLOW_DATA_DIR", data_dir.to_str().unwrap()),
    ];
    let config = Config::load(None, &variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    let embedded = open_log(&config).unwrap();
    println!("before it is filled: {} KiB", resident_kib());
    embedded.admin().unwrap().create_topics(&topic_specs(2)).unwrap();
    let produced = produce(&events, embedded.as_ref(), Pace::Unbounded, &|| false).unwrap();
    println!("before the pipeline starts: {} KiB", resident_kib());

    let (is_blocked, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let log = BlockedLog { log: embedded, is_blocked: Arc::clone(&is_blocked), refused: Arc::clone(&refused) };
    let log: Arc<dyn Log> = Arc::new(log);
    let faulty = FaultyObjects::new(1, ObjectDefect::None);
    let day = Duration::from_hours(24);
    let stores = Stores {
        history: faulty.objects().below("parquet"),
        history_interval: Duration::from_millis(200),
        history_settings: serde_json::json!({}),
        history_bytes_max: history_bytes_max(&config),
        archive_retention_ms: Some(i64::MAX),
        checkpoints: faulty.objects().below("checkpoints"),
        checkpoint_interval: day,
    };
    let control = Control::default();
    let running = {
        let (log, control, settings) = (Arc::clone(&log), control.clone(), live_settings(&config));
        let tables = live_tables(&config).unwrap();
        std::thread::spawn(move || run(&log, &settings, &stores, &tables, Seats::Alone, &control, Vec::new()))
    };
    while control.records_through.load(Ordering::Acquire) == 0 {
        assert!(!running.is_finished(), "{:?}", running.join());
        std::thread::sleep(Duration::from_millis(5));
    }
    // First the log takes nothing, then the store of the history.
    is_blocked.store(true, Ordering::Release);
    let (most_kib, through) = stand_still(&control, || refused.load(Ordering::Acquire) > 3);
    println!("commits blocked: {most_kib} KiB at most, after {through} of {produced} records");
    assert!(through < produced, "the pipeline was through before it was blocked; give it more");
    assert!(most_kib < MEMORY_LIMIT_KIB, "{most_kib} KiB are more than {MEMORY_LIMIT}");
    faulty.set_faults(ObjectFaults { is_full: true, ..ObjectFaults::default() });
    is_blocked.store(false, Ordering::Release);
    let (most_kib, further) = stand_still(&control, || true);
    println!("history blocked: {most_kib} KiB at most, after {further} of {produced} records");
    assert!(further < produced, "the history held nothing back; give it more");
    assert!(most_kib < MEMORY_LIMIT_KIB, "{most_kib} KiB are more than {MEMORY_LIMIT}");
    faulty.set_faults(ObjectFaults::default());
    while control.records_through.load(Ordering::Acquire) < produced {
        assert!(!running.is_finished(), "{:?}", running.join());
        std::thread::sleep(Duration::from_millis(5));
    }
    control.stop.store(true, Ordering::Release);
    running.join().unwrap().unwrap();
    let (report, _) = audit(log.as_ref()).unwrap();
    assert_eq!((report.records, report.problems_total), (produced, 0), "{:?}", report.problems);
}
