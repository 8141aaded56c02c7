//! SUBSCRIBE: a table as it is, and then as it changes, as server-sent events or over a WebSocket.
//!
//! ```text
//!   snapshot { epoch, rows }*  ─▶ progress { epoch } ─▶ changes { epoch, rows with `change` } ─▶ progress { epoch } ─▶ …
//!   resumed: changes since that epoch instead of the snapshot                                         └ its epoch resumes
//! ```
//! The rows are those of `stored.<table>`: columns that are computed at the queried epoch do not change by events. A caller sees the rows of
//! its dealers and no others. A reader that is too slow is told `dropped`, and the subscription ends: nothing is buffered for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde::Deserialize;
use serde_json::Value;
use sql::access::Access;
use sql::engine::{Answer, Settings};
use sql::format::json_value;
use sql::live::{EpochChanges, Published, Subscription};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

use super::caller::Caller;
use super::extract::Query;
use super::problem::{Problem, ProblemDocument};
use super::state::HttpState;

/// How often a quiet subscription shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What is subscribed to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct SubscribeQuery {
    /// The table.
    #[param(example = "reps")]
    pub table: String,
    /// Go on behind this epoch, with the changes since; without it the table comes first.
    pub from_epoch: Option<i64>,
}

/// One thing that a subscriber is told.
#[derive(Debug)]
struct Told {
    event: &'static str,
    /// Set where the subscription can be resumed behind it.
    resume: Option<i64>,
    data: Value,
}

enum Stage {
    /// The table, or the changes since an epoch, batch by batch.
    Beginning(Box<Answer>, &'static str),
    /// What has come since.
    Following,
    Over,
}

/// A subscription on its way.
struct Subscriber {
    access: Arc<Access>,
    /// Place of the table among the definitions.
    place: usize,
    stage: Stage,
    subscription: Subscription,
    /// What was told of an epoch and is to be followed by its progress.
    progress: Option<i64>,
    ended: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Subscriber {
    async fn begin(state: &Arc<HttpState>, caller: &Caller, query: &SubscribeQuery) -> Result<Self, Problem> {
        let tables = state.engine.tables();
        let place = tables.definitions().iter().position(|definition| definition.name == query.table);
        let Some(place) = place else {
            let names: Vec<&str> = tables.definitions().iter().map(|definition| definition.name.as_str()).collect();
            return Err(Problem::bad_request(format!(
                "there is no table {:?}: choose from {}",
                query.table,
                names.join(", ")
            )));
        };
        let permit = state.stream_permit()?;
        let subscription = tables.subscribe().map_err(|full| Problem::unavailable(full.to_string()))?;
        let asking = state.engine.caller(&caller.access).await?;
        let settings = Settings { as_of: Some(subscription.from_epoch), ..Settings::default() };
        let name = tables.definitions()[place].name.replace('"', "\"\"");
        let (sql, event) = match query.from_epoch {
            None => (format!("select * from stored.\"{name}\""), "snapshot"),
            Some(epoch) => {
                (format!("select * from versions.\"{name}\" where epoch > {epoch} order by epoch"), "changes")
            }
        };
        let answer = asking.query(&sql, &settings).await?;
        Ok(Subscriber {
            access: Arc::clone(&caller.access),
            place,
            stage: Stage::Beginning(Box::new(answer), event),
            subscription,
            progress: None,
            ended: state.ended.subscribe(),
            _permit: permit,
        })
    }

    /// The next thing to tell; `None` at the end.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(epoch) = self.progress.take() {
                let data = serde_json::json!({"epoch": epoch});
                return Some(Told { event: "progress", resume: Some(epoch), data });
            }
            match &mut self.stage {
                Stage::Over => return None,
                Stage::Beginning(answer, event) => {
                    let (event, epoch) = (*event, answer.epoch);
                    match answer.next().await {
                        Some(Ok(batch)) => {
                            let rows = rows_of(&batch, &self.access);
                            return Some(Told {
                                event,
                                resume: None,
                                data: serde_json::json!({"epoch": epoch, "rows": rows}),
                            });
                        }
                        Some(Err(error)) => {
                            self.stage = Stage::Over;
                            let data = serde_json::json!({"reason": error.to_string()});
                            return Some(Told { event: "failed", resume: None, data });
                        }
                        None => {
                            self.progress = Some(epoch);
                            self.stage = Stage::Following;
                        }
                    }
                }
                Stage::Following => {
                    let published = tokio::select! {
                        published = self.subscription.next() => published,
                        _ = self.ended.wait_for(|ended| *ended) => return None,
                    };
                    match published {
                        Some(Published::Epoch(changes)) => {
                            if let Some(told) = self.changes(&changes) {
                                self.progress = Some(changes.epoch);
                                return Some(told);
                            }
                            // Without changes progress alone says how far the table is.
                            self.progress = Some(changes.epoch);
                        }
                        Some(Published::Dropped) | None => {
                            self.stage = Stage::Over;
                            let data = serde_json::json!({"reason": "the reader was slower than the table changes"});
                            return Some(Told { event: "dropped", resume: None, data });
                        }
                    }
                }
            }
        }
    }

    /// An epoch's changes of the table, if the caller sees any.
    fn changes(&self, changes: &EpochChanges) -> Option<Told> {
        let own = changes.tables.iter().filter(|(place, _)| *place == self.place);
        let rows: Vec<Value> = own.flat_map(|(_, batch)| rows_of(batch, &self.access)).collect();
        let data = serde_json::json!({"epoch": changes.epoch, "rows": rows});
        (!rows.is_empty()).then_some(Told { event: "changes", resume: None, data })
    }
}

/// The rows of a batch that a caller may see, as JSON.
fn rows_of(batch: &RecordBatch, access: &Access) -> Vec<Value> {
    let schema = batch.schema();
    let Some(dealers) = batch.column_by_name("dealer_id").and_then(|column| column.as_string_opt::<i32>()) else {
        // Every table has the column: without it nothing can be said to be the caller's.
        return Vec::new();
    };
    let sees = |row: &usize| {
        if dealers.is_null(*row) { access.sees_system() } else { access.sees(dealers.value(*row)) }
    };
    let row_json = |row: usize| {
        let columns = schema.fields().iter().zip(batch.columns());
        Value::Object(columns.map(|(field, column)| (field.name().clone(), json_value(column.as_ref(), row))).collect())
    };
    (0..batch.num_rows()).filter(sees).map(row_json).collect()
}

/// Follows a table: what it holds, and then what changes
///
/// Server-sent events `snapshot`, `changes`, `progress` (whose id is the epoch), `dropped`. `Last-Event-ID` or `fromEpoch` goes on behind an
/// epoch.
#[utoipa::path(
    get, path = "/api/subscribe", tag = "sql", params(SubscribeQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The epoch of the last progress that was received")),
    responses(
        (status = 200, description = "The table and its changes", content_type = "text/event-stream", body = String),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Too many streams are open", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn subscribe(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(mut query): Query<SubscribeQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    if let Some(last) = headers.get("last-event-id") {
        let epoch = last.to_str().ok().and_then(|text| text.trim().parse().ok());
        query.from_epoch =
            Some(epoch.ok_or_else(|| Problem::bad_request("Last-Event-ID must be an epoch: a whole number"))?);
    }
    let subscriber = Subscriber::begin(&state, &caller, &query).await?;
    let events = futures::stream::unfold(subscriber, |mut subscriber| async move {
        let Told { event, resume, data } = subscriber.next().await?;
        let mut told = Event::default().event(event).data(data.to_string());
        if let Some(epoch) = resume {
            told = told.id(epoch.to_string());
        }
        Some((Ok(told), subscriber))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive")))
}

/// The same over a WebSocket: each message is `{ event, … }` as JSON.
///
/// # Errors
/// As [`subscribe`].
pub async fn subscribe_socket(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(query): Query<SubscribeQuery>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let subscriber = Subscriber::begin(&state, &caller, &query).await?;
    Ok(upgrade.max_message_size(64 << 10).on_upgrade(|socket| tell(socket, subscriber)))
}

async fn tell(mut socket: WebSocket, mut subscriber: Subscriber) {
    loop {
        let told = tokio::select! {
            told = subscriber.next() => told,
            // A subscriber has nothing to say; what it sends but pings and its end is passed over.
            said = socket.recv() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        let Some(Told { event, mut data, .. }) = told else { break };
        if let Some(fields) = data.as_object_mut() {
            fields.insert("event".to_owned(), event.into());
        }
        if socket.send(Message::Text(data.to_string().into())).await.is_err() {
            return;
        }
    }
    let _ = socket.send(Message::Close(None)).await;
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
