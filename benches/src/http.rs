//! The HTTP API under load: what callers wait while events stream in.
//!
//! ```text
//!   dealerflow demo --rate R ─▶ analyze-customer, recorded: until its epoch is published ─▶ percentiles
//!                            ─▶ analyze-customer?preview=true                            ─▶ percentiles
//!                            ─▶ POST /api/events … pulse stream tells of it              ─▶ percentiles
//! ```

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::child::Binaries;
use crate::failure::Failure;
use crate::figures::Target;
use crate::serving::{Demo, Percentiles, WORLD, percentiles};

/// Events a second that stream in.
const RATE: u64 = 20_000;
/// How long they stream before anything is timed.
const WARM_UP: Duration = Duration::from_secs(15);
/// Calls of each kind.
const CALLS: usize = 500;
/// The dealer that is asked about.
const DEALER: &str = "d-0001";

const RECORDED_TARGET: Target = Target::AtMost(120.0);
const PREVIEW_TARGET: Target = Target::AtMost(2.0);
const PULSE_TARGET: Target = Target::AtMost(250.0);

/// What was found.
#[derive(Clone, Debug)]
pub struct Http {
    recorded: Percentiles,
    preview: Percentiles,
    pulse: Percentiles,
}

/// A connection that is kept.
struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    fn open(host: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(host).map_err(Failure::system("the HTTP server cannot be reached"))?;
        stream.set_nodelay(true).map_err(Failure::system("the connection cannot be set up"))?;
        Ok(Connection { stream: BufReader::new(stream), host: host.to_owned() })
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(Failure::system("the HTTP server cannot be read"))?;
        Ok(line)
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<(), Failure> {
        let (host, length) = (&self.host, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
        let text = format!("{head}content-length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(text.as_bytes()).map_err(Failure::system("the HTTP server cannot be written"))
    }

    /// Calls, and gives the status.
    fn call(&mut self, path: &str, body: &str) -> Result<u16, Failure> {
        self.send("POST", path, body)?;
        let status = self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).map_err(Failure::system("the HTTP server cannot be read"))?;
        Ok(status)
    }
}

fn customer(number: usize) -> String {
    let (score, income) = (560 + number % 280, 30_000 + 137 * number);
    format!(
        "{{\"dealerId\":\"{DEALER}\",\"customerId\":\"bench-{number}\",\"creditScore\":{score},\"annualIncome\":{income},\
         \"vehiclePrice\":32000,\"downPayment\":4000,\"engagement\":0.6}}"
    )
}

/// Calls a path again and again: what each call took, in milliseconds.
fn calls(host: &str, path: &str) -> Result<Vec<f64>, Failure> {
    let mut connection = Connection::open(host)?;
    let mut times = Vec::with_capacity(CALLS);
    for number in 0..CALLS {
        let body = customer(number);
        let asked = Instant::now();
        let status = connection.call(path, &body)?;
        times.push(asked.elapsed().as_secs_f64() * 1_000.0);
        if status != 200 {
            return Err(Failure::Output {
                command: format!("POST {path}"),
                wanted: format!("status 200, got {status}"),
            });
        }
    }
    Ok(times)
}

/// From the sending of an event until the pulse stream tells of it.
fn pulse(host: &str) -> Result<Vec<f64>, Failure> {
    let mut stream = Connection::open(host)?;
    stream.send("GET", &format!("/api/pulse-stream?dealerId={DEALER}&topics=leads"), "")?;
    let (heard, hearing) = channel();
    let follower = std::thread::spawn(move || {
        while let Ok(line) = stream.line() {
            let at = Instant::now();
            for part in line.split("\"leadId\":\"pulse-").skip(1) {
                let number = part.split('"').next().and_then(|number| number.parse::<usize>().ok());
                if number.is_none_or(|number| heard.send((number, at)).is_err()) {
                    return;
                }
            }
            if line.is_empty() {
                return;
            }
        }
    });
    let mut connection = Connection::open(host)?;
    let mut times = Vec::with_capacity(CALLS);
    for number in 0..CALLS {
        let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
        let time = operators::domain::time::format_rfc3339(now_ms as i64);
        let event = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"pulse-{number}\",\"source\":\"/bench\",\"type\":\"lead.created\",\"time\":\"{time}\",\
             \"dealerid\":\"{DEALER}\",\"data\":{{\"leadId\":\"pulse-{number}\",\"customerId\":\"c\",\"channel\":\"api\"}}}}"
        );
        let sent = Instant::now();
        connection.call("/api/events", &event)?;
        while let Ok((told, at)) = hearing.recv_timeout(Duration::from_secs(5)) {
            if told == number {
                times.push((at - sent).as_secs_f64() * 1_000.0);
                break;
            }
        }
    }
    drop(hearing);
    // It ends with its next line.
    drop(follower);
    if times.len() < CALLS * 9 / 10 {
        let wanted = format!("{CALLS} updates, got {}", times.len());
        return Err(Failure::Output { command: "GET /api/pulse-stream".to_owned(), wanted });
    }
    Ok(times)
}

/// Times callers while events stream in.
///
/// # Errors
/// If the demo does not start, or a call fails.
pub fn measure(binaries: &Binaries, say: impl Fn(&str)) -> Result<Http, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::system("a scratch folder cannot be made"))?;
    let rate = RATE.to_string();
    let demo = Demo::start(binaries, folder.path(), &[&WORLD[..], &["--rate", &rate]].concat())?;
    say(&format!("{RATE} events/s stream in"));
    std::thread::sleep(WARM_UP);
    let path = "/api/intelligence/analyze-customer";
    let recorded = percentiles(calls(&demo.http, path)?);
    let preview = percentiles(calls(&demo.http, &format!("{path}?preview=true"))?);
    let pulse = percentiles(pulse(&demo.http)?);
    Ok(Http { recorded, preview, pulse })
}

impl fmt::Display for Http {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{RATE} events/s streaming in, one caller over HTTP, milliseconds")?;
        let rows = [
            ("analyze-customer, recorded", self.recorded, self.recorded.p95_ms, RECORDED_TARGET, "p95"),
            ("analyze-customer, preview", self.preview, self.preview.p99_ms, PREVIEW_TARGET, "p99"),
            ("event to pulse stream", self.pulse, self.pulse.p99_ms, PULSE_TARGET, "p99"),
        ];
        for (name, Percentiles { p50_ms, p95_ms, p99_ms }, judged, target, of) in rows {
            let verdict = target.verdict(judged);
            write!(
                formatter,
                "\n{name:<27} p50 {p50_ms:7.2}  p95 {p95_ms:7.2}  p99 {p99_ms:7.2}  {of} {target} {verdict}"
            )?;
        }
        Ok(())
    }
}
