//! From an event handed to the producer to its result in the hands of a reader of committed records, at a steady rate.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::broker::Broker;
use super::events::{Bad, Events};
use super::histogram::Latencies;
use super::observer::{Cause, Observed, Seen};
use super::producer::{Handed, produce};
use super::running::{Place, wait_until_bound};
use crate::child::{Binaries, Cost};
use crate::failure::Failure;
use crate::figures::Target;
use crate::input::{InputFolder, scratch_folder};

/// One of so many records is bad, so that there is a result for single records.
const BAD_ONE_OF: usize = 20;
/// Events of the first seconds do not count: caches and connections are cold, and the broker's virtual machine compiles its code on the
/// cores that all share.
const WARM_UP: Duration = Duration::from_secs(15);
/// How long the pipeline may take for what is left at the end.
const CATCH_UP_MAX: Duration = Duration::from_mins(1);
/// What is promised of the 99th percentile.
const P99_MS_MAX: f64 = 100.0;

/// How the measurement is made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Events a second.
    pub rate: u64,
    /// How long.
    pub seconds: u64,
    /// Worker threads.
    pub workers: u64,
    /// Partitions of each topic.
    pub partitions: u32,
    /// Seed of the simulated world.
    pub seed: u64,
}

/// What was measured.
#[derive(Debug)]
pub struct Latency {
    settings: Settings,
    outputs: Latencies,
    bound: Latencies,
    /// The greatest latency of the events of each second, in milliseconds, from the first that counts.
    greatest_ms: Vec<f64>,
    epochs: u64,
    cost: Cost,
}

/// Measures.
///
/// # Errors
/// If broker, producer or pipeline fail.
pub fn measure(binaries: &Binaries, settings: Settings, say: impl Fn(&str)) -> Result<Latency, Failure> {
    let count = (settings.rate * settings.seconds) as usize;
    say(&format!("simulating {count} events"));
    let input = InputFolder::recent(binaries, count as u64, settings.seed)?;
    let events = Events::of_folder(input.path(), Bad::OneOf(BAD_ONE_OF))?;
    let count = count.min(events.len());
    let broker = Broker::start()?;
    let folder = scratch_folder()?;
    let place = Place {
        brokers: broker.address(),
        prefix: "latency.".to_owned(),
        folder: folder.path(),
        partitions: settings.partitions,
    };
    place.create_topics(binaries)?;
    let origin = Instant::now();
    let observer = place.observe(origin)?;
    let mut run = place.start(binaries, "all", settings.workers)?;
    say(&format!("{} events a second for {} s", settings.rate, settings.seconds));
    let handed = produce(place.brokers, &place.prefix, &events, count, Some(settings.rate), origin)?;
    let patience = run.age() + CATCH_UP_MAX;
    wait_until_bound(&mut run, &observer, count as u64, patience)?;
    let (cost, _) = run.terminate()?;
    let observed = observer.finish()?;
    Ok(judge(settings, &events, &handed, &observed, &place.prefix, cost))
}

fn judge(
    settings: Settings,
    events: &Events,
    handed: &Handed,
    observed: &Observed,
    prefix: &str,
    cost: Cost,
) -> Latency {
    let first_us = handed.moments_us.first().copied().unwrap_or_default() + WARM_UP.as_micros() as u64;
    let by_id: HashMap<(&[u8], &str), usize> = (0..handed.moments_us.len())
        .filter_map(|number| events.get(number).map(|event| ((event.key, event.id), number)))
        .collect();
    let latencies = |seen: &[Seen], greatest_ms: &mut Vec<f64>| {
        let mut latencies_ms = Vec::new();
        for Seen { cause, seen_us } in seen {
            let mut add = |handed_us: u64| {
                if handed_us >= first_us {
                    let latency_ms = seen_us.saturating_sub(handed_us) as f64 / 1_000.0;
                    latencies_ms.push(latency_ms);
                    let second = ((handed_us - first_us) / 1_000_000) as usize;
                    greatest_ms.resize(greatest_ms.len().max(second + 1), 0.0);
                    greatest_ms[second] = greatest_ms[second].max(latency_ms);
                }
            };
            match cause {
                Cause::Records { topic, partition, first, next } => {
                    let Some(numbers) = handed.numbers.get(&(format!("{prefix}{topic}"), *partition)) else { continue };
                    let numbers = numbers.iter().take(*next as usize).skip(*first as usize);
                    numbers.filter_map(|number| handed.moments_us.get(*number as usize)).for_each(|us| add(*us));
                }
                // The last cause is the one that the result waited for.
                Cause::Events { dealer, ids } => {
                    let numbers = ids.iter().filter_map(|id| by_id.get(&(dealer.as_bytes(), id.as_str())));
                    numbers
                        .filter_map(|number| handed.moments_us.get(*number))
                        .max()
                        .into_iter()
                        .for_each(|us| add(*us));
                }
            }
        }
        Latencies::of(latencies_ms)
    };
    let mut greatest_ms = Vec::new();
    let outputs = latencies(&observed.outputs, &mut Vec::new());
    let bound = latencies(&observed.bound, &mut greatest_ms);
    Latency { settings, outputs, bound, greatest_ms, epochs: observed.epochs, cost }
}

impl fmt::Display for Latency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { rate, seconds, workers, partitions, .. } = self.settings;
        writeln!(
            formatter,
            "{rate} events a second for {seconds} s, {workers} workers, {partitions} partitions a topic, {} epochs",
            self.epochs
        )?;
        writeln!(
            formatter,
            "the pipeline took {:.1} s user and {:.1} s system CPU\n",
            self.cost.user.as_secs_f64(),
            self.cost.system.as_secs_f64()
        )?;
        writeln!(
            formatter,
            "event produced → its output message readable (every {BAD_ONE_OF}th record is bad, and models' outputs)"
        )?;
        writeln!(formatter, "{}", self.outputs)?;
        writeln!(formatter, "event produced → its epoch's record readable (every event)")?;
        writeln!(formatter, "{}", self.bound)?;
        write!(formatter, "greatest of each second's events, ms:")?;
        for (second, greatest_ms) in self.greatest_ms.iter().enumerate() {
            let gap = if second % 20 == 0 { "\n " } else { "" };
            write!(formatter, "{gap} {greatest_ms:.0}")?;
        }
        writeln!(formatter, "\n")?;
        let target = Target::AtMost(P99_MS_MAX);
        for (name, latencies) in [("outputs", &self.outputs), ("epochs", &self.bound)] {
            let p99 = latencies.percentile(0.99).unwrap_or(f64::INFINITY);
            writeln!(formatter, "p99 of {name}: {p99:.1} ms, target {target} ms: {}", target.verdict(p99))?;
        }
        Ok(())
    }
}
