//! `GET /api/intelligence/insights` and `GET /api/intelligence/health`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Which;
use super::anomalies::{AnomalyBody, anomalies_of};
use super::customer_segments::{SegmentsBody, segments_of};
use super::team_status::{TeamStatusBody, team_of};
use crate::http::caller::Caller;
use crate::http::extract::Query;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::questions::Questions;
use crate::http::state::HttpState;

/// Anomalies among the insights.
const ANOMALIES: u32 = 20;

/// Team, segments and anomalies at one instant.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsightsBody {
    /// The epoch of the answer.
    pub epoch: i64,
    /// The dealer.
    pub dealer_id: String,
    /// The team.
    pub team_status: TeamStatusBody,
    /// The segments.
    pub segments: SegmentsBody,
    /// The newest anomalies.
    pub anomalies: Vec<AnomalyBody>,
}

/// Joins team, segments and anomalies at one instant
#[utoipa::path(
    get, path = "/api/intelligence/insights", tag = "intelligence", params(Which),
    responses(
        (status = 200, description = "The insights", body = InsightsBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn insights(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<InsightsBody>, Problem> {
    let mut questions = Questions::begin(&state, &caller, which.min_epoch).await?;
    let dealer_id = questions.dealer(&caller, which.dealer_id.as_deref()).await?;
    let team_status = team_of(&state, &mut questions, &dealer_id).await?;
    let segments = segments_of(&mut questions, &dealer_id).await?;
    let (anomalies, _) = anomalies_of(&mut questions, &dealer_id, ANOMALIES).await?;
    Ok(Json(InsightsBody { epoch: questions.epoch(), dealer_id, team_status, segments, anomalies }))
}

/// How the intelligence is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntelligenceHealth {
    /// `ok`, or `starting` until what was recorded before the start is through.
    pub status: &'static str,
    /// The epoch that the tables show.
    pub epoch: i64,
    /// Tables that the models fill.
    pub tables: Vec<String>,
}

/// Says how the intelligence is
#[utoipa::path(
    get, path = "/api/intelligence/health", tag = "intelligence",
    responses(
        (status = 200, description = "How it is", body = IntelligenceHealth),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn health(State(state): State<Arc<HttpState>>, _caller: Caller) -> Json<IntelligenceHealth> {
    let of_models = ["segments", "segment_members", "anomalies", "team_status", "lead_assignments"];
    let definitions = state.engine.tables().definitions();
    let tables = definitions.iter().map(|table| table.name.clone()).filter(|name| of_models.contains(&name.as_str()));
    let status = if state.is_ready() { "ok" } else { "starting" };
    Json(IntelligenceHealth { status, epoch: state.engine.tables().epoch(), tables: tables.collect() })
}
