//! `POST /api/intelligence/analyze-customer`
//!
//! ```text
//!   recorded: lead.created on `commands` ─▶ its epoch ─▶ what clusters and assignment made of it, from the tables
//!   preview:  the published centroids ─▶ the nearest; nothing is recorded, nobody is assigned
//! ```

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use operators::models::whaco::features::{FEATURES, Features, LeadFields};
use operators::models::whaco::segment::Segment;
use serde::{Deserialize, Serialize};
use sql::access::Role;
use utoipa::{IntoParams, ToSchema};

use super::customer_segments::{ClusterBody, segment_named, segments_of};
use super::team_status::{TeamStatusBody, said_of, team_of};
use super::{Which, integer, number, text};
use crate::http::caller::Caller;
use crate::http::commands::{Command, Results, key_of, record};
use crate::http::epoch_board::fingerprint;
use crate::http::extract::{Json as Body, Query};
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::questions::{Questions, literal};
use crate::http::state::HttpState;

/// Whether to record.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Preview {
    /// `true` scores against the published model and records nothing.
    #[serde(default)]
    pub preview: bool,
}

/// A customer, in whole dollars where money is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnalyzeCustomer {
    /// The dealer; may stand in the query instead.
    pub dealer_id: Option<String>,
    /// The customer.
    #[schema(example = "c-1042", min_length = 1)]
    pub customer_id: String,
    /// 300 to 850.
    #[schema(minimum = 300, maximum = 850)]
    pub credit_score: Option<i64>,
    /// Dollars a year.
    #[schema(minimum = 0)]
    pub annual_income: Option<f64>,
    /// Dollars.
    #[schema(minimum = 0)]
    pub vehicle_price: Option<f64>,
    /// Dollars.
    #[schema(minimum = 0)]
    pub down_payment: Option<f64>,
    /// Dollars.
    #[schema(minimum = 0)]
    pub trade_value: Option<f64>,
    /// Visits so far.
    #[schema(minimum = 0)]
    pub visit_count: Option<i64>,
    /// Minutes on the lot.
    #[schema(minimum = 0)]
    pub time_on_lot: Option<f64>,
    /// 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub engagement: Option<f64>,
    /// Whether somebody buys with them.
    pub co_buyer: Option<bool>,
    /// Length of the loan.
    #[schema(minimum = 0)]
    pub term_months: Option<i64>,
    /// 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub payment_sensitivity: Option<f64>,
}

/// What the model says of a customer.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerAnalysis {
    /// The cluster; null while the model is off or has seen nothing.
    pub cluster_id: Option<i64>,
    /// Its segment.
    pub cluster_name: Option<String>,
    /// Who its customers are.
    pub cluster_description: Option<String>,
    /// Whether the lead is unusual; null in a preview, which sees the centroids alone.
    pub is_outlier: Option<bool>,
    /// Why it is unusual.
    pub outlier_reason: Option<String>,
    /// How sure the cluster is, 0 to 1.
    pub confidence: Option<f64>,
    /// How to treat the customer.
    pub recommended_approach: Option<String>,
    /// How soon to serve the customer, 0 to 1.
    pub priority_score: Option<f64>,
}

/// Who got the lead.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssignedTo {
    /// The rep.
    pub id: String,
    /// The rep's name.
    pub name: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalyzeCustomerBody {
    /// The epoch of the answer; recorded, the epoch that holds the lead or a later one.
    pub epoch: i64,
    /// The dealer.
    pub dealer_id: String,
    /// The lead that was recorded; null in a preview.
    pub lead_id: Option<String>,
    /// The customer.
    pub customer_analysis: CustomerAnalysis,
    /// Who got the lead; null in a preview, and while nobody can take it.
    pub assigned_to: Option<AssignedTo>,
    /// The team.
    pub team_status: TeamStatusBody,
    /// What to do next.
    pub recommended_actions: Vec<String>,
}

/// Dollars as cents; what is no amount stays none, and the event's parser says so.
fn cents(dollars: Option<f64>) -> Option<i64> {
    dollars.map(|dollars| (dollars * 100.0).round() as i64)
}

impl AnalyzeCustomer {
    /// The fields of `lead.created`.
    fn event_data(&self, lead: &str) -> serde_json::Value {
        let mut data = serde_json::json!({
            "leadId": lead, "customerId": self.customer_id, "channel": "api",
            "creditScore": self.credit_score, "annualIncomeCents": cents(self.annual_income),
            "vehiclePriceCents": cents(self.vehicle_price), "downPaymentCents": cents(self.down_payment),
            "tradeValueCents": cents(self.trade_value), "visitCount": self.visit_count,
            "timeOnLotMinutes": self.time_on_lot, "engagement": self.engagement, "coBuyer": self.co_buyer,
            "termMonths": self.term_months, "paymentSensitivity": self.payment_sensitivity,
        });
        if let Some(fields) = data.as_object_mut() {
            // An absent field leaves the value, and null would clear it.
            fields.retain(|_, value| !value.is_null());
        }
        data
    }

    fn features(&self) -> Features {
        let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        LeadFields {
            credit_score: count(self.credit_score),
            annual_income_cents: count(cents(self.annual_income)),
            vehicle_price_cents: count(cents(self.vehicle_price)),
            down_payment_cents: count(cents(self.down_payment)),
            trade_value_cents: count(cents(self.trade_value)),
            visit_count: count(self.visit_count),
            time_on_lot_minutes: self.time_on_lot,
            engagement: self.engagement,
            co_buyer: self.co_buyer,
            term_months: count(self.term_months),
            payment_sensitivity: self.payment_sensitivity,
        }
        .features()
    }
}

/// Says what the models make of a customer
///
/// Recorded as a new lead, which teaches the models and is assigned; `Idempotency-Key` makes a repeat harmless and is the lead's id.
#[utoipa::path(
    post, path = "/api/intelligence/analyze-customer", tag = "intelligence", request_body = AnalyzeCustomer,
    params(Which, Preview, ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters")),
    responses(
        (status = 200, description = "The analysis", body = AnalyzeCustomerBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn analyze_customer(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(which): Query<Which>,
    Query(Preview { preview }): Query<Preview>,
    headers: HeaderMap,
    Body(customer): Body<AnalyzeCustomer>,
) -> Result<Json<serde_json::Value>, Problem> {
    let named = customer.dealer_id.as_deref().or(which.dealer_id.as_deref());
    let mut questions = Questions::begin(&state, &caller, which.min_epoch).await?;
    let dealer = questions.dealer(&caller, named).await?;
    if preview {
        return Ok(Json(json_of(&previewed(&state, &mut questions, &dealer, &customer).await?)?));
    }
    caller.require(Role::Operator)?;
    let key = key_of(&headers)?;
    let request = fingerprint(json_of(&customer)?.to_string().as_bytes());
    let place = Results::place(&dealer, "analyze-customer", &key);
    if let Some(result) = state.results.of(&place, request)? {
        return Ok(Json(result));
    }
    let command = Command {
        name: "analyze-customer",
        event_type: "lead.created",
        subject: key.clone(),
        dealer: dealer.clone(),
        data: customer.event_data(&key),
    };
    let epoch = record(&state, &caller, &key, command).await?;
    let mut questions = Questions::begin(&state, &caller, Some(epoch)).await?;
    let body = json_of(&recorded(&state, &mut questions, &dealer, key).await?)?;
    state.results.keep(place, request, &body);
    Ok(Json(body))
}

/// A body as JSON.
///
/// # Errors
/// If it cannot be written, which its type rules out.
pub(super) fn json_of(body: &impl Serialize) -> Result<serde_json::Value, Problem> {
    let written = serde_json::to_value(body);
    written.map_err(|error| Problem::new(crate::http::problem::ProblemKind::Internal, error.to_string()))
}

fn actions(segment: Option<Segment>) -> Vec<String> {
    segment.map_or_else(Vec::new, |segment| segment.actions().iter().map(|action| (*action).to_owned()).collect())
}

/// What the tables say of a lead that was recorded.
async fn recorded(
    state: &HttpState,
    questions: &mut Questions<'_>,
    dealer: &str,
    lead: String,
) -> Result<AnalyzeCustomerBody, Problem> {
    let own = format!("dealer_id = {} and lead_id = {}", literal(dealer), literal(&lead));
    let lead_row = format!("select segment, is_outlier, priority_score, assigned_rep_id from leads where {own}");
    let leads = questions.ask(&lead_row).await?;
    let member = format!("select cluster_id, confidence from segment_members where {own}");
    let member = questions.ask_model("segment_members", &member).await?;
    let anomaly = questions.ask_model("anomalies", &format!("select reason from anomalies where {own}")).await?;
    let team_status = team_of(state, questions, dealer).await?;
    let mut analysis = CustomerAnalysis::default();
    let mut assigned_to = None;
    let mut segment = None;
    if let Some(row) = leads.first() {
        analysis.cluster_name = text(row, "segment");
        segment = analysis.cluster_name.as_deref().and_then(segment_named);
        analysis.cluster_description = segment.map(|segment| segment.description().to_owned());
        analysis.recommended_approach = segment.map(|segment| segment.approach().to_owned());
        analysis.is_outlier = row.get("is_outlier").and_then(serde_json::Value::as_bool);
        analysis.priority_score = number(row, "priority_score");
        assigned_to = text(row, "assigned_rep_id").map(|id| {
            let member = team_status.team_members.iter().find(|member| member.id == id);
            AssignedTo { name: member.and_then(|member| member.name.clone()), id }
        });
    }
    if let Some(row) = member.first() {
        (analysis.cluster_id, analysis.confidence) = (Some(integer(row, "cluster_id")), number(row, "confidence"));
    }
    analysis.outlier_reason = anomaly.first().and_then(|row| text(row, "reason"));
    Ok(AnalyzeCustomerBody {
        epoch: questions.epoch(),
        dealer_id: dealer.to_owned(),
        lead_id: Some(lead),
        customer_analysis: analysis,
        assigned_to,
        team_status,
        recommended_actions: actions(segment),
    })
}

/// The nearest of the published centroids: the cluster, and how much nearer it is than the next.
fn nearest<'a>(clusters: &'a [ClusterBody], features: &Features) -> Option<(&'a ClusterBody, f64)> {
    let distance = |cluster: &ClusterBody| -> f64 {
        let squares = cluster.centroid.iter().zip(features).map(|(centre, feature)| (centre - feature).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let mut known: Vec<(&ClusterBody, f64)> = clusters
        .iter()
        .filter(|cluster| cluster.centroid.len() == FEATURES)
        .map(|cluster| (cluster, distance(cluster)))
        .collect();
    known.sort_by(|left, right| left.1.total_cmp(&right.1));
    let (cluster, first) = known.first()?;
    let second = known.get(1).map_or(*first, |(_, second)| *second);
    let confidence = if first + second > 0.0 { 1.0 - first / (first + second) } else { 1.0 };
    Some((cluster, confidence))
}

/// What the published centroids say of a customer.
async fn previewed(
    state: &HttpState,
    questions: &mut Questions<'_>,
    dealer: &str,
    customer: &AnalyzeCustomer,
) -> Result<AnalyzeCustomerBody, Problem> {
    let clusters = match state.centroids.of(dealer) {
        Some(clusters) => clusters,
        None => segments_of(questions, dealer).await?.clusters,
    };
    let mut analysis = CustomerAnalysis::default();
    let mut segment = None;
    if let Some((cluster, confidence)) = nearest(&clusters, &customer.features()) {
        segment = segment_named(&cluster.profile.name);
        analysis = CustomerAnalysis {
            cluster_id: Some(cluster.id),
            cluster_name: Some(cluster.profile.name.clone()),
            cluster_description: Some(cluster.profile.description.clone()),
            confidence: Some(confidence),
            recommended_approach: Some(cluster.profile.approach.clone()),
            priority_score: Some(cluster.profile.priority),
            ..CustomerAnalysis::default()
        };
    }
    Ok(AnalyzeCustomerBody {
        epoch: questions.epoch(),
        dealer_id: dealer.to_owned(),
        lead_id: None,
        customer_analysis: analysis,
        assigned_to: None,
        team_status: match said_of(state, dealer, questions.epoch()) {
            Some(team) => team,
            None => team_of(state, questions, dealer).await?,
        },
        recommended_actions: actions(segment),
    })
}

#[cfg(test)]
mod tests {
    use super::super::customer_segments::ProfileBody;
    use super::*;

    fn customer(json: serde_json::Value) -> AnalyzeCustomer {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn dollars_become_cents_and_what_is_left_out_stays_out() {
        let customer = customer(serde_json::json!({"customerId": "c", "annualIncome": 60_000.005, "tradeValue": 1.1}));
        assert_eq!(
            customer.event_data("l-1"),
            serde_json::json!({"leadId": "l-1", "customerId": "c", "channel": "api", "annualIncomeCents": 6_000_001, "tradeValueCents": 110})
        );
    }

    #[test]
    fn a_preview_takes_the_nearest_centroid() {
        let cluster = |id, at: f64| ClusterBody {
            id,
            profile: ProfileBody {
                name: String::new(),
                description: String::new(),
                approach: String::new(),
                priority: 0.5,
            },
            centroid: vec![at; FEATURES],
            size_estimate: 1,
            outliers: 0,
        };
        let clusters = [cluster(0, 0.0), cluster(1, 1.0)];
        let (nearest_cluster, confidence) = nearest(&clusters, &[0.75; FEATURES]).unwrap();
        assert_eq!(nearest_cluster.id, 1);
        assert!((confidence - 0.75).abs() < 1e-12);
        assert!(nearest(&[], &[0.5; FEATURES]).is_none());
    }
}
