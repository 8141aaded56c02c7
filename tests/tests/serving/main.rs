//! A running pipeline's SQL, as its users meet it: through the wire, with real clients, after restarts, with tokens, and under load.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod asking;
mod clients;
mod consistency;
mod http;
mod restart;
mod served;
mod subscribe;
mod tokens;
mod wire;
