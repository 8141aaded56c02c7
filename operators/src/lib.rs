//! The pure core of dealerflow.
//!
//! ```text
//!   domain     vocabulary: events, parsing, order, merge rule, tables        (no timely)
//!   models     clusters and what else learns                             (no timely)
//!   dataflow   the driver of machines, the entity machine, the views         (timely, differential)
//! ```
//!
//! Nothing here does I/O, reads a clock, draws an unseeded random number or iterates a hash map: **it cannot fail and it cannot
//! differ**. Bad input is data (a [`domain::rejection::Rejection`]), and what is worth counting is counted in plain fields that
//! `pipeline` exports.

pub mod dataflow;
pub mod domain;
pub mod models;
