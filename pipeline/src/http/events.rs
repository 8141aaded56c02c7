//! `POST /api/events`: the way in for a shop without Kafka.
//!
//! ```text
//!   CloudEvents, one or many ─▶ the pipeline's own parser ─▶ input log ─▶ the epoch that holds them ─▶ what became of each
//! ```
//! What the parser refuses is never written: its sender is told why. An event is known by dealer, source and id, so sending it again is
//! harmless. The answer comes once the events' epoch is published.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use operators::domain::batch::{EventBatch, Place, RawBytes, Span};
use operators::domain::event::{EventType, Topic};
use operators::domain::parse::Parser;
use operators::domain::time::format_rfc3339;
use serde::Serialize;
use sql::access::Role;
use utoipa::ToSchema;

use super::appender::InputEvent;
use super::caller::Caller;
use super::epoch_board::{SettledEpoch, fingerprint};
use super::extract::Body;
use super::problem::{Problem, ProblemDocument, ProblemKind};
use super::state::HttpState;
use crate::run::binding::InputPartition;

/// Events of one request, at most.
pub const EVENTS_MAX: usize = 10_000;

/// What became of one event.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventResult {
    /// The event's id; null where it could not be read.
    pub id: Option<String>,
    /// `accepted`; `rejected`, with the reason; or `appended`: the log has it for good, and its epoch is not known yet.
    pub status: &'static str,
    /// The epoch that holds it.
    pub epoch: Option<i64>,
    /// Why it was rejected, as a word.
    pub reason_code: Option<String>,
    /// Why it was rejected, as a sentence.
    pub reason: Option<String>,
}

impl EventResult {
    fn rejected(id: Option<String>, code: &str, reason: impl Into<String>) -> Self {
        let (reason_code, reason) = (Some(code.to_owned()), Some(reason.into()));
        EventResult { id, status: "rejected", epoch: None, reason_code, reason }
    }
}

/// What became of a request's events.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventsAnswer {
    /// The last epoch that holds one of them; null if none was accepted, or the epoch is not known yet.
    pub epoch: Option<i64>,
    /// That epoch as a time.
    pub time: Option<String>,
    /// How many were accepted, those sent before among them.
    pub accepted: usize,
    /// How many were rejected.
    pub rejected: usize,
    /// Each, in the order of the request.
    pub results: Vec<EventResult>,
}

/// A CloudEvent in structured mode; `data` is by its type.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it stands in the OpenAPI document; the pipeline's own parser reads it")]
pub struct CloudEvent {
    /// `1.0`
    #[schema(example = "1.0")]
    specversion: String,
    /// Known with dealer and source: a repeat changes nothing.
    #[schema(example = "01J9Z3")]
    id: String,
    /// Who sends it.
    #[schema(example = "/dealers/d-0001/crm")]
    source: String,
    /// What happened.
    #[schema(example = "lead.created")]
    r#type: String,
    /// When, RFC 3339.
    #[schema(example = "2026-02-16T15:04:05Z")]
    time: String,
    /// The dealer.
    #[schema(example = "d-0001")]
    dealerid: String,
    /// The event's own fields.
    #[schema(value_type = Object, example = json!({"leadId": "lead-42", "customerId": "c-7", "channel": "web"}))]
    data: serde_json::Value,
}

/// One record of a request.
#[derive(Debug)]
enum Read {
    Event { id: String, event: InputEvent },
    Refused(EventResult),
}

/// Takes events into the input log
///
/// One CloudEvent (`application/cloudevents+json` or `application/json`), or many (`application/cloudevents-batch+json`, or a JSON array).
#[utoipa::path(
    post, path = "/api/events", tag = "events",
    request_body(content(
        (CloudEvent = "application/cloudevents+json"), (CloudEvent = "application/json"),
        (Vec<CloudEvent> = "application/cloudevents-batch+json"),
    )),
    responses(
        (status = 200, description = "The epoch that holds them is published", body = EventsAnswer),
        (status = 202, description = "The log has them for good; their epoch is not known yet", body = EventsAnswer),
        (status = "4XX", description = "A problem document", content_type = "application/problem+json", body = ProblemDocument),
        (status = 503, description = "The log is out of reach", content_type = "application/problem+json", body = ProblemDocument),
    ),
)]
pub async fn post_events(
    State(state): State<Arc<HttpState>>,
    caller: Caller,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<(StatusCode, Json<EventsAnswer>), Problem> {
    caller.require(Role::Operator)?;
    let records = records_of(&headers, &body)?;
    let mut results = Vec::with_capacity(records.len());
    let mut events = Vec::new();
    let mut places = Vec::new();
    let mut parser = Parser::default();
    for range in records {
        match read(&mut parser, &body[range], &caller) {
            Read::Event { id, event } => {
                places.push((results.len(), fingerprint(&event.bytes)));
                let status = "appended";
                results.push(EventResult { id: Some(id), status, epoch: None, reason_code: None, reason: None });
                events.push(event);
            }
            Read::Refused(result) => results.push(result),
        }
    }
    if let ([result], true) = (results.as_slice(), events.is_empty()) {
        let code = result.reason_code.as_deref().unwrap_or_default();
        let kind = if code == "forbidden" { ProblemKind::Forbidden } else { ProblemKind::Unprocessable };
        return Err(Problem::new(kind, format!("{code}: {}", result.reason.as_deref().unwrap_or_default())));
    }
    if !events.is_empty() {
        let placed = state.appender.append(events).await?;
        // Less than the request's own time, so that who waits in vain is told that the log has the events.
        let patience = state.limits.timeout.mul_f32(0.8);
        let _ = tokio::time::timeout(patience, settle(&state, &placed, &places, &mut results)).await;
    }
    let count = |status: &str| results.iter().filter(|result| result.status == status).count();
    let (accepted, rejected, appended) = (count("accepted"), count("rejected"), count("appended"));
    let epoch = results.iter().filter_map(|result| result.epoch).max();
    let status = if appended > 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(EventsAnswer { epoch, time: epoch.map(format_rfc3339), accepted, rejected, results })))
}

/// Waits for the epoch of each event, and notes what became of it.
async fn settle(
    state: &HttpState,
    placed: &[(InputPartition, u64)],
    places: &[(usize, u64)],
    results: &mut [EventResult],
) {
    for ((partition, offset), (place, fingerprint)) in placed.iter().zip(places) {
        let settled = state.board.settled(*partition, *offset).await;
        let result = &mut results[*place];
        let rejection = settled.as_deref().and_then(|settled| rejection_of(settled, *partition, *fingerprint));
        result.epoch = settled.as_ref().map(|settled| settled.epoch).or_else(|| state.board.newest());
        result.status = "accepted";
        if let Some((code, reason)) = rejection {
            result.status = "rejected";
            (result.reason_code, result.reason) = (Some(code), Some(reason));
        }
    }
}

/// Why an epoch rejected a record, if it did.
pub(super) fn rejection_of(
    settled: &SettledEpoch,
    partition: InputPartition,
    fingerprint: u64,
) -> Option<(String, String)> {
    let mut rejected = settled.rejected.iter();
    let own = rejected.find(|rejected| rejected.partition == partition && rejected.fingerprint == fingerprint)?;
    Some((own.reason_code.to_owned(), own.reason.clone()))
}

/// The records of a body.
fn records_of(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Range<usize>>, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let begins = body.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    match (media.as_str(), begins) {
        (_, None) => Err(Problem::bad_request("the body is empty: send one CloudEvent, or a JSON array of them")),
        ("application/cloudevents-batch+json" | "application/json", Some(b'[')) => elements(body),
        ("application/cloudevents-batch+json", _) => {
            Err(Problem::bad_request("a batch is a JSON array of CloudEvents: put [ and ] around them"))
        }
        ("application/cloudevents+json" | "application/json", _) => Ok(std::iter::once(0..body.len()).collect()),
        _ => Err(Problem::new(
            ProblemKind::UnsupportedMediaType,
            "send application/cloudevents+json for one event, or application/cloudevents-batch+json for many",
        )),
    }
}

/// Where the elements of a JSON array lie. Only brackets and quotes are looked at: the parser judges each element.
fn elements(body: &[u8]) -> Result<Vec<Range<usize>>, Problem> {
    let broken = || Problem::bad_request("the batch is no JSON array: a bracket, a comma or a quote is missing");
    let (mut elements, mut start, mut depth, mut in_text, mut escaped) = (Vec::new(), 0, 0_usize, false, false);
    let mut end = None;
    for (at, byte) in body.iter().copied().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        if end.is_some() && !byte.is_ascii_whitespace() {
            return Err(broken());
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => {
                depth += 1;
                if depth == 1 {
                    start = at + 1;
                }
            }
            b']' | b'}' => {
                depth = depth.checked_sub(1).ok_or_else(broken)?;
                if depth == 0 {
                    elements.push(start..at);
                    end = Some(at);
                }
            }
            b',' if depth == 1 => {
                elements.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
        if elements.len() > EVENTS_MAX {
            let detail = format!("a batch holds at most {EVENTS_MAX} events: send it in parts");
            return Err(Problem::new(ProblemKind::TooLarge, detail));
        }
    }
    if end.is_none() {
        return Err(broken());
    }
    if let [only] = elements.as_slice()
        && body[only.clone()].trim_ascii().is_empty()
    {
        return Err(Problem::bad_request("the batch holds no event"));
    }
    Ok(elements)
}

/// Reads one record with the pipeline's own parser.
fn read(parser: &mut Parser, record: &[u8], caller: &Caller) -> Read {
    let record = record.trim_ascii();
    // Whatever its type, it may stand on `commands`; the type then says which topic is its own.
    let place = Place { topic: Topic::Commands as u8, ..Place::default() };
    let span = Span { start: 0, length: record.len() as u32 };
    let event = match parser.parse(record, span, place, 0) {
        Ok(event) => event,
        Err(rejection) => {
            return Read::Refused(EventResult::rejected(None, rejection.code.name(), rejection.sentence));
        }
    };
    let mut batch = EventBatch { raw: RawBytes(Arc::new(record.to_vec())), ..EventBatch::default() };
    parser.push(event, &mut batch);
    let Some(event) = batch.events.first() else {
        return Read::Refused(EventResult::rejected(None, "invalid_json", "The record holds no event."));
    };
    let text = |span: Span| String::from_utf8_lossy(batch.text(span)).into_owned();
    let (id, dealer) = (text(event.id), text(event.dealer));
    if let Err(problem) = caller.require_dealer(&dealer) {
        return Read::Refused(EventResult::rejected(Some(id), "forbidden", problem.detail));
    }
    let topic = match event.event_type.event_type() {
        // It is kept and counted; no topic is its own.
        EventType::Unknown => Topic::Commands,
        known => known.spec().topic,
    };
    if event.event_type.event_type() == EventType::CommandAccepted {
        let reason = "Only dealerflow itself writes command.accepted: call the command's own path.";
        return Read::Refused(EventResult::rejected(Some(id), "forbidden", reason));
    }
    Read::Event { id, event: InputEvent { topic, dealer, time_ms: event.time_ms, bytes: record.to_vec() } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql::access::{Access, Dealers};

    fn split(body: &str) -> Result<Vec<String>, String> {
        let elements = elements(body.as_bytes()).map_err(|problem| problem.detail)?;
        Ok(elements.into_iter().map(|range| body[range].trim().to_owned()).collect())
    }

    #[test]
    fn a_batch_is_cut_at_its_own_commas() {
        let check = |body: &str, expect: &[&str]| assert_eq!(split(body).unwrap(), expect, "{body}");
        check(r#"[{"a":[1,2]}, {"b":"x,]\"}"}]"#, &[r#"{"a":[1,2]}"#, r#"{"b":"x,]\"}"}"#]);
        check(" [1] ", &["1"]);
        check("[1,]", &["1", ""]);
        for broken in ["[", "[1", "[1]]", "[1] x", "[\"", "]", "[]", "[ ]"] {
            assert!(split(broken).is_err(), "{broken}");
        }
        let many = format!("[{}1]", "1,".repeat(EVENTS_MAX));
        assert!(split(&many).unwrap_err().contains("at most 10000"));
    }

    fn caller(dealers: Dealers) -> Caller {
        Caller { name: "t".into(), access: Arc::new(Access { role: Role::Operator, dealers }), index: 0 }
    }

    fn record(kind: &str, dealer: &str, data: &str) -> String {
        format!(
            r#"{{"specversion":"1.0","id":"e1","source":"/crm","type":"{kind}","time":"2026-02-16T15:04:05Z","dealerid":"{dealer}","data":{data}}}"#
        )
    }

    #[test]
    fn events_go_to_their_own_topic_if_their_dealer_is_the_callers() {
        let read = |record: &str| match super::read(
            &mut Parser::default(),
            record.as_bytes(),
            &caller(Dealers::Only(["d-1".to_owned()].into())),
        ) {
            Read::Event { id, event } => format!("{id} {} {}", event.topic.name(), event.dealer),
            Read::Refused(result) => result.reason_code.unwrap_or_default(),
        };
        assert_eq!(read(&record("rep.added", "d-1", r#"{"repId":"r","name":"Ann"}"#)), "e1 reps d-1");
        assert_eq!(read(&record("rep.added", "d\\u002d1", r#"{"repId":"r","name":"Ann"}"#)), "e1 reps d-1");
        assert_eq!(read(&record("rep.added", "d-2", r#"{"repId":"r","name":"Ann"}"#)), "forbidden");
        assert_eq!(read(&record("rep.added", "d-1", r#"{"repId":"r"}"#)), "missing_field");
        assert_eq!(read(&record("weather.changed", "d-1", "{}")), "e1 commands d-1");
        assert_eq!(read(&record("command.accepted", "d-1", r#"{"command":"reset"}"#)), "forbidden");
        assert_eq!(read("{"), "invalid_json");
    }
}
