//! What tests of logs and stores share, of this crate and of others: feature `testing`.
//!
//! ```text
//!  conformance   the log's contract as checks; every log must pass them
//!  crash         a process that commits until it is killed, and the proof of what it left
//!  broker        a real Kafka broker for as long as the test process lives
//!  faulty_objects  a store in memory that fails by one seed
//!  s3            an S3-compatible server, likewise
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a check fails by panicking")]

pub mod broker;
pub mod conformance;
pub mod crash;
pub mod faulty_objects;
mod helpers;
pub mod s3;

pub use broker::TestBroker;
pub use helpers::{Owned, group_of, read_to_end, records_of, start_at, topic};
pub use s3::TestS3;
