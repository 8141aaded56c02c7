//! `dealerflow run` on a broker, with topics of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use operators::domain::event::Topic;

use super::observer::Observer;
use crate::child::{Binaries, Cost, Started, run};
use crate::failure::Failure;

/// How often is looked whether all is bound.
const LOOK: Duration = Duration::from_millis(2);

/// A pipeline's place on a broker: the prefix of its topics, which is its name, too.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// `host:port`.
    pub brokers: &'a str,
    /// What its topics begin with.
    pub prefix: String,
    /// Its folder.
    pub folder: &'a Path,
    /// Partitions of every topic but `epochs`.
    pub partitions: u32,
}

impl Place<'_> {
    fn variables(&self, tables: &str) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.join(&self.prefix).join(name).display().to_string();
        vec![
            ("DEALERFLOW_NAME", self.prefix.trim_end_matches('.').to_owned()),
            ("DEALERFLOW_SOURCE__KIND", "kafka".to_owned()),
            ("DEALERFLOW_KAFKA__BROKERS", self.brokers.to_owned()),
            ("DEALERFLOW_KAFKA__TOPIC_PREFIX", self.prefix.clone()),
            ("DEALERFLOW_DATA_DIR", path("data")),
            ("DEALERFLOW_PIPELINE__TABLES", tables.to_owned()),
            ("RUST_LOG", "info".to_owned()),
        ]
    }

    /// Makes the topics.
    ///
    /// # Errors
    /// If the broker does not.
    pub fn create_topics(&self, binaries: &Binaries) -> Result<(), Failure> {
        let arguments = ["topics", "create", "--partitions", &self.partitions.to_string()].map(Into::into);
        Started::start(&binaries.dealerflow, &arguments, &self.variables("all"))?.wait().map(drop)
    }

    /// Starts the pipeline with these tables (`all` or `daily_kpis`) and worker threads.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, binaries: &Binaries, tables: &str, workers: u64) -> Result<Started, Failure> {
        let arguments = ["run", "-w", &workers.to_string()].map(Into::into);
        Started::start(&binaries.dealerflow, &arguments, &self.variables(tables))
    }

    /// Watches its results.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub fn observe(&self, origin: Instant) -> Result<Observer, Failure> {
        let inputs: Vec<&str> = Topic::ALL.into_iter().map(Topic::name).collect();
        Observer::start(self.brokers, &self.prefix, &inputs, origin)
    }

    /// Runs a hand-written loop over the same topics.
    ///
    /// # Errors
    /// If it fails.
    pub fn run_loop(&self, binaries: &Binaries, mode: &str) -> Result<Cost, Failure> {
        let arguments = [mode, "--brokers", self.brokers, "--prefix", &self.prefix].map(Into::into);
        run(&binaries.kafka_loop, &arguments).map(|(cost, _)| cost)
    }
}

/// Waits until so many records are bound; how long after its start that was.
///
/// # Errors
/// If the pipeline ends before, or it takes too long.
pub fn wait_until_bound(
    run: &mut Started,
    observer: &Observer,
    records: u64,
    patience: Duration,
) -> Result<Duration, Failure> {
    while observer.records_bound() < records {
        if run.age() > patience {
            let what = format!("binding {records} records ({} are bound)", observer.records_bound());
            return Err(Failure::TooSlow { what, seconds: patience.as_secs() });
        }
        let who = if run.has_ended() { "the pipeline" } else { "the reading of its results" };
        if run.has_ended() || observer.has_ended() {
            let (bound, said) = (observer.records_bound(), run.complaints()?);
            let reason = format!("{who} ended with {bound} of {records} records bound:\n{said}");
            return Err(Failure::Broker { what: "the run".to_owned(), reason });
        }
        std::thread::sleep(LOOK);
    }
    Ok(run.age())
}
