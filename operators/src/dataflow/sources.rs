//! What came in, by dealer and topic: table `sources`.

use crate::domain::binary::{BinaryReader, BinaryWriter, Malformed};
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
    changed: bool,
}

impl SourceCounts {
    fn columns(&self) -> [u64; 6] {
        [self.records, self.accepted, self.duplicates, self.rejected, self.unknown, self.late]
    }
}

/// The counts of a dealer (`None`: not known) on a topic.
pub type SourceKey = (Option<u32>, u8);

/// Counts of all dealers of a worker. Place 0 is for records that name no dealer; dealer `n` has place `n + 1`.
#[derive(Debug, Default)]
pub struct Sources {
    counts: Vec<[SourceCounts; TOPICS]>,
    dirty: Vec<(u32, u8)>,
    shown: u64,
    /// What changed since it was last written down, if anybody writes it down.
    changed: Option<Vec<(u32, u8)>>,
}

/// The dealer of a place.
fn dealer_of(place: u32) -> Option<u32> {
    place.checked_sub(1)
}

impl Sources {
    /// Keeps what changes from now on, for [`Sources::take_changes`].
    pub fn keep_changes(&mut self) {
        self.changed = Some(Vec::new());
    }

    /// The counts that changed since the last call.
    pub fn take_changes(&mut self) -> Vec<SourceKey> {
        let changed = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        for (place, topic) in &changed {
            self.counts[*place as usize][usize::from(*topic)].changed = false;
        }
        changed.into_iter().map(|(place, topic)| (dealer_of(place), topic)).collect()
    }

    /// All counts of which there is a row.
    pub fn keys(&self) -> impl Iterator<Item = SourceKey> + '_ {
        self.counts.iter().enumerate().flat_map(|(place, topics)| {
            let counted = topics.iter().enumerate().filter(|(_, counts)| counts.records > 0);
            counted.map(move |(topic, _)| (dealer_of(place as u32), topic as u8))
        })
    }

    /// Writes counts down.
    pub fn write(&self, (dealer, topic): SourceKey, name: &[u8], writer: &mut BinaryWriter) {
        writer.text(name);
        writer.byte(topic);
        let counts = &self.counts[dealer.map_or(0, |dealer| dealer as usize + 1)][usize::from(topic)];
        counts.columns().into_iter().for_each(|count| writer.varint(count));
    }

    /// Reads counts, in the place of those that were; `number` gives a dealer's. Records of no known dealer have no name.
    ///
    /// # Errors
    /// If the bytes are no counts.
    pub fn read(
        &mut self,
        reader: &mut BinaryReader<'_>,
        number: impl FnOnce(&[u8]) -> Result<u32, Malformed>,
    ) -> Result<(), Malformed> {
        let name = reader.text()?;
        let dealer = if name.is_empty() { None } else { Some(number(name)?) };
        let topic = reader.byte()?;
        if usize::from(topic) >= TOPICS {
            return Err(reader.malformed("a topic is not known"));
        }
        let mut columns = [0; 6];
        for column in &mut columns {
            *column = reader.varint()?;
        }
        let [records, accepted, duplicates, rejected, unknown, late] = columns;
        let counts = self.counts_of(dealer, topic);
        let had_row = counts.records > 0;
        *counts = SourceCounts { records, accepted, duplicates, rejected, unknown, late, ..SourceCounts::default() };
        self.shown = self.shown + u64::from(records > 0) - u64::from(had_row);
        Ok(())
    }

    /// Forgets the counts of the dealers (`None`: not known) that `is_meant` names.
    pub fn clear(&mut self, is_meant: impl Fn(Option<u32>) -> bool) {
        for (place, topics) in self.counts.iter_mut().enumerate() {
            if is_meant(dealer_of(place as u32)) {
                self.shown -= topics.iter().filter(|counts| counts.records > 0).count() as u64;
                *topics = [SourceCounts::default(); TOPICS];
            }
        }
    }

    fn counts_of(&mut self, dealer: Option<u32>, topic: u8) -> &mut SourceCounts {
        let place = dealer.map_or(0, |dealer| dealer as usize + 1);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, [SourceCounts::default(); TOPICS]);
        }
        &mut self.counts[place][usize::from(topic)]
    }

    /// Adds the row of counts.
    pub fn write_row(&self, epoch: i64, (dealer, topic): SourceKey, name: &[u8], rows: &mut RowBatch) {
        let counts = &self.counts[dealer.map_or(0, |dealer| dealer as usize + 1)][usize::from(topic)];
        rows.start(epoch, RowChange::Upsert);
        rows.cell(if dealer.is_none() { Cell::Null } else { Cell::Text(name) });
        rows.cell(Cell::Text(Topic::ALL[usize::from(topic)].name().as_bytes()));
        for count in counts.columns() {
            rows.cell(Cell::Integer(count as i64));
        }
    }

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
            let counts = &mut self.counts[*place as usize][usize::from(*topic)];
            counts.dirty = false;
            if let Some(changed) = self.changed.as_mut().filter(|_| !counts.changed) {
                counts.changed = true;
                changed.push((*place, *topic));
            }
        }
        let Some(rows) = rows else {
            self.dirty.clear();
            return;
        };
        let mut dirty = std::mem::take(&mut self.dirty);
        for (place, topic) in dirty.drain(..) {
            let dealer = dealer_of(place);
            self.write_row(epoch, (dealer, topic), dealer.map_or(b"", &name), rows);
        }
        self.dirty = dirty;
    }
}
