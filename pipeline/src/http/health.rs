//! Whether the process lives, and whether it answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Problem, ProblemDocument};
use super::state::HttpState;

/// How the pipeline is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`
    pub status: &'static str,
    /// The newest published epoch, in milliseconds since 1970; null before the first.
    pub epoch: Option<i64>,
    /// Version of dealerflow.
    pub version: &'static str,
}

impl Health {
    /// How it is now.
    pub fn now(state: &HttpState) -> Self {
        Health { status: "ok", epoch: state.board.newest(), version: env!("CARGO_PKG_VERSION") }
    }
}

/// Says that the process lives
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses((status = 200, body = Health)))]
pub async fn healthz(State(state): State<Arc<HttpState>>) -> Json<Health> {
    Json(Health::now(&state))
}

/// Says whether questions are answered
///
/// Not before the pipeline has caught up with what was recorded before its start, and not once it is ending.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", security(()),
    responses(
        (status = 200, body = Health),
        (status = 503, description = "Not yet", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn readyz(State(state): State<Arc<HttpState>>) -> Result<Json<Health>, Problem> {
    if !state.is_ready() {
        return Err(Problem::unavailable("the pipeline is starting or ending: ask again soon"));
    }
    Ok(Json(Health::now(&state)))
}
