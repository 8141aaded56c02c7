//! Bytes in, bytes out: files of events, output topics and Parquet.
//!
//! ```text
//!  folder of .jsonl[.gz|.zst] ──► files::discover ──► files::open_all ──► files::Index ──► files::ChunkReader ──► lines
//!  lines        ──► topics::JsonLinesSink  ──► DIR/topics/<topic>.jsonl
//!  record batches ──► parquet::ParquetSink ──► DIR/parquet/<table>/epoch_day=…/….parquet ──► parquet::Manifest
//!  log::Log: kafka::KafkaLog (a cluster) or embedded::EmbeddedLog (a folder) ──► records in, transactions out
//!  parts of state ──► checkpoints::Checkpoints ──► checkpoints/blobs/….zst ──► checkpoints::CheckpointManifest
//!  objects::Objects, a folder or a bucket, is what history and checkpoints lie in
//! ```
//! This crate never sees the domain: a line is bytes with a time that the caller reads from it, a row is an Arrow row,
//! an epoch is a number of milliseconds. Bad bytes are data and travel on; only broken I/O is an error, typed in
//! [`error`] with what happened, where, and how to mend it.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should panic"))]

pub mod checkpoints;
pub mod embedded;
pub mod error;
pub mod files;
pub mod kafka;
pub mod log;
pub mod objects;
pub mod parquet;
#[cfg(feature = "testing")]
pub mod testing;
pub mod topics;

pub use checkpoints::CheckpointsError;
pub use error::{FilesError, HistoryError, TopicsError};
pub use objects::ObjectsError;
