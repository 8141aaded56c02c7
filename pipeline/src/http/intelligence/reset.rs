//! `POST /api/intelligence/reset`: for admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use sql::access::Role;
use utoipa::ToSchema;

use super::Which;
use super::analyze_customer::json_of;
use crate::http::caller::Caller;
use crate::http::commands::{Command, Results, key_of, record};
use crate::http::extract::Query;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::questions::Questions;
use crate::http::state::HttpState;

/// What was recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetBody {
    /// `recorded`
    pub status: &'static str,
    /// The epoch that holds it.
    pub epoch: i64,
    /// The dealer.
    pub dealer_id: String,
}

/// Makes a dealer's models begin anew
///
/// The command stands in the log as `command.accepted`, and takes effect in its epoch. The clusters forget what leads have taught them, so that
/// the next new lead meets what the first lead of a new dealer meets; every rep's phase is 0 again, and coverage is counted from now on. What
/// happened stays: leads and their reps, deals, skills, shifts. So does what was said of leads, until they are scored again by an event that
/// changes them. A model that is off has nothing to forget.
#[utoipa::path(
    post, path = "/api/intelligence/reset", tag = "intelligence",
    params(Which, ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters")),
    responses(
        (status = 200, description = "It is recorded", body = ResetBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn reset(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, Problem> {
    caller.require(Role::Admin)?;
    let mut questions = Questions::begin(&state, &caller, which.min_epoch).await?;
    let dealer = questions.dealer(&caller, which.dealer_id.as_deref()).await?;
    let key = key_of(&headers)?;
    let place = Results::place(&dealer, "reset", &key);
    if let Some(result) = state.results.of(&place, 0)? {
        return Ok(Json(result));
    }
    let command = Command {
        name: "reset",
        event_type: "command.accepted",
        subject: dealer.clone(),
        dealer: dealer.clone(),
        data: serde_json::json!({"command": "reset", "arguments": {}}),
    };
    let epoch = record(&state, &caller, &key, command).await?;
    let body = json_of(&ResetBody { status: "recorded", epoch, dealer_id: dealer })?;
    state.results.keep(place, 0, &body);
    Ok(Json(body))
}
