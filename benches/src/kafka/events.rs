//! The events of a folder, in memory and in the order of their time, as a producer hands them over.

use std::borrow::Cow;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use operators::domain::event::Topic;
use operators::domain::event_time::{event_time_of, with_event_time};
use serde_json::Value;

use crate::failure::Failure;

/// An event on its way to its topic.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The topic.
    pub topic: Topic,
    /// The dealer.
    pub key: &'a [u8],
    /// The event's id.
    pub id: &'a str,
    /// The record.
    pub payload: &'a [u8],
}

impl Outgoing<'_> {
    /// The record with the time of now in place of its own.
    pub fn happening_now(&self) -> Cow<'_, [u8]> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        with_event_time(self.payload, now).map_or(Cow::Borrowed(self.payload), Cow::Owned)
    }
}

/// Which records are made bad, so that each of them comes out as a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// None.
    None,
    /// One of so many, evenly.
    OneOf(usize),
    /// All.
    All,
}

#[derive(Debug)]
struct Line {
    topic: Topic,
    time_ms: i64,
    key: Vec<u8>,
    id: String,
    payload: Vec<u8>,
}

/// Events in the order of their time.
#[derive(Debug)]
pub struct Events {
    lines: Vec<Line>,
}

impl Events {
    /// Reads a folder of `<topic>.jsonl`. A bad record is a whole one that claims a version of `CloudEvents` which does not exist: the
    /// parser reads all of it before it says no, and its dealer is known.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn of_folder(folder: &Path, bad: Bad) -> Result<Self, Failure> {
        let mut lines = Vec::new();
        for topic in Topic::ALL {
            let path = folder.join(format!("{}.jsonl", topic.name()));
            if !path.is_file() {
                continue;
            }
            let text = std::fs::read(&path).map_err(Failure::system(format!("{} cannot be read", path.display())))?;
            let mut time_ms = i64::MIN;
            for payload in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                time_ms = event_time_of(payload).unwrap_or(time_ms);
                let event: Value = serde_json::from_slice(payload).unwrap_or_default();
                let key = event["dealerid"].as_str().unwrap_or_default().as_bytes().to_vec();
                let id = event["id"].as_str().unwrap_or_default().to_owned();
                lines.push(Line { topic, time_ms, key, id, payload: payload.to_vec() });
            }
        }
        lines.sort_by_key(|line| line.time_ms);
        for (number, line) in lines.iter_mut().enumerate() {
            let is_bad = match bad {
                Bad::None => false,
                Bad::OneOf(share) => number % share.max(1) == 0,
                Bad::All => true,
            };
            if is_bad {
                spoil(&mut line.payload);
            }
        }
        Ok(Events { lines })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The event at a place.
    pub fn get(&self, place: usize) -> Option<Outgoing<'_>> {
        let Line { topic, key, id, payload, .. } = self.lines.get(place)?;
        Some(Outgoing { topic: *topic, key, id, payload })
    }
}

/// Makes a record claim version 2.0 of `CloudEvents`.
fn spoil(payload: &mut [u8]) {
    const VERSION: &[u8] = b"\"specversion\":\"1";
    if let Some(at) = memchr::memmem::find(payload, VERSION) {
        payload[at + VERSION.len() - 1] = b'2';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_happens_now_has_another_time_and_nothing_else() {
        let payload = br#"{"id":"e","time":"2026-01-01T00:00:00Z","data":{"time":"x"}}"#;
        let event = Outgoing { topic: Topic::Leads, key: b"d", id: "e", payload };
        let now: Value = serde_json::from_slice(&event.happening_now()).unwrap();
        assert_eq!((&now["id"], &now["data"]["time"]), (&Value::from("e"), &Value::from("x")));
        assert!(event_time_of(&event.happening_now()) > event_time_of(payload));
    }

    #[test]
    fn events_come_in_order_of_time_and_the_bad_ones_are_spoilt() {
        let folder = tempfile::tempdir().unwrap();
        let line =
            |day: u8| format!(r#"{{"specversion":"1.0","dealerid":"d-{day}","time":"2026-01-0{day}T00:00:00Z"}}"#);
        std::fs::write(folder.path().join("leads.jsonl"), format!("{}\n{}\n", line(1), line(3))).unwrap();
        std::fs::write(folder.path().join("deals.jsonl"), format!("{}\n", line(2))).unwrap();
        let events = Events::of_folder(folder.path(), Bad::OneOf(2)).unwrap();
        let keys: Vec<&[u8]> = (0..events.len()).map(|place| events.get(place).unwrap().key).collect();
        assert_eq!(keys, [b"d-1", b"d-2", b"d-3"]);
        let is_bad = |place| memchr::memmem::find(events.get(place).unwrap().payload, b"\"2.0\"").is_some();
        assert_eq!([is_bad(0), is_bad(1), is_bad(2)], [true, false, true]);
    }
}
