//! dealerflow, wired: the graph, what drives it, and what makes its results visible.
//!
//! ```text
//!   commands ─▶ replay ─▶ graph { replay_source, operators, sinks } ─▶ committer
//!                 └─▶ recovery (what to do with the output folder found)
//! ```
//! `source`, `committer` and `recovery` are state machines without I/O; this crate does the I/O for them.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should panic"))]

pub mod allocator;
pub mod arrow_rows;
pub mod commands;
pub mod committer;
pub mod config;
pub mod failure;
pub mod graph;
pub mod recovery;
pub mod replay;
pub mod replay_output;
pub mod replay_source;
pub mod simulate;
pub mod sinks;
pub mod source;
