//! dealerflow, wired: the graph, what drives it, and what makes its results visible.
//!
//! ```text
//!   commands ─┬─▶ replay   files ─▶ graph { chunks, operators, sinks } ─▶ files
//!             └─▶ run      log   ─▶ graph { records, operators, collect } ─▶ log, tables, history, checkpoints
//! ```
//! In both rooms `source`, `committer` and `recovery` (and in `run` the `clock`) are state machines without I/O; drivers do it for them.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should panic"))]

pub mod allocator;
pub mod arrow_rows;
pub mod commands;
pub mod config;
pub mod failure;
pub mod graph;
pub mod http;
pub mod logging;
pub mod logs;
pub mod messages;
pub mod metrics;
pub mod present;
pub mod processes;
pub mod produce;
pub mod replay;
pub mod run;
pub mod serving;
pub mod signals;
pub mod simulate;
pub mod sinks;
