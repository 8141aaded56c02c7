//! WHACO clustering: Weighted Heuristic Adaptive Clustering with Outliers.
//!
//! ```text
//!   lead ─▶ features ─┬─▶ seed:  the user's formulas, bit for bit                    seed.rs, seed_stream.rs
//!                     └─▶ model: sample, distance ─▶ score ─▶ rarity ─▶ outlier      model.rs, sample.rs, scale.rs, typical.rs, tail.rs
//!                              └ centroids ─▶ cluster, confidence                    clusters.rs, recluster.rs, confidence.rs
//!   lead.rs: segments by rule, priorities with and without credit data, reasons      segment.rs, reason.rs
//! ```
//! Contract: one pass; the state is bounded ([`settings::Settings::state_bytes`]) and a snapshot of it goes on bit for bit; every row is
//! scored by what the rows before it taught; the same rows in the same order give the same bits on every machine.

mod clusters;
mod confidence;
mod exponential;
pub mod features;
pub mod lead;
pub mod model;
#[cfg(test)]
mod model_tests;
pub mod outlier_log;
mod random;
pub mod reason;
mod recluster;
mod sample;
mod scale;
pub mod seed;
pub mod seed_stream;
pub mod segment;
pub mod settings;
pub mod sizes;
pub mod snapshot;
mod tail;
mod typical;
