//! What the tables must say after a replay, computed by a plain program: no dataflow, nothing shared with the pipeline.
//!
//! ```text
//!  folder ──► input: lines ──► event: checked ──► duplicates: judged ──► effect: what it does to whom ─┐
//!                               └─ dead letters ◄──┘                                                   │
//!  tables ◄── rows, customers, daily_kpis ◄── entity: lives, merged field by field ◄── dealership ◄────┘
//! ```
//!
//! It reads the contract (`events.md`, `surface.md`) literally and holds everything in memory. Choices where the contract
//! is open are written down in the module that makes them; those of this one:
//! - The last epoch is the greatest time of an accepted event, unless [`Reference::tables_at`] names another.
//! - An event of an unknown type counts as accepted and as unknown; an `id_reused` counts as rejected, not as a duplicate.
//!   So `records = accepted + duplicates + rejected`, and `late` is 0, as no file replay has late data.
//! - Lines of which no dealer can be read are counted in `sources` under a null dealer.

mod customers;
mod daily_kpis;
mod dealership;
mod duplicates;
mod effect;
mod entity;
mod event;
mod field;
mod input;
mod json;
mod number;
mod rows;
mod schema;
mod time;
mod vin;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::dealership::Dealership;
use self::duplicates::{Copy, Fate};
use self::entity::Deed;
use self::event::{Event, Rejection};
use self::input::Place;
use self::rows::View;

pub use self::event::Reason;

/// Rows by table name, each table sorted by its key; columns as `dealerflow sql --format json` names them.
pub type Tables = BTreeMap<&'static str, Vec<Value>>;

/// The rows of one table for one dealer.
type RowsOf = fn(View<'_>) -> Vec<Value>;

/// A file or folder that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}; check that it exists, is whole and may be read", path.display())]
pub struct ReferenceError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// The two times the contract lets users set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long an identity is remembered, in milliseconds of event time.
    pub dedup_horizon_ms: i64,
    /// How long a lead, deal or vehicle outlives its last event, in milliseconds of event time.
    pub retention_ms: i64,
}

impl Default for Settings {
    /// Seven and 400 days.
    fn default() -> Self {
        Settings { dedup_horizon_ms: 7 * time::DAY_MS, retention_ms: 400 * time::DAY_MS }
    }
}

/// A line that became a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetter {
    /// The topic it lay in.
    pub topic: &'static str,
    /// The index of its file among the topic's.
    pub partition: usize,
    /// Its line, counted from 1.
    pub line: u64,
    /// Why.
    pub reason: Reason,
    /// Whose it is, if that can be read.
    pub dealer_id: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct SourceCounts {
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    unknown: u64,
}

/// A folder of events, read and judged.
#[derive(Debug, Clone)]
pub struct Reference {
    settings: Settings,
    dealerships: BTreeMap<String, Dealership>,
    sources: BTreeMap<(Option<String>, &'static str), SourceCounts>,
    dead_letters: Vec<DeadLetter>,
    types: BTreeMap<String, u64>,
    /// In order.
    accepted_times_ms: Vec<i64>,
}

impl Reference {
    /// Reads the topics in `folder`.
    ///
    /// # Errors
    /// When the folder or one of its files cannot be read. Bad lines are dead letters, not errors.
    pub fn read(folder: &Path, settings: Settings) -> Result<Self, ReferenceError> {
        let mut copies = Vec::new();
        let mut rejections = Vec::new();
        input::for_each_line(folder, |place, line| match event::parse(place.topic, line) {
            Ok(event) => copies.push(Copy { event, place, bytes: line.to_vec() }),
            Err(rejection) => rejections.push((place, rejection)),
        })?;
        let judged = duplicates::judge(copies, settings.dedup_horizon_ms);
        let mut reference = Reference {
            settings,
            dealerships: BTreeMap::new(),
            sources: BTreeMap::new(),
            dead_letters: Vec::new(),
            types: BTreeMap::new(),
            accepted_times_ms: Vec::new(),
        };
        let mut accepted: Vec<Event> = Vec::new();
        for (Copy { event, place, .. }, fate) in judged {
            let dealer_id = Some(event.dealer_id.clone());
            match fate {
                Fate::Accepted => {
                    let counts = reference.source(dealer_id, place.topic);
                    counts.accepted += 1;
                    counts.unknown += u64::from(event.fields.is_none());
                    accepted.push(event);
                }
                Fate::Duplicate => reference.source(dealer_id, place.topic).duplicates += 1,
                Fate::IdReused => rejections.push((place, Rejection { reason: Reason::IdReused, dealer_id })),
            }
        }
        for (place, rejection) in rejections {
            reference.reject(place, rejection);
        }
        reference.dead_letters.sort();
        accepted.sort_by(|left, right| (&left.stamp, &left.dealer_id).cmp(&(&right.stamp, &right.dealer_id)));
        reference.accepted_times_ms = accepted.iter().map(|event| event.stamp.time_ms).collect();
        for event in accepted {
            reference.apply(event);
        }
        Ok(reference)
    }

    fn source(&mut self, dealer_id: Option<String>, topic: &'static str) -> &mut SourceCounts {
        self.sources.entry((dealer_id, topic)).or_default()
    }

    fn reject(&mut self, place: Place, rejection: Rejection) {
        self.source(rejection.dealer_id.clone(), place.topic).rejected += 1;
        self.dead_letters.push(DeadLetter {
            topic: place.topic,
            partition: place.partition,
            line: place.line,
            reason: rejection.reason,
            dealer_id: rejection.dealer_id,
        });
    }

    /// Applies an accepted event; they must come in content order.
    fn apply(&mut self, event: Event) {
        *self.types.entry(event.type_name.clone()).or_default() += 1;
        let effect = effect::of(&event);
        if effect.is_none() && event.type_name != "customer.engagement.detected" {
            return;
        }
        let dealership = self.dealerships.entry(event.dealer_id.clone()).or_default();
        if event.type_name == "customer.engagement.detected"
            && let (Some(customer_id), Some(json::Json::Number(share))) =
                (event.text("customerId"), event.field("engagement"))
            && let Some(share) = number::double(share)
        {
            let seen = dealership.engagements.entry(customer_id.to_owned()).or_default();
            seen.push((event.stamp.time_ms, share));
        }
        if let Some(effect) = effect {
            let Event { stamp, type_name, .. } = event;
            dealership.add(Deed { stamp, type_name, effect });
        }
    }

    /// The greatest time of an accepted event in UTC milliseconds; `None` if there is none.
    pub fn epoch_ms(&self) -> Option<i64> {
        self.accepted_times_ms.last().copied()
    }

    /// The times of all accepted events in UTC milliseconds, in order.
    pub fn accepted_times_ms(&self) -> &[i64] {
        &self.accepted_times_ms
    }

    /// The dead letters by topic, partition and line.
    pub fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead_letters
    }

    /// How many events of each type were accepted.
    pub fn accepted_by_type(&self) -> &BTreeMap<String, u64> {
        &self.types
    }

    /// The tables at the last epoch.
    pub fn tables(&self) -> Tables {
        self.tables_at(self.epoch_ms().unwrap_or(0))
    }

    /// The tables at another epoch, in UTC milliseconds, that is not before the last event.
    pub fn tables_at(&self, epoch_ms: i64) -> Tables {
        let mut tables = Tables::new();
        let per_dealer: [(&'static str, RowsOf); 7] = [
            ("customers", customers::customers),
            ("daily_kpis", daily_kpis::daily_kpis),
            ("dealers", rows::dealers),
            ("deals", rows::deals),
            ("leads", rows::leads),
            ("reps", rows::reps),
            ("vehicles", rows::vehicles),
        ];
        for (name, rows_of) in per_dealer {
            let mut table = Vec::new();
            for (dealer_id, dealership) in &self.dealerships {
                table.extend(rows_of(View {
                    dealer_id,
                    dealership,
                    epoch_ms,
                    retention_ms: self.settings.retention_ms,
                    zone: dealership.zone(epoch_ms),
                }));
            }
            tables.insert(name, table);
        }
        tables.insert("sources", self.source_rows());
        tables.insert("dead_letters", self.dead_letter_rows());
        tables
    }

    fn source_rows(&self) -> Vec<Value> {
        let row = |((dealer_id, topic), counts): (&(Option<String>, &str), &SourceCounts)| {
            json!({
                "dealer_id": dealer_id,
                "topic": topic,
                "records": counts.accepted + counts.duplicates + counts.rejected,
                "accepted": counts.accepted,
                "duplicates": counts.duplicates,
                "rejected": counts.rejected,
                "unknown": counts.unknown,
                "late": 0,
            })
        };
        self.sources.iter().map(row).collect()
    }

    /// The columns that do not depend on the wording of a sentence or on a clock.
    fn dead_letter_rows(&self) -> Vec<Value> {
        let row = |letter: &DeadLetter| {
            json!({
                "dealer_id": letter.dealer_id,
                "topic": letter.topic,
                "log_partition": letter.partition,
                "log_offset": letter.line,
                "reason_code": letter.reason.code(),
            })
        };
        self.dead_letters.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests;
