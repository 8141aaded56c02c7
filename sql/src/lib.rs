//! SQL over dealerflow's tables, through DataFusion.
//!
//! ```text
//!   Parquet files ─▶ versions.<table> ─┬─▶ stored.<table>   the last version of each row ─▶ public.<table> (its view, if it has one)
//!                                      └─▶ history.<table>  every version, with valid_from and valid_to
//! ```
//! The crate knows nothing of the domain: tables come as [`definition::TableDefinition`]s, files as paths. Answers are read-only.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should panic"))]

pub mod access;
pub mod definition;
pub mod difference;
pub mod error;
pub mod format;
pub mod functions;
pub mod session;

pub use definition::{ColumnDefinition, FileEntry, TableDefinition};
pub use error::SqlError;
pub use session::{QueryResult, Session, SessionOptions};
