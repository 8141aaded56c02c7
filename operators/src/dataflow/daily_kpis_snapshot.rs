//! Daily counts written down and read back.
//!
//! ```text
//!   day   dealer | day | counts | front and back gross | number of responses | the least response | difference to the next …
//! ```
//! A day that became empty since the snapshot before is written as such, and forgotten when it is read.

use super::daily_kpis::{DailyKpis, Day, Dealer, MEASURES};
use super::snapshot::{PartsWriter, Section, SnapshotError, SnapshotPart};
use crate::domain::binary::{BinaryReader, BinaryWriter, Malformed, PartNames};
use crate::domain::hash::{SHARDS, hash_text, shard_of};
use crate::domain::shards::{Barrier, WorkerShards};

impl Day {
    fn write(&self, number: i32, writer: &mut BinaryWriter) {
        writer.zigzag(i64::from(number));
        self.counts.iter().chain(&self.gross).for_each(|count| writer.zigzag(*count));
        writer.varint(self.responses_ms.len() as u64);
        let mut before = 0;
        for response in &self.responses_ms {
            // Responses are sorted and not negative.
            writer.varint((response - before) as u64);
            before = *response;
        }
    }

    fn read(reader: &mut BinaryReader<'_>) -> Result<(i32, Self), Malformed> {
        let number = i32::try_from(reader.zigzag()?).map_err(|_| reader.malformed("a day is not known"))?;
        let mut day = Day::default();
        let mut columns = [0; MEASURES + 2];
        for column in &mut columns {
            *column = reader.zigzag()?;
        }
        let (counts, gross) = columns.split_at(MEASURES);
        day.counts.copy_from_slice(counts);
        day.gross.copy_from_slice(gross);
        let mut response = 0_i64;
        for _ in 0..reader.varint()? {
            let more = i64::try_from(reader.varint()?).ok().and_then(|more| response.checked_add(more));
            response = more.ok_or_else(|| reader.malformed("a response is too long"))?;
            day.responses_ms.push(response);
        }
        day.shown = !day.is_empty();
        Ok((number, day))
    }

    /// Whether there is nothing to keep of it.
    fn is_blank(&self) -> bool {
        self.is_empty() && self.gross == [0; 2] && self.responses_ms.is_empty()
    }
}

impl DailyKpis {
    /// Writes down the days of this worker's shards, as [`super::driver::Machine::snapshot`] says, but all at once: they are few.
    pub(super) fn snapshot(&mut self, barrier: &Barrier, shards: WorkerShards) -> Vec<SnapshotPart> {
        let keeps_changes = self.changed.is_some();
        let previous: Vec<Option<i64>> = (0..SHARDS)
            .map(|shard| {
                let last = self.chains.last(Section::DailyKpis, shard);
                last.filter(|_| keeps_changes && !barrier.base.contains(shard))
            })
            .collect();
        let changed = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        for (dealer, day) in &changed {
            self.day(*dealer, *day).changed = false;
        }
        let dealer_shards: Vec<usize> = self.dealers.iter().map(|dealer| shard_of(hash_text(&dealer.name))).collect();
        let shard = |dealer: u32| dealer_shards[dealer as usize];
        let is_whole = |dealer: u32| previous[shard(dealer)].is_none();
        let mut days: Vec<(u32, i32)> = changed.into_iter().filter(|(dealer, _)| !is_whole(*dealer)).collect();
        for dealer in (0..self.dealers.len() as u32).filter(|dealer| is_whole(*dealer)) {
            let own = self.dealers[dealer as usize].days.iter().filter(|(_, day)| !day.is_blank());
            days.extend(own.map(|(number, _)| (dealer, *number)));
        }
        days.sort_by(|(left, left_day), (right, right_day)| {
            let key = |dealer: u32| (shard(dealer), &self.dealers[dealer as usize].name);
            key(*left).cmp(&key(*right)).then_with(|| left_day.cmp(right_day))
        });
        let (mut parts, mut written) = (Vec::new(), Vec::new());
        let mut days = days.into_iter().peekable();
        let mut names = PartNames::default();
        for own in shards.iter() {
            let mut writer = PartsWriter::new(Section::DailyKpis, own, barrier.epoch, previous[own]);
            while let Some((dealer, number)) = days.next_if(|(dealer, _)| shard(*dealer) == own) {
                if writer.is_at_start() {
                    names.clear();
                }
                let Dealer { name, days } = &self.dealers[dealer as usize];
                let Ok(at) = days.binary_search_by_key(&number, |(day, _)| *day) else { continue };
                writer.record(|writer| {
                    names.write(dealer, name, writer);
                    days[at].1.write(number, writer);
                });
            }
            let (rest, is_written) = writer.finish();
            parts.extend(rest);
            written.extend(is_written.then_some(own));
        }
        for shard in written {
            self.chains.wrote(Section::DailyKpis, shard, barrier.epoch);
        }
        parts
    }

    /// Takes one part of a snapshot, as [`super::driver::Machine::restore`] does.
    ///
    /// # Errors
    /// If the part is of another section, damaged, of another format, or does not follow the one before.
    pub fn restore(&mut self, part: &SnapshotPart) -> Result<(), SnapshotError> {
        if part.section != Section::DailyKpis {
            return Err(SnapshotError::Misrouted { section: part.section, shard: part.shard });
        }
        let part = self.chains.open(part)?;
        let shard = part.shard();
        if part.clears {
            self.unnumbered.retain(|name, _| shard_of(hash_text(name)) != shard);
        }
        let (mut names, mut list) = (PartNames::default(), Vec::new());
        part.records(|reader| {
            let dealer = names.read(reader, |name| {
                list.push(name.to_vec());
                list.len() as u32 - 1
            })?;
            let name = &list[dealer as usize];
            if shard_of(hash_text(name)) != shard {
                return Err(reader.malformed("a dealer is of another shard"));
            }
            let (number, day) = Day::read(reader)?;
            if !self.unnumbered.contains_key(name) {
                self.unnumbered.insert(name.clone(), Vec::new());
            }
            let Some(days) = self.unnumbered.get_mut(name) else { return Ok(()) };
            match days.binary_search_by_key(&number, |(day, _)| *day) {
                Ok(at) if day.is_blank() => drop(days.remove(at)),
                Ok(at) => days[at].1 = day,
                Err(_) if day.is_blank() => {}
                Err(at) => days.insert(at, (number, day)),
            }
            Ok(())
        })
    }

    /// Ends the restoring, as [`super::driver::Machine::restored`] does.
    ///
    /// # Errors
    /// If the last snapshot of some shard is not whole.
    pub fn restored(&mut self, epoch: i64) -> Result<(), SnapshotError> {
        self.chains.finish()?;
        self.shown = self.unnumbered.values().flatten().filter(|(_, day)| day.shown).count() as u64;
        self.restored_epoch = Some(epoch);
        Ok(())
    }
}
