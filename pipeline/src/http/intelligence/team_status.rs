//! `GET /api/intelligence/team-status`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Which, integer, number, text};
use crate::http::caller::Caller;
use crate::http::extract::Query;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::questions::{Questions, Row, literal};
use crate::http::state::HttpState;

/// Members of a team that are shown, at most.
const MEMBERS_MAX: usize = 500;

/// A rep out of step.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BottleneckBody {
    /// The rep.
    pub salesperson_id: String,
    /// The rep's name.
    pub name: String,
    /// Circular distance from the mean phase, in radians.
    pub phase_difference: f64,
    /// Active deals.
    pub active_deals: i64,
    /// What is wrong.
    pub issue: String,
}

/// Two reps of whom one could teach the other.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MentoringBody {
    /// Who teaches.
    pub mentor_id: String,
    /// The mentor's name.
    pub mentor_name: String,
    /// Who learns.
    pub mentee_id: String,
    /// The mentee's name.
    pub mentee_name: String,
    /// Difference of their skills.
    pub skill_gap: f64,
    /// How far the mentor is ahead, in radians.
    pub phase_lead: f64,
    /// What to do.
    pub recommendation: String,
}

/// A member of a team.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberBody {
    /// The rep.
    pub id: String,
    /// The rep's name.
    pub name: Option<String>,
    /// Oscillator phase in radians; null while there is none.
    pub phase: Option<f64>,
    /// Deals in stages prospect to contracted.
    pub active_deals: i64,
    /// Leads that are the rep's and have no deal yet.
    #[serde(default)]
    pub active_leads: i64,
    /// Deals closed on the dealer's present local day.
    pub deals_today: i64,
    /// Skill, 0 to 1.
    pub skill_level: Option<f64>,
    /// `overloaded`, `idle`, `crushing_it` or `normal`; null while unknown.
    pub status: Option<String>,
    /// `available`, `busy`, `break` or `off`; null while unknown.
    #[serde(default)]
    pub availability: Option<String>,
}

/// How a team moves.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamStatusBody {
    /// The epoch of the answer.
    #[serde(default)]
    pub epoch: i64,
    /// The dealer.
    #[serde(default)]
    pub dealer_id: String,
    /// How well the reps on duty move together, 0 to 1; null while nobody is, or the model is off.
    pub coherence: Option<f64>,
    /// `excellent`, `good`, `needs_attention` or `critical`; null like coherence.
    pub status: Option<String>,
    /// Share of staffed time with somebody ready; null before the first.
    #[serde(default)]
    pub coverage: Option<f64>,
    /// Mean phase of the reps on duty in radians.
    #[serde(default)]
    pub mean_phase: Option<f64>,
    /// Members of the team.
    #[serde(default)]
    pub total_salespeople: i64,
    /// Who is out of step.
    #[serde(default)]
    pub bottlenecks: Vec<BottleneckBody>,
    /// Who could teach whom.
    #[serde(default)]
    pub mentoring_opportunities: Vec<MentoringBody>,
    /// Everybody.
    #[serde(default)]
    pub team_members: Vec<MemberBody>,
}

/// Says how a team moves
#[utoipa::path(
    get, path = "/api/intelligence/team-status", tag = "intelligence", params(Which),
    responses(
        (status = 200, description = "The team", body = TeamStatusBody),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Not now", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn team_status(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<TeamStatusBody>, Problem> {
    let mut questions = Questions::begin(&state, &caller, which.min_epoch).await?;
    let dealer = questions.dealer(&caller, which.dealer_id.as_deref()).await?;
    Ok(Json(team_of(&state, &mut questions, &dealer).await?))
}

fn member_of(row: &Row) -> MemberBody {
    MemberBody {
        id: text(row, "rep_id").unwrap_or_default(),
        name: text(row, "name"),
        phase: number(row, "phase"),
        active_deals: integer(row, "active_deals"),
        active_leads: integer(row, "active_leads"),
        deals_today: integer(row, "deals_today"),
        skill_level: number(row, "skill_level"),
        status: text(row, "member_status"),
        availability: text(row, "status"),
    }
}

/// A dealer's team as it was told last, at or before an epoch: without asking the tables.
pub fn said_of(state: &HttpState, dealer: &str, epoch: i64) -> Option<TeamStatusBody> {
    let said = state.teams.of(dealer, epoch)?;
    let mut team: TeamStatusBody = serde_json::from_value(said.data()).ok()?;
    (team.dealer_id, team.epoch) = (dealer.to_owned(), said.epoch);
    Some(team)
}

/// A dealer's team: counts from the tables, and what moves with time from the team's last message.
///
/// # Errors
/// As the tables say.
pub async fn team_of(
    state: &HttpState,
    questions: &mut Questions<'_>,
    dealer: &str,
) -> Result<TeamStatusBody, Problem> {
    let own = literal(dealer);
    let members = questions
        .ask(&format!(
            "select rep_id, name, phase, active_deals, active_leads, deals_today, skill_level, member_status, status \
             from reps where dealer_id = {own} order by rep_id limit {MEMBERS_MAX}"
        ))
        .await?;
    let status = format!("select coherence, status, mean_phase, coverage from team_status where dealer_id = {own}");
    let status = questions.ask_model("team_status", &status).await?;
    let mut team = TeamStatusBody {
        dealer_id: dealer.to_owned(),
        epoch: questions.epoch(),
        total_salespeople: members.len() as i64,
        team_members: members.iter().map(member_of).collect(),
        ..TeamStatusBody::default()
    };
    if let Some(row) = status.first() {
        team.coherence = number(row, "coherence");
        team.status = text(row, "status");
        team.mean_phase = number(row, "mean_phase");
        team.coverage = number(row, "coverage");
    }
    if let Some(said) = said_of(state, dealer, questions.epoch()) {
        for member in &mut team.team_members {
            if let Some(moved) = said.team_members.iter().find(|moved| moved.id == member.id) {
                member.phase = moved.phase;
            }
        }
        (team.bottlenecks, team.mentoring_opportunities) = (said.bottlenecks, said.mentoring_opportunities);
    }
    Ok(team)
}
