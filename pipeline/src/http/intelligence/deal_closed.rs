//! `POST /api/intelligence/deal-closed`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use operators::domain::time::format_rfc3339;
use serde::{Deserialize, Serialize};
use sql::access::Role;
use utoipa::ToSchema;

use super::Which;
use super::analyze_customer::json_of;
use crate::http::caller::Caller;
use crate::http::commands::{Command, Results, key_of, record};
use crate::http::epoch_board::fingerprint;
use crate::http::extract::{Json as Body, Query};
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::questions::Questions;
use crate::http::state::HttpState;

/// A deal that was closed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DealClosed {
    /// The dealer; may stand in the query instead.
    pub dealer_id: Option<String>,
    /// Who closed it.
    #[schema(min_length = 1)]
    pub salesperson_id: String,
    /// The deal.
    #[schema(min_length = 1)]
    pub deal_id: String,
}

/// What was recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DealClosedBody {
    /// `recorded`
    pub status: &'static str,
    /// The epoch that holds it.
    pub epoch: i64,
    /// The dealer.
    pub dealer_id: String,
    /// Who closed it.
    pub salesperson_id: String,
    /// The deal.
    pub deal_id: String,
    /// The epoch as a time.
    pub timestamp: String,
}

/// Records that a deal was closed
#[utoipa::path(
    post, path = "/api/intelligence/deal-closed", tag = "intelligence", request_body = DealClosed,
    params(Which, ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters")),
    responses(
        (status = 200, description = "It is recorded", body = DealClosedBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn deal_closed(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(which): Query<Which>,
    headers: HeaderMap,
    Body(closed): Body<DealClosed>,
) -> Result<Json<serde_json::Value>, Problem> {
    caller.require(Role::Operator)?;
    let named = closed.dealer_id.as_deref().or(which.dealer_id.as_deref());
    let mut questions = Questions::begin(&state, &caller, which.min_epoch).await?;
    let dealer = questions.dealer(&caller, named).await?;
    let key = key_of(&headers)?;
    let request = fingerprint(json_of(&closed)?.to_string().as_bytes());
    let place = Results::place(&dealer, "deal-closed", &key);
    if let Some(result) = state.results.of(&place, request)? {
        return Ok(Json(result));
    }
    let command = Command {
        name: "deal-closed",
        event_type: "deal.closed",
        subject: closed.deal_id.clone(),
        dealer: dealer.clone(),
        data: serde_json::json!({"dealId": closed.deal_id, "repId": closed.salesperson_id}),
    };
    let epoch = record(&state, &caller, &key, command).await?;
    let body = json_of(&DealClosedBody {
        status: "recorded",
        epoch,
        dealer_id: dealer,
        salesperson_id: closed.salesperson_id,
        deal_id: closed.deal_id,
        timestamp: format_rfc3339(epoch),
    })?;
    state.results.keep(place, request, &body);
    Ok(Json(body))
}
