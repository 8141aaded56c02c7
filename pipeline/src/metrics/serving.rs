//! Requests, queries and streams.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGauge};
use sql::engine::QueryOutcome;

use super::declare::Declarations;

/// Requests, queries and streams.
#[derive(Debug)]
pub struct ServingMetrics {
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    query_seconds: HistogramVec,
    queries: IntGauge,
    query_bytes: IntGauge,
    streams: IntGauge,
    streams_free: IntGauge,
    pulse_bytes: IntGauge,
    pulse_skipped: IntGauge,
    commands_waiting: IntGauge,
}

impl ServingMetrics {
    pub(super) fn declare(declare: &mut Declarations) -> Self {
        ServingMetrics {
            requests: declare.counters(
                "dealerflow_http_requests_total",
                &["route", "status"],
                "HTTP requests, by route and class of status.",
            ),
            request_seconds: declare.histograms(
                "dealerflow_http_request_seconds",
                &["route"],
                "Time until the first byte of the answer, in seconds.",
            ),
            query_seconds: declare.histograms(
                "dealerflow_query_seconds",
                &["outcome"],
                "Time that a query took through any door, until its last row was read, in seconds, by outcome (answered, failed, cancelled).",
            ),
            queries: declare.gauge("dealerflow_queries", "Queries under way."),
            query_bytes: declare.gauge("dealerflow_query_bytes", "Memory that queries have taken, in bytes."),
            streams: declare.gauge("dealerflow_http_streams", "Event streams that are open."),
            streams_free: declare
                .gauge("dealerflow_http_streams_free", "Event streams that may be opened beside them."),
            pulse_bytes: declare
                .gauge("dealerflow_pulse_bytes", "Updates kept for readers of the pulse stream, in bytes."),
            pulse_skipped: declare.gauge(
                "dealerflow_pulse_skipped_epochs",
                "Epochs left out of the pulse stream since the start because they came too fast.",
            ),
            commands_waiting: declare
                .gauge("dealerflow_commands_waiting", "Requests that wait for the epoch that holds their event."),
        }
    }

    /// A request was answered.
    pub fn answered(&self, route: &str, status: u16, took: Duration) {
        let class = match status / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.requests.with_label_values(&[route, class]).inc();
        self.request_seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// A query ended.
    pub fn queried(&self, outcome: QueryOutcome, took: Duration) {
        let outcome = match outcome {
            QueryOutcome::Answered => "answered",
            QueryOutcome::Failed => "failed",
            QueryOutcome::Cancelled => "cancelled",
        };
        self.query_seconds.with_label_values(&[outcome]).observe(took.as_secs_f64());
    }

    /// Queries under way, and their memory in bytes.
    pub fn query_load(&self, (queries, bytes): (usize, usize)) {
        self.queries.set(queries as i64);
        self.query_bytes.set(bytes as i64);
    }

    /// How full the streams and the pulse are, and who waits.
    pub fn fullness(&self, open: usize, free: usize, (pulse_bytes, pulse_skipped): (u64, u64), waiting: usize) {
        self.streams.set(open as i64);
        self.streams_free.set(free as i64);
        self.pulse_bytes.set(pulse_bytes as i64);
        self.pulse_skipped.set(pulse_skipped as i64);
        self.commands_waiting.set(waiting as i64);
    }
}
