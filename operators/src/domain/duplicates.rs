//! Which events were accepted before: sixteen bytes each, forgotten after the horizon.
//!
//! ```text
//!   dealer ─▶ shard ─▶ which table       identity ─▶ which slot; kept: tag (64) | accepted at (42, ms) | hash of the bytes (22)
//! ```
//! A copy within the horizon of the accepted event changes nothing; one with other bytes is a reuse of the id. The horizon is
//! judged to the millisecond by event times, so the answer does not depend on when the tables are swept.

use super::binary::{BinaryReader, BinaryWriter, Malformed};
use super::hash::SHARDS;

const SLOTS_MIN: usize = 16;
/// Slots of the longest table that is believed when it is read: 4 GiB.
const SLOTS_MAX: usize = 1 << 28;
/// Events lie between 1990 and 2100, which is less than 2^42 milliseconds: no two times of theirs look alike.
const TIME_BITS: u32 = 42;
const CONTENT_BITS: u32 = 22;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// What [`Duplicates::insert`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Not seen within the horizon: it is accepted, and remembered.
    First,
    /// The same event again.
    Duplicate,
    /// The same id with other bytes.
    Reused,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Zero marks a free slot; a tag of zero is moved to one.
    tag: u64,
    /// Accepted at, and hash of the bytes.
    meta: u64,
}

#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    used: usize,
}

/// What happened to a table. When it was swept decides what it answers to events that come late, so a table that is written down
/// is restored with its sweeps.
#[derive(Clone, Copy, Debug)]
enum Step {
    Kept(Entry),
    Swept { length: usize, now: u64, reach: i64 },
}

/// What happened to a table since it was last written down.
#[derive(Debug, Default)]
struct Journal {
    steps: Vec<Step>,
    /// More happened than the table holds: it is shorter to write it whole.
    is_overrun: bool,
}

/// Steps that a journal may always have, however small its table is.
const JOURNAL_STEPS_MIN: usize = 1_024;

impl Journal {
    fn push(&mut self, step: Step, keys: usize) {
        if self.is_overrun {
            return;
        }
        if self.steps.len() >= keys.max(JOURNAL_STEPS_MIN) {
            self.is_overrun = true;
            self.steps = Vec::new();
        } else {
            self.steps.push(step);
        }
    }
}

/// The events of one worker's dealers within the horizon.
#[derive(Debug)]
pub struct Duplicates {
    /// One for each shard.
    tables: Vec<Table>,
    horizon_ms: i64,
    /// Of one table.
    keys_max: usize,
    keys: usize,
    /// One for each shard, or none at all if nobody writes tables down.
    journals: Vec<Journal>,
}

/// Milliseconds from `earlier` to `later`.
fn elapsed(later: u64, earlier: u64) -> i64 {
    later as i64 - earlier as i64
}

impl Duplicates {
    /// Remembers events for `horizon_ms` of event time, and at most `keys_max` of them over all shards: each has an equal part, so
    /// that what is remembered does not depend on how shards are dealt over workers.
    pub fn new(horizon_ms: i64, keys_max: usize) -> Self {
        Duplicates {
            tables: (0..SHARDS).map(|_| Table::default()).collect(),
            horizon_ms: horizon_ms.max(0),
            keys_max: keys_max.div_ceil(SHARDS),
            keys: 0,
            journals: Vec::new(),
        }
    }

    /// Keeps what happens from now on, for [`Duplicates::write_changes`].
    pub fn keep_changes(&mut self) {
        self.journals = (0..SHARDS).map(|_| Journal::default()).collect();
    }

    fn note(&mut self, shard: usize, step: Step) {
        if let Some(journal) = self.journals.get_mut(shard) {
            journal.push(step, self.tables[shard].used);
        }
    }

    #[cold]
    fn grow(&mut self, shard: usize, time: u64) {
        let table = &mut self.tables[shard];
        self.keys -= table.used;
        table.grow(time, self.horizon_ms);
        self.keys += table.used;
        let length = table.entries.len();
        self.note(shard, Step::Swept { length, now: time, reach: self.horizon_ms });
    }

    #[cold]
    fn shed(&mut self, shard: usize, time: u64) {
        let table = &mut self.tables[shard];
        self.keys -= table.used;
        let reach = table.shed(time, self.horizon_ms, self.keys_max);
        self.keys += table.used;
        let length = table.entries.len();
        self.note(shard, Step::Swept { length, now: time, reach });
    }

    /// Reads where [`Duplicates::insert`] will begin to look, so that a batch of lookups waits for memory once. The value says
    /// nothing.
    #[inline]
    pub fn warm(&self, shard: usize, identity: u128) -> u64 {
        let table = &self.tables[shard];
        let tag = ((identity >> 64) as u64).max(1);
        table.entries.get(slot_of(tag, table.entries.len())).map_or(0, |entry| entry.tag)
    }

    /// Looks an event up and remembers it if it is new.
    pub fn insert(&mut self, shard: usize, identity: u128, content: u64, time_ms: i64) -> Sighting {
        let tag = ((identity >> 64) as u64).max(1);
        let content = content & ((1 << CONTENT_BITS) - 1);
        let time = time_ms as u64 & TIME_MASK;
        let meta = (time << CONTENT_BITS) | content;
        let horizon = self.horizon_ms;
        if (self.tables[shard].used + 1) * 8 > self.tables[shard].entries.len() * 7 {
            self.grow(shard, time);
        }
        let table = &mut self.tables[shard];
        let length = table.entries.len();
        let mut at = slot_of(tag, length);
        loop {
            let entry = &mut table.entries[at];
            if entry.tag == 0 {
                *entry = Entry { tag, meta };
                table.used += 1;
                self.keys += 1;
                let is_over = table.used > self.keys_max;
                self.note(shard, Step::Kept(Entry { tag, meta }));
                if is_over {
                    self.shed(shard, time);
                }
                return Sighting::First;
            }
            if entry.tag == tag {
                if elapsed(time, entry.meta >> CONTENT_BITS).abs() > horizon {
                    *entry = Entry { tag, meta };
                    self.note(shard, Step::Kept(Entry { tag, meta }));
                    return Sighting::First;
                }
                return if entry.meta & ((1 << CONTENT_BITS) - 1) == content {
                    Sighting::Duplicate
                } else {
                    Sighting::Reused
                };
            }
            at += 1;
            if at == length {
                at = 0;
            }
        }
    }

    /// Whether what happened to a shard since it was last written takes more than writing it whole.
    pub fn is_overrun(&self, shard: usize) -> bool {
        self.journals.get(shard).is_none_or(|journal| journal.is_overrun)
    }

    /// Writes a shard whole, one record at a time, in an order that its contents alone decide.
    pub fn write_whole(&mut self, shard: usize, mut record: impl FnMut(Record)) {
        if let Some(journal) = self.journals.get_mut(shard) {
            *journal = Journal::default();
        }
        let table = &self.tables[shard];
        let mut entries: Vec<Entry> = table.entries.iter().copied().filter(|entry| entry.tag != 0).collect();
        entries.sort_unstable_by_key(|entry| entry.tag);
        if table.entries.is_empty() {
            return;
        }
        // A sweep that reaches everything makes the table as long as it was.
        record(Record(Step::Swept { length: table.entries.len(), now: 0, reach: i64::MAX }));
        for entry in entries {
            record(Record(Step::Kept(entry)));
        }
    }

    /// Writes what happened to a shard since it was last written, one record at a time.
    pub fn write_changes(&mut self, shard: usize, record: impl FnMut(Record)) {
        if let Some(journal) = self.journals.get_mut(shard) {
            std::mem::take(journal).steps.into_iter().map(Record).for_each(record);
        }
    }

    /// Forgets a shard, before it is read from its beginning.
    pub fn clear(&mut self, shard: usize) {
        self.keys -= self.tables[shard].used;
        self.tables[shard] = Table::default();
    }

    /// Reads one record of a shard.
    ///
    /// # Errors
    /// If it is none, or fits no table.
    pub fn read(&mut self, shard: usize, reader: &mut BinaryReader<'_>) -> Result<(), Malformed> {
        let tag = reader.fixed()?;
        let table = &mut self.tables[shard];
        self.keys -= table.used;
        let outcome = if tag == 0 {
            table.read_sweep(reader)
        } else {
            reader.fixed().and_then(|meta| {
                table.put(Entry { tag, meta }).ok_or_else(|| reader.malformed("a table is shorter than its entries"))
            })
        };
        self.keys += table.used;
        outcome
    }

    /// Number of events remembered, forgotten ones that were not swept yet included.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        let tables: usize = self.tables.iter().map(|table| table.entries.capacity() * size_of::<Entry>()).sum();
        tables + self.journals.iter().map(|journal| journal.steps.capacity() * size_of::<Step>()).sum::<usize>()
    }
}

/// A record of a table that is written down.
#[derive(Clone, Copy, Debug)]
pub struct Record(Step);

impl Record {
    /// Writes it.
    pub fn write(self, writer: &mut BinaryWriter) {
        match self.0 {
            Step::Kept(Entry { tag, meta }) => {
                writer.fixed(tag);
                writer.fixed(meta);
            }
            // No entry has tag zero.
            Step::Swept { length, now, reach } => {
                writer.fixed(0);
                writer.varint(length as u64);
                writer.varint(now);
                writer.zigzag(reach);
            }
        }
    }
}

/// Where a key begins to look.
fn slot_of(tag: u64, length: usize) -> usize {
    ((u128::from(tag) * length as u128) >> 64) as usize
}

impl Table {
    /// Sweeps what is beyond the horizon; grows by half if that frees less than a quarter, so that 16 bytes an event become 28 on
    /// average and 32 at worst right after growth.
    fn grow(&mut self, now: u64, horizon: i64) {
        let live = self
            .entries
            .iter()
            .filter(|entry| entry.tag != 0 && elapsed(now, entry.meta >> CONTENT_BITS) <= horizon)
            .count();
        let length = if live * 8 >= self.entries.len() * 5 {
            (self.entries.len() * 3 / 2).max(SLOTS_MIN)
        } else {
            self.entries.len()
        };
        self.rebuild(length, now, horizon);
    }

    /// Keeps within the limit by shortening the reach: halves it until the keys fit in nine tenths of the limit. Gives the reach that
    /// is left.
    fn shed(&mut self, now: u64, horizon: i64, keys_max: usize) -> i64 {
        let (mut reach, mut reached) = (horizon, i64::MAX);
        while self.used * 10 > keys_max * 9 && reach > 0 {
            self.rebuild(self.entries.len(), now, reach);
            reached = reach;
            reach /= 2;
        }
        reached
    }

    /// Sweeps as a record says.
    fn read_sweep(&mut self, reader: &mut BinaryReader<'_>) -> Result<(), Malformed> {
        let length = reader.varint()?;
        let (now, reach) = (reader.varint()?, reader.zigzag()?);
        let length = usize::try_from(length).ok().filter(|length| *length <= SLOTS_MAX);
        let length = length.ok_or_else(|| reader.malformed("a table is too long"))?;
        // A slot stays free, so that every search ends.
        if length <= self.used && self.used > 0 {
            return Err(reader.malformed("a table is shorter than its entries"));
        }
        self.rebuild(length, now, reach);
        Ok(())
    }

    /// Puts an entry in its place, over an older one of the same key; `None` if there is no room for it.
    fn put(&mut self, entry: Entry) -> Option<()> {
        let length = self.entries.len();
        if self.used + 1 >= length {
            return None;
        }
        let mut at = slot_of(entry.tag, length);
        while self.entries[at].tag != 0 && self.entries[at].tag != entry.tag {
            at += 1;
            if at == length {
                at = 0;
            }
        }
        self.used += usize::from(self.entries[at].tag == 0);
        self.entries[at] = entry;
        Some(())
    }

    fn rebuild(&mut self, length: usize, now: u64, horizon: i64) {
        let old = std::mem::replace(&mut self.entries, vec![Entry::default(); length]);
        self.used = 0;
        for entry in old {
            if entry.tag == 0 || elapsed(now, entry.meta >> CONTENT_BITS) > horizon {
                continue;
            }
            let mut at = slot_of(entry.tag, length);
            while self.entries[at].tag != 0 {
                at += 1;
                if at == length {
                    at = 0;
                }
            }
            self.entries[at] = entry;
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hash::hash_identity;
    use crate::domain::time::DAY_MS;

    #[test]
    fn judges_copies_by_horizon_and_bytes() {
        let mut duplicates = Duplicates::new(7 * DAY_MS, 1_000_000);
        let identity = hash_identity(b"d", b"s", b"1");
        let start = 1_771_254_245_123;
        assert_eq!(duplicates.insert(0, identity, 1, start), Sighting::First);
        assert_eq!(duplicates.insert(0, identity, 1, start + 5 * DAY_MS), Sighting::Duplicate);
        assert_eq!(duplicates.insert(0, identity, 2, start + 7 * DAY_MS), Sighting::Reused);
        assert_eq!(duplicates.insert(0, identity, 2, start + 7 * DAY_MS + 1), Sighting::First);
        assert_eq!(duplicates.insert(0, identity, 2, start + 14 * DAY_MS + 1), Sighting::Duplicate);
    }

    #[test]
    fn agrees_with_a_map_while_growing_and_stays_small() {
        let mut duplicates = Duplicates::new(DAY_MS, usize::MAX);
        let mut reference = std::collections::BTreeMap::new();
        let mut state = 1_u64;
        let start = 1_771_254_245_123;
        for step in 0..300_000_i64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let id = (state >> 33) % 100_000;
            let identity = hash_identity(b"d", b"s", &id.to_le_bytes());
            let time_ms = start + step * 1_000;
            let expected = match reference.get(&id) {
                Some(accepted) if time_ms - accepted <= DAY_MS => Sighting::Duplicate,
                _ => {
                    reference.insert(id, time_ms);
                    Sighting::First
                }
            };
            assert_eq!(duplicates.insert(0, identity, id, time_ms), expected);
        }
        let live = reference.values().filter(|time| start + 300_000_000 - **time <= DAY_MS).count();
        assert!(duplicates.size_bytes() <= live * 64, "{} bytes for {live}", duplicates.size_bytes());
    }

    #[test]
    fn growth_costs_at_most_32_bytes_an_event() {
        let mut duplicates = Duplicates::new(DAY_MS, usize::MAX);
        for id in 0..400_000_u64 {
            duplicates.insert(0, hash_identity(b"d", b"s", &id.to_le_bytes()), id, 1_771_254_245_123);
            if id > 10_000 && id % 1_000 == 0 {
                assert!(duplicates.size_bytes() as u64 <= id * 32, "{} bytes for {id}", duplicates.size_bytes());
            }
        }
    }

    #[test]
    fn the_limit_shortens_the_reach() {
        let mut duplicates = Duplicates::new(7 * DAY_MS, 1_000 * SHARDS);
        for id in 0..10_000_u64 {
            let time_ms = 1_771_254_245_123 + id as i64 * 60_000;
            assert_eq!(duplicates.insert(0, hash_identity(b"d", b"s", &id.to_le_bytes()), 0, time_ms), Sighting::First);
            assert!(duplicates.keys() <= 1_000);
        }
        let last = hash_identity(b"d", b"s", &9_999_u64.to_le_bytes());
        assert_eq!(duplicates.insert(0, last, 0, 1_771_254_245_123 + 9_999 * 60_000), Sighting::Duplicate);
    }
}
