//! What really happens to events on their way: copies, delays, corrections, deletions, rubbish.
//!
//! ```text
//!   Hour, by time ─▶ each ordinary record: as it is │ reshaped │ moved down │ with something added further down ─▶ by placement ─▶ files
//! ```
//! A placement is the time at which a record reaches the file; for ordinary records it is their own. What belongs further down than the
//! present hour waits in a queue. Every number is exact: what could not be placed by the last ordinary record (no lead to delete came
//! any more) is made up for by duplicates, and counted as such.

mod bad;
mod patch;
mod plan;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub use bad::BadKind;
use plan::{Dealing, Mischief};
pub use plan::{DisorderCounts, DisorderOptions};

use super::calendar::{DAY_MS, HOUR_MS, MINUTE_MS};
use super::event::{EventType, Topic};
use super::hour::{Hour, Line};
use super::random::Random;
use patch::Patcher;

/// A record on its way to a file: (placement, order of making, bytes with newline).
type Waiting = Reverse<(i64, u64, Vec<u8>)>;

/// Puts disorder into the hours of a world.
#[derive(Debug)]
pub(super) struct Disorder {
    random: Random,
    dealing: Dealing,
    patcher: Patcher,
    counts: DisorderCounts,
    waiting: [BinaryHeap<Waiting>; Topic::COUNT],
    added_by_topic: [u64; Topic::COUNT],
    made: u64,
    corrections_owed: u64,
    deletions_owed: u64,
}

impl Disorder {
    pub(super) fn new(options: &DisorderOptions, events: u64, dealers: u32, seed: u64) -> Self {
        Disorder {
            random: Random::new(seed, u64::MAX - 1),
            dealing: Dealing::new(options, events),
            patcher: Patcher::new(seed, dealers),
            counts: DisorderCounts::default(),
            waiting: Default::default(),
            added_by_topic: [0; Topic::COUNT],
            made: 0,
            corrections_owed: 0,
            deletions_owed: 0,
        }
    }

    /// Ordinary records that the world has to bring.
    pub(super) fn ordinary(&self) -> u64 {
        self.dealing.ordinary()
    }

    /// What was done so far.
    pub(super) fn counts(&self) -> &DisorderCounts {
        &self.counts
    }

    /// Records added to each topic so far.
    pub(super) fn added_by_topic(&self) -> [u64; Topic::COUNT] {
        self.added_by_topic
    }

    /// Takes a sorted hour; gives, per topic in `files`, the bytes whose placement is before `until_ms`.
    pub(super) fn pass(&mut self, hour: &Hour, until_ms: i64, files: &mut [Vec<u8>; Topic::COUNT]) {
        for topic in Topic::ALL {
            let lines = &hour.topics[topic as usize];
            for line in &lines.lines {
                let record = &lines.bytes[line.start as usize..line.end as usize];
                self.ordinary_record(topic, line, record);
            }
        }
        for (file, waiting) in files.iter_mut().zip(&mut self.waiting) {
            file.clear();
            while waiting.peek().is_some_and(|Reverse((placement_ms, ..))| *placement_ms < until_ms) {
                if let Some(Reverse((_, _, record))) = waiting.pop() {
                    file.extend_from_slice(&record);
                }
            }
        }
    }

    fn place(&mut self, topic: Topic, placement_ms: i64, mut record: Vec<u8>) {
        if record.last() != Some(&b'\n') {
            record.push(b'\n');
        }
        self.made += 1;
        self.waiting[topic as usize].push(Reverse((placement_ms, self.made, record)));
    }

    /// Places a record that is not an ordinary one.
    fn add(&mut self, topic: Topic, placement_ms: i64, record: Vec<u8>) {
        self.added_by_topic[topic as usize] += 1;
        self.place(topic, placement_ms, record);
    }

    fn ordinary_record(&mut self, topic: Topic, line: &Line, record: &[u8]) {
        let (mischief, late) = self.dealing.next(&mut self.random);
        let mut placement_ms = line.time_ms;
        if late {
            placement_ms += self.random.between(MINUTE_MS, 6 * HOUR_MS);
            self.counts.late += 1;
        }
        let reshaped = mischief.and_then(|mischief| self.reshape(mischief, line, record));
        self.place(topic, placement_ms, reshaped.unwrap_or_else(|| record.to_vec()));
        match mischief {
            Some(Mischief::Duplicate) => self.duplicate(topic, placement_ms, record),
            Some(Mischief::ReuseId) => {
                let (record, wait_ms) =
                    (patch::with_field(record, b"\"note\":\"resent\","), self.random.between(MINUTE_MS, HOUR_MS));
                self.add(topic, placement_ms + wait_ms, record);
                self.counts.ids_reused += 1;
            }
            Some(Mischief::Correct) => self.corrections_owed += 1,
            Some(Mischief::Delete) => self.deletions_owed += 1,
            Some(Mischief::Bad) => {
                let turn = self.counts.bad_total();
                let kind = BadKind::ALL[(turn % BadKind::ALL.len() as u64) as usize];
                let (event_type, data) = kind.type_and_data();
                let whole =
                    self.patcher.record(kind.topic().system(), event_type, line.dealer, "bad", line.time_ms, data);
                self.add(kind.topic(), placement_ms, kind.break_record(whole, turn / BadKind::ALL.len() as u64));
                self.counts.bad[kind as usize] += 1;
            }
            Some(Mischief::UnknownType) => {
                let event_type = *self.random.pick(&["lead.viewed", "deal.note.added", "vehicle.photographed"]);
                let data = br#""viewer":{"device":"phone","pages":[1,2]},"seconds":12.5"#;
                let unknown =
                    self.patcher.record(topic.system(), event_type, line.dealer, "unknown", line.time_ms, data);
                self.add(topic, placement_ms, unknown);
                self.counts.unknown_types += 1;
            }
            _ => {}
        }
        if self.corrections_owed > 0 && self.correct(line, record, placement_ms) {
            self.corrections_owed -= 1;
        } else if self.deletions_owed > 0 && self.delete(topic, line, record, placement_ms) {
            self.deletions_owed -= 1;
        }
        if self.dealing.ordinary() == 0 {
            for _ in self.counts.added()..self.dealing.to_add {
                self.duplicate(topic, placement_ms, record);
            }
        }
    }

    fn duplicate(&mut self, topic: Topic, placement_ms: i64, record: &[u8]) {
        let wait_ms = self.random.between(2 * MINUTE_MS, 2 * DAY_MS);
        self.add(topic, placement_ms + wait_ms, record.to_vec());
        self.counts.duplicates += 1;
    }

    /// The same event in another accepted form.
    fn reshape(&mut self, mischief: Mischief, line: &Line, record: &[u8]) -> Option<Vec<u8>> {
        let counts = &mut self.counts;
        let number = self.random.below(9) + 1;
        let (count, reshaped) = match mischief {
            Mischief::UnknownField => {
                (&mut counts.unknown_fields, patch::with_field(record, br#""campaign":{"name":"spring","wave":2},"#))
            }
            Mischief::BlankLine => (&mut counts.blank_lines, [b"\n", record].concat()),
            Mischief::CarriageReturn => (&mut counts.carriage_returns, [&record[..record.len() - 1], b"\r\n"].concat()),
            Mischief::OtherOffset => (&mut counts.other_offsets, patch::with_offset(record, line.time_ms)),
            Mischief::FinerTime => (&mut counts.finer_times, patch::with_finer_time(record, number)),
            Mischief::SequenceText => {
                (&mut counts.sequences, patch::with_envelope(record, &format!("\"sequence\":\"{number}\",")))
            }
            Mischief::SequenceNumber => {
                (&mut counts.sequences, patch::with_envelope(record, &format!("\"sequence\":{number},")))
            }
            _ => return None,
        };
        *count += 1;
        Some(reshaped)
    }

    /// Adds an update of the record's lead or deal. False if the record is about neither.
    fn correct(&mut self, line: &Line, record: &[u8], placement_ms: i64) -> bool {
        const ZONE_EVERY: u64 = 200;
        let is_lead = matches!(line.event_type, EventType::LeadCreated | EventType::LeadUpdated);
        let is_deal = matches!(line.event_type, EventType::DealCreated | EventType::DealUpdated);
        if !is_lead && !is_deal {
            return false;
        }
        // Half are dated soon after the record, so most likely before the entity's newest event, but arrive much later.
        let (time_ms, placement_ms) = if self.random.chance(0.5) {
            let time_ms = line.time_ms + self.random.between(1_000, HOUR_MS);
            (time_ms, placement_ms + self.random.between(2 * HOUR_MS, DAY_MS))
        } else {
            let time_ms = line.time_ms + self.random.between(2 * HOUR_MS, 2 * DAY_MS);
            (time_ms, time_ms.max(placement_ms + 1))
        };
        if self.counts.corrections % ZONE_EVERY == ZONE_EVERY - 1 {
            let moved = self.patcher.dealer_moved(line.dealer, time_ms, &mut self.random);
            self.add(Topic::Dealers, placement_ms, moved);
        } else {
            let update = self.patcher.update(line, record, is_deal, time_ms, &mut self.random);
            self.add(line.event_type.topic(), placement_ms, update);
        }
        self.counts.corrections += 1;
        true
    }

    /// Ends the record's lead, vehicle or rep, and brings every second one back. False if the record brings none into the world.
    fn delete(&mut self, topic: Topic, line: &Line, record: &[u8], placement_ms: i64) -> bool {
        let event_type = match line.event_type {
            EventType::LeadCreated => "lead.deleted",
            EventType::VehicleAcquired => "vehicle.removed",
            EventType::RepAdded => "rep.removed",
            // Most reps are added in the first hour; later ones are taken from their status.
            EventType::RepStatusChanged if self.random.chance(0.15) => "rep.removed",
            _ => return false,
        };
        let (time_ms, deleted_placement_ms) = if self.random.chance(0.35) {
            let time_ms = line.time_ms + self.random.between(1_000, 10 * MINUTE_MS);
            (time_ms, placement_ms + self.random.between(3 * HOUR_MS, DAY_MS))
        } else {
            let time_ms = line.time_ms + self.random.between(HOUR_MS, 3 * DAY_MS);
            (time_ms, time_ms.max(placement_ms + 1))
        };
        let deletion = self.patcher.deletion(line, record, event_type, time_ms);
        self.add(topic, deleted_placement_ms, deletion);
        self.counts.deletions += 1;
        if self.counts.deletions.is_multiple_of(2) {
            let time_ms = time_ms + self.random.between(10 * MINUTE_MS, DAY_MS);
            let revival = self.patcher.revival(line, record, time_ms);
            self.add(topic, time_ms.max(deleted_placement_ms + 1), revival);
            self.counts.revivals += 1;
        }
        true
    }
}
