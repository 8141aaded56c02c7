//! Commands: requests that become events on topic `commands`.
//!
//! ```text
//!   request, Idempotency-Key ─▶ recorded before? its result ─┬─ no ─▶ event ─▶ log ─▶ its epoch ─▶ result, remembered for a day
//!                                                            └─ yes ▶ the same result, nothing written
//! ```
//! The key is the event's id, so a repeat after a restart, when results are forgotten, is the same event again: it changes nothing, and
//! is answered from the tables.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use operators::domain::batch::{Place, Span};
use operators::domain::event::Topic;
use operators::domain::parse::Parser;
use operators::domain::time::format_rfc3339;

use super::appender::InputEvent;
use super::caller::Caller;
use super::epoch_board::fingerprint;
use super::events::rejection_of;
use super::problem::{Problem, ProblemKind};
use super::state::HttpState;

/// How long a result is kept for repeats.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// The longest key.
const KEY_BYTES_MAX: usize = 128;
/// The longest result that is kept; a longer one is asked of the tables again.
const RESULT_BYTES_MAX: usize = 64 << 10;

/// What is to be recorded.
#[derive(Debug)]
pub struct Command {
    /// The command's name, which is part of the event's source.
    pub name: &'static str,
    /// The CloudEvents type.
    pub event_type: &'static str,
    /// What it is about.
    pub subject: String,
    /// The dealer.
    pub dealer: String,
    /// The event's fields.
    pub data: serde_json::Value,
}

/// A command's key: the caller's, or a fresh one.
///
/// # Errors
/// If the caller's cannot be an event's id.
pub fn key_of(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(fresh_id()) };
    let good = |key: &&str| (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = key.to_str().ok().filter(good);
    key.map(str::to_owned).ok_or_else(|| {
        Problem::bad_request(format!("Idempotency-Key must be 1 to {KEY_BYTES_MAX} visible ASCII characters"))
    })
}

/// An id that nobody else has: 128 bits from the process's own seed, a counter and the clock.
pub fn fresh_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let now = now_ms();
    let (first, second) = (RandomState::new().hash_one((count, now)), RandomState::new().hash_one((now, count)));
    format!("{first:016x}{second:016x}")
}

/// This moment, in UTC milliseconds.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// Writes a command into the log and waits for its epoch.
///
/// # Errors
/// If an event of it would not be accepted, or was not, or its epoch does not come in time.
pub async fn record(state: &HttpState, caller: &Caller, key: &str, command: Command) -> Result<i64, Problem> {
    let time_ms = now_ms();
    let event = serde_json::json!({
        "specversion": "1.0", "id": key, "source": format!("/dealerflow/api/{}", command.name), "type": command.event_type,
        "subject": command.subject, "time": format_rfc3339(time_ms), "dealerid": command.dealer, "caller": &*caller.name,
        "data": command.data,
    });
    let bytes = event.to_string().into_bytes();
    let span = Span { start: 0, length: bytes.len() as u32 };
    let place = Place { topic: Topic::Commands as u8, ..Place::default() };
    if let Err(rejection) = Parser::default().parse(&bytes, span, place, 0) {
        return Err(Problem::unprocessable(rejection.sentence));
    }
    let print = fingerprint(&bytes);
    let event = InputEvent { topic: Topic::Commands, dealer: command.dealer, time_ms, bytes };
    let placed = state.appender.append(vec![event]).await?;
    let Some((partition, offset)) = placed.first().copied() else {
        return Err(Problem::new(ProblemKind::Internal, "the log told no place: report this"));
    };
    let Some(settled) = state.board.settled(partition, offset).await else {
        // Published so long ago that its epoch is forgotten: the newest holds it, too.
        return Ok(state.board.newest().unwrap_or_default());
    };
    match rejection_of(&settled, partition, print) {
        // The same key was recorded before a restart.
        Some((code, _)) if code == "id_reused" => Ok(settled.epoch),
        Some((_, reason)) => Err(Problem::unprocessable(reason)),
        None => Ok(settled.epoch),
    }
}

/// A result that was given.
#[derive(Clone, Debug)]
struct Kept {
    at: Instant,
    request: u64,
    result: serde_json::Value,
}

/// Results of the last day, for repeats; at most so many.
#[derive(Debug)]
pub struct Results {
    max: usize,
    kept: Mutex<(BTreeMap<String, Kept>, VecDeque<String>)>,
}

impl Results {
    /// Room for so many.
    pub fn new(max: usize) -> Self {
        Results { max, kept: Mutex::default() }
    }

    /// The place of a command's result.
    pub fn place(dealer: &str, command: &str, key: &str) -> String {
        format!("{dealer}\n{command}\n{key}")
    }

    /// The result that was given before for the same key.
    ///
    /// # Errors
    /// [`ProblemKind::Conflict`] if the key was used for another request.
    pub fn of(&self, place: &str, request: u64) -> Result<Option<serde_json::Value>, Problem> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = kept.0.get(place).filter(|own| own.at.elapsed() < KEPT_FOR) else { return Ok(None) };
        if own.request != request {
            let detail = "the Idempotency-Key was used for another request of this kind: take a new one";
            return Err(Problem::new(ProblemKind::Conflict, detail));
        }
        Ok(Some(own.result.clone()))
    }

    /// Keeps a result; the oldest go when there are too many.
    pub fn keep(&self, place: String, request: u64, result: &serde_json::Value) {
        if result.to_string().len() > RESULT_BYTES_MAX {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (by_place, order) = &mut *kept;
        while order.len() >= self.max || order.front().and_then(|oldest| by_place.get(oldest)).is_some_and(is_old) {
            let Some(oldest) = order.pop_front() else { break };
            by_place.remove(&oldest);
        }
        let own = Kept { at: Instant::now(), request, result: result.clone() };
        if by_place.insert(place.clone(), own).is_none() {
            order.push_back(place);
        }
    }
}

fn is_old(kept: &Kept) -> bool {
    kept.at.elapsed() >= KEPT_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_gets_the_recorded_result_and_another_request_does_not() {
        let results = Results::new(2);
        let place = |key: &str| Results::place("d-1", "deal-closed", key);
        results.keep(place("a"), 1, &serde_json::json!({"epoch": 50}));
        assert_eq!(results.of(&place("a"), 1).unwrap().unwrap()["epoch"], 50);
        assert_eq!(results.of(&place("a"), 2).unwrap_err().kind, ProblemKind::Conflict);
        assert!(results.of(&Results::place("d-2", "deal-closed", "a"), 1).unwrap().is_none(), "another dealer's key");
        results.keep(place("b"), 1, &serde_json::json!({}));
        results.keep(place("c"), 1, &serde_json::json!({}));
        assert!(results.of(&place("a"), 1).unwrap().is_none(), "the oldest goes first");
        assert!(results.of(&place("c"), 1).unwrap().is_some());
    }

    #[test]
    fn keys_are_ids_of_events() {
        let headers = |key: &str| [("idempotency-key".parse().unwrap(), key.parse().unwrap())].into_iter().collect();
        assert_eq!(key_of(&headers("abc-1")).unwrap(), "abc-1");
        assert!(key_of(&headers("a b")).is_err());
        assert!(key_of(&headers(&"x".repeat(129))).is_err());
        let (first, second) = (fresh_id(), fresh_id());
        assert!(first != second && first.len() == 32);
    }
}
