//! The merge rule: entities whose state does not depend on the order in which their events arrive.
//!
//! ```text
//!   per field    the value whose event is greatest in content order (time, sequence, id, source)
//!   deletion     the greatest one; of all events only those greater than it count
//!   alive        no deletion, or a creation greater than it
//!   first times  the earliest counting event of a mark (created, responded, frontline, sold)
//! ```
//! Each of the four is a join of a semilattice, so any order, any split and any repetition of the events gives the same state
//! (`merge_tests.rs`). Stamps are kept once per entity and fields refer to them by one byte. All counting events of a mark are
//! kept, because a deletion that comes late may take the earliest of them away.

use std::cmp::Ordering;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::entity::EntityKind;
use super::event::Effect;
use super::hash::hash_text;
use super::paged::Paged;
use super::text::{Text, TextHeap};

const NONE: u8 = u8::MAX;

/// A moment whose earliest occurrence is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// `created`, `added`, `acquired`.
    Created,
    /// A lead was answered, a vehicle reached the frontline.
    Reached,
    /// A vehicle was sold.
    Sold,
}

/// The content order of an event, as it comes in.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Event time in UTC milliseconds.
    pub time_ms: i64,
    /// CloudEvents `sequence`.
    pub sequence: u64,
    /// Event id.
    pub id: &'a [u8],
    /// Event source.
    pub source: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Stamp {
    time_ms: i64,
    sequence: u64,
    id: Text,
    source: u32,
    mark: u8,
}

/// The value for one slot.
#[derive(Clone, Copy, Debug)]
pub enum SlotValue<'a> {
    /// Clears it.
    Null,
    /// An integer, a code, or the bits of a double.
    Bits(u64),
    /// A text, copied into the store.
    Text(&'a [u8]),
}

/// What one event does to one entity.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The event's place in content order.
    pub incoming: Incoming<'a>,
    /// Create, patch, mark or delete.
    pub effect: Effect,
    /// A mark of its own, beside `Created`.
    pub mark: Option<Mark>,
    /// Values by slot.
    pub values: &'a [(u8, SlotValue<'a>)],
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The entity's state is another now.
    pub changed: bool,
    /// A field was written by two events of the same time and sequence.
    pub ambiguous: bool,
}

#[derive(Debug)]
struct Head {
    hash: u64,
    key: Text,
    /// Those that fields and roles refer to; most entities have few, which stay beside the rest.
    stamps: SmallVec<[Stamp; 3]>,
    marks: SmallVec<[Stamp; 1]>,
    dealer: u32,
    present: u32,
    greatest: u8,
    deleted: u8,
    created: u8,
    free: bool,
}

/// All entities of one kind.
#[derive(Debug)]
struct Shelf {
    kind: EntityKind,
    index: HashTable<u32>,
    heads: Paged<Head>,
    /// The slots of an entity, then the owners of its slots, a byte each: one stretch of memory.
    cells: Paged<u64>,
    free: Vec<u32>,
}

impl Shelf {
    fn new(kind: EntityKind) -> Self {
        let width = kind.slots() + kind.slots().div_ceil(8);
        Shelf { kind, index: HashTable::new(), heads: Paged::new(1), cells: Paged::new(width), free: Vec::new() }
    }

    #[inline]
    fn head(&self, place: u32) -> &Head {
        &self.heads.row(place as usize)[0]
    }

    #[inline]
    fn head_mut(&mut self, place: u32) -> &mut Head {
        &mut self.heads.row_mut(place as usize)[0]
    }

    /// The number of the stamp that owns a slot.
    #[inline]
    fn owner(&self, place: u32, slot: u8) -> u8 {
        let word = self.cells.row(place as usize)[self.kind.slots() + usize::from(slot / 8)];
        (word >> (8 * (slot % 8))) as u8
    }

    #[inline]
    fn set_owner(&mut self, place: u32, slot: u8, owner: u8) {
        let at = self.kind.slots() + usize::from(slot / 8);
        let word = &mut self.cells.row_mut(place as usize)[at];
        let shift = 8 * (slot % 8);
        *word = (*word & !(0xff << shift)) | (u64::from(owner) << shift);
    }
}

/// The entities of one worker's dealers.
#[derive(Debug)]
pub struct EntityStore {
    heap: TextHeap,
    shelves: [Shelf; 6],
    dealers: HashTable<u32>,
    dealer_names: Vec<(u64, Vec<u8>)>,
    sources: HashTable<u32>,
    source_names: Vec<(u64, Vec<u8>)>,
    /// The source of each dealer's last event: almost always that of the next.
    last_sources: Vec<u32>,
}

impl Default for EntityStore {
    fn default() -> Self {
        EntityStore {
            heap: TextHeap::default(),
            shelves: EntityKind::ALL.map(Shelf::new),
            dealers: HashTable::new(),
            dealer_names: Vec::new(),
            sources: HashTable::new(),
            source_names: Vec::new(),
            last_sources: Vec::new(),
        }
    }
}

/// The number of a name in a list that only grows.
fn intern(index: &mut HashTable<u32>, names: &mut Vec<(u64, Vec<u8>)>, hash: u64, name: &[u8]) -> u32 {
    if let Some(found) = index.find(hash, |number| names[*number as usize].1 == name) {
        return *found;
    }
    let number = names.len() as u32;
    names.push((hash, name.to_vec()));
    index.insert_unique(hash, number, |number| names[*number as usize].0);
    number
}

impl EntityStore {
    /// The number of a dealer, given at first sight.
    pub fn dealer(&mut self, hash: u64, name: &[u8]) -> u32 {
        intern(&mut self.dealers, &mut self.dealer_names, hash, name)
    }

    /// The id of a dealer.
    pub fn dealer_name(&self, dealer: u32) -> &[u8] {
        &self.dealer_names[dealer as usize].1
    }

    /// Number of dealers seen.
    pub fn dealers(&self) -> usize {
        self.dealer_names.len()
    }

    /// Number of places for entities of a kind; some may be free.
    pub fn places(&self, kind: EntityKind) -> u32 {
        self.shelves[kind as usize].heads.len() as u32
    }

    /// The place of an entity, if the store knows it.
    pub fn find(&self, kind: EntityKind, dealer: u32, hash: u64, id: &[u8]) -> Option<u32> {
        let shelf = &self.shelves[kind as usize];
        shelf
            .index
            .find(hash, |place| {
                let head = shelf.head(*place);
                head.hash == hash && head.dealer == dealer && self.heap.equals(head.key, id)
            })
            .copied()
    }

    /// The place of an entity, made at first sight.
    pub fn find_or_insert(&mut self, kind: EntityKind, dealer: u32, hash: u64, id: &[u8]) -> u32 {
        if let Some(place) = self.find(kind, dealer, hash, id) {
            return place;
        }
        let key = self.heap.insert(id);
        let shelf = &mut self.shelves[kind as usize];
        let head = Head {
            hash,
            key,
            stamps: SmallVec::new(),
            marks: SmallVec::new(),
            dealer,
            present: 0,
            greatest: NONE,
            deleted: NONE,
            created: NONE,
            free: false,
        };
        let place = if let Some(place) = shelf.free.pop() {
            *shelf.head_mut(place) = head;
            place
        } else {
            let (slots, owners) = (kind.slots(), kind.slots().div_ceil(8));
            shelf.cells.push(std::iter::repeat_n(0, slots).chain(std::iter::repeat_n(u64::MAX, owners)));
            shelf.heads.push(std::iter::once(head)) as u32
        };
        let heads = &shelf.heads;
        shelf.index.insert_unique(hash, place, |place| heads.row(*place as usize)[0].hash);
        place
    }

    /// Forgets an entity altogether and frees its place.
    pub fn remove(&mut self, kind: EntityKind, place: u32) {
        let (shelf, heap) = (&mut self.shelves[kind as usize], &mut self.heap);
        let hash = shelf.head(place).hash;
        if let Ok(entry) = shelf.index.find_entry(hash, |other| *other == place) {
            entry.remove();
        }
        for slot in 0..kind.slots() as u8 {
            shelf.clear(heap, place, slot);
        }
        let head = shelf.head_mut(place);
        for stamp in head.stamps.drain(..).chain(head.marks.drain(..)) {
            heap.remove(stamp.id);
        }
        heap.remove(head.key);
        head.stamps = SmallVec::new();
        head.marks = SmallVec::new();
        head.free = true;
        shelf.free.push(place);
    }

    /// Applies one event to one entity.
    pub fn apply(&mut self, kind: EntityKind, place: u32, change: &Change<'_>) -> Outcome {
        let source = self.source(self.shelves[kind as usize].head(place).dealer, change.incoming.source);
        let mut merge = Merge {
            incoming: change.incoming,
            source,
            stamp: NONE,
            shelf: &mut self.shelves[kind as usize],
            heap: &mut self.heap,
            sources: &self.source_names,
            place,
        };
        merge.apply(change)
    }

    /// The number of an event's source.
    fn source(&mut self, dealer: u32, name: &[u8]) -> u32 {
        if self.last_sources.len() <= dealer as usize {
            self.last_sources.resize(dealer as usize + 1, u32::MAX);
        }
        let last = self.last_sources[dealer as usize];
        if self.source_names.get(last as usize).is_some_and(|(_, own)| own == name) {
            return last;
        }
        let source = intern(&mut self.sources, &mut self.source_names, hash_text(name), name);
        self.last_sources[dealer as usize] = source;
        source
    }

    fn head(&self, kind: EntityKind, place: u32) -> &Head {
        self.shelves[kind as usize].head(place)
    }

    /// Whether the entity is there for users: it has an event that counts, and no deletion that outranks its creations.
    pub fn is_alive(&self, kind: EntityKind, place: u32) -> bool {
        let head = self.head(kind, place);
        !head.free && if head.deleted == NONE { head.greatest != NONE } else { head.created != NONE }
    }

    /// Whether the place is held by an entity, alive or not.
    pub fn is_held(&self, kind: EntityKind, place: u32) -> bool {
        !self.head(kind, place).free
    }

    /// The dealer of an entity.
    pub fn dealer_of(&self, kind: EntityKind, place: u32) -> u32 {
        self.head(kind, place).dealer
    }

    /// The entity's id.
    pub fn with_key<R>(&self, kind: EntityKind, place: u32, read: impl FnOnce(&[u8]) -> R) -> R {
        self.heap.with(self.head(kind, place).key, read)
    }

    /// Bits of a slot, `None` if it is null.
    #[inline]
    pub fn bits(&self, kind: EntityKind, place: u32, slot: u8) -> Option<u64> {
        let shelf = &self.shelves[kind as usize];
        (shelf.head(place).present & (1 << slot) != 0).then(|| shelf.cells.row(place as usize)[usize::from(slot)])
    }

    /// Calls `read` with the text of a slot, if it is not null.
    #[inline]
    pub fn with_text<R>(&self, kind: EntityKind, place: u32, slot: u8, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.bits(kind, place, slot).map(|bits| self.heap.with(Text::from_bits(bits), read))
    }

    /// Time of the greatest event that counts (or of the deletion, while nothing counts): when the entity was last touched.
    pub fn touched_at(&self, kind: EntityKind, place: u32) -> i64 {
        let head = self.head(kind, place);
        let at = if head.greatest == NONE { head.deleted } else { head.greatest };
        head.stamps.get(usize::from(at)).map_or(i64::MIN, |stamp| stamp.time_ms)
    }

    /// Time of the event that owns a slot.
    pub fn slot_time(&self, kind: EntityKind, place: u32, slot: u8) -> Option<i64> {
        let shelf = &self.shelves[kind as usize];
        let owner = shelf.owner(place, slot);
        shelf.head(place).stamps.get(usize::from(owner)).map(|stamp| stamp.time_ms)
    }

    /// Time of the earliest counting event of a mark.
    pub fn first_at(&self, kind: EntityKind, place: u32, mark: Mark) -> Option<i64> {
        self.head(kind, place).marks.iter().filter(|stamp| stamp.mark == mark as u8).map(|stamp| stamp.time_ms).min()
    }

    /// Bytes held, roughly.
    pub fn size_bytes(&self) -> usize {
        let shelves: usize = self
            .shelves
            .iter()
            .map(|shelf| shelf.heads.size_bytes() + shelf.cells.size_bytes() + shelf.index.capacity() * 5)
            .sum();
        shelves + self.heap.size_bytes()
    }
}

/// One event being merged into one entity.
struct Merge<'a> {
    incoming: Incoming<'a>,
    source: u32,
    /// Its own stamp's number, once it has one.
    stamp: u8,
    shelf: &'a mut Shelf,
    heap: &'a mut TextHeap,
    sources: &'a [(u64, Vec<u8>)],
    place: u32,
}

impl Merge<'_> {
    /// How a kept stamp compares with the incoming event in content order.
    fn compare(&self, stamp: &Stamp) -> Ordering {
        (stamp.time_ms, stamp.sequence).cmp(&(self.incoming.time_ms, self.incoming.sequence)).then_with(|| {
            self.heap
                .with(stamp.id, |id| id.cmp(self.incoming.id))
                .then_with(|| self.sources[stamp.source as usize].1.as_slice().cmp(self.incoming.source))
        })
    }

    fn head(&mut self) -> &mut Head {
        self.shelf.head_mut(self.place)
    }

    /// How the stamp of a number compares; `None` where there is none.
    fn compare_at(&mut self, number: u8) -> Option<Ordering> {
        let stamp = self.head().stamps.get(usize::from(number)).copied()?;
        Some(self.compare(&stamp))
    }

    fn own(&mut self, mark: u8) -> Stamp {
        Stamp {
            time_ms: self.incoming.time_ms,
            sequence: self.incoming.sequence,
            id: self.heap.insert(self.incoming.id),
            source: self.source,
            mark,
        }
    }

    /// The number of the incoming event's stamp.
    fn stamp(&mut self) -> u8 {
        if self.stamp == NONE {
            if self.head().stamps.len() == self.head().stamps.capacity() {
                self.shelf.sweep(self.heap, self.place);
            }
            let own = self.own(NONE);
            let head = self.head();
            // Slots and the three roles hold at most 22 stamps after a sweep, and the list at most doubles between sweeps.
            let number = head.stamps.len() as u8;
            head.stamps.push(own);
            self.stamp = number;
        }
        self.stamp
    }

    fn apply(&mut self, change: &Change<'_>) -> Outcome {
        let deleted = self.head().deleted;
        if self.compare_at(deleted).is_some_and(|order| order != Ordering::Less) {
            return Outcome::default();
        }
        if change.effect == Effect::Delete {
            return self.delete();
        }
        let mut outcome = Outcome::default();
        let greatest = self.head().greatest;
        let is_greatest = self.compare_at(greatest).is_none_or(|order| order == Ordering::Less);
        for (slot, value) in change.values {
            let owner = self.shelf.owner(self.place, *slot);
            if let Some(stamp) = self.head().stamps.get(usize::from(owner)).copied() {
                outcome.ambiguous |= (stamp.time_ms, stamp.sequence) == (self.incoming.time_ms, self.incoming.sequence);
                if !is_greatest && self.compare(&stamp) != Ordering::Less {
                    continue;
                }
            }
            self.shelf.clear(self.heap, self.place, *slot);
            let number = self.stamp();
            let bits = match value {
                SlotValue::Null => None,
                SlotValue::Bits(bits) => Some(*bits),
                SlotValue::Text(text) => Some(self.heap.insert(text).to_bits()),
            };
            self.shelf.set_owner(self.place, *slot, number);
            if let Some(bits) = bits {
                self.shelf.cells.row_mut(self.place as usize)[usize::from(*slot)] = bits;
                self.head().present |= 1 << slot;
            }
            outcome.changed = true;
        }
        if change.effect == Effect::Create {
            let created = self.head().created;
            if self.compare_at(created).is_none_or(|order| order == Ordering::Less) {
                self.head().created = self.stamp();
            }
        }
        let created = (change.effect == Effect::Create).then_some(Mark::Created);
        for mark in created.into_iter().chain(change.mark) {
            let own = self.own(mark as u8);
            self.head().marks.push(own);
            outcome.changed = true;
        }
        if is_greatest {
            self.head().greatest = self.stamp();
            outcome.changed = true;
        }
        outcome
    }

    /// Makes the incoming event the greatest deletion: what is less counts no more.
    fn delete(&mut self) -> Outcome {
        let number = self.stamp();
        let slots = self.shelf.kind.slots();
        for slot in 0..slots as u8 {
            let owner = self.shelf.owner(self.place, slot);
            if self.compare_at(owner) == Some(Ordering::Less) {
                self.shelf.clear(self.heap, self.place, slot);
            }
        }
        let mut marks = std::mem::take(&mut self.head().marks);
        marks.retain(|stamp| {
            let counts = self.compare(stamp) == Ordering::Greater;
            if !counts {
                self.heap.remove(stamp.id);
            }
            counts
        });
        self.head().marks = marks;
        let (greatest, created) = (self.head().greatest, self.head().created);
        if self.compare_at(greatest) == Some(Ordering::Less) {
            self.head().greatest = NONE;
        }
        if self.compare_at(created) == Some(Ordering::Less) {
            self.head().created = NONE;
        }
        self.head().deleted = number;
        Outcome { changed: true, ambiguous: false }
    }
}

impl Shelf {
    /// Makes a slot null and unowned.
    fn clear(&mut self, heap: &mut TextHeap, place: u32, slot: u8) {
        let head = self.head_mut(place);
        if head.present & (1 << slot) != 0 {
            head.present &= !(1 << slot);
            if self.kind.is_text(slot) {
                heap.remove(Text::from_bits(self.cells.row(place as usize)[usize::from(slot)]));
            }
        }
        self.set_owner(place, slot, NONE);
    }

    /// Drops the stamps to which nothing refers any more.
    fn sweep(&mut self, heap: &mut TextHeap, place: u32) {
        if self.head(place).stamps.is_empty() {
            return;
        }
        let slots = self.kind.slots() as u8;
        let mut renumbered = [NONE; 256];
        for slot in 0..slots {
            renumbered[usize::from(self.owner(place, slot))] = 0;
        }
        let head = self.head_mut(place);
        for number in [head.greatest, head.deleted, head.created] {
            renumbered[usize::from(number)] = 0;
        }
        let mut kept = 0_u8;
        let mut number = 0_usize;
        head.stamps.retain(|stamp| {
            let used = renumbered[number] == 0;
            if used {
                renumbered[number] = kept;
                kept += 1;
            } else {
                heap.remove(stamp.id);
            }
            number += 1;
            used
        });
        renumbered[usize::from(NONE)] = NONE;
        head.greatest = renumbered[usize::from(head.greatest)];
        head.deleted = renumbered[usize::from(head.deleted)];
        head.created = renumbered[usize::from(head.created)];
        for slot in 0..slots {
            let owner = renumbered[usize::from(self.owner(place, slot))];
            self.set_owner(place, slot, owner);
        }
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
