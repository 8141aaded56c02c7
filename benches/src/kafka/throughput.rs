//! How fast a backlog is worked off, beside hand-written loops over the same records of the same broker.
//!
//! ```text
//!   backlog ─┬─▶ kafka-loop parse     reads and parses, and drops what it parsed
//!            ├─▶ run, daily_kpis      the pipeline with those tables alone
//!            └─▶ run, all             the pipeline with every table
//!   bad      ─┬─▶ kafka-loop forward  reads, parses, writes each record on with its headers, a transaction every 50 ms
//!   backlog   └─▶ run, daily_kpis     the pipeline: every record is bad, so there is one output for each input
//! ```
//! Wall time is from the start of the process to the end of its work: the loop ends then, and of the pipeline it is the moment at
//! which the last epoch's record was readable. CPU is of the whole life of the process.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::PARTITIONS;
use super::broker::Broker;
use super::events::{Bad, Events};
use super::producer::produce;
use super::running::{Place, wait_until_bound};
use crate::child::{Binaries, Cost};
use crate::failure::Failure;
use crate::figures::{Target, relative_speeds, spread};
use crate::input::{InputFolder, scratch_folder};
use crate::table::Table;

/// How long a backlog may take.
const BACKLOG_MAX: Duration = Duration::from_mins(10);

/// Events that a new broker is warmed up with.
const WARM_UP_EVENTS: usize = 1_000;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Events of the backlog.
    pub events: u64,
    /// Rounds; every subject runs once in each.
    pub rounds: u64,
    /// Worker threads.
    pub workers: u64,
    /// Seed of the simulated world.
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Loop(&'static str),
    Run(&'static str),
}

impl Subject {
    fn name(self) -> String {
        match self {
            Subject::Loop(mode) => format!("kafka-loop {mode}"),
            Subject::Run(tables) => format!("run, tables = {tables}"),
        }
    }
}

/// One comparison: the loop comes first.
struct Comparison {
    name: &'static str,
    bad: Bad,
    subjects: &'static [Subject],
    /// What the second subject's speed should be of the first's.
    least: f64,
}

const COMPARISONS: [Comparison; 2] = [
    Comparison {
        name: "reading and parsing",
        bad: Bad::None,
        subjects: &[Subject::Loop("parse"), Subject::Run("daily_kpis"), Subject::Run("all")],
        least: 0.7,
    },
    Comparison {
        name: "one output for each input",
        bad: Bad::All,
        subjects: &[Subject::Loop("forward"), Subject::Run("daily_kpis"), Subject::Run("all")],
        least: 0.8,
    },
];

/// What was measured.
pub struct Throughput {
    settings: Settings,
    /// By comparison and subject: costs by round.
    costs: Vec<Vec<Vec<Cost>>>,
}

/// Measures.
///
/// # Errors
/// If broker, loop or pipeline fail.
pub fn measure(binaries: &Binaries, settings: Settings, say: impl Fn(&str)) -> Result<Throughput, Failure> {
    say(&format!("simulating {} events", settings.events));
    let input = InputFolder::recent(binaries, settings.events, settings.seed)?;
    let folder = scratch_folder()?;
    let mut costs = Vec::new();
    for (number, comparison) in COMPARISONS.iter().enumerate() {
        let events = Events::of_folder(input.path(), comparison.bad)?;
        let mut of_comparison = vec![Vec::new(); comparison.subjects.len()];
        for round in 0..settings.rounds {
            say(&format!("{}, round {} of {}", comparison.name, round + 1, settings.rounds));
            // A broker for each round: none carries the files of those before.
            let broker = Broker::start()?;
            warm_up(binaries, &broker, &events, folder.path())?;
            for (subject, costs) in comparison.subjects.iter().zip(&mut of_comparison) {
                let prefix = format!("c{number}-r{round}-s{}.", costs.len() + 1000 * subject.name().len());
                let place = Place { brokers: broker.address(), prefix, folder: folder.path(), partitions: PARTITIONS };
                place.create_topics(binaries)?;
                let origin = Instant::now();
                produce(place.brokers, &place.prefix, &events, events.len(), None, origin)?;
                costs.push(run_subject(*subject, binaries, &place, events.len() as u64, settings.workers)?);
            }
        }
        costs.push(of_comparison);
    }
    Ok(Throughput { settings, costs })
}

/// Lets the broker make its own topics, of transactions and of groups: no subject is to pay for them.
fn warm_up(binaries: &Binaries, broker: &Broker, events: &Events, folder: &Path) -> Result<(), Failure> {
    let place = Place { brokers: broker.address(), prefix: "warm.".to_owned(), folder, partitions: PARTITIONS };
    place.create_topics(binaries)?;
    produce(place.brokers, &place.prefix, events, WARM_UP_EVENTS, None, Instant::now())?;
    place.run_loop(binaries, "forward").map(drop)
}

fn run_subject(
    subject: Subject,
    binaries: &Binaries,
    place: &Place<'_>,
    records: u64,
    workers: u64,
) -> Result<Cost, Failure> {
    match subject {
        Subject::Loop(mode) => place.run_loop(binaries, mode),
        Subject::Run(tables) => {
            let observer = place.observe(Instant::now())?;
            let mut run = place.start(binaries, tables, workers)?;
            let wall = wait_until_bound(&mut run, &observer, records, BACKLOG_MAX)?;
            let (cost, _) = run.terminate()?;
            observer.finish()?;
            Ok(Cost { wall, ..cost })
        }
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (comparison, costs) in COMPARISONS.iter().zip(&self.costs) {
            writeln!(
                formatter,
                "{}: {} records, {} workers",
                comparison.name, self.settings.events, self.settings.workers
            )?;
            let mut table = Table::new(&[
                "least / median / greatest",
                "user CPU s",
                "system CPU s",
                "wall s",
                "peak MB",
                "records/s",
            ]);
            for (subject, costs) in comparison.subjects.iter().zip(costs) {
                let cell = |figure: &dyn Fn(&Cost) -> f64| {
                    spread(&costs.iter().map(figure).collect::<Vec<_>>()).map_or_else(String::new, |spread| {
                        format!("{:.2} / {:.2} / {:.2}", spread.least, spread.median, spread.greatest)
                    })
                };
                let wall = spread(&costs.iter().map(|cost| cost.wall.as_secs_f64()).collect::<Vec<_>>());
                table.row([
                    subject.name(),
                    cell(&|cost| cost.user.as_secs_f64()),
                    cell(&|cost| cost.system.as_secs_f64()),
                    cell(&|cost| cost.wall.as_secs_f64()),
                    cell(&|cost| cost.peak_bytes as f64 / 1e6),
                    wall.map_or_else(String::new, |wall| format!("{:.0}", self.settings.events as f64 / wall.median)),
                ]);
            }
            writeln!(formatter, "{table}")?;
            let mut promises =
                Table::new(&["speed in terms of the loop", "least", "median", "greatest", "target", "verdict"]);
            for (subject, own) in comparison.subjects.iter().zip(costs).skip(1) {
                type Figure = fn(&Cost) -> f64;
                let figures: [(&str, Figure); 2] =
                    [("wall", |cost| cost.wall.as_secs_f64()), ("user CPU", |cost| cost.user.as_secs_f64())];
                for (name, figure) in figures {
                    let of = |costs: &[Cost]| costs.iter().map(figure).collect::<Vec<_>>();
                    let Some(speeds) = spread(&relative_speeds(&of(own), &of(&costs[0]))) else { continue };
                    let promised = name == "wall" && *subject == comparison.subjects[1];
                    let target = promised.then_some(Target::AtLeast(comparison.least));
                    promises.row([
                        format!("{}, {name}", subject.name()),
                        format!("{:.2}", speeds.least),
                        format!("{:.2}", speeds.median),
                        format!("{:.2}", speeds.greatest),
                        target.map_or_else(String::new, |target| target.to_string()),
                        target.map_or_else(String::new, |target| target.verdict(speeds.median).to_owned()),
                    ]);
                }
            }
            writeln!(formatter, "{promises}")?;
        }
        Ok(())
    }
}
