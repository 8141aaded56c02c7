//! Objects: whole files in a folder or a bucket, under one prefix.
//!
//! ```text
//!   file:./data/parquet    a folder       written beside its place, synced, then moved there: whole or absent, also after a power cut
//!   s3://bucket/prefix     S3-compatible  put with `If-None-Match: *` where an object may not replace another
//!   memory                 tests
//!      ▲
//!      └── Objects: put, put_new, get, list, delete ─┬─ parquet (history), checkpoints
//!                                                     └─ NumberedObjects: their manifests, each number taken once
//! ```
//! # What every store guarantees
//! - **Whole or absent.** A reader sees an object as it was put, or none.
//! - **Once.** Of all that put the same new object ([`Objects::put_new`]) one succeeds: this is what fences writers.
//! - **Durable.** What was put is there after a power cut, unless the folder was opened for what can be made again.
//! - **Bounded.** A remote store is asked again when it fails for now, a few times within seconds; then the caller hears of it.

mod error;
mod folder;
mod numbered;
mod s3;
mod store;

#[cfg(test)]
mod tests;

pub use error::ObjectsError;
pub use numbered::{NumberedObject, NumberedObjects};
pub use s3::S3Place;
pub use store::{ListedObject, Objects};
