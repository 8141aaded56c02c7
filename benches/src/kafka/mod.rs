//! The pipeline on a real broker: latency, and throughput beside hand-written loops.
//!
//! ```text
//!   broker (deploy/kafka/start) ◀─ events ─ producer (this process)
//!        │ ▲
//!        ▼ │ outputs, epochs: one transaction
//!   dealerflow run          kafka-loop parse | forward
//!        │
//!        ▼
//!   observer (this process, read_committed): which input became readable as a result, and when
//! ```
//! One clock tells both when an event was handed to the producer and when its result was in the observer's hands. What belongs
//! together is told by offsets: a dead letter names its record, a record of `epochs` the ranges of its epoch.

/// Partitions of each topic where nothing else is asked for: what `dealerflow topics create` makes.
pub const PARTITIONS: u32 = 4;

pub mod broker;
pub mod events;
pub mod hand_loop;
pub mod histogram;
pub mod latency;
pub mod observer;
pub mod producer;
pub mod running;
pub mod settings;
pub mod throughput;
