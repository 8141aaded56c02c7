//! The content order of every event that was merged: (time, sequence, id, source), by a number of four bytes.
//!
//! Time and sequence decide almost always; ids are kept for the ties, end to end in one arena.

use std::cmp::Ordering;

use hashbrown::HashTable;
use operators::domain::hash::hash_text;

/// Number of a stamp that is none.
pub(super) const NONE: u32 = 0;

/// An event's place in content order, as it comes in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    /// Event time in UTC milliseconds.
    pub(super) time_ms: i64,
    /// The `sequence` of the `CloudEvents` extension.
    pub(super) sequence: u64,
    /// Event id.
    pub(super) id: &'a [u8],
    /// Number of the event's source.
    pub(super) source: u32,
}

#[derive(Clone, Copy, Debug)]
struct Stamp {
    time_ms: i64,
    sequence: u64,
    /// Where the id ends in `ids`; it begins where the one before ends.
    id_end: u64,
    source: u32,
}

/// Every stamp so far.
#[derive(Debug)]
pub(super) struct Stamps {
    all: Vec<Stamp>,
    ids: Vec<u8>,
    sources: Vec<Vec<u8>>,
    source_index: HashTable<u32>,
}

impl Stamps {
    /// Room for `events` stamps; more make it grow.
    pub(super) fn with_capacity(events: usize) -> Self {
        let mut all = Vec::with_capacity(events);
        all.push(Stamp { time_ms: 0, sequence: 0, id_end: 0, source: 0 });
        Stamps { all, ids: Vec::with_capacity(events * 28), sources: Vec::new(), source_index: HashTable::new() }
    }

    /// The number of a source; `last` is a good guess.
    #[inline]
    pub(super) fn source(&mut self, source: &[u8], last: u32) -> u32 {
        if self.sources.get(last as usize).is_some_and(|own| own == source) {
            return last;
        }
        let (hash, sources) = (hash_text(source), &mut self.sources);
        if let Some(found) = self.source_index.find(hash, |number| sources[*number as usize] == source) {
            return *found;
        }
        let number = sources.len() as u32;
        sources.push(source.to_vec());
        self.source_index.insert_unique(hash, number, |number| hash_text(&sources[*number as usize]));
        number
    }

    /// Keeps an event's stamp and gives its number.
    #[inline]
    pub(super) fn push(&mut self, incoming: &Incoming<'_>) -> u32 {
        self.ids.extend_from_slice(incoming.id);
        let number = self.all.len() as u32;
        self.all.push(Stamp {
            time_ms: incoming.time_ms,
            sequence: incoming.sequence,
            id_end: self.ids.len() as u64,
            source: incoming.source,
        });
        number
    }

    /// The event time of a stamp.
    pub(super) fn time_ms(&self, number: u32) -> i64 {
        self.all[number as usize].time_ms
    }

    /// Whether the event of `left` stands after the event of `right`; every event stands after none.
    pub(super) fn is_after(&self, left: u32, right: u32) -> bool {
        if right == NONE || left == NONE {
            return right == NONE && left != NONE;
        }
        let (a, b) = (&self.all[left as usize], &self.all[right as usize]);
        let order = (a.time_ms, a.sequence).cmp(&(b.time_ms, b.sequence));
        let order = order.then_with(|| self.id(left).cmp(self.id(right)));
        order.then_with(|| self.sources[a.source as usize].cmp(&self.sources[b.source as usize])) == Ordering::Greater
    }

    fn id(&self, number: u32) -> &[u8] {
        let number = number as usize;
        &self.ids[self.all[number - 1].id_end as usize..self.all[number].id_end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_then_sequence_then_id_then_source_decide() {
        let mut stamps = Stamps::with_capacity(8);
        assert_eq!((stamps.source(b"b", u32::MAX), stamps.source(b"a", 0), stamps.source(b"b", 1)), (0, 1, 0));
        let order = [(1, 9, "z", 0), (2, 0, "z", 0), (2, 1, "a", 0), (2, 1, "ab", 1), (2, 1, "ab", 0)];
        let numbers = order.map(|(time_ms, sequence, id, source)| {
            stamps.push(&Incoming { time_ms, sequence, id: id.as_bytes(), source })
        });
        for (left, left_number) in numbers.iter().enumerate() {
            assert!(stamps.is_after(*left_number, NONE) && !stamps.is_after(NONE, *left_number));
            for (right, right_number) in numbers.iter().enumerate() {
                assert_eq!(stamps.is_after(*left_number, *right_number), left > right);
            }
        }
    }
}
