//! Questions of the server's own to the live tables: any number of them at one instant.
//!
//! ```text
//!   begin (who asks, from which epoch on) ─▶ ask ─▶ its epoch ─▶ ask as of that epoch ─▶ …
//! ```
//! The first question finds the epoch; all that follow see the same one. Rows come as JSON objects with the names that the query gives.

use std::sync::Arc;

use sql::SqlError;
use sql::engine::Settings;
use sql::format::json_row;

use super::caller::Caller;
use super::problem::{Problem, ProblemKind};
use super::state::HttpState;

/// A row, by its columns' names.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// An instant that questions are asked about.
pub struct Questions<'a> {
    state: &'a HttpState,
    caller: sql::engine::Caller,
    settings: Settings,
    epoch: Option<i64>,
}

/// A text as SQL writes it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        let detail = error.to_string();
        match error {
            SqlError::Query { .. }
            | SqlError::NoTable { .. }
            | SqlError::ReadOnly
            | SqlError::Setting { .. }
            | SqlError::Future { .. }
            | SqlError::View(_) => Problem::bad_request(detail),
            SqlError::TooManyRows(_) => Problem::unprocessable(detail),
            SqlError::Denied(_) => Problem::new(ProblemKind::Forbidden, detail),
            SqlError::Busy(_) | SqlError::Filling { .. } => Problem::unavailable(detail),
            SqlError::NotYet { .. } | SqlError::Timeout(_) | SqlError::Cancelled => {
                Problem::new(ProblemKind::TooSlow, detail)
            }
            SqlError::Storage(_) | SqlError::Internal(_) | SqlError::Output(_) => {
                tracing::error!(%detail, "a query failed");
                Problem::new(ProblemKind::Internal, detail)
            }
        }
    }
}

impl<'a> Questions<'a> {
    /// Begins, for a caller, at the present epoch or, once it is there, at `min_epoch`.
    ///
    /// # Errors
    /// If the caller's tables cannot be opened.
    pub async fn begin(state: &'a HttpState, caller: &Caller, min_epoch: Option<i64>) -> Result<Self, Problem> {
        let caller = state.engine.caller(&caller.access).await?;
        let settings = Settings { min_epoch, timeout: Some(state.limits.timeout), ..Settings::default() };
        Ok(Questions { state, caller, settings, epoch: None })
    }

    /// Asks. The first answer fixes the epoch.
    ///
    /// # Errors
    /// As the engine says.
    pub async fn ask(&mut self, query: &str) -> Result<Vec<Row>, Problem> {
        let answer = self.caller.query(query, &self.settings).await?;
        self.epoch = Some(answer.epoch);
        self.settings.as_of = Some(answer.epoch);
        let schema = Arc::clone(&answer.schema);
        let mut rows = Vec::new();
        for batch in answer.collect().await? {
            rows.extend((0..batch.num_rows()).map(|row| json_row(&schema, &batch, row)));
        }
        Ok(rows)
    }

    /// Asks about a table that only a model fills: nothing where the table is not there.
    ///
    /// # Errors
    /// As [`Questions::ask`].
    pub async fn ask_model(&mut self, table: &str, query: &str) -> Result<Vec<Row>, Problem> {
        let definitions = self.state.engine.tables().definitions();
        if definitions.iter().all(|definition| definition.name != table) {
            return Ok(Vec::new());
        }
        self.ask(query).await
    }

    /// The epoch of the answers.
    pub fn epoch(&self) -> i64 {
        self.epoch.unwrap_or_else(|| self.state.engine.tables().epoch())
    }

    /// The dealer that is meant: the one named, else the token's or the deployment's only one.
    ///
    /// # Errors
    /// If the caller may not see it, or none is named and there are several.
    pub async fn dealer(&mut self, caller: &Caller, named: Option<&str>) -> Result<String, Problem> {
        if let Some(dealer) = named {
            caller.require_dealer(dealer)?;
            return Ok(dealer.to_owned());
        }
        if let sql::access::Dealers::Only(dealers) = &caller.access.dealers
            && dealers.len() == 1
            && let Some(dealer) = dealers.first()
        {
            return Ok(dealer.clone());
        }
        let rows = self.ask("select dealer_id from dealers order by dealer_id limit 2").await?;
        match rows.as_slice() {
            [only] => Ok(only.get("dealer_id").and_then(|id| id.as_str()).unwrap_or_default().to_owned()),
            _ => Err(Problem::bad_request("there are several dealers: name one with dealerId")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_quotes() {
        assert_eq!(literal("d-1"), "'d-1'");
        assert_eq!(literal("x' or '1'='1"), "'x'' or ''1''=''1'");
    }
}
