//! A running pipeline.

pub mod binding;
pub mod clock;
pub mod collect;
pub mod commits;
pub mod committer;
pub mod engine;
pub mod feeder;
pub mod live;
pub mod records;
pub mod recovery;
pub mod source;
pub mod starting;
