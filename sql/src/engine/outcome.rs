//! How queries end, and who hears of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryOutcome {
    /// Its last row was read.
    Answered,
    /// With an error, its limits included.
    Failed,
    /// It was taken back, or its reader went.
    Cancelled,
}

/// Hears of the end of each query that was planned, and how long it took, waiting for its turn, its epoch and its reader included.
pub type OnQuery = Box<dyn Fn(QueryOutcome, Duration) + Send + Sync>;

/// A query on its way: whatever becomes of it, its end is told.
pub(super) struct Measured {
    engine: Arc<Engine>,
    begun: Instant,
    outcome: QueryOutcome,
}

impl Measured {
    pub(super) fn begin(engine: &Arc<Engine>) -> Self {
        // Whoever says nothing of the end was dropped on the way.
        Measured { engine: Arc::clone(engine), begun: Instant::now(), outcome: QueryOutcome::Cancelled }
    }

    pub(super) fn end(mut self, outcome: QueryOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        (self.engine.on_query)(self.outcome, self.begun.elapsed());
    }
}
