//! Serving under load: what a query over the wire takes while events stream in, and what that takes from the events.
//!
//! ```text
//!   dealerflow demo --rate R ─▶ (100,000 leads are there) ─▶ point queries, group-bys, one at a time ─▶ percentiles
//!                            └▶ records in the tables a second, before and beside the queries        ─▶ ratio
//!   dealerflow demo, as fast as it goes: alone, and with queries without a pause, in turns            ─▶ ratio
//! ```

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use crate::child::{Binaries, TEAMS_REPORTED};
use crate::failure::Failure;
use crate::figures::{Target, spread};

/// Events a second that stream in while queries are timed.
const RATE: u64 = 20_000;
/// Rows of the table that is grouped.
const ROWS: i64 = 100_000;
/// The world while latencies are timed.
pub(crate) const WORLD: [&str; 5] = ["--now", "--events", "2500000", "--dealers", "500"];
/// How long those rows may take to come.
const FILL_MAX: Duration = Duration::from_mins(10);
/// Events of the runs whose speeds are compared.
const INGEST_EVENTS: u64 = 300_000;

const POINT: &str =
    "select lead_id, customer_id, priority_score from stored.leads where dealer_id = $1 and lead_id = $2";
const GROUP: &str =
    "select dealer_id, count(*), sum(vehicle_price_cents), avg(engagement) from stored.leads group by dealer_id";

const POINT_TARGET: Target = Target::AtMost(5.0);
const GROUP_TARGET: Target = Target::AtMost(20.0);
const INGEST_TARGET: Target = Target::AtLeast(0.9);

/// Percentiles of a query's times, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Percentiles {
    /// The median.
    pub p50_ms: f64,
    /// 95 of 100 are not above.
    pub p95_ms: f64,
    /// 99 of 100 are not above.
    pub p99_ms: f64,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Serving {
    point: Percentiles,
    group: Percentiles,
    rows: i64,
    /// Speed beside the queries as a share of the speed before them, at the rate that streams in.
    ingest_ratio: f64,
    /// The same where events come as fast as they are taken and a client asks without a pause.
    flat_out_ratio: f64,
}

/// Point queries that are timed.
const POINTS: usize = 10_000;
/// Point queries for each group-by.
const POINTS_PER_GROUP: usize = 5;

/// A demo that ends with its guard.
pub(crate) struct Demo {
    child: Child,
    address: String,
    /// Host and port of HTTP.
    pub(crate) http: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    pub(crate) fn start(binaries: &Binaries, folder: &Path, arguments: &[&str]) -> Result<Self, Failure> {
        let out = folder.join("out");
        let file = File::create(&out).map_err(Failure::system("a scratch file cannot be made"))?;
        let mut child = Command::new(&binaries.dealerflow)
            .arg("demo")
            .args(arguments)
            .env(TEAMS_REPORTED.0, TEAMS_REPORTED.1)
            // It is killed in the end, and what it leaves goes with this folder.
            .env("TMPDIR", folder)
            .env("DEALERFLOW_SQL__LISTEN", "127.0.0.1:0")
            .env("DEALERFLOW_HTTP__LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .map_err(Failure::system("`dealerflow demo` cannot be started"))?;
        let started = Instant::now();
        loop {
            let told = std::fs::read_to_string(&out).unwrap_or_default();
            let behind = |words: &str| Some(told.split_once(words)?.1.split_once(": ")?.0.to_owned());
            if let (Some(http), Some(address)) = (behind("HTTP on "), behind("SQL on ")) {
                return Ok(Demo { child, address, http });
            }
            let ended = child.try_wait().map_err(Failure::system("`dealerflow demo` cannot be waited for"))?;
            if ended.is_some() || started.elapsed() > FILL_MAX {
                let (command, wanted) = ("dealerflow demo".to_owned(), "address of SQL".to_owned());
                return Err(Failure::Output { command, wanted });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    async fn client(&self) -> Result<Client, Failure> {
        let url = format!("postgres://dealerflow@{}/dealerflow", self.address);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.map_err(query_failed)?;
        tokio::spawn(async move {
            // The client's own calls tell when the connection ends.
            let _ = connection.await;
        });
        Ok(client)
    }
}

fn query_failed(error: tokio_postgres::Error) -> Failure {
    Failure::System { what: "a query failed".to_owned(), source: std::io::Error::other(error) }
}

/// The percentiles of some times, by nearest rank.
pub(crate) fn percentiles(mut times_ms: Vec<f64>) -> Percentiles {
    times_ms.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let rank = (share * times_ms.len() as f64).ceil() as usize;
        times_ms.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    };
    Percentiles { p50_ms: at(0.50), p95_ms: at(0.95), p99_ms: at(0.99) }
}

/// Times queries while events stream in, then what queries take from the events.
///
/// # Errors
/// If the demo does not start, or a query fails.
pub fn measure(binaries: &Binaries, rounds: usize, say: impl Fn(&str)) -> Result<Serving, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("the clients' threads cannot be started"))?;
    let folder = tempfile::tempdir().map_err(Failure::system("a scratch folder cannot be made"))?;
    let rate = RATE.to_string();
    say(&format!("{RATE} events/s stream in; waiting for {ROWS} leads"));
    let demo = Demo::start(binaries, folder.path(), &[&WORLD[..], &["--rate", &rate]].concat())?;
    let timed = runtime.block_on(queries(&demo, &say))?;
    drop(demo);
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        say(&format!("events flat out, alone and beside queries, round {round} of {rounds}"));
        let alone = runtime.block_on(ingest(binaries, folder.path(), false))?;
        let beside = runtime.block_on(ingest(binaries, folder.path(), true))?;
        ratios.push(alone.as_secs_f64() / beside.as_secs_f64());
    }
    let flat_out_ratio = spread(&ratios).map_or(f64::NAN, |spread| spread.median);
    Ok(Serving { flat_out_ratio, ..timed })
}

/// How many records the tables hold.
async fn records(client: &Client) -> Result<i64, Failure> {
    let records = "select coalesce(sum(records), 0)::bigint from stored.sources";
    Ok(client.query_one(records, &[]).await.map_err(query_failed)?.get(0))
}

/// Records a second since a moment at which there were so many.
fn speed(records: i64, (since, before): (Instant, i64)) -> f64 {
    (records - before) as f64 / since.elapsed().as_secs_f64()
}

async fn queries(demo: &Demo, say: &impl Fn(&str)) -> Result<Serving, Failure> {
    let client = demo.client().await?;
    let started = Instant::now();
    let began = (started, records(&client).await?);
    let count = "select count(*) from stored.leads";
    let mut rows: i64 = 0;
    while rows < ROWS && started.elapsed() < FILL_MAX {
        tokio::time::sleep(Duration::from_millis(500)).await;
        rows = client.query_one(count, &[]).await.map_err(query_failed)?.get(0);
    }
    let alone = speed(records(&client).await?, began);
    say(&format!("{rows} leads; asking"));
    let keys =
        client.query("select dealer_id, lead_id from stored.leads limit 1000", &[]).await.map_err(query_failed)?;
    let keys: Vec<(String, String)> = keys.iter().map(|row| (row.get(0), row.get(1))).collect();
    let point = client.prepare(POINT).await.map_err(query_failed)?;
    let group = client.prepare(GROUP).await.map_err(query_failed)?;
    let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let began = (Instant::now(), records(&client).await?);
    for (number, (dealer, lead)) in keys.iter().cycle().take(POINTS).enumerate() {
        let asked = Instant::now();
        client.query(&point, &[dealer, lead]).await.map_err(query_failed)?;
        times[0].push(asked.elapsed().as_secs_f64() * 1_000.0);
        if number % POINTS_PER_GROUP == 0 {
            let asked = Instant::now();
            client.query(&group, &[]).await.map_err(query_failed)?;
            times[1].push(asked.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    let ingest_ratio = speed(records(&client).await?, began) / alone;
    let [points, groups] = times;
    Ok(Serving { point: percentiles(points), group: percentiles(groups), rows, ingest_ratio, flat_out_ratio: f64::NAN })
}

/// How long the events take to be in the tables, alone or while queries are asked all along: ten points for each group-by.
async fn ingest(binaries: &Binaries, folder: &Path, with_queries: bool) -> Result<Duration, Failure> {
    let events = INGEST_EVENTS.to_string();
    // As fast as it is taken.
    let arguments = ["--events", &events, "--dealers", "50", "--rate", "100000000"];
    let demo = Demo::start(binaries, folder, &arguments)?;
    let started = Instant::now();
    let (watch, client) = (demo.client().await?, demo.client().await?);
    let point = client.prepare(POINT).await.map_err(query_failed)?;
    let group = client.prepare(GROUP).await.map_err(query_failed)?;
    let mut looked = Instant::now();
    let mut asked: u32 = 0;
    while started.elapsed() < FILL_MAX {
        if with_queries {
            asked += 1;
            let key = "d-0001".to_owned();
            client.query(&point, &[&key, &format!("l-{asked}")]).await.map_err(query_failed)?;
            if asked.is_multiple_of(10) {
                client.query(&group, &[]).await.map_err(query_failed)?;
            }
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if looked.elapsed() > Duration::from_millis(100) {
            looked = Instant::now();
            if records(&watch).await? >= INGEST_EVENTS as i64 {
                break;
            }
        }
    }
    Ok(started.elapsed())
}

impl fmt::Display for Serving {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queries = [("point query", self.point, POINT_TARGET), ("group by", self.group, GROUP_TARGET)];
        writeln!(formatter, "{} leads, {RATE} events/s streaming in, over the wire, milliseconds", self.rows)?;
        for (name, Percentiles { p50_ms, p95_ms, p99_ms }, target) in queries {
            let verdict = target.verdict(p99_ms);
            writeln!(formatter, "{name:<12} p50 {p50_ms:6.2}  p95 {p95_ms:6.2}  p99 {p99_ms:6.2}  {target} {verdict}")?;
        }
        let (ratio, verdict) = (self.ingest_ratio, INGEST_TARGET.verdict(self.ingest_ratio));
        writeln!(
            formatter,
            "ingest beside these queries, as a share of before: {ratio:.2}  {INGEST_TARGET} {verdict}"
        )?;
        let ratio = self.flat_out_ratio;
        write!(formatter, "the same with events as fast as they are taken and queries without a pause: {ratio:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let found = percentiles((1..=200).rev().map(f64::from).collect());
        assert!((found.p50_ms - 100.0).abs() < f64::EPSILON && (found.p99_ms - 198.0).abs() < f64::EPSILON);
    }
}
