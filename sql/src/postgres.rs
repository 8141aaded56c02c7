//! The PostgreSQL wire protocol over the engine.
//!
//! ```text
//!   listener ─▶ (TLS) ─▶ frames, checked ─▶ startup: SCRAM-SHA-256 with a token, or nobody asks on this machine ─▶ Connection
//!   Connection: simple and extended queries ─▶ statement: what is it? ─▶ answer.rs, commands.rs, copy.rs ─▶ Engine
//! ```
//! Each answer names its epoch in the parameter status `dealerflow.epoch`, before its rows.

mod answer;
mod cancel;
pub(crate) mod catalog;
mod commands;
mod connection;
mod conversation;
mod copy;
mod frames;
mod parameters;
pub mod server;
mod startup;
pub(crate) mod statement;

pub use server::{Server, ServerError, ServerSettings, TlsFiles};
