//! Where the dataflow ends: tables as Parquet, messages as topics.

pub mod parquet;
pub mod topics;
