//! What the pages show: one dealer's floor, and the pulse of the whole system; each of one epoch.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::caller::Caller;
use super::commands::now_ms;
use super::extract::Query;
use super::intelligence::Which;
use super::intelligence::team_status::{TeamStatusBody, team_of};
use super::manifest::PromiseBody;
use super::problem::{Problem, ProblemDocument};
use super::questions::{Questions, literal};
use super::state::HttpState;

/// Dealers to choose from, at most.
const DEALERS_MAX: usize = 500;
/// Leads that wait and are shown, at most.
const LEADS_MAX: usize = 8;
/// Anomalies that are shown, at most.
const ANOMALIES_MAX: usize = 6;
/// Days that are shown, at most.
const DAYS_MAX: usize = 30;
/// A customer should have an answer within this time.
const ANSWER_WITHIN_SECONDS: u32 = 900;

/// A dealer's floor. Rows have the names of their tables' columns, in camel case.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FloorBody {
    /// The epoch of everything here.
    pub epoch: i64,
    /// The dealer; null while there is none.
    pub dealer_id: Option<String>,
    /// Its name.
    pub dealer_name: Option<String>,
    /// Currency of its money.
    pub currency: String,
    /// Its present local date.
    pub today: Option<String>,
    /// The dealers that the token sees.
    #[schema(value_type = Vec<Object>)]
    pub dealers: Vec<Value>,
    /// The team.
    pub team: Option<TeamStatusBody>,
    /// Customer segments.
    #[schema(value_type = Vec<Object>)]
    pub segments: Vec<Value>,
    /// The newest leads of the last day without an answer.
    #[schema(value_type = Vec<Object>)]
    pub leads: Vec<Value>,
    /// How many there are.
    pub leads_waiting: i64,
    /// Within which time a lead should be answered.
    pub answer_within_seconds: u32,
    /// Leads unlike any segment.
    #[schema(value_type = Vec<Object>)]
    pub anomalies: Vec<Value>,
    /// The last days, the newest last.
    #[schema(value_type = Vec<Object>)]
    pub kpis: Vec<Value>,
}

fn values(rows: Vec<super::questions::Row>) -> Vec<Value> {
    rows.into_iter().map(Value::Object).collect()
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// Shows a dealer's floor at one instant
#[utoipa::path(
    get, path = "/api/pulse/floor", tag = "pulse", params(Which),
    responses(
        (status = 200, description = "The floor", body = FloorBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn floor(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<FloorBody>, Problem> {
    if let Some(dealer) = &which.dealer_id {
        caller.require_dealer(dealer)?;
    }
    let mut questions = Questions::begin(&state, &caller, which.min_epoch).await?;
    let dealers = questions
        .ask(&format!(
            "select dealer_id as id, name, currency, cast(local_date(queried_epoch(), time_zone) as varchar) as today \
             from dealers order by dealer_id limit {DEALERS_MAX}"
        ))
        .await?;
    let dealers = values(dealers);
    let first = || dealers.first().and_then(|dealer| text(dealer, "id"));
    let chosen = which.dealer_id.or_else(first).or_else(|| caller.only_dealer());
    let own = dealers.iter().find(|dealer| text(dealer, "id") == chosen);
    let mut body = FloorBody {
        epoch: questions.epoch(),
        dealer_name: own.and_then(|own| text(own, "name")),
        currency: own.and_then(|own| text(own, "currency")).unwrap_or_else(|| "USD".to_owned()),
        today: own.and_then(|own| text(own, "today")),
        dealer_id: chosen.clone(),
        dealers,
        team: None,
        segments: Vec::new(),
        leads: Vec::new(),
        leads_waiting: 0,
        answer_within_seconds: ANSWER_WITHIN_SECONDS,
        anomalies: Vec::new(),
        kpis: Vec::new(),
    };
    let Some(dealer) = chosen else { return Ok(Json(body)) };
    let own = literal(&dealer);
    body.team = Some(team_of(&state, &mut questions, &dealer).await?);
    let kpis = questions
        .ask(&format!(
            "select day, leads, responded, response_seconds_p50 as \"responseSecondsP50\", deals_closed as \"dealsClosed\", \
             front_gross_cents as \"frontGrossCents\", back_gross_cents as \"backGrossCents\" from daily_kpis \
             where dealer_id = {own} order by day desc limit {DAYS_MAX}"
        ))
        .await?;
    body.kpis = values(kpis);
    body.kpis.reverse();
    let waiting = format!(
        "from leads where dealer_id = {own} and responded_at is null and created_at >= queried_epoch() - interval '1 day'"
    );
    let count = questions.ask(&format!("select count(*) as waiting {waiting}")).await?;
    body.leads_waiting = count.first().and_then(|row| row.get("waiting")?.as_i64()).unwrap_or_default();
    let leads = questions
        .ask(&format!(
            "select lead_id as \"leadId\", customer_id as \"customerId\", channel, segment, priority_score as \"priorityScore\", \
             assigned_rep_id as \"assignedTo\", created_at as \"createdAt\" {waiting} \
             order by created_at desc, lead_id limit {LEADS_MAX}"
        ))
        .await?;
    body.leads = values(leads);
    let segments = format!(
        "select cluster_id as id, name, priority, customers, outliers from segments where dealer_id = {own} \
         order by priority desc, cluster_id"
    );
    body.segments = values(questions.ask_model("segments", &segments).await?);
    let anomalies = format!(
        "select lead_id as \"leadId\", customer_id as \"customerId\", reason, detected_at as \"detectedAt\" from anomalies \
         where dealer_id = {own} order by detected_at desc, lead_id limit {ANOMALIES_MAX}"
    );
    body.anomalies = values(questions.ask_model("anomalies", &anomalies).await?);
    Ok(Json(body))
}

/// What is known of an input topic.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicBody {
    /// The topic.
    pub topic: String,
    /// Records that wait to be read, over all partitions.
    pub lag_records: i64,
    /// How far the slowest partition's watermark is behind this moment; null while all are idle.
    pub delay_seconds: Option<f64>,
}

/// Records that were not accepted, for one reason.
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectedBody {
    /// The reason code.
    pub reason: String,
    /// Records since the start.
    pub records: i64,
}

/// The pulse of the system.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetaBody {
    /// The epoch that the tables show.
    pub epoch: i64,
    /// The middle time from the close of an epoch to its commit; null before the first.
    pub visible_seconds: Option<f64>,
    /// Records that wait to be read.
    pub lag_records: i64,
    /// Rows of the live tables.
    pub state_rows: i64,
    /// What each system promises, and how it is kept.
    pub systems: Vec<PromiseBody>,
    /// Input topics.
    pub topics: Vec<TopicBody>,
    /// What was not accepted, by reason, the most first.
    pub rejected: Vec<RejectedBody>,
}

/// Shows the pulse of the whole system
#[utoipa::path(
    get, path = "/api/pulse/meta", tag = "pulse",
    responses(
        (status = 200, description = "The pulse", body = MetaBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn meta(State(state): State<Arc<HttpState>>, caller: Caller) -> Result<Json<MetaBody>, Problem> {
    caller.require_all_dealers()?;
    let reading = Arc::new(state.metrics.reading());
    let since = state.readings.since(&reading);
    let mut questions = Questions::begin(&state, &caller, None).await?;
    let epoch = state.engine.tables().epoch();
    let quiet_seconds = (now_ms() - epoch) as f64 / 1_000.0;
    let mut systems = Vec::new();
    for system in &state.manifest.system {
        systems.push(system.present((&reading, since.as_deref()), &mut questions, quiet_seconds).await);
    }
    let (lags, delays) =
        (reading.series("dealerflow_input_lag_records"), reading.series("dealerflow_watermark_delay_seconds"));
    let topics = operators::domain::event::Topic::ALL.into_iter().map(|topic| {
        let of = |series: &&crate::metrics::Series| series.label("topic") == Some(topic.name());
        let delay = delays.iter().filter(of).map(|series| series.value).fold(0.0, f64::max);
        TopicBody {
            topic: topic.name().to_owned(),
            lag_records: lags.iter().filter(of).map(|series| series.value as i64).sum(),
            delay_seconds: (delay > 0.0).then_some(delay),
        }
    });
    let mut rejected: Vec<RejectedBody> = reading
        .series("dealerflow_dead_letters_total")
        .into_iter()
        .filter(|series| series.value > 0.0)
        .map(|series| RejectedBody {
            reason: series.label("reason").unwrap_or_default().to_owned(),
            records: series.value as i64,
        })
        .collect();
    rejected.sort_by(|left, right| right.records.cmp(&left.records).then_with(|| left.reason.cmp(&right.reason)));
    Ok(Json(MetaBody {
        epoch,
        visible_seconds: reading.quantile("dealerflow_epoch_commit_seconds", 0.5, since.as_deref()),
        lag_records: reading.sum("dealerflow_input_lag_records").unwrap_or_default() as i64,
        state_rows: reading.sum("dealerflow_state_rows").unwrap_or_default() as i64,
        systems,
        topics: topics.collect(),
        rejected,
    }))
}
