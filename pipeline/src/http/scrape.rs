//! `GET /metrics`: what Prometheus reads.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::caller::Caller;
use super::problem::{Problem, ProblemDocument};
use super::state::HttpState;

/// The metrics of the whole pipeline, in Prometheus' text format
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses(
        (status = 200, description = "Metrics", content_type = "text/plain", body = String),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn metrics(State(state): State<Arc<HttpState>>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    caller.require_all_dealers()?;
    let free = state.streams.available_permits();
    let open = state.limits.streams_max - free.min(state.limits.streams_max);
    state.metrics.http.query_load(state.engine.load());
    state.metrics.http.fullness(open, free, state.pulse.fullness(), state.board.sweep());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.text()))
}
