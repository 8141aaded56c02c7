//! State, and the workers that keep it.

use operators::dataflow::statistics::Statistics;
use operators::domain::tables::TableId;
use prometheus::{IntGauge, IntGaugeVec};

use super::declare::Declarations;

/// Workers that have series of their own; those beyond are counted into the last.
const WORKERS_MAX: usize = 64;

/// State and workers.
#[derive(Debug)]
pub struct StateMetrics {
    bytes: IntGauge,
    rows: IntGaugeVec,
    dedup_keys: IntGauge,
    queue: IntGaugeVec,
}

impl StateMetrics {
    pub(super) fn declare(declare: &mut Declarations) -> Self {
        StateMetrics {
            bytes: declare.gauge("dealerflow_state_bytes", "State of all workers, roughly, in bytes."),
            rows: declare.gauges("dealerflow_state_rows", &["table"], "Rows of each live table."),
            dedup_keys: declare.gauge("dealerflow_dedup_keys", "Events remembered against duplicates."),
            queue: declare.gauges(
                "dealerflow_worker_queue_chunks",
                &["worker"],
                "Chunks of records and closes that wait for a worker.",
            ),
        }
    }

    /// Takes over the counts of all workers.
    pub fn observe(&self, statistics: &Statistics) {
        self.bytes.set(statistics.state_bytes as i64);
        self.dedup_keys.set(statistics.dedup_keys as i64);
        for (table, rows) in TableId::ALL.into_iter().zip(statistics.live_rows) {
            self.rows.with_label_values(&[table.table().name]).set(rows);
        }
    }

    /// What waits for a worker.
    pub fn worker(&self, worker: usize, queue: usize) {
        let label = worker.min(WORKERS_MAX - 1).to_string();
        self.queue.with_label_values(&[&label]).set(queue as i64);
    }
}
