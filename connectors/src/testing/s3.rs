//! An S3-compatible server (moto, a package of Python), for as long as a test process lives.
//!
//! ```text
//!  test process ── pipe ──► sh ──► moto_server
//!       ends, panics, is killed: the pipe ends ──► the server is killed
//! ```

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Set to 1 where tests must not be skipped for want of a server.
pub const REQUIRED_VARIABLE: &str = "DEALERFLOW_REQUIRE_S3";
/// The server's bucket.
pub const BUCKET: &str = "dealerflow-test";

/// A server with one empty bucket; dropping it ends the server.
#[derive(Debug)]
pub struct TestS3 {
    shell: Child,
    port: u16,
}

impl TestS3 {
    /// Starts a server; `None`, and loud words on standard error, where there is none.
    pub fn start() -> Option<Self> {
        let version = Command::new("moto_server").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !version.is_ok_and(|ended| ended.success()) {
            let required = std::env::var(REQUIRED_VARIABLE).is_ok_and(|value| value == "1");
            assert!(!required, "{REQUIRED_VARIABLE} is set and moto_server is missing: pip install 'moto[server,s3]'");
            eprintln!(
                "\n*** SKIPPED: tests against an S3 server, because moto_server is missing: pip install 'moto[server,s3]' ***\n"
            );
            return None;
        }
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let script = format!("moto_server -H 127.0.0.1 -p {port} >/dev/null 2>&1 & read line; kill -9 $!");
        let shell = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        let server = Self { shell, port };
        let patience = Instant::now() + Duration::from_mins(1);
        while !server.make_bucket() {
            assert!(Instant::now() < patience, "the S3 server does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(server)
    }

    /// The address, as settings want it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Settings of a client.
    pub fn settings(&self) -> Vec<(String, String)> {
        let endpoint = self.endpoint();
        [
            ("endpoint", endpoint.as_str()),
            ("region", "us-east-1"),
            ("access_key_id", "test"),
            ("secret_access_key", "test"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Makes the bucket; false if nobody answers yet.
    fn make_bucket(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let request = format!(
            "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.port
        );
        let mut answer = String::new();
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.lines().next().is_some_and(|line| line.contains("200"))
    }
}

impl Drop for TestS3 {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}
