//! What every handler sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sql::engine::Engine;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::appender::Appender;
use super::caller::Callers;
use super::centroids::Centroids;
use super::commands::Results;
use super::epoch_board::EpochBoard;
use super::manifest::{Manifest, Readings};
use super::problem::Problem;
use super::pulse::Pulse;
use super::rate::Rates;
use super::teams::Teams;
use crate::metrics::Metrics;

/// Bounds of the server.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// The longest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// The longest a request may take.
    pub timeout: Duration,
    /// Requests a second of one caller.
    pub requests_per_second: u32,
    /// Event streams that are open at once.
    pub streams_max: usize,
}

/// The state of the server, shared by all requests.
#[derive(Debug)]
pub struct HttpState {
    /// Who may call.
    pub callers: Callers,
    /// How often.
    pub rates: Rates,
    /// Which epochs are published.
    pub board: Arc<EpochBoard>,
    /// Answers questions over the live tables.
    pub engine: Arc<Engine>,
    /// Updates for followers.
    pub pulse: Arc<Pulse>,
    /// The way into the log.
    pub appender: Appender,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The last word on each team.
    pub teams: Arc<Teams>,
    /// The published centroids of each dealer.
    pub centroids: Arc<Centroids>,
    /// Results of commands, for repeats.
    pub results: Results,
    /// What each system promises.
    pub manifest: Manifest,
    /// What was counted a few minutes ago.
    pub readings: Readings,
    /// Bounds.
    pub limits: HttpLimits,
    /// Set when the server ends: streams end with it.
    pub ended: watch::Sender<bool>,
    /// Set once the pipeline has caught up with what was recorded before its start.
    pub ready: Arc<AtomicBool>,
    /// Free places for event streams.
    pub streams: Arc<Semaphore>,
}

impl HttpState {
    /// A place for an event stream, until it is dropped.
    ///
    /// # Errors
    /// If as many are open as may be.
    pub fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let open = self.limits.streams_max;
            Problem::unavailable(format!("{open} streams are open, which is the limit: close one, or try again later"))
        })
    }

    /// Whether questions can be answered.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !*self.ended.borrow()
    }
}
