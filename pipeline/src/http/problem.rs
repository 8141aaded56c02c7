//! Errors of the HTTP server as RFC 9457 problem documents.
//!
//! ```text
//!   { "type": "urn:dealerflow:problem:unknown-dealer", "title": "…", "status": 403, "detail": "what, where, how to mend it" }
//! ```
//! A problem never shows more than its caller may see: what lies outside a token's dealers is told in the same words whether it exists
//! or not.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// What kind of thing went wrong; clients decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The request cannot be understood or is not permitted as it stands.
    BadRequest,
    /// There is no such path or thing.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// No valid token came with the request.
    Unauthorized,
    /// The token is not good for this.
    Forbidden,
    /// The key was used before for something else.
    Conflict,
    /// The body is too long.
    TooLarge,
    /// The body is of a type that is not taken.
    UnsupportedMediaType,
    /// None of the accepted types can be given.
    NotAcceptable,
    /// The request is understood, and its values are not permitted.
    Unprocessable,
    /// Too many requests of one caller.
    TooMany,
    /// The pipeline cannot answer now.
    Unavailable,
    /// What was waited for did not come in time.
    TooSlow,
    /// A fault of ours.
    Internal,
}

impl ProblemKind {
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            ProblemKind::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request is not understood"),
            ProblemKind::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            ProblemKind::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The path has no such method")
            }
            ProblemKind::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed"),
            ProblemKind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "The token is not good for this"),
            ProblemKind::Conflict => (StatusCode::CONFLICT, "conflict", "The key was used for something else"),
            ProblemKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too long"),
            ProblemKind::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body's type is not taken")
            }
            ProblemKind::NotAcceptable => {
                (StatusCode::NOT_ACCEPTABLE, "not-acceptable", "None of the accepted types can be given")
            }
            ProblemKind::Unprocessable => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "A value is not permitted")
            }
            ProblemKind::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
            ProblemKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "No answer can be given now"),
            ProblemKind::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "too-slow", "The answer did not come in time"),
            ProblemKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "dealerflow failed"),
        }
    }
}

/// An error on its way to the caller.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Its kind.
    pub kind: ProblemKind,
    /// What, where, how to mend it: one sentence.
    pub detail: String,
    /// After how many seconds another try may succeed.
    pub retry_after_seconds: Option<u64>,
}

/// The document of a problem, as RFC 9457 has it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    /// The kind of problem, as a URN that stays the same.
    #[serde(rename = "type")]
    #[schema(example = "urn:dealerflow:problem:unprocessable")]
    pub kind: String,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What, where, how to mend it.
    pub detail: String,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Problem { kind, detail: detail.into(), retry_after_seconds: None }
    }

    /// The request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadRequest, detail)
    }

    /// A value is not permitted.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unprocessable, detail)
    }

    /// No answer can be given now; another try may succeed.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Problem { retry_after_seconds: Some(1), ..Self::new(ProblemKind::Unavailable, detail) }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind.parts().0
    }

    /// The document.
    pub fn document(&self) -> ProblemDocument {
        let (status, name, title) = self.kind.parts();
        ProblemDocument {
            kind: format!("urn:dealerflow:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == ProblemKind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"dealerflow\""));
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let detail = rejection.body_text();
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ProblemKind::TooLarge, detail),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
                ProblemKind::UnsupportedMediaType,
                "the body must be JSON: send it with content-type application/json",
            ),
            StatusCode::UNPROCESSABLE_ENTITY => Problem::unprocessable(detail),
            _ => Problem::bad_request(detail),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ProblemKind::TooLarge, rejection.body_text()),
            _ => Problem::bad_request(rejection.body_text()),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Problem::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Problem::bad_request(rejection.body_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_is_a_document_of_its_own_type() {
        let response = Problem::unavailable("the pipeline is starting").into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            document,
            serde_json::json!({
                "type": "urn:dealerflow:problem:unavailable", "title": "No answer can be given now", "status": 503,
                "detail": "the pipeline is starting"
            })
        );
    }

    #[test]
    fn who_has_no_token_is_told_how_to_bring_one() {
        let response = Problem::new(ProblemKind::Unauthorized, "no token").into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"dealerflow\"");
    }
}
