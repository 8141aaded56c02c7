//! What came in, by dealer and topic: table `sources`.

use crate::domain::event::Topic;
use crate::domain::rows::{Cell, RowBatch, RowChange};

const TOPICS: usize = Topic::ALL.len();

/// Counts of one dealer and topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceCounts {
    /// Records read.
    pub records: u64,
    /// Events accepted.
    pub accepted: u64,
    /// Copies of accepted events.
    pub duplicates: u64,
    /// Dead letters.
    pub rejected: u64,
    /// Accepted events of an unknown type.
    pub unknown: u64,
    /// Accepted events that a timer should have waited for.
    pub late: u64,
    dirty: bool,
}

/// Counts of all dealers of a worker. Place 0 is for records that name no dealer; dealer `n` has place `n + 1`.
#[derive(Debug, Default)]
pub struct Sources {
    counts: Vec<[SourceCounts; TOPICS]>,
    dirty: Vec<(u32, u8)>,
    shown: u64,
}

impl Sources {
    /// The counts of a dealer (`None`: not known) on a topic, to be changed; the row goes out at the end of the epoch.
    pub fn count(&mut self, dealer: Option<u32>, topic: u8) -> &mut SourceCounts {
        let place = dealer.map_or(0, |dealer| dealer as usize + 1);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, [SourceCounts::default(); TOPICS]);
        }
        let counts = &mut self.counts[place][usize::from(topic)];
        if !counts.dirty {
            counts.dirty = true;
            self.shown += u64::from(counts.records == 0);
            self.dirty.push((place as u32, topic));
        }
        counts
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.shown
    }

    /// Ends the epoch: the rows that changed go to `rows`, if anybody wants them.
    pub fn close<'a>(&mut self, epoch: i64, rows: Option<&mut RowBatch>, name: impl Fn(u32) -> &'a [u8]) {
        for (place, topic) in &self.dirty {
            self.counts[*place as usize][usize::from(*topic)].dirty = false;
        }
        let Some(rows) = rows else {
            self.dirty.clear();
            return;
        };
        for (place, topic) in self.dirty.drain(..) {
            let counts = &self.counts[place as usize][usize::from(topic)];
            rows.start(epoch, RowChange::Upsert);
            rows.cell(if place == 0 { Cell::Null } else { Cell::Text(name(place - 1)) });
            rows.cell(Cell::Text(Topic::ALL[usize::from(topic)].name().as_bytes()));
            for count in
                [counts.records, counts.accepted, counts.duplicates, counts.rejected, counts.unknown, counts.late]
            {
                rows.cell(Cell::Integer(count as i64));
            }
        }
    }
}
