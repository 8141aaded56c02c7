//! The dataflow: one driver, machines, and the views over what they emit.
//!
//! ```text
//!  EventBatch ─exchange by dealer─▶ driver { entity machine, models } ─┬─▶ rows of tables
//!                                                                     ├─▶ daily_kpis ─▶ rows
//!                                                                     ├─▶ reps (differential: reps ⋈ counts of deals) ─▶ rows
//!                                                                     ├─▶ dead letters, messages of the models
//!                                                                     └─▶ epoch counts
//! ```

pub mod customers;
pub mod daily_kpis;
mod daily_kpis_snapshot;
pub mod driver;
pub mod entities;
mod entity_models;
pub mod entity_rows;
mod entity_snapshot;
pub mod expiry;
pub mod facts;
pub mod intelligence;
pub mod letters;
pub mod rep_names;
pub mod reps;
pub mod snapshot;
pub mod sources;
pub mod statistics;
