//! The binary `dealerflow`, from files of events to answers, as its users run it.
//!
//! ```text
//!  world: events, by hand or simulated ──► dealerflow replay ──► output ──► dealerflow sql ──► tables: against the reference
//!                                                                  └─────────────────────────► files: byte for byte
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod correct;
mod corrections;
mod deterministic;
mod files;
mod folders;
mod golden;
mod identities;
mod models;
mod real_data;
mod rubbish;
mod sql;
mod summary;
mod tables;
mod visible;
mod world;
