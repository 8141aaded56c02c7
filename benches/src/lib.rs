//! Whole-process benchmarks: the pipeline, side by side with a hand-written loop over the same files.
//!
//! ```text
//!   simulate ─▶ folder of events ─┬─▶ loop --only parse-dedup ─┐
//!                                 ├─▶ loop                     ├─▶ per round: CPU, wall, peak memory ─▶ paired ratios ─▶ table
//!                                 └─▶ dealerflow replay … ×4 ──┘
//! ```
//! Every subject is a process of its own, timed from start to exit by the kernel's books, and the subjects take turns, so that
//! whatever else the machine does falls on all of them alike.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on has failed"))]

pub mod assignment;
pub mod child;
pub mod failure;
pub mod figures;
pub mod flatness;
#[path = "loop/mod.rs"]
pub mod hand_loop;
pub mod input;
pub mod kpi_check;
pub mod oscillators;
pub mod repeat;
pub mod replay;
pub mod table;
pub mod whaco;
