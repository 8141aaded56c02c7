//! What a query is pinned to: one snapshot, and who asks.
//!
//! A query's plan names tables; which rows they have is decided by the pin that its session carries while it is planned for execution.
//! So plans, views and prepared statements outlive epochs, and all scans of one execution see one snapshot. A scan without a pin is refused.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::error::DataFusionError;

use super::Snapshot;
use crate::access::Access;

/// One execution's snapshot and caller.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    /// What is seen.
    pub(crate) snapshot: Arc<Snapshot>,
    /// The epoch that was asked for, if it is not simply the snapshot's.
    pub(crate) as_of: Option<i64>,
    /// Whether memory has let that epoch go, so that the tables are read from history.
    pub(crate) from_history: bool,
    /// Who sees it.
    pub(crate) access: Arc<Access>,
}

impl Pin {
    /// The epoch of the answer.
    pub(crate) fn epoch(&self) -> i64 {
        self.as_of.unwrap_or(self.snapshot.epoch)
    }

    /// The pin of the execution that is being planned.
    pub(crate) fn of(session: &dyn Session) -> Result<Arc<Pin>, DataFusionError> {
        session
            .config()
            .get_extension::<Pin>()
            .ok_or_else(|| DataFusionError::Internal("a live table was scanned outside a query".to_owned()))
    }
}
