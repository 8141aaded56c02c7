//! The running pipeline, killed again and again: nothing is lost, nothing is there twice, nothing is torn.
//!
//! ```text
//!  seed ─► moments ─► dealerflow: started, SIGKILL ─ again ─ … ─► a run that ends well ─► checks
//!            producer: disordered, duplicated, late, bad events ─┘
//!  checks: dealerflow audit, audit --recompute │ bindings: read from the log, by a reader of their own │ tables: the reference's
//! ```
//! Variables choose how long it takes: `CHAOS_KILLS` (on the embedded log), `CHAOS_KAFKA_KILLS`, `CHAOS_CLUSTER_KILLS`, `CHAOS_SEED`. Every failure names
//! the seed. Kafka needs Java and Maven; where they are missing this is said aloud.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod bindings;
mod embedded;
mod kafka;
mod kafka_broker_gone;
mod kafka_faults;
mod kafka_kills;
mod kafka_refusals;
mod kept;
mod moment;
mod place;
mod processes;
mod produced;
mod running;
mod settings;
