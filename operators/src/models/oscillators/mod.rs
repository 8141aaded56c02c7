//! A dealer's team as coupled oscillators: each rep turns through the cycle ready → mid-deal → closing → paperwork.
//!
//! ```text
//!   rep and deal events ─▶ Network ── advance(time) ─▶ Runge–Kutta steps of 5 min ─▶ phases
//!                             │                          └▶ share of time with somebody ready  (coverage)
//!                             ├─▶ coherence, its band, mean phase
//!                             ├─▶ bottlenecks, mentoring, status of each member
//!                             └─▶ snapshot ⇄ restore, bit by bit
//! ```
//! [`network::Network`] is deterministic: its state is a function of the calls and their times, on every machine and whatever the
//! number of calls to [`network::Network::advance`] between events. [`kuramoto`] is the bare physics, without reps.

pub mod coupling;
pub mod coverage;
pub mod kuramoto;
pub mod member;
pub mod network;
pub mod rhythm;
pub mod sines;
pub mod snapshot;
