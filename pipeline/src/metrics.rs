//! Everything that is counted, registered once.
//!
//! ```text
//!   run, http ─▶ Metrics { log, epochs, events, state, stores, http } ─▶ one registry ─▶ GET /metrics
//! ```
//! Names are `dealerflow_<part>_<what>_<unit>[_total]`, in Prometheus base units. Labels are of bounded sets: topics, partitions (the first
//! 64 of a topic), tables, reason codes, routes, workers; never an entity, a dealer or anything else that a caller may choose.
//! `docs/metrics.md` lists each; a test holds list, code, dashboards and alert rules together.

mod declare;
mod epochs;
mod events;
mod log;
mod reading;
mod serving;
mod state;
mod stores;
#[cfg(test)]
mod tests;

use prometheus::{Encoder, TextEncoder};

use self::declare::Declarations;
pub use self::declare::{Declaration, Kind};
pub use self::epochs::EpochMetrics;
pub use self::events::EventMetrics;
pub use self::log::{LogMetrics, PARTITIONS_MAX, PartitionSample};
pub use self::reading::{Reading, Series};
pub use self::serving::ServingMetrics;
pub use self::state::StateMetrics;
pub use self::stores::StoreMetrics;

/// All metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: prometheus::Registry,
    declarations: Vec<Declaration>,
    /// Input and output topics.
    pub log: LogMetrics,
    /// Epochs on their way.
    pub epochs: EpochMetrics,
    /// Events, by what became of them.
    pub events: EventMetrics,
    /// State, and the workers that keep it.
    pub state: StateMetrics,
    /// Checkpoints and history.
    pub stores: StoreMetrics,
    /// Requests, queries and streams.
    pub http: ServingMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut declare = Declarations::default();
        let log = LogMetrics::declare(&mut declare);
        let epochs = EpochMetrics::declare(&mut declare);
        let events = EventMetrics::declare(&mut declare);
        let state = StateMetrics::declare(&mut declare);
        let stores = StoreMetrics::declare(&mut declare);
        let http = ServingMetrics::declare(&mut declare);
        let (registry, declarations) = declare.finish();
        Metrics { registry, declarations, log, epochs, events, state, stores, http }
    }
}

impl Metrics {
    /// What each metric is, in the order of the documentation; without those of the process, which Prometheus names.
    pub fn declarations(&self) -> &[Declaration] {
        &self.declarations
    }

    /// All series as numbers.
    pub fn reading(&self) -> Reading {
        Reading::new(self.registry.gather())
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            // Only a metric that was never registered, or has two forms, cannot be written.
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }
}
