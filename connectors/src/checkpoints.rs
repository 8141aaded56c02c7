//! Checkpoints: state in an object store, complete or not there at all.
//!
//! ```text
//!  parts of state ─► write_blob ─► checkpoints/blobs/<number>-<incarnation>-<sequence>.zst     there, but of no checkpoint
//!                        │ CheckpointBlob
//!                        ▼
//!                    commit ─────► checkpoints/_manifests/00000000000000000042.json             a checkpoint, all at once
//!                        ▼
//!                    clean_up      what no kept manifest names, one clean-up after it was found so
//! ```
//! A manifest names every blob that restoring needs, from the bases to the last delta and in the order of reading, so it alone tells
//! the whole checkpoint. Its number can be taken once. Whoever opens the checkpoints to write takes the next number at once, with the
//! state as it is: a writer before it finds the number taken, learns by whom, and writes no more.

mod error;
mod manifest;
mod writer;

#[cfg(test)]
mod tests;

pub use error::CheckpointsError;
pub use manifest::{CheckpointBlob, CheckpointManifest, FORMAT_VERSION, Skipped};
pub use writer::{CheckpointSettings, Checkpoints};

/// The folder of all checkpoints in a store of several things.
pub const FOLDER: &str = "checkpoints";
