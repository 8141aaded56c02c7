//! A reproducible dealership world, with known truth.
//!
//! ```text
//!   seed ─▶ dealers { team, lot, journeys, agenda } ─▶ Hour by Hour ─▶ sorted by time ─▶ [disorder] ─▶ <topic>.jsonl
//!             ▲                                          └─▶ truth of segments, skill, outcomes ─▶ truth/<table>.csv
//!             └── pace: enquiries per day, so that event N falls at the end of the last day
//! ```
//! Dealers of Zipf-like sizes stand in the zones of the United States; customers of five segments (and a few outliers) come by the
//! rhythm of day, week and campaigns; reps answer at their speed, in their shifts; deals go their stages; vehicles go through recon, are
//! priced and sold.
//!
//! **Guarantees.** The same options give the same bytes, on every machine. There are exactly as many records as asked for. Without
//! disorder each file is in the order of time, every record is valid, and nothing is mentioned before it was brought into the world.
//! Memory holds one hour of events and what is alive: about 0.3 KB per open lead and 0.1 KB per vehicle.
//!
//! **What it is not**: a model of any real dealer. Rates are plausible, round and documented where they stand.
//!
//! Columns of the truth: see [`truth`].

mod agenda;
mod calendar;
mod catalog;
mod deal;
mod dealer;
mod disorder;
mod event;
mod files;
mod hour;
mod journey;
mod lot;
mod pace;
pub(crate) mod random;
mod rhythm;
mod segment;
mod team;
mod text;
pub mod truth;
mod vin;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use calendar::{DAY_MS, HOUR_MS};
pub use calendar::{StartDate, StartDateError};
use disorder::Disorder;
pub use disorder::{BadKind, DisorderCounts, DisorderOptions};
use event::Topic;
use files::Files;
use hour::Hour;
use pace::{Pace, WorldPlan};

/// Greatest number of dealers.
pub const DEALERS_MAX: u32 = 1_000_000;
/// Greatest number of records.
pub const EVENTS_MAX: u64 = 10_000_000_000;
/// Greatest length of a world, in days.
pub const DAYS_MAX: u32 = 3_660;

/// Which world to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateOptions {
    /// The folder to write to; it is created.
    pub output: PathBuf,
    /// Whether files of an earlier world there may be replaced.
    pub overwrite: bool,
    /// Number of dealers, from 1 to [`DEALERS_MAX`].
    pub dealers: u32,
    /// Records over all topics, from 1 to [`EVENTS_MAX`]; with disorder, what it adds included.
    pub events: u64,
    /// The seed of all chance.
    pub seed: u64,
    /// Length of the world in days, from 1 to [`DAYS_MAX`]. The last event falls near its end, rarely more than a day off.
    pub days: u32,
    /// Its first day, in UTC.
    pub start: StartDate,
    /// How much disorder, if any.
    pub disorder: Option<DisorderOptions>,
}

impl SimulateOptions {
    /// 60 days from 2026-01-05, without disorder.
    pub fn new(output: impl Into<PathBuf>, dealers: u32, events: u64, seed: u64) -> Self {
        let (output, start) = (output.into(), StartDate::default());
        SimulateOptions { output, overwrite: false, dealers, events, seed, days: 60, start, disorder: None }
    }

    fn check(&self) -> Result<(), SimulateError> {
        const SHARES_MAX: f64 = 0.5;
        let refuse = |option, problem: String| Err(SimulateError::Option { option, problem });
        if !(1..=DEALERS_MAX).contains(&self.dealers) {
            return refuse("dealers", format!("give a number from 1 to {DEALERS_MAX}, not {}", self.dealers));
        }
        if !(1..=EVENTS_MAX).contains(&self.events) {
            return refuse("events", format!("give a number from 1 to {EVENTS_MAX}, not {}", self.events));
        }
        if !(1..=DAYS_MAX).contains(&self.days) {
            return refuse("days", format!("give a number from 1 to {DAYS_MAX}, not {}", self.days));
        }
        let Some(disorder) = &self.disorder else { return Ok(()) };
        let shares = [
            disorder.duplicate_share,
            disorder.late_share,
            disorder.correction_share,
            disorder.deletion_share,
            disorder.bad_share,
            disorder.unknown_share,
            disorder.format_share,
        ];
        // A share that is not a number fails the first test.
        if !shares.iter().all(|share| (0.0..=SHARES_MAX).contains(share)) || shares.iter().sum::<f64>() > SHARES_MAX {
            return refuse("disorder", format!("give shares that are not negative and add up to at most {SHARES_MAX}"));
        }
        Ok(())
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Records per topic.
    pub events_by_topic: [(&'static str, u64); 5],
    /// Bytes in the topics' files.
    pub bytes: u64,
    /// Number of dealers.
    pub dealers: u32,
    /// Reps who ever worked.
    pub reps: u64,
    /// Leads created.
    pub leads: u64,
    /// Customers who ever enquired.
    pub customers: u64,
    /// Time of the first ordinary event, in UTC milliseconds.
    pub first_ms: i64,
    /// Time of the last ordinary event, in UTC milliseconds.
    pub last_ms: i64,
    /// The folder of the truth.
    pub truth: PathBuf,
    /// What disorder was put in, if any was asked for.
    pub disorder: Option<DisorderCounts>,
}

impl Summary {
    /// Records over all topics.
    pub fn events(&self) -> u64 {
        self.events_by_topic.iter().map(|(_, events)| events).sum()
    }
}

/// Why a world could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// An option is out of its range.
    #[error("the option {option} cannot be used: {problem}")]
    Option {
        /// Which one.
        option: &'static str,
        /// What is wrong and what to give.
        problem: String,
    },
    /// A file of an earlier world is in the way.
    #[error("the file {} exists already: choose another folder, or allow overwriting", path.display())]
    OutputExists {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder cannot be created.
    #[error("{} cannot be created: check the path and its permissions", path.display())]
    Create {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("{} cannot be written: check the space on its disk", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Writes a world: the same options always give the same bytes.
///
/// # Errors
/// [`SimulateError`] if an option is out of range, a file of an earlier world is in the way, or the disk refuses. Files written until
/// then stay.
pub fn simulate(options: &SimulateOptions) -> Result<Summary, SimulateError> {
    options.check()?;
    let mut disorder = options
        .disorder
        .as_ref()
        .map(|disorder| Disorder::new(disorder, options.events, options.dealers, options.seed));
    let ordinary = disorder.as_ref().map_or(options.events, Disorder::ordinary);
    let (seed, start_ms) = (options.seed, options.start.midnight_ms());
    let plan = WorldPlan { seed, dealers: options.dealers, events: ordinary, days: options.days, start_ms };
    let mut files = Files::create(&options.output, options.overwrite)?;
    let sizes = plan.sizes();
    let mut pace = Pace::rehearse(&plan, &sizes);
    let mut dealers = plan.dealers_at(0..plan.dealers, &sizes);

    let mut tally = Tally { first_ms: i64::MAX, ..Tally::default() };
    let mut written = 0;
    let mut hour = Hour::default();
    let mut bytes_by_topic: [Vec<u8>; Topic::COUNT] = Default::default();
    for hours in 0_i64.. {
        let hour_ms = start_ms + hours * HOUR_MS;
        if hours % (DAY_MS / HOUR_MS) == 0 {
            pace.correct((hours * HOUR_MS / DAY_MS) as usize, written);
        }
        hour.begin(hour_ms);
        for dealer in &mut dealers {
            dealer.live(hour_ms, pace.rate(), &mut hour);
        }
        hour.sort();
        let ends = written + hour.len() as u64 >= ordinary;
        if ends {
            hour.keep_first((ordinary - written) as usize);
        }
        written += hour.len() as u64;
        tally.count(&hour);
        files.write_truth(&hour)?;
        if let Some(disorder) = &mut disorder {
            // What waits at the end of the recording is written with its last hour.
            let until_ms = if ends { i64::MAX } else { hour_ms + HOUR_MS };
            disorder.pass(&hour, until_ms, &mut bytes_by_topic);
            for topic in Topic::ALL {
                files.write(topic, &bytes_by_topic[topic as usize])?;
            }
        } else {
            files.write_hour(&hour)?;
        }
        if ends {
            break;
        }
    }
    let mut events_by_topic = Topic::ALL.map(|topic| (topic.name(), tally.by_topic[topic as usize]));
    if let Some(disorder) = &disorder {
        for ((_, events), added) in events_by_topic.iter_mut().zip(disorder.added_by_topic()) {
            *events += added;
        }
    }
    Ok(Summary {
        events_by_topic,
        bytes: files.finish()?,
        dealers: options.dealers,
        reps: tally.reps,
        leads: tally.leads,
        customers: tally.customers,
        first_ms: tally.first_ms,
        last_ms: tally.last_ms,
        truth: files::truth_folder(&options.output),
        disorder: disorder.map(|disorder| disorder.counts().clone()),
    })
}

/// What ordinary events were kept.
#[derive(Debug, Default)]
struct Tally {
    by_topic: [u64; Topic::COUNT],
    reps: u64,
    leads: u64,
    customers: u64,
    first_ms: i64,
    last_ms: i64,
}

impl Tally {
    fn count(&mut self, hour: &Hour) {
        for (topic, count) in hour.topics.iter().zip(&mut self.by_topic) {
            *count += topic.lines.len() as u64;
            if let (Some(first), Some(last)) = (topic.lines.first(), topic.lines.last()) {
                self.first_ms = self.first_ms.min(first.time_ms);
                self.last_ms = self.last_ms.max(last.time_ms);
            }
        }
        let rows = |table| hour.truth.iter().filter(|row| row.table == table).count() as u64;
        self.reps += rows(truth::TruthTable::Reps);
        self.leads += rows(truth::TruthTable::Leads);
        self.customers += rows(truth::TruthTable::Customers);
    }
}
