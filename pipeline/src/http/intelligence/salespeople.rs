//! `POST /api/intelligence/add-salesperson` and `DELETE /api/intelligence/salesperson/{id}`: for admins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use sql::access::Role;
use utoipa::ToSchema;

use super::Which;
use super::analyze_customer::json_of;
use crate::http::caller::Caller;
use crate::http::commands::{Command, Results, key_of, record};
use crate::http::epoch_board::fingerprint;
use crate::http::extract::{Json as Body, Path, Query};
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::questions::Questions;
use crate::http::state::HttpState;

/// A new salesperson.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddSalesperson {
    /// The dealer; may stand in the query instead.
    pub dealer_id: Option<String>,
    /// The rep's id, within the dealer.
    #[schema(min_length = 1)]
    pub id: String,
    /// The rep's name.
    pub name: String,
    /// Skill, 0 to 1; 0.7 if left out.
    #[schema(minimum = 0, maximum = 1)]
    pub skill_level: Option<f64>,
    /// Natural frequency in radians per hour; 1.0 if left out.
    #[schema(minimum = 0)]
    pub natural_frequency: Option<f64>,
}

/// What was done.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SalespersonBody {
    /// `added` or `removed`
    pub status: &'static str,
    /// The epoch that holds it.
    pub epoch: i64,
    /// The dealer.
    pub dealer_id: String,
    /// The rep's id.
    pub id: String,
    /// The rep's name; null of one who was removed.
    pub name: Option<String>,
}

/// Adds a salesperson
#[utoipa::path(
    post, path = "/api/intelligence/add-salesperson", tag = "intelligence", request_body = AddSalesperson,
    params(Which, ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters")),
    responses(
        (status = 200, description = "The salesperson is there", body = SalespersonBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn add_salesperson(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(which): Query<Which>,
    headers: HeaderMap,
    Body(added): Body<AddSalesperson>,
) -> Result<Json<serde_json::Value>, Problem> {
    caller.require(Role::Admin)?;
    let named = added.dealer_id.as_deref().or(which.dealer_id.as_deref());
    let dealer = Questions::begin(&state, &caller, which.min_epoch).await?.dealer(&caller, named).await?;
    let key = key_of(&headers)?;
    let request = fingerprint(json_of(&added)?.to_string().as_bytes());
    let place = Results::place(&dealer, "add-salesperson", &key);
    if let Some(result) = state.results.of(&place, request)? {
        return Ok(Json(result));
    }
    let mut data = serde_json::json!({
        "repId": added.id, "name": added.name, "skillLevel": added.skill_level, "naturalFrequency": added.natural_frequency,
    });
    if let Some(fields) = data.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    let (name, event_type) = ("add-salesperson", "rep.added");
    let command = Command { name, event_type, subject: added.id.clone(), dealer: dealer.clone(), data };
    let epoch = record(&state, &caller, &key, command).await?;
    let AddSalesperson { id, name, .. } = added;
    let body = json_of(&SalespersonBody { status: "added", epoch, dealer_id: dealer, id, name: Some(name) })?;
    state.results.keep(place, request, &body);
    Ok(Json(body))
}

/// Removes a salesperson
#[utoipa::path(
    delete, path = "/api/intelligence/salesperson/{id}", tag = "intelligence",
    params(
        Which, ("id" = String, Path, description = "The rep's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters"),
    ),
    responses(
        (status = 200, description = "The salesperson is gone", body = SalespersonBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn remove_salesperson(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, Problem> {
    caller.require(Role::Admin)?;
    let mut questions = Questions::begin(&state, &caller, which.min_epoch).await?;
    let dealer = questions.dealer(&caller, which.dealer_id.as_deref()).await?;
    let key = key_of(&headers)?;
    let request = fingerprint(id.as_bytes());
    let place = Results::place(&dealer, "remove-salesperson", &key);
    if let Some(result) = state.results.of(&place, request)? {
        return Ok(Json(result));
    }
    let data = serde_json::json!({"repId": id});
    let (name, event_type) = ("remove-salesperson", "rep.removed");
    let command = Command { name, event_type, subject: id.clone(), dealer: dealer.clone(), data };
    let epoch = record(&state, &caller, &key, command).await?;
    let body = json_of(&SalespersonBody { status: "removed", epoch, dealer_id: dealer, id, name: None })?;
    state.results.keep(place, request, &body);
    Ok(Json(body))
}
