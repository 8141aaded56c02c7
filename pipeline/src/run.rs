//! A running pipeline.

pub mod binding;
pub mod clock;
pub mod collect;
pub mod committer;
pub mod records;
pub mod recovery;
pub mod source;
