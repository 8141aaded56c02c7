//! An entity written down and read back, with all that the merge rule keeps of it.
//!
//! ```text
//!   entity   dealer | 0 gone, 1 held | kind | key | stamps | greatest, deleted, created | marks | present | a slot's owner, value …
//!   stamp    time | sequence | id | source                                     mark = stamp and which
//!   dealer, source    a number in the order of their first use; one that is new is followed by its name
//! ```
//! Stamps are numbered in the order of their first use by slots and roles, marks stand in content order: the bytes follow from the
//! events alone, however they came. What follows from the rest (first times, time of the last touch, uses of stamps) is not written.

use super::binary::{BinaryReader, BinaryWriter, Malformed, PartNames};
use super::entity::EntityKind;
use super::entity_store::EntityStore;
use super::hash::{hash_text, hash_within, shard_of};
use super::merge::{NEVER, NONE, Stamp, State, owner};
use super::text::Text;

/// The names that one part has written or read.
#[derive(Debug, Default)]
pub struct EntityNames {
    dealers: PartNames,
    sources: PartNames,
}

impl EntityNames {
    /// Forgets all, at the start of a part.
    pub fn clear(&mut self) {
        self.dealers.clear();
        self.sources.clear();
    }
}

/// Stamps in the order of their first use.
struct Renumbered {
    numbers: [u8; NONE as usize + 1],
    order: Vec<u8>,
}

impl Renumbered {
    fn of(kind: EntityKind, state: &State, cells: &[u64]) -> Self {
        let mut renumbered =
            Renumbered { numbers: [NONE; NONE as usize + 1], order: Vec::with_capacity(state.stamps.len()) };
        let owners = (0..kind.slots() as u8).map(|slot| owner(kind, cells, slot));
        for number in owners.chain([state.greatest, state.deleted, state.created]) {
            if number != NONE && renumbered.numbers[usize::from(number)] == NONE {
                renumbered.numbers[usize::from(number)] = renumbered.order.len() as u8;
                renumbered.order.push(number);
            }
        }
        renumbered
    }

    fn number(&self, number: u8) -> u8 {
        self.numbers[usize::from(number)]
    }
}

impl EntityStore {
    /// The shard of a dealer.
    pub fn shard(&self, dealer: u32) -> usize {
        shard_of(self.dealers.hash(dealer))
    }

    /// The hash of the entity at a place.
    pub fn hash_at(&self, kind: EntityKind, place: u32) -> u64 {
        let head = &self.shelves[kind as usize].heads.row(place as usize)[0];
        self.heap.with(head.key, |key| hash_within(self.dealers.hash(head.dealer), key))
    }

    /// Places of all entities of a kind that had an event of their own, and their dealers. In the order of places, since that reads
    /// memory from one end to the other.
    pub fn held(&self, kind: EntityKind) -> impl Iterator<Item = (u32, u32)> + '_ {
        let heads = &self.shelves[kind as usize].heads;
        let held = (0..heads.len()).map(|place| (place as u32, &heads.row(place)[0]));
        held.filter(|(_, head)| !head.state.is_free && head.state.has_events())
            .map(|(place, head)| (place, head.dealer))
    }

    /// Writes that an entity is gone.
    pub fn write_gone(
        &self,
        kind: EntityKind,
        dealer: u32,
        key: &[u8],
        names: &mut EntityNames,
        writer: &mut BinaryWriter,
    ) {
        names.dealers.write(dealer, self.dealers.name(dealer), writer);
        writer.byte(0);
        writer.byte(kind as u8);
        writer.text(key);
    }

    /// Writes the entity at a place.
    pub fn write(&self, kind: EntityKind, place: u32, names: &mut EntityNames, writer: &mut BinaryWriter) {
        let shelf = &self.shelves[kind as usize];
        let (head, cells) = (&shelf.heads.row(place as usize)[0], shelf.cells.row(place as usize));
        let state = &head.state;
        names.dealers.write(head.dealer, self.dealers.name(head.dealer), writer);
        writer.byte(1);
        writer.byte(kind as u8);
        self.heap.with(head.key, |key| writer.text(key));
        let stamps = Renumbered::of(kind, state, cells);
        writer.byte(stamps.order.len() as u8);
        for number in &stamps.order {
            self.write_stamp(&state.stamps[usize::from(*number)], names, writer);
        }
        for role in [state.greatest, state.deleted, state.created] {
            writer.byte(stamps.number(role));
        }
        let mut marks: Vec<&Stamp> = state.marks.iter().collect();
        marks.sort_by(|left, right| self.compare_marks(left, right));
        writer.varint(marks.len() as u64);
        for mark in marks {
            writer.byte(mark.mark);
            self.write_stamp(mark, names, writer);
        }
        writer.varint(u64::from(state.present));
        for slot in 0..kind.slots() as u8 {
            writer.byte(stamps.number(owner(kind, cells, slot)));
            if state.present & (1 << slot) != 0 {
                let bits = cells[usize::from(slot)];
                if kind.text_slots() & (1 << slot) == 0 {
                    writer.varint(bits);
                } else {
                    self.heap.with(Text::from_bits(bits), |text| writer.text(text));
                }
            }
        }
    }

    fn compare_marks(&self, left: &Stamp, right: &Stamp) -> std::cmp::Ordering {
        (left.mark, left.time_ms, left.sequence)
            .cmp(&(right.mark, right.time_ms, right.sequence))
            .then_with(|| self.heap.with(left.id, |left| self.heap.with(right.id, |right| left.cmp(right))))
            .then_with(|| self.sources.name(left.source).cmp(self.sources.name(right.source)))
    }

    fn write_stamp(&self, stamp: &Stamp, names: &mut EntityNames, writer: &mut BinaryWriter) {
        writer.zigzag(stamp.time_ms);
        writer.varint(stamp.sequence);
        self.heap.with(stamp.id, |id| writer.text(id));
        names.sources.write(stamp.source, self.sources.name(stamp.source), writer);
    }

    /// Reads one entity, in the place of what was known of it.
    ///
    /// # Errors
    /// If the bytes are not such an entity, or its dealer is of another shard than `shard`. What was read of it stays.
    pub fn read(
        &mut self,
        shard: usize,
        names: &mut EntityNames,
        reader: &mut BinaryReader<'_>,
    ) -> Result<(), Malformed> {
        let dealers = &mut self.dealers;
        let dealer = names.dealers.read(reader, |name| dealers.number(hash_text(name), name))?;
        if self.shard(dealer) != shard {
            return Err(reader.malformed("a dealer is of another shard"));
        }
        let is_held = reader.byte()? != 0;
        let kind = EntityKind::ALL.get(usize::from(reader.byte()?)).copied();
        let kind = kind.ok_or_else(|| reader.malformed("an entity is of no known kind"))?;
        let key = reader.text()?;
        let hash = self.hash(dealer, key);
        if let Some(place) = self.find(kind, dealer, hash, key) {
            self.remove(kind, place);
        }
        if !is_held {
            return Ok(());
        }
        // The place that was freed last is given out first.
        let place = self.insert(kind, dealer, hash, key);
        self.read_state(kind, place, names, reader)
    }

    fn read_state(
        &mut self,
        kind: EntityKind,
        place: u32,
        names: &mut EntityNames,
        reader: &mut BinaryReader<'_>,
    ) -> Result<(), Malformed> {
        const STAMPS_MAX: u8 = 32;
        const MARKS: u8 = 3;
        let mut state = State::new();
        let stamps = reader.byte()?;
        if stamps > STAMPS_MAX {
            return Err(reader.malformed("an entity has too many stamps"));
        }
        for _ in 0..stamps {
            let stamp = self.read_stamp(NONE, names, reader)?;
            state.stamps.push(stamp);
        }
        let refer = |state: &mut State, number: u8, reader: &BinaryReader<'_>| {
            if number != NONE {
                let stamp = state.stamps.get_mut(usize::from(number));
                stamp.ok_or_else(|| reader.malformed("a stamp is missing"))?.uses += 1;
            }
            Ok(number)
        };
        state.greatest = refer(&mut state, reader.byte()?, reader)?;
        state.deleted = refer(&mut state, reader.byte()?, reader)?;
        state.created = refer(&mut state, reader.byte()?, reader)?;
        if !state.has_events() {
            return Err(reader.malformed("an entity has no event"));
        }
        for _ in 0..reader.varint()? {
            let mark = reader.byte()?;
            if mark >= MARKS {
                return Err(reader.malformed("a mark is not known"));
            }
            let stamp = self.read_stamp(mark, names, reader)?;
            let first_ms: &mut i64 = &mut state.first_ms[usize::from(mark)];
            debug_assert_eq!(NEVER, i64::MAX, "the earliest is a minimum");
            *first_ms = (*first_ms).min(stamp.time_ms);
            state.marks.push(stamp);
        }
        let present = reader.varint()?;
        state.present = u32::try_from(present)
            .ok()
            .filter(|present| u64::from(*present) >> kind.slots() == 0)
            .ok_or_else(|| reader.malformed("a slot is not known"))?;
        let newest = if state.greatest == NONE { state.deleted } else { state.greatest };
        state.touched_ms = state.at(newest).map_or(i64::MIN, |stamp| stamp.time_ms);
        for slot in 0..kind.slots() {
            let number = reader.byte()?;
            refer(&mut state, number, reader)?;
            let bits = if state.present & (1 << slot) == 0 {
                0
            } else if kind.text_slots() & (1 << slot) == 0 {
                reader.varint()?
            } else {
                self.heap.insert(reader.text()?).to_bits()
            };
            let cells = self.shelves[kind as usize].cells.row_mut(place as usize);
            cells[slot] = bits;
            let shift = 8 * (slot % 8);
            let word = &mut cells[kind.slots() + slot / 8];
            *word = (*word & !(0xff << shift)) | (u64::from(number) << shift);
        }
        // A stamp that nothing refers to would keep its id for ever.
        if state.stamps.iter().any(|stamp| stamp.uses == 0) {
            return Err(reader.malformed("a stamp is of no use"));
        }
        self.shelves[kind as usize].heads.row_mut(place as usize)[0].state = state;
        Ok(())
    }

    fn read_stamp(
        &mut self,
        mark: u8,
        names: &mut EntityNames,
        reader: &mut BinaryReader<'_>,
    ) -> Result<Stamp, Malformed> {
        let (time_ms, sequence) = (reader.zigzag()?, reader.varint()?);
        let id = self.heap.insert(reader.text()?);
        let sources = &mut self.sources;
        let source = names.sources.read(reader, |name| sources.number(hash_text(name), name))?;
        Ok(Stamp { time_ms, sequence, id, source, mark, uses: 0 })
    }
}
