//! A process that serves SQL, until it is dropped.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::dealerflow::{Outcome, command, dealerflow};

/// How long anything may take. Far beyond what is needed.
const PATIENCE: Duration = Duration::from_mins(3);

/// A running pipeline.
pub(crate) struct Served {
    child: Child,
    stderr: PathBuf,
    /// Host and port of SQL.
    pub(crate) address: String,
    /// Host and port of HTTP.
    pub(crate) http: String,
}

impl Served {
    /// Starts a command on the embedded log in `folder`, with history and checkpoints often.
    pub(crate) fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let out = folder.join(format!("out-{}", fs::read_dir(folder).unwrap().count()));
        let mut command = command();
        command
            .args(arguments)
            .env("DEALERFLOW_SOURCE__KIND", "embedded")
            .env("DEALERFLOW_DATA_DIR", folder.join("data"))
            .env("DEALERFLOW_SQL__LISTEN", "127.0.0.1:0")
            .env("DEALERFLOW_PARQUET__INTERVAL", "300ms")
            .env("DEALERFLOW_CHECKPOINT__INTERVAL", "500ms")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(out.with_extension("err")).unwrap());
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        let (http, address) = loop {
            let told = fs::read_to_string(&out).unwrap();
            let behind = |words: &str| Some(told.split_once(words)?.1.split_once(": ")?.0.to_owned());
            if let (Some(http), Some(address)) = (behind("HTTP on "), behind("SQL on ")) {
                break (http, address);
            }
            let complaint = || fs::read_to_string(out.with_extension("err")).unwrap();
            assert!(child.try_wait().unwrap().is_none(), "it ended: {}", complaint());
            assert!(started.elapsed() < PATIENCE, "it serves nothing: {}", complaint());
            thread::sleep(Duration::from_millis(5));
        };
        Served { child, stderr: out.with_extension("err"), address, http }
    }

    /// A run that lets nobody in without one of some tokens: the name of its file, its secret, its role and its dealers.
    pub(crate) fn guarded(folder: &Path, tokens: &[(&str, &str, &str, &str)]) -> Self {
        let tables = tokens.iter().map(|(name, secret, role, dealers)| {
            let path = folder.join(name);
            fs::write(&path, secret).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let file = path.display();
            format!("[[security.token]]\ntoken_file = \"{file}\"\nrole = \"{role}\"\ndealers = [\"{dealers}\"]\n")
        });
        let text: String = tables.collect();
        let config = folder.join("config.toml");
        fs::write(&config, text).unwrap();
        Served::start(folder, &["run", "--config", config.to_str().unwrap()], &[])
    }

    /// A demo whose events all came through.
    pub(crate) fn demo(folder: &Path, events: u64, variables: &[(&str, &str)]) -> Self {
        let data = folder.join("data");
        let count = events.to_string();
        let data = data.to_str().unwrap();
        // A world of the past: the events of a demo without a rate go on until tomorrow.
        let arguments = ["demo", "--events", &count, "--dealers", "5", "--rate", "1000000", "--data-dir", data];
        Served::start(folder, &arguments, variables)
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://dealerflow@{}/dealerflow", self.address)
    }

    /// Asks through the command line.
    pub(crate) fn ask(&self, query: &str) -> Outcome {
        dealerflow(["sql", "--url", &self.url(), "--format", "json", query])
    }

    /// The rows of an answer.
    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        self.ask(query).succeeded().rows()
    }

    /// One number.
    pub(crate) fn number(&self, query: &str) -> i64 {
        let rows = self.rows(query);
        rows[0].as_object().unwrap().values().next().unwrap().as_i64().unwrap_or(0)
    }

    /// Waits until so many records are in the tables.
    pub(crate) fn wait_for_records(&self, records: i64) {
        let started = Instant::now();
        while self.number("select sum(records) from sources") < records {
            assert!(started.elapsed() < PATIENCE, "the events did not come through");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks through psql: what it prints and complains of. None, said aloud, where there is no psql.
    pub(crate) fn psql(&self, text: &str) -> Option<String> {
        let (host, port) = self.address.rsplit_once(':').unwrap();
        let mut psql = Command::new("psql");
        psql.args(["-X", "-h", host, "-p", port, "-U", "dealerflow", "-d", "dealerflow"]).stdin(Stdio::piped());
        let child = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            println!("SKIPPED: psql is not installed (Debian: postgresql-client)");
            return None;
        };
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.write_all(if text.starts_with('\\') { b"\n" } else { b";\n" }).unwrap();
        drop(stdin);
        let told = child.wait_with_output().unwrap();
        Some(format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr)))
    }

    /// What it has complained of so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
