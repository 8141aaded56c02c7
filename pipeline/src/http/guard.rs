//! What stands before every handler: time, panics, who calls and how often, and the headers that browsers heed.
//!
//! ```text
//!   request ─▶ observe (count, seconds) ─▶ protect (headers) ─▶ contain (time, panics) ─▶ identify (caller, rate) ─▶ handler
//! ```

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use super::problem::{Problem, ProblemKind};
use super::state::HttpState;

/// What pages may do: nothing from elsewhere, no script or style outside files of ours, no frame around them.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Counts requests by route and kind of answer, and how long each took.
pub async fn observe(State(state): State<Arc<HttpState>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    state.metrics.http.answered(&route, response.status().as_u16(), begun.elapsed());
    response
}

/// Adds the headers that keep browsers from guessing, framing, leaking and running what is not ours.
pub async fn protect(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_api {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

/// Ends what takes too long, and makes a panic this caller's error. Streams are bounded up to their first byte only.
pub async fn contain(State(state): State<Arc<HttpState>>, request: Request, next: Next) -> Response {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(state.limits.timeout, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a request panicked");
            Problem::new(ProblemKind::Internal, "dealerflow failed at this request: report it").into_response()
        }
        Err(_) => {
            let seconds = state.limits.timeout.as_secs();
            let detail = format!("no answer within {seconds} s; if this was a write, send it again with the same key");
            Problem::new(ProblemKind::TooSlow, detail).into_response()
        }
    }
}

/// Finds out who calls, and lets nobody call too often.
pub async fn identify(State(state): State<Arc<HttpState>>, mut request: Request, next: Next) -> Response {
    match state.callers.identify(request.headers(), request.uri()) {
        Ok(caller) => {
            if let Err(problem) = state.rates.take(Some(caller.index)) {
                return problem.into_response();
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => state.rates.take(None).err().unwrap_or(problem).into_response(),
    }
}
