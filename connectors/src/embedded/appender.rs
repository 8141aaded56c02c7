//! Appends: one batch of the store each, synced together with those of other threads.

use std::sync::Arc;

use super::store::{Store, WriteError};
use crate::log::{Appended, LogAppender, LogError, OutgoingRecords};

/// A writer of input.
pub struct EmbeddedAppender {
    store: Arc<Store>,
}

impl EmbeddedAppender {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl LogAppender for EmbeddedAppender {
    /// All of the records are written, or none.
    fn append(&mut self, records: &OutgoingRecords, idempotency_key: Option<&[u8]>) -> Result<Appended, LogError> {
        records.check_records(&self.store.config.limits)?;
        let written = self.store.write::<LogError>(records, idempotency_key, |_| Ok(()));
        written.map_err(|failed| match failed {
            WriteError::Before(error) | WriteError::During(error) => error,
        })
    }
}
