//! SQL over dealerflow's tables, through DataFusion.
//!
//! ```text
//!   a replay's files ──────▶ versions.<table> ─┬─▶ stored.<table> ─▶ public.<table> (its view, if it has one)        session
//!   a pipeline's epochs ─▶ live: stored.<table> ┤                                                                    live
//!            files and tail ─▶ versions.<table> ┴─▶ history.<table>  every version, with valid_from and valid_to
//!   callers ─▶ postgres, HTTP ─▶ engine: who asks, which epoch, limits ─▶ rows                                       engine, postgres
//! ```
//! The crate knows nothing of the domain: tables come as [`definition::TableDefinition`]s, files as paths, changes as Arrow. Answers are
//! read-only.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should panic"))]

pub mod access;
pub mod catalog;
pub mod definition;
pub mod difference;
pub mod engine;
pub mod error;
pub mod format;
pub mod functions;
pub mod live;
pub mod postgres;
pub mod priority;
pub mod session;
mod views;

pub use definition::{ColumnDefinition, FileEntry, TableDefinition};
pub use error::SqlError;
pub use session::{QueryResult, Session, SessionOptions};
