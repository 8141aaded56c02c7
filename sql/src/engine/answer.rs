//! Answers on their way, and what stops them.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio::sync::{mpsc, watch};

use crate::error::SqlError;

/// Takes queries back.
pub type CancelSignal = watch::Receiver<u64>;

/// An answer on its way.
#[derive(Debug)]
pub struct Answer {
    /// The epoch that it shows.
    pub epoch: i64,
    /// Its columns.
    pub schema: SchemaRef,
    pub(super) batches: mpsc::Receiver<Result<RecordBatch, SqlError>>,
    pub(super) _task: AbortOnDrop,
}

/// Stops a query whose reader is gone.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Answer {
    /// The next rows; none at the end.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        self.batches.recv().await
    }

    /// All rows.
    ///
    /// # Errors
    /// If the query fails on the way.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, SqlError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }
}

/// Comes back when the query is taken back, and never if it cannot be.
pub(super) async fn cancelled(signal: Option<CancelSignal>) {
    if let Some(mut signal) = signal
        && signal.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
