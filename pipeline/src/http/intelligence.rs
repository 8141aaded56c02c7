//! The intelligence API: what the models say about customers and teams, and the commands that teach them.
//!
//! ```text
//!   questions ─▶ live tables, at one epoch ─▶ body { epoch, … }
//!   commands  ─▶ event on `commands` ─▶ the epoch that holds it ─▶ live tables at that epoch ─▶ body { epoch, … }
//! ```
//! Where a model is off or has just begun, its parts are empty or null; nothing is made up.

pub mod analyze_customer;
pub mod anomalies;
pub mod customer_segments;
pub mod deal_closed;
pub mod insights;
pub mod reset;
pub mod salespeople;
pub mod team_status;

use serde::Deserialize;
use utoipa::IntoParams;

/// Which dealer, and from which epoch on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// The dealer; may be left out where the token or the deployment has only one.
    pub dealer_id: Option<String>,
    /// An epoch to wait for: read your writes.
    #[serde(alias = "min_epoch")]
    pub min_epoch: Option<i64>,
}

/// A number of a row.
fn number(row: &super::questions::Row, name: &str) -> Option<f64> {
    row.get(name).and_then(serde_json::Value::as_f64)
}

/// A whole number of a row.
fn integer(row: &super::questions::Row, name: &str) -> i64 {
    row.get(name).and_then(serde_json::Value::as_i64).unwrap_or_default()
}

/// A text of a row.
fn text(row: &super::questions::Row, name: &str) -> Option<String> {
    row.get(name).and_then(serde_json::Value::as_str).map(str::to_owned)
}
