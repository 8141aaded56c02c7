//! The first thing that went wrong in any worker.
//!
//! Workers cannot return errors through the dataflow: they leave them here, the sources see it and stop, the graph drains, and the
//! command reports the sentence.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Shared by all workers of a run.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    failed: Arc<AtomicBool>,
    sentence: Arc<Mutex<Option<String>>>,
}

impl Failure {
    /// Keeps the first error, with the whole chain of its causes.
    pub fn report(&self, error: &dyn std::error::Error) {
        self.failed.store(true, Ordering::Release);
        let mut sentence = self.sentence.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sentence.get_or_insert_with(|| error.to_string());
    }

    /// Whether anything went wrong.
    pub fn is_set(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// What went wrong first.
    pub fn take(&self) -> Option<String> {
        self.sentence.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}
