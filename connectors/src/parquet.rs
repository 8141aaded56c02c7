//! History as Parquet files that become visible by numbered manifests.
//!
//! ```text
//!  batches ─► ParquetSink ─► parquet/<table>/epoch_day=2026-03-01/<first>-<last>.parquet     there, but not visible
//!                                │ WrittenFile
//!                                ▼
//!             Manifest::publish ─► parquet/_manifests/00000000000000000042.json              visible, all at once
//!             compaction, clean_up                 small files become few, and what nobody can be reading goes
//! ```
//! Readers begin at the latest manifest and see the files it names, nothing else. A manifest's number can be taken once: a
//! writer that finds it taken learns that it was replaced, and by whom.

mod clean_up;
pub mod compaction;
mod manifest;
mod writer;

pub use clean_up::clean_up;
pub use manifest::{FORMAT_VERSION, Manifest, ManifestFile, OffsetRange};
pub use writer::{ColumnHints, ParquetSink, WrittenFile};

/// The folder of all history in a store of several things.
pub const FOLDER: &str = "parquet";
