//! Numeric models: plain functions and deterministic state, without timely, clocks or chance that is not seeded.

pub mod assignment;
pub mod optimiser;
pub mod oscillators;
pub mod whaco;
