//! `GET /api/intelligence/customer-segments`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use operators::models::whaco::segment::Segment;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Which, integer, number, text};
use crate::http::caller::Caller;
use crate::http::extract::Query;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::questions::{Questions, literal};
use crate::http::state::HttpState;

/// What a segment is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProfileBody {
    /// Its name.
    pub name: String,
    /// Who its customers are.
    pub description: String,
    /// How to treat them.
    pub approach: String,
    /// How soon to serve them, 0 to 1.
    pub priority: f64,
}

/// A cluster.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterBody {
    /// The cluster, 0 to 4.
    pub id: i64,
    /// What it is.
    pub profile: ProfileBody,
    /// Its ten features, each 0 to 1.
    pub centroid: Vec<f64>,
    /// Leads that are in it.
    pub size_estimate: i64,
    /// Unusual ones among them.
    pub outliers: i64,
}

/// All clusters of a dealer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentsBody {
    /// Leads that were scored.
    pub total_customers_processed: i64,
    /// Unusual ones among them.
    pub outliers_detected: i64,
    /// The clusters; empty while the model is off, or has just begun.
    pub clusters: Vec<ClusterBody>,
}

/// The answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerSegmentsBody {
    /// The epoch of the answer.
    pub epoch: i64,
    /// The dealer.
    pub dealer_id: String,
    /// The segments.
    pub segments: SegmentsBody,
}

/// The segment of a name.
pub fn segment_named(name: &str) -> Option<Segment> {
    Segment::ALL.into_iter().find(|segment| segment.name() == name)
}

/// Says into which segments a dealer's customers fall
#[utoipa::path(
    get, path = "/api/intelligence/customer-segments", tag = "intelligence", params(Which),
    responses(
        (status = 200, description = "The segments", body = CustomerSegmentsBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn customer_segments(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<CustomerSegmentsBody>, Problem> {
    let mut questions = Questions::begin(&state, &caller, which.min_epoch).await?;
    let dealer_id = questions.dealer(&caller, which.dealer_id.as_deref()).await?;
    let segments = segments_of(&mut questions, &dealer_id).await?;
    Ok(Json(CustomerSegmentsBody { epoch: questions.epoch(), dealer_id, segments }))
}

/// A cluster from the cells of its row.
pub(crate) fn cluster_of(
    id: i64,
    name: String,
    priority: Option<f64>,
    centroid: Option<&str>,
    (customers, outliers): (i64, i64),
) -> ClusterBody {
    let segment = segment_named(&name);
    ClusterBody {
        id,
        profile: ProfileBody {
            description: segment.map_or_else(String::new, |segment| segment.description().to_owned()),
            approach: segment.map_or_else(String::new, |segment| segment.approach().to_owned()),
            priority: priority.unwrap_or_default(),
            name,
        },
        centroid: centroid.and_then(|centroid| serde_json::from_str(centroid).ok()).unwrap_or_default(),
        size_estimate: customers,
        outliers,
    }
}

/// A dealer's segments.
///
/// # Errors
/// As the tables say.
pub async fn segments_of(questions: &mut Questions<'_>, dealer: &str) -> Result<SegmentsBody, Problem> {
    let query = format!(
        "select cluster_id, name, priority, customers, outliers, centroid from segments where dealer_id = {} \
         order by cluster_id",
        literal(dealer)
    );
    let rows = questions.ask_model("segments", &query).await?;
    let clusters: Vec<ClusterBody> = rows
        .iter()
        .map(|row| {
            let sizes = (integer(row, "customers"), integer(row, "outliers"));
            let (name, centroid) = (text(row, "name").unwrap_or_default(), text(row, "centroid"));
            cluster_of(integer(row, "cluster_id"), name, number(row, "priority"), centroid.as_deref(), sizes)
        })
        .collect();
    Ok(SegmentsBody {
        total_customers_processed: clusters.iter().map(|cluster| cluster.size_estimate).sum(),
        outliers_detected: clusters.iter().map(|cluster| cluster.outliers).sum(),
        clusters,
    })
}
