//! Calls of the HTTP server, as any client makes them.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::served::Served;

/// An answer: status, head and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }
}

/// Sends a request and reads until the connection ends.
fn request(http: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let _ = write!(text, "content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// Somebody who calls, with a token or without.
pub(crate) struct Asking<'a> {
    pub(crate) served: &'a Served,
    pub(crate) token: Option<&'a str>,
}

impl Asking<'_> {
    pub(crate) fn call(&self, method: &str, path: &str, extra: &[(&str, &str)], body: &str) -> Answer {
        let bearer = self.token.map(|token| format!("Bearer {token}"));
        let mut headers: Vec<(&str, &str)> = extra.to_vec();
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        if !body.is_empty() && extra.iter().all(|(name, _)| *name != "content-type") {
            headers.push(("content-type", "application/json"));
        }
        request(&self.served.http, method, path, &headers, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &[], &body.to_string())
    }

    /// The first lines of a stream, up to the one that `until` says is enough.
    pub(crate) fn stream(&self, path: &str, last: Option<&str>, until: impl Fn(&str) -> bool) -> String {
        let mut stream = TcpStream::connect(&self.served.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut text = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n", self.served.http);
        if let Some(token) = self.token {
            let _ = write!(text, "authorization: Bearer {token}\r\n");
        }
        if let Some(last) = last {
            let _ = write!(text, "last-event-id: {last}\r\n");
        }
        stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
        let mut read = String::new();
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap();
            read.push_str(&line);
            read.push('\n');
            if until(&line) {
                break;
            }
        }
        read
    }
}
