//! The HTTP server: events in, questions answered, changes followed, pages shown.
//!
//! ```text
//!   requests ─▶ guard (time, panics, caller, rate) ─┬─▶ events, commands ─▶ appender ─▶ input log ─┐
//!                                                   ├─▶ questions ─▶ live tables                   │ epoch
//!                                                   ├─▶ pulse stream ◀─ ring ◀─────┐               ▼
//!                                                   └─▶ pages, health, metrics     └─ observer ◀─ published epochs
//! ```
//! Writes are events: they go through the log like everybody else's, and are answered when the epoch that holds them is published. What is
//! answered names its epoch. Nothing here touches the dataflow: it hears of published epochs, and never makes them wait.

#![allow(clippy::missing_errors_doc, reason = "a handler's errors stand among its OpenAPI responses")]

pub mod appender;
pub mod caller;
pub mod centroids;
pub mod commands;
pub mod epoch_board;
pub mod events;
pub mod extract;
pub mod guard;
pub mod health;
pub mod intelligence;
pub mod manifest;
pub mod pages;
pub mod problem;
pub mod pulse;
pub mod pulse_pages;
pub mod query;
pub mod questions;
pub mod rate;
pub mod routes;
pub mod scrape;
pub mod server;
pub mod state;
pub mod subscribe;
pub mod teams;
