//! A table's follower: each epoch's changes as they were published, of the caller's dealers.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use serde_json::{Value, json};
use sql::access::Access;
use sql::engine::{Answer, Settings};
use sql::live::{EpochChanges, Published, Subscription};

use super::{Told, row_json};
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::http::state::HttpState;

enum Stage {
    /// The table, or the changes since an epoch, batch by batch.
    Beginning(Box<Answer>, &'static str),
    /// What has come since.
    Following,
    Over,
}

/// A follower of a table on its way.
pub(super) struct TableFollower {
    access: Arc<Access>,
    /// Place of the table among the definitions.
    place: usize,
    stage: Stage,
    subscription: Subscription,
    /// What was told of an epoch and is to be followed by its progress.
    progress: Option<i64>,
}

impl TableFollower {
    pub(super) async fn begin(
        state: &HttpState,
        caller: &Caller,
        table: &str,
        from_epoch: Option<i64>,
    ) -> Result<Self, Problem> {
        let tables = state.engine.tables();
        let place = tables.definitions().iter().position(|definition| definition.name == table);
        let Some(place) = place else {
            let names: Vec<&str> = tables.definitions().iter().map(|definition| definition.name.as_str()).collect();
            return Err(Problem::bad_request(format!("there is no table {table:?}: choose from {}", names.join(", "))));
        };
        let subscription = tables.subscribe().map_err(|full| Problem::unavailable(full.to_string()))?;
        let asking = state.engine.caller(&caller.access).await?;
        let settings = Settings { as_of: Some(subscription.from_epoch), ..Settings::default() };
        let name = tables.definitions()[place].name.replace('"', "\"\"");
        let (sql, event) = match from_epoch {
            None => (format!("select * from stored.\"{name}\""), "snapshot"),
            Some(epoch) => {
                (format!("select * from versions.\"{name}\" where epoch > {epoch} order by epoch"), "changes")
            }
        };
        let answer = asking.query(&sql, &settings).await?;
        let stage = Stage::Beginning(Box::new(answer), event);
        Ok(TableFollower { access: Arc::clone(&caller.access), place, stage, subscription, progress: None })
    }

    /// The next thing to tell; `None` at the end. Nothing is lost if it is not waited for.
    pub(super) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(epoch) = self.progress.take() {
                return Some(Told::progress(epoch));
            }
            match &mut self.stage {
                Stage::Over => return None,
                Stage::Beginning(answer, event) => {
                    let (event, epoch) = (*event, answer.epoch);
                    match answer.next().await {
                        Some(Ok(batch)) => {
                            let rows = rows_of(&batch, &self.access);
                            return Some(Told::new(event, json!({"epoch": epoch, "rows": rows})));
                        }
                        Some(Err(error)) => {
                            self.stage = Stage::Over;
                            return Some(Told::end("failed", &error.to_string()));
                        }
                        None => {
                            self.progress = Some(epoch);
                            self.stage = Stage::Following;
                        }
                    }
                }
                Stage::Following => match self.subscription.next().await {
                    Some(Published::Epoch(changes)) => {
                        // Without changes progress alone says how far the table is.
                        self.progress = Some(changes.epoch);
                        if let Some(told) = self.changes(&changes) {
                            return Some(told);
                        }
                    }
                    Some(Published::Dropped) | None => {
                        self.stage = Stage::Over;
                        return Some(Told::end("dropped", "the reader was slower than the table changes"));
                    }
                },
            }
        }
    }

    /// An epoch's changes of the table, if the caller sees any.
    fn changes(&self, changes: &EpochChanges) -> Option<Told> {
        let own = changes.tables.iter().filter(|(place, _)| *place == self.place);
        let rows: Vec<Value> = own.flat_map(|(_, batch)| rows_of(batch, &self.access)).collect();
        (!rows.is_empty()).then(|| Told::new("changes", json!({"epoch": changes.epoch, "rows": rows})))
    }
}

/// The rows of a batch that a caller may see, as JSON.
fn rows_of(batch: &RecordBatch, access: &Access) -> Vec<Value> {
    let Some(dealers) = batch.column_by_name("dealer_id").and_then(|column| column.as_string_opt::<i32>()) else {
        // Every table has the column: without it nothing can be said to be the caller's.
        return Vec::new();
    };
    let sees = |row: &usize| {
        if dealers.is_null(*row) { access.sees_system() } else { access.sees(dealers.value(*row)) }
    };
    (0..batch.num_rows()).filter(sees).map(|row| row_json(batch, row)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::array::{Int64Array, StringArray};
    use sql::access::{Dealers, Role};

    use super::*;

    #[test]
    fn rows_of_other_dealers_are_left_out() {
        let dealers: StringArray = [Some("d-1"), Some("d-2"), None].into_iter().collect();
        let columns: [(&str, Arc<dyn Array>); 2] =
            [("dealer_id", Arc::new(dealers)), ("leads", Arc::new(Int64Array::from(vec![1, 2, 3])))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let of = |role, dealers| {
            let rows = rows_of(&batch, &Access { role, dealers });
            rows.iter().map(|row| row["leads"].as_i64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(of(Role::Admin, Dealers::All), [1, 2, 3]);
        assert_eq!(of(Role::Viewer, Dealers::All), [1, 2], "the system's own rows are for admins");
        assert_eq!(of(Role::Admin, Dealers::Only(BTreeSet::from(["d-2".to_owned()]))), [2]);
        let without = RecordBatch::try_from_iter([("leads", Arc::new(Int64Array::from(vec![1])) as Arc<dyn Array>)]);
        assert!(rows_of(&without.unwrap(), &Access::unrestricted()).is_empty());
    }
}
