//! A real Kafka broker, started by `deploy/kafka/start`, for as long as a test process lives.
//!
//! ```text
//!  test process ── pipe ──► deploy/kafka/start --while-stdin ──► java
//!       ends, panics, is killed: the pipe ends ──► deploy/kafka/stop by process id
//! ```

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Set to 1 where tests must not be skipped for want of a broker.
pub const REQUIRED_VARIABLE: &str = "DEALERFLOW_REQUIRE_KAFKA";

/// A broker and the folder that holds it; dropping it ends the broker and removes the folder.
#[derive(Debug)]
pub struct TestBroker {
    folder: tempfile::TempDir,
    script: Option<Child>,
    address: String,
    sasl_address: String,
}

/// The user that the broker knows, with the password: for tests of credentials.
pub const SASL_USER: (&str, &str) = ("shop", "right");

impl TestBroker {
    /// Starts a broker with storage of its own; `None`, and loud words on standard error, where Java or Maven is missing.
    pub fn start() -> Option<Self> {
        if let Err(missing) = prerequisites() {
            let required = std::env::var(REQUIRED_VARIABLE).is_ok_and(|value| value == "1");
            assert!(!required, "{REQUIRED_VARIABLE} is set and {missing}");
            eprintln!("\n*** SKIPPED: tests against a real Kafka broker, because {missing} ***\n");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("dealerflow-kafka-").tempdir().unwrap();
        let [port, controller_port, sasl_port] = free_ports();
        let extra = folder.path().join("extra.properties");
        let (user, password) = SASL_USER;
        std::fs::write(
            &extra,
            format!(
                "listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl_port},CONTROLLER://127.0.0.1:{controller_port}\n\
                 advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{sasl_port}\n\
                 listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n\
                 authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                 super.users=User:ANONYMOUS\n\
                 allow.everyone.if.no.acl.found=true\n\
                 sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n\
                 listener.name.sasl_plaintext.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}=\"{password}\";\n\
                 listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=\
                 org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
            ),
        )
        .unwrap();
        let mut broker = Self {
            folder,
            script: None,
            address: format!("127.0.0.1:{port}"),
            sasl_address: format!("127.0.0.1:{sasl_port}"),
        };
        let scram = format!("SCRAM-SHA-512=[name={user},password={password}]");
        broker.launch(&[("KAFKA_PORT", port), ("KAFKA_CONTROLLER_PORT", controller_port)], Some((&extra, &scram)));
        Some(broker)
    }

    /// `host:port` of the listener that takes everybody.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `host:port` of the listener that wants credentials, by SASL/PLAIN or SASL/SCRAM-SHA-512.
    pub fn sasl_address(&self) -> &str {
        &self.sasl_address
    }

    /// Kills the broker as a power cut would.
    pub fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        let killed = Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
        assert!(killed.success());
        self.end_script();
    }

    /// Starts the broker again, with its data and on its ports.
    pub fn restart(&mut self) {
        self.end_script();
        self.launch(&[], None);
    }

    /// Lets the user of [`SASL_USER`] do with a topic whatever it likes, but for writing to it.
    pub fn deny_writes(&self, topic: &str) {
        let user = format!("User:{}", SASL_USER.0);
        for granted in
            [["--allow-principal", &user, "--operation", "All"], ["--deny-principal", &user, "--operation", "Write"]]
        {
            let done = Command::new("java")
                .args(["-cp", &format!("{}/libs/*", home().unwrap().display()), "org.apache.kafka.tools.AclCommand"])
                .args(["--bootstrap-server", &self.address, "--add", "--topic", topic])
                .args(granted)
                .stdout(Stdio::null())
                .status()
                .unwrap();
            assert!(done.success(), "the access list of {topic} cannot be changed");
        }
    }

    fn launch(&mut self, ports: &[(&str, u16)], new: Option<(&Path, &str)>) {
        let mut command = Command::new(script("start"));
        command.arg(self.folder.path()).args(["--while-stdin", "--remove"]);
        for (variable, port) in ports {
            command.env(variable, port.to_string());
        }
        if let Some((extra, scram)) = new {
            command.env("KAFKA_EXTRA", extra).env("KAFKA_SCRAM", scram);
        }
        let mut started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(started.stdout.take().expect("the output is piped")).read_line(&mut line).unwrap();
        self.script = Some(started);
        let log = std::fs::read_to_string(self.folder.path().join("broker.log")).unwrap_or_default();
        assert_eq!(line.trim(), self.address, "the broker did not start: {log}");
        // A port that is open is not yet a broker that answers.
        let config = crate::kafka::KafkaConfig::new(&self.address, "test-broker");
        let mut admin = crate::log::Log::admin(&crate::kafka::KafkaLog::new(config).unwrap()).unwrap();
        let patience = Instant::now() + Duration::from_mins(1);
        while let Err(error) = admin.list_topics() {
            assert!(Instant::now() < patience, "the broker does not answer: {error}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn end_script(&mut self) {
        if let Some(mut script) = self.script.take() {
            // The end of its input is the word to stop; without a word before it, as when this process dies, the folder goes, too.
            if let Some(mut input) = script.stdin.take() {
                drop(input.write_all(b"keep"));
            }
            drop(script.wait());
        }
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        self.end_script();
    }
}

fn script(name: &str) -> PathBuf {
    // As cargo runs it and not as it was built: clones that share a target folder share binaries, and outlive each other.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).join("../deploy/kafka").join(name)
}

/// Why no broker can be started here, if so.
fn prerequisites() -> Result<(), String> {
    let runs = |program: &str, argument: &str| {
        Command::new(program)
            .arg(argument)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|ended| ended.success())
    };
    if !runs("java", "-version") {
        return Err("java (17 or later) is not installed".to_owned());
    }
    let fetched = home().is_some_and(|home| home.join("libs").is_dir());
    if fetched || runs("mvn", "-v") {
        return Ok(());
    }
    Err("mvn is not installed, which fetches Kafka's libraries".to_owned())
}

/// Where `deploy/kafka/start` keeps Kafka's libraries.
fn home() -> Option<PathBuf> {
    let own = std::env::var("DEALERFLOW_KAFKA_HOME").map(PathBuf::from).ok();
    own.or_else(|| Some(Path::new(&std::env::var("HOME").ok()?).join(".cache/dealerflow/kafka-4.3.0")))
}

fn free_ports() -> [u16; 3] {
    // Held together, so that they differ; given up just before the broker takes them.
    let held = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
