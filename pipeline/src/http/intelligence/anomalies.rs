//! `GET /api/intelligence/anomalies`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Which, integer, text};
use crate::http::caller::Caller;
use crate::http::extract::Query;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::questions::{Questions, literal};
use crate::http::state::HttpState;

/// Anomalies of one answer, at most.
const LIMIT_MAX: u32 = 1_000;

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HowMany {
    /// At most so many, the newest first; 1 to 1,000.
    #[serde(default = "HowMany::usual")]
    #[param(default = 20, minimum = 1, maximum = 1000)]
    pub limit: u32,
}

impl HowMany {
    const fn usual() -> u32 {
        20
    }
}

/// A lead that is unlike any segment.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnomalyBody {
    /// Since when.
    pub timestamp: Option<String>,
    /// The lead.
    pub lead_id: Option<String>,
    /// The customer.
    pub customer_id: Option<String>,
    /// Its ten features, each 0 to 1.
    #[schema(value_type = Object)]
    pub features: serde_json::Value,
    /// The nearest cluster.
    pub cluster_id: i64,
    /// Why: the features that are furthest off.
    pub reason: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnomaliesBody {
    /// The epoch of the answer.
    pub epoch: i64,
    /// The dealer.
    pub dealer_id: String,
    /// The anomalies, the newest first.
    pub anomalies: Vec<AnomalyBody>,
    /// How many there are in all.
    pub total: i64,
}

/// Shows leads that are unlike any segment
#[utoipa::path(
    get, path = "/api/intelligence/anomalies", tag = "intelligence", params(Which, HowMany),
    responses(
        (status = 200, description = "The anomalies", body = AnomaliesBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn anomalies(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(which): Query<Which>,
    Query(HowMany { limit }): Query<HowMany>,
) -> Result<Json<AnomaliesBody>, Problem> {
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be from 1 to {LIMIT_MAX}")));
    }
    let mut questions = Questions::begin(&state, &caller, which.min_epoch).await?;
    let dealer_id = questions.dealer(&caller, which.dealer_id.as_deref()).await?;
    let (anomalies, total) = anomalies_of(&mut questions, &dealer_id, limit).await?;
    Ok(Json(AnomaliesBody { epoch: questions.epoch(), dealer_id, anomalies, total }))
}

/// A dealer's newest anomalies, and how many there are.
///
/// # Errors
/// As the tables say.
pub async fn anomalies_of(
    questions: &mut Questions<'_>,
    dealer: &str,
    limit: u32,
) -> Result<(Vec<AnomalyBody>, i64), Problem> {
    let own = literal(dealer);
    let query = format!(
        "select lead_id, customer_id, cluster_id, reason, features, detected_at from anomalies where dealer_id = {own} \
         order by detected_at desc, lead_id limit {limit}"
    );
    let rows = questions.ask_model("anomalies", &query).await?;
    let count = format!("select count(*) as total from anomalies where dealer_id = {own}");
    let count = questions.ask_model("anomalies", &count).await?;
    let total = count.first().map_or(0, |row| integer(row, "total"));
    let anomaly = |row: &_| AnomalyBody {
        timestamp: text(row, "detected_at"),
        lead_id: text(row, "lead_id"),
        customer_id: text(row, "customer_id"),
        features: text(row, "features").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        cluster_id: integer(row, "cluster_id"),
        reason: text(row, "reason"),
    };
    Ok((rows.iter().map(anomaly).collect(), total))
}
