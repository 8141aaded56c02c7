//! `GET /api/pulse-stream`: the pulse as server-sent events.
//!
//! ```text
//!   event: kpis   data: {…}            any number, without id
//!   event: epoch  id: 1771254000050    ends an epoch: `Last-Event-ID` goes on behind it
//!   event: gap    data: { from, to }   what was asked for has left the ring: look at the tables, then go on
//!   event: dropped                     the reader was slower than the pulse: the stream ends
//! ```
//! A reader has a cursor and no buffer. Comments keep a quiet connection open.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde::Deserialize;
use sql::access::{Access, Dealers};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

use super::ring::{EpochUpdates, Next};
use super::{Pulse, PulseTopic};
use crate::http::caller::Caller;
use crate::http::extract::Query;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::state::HttpState;

/// How often a quiet stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a reader wants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct PulseQuery {
    /// Topics with commas: pipeline, kpis, leads, deals, inventory, team, segments, assignments, anomalies, signals. All if left out.
    pub topics: Option<String>,
    /// One dealer; all that the token sees if left out.
    pub dealer_id: Option<String>,
}

/// What one reader is given.
struct Filter {
    access: Arc<Access>,
    dealer: Option<String>,
    topics: BTreeSet<PulseTopic>,
}

impl Filter {
    fn new(caller: &Caller, query: &PulseQuery) -> Result<Self, Problem> {
        if let Some(dealer) = &query.dealer_id {
            caller.require_dealer(dealer)?;
        }
        let mut topics = BTreeSet::from(PulseTopic::ALL);
        if let Some(names) = query.topics.as_deref().filter(|names| !names.is_empty()) {
            topics.clear();
            for name in names.split(',').map(str::trim) {
                let known = PulseTopic::ALL.into_iter().find(|topic| topic.name() == name);
                topics.insert(known.ok_or_else(|| {
                    let all: Vec<&str> = PulseTopic::ALL.iter().map(|topic| topic.name()).collect();
                    Problem::bad_request(format!("there is no topic {name:?}: choose from {}", all.join(", ")))
                })?);
            }
        }
        Ok(Filter { access: Arc::clone(&caller.access), dealer: query.dealer_id.clone(), topics })
    }

    fn shows(&self, topic: PulseTopic, dealer: Option<&str>) -> bool {
        let visible = match dealer {
            Some(dealer) => self.access.sees(dealer) && self.dealer.as_deref().is_none_or(|own| own == dealer),
            None => self.access.dealers == Dealers::All,
        };
        visible && self.topics.contains(&topic)
    }
}

/// A reader on its way through the ring.
struct Reader {
    pulse: Arc<Pulse>,
    moved: watch::Receiver<u64>,
    ended: watch::Receiver<bool>,
    filter: Filter,
    cursor: i64,
    /// The epoch that is being told, and how far.
    telling: Option<(Arc<EpochUpdates>, usize)>,
    /// Whether anything was told yet: a gap at the beginning is the reader's own, a later one is ours.
    begun: bool,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.is_over {
                return None;
            }
            if let Some(event) = self.tell() {
                return Some(event);
            }
            match self.pulse.after(self.cursor) {
                Next::Epoch(updates) => {
                    self.begun = true;
                    self.telling = Some((updates, 0));
                }
                Next::Missed { oldest } => {
                    let (from, to) = (self.cursor, oldest);
                    let data = format!("{{\"from\":{from},\"to\":{to}}}");
                    if self.begun {
                        self.is_over = true;
                        return Some(Event::default().event("dropped").data(data));
                    }
                    self.begun = true;
                    // The oldest epoch itself is still to be told.
                    self.cursor = oldest - 1;
                    return Some(Event::default().event("gap").data(data));
                }
                Next::Nothing => {
                    self.begun = true;
                    tokio::select! {
                        moved = self.moved.changed() => moved.ok()?,
                        _ = self.ended.wait_for(|ended| *ended) => return None,
                    }
                }
            }
        }
    }

    /// The next event of the epoch that is being told.
    fn tell(&mut self) -> Option<Event> {
        let (updates, told) = self.telling.as_mut()?;
        while let Some(update) = updates.updates.get(*told) {
            *told += 1;
            if self.filter.shows(update.topic, update.dealer.as_deref()) {
                return Some(Event::default().event(update.topic.name()).data(&*update.json));
            }
        }
        let epoch = updates.epoch;
        self.cursor = epoch;
        self.telling = None;
        Some(Event::default().event("epoch").id(epoch.to_string()).data(format!("{{\"epoch\":{epoch}}}")))
    }
}

/// Follows metric and signal updates, epoch by epoch
///
/// Server-sent events. Each epoch ends with the event `epoch`, whose id is the epoch: after a lost connection `Last-Event-ID` goes on behind
/// it, as far as the updates are still kept; else `gap` comes first. A reader that is slower than the pulse gets `dropped`, and its stream
/// ends.
#[utoipa::path(
    get, path = "/api/pulse-stream", tag = "pulse", params(PulseQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The last epoch that was received")),
    responses(
        (status = 200, description = "Updates, epoch by epoch", content_type = "text/event-stream", body = String),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "Too many streams are open", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn pulse_stream(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    Query(query): Query<PulseQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let filter = Filter::new(&caller, &query)?;
    let last = match headers.get("last-event-id") {
        None => None,
        Some(value) => {
            let epoch = value.to_str().ok().and_then(|text| text.trim().parse::<i64>().ok());
            Some(epoch.ok_or_else(|| Problem::bad_request("Last-Event-ID must be an epoch: a whole number"))?)
        }
    };
    let permit = state.stream_permit()?;
    let pulse = Arc::clone(&state.pulse);
    let moved = pulse.watch();
    let cursor = last.or_else(|| pulse.newest()).unwrap_or(i64::MIN);
    let reader = Reader {
        pulse,
        moved,
        ended: state.ended.subscribe(),
        filter,
        cursor,
        telling: None,
        begun: last.is_none(),
        is_over: false,
        _permit: permit,
    };
    let events =
        futures::stream::unfold(
            reader,
            |mut reader| async move { reader.next().await.map(|event| (Ok(event), reader)) },
        );
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql::access::Role;

    #[test]
    fn a_filter_shows_only_what_the_token_sees() {
        let access = Access { role: Role::Viewer, dealers: Dealers::Only(["d-1".to_owned()].into()) };
        let caller = Caller { name: "token[0]".into(), access: Arc::new(access), index: 0 };
        let query = |topics: Option<&str>, dealer: Option<&str>| PulseQuery {
            topics: topics.map(str::to_owned),
            dealer_id: dealer.map(str::to_owned),
        };
        let filter = Filter::new(&caller, &query(None, None)).unwrap();
        assert!(filter.shows(PulseTopic::Kpis, Some("d-1")));
        assert!(!filter.shows(PulseTopic::Kpis, Some("d-2")));
        assert!(!filter.shows(PulseTopic::Pipeline, None), "the whole pipeline is for tokens of all dealers");
        assert!(Filter::new(&caller, &query(None, Some("d-2"))).is_err());
        let filter = Filter::new(&caller, &query(Some("leads, team"), None)).unwrap();
        assert!(filter.shows(PulseTopic::Leads, Some("d-1")) && !filter.shows(PulseTopic::Kpis, Some("d-1")));
        assert!(Filter::new(&caller, &query(Some("leads,tea"), None)).is_err());
    }
}
