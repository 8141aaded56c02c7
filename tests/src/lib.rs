//! What the end-to-end tests stand on, beside the code under test and knowing nothing of it:
//!
//! ```text
//!  files of events ──► reference ──► the tables they ought to give   (a plain program, no dataflow)
//!  real data       ──► real_data ──► files of events                 (the data itself is never committed)
//!  any bytes       ──► parse_check ─► panics if the parser breaks its word
//!  rows, rows      ──► compare ──► the first differences
//!  arguments       ──► dealerflow ──► the binary's answer, or a panic if it broke a promise of every run
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on should panic"))]

pub mod compare;
pub mod dealerflow;
pub mod parse_check;
pub mod random;
pub mod real_data;
pub mod reference;
