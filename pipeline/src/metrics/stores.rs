//! Checkpoints and history.

use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::declare::Declarations;

/// Checkpoints and history.
#[derive(Debug)]
pub struct StoreMetrics {
    checkpoint_seconds: Histogram,
    checkpoint_bytes: IntGauge,
    checkpoint_epoch: Gauge,
    history_seconds: Histogram,
    history_epoch: Gauge,
    failures: IntCounter,
}

impl StoreMetrics {
    pub(super) fn declare(declare: &mut Declarations) -> Self {
        StoreMetrics {
            checkpoint_seconds: declare
                .histogram("dealerflow_checkpoint_seconds", "Time that writing a checkpoint took, in seconds."),
            checkpoint_bytes: declare.gauge("dealerflow_checkpoint_bytes", "Bytes that the last checkpoint wrote."),
            checkpoint_epoch: declare.seconds_gauge(
                "dealerflow_checkpoint_timestamp_seconds",
                "Epoch of the last checkpoint, in seconds since 1970; 0 before the first of a run.",
            ),
            history_seconds: declare
                .histogram("dealerflow_history_write_seconds", "Time that making history visible took, in seconds."),
            history_epoch: declare.seconds_gauge(
                "dealerflow_history_timestamp_seconds",
                "Epoch up to which history is visible, in seconds since 1970; 0 before the first write of a run.",
            ),
            failures: declare.counter(
                "dealerflow_store_failures_total",
                "Writes of checkpoints and history that failed and are tried again.",
            ),
        }
    }

    /// A checkpoint was written.
    pub fn checkpoint(&self, epoch: i64, bytes: u64, took: Duration) {
        self.checkpoint_seconds.observe(took.as_secs_f64());
        self.checkpoint_bytes.set(bytes as i64);
        self.checkpoint_epoch.set(epoch as f64 / 1_000.0);
    }

    /// History is visible up to an epoch.
    pub fn history(&self, epoch: i64, took: Duration) {
        self.history_seconds.observe(took.as_secs_f64());
        self.history_epoch.set(epoch as f64 / 1_000.0);
    }

    /// A write failed and is tried again.
    pub fn failed(&self) {
        self.failures.inc();
    }
}
