//! `POST /api/sql`: the same tables, and the same rights, as over the PostgreSQL protocol.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sql::QueryResult;
use sql::engine::Settings;
use sql::format::{Format, write};
use utoipa::ToSchema;

use super::caller::Caller;
use super::extract::Json;
use super::problem::{Problem, ProblemDocument, ProblemKind};
use super::state::HttpState;

/// Names the epoch of an answer.
pub const EPOCH_HEADER: HeaderName = HeaderName::from_static("dealerflow-epoch");

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlRequest {
    /// One statement that reads.
    #[schema(example = "select stage, count(*) as deals from deals group by stage")]
    pub sql: String,
    /// An epoch to wait for: read your writes.
    pub min_epoch: Option<i64>,
    /// The epoch whose tables are asked for; the present one if left out.
    pub as_of: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerType {
    Json,
    Csv,
    Arrow,
}

impl AnswerType {
    const fn media(self) -> &'static str {
        match self {
            AnswerType::Json => "application/json",
            AnswerType::Csv => "text/csv; charset=utf-8",
            AnswerType::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The first accepted type that can be given.
    fn accepted(headers: &HeaderMap) -> Result<Self, Problem> {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        let known = |media: &str| match media.split(';').next().unwrap_or_default().trim() {
            "application/json" | "application/*" | "*/*" | "" => Some(AnswerType::Json),
            "text/csv" | "text/*" => Some(AnswerType::Csv),
            "application/vnd.apache.arrow.stream" => Some(AnswerType::Arrow),
            _ => None,
        };
        accept.split(',').find_map(known).ok_or_else(|| {
            let detail = "choose application/json, text/csv or application/vnd.apache.arrow.stream";
            Problem::new(ProblemKind::NotAcceptable, detail)
        })
    }
}

/// Answers a question in SQL
///
/// JSON (an array of objects), CSV or an Arrow stream, as `Accept` says. The header `dealerflow-epoch` names the epoch of the answer.
#[utoipa::path(
    post, path = "/api/sql", tag = "sql", request_body = SqlRequest,
    responses(
        (status = 200, description = "The rows", content(
            (Vec<Object> = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"),
        ), headers(("dealerflow-epoch" = i64, description = "The epoch of the answer"))),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn post_sql(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    headers: HeaderMap,
    Json(request): Json<SqlRequest>,
) -> Result<Response, Problem> {
    let answer_type = AnswerType::accepted(&headers)?;
    let (epoch, body) = answer(&state, &caller, request, answer_type).await?;
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(answer_type.media()));
    response.headers_mut().insert(EPOCH_HEADER, HeaderValue::from(epoch));
    Ok(response)
}

async fn answer(
    state: &HttpState,
    caller: &Caller,
    request: SqlRequest,
    answer_type: AnswerType,
) -> Result<(i64, Vec<u8>), Problem> {
    let asking = state.engine.caller(&caller.access).await?;
    // Less than the request's own time, so that the engine says what was too slow.
    let timeout = Some(state.limits.timeout.mul_f32(0.9));
    let settings = Settings { as_of: request.as_of, min_epoch: request.min_epoch, timeout };
    let answer = asking.query(&request.sql, &settings).await?;
    let (epoch, schema) = (answer.epoch, Arc::clone(&answer.schema));
    let result = QueryResult { schema, batches: answer.collect().await? };
    let mut body = Vec::new();
    match answer_type {
        AnswerType::Json => write(Format::Json, &result, &mut body)?,
        AnswerType::Csv => write(Format::Csv, &result, &mut body)?,
        AnswerType::Arrow => write_arrow(&result, &mut body)
            .map_err(|error| Problem::unprocessable(format!("the rows cannot be written as Arrow: {error}")))?,
    }
    Ok((epoch, body))
}

fn write_arrow(result: &QueryResult, body: &mut Vec<u8>) -> Result<(), arrow::error::ArrowError> {
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(body, &result.schema)?;
    for batch in &result.batches {
        writer.write(batch)?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_type_that_can_be_given_is_given() {
        let check = |accept: Option<&str>, expect: Option<AnswerType>| {
            let pairs = accept.map(|accept| (header::ACCEPT, accept.parse().unwrap()));
            assert_eq!(AnswerType::accepted(&pairs.into_iter().collect()).ok(), expect, "{accept:?}");
        };
        check(None, Some(AnswerType::Json));
        check(Some("text/html, text/csv;q=0.9, */*"), Some(AnswerType::Csv));
        check(Some("application/vnd.apache.arrow.stream"), Some(AnswerType::Arrow));
        check(Some("image/png"), None);
    }
}
