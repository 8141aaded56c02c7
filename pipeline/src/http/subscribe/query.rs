//! A query's follower: the query is asked again as the tables move on, and what changed of its answer is told.
//!
//! How often decides what it costs: what is asked again at once takes at most a tenth of a core, however long it takes and however many
//! epochs a second are published. Between two answers epochs are not told; each answer is that of the epoch that it names.

use std::time::Duration;

use serde_json::{Value, json};
use sql::SqlError;
use sql::engine::{Difference, Settings, StandingQuery};
use sql::live::Progress;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Told, row_json};
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::http::state::HttpState;

/// The shortest time between two answers.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Times as long as an answer took that nothing is asked.
const PAUSE_FACTOR: u32 = 9;

/// A follower of a query on its way.
pub(super) struct QueryFollower {
    standing: StandingQuery,
    tables: watch::Receiver<Progress>,
    /// What was told of an epoch and is to be followed by its progress.
    progress: Option<i64>,
    /// What the first answer is called; none once it is told.
    first: Option<(&'static str, Difference)>,
    /// The epoch of the last answer.
    epoch: i64,
    /// When the query may be asked again.
    next: Instant,
    is_over: bool,
}

impl QueryFollower {
    pub(super) async fn begin(
        state: &HttpState,
        caller: &Caller,
        sql: &str,
        from_epoch: Option<i64>,
    ) -> Result<Self, Problem> {
        let asking = state.engine.caller(&caller.access).await?;
        let tables = state.engine.tables().progress();
        let mut standing = StandingQuery::begin(asking, sql).await?;
        let mut event = "snapshot";
        if let Some(from_epoch) = from_epoch {
            // The reader has this answer already.
            standing.ask(&Settings { as_of: Some(from_epoch), ..Settings::default() }).await?;
            event = "changes";
        }
        let begun = Instant::now();
        let difference = standing.ask(&Settings { min_epoch: from_epoch, ..Settings::default() }).await?;
        let (epoch, next) = (difference.epoch, next_after(begun));
        let first = Some((event, difference));
        Ok(QueryFollower { standing, tables, progress: None, first, epoch, next, is_over: false })
    }

    /// The next thing to tell; `None` at the end. Nothing is lost if it is not waited for.
    pub(super) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(epoch) = self.progress.take() {
                return Some(Told::progress(epoch));
            }
            if self.is_over {
                return None;
            }
            let (event, difference) = match self.first.take() {
                Some(first) => first,
                None => match self.ask().await {
                    Ok(difference) => ("changes", difference),
                    Err(error) => {
                        self.is_over = true;
                        return Some(Told::end("failed", &error.to_string()));
                    }
                },
            };
            self.progress = Some(difference.epoch);
            let rows: Vec<Value> = (0..difference.rows.num_rows()).map(|row| row_json(&difference.rows, row)).collect();
            if event == "snapshot" || !rows.is_empty() {
                return Some(Told::new(event, json!({"epoch": difference.epoch, "rows": rows})));
            }
        }
    }

    /// What changed until a later epoch.
    async fn ask(&mut self) -> Result<Difference, SqlError> {
        let told = self.epoch;
        // The sender is the tables', which live as long as the engine that is asked next.
        let _ = self.tables.wait_for(|progress| progress.epoch > told).await;
        tokio::time::sleep_until(self.next).await;
        let begun = Instant::now();
        let difference = self.standing.ask(&Settings { min_epoch: Some(told), ..Settings::default() }).await?;
        self.next = next_after(begun);
        self.epoch = difference.epoch;
        Ok(difference)
    }
}

/// When a query that was begun then may be asked again.
fn next_after(begun: Instant) -> Instant {
    let now = Instant::now();
    now + ((now - begun) * PAUSE_FACTOR).max(PAUSE_MIN)
}
