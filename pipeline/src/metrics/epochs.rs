//! Epochs on their way: closed, committed, published.

use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::declare::Declarations;

/// Epochs.
#[derive(Debug)]
pub struct EpochMetrics {
    published: IntCounter,
    commit_seconds: Histogram,
    publish_seconds: Histogram,
    newest: Gauge,
    waiting: IntGauge,
    window_bytes: IntGauge,
    window_bytes_max: IntGauge,
    oldest_open_seconds: Gauge,
}

impl EpochMetrics {
    pub(super) fn declare(declare: &mut Declarations) -> Self {
        EpochMetrics {
            published: declare.counter("dealerflow_epochs_published_total", "Epochs whose results may be seen."),
            commit_seconds: declare.histogram(
                "dealerflow_epoch_commit_seconds",
                "Time from the close of an epoch until its transaction is committed, in seconds.",
            ),
            publish_seconds: declare.histogram(
                "dealerflow_epoch_publish_seconds",
                "Time from the commit of an epoch until tables and subscribers have it, in seconds.",
            ),
            newest: declare.seconds_gauge(
                "dealerflow_epoch_newest_timestamp_seconds",
                "The newest published epoch, in seconds since 1970.",
            ),
            waiting: declare.gauge("dealerflow_epochs_waiting", "Epochs that are closed and not published."),
            window_bytes: declare.gauge(
                "dealerflow_input_window_bytes",
                "Input that was read and whose results are not settled, in bytes.",
            ),
            window_bytes_max: declare
                .gauge("dealerflow_input_window_max_bytes", "How much of it there may be, in bytes."),
            oldest_open_seconds: declare.seconds_gauge(
                "dealerflow_transaction_open_seconds",
                "Age of the oldest epoch that is closed and not committed, in seconds; 0 if there is none.",
            ),
        }
    }

    /// An epoch was committed, so long after its close; none if an earlier run did it.
    pub fn committed(&self, after_close: Option<Duration>) {
        if let Some(after_close) = after_close {
            self.commit_seconds.observe(after_close.as_secs_f64());
        }
    }

    /// The tables show an epoch, so long after its commit.
    pub fn shown(&self, epoch: i64, after_commit: Duration) {
        self.published.inc();
        self.publish_seconds.observe(after_commit.as_secs_f64());
        self.newest.set(epoch as f64 / 1_000.0);
    }

    /// How many epochs wait to be published, and how old the oldest is.
    pub fn waiting(&self, epochs: usize, oldest: Duration) {
        self.waiting.set(epochs as i64);
        self.oldest_open_seconds.set(oldest.as_secs_f64());
    }

    /// How full the window is.
    pub fn window(&self, bytes: u64, bytes_max: u64) {
        self.window_bytes.set(bytes as i64);
        self.window_bytes_max.set(bytes_max as i64);
    }
}
