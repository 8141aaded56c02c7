//! Input folders: simulated, or written by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::dealerflow::{Outcome, replay, simulate};
pub(crate) use tests::random::Random;

/// A folder of one test's own, gone with it: `input/`, and any number of outputs beside it.
pub(crate) struct World(TempDir);

impl World {
    /// A world whose input is an empty folder.
    pub(crate) fn empty() -> Self {
        let world = World(tempfile::tempdir().unwrap());
        fs::create_dir(world.input()).unwrap();
        world
    }

    /// Dealers simulated with disorder: duplicates, late events, corrections, deletions and bad records.
    pub(crate) fn simulated(seed: u64, dealers: u64, events: u64) -> Self {
        let world = World(tempfile::tempdir().unwrap());
        let numbers = [seed, dealers, events].map(|number| number.to_string());
        let [seed, dealers, events] = numbers.each_ref().map(String::as_str);
        simulate(&world.input(), &["--seed", seed, "--dealers", dealers, "--events", events, "--disorder"]);
        world
    }

    /// Dealers simulated without disorder.
    pub(crate) fn orderly(seed: u64, dealers: u64, events: u64) -> Self {
        let world = World(tempfile::tempdir().unwrap());
        let numbers = [seed, dealers, events].map(|number| number.to_string());
        let [seed, dealers, events] = numbers.each_ref().map(String::as_str);
        simulate(&world.input(), &["--seed", seed, "--dealers", dealers, "--events", events]);
        world
    }

    /// A few events written by hand.
    pub(crate) fn of(events: &[Event]) -> Self {
        let world = World::empty();
        write_events(&world.input(), events);
        world
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.path("input")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replays the input to a new output `name`.
    pub(crate) fn replay(&self, name: &str, further: &[&str]) -> Replayed {
        let output = self.path(name);
        let outcome = replay(&self.input(), &output, further);
        Replayed { output, outcome }
    }
}

/// A finished replay.
pub(crate) struct Replayed {
    pub(crate) output: PathBuf,
    pub(crate) outcome: Outcome,
}

/// An event of dealer `d`, unless it says otherwise.
#[derive(Clone)]
pub(crate) struct Event {
    topic: &'static str,
    envelope: Value,
}

/// An event of `type_name` at `time`, on the topic where the type belongs.
pub(crate) fn event(time: &str, type_name: &str, data: Value) -> Event {
    let topic = match type_name.split('.').next() {
        Some("dealer") => "dealers",
        Some("deal" | "credit") => "deals",
        Some("vehicle") => "inventory",
        Some("rep") => "reps",
        _ => "leads",
    };
    let envelope = json!({"specversion": "1.0", "source": "s", "type": type_name, "dealerid": "d", "time": time});
    Event { topic, envelope }.with("data", data)
}

impl Event {
    /// With another attribute of the envelope, such as `id`, `dealerid` or `sequence`.
    pub(crate) fn with(mut self, attribute: &str, value: impl Into<Value>) -> Self {
        self.envelope[attribute] = value.into();
        self
    }

    pub(crate) fn on_topic(mut self, topic: &'static str) -> Self {
        self.topic = topic;
        self
    }

    /// With `index` as its id, unless it has one.
    pub(crate) fn identified(self, index: usize) -> Self {
        if self.envelope.get("id").is_some() { self } else { self.with("id", format!("{index:03}")) }
    }

    pub(crate) fn line(&self) -> String {
        self.envelope.to_string()
    }
}

/// A lead that is accepted, for tests that want something good among the rubbish.
pub(crate) fn good_lead(lead_id: &str) -> Event {
    let data = json!({"leadId": lead_id, "customerId": format!("customer of {lead_id}"), "channel": "web"});
    event("2026-02-16T15:04:05.123Z", "lead.created", data).with("id", format!("id of {lead_id}"))
}

/// Writes events to their topics' files in `folder`, in the given order. Those without an id take their index for it.
pub(crate) fn write_events(folder: &Path, events: &[Event]) {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        let text = files.entry(event.topic).or_default();
        text.push_str(&event.clone().identified(index).line());
        text.push('\n');
    }
    for (topic, text) in files {
        fs::write(folder.join(format!("{topic}.jsonl")), text).unwrap();
    }
}
