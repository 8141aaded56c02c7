//! Where a pipeline of a test lives: its folder, its log, its settings.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use tests::dealerflow::{self, Outcome, run};

use crate::running::Running;

/// How long records and identities count, in days. The events lie in early 2026 and epochs are of today, so the defaults would
/// begin to forget some day; and a world that is produced again comes further behind its own newest event than seven days.
pub(crate) const MEMORY_DAYS: i64 = 3_650;

/// A pipeline's folder, gone with the test, and its variables.
pub(crate) struct Place {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Place {
    /// A pipeline on a log of its own folder. Epochs, history and checkpoints come often, so that a kill seldom misses them.
    pub(crate) fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let memory = format!("{MEMORY_DAYS}d");
        let variables = [
            ("TMPDIR", path("scratch")),
            ("RUST_LOG", "info,fjall=warn,lsm_tree=warn".to_owned()),
            ("DEALERFLOW_SOURCE__KIND", "embedded".to_owned()),
            ("DEALERFLOW_DATA_DIR", path("data")),
            ("DEALERFLOW_PIPELINE__TICK", "5ms".to_owned()),
            ("DEALERFLOW_PIPELINE__RETENTION", memory.clone()),
            ("DEALERFLOW_PIPELINE__DEDUP_HORIZON", memory),
            ("DEALERFLOW_PARQUET__INTERVAL", "50ms".to_owned()),
            // Several run at once.
            ("DEALERFLOW_SQL__LISTEN", "127.0.0.1:0".to_owned()),
            ("DEALERFLOW_CHECKPOINT__INTERVAL", "120ms".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        std::fs::create_dir(folder.path().join("scratch")).unwrap();
        Place { folder, variables }
    }

    /// A pipeline on a cluster, whose topics and name begin with `prefix`.
    pub(crate) fn kafka(brokers: &str, prefix: &str) -> Self {
        Place::embedded()
            .with("DEALERFLOW_SOURCE__KIND", "kafka")
            .with("DEALERFLOW_KAFKA__BROKERS", brokers)
            .with("DEALERFLOW_KAFKA__TOPIC_PREFIX", &format!("{prefix}."))
            .with("DEALERFLOW_NAME", prefix)
    }

    /// The same place with a variable set otherwise.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the log and the history.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// Where killed processes leave what they would have removed.
    fn scratch(&self) -> PathBuf {
        self.path("scratch")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = dealerflow::command();
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).current_dir(self.folder.path());
        command.args(arguments);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        run(self.command(arguments))
    }

    /// Starts a command; its outputs go to files called `name`.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments), self.folder.path(), name)
    }

    /// Removes what killed processes left in their folder for temporary files.
    pub(crate) fn sweep(&self) {
        for entry in std::fs::read_dir(self.scratch()).unwrap() {
            std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }

    /// Records that epochs hold, as the audit says. Panics if it finds a problem.
    pub(crate) fn audited_records(&self) -> u64 {
        let told = self.run(&["audit"]).succeeded().stdout;
        assert!(told.contains("ok       epochs form one chain"), "{told}");
        let records = told.split(" records, ").next().and_then(|head| head.rsplit(' ').next());
        records.and_then(|count| count.replace(',', "").parse().ok()).unwrap_or_else(|| panic!("no records in: {told}"))
    }

    /// Audits the topics and computes everything again; panics unless both are right.
    pub(crate) fn audit_and_recompute(&self) {
        let told = self.run(&["audit", "--recompute"]).succeeded().stdout;
        assert_eq!(told.lines().filter(|line| line.starts_with("ok  ")).count(), 2, "{told}");
        assert!(!told.contains("PROBLEM") && !told.contains("OPEN"), "{told}");
    }
}
