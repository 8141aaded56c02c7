//! SUBSCRIBE: a table or a query's answer as it is, and then as it changes, as server-sent events or over a WebSocket.
//!
//! ```text
//!   snapshot { epoch, rows }*  ─▶ progress { epoch } ─▶ changes { epoch, rows with `change` } ─▶ progress { epoch } ─▶ …
//!   resumed: changes since that epoch instead of the snapshot                                         └ its epoch resumes
//! ```
//! A table's rows are those of `stored.<table>`: columns that are computed at the queried epoch do not change by events; a changed row is an
//! `upsert` or a `delete` of its key. A query's rows have no key: each that came is an `insert`, each that went a `delete`. A caller
//! sees the rows of its dealers and no others. A reader that is too slow for a table is told `dropped`, and the subscription ends: nothing is
//! buffered for it. One that is too slow for a query is told of fewer epochs.

mod query;
mod table;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde::Deserialize;
use serde_json::{Value, json};
use sql::format::json_row;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

use self::query::QueryFollower;
use self::table::TableFollower;
use super::caller::Caller;
use super::extract::Query;
use super::problem::{Problem, ProblemDocument};
use super::state::HttpState;

/// How often a quiet subscription shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What is subscribed to: a table or a query.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct SubscribeQuery {
    /// The table.
    #[param(example = "reps")]
    pub table: Option<String>,
    /// One statement that reads, instead of a table. Its columns need names of their own.
    pub query: Option<String>,
    /// Go on behind this epoch, with the changes since; without it the table or the answer comes first.
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

impl Told {
    fn new(event: &'static str, data: Value) -> Self {
        Told { event, resume: None, data }
    }

    /// All changes up to an epoch are told.
    fn progress(epoch: i64) -> Self {
        Told { event: "progress", resume: Some(epoch), data: json!({"epoch": epoch}) }
    }

    /// Nothing more comes, and why.
    fn end(event: &'static str, reason: &str) -> Self {
        Told::new(event, json!({"reason": reason}))
    }
}

/// A row as JSON.
fn row_json(batch: &RecordBatch, row: usize) -> Value {
    Value::Object(json_row(batch.schema_ref(), batch, row))
}

/// What is followed.
enum Follower {
    Table(Box<TableFollower>),
    Query(Box<QueryFollower>),
}

/// A subscription on its way.
struct Subscriber {
    follower: Follower,
    ended: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Subscriber {
    async fn begin(state: &Arc<HttpState>, caller: &Caller, asked: SubscribeQuery) -> Result<Self, Problem> {
        let permit = state.stream_permit()?;
        let SubscribeQuery { table, query, from_epoch } = asked;
        let follower = match (table, query) {
            (Some(table), None) => {
                Follower::Table(Box::new(TableFollower::begin(state, caller, &table, from_epoch).await?))
            }
            (None, Some(query)) => {
                Follower::Query(Box::new(QueryFollower::begin(state, caller, &query, from_epoch).await?))
            }
            _ => return Err(Problem::bad_request("name either a table or a query")),
        };
        Ok(Subscriber { follower, ended: state.ended.subscribe(), _permit: permit })
    }

    /// The next thing to tell; `None` at the end.
    async fn next(&mut self) -> Option<Told> {
        let next = async {
            match &mut self.follower {
                Follower::Table(follower) => follower.next().await,
                Follower::Query(follower) => follower.next().await,
            }
        };
        tokio::select! {
            told = next => told,
            _ = self.ended.wait_for(|ended| *ended) => None,
        }
    }
}

/// Follows a table, or the answer of a query: what it holds, and then what changes
///
/// Server-sent events `snapshot`, `changes`, `progress` (whose id is the epoch), `dropped`, `failed`. `Last-Event-ID` or `fromEpoch` goes on
/// behind an epoch. A changed row of a table is an `upsert` or a `delete` of its key; of a query's answer a row is an `insert` or a `delete`.
#[utoipa::path(
    get, path = "/api/subscribe", tag = "sql", params(SubscribeQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The epoch of the last progress that was received")),
    responses(
        (status = 200, description = "The rows and their changes", content_type = "text/event-stream", body = String),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Too many streams are open", content_type = "application/problem+json", body = ProblemDocument),
        (status = 504, description = "Too slow", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn subscribe(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(mut asked): Query<SubscribeQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    if let Some(last) = headers.get("last-event-id") {
        let epoch = last.to_str().ok().and_then(|text| text.trim().parse().ok());
        asked.from_epoch =
            Some(epoch.ok_or_else(|| Problem::bad_request("Last-Event-ID must be an epoch: a whole number"))?);
    }
    let subscriber = Subscriber::begin(&state, &caller, asked).await?;
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
    Query(asked): Query<SubscribeQuery>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let subscriber = Subscriber::begin(&state, &caller, asked).await?;
    Ok(upgrade.max_message_size(64 << 10).on_upgrade(|socket| tell(socket, subscriber)))
}

async fn tell(mut socket: WebSocket, mut subscriber: Subscriber) {
    loop {
        // Kept while the socket speaks: a query that is under way is not begun again.
        let mut next = std::pin::pin!(subscriber.next());
        let told = loop {
            tokio::select! {
                told = &mut next => break told,
                // A subscriber has nothing to say; what it sends but pings and its end is passed over.
                said = socket.recv() => match said {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                },
            }
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
