//! Every path of the server, once: the router and the OpenAPI document are made from this one list.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Problem, ProblemKind};
use super::state::HttpState;
use super::{events, guard, health, intelligence, pages, pulse, pulse_pages, query, scrape, subscribe};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "dealerflow",
        description = "Live insight into car dealerships: events in, one consistent instant out. Every answer names its epoch; \
                       errors are problem documents (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Bearer),
    security(("bearer" = [])),
    tags(
        (name = "intelligence", description = "What the models say about customers and teams"),
        (name = "events", description = "The way in for a shop without Kafka"),
        (name = "pulse", description = "What changes, as it changes"),
        (name = "sql", description = "Questions in SQL"),
        (name = "operations", description = "Health and metrics")
    )
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of `[[security.token]]`; none is needed where none is configured."))
            .build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Paths that ask who calls.
fn identified() -> OpenApiRouter<Arc<HttpState>> {
    OpenApiRouter::new()
        .routes(routes!(events::post_events))
        .routes(routes!(pulse::stream::pulse_stream))
        .routes(routes!(query::post_sql))
        .routes(routes!(subscribe::subscribe))
        // OpenAPI has no words for a WebSocket.
        .route("/api/subscribe/socket", get(subscribe::subscribe_socket))
        .routes(routes!(intelligence::analyze_customer::analyze_customer))
        .routes(routes!(intelligence::team_status::team_status))
        .routes(routes!(intelligence::customer_segments::customer_segments))
        .routes(routes!(intelligence::anomalies::anomalies))
        .routes(routes!(intelligence::deal_closed::deal_closed))
        .routes(routes!(intelligence::insights::insights))
        .routes(routes!(intelligence::salespeople::add_salesperson))
        .routes(routes!(intelligence::salespeople::remove_salesperson))
        .routes(routes!(intelligence::reset::reset))
        .routes(routes!(intelligence::insights::health))
        .routes(routes!(pulse_pages::floor))
        .routes(routes!(pulse_pages::meta))
        .routes(routes!(scrape::metrics))
}

/// Paths that anybody may ask: they show nothing of any dealer.
fn open() -> OpenApiRouter<Arc<HttpState>> {
    OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz))
}

/// The OpenAPI document of all paths.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let paths = OpenApiRouter::with_openapi(Document::openapi()).merge(identified()).merge(open());
    paths.into_openapi()
}

async fn nowhere(uri: Uri) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("there is nothing at {}: /api/openapi.json lists every path", uri.path()),
    )
}

async fn no_method(uri: Uri) -> Problem {
    let detail = format!("{} takes another method: /api/openapi.json lists them", uri.path());
    Problem::new(ProblemKind::MethodNotAllowed, detail)
}

/// The router of the server.
pub fn router(state: &Arc<HttpState>) -> Router {
    let document = openapi();
    let (identified, _) = identified().split_for_parts();
    let (open, _) = open().split_for_parts();
    let identified = identified
        .layer(DefaultBodyLimit::max(state.limits.body_bytes_max))
        .layer(middleware::from_fn_with_state(Arc::clone(state), guard::identify));
    let open = open
        .route("/api/openapi.json", get(async move || Json(document.clone()).into_response()))
        .merge(pages::router());
    identified
        .merge(open)
        .fallback(nowhere)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(state), guard::contain))
        .layer(middleware::from_fn(guard::protect))
        .layer(middleware::from_fn_with_state(Arc::clone(state), guard::observe))
        .with_state(Arc::clone(state))
}
