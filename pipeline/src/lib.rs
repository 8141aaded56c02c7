//! dealerflow, wired: the graph, what drives it, and what makes its results visible.
//!
//! ```text
//!   commands ─▶ replay ─▶ graph { replay_source, operators, sinks } ─▶ committer
//!                 └─▶ recovery (what to do with the output folder found)
//! ```
//! `source`, `committer` and `recovery` are state machines without I/O; this crate does the I/O for them.

pub mod allocator;
pub mod arrow_rows;
pub mod committer;
pub mod failure;
pub mod graph;
pub mod recovery;
pub mod replay;
pub mod replay_source;
pub mod sinks;
pub mod source;
