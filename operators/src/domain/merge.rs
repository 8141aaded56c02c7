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

use smallvec::SmallVec;

use super::entity::EntityKind;
use super::event::Effect;
use super::names::Names;
use super::text::{Text, TextHeap};

/// The number of no stamp.
pub(super) const NONE: u8 = u8::MAX;
/// The first time of a mark that never was.
pub(super) const NEVER: i64 = i64::MAX;

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

/// The content order of an event, as it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) time_ms: i64,
    pub(super) sequence: u64,
    pub(super) id: Text,
    pub(super) source: u32,
    pub(super) mark: u8,
    /// Slots and roles that refer to it; none: the place may be taken by another.
    pub(super) uses: u8,
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
    /// The slots that were written, a bit each.
    pub slots: u32,
    /// A field was written by two events of the same time and sequence.
    pub ambiguous: bool,
}

/// What the rule keeps of one entity beside its slots. What almost every event reads stands first and close together; `repr(C)` keeps it
/// so.
#[derive(Debug)]
#[repr(C)]
pub(super) struct State {
    /// Time of the greatest event that counts, or of the deletion while nothing counts; least before both.
    pub(super) touched_ms: i64,
    /// Earliest time among the marks by their number, [`NEVER`] where there is none.
    pub(super) first_ms: [i64; 3],
    /// The slots that have a value, a bit each.
    pub(super) present: u32,
    pub(super) greatest: u8,
    pub(super) deleted: u8,
    pub(super) created: u8,
    /// Nobody has the place.
    pub(super) is_free: bool,
    /// Those that fields and roles refer to; most entities have few, which stay beside the rest.
    pub(super) stamps: SmallVec<[Stamp; 3]>,
    pub(super) marks: SmallVec<[Stamp; 2]>,
}

impl State {
    /// Nothing happened yet.
    pub(super) fn new() -> Self {
        State {
            touched_ms: i64::MIN,
            first_ms: [NEVER; 3],
            present: 0,
            greatest: NONE,
            deleted: NONE,
            created: NONE,
            is_free: false,
            stamps: SmallVec::new(),
            marks: SmallVec::new(),
        }
    }

    /// Whether any event ever said something of the entity.
    pub(super) fn has_events(&self) -> bool {
        self.greatest != NONE || self.deleted != NONE
    }

    /// The stamp of a number.
    #[inline]
    pub(super) fn at(&self, number: u8) -> Option<&Stamp> {
        self.stamps.get(usize::from(number))
    }
}

/// Words that an entity's slots and their owners take.
pub(super) fn cells_of(kind: EntityKind) -> usize {
    kind.slots() + kind.slots().div_ceil(8)
}

/// The number of the stamp that owns a slot; `cells` are the slots, then their owners, a byte each.
#[inline]
pub(super) fn owner(kind: EntityKind, cells: &[u64], slot: u8) -> u8 {
    (cells[kind.slots() + usize::from(slot / 8)] >> (8 * (slot % 8))) as u8
}

/// One event being merged into one entity.
pub(super) struct Merge<'a> {
    pub(super) kind: EntityKind,
    pub(super) state: &'a mut State,
    pub(super) cells: &'a mut [u64],
    pub(super) heap: &'a mut TextHeap,
    pub(super) sources: &'a Names,
    pub(super) incoming: Incoming<'a>,
    /// The number of its source.
    pub(super) source: u32,
    /// Its own stamp's number, once it has one.
    pub(super) stamp: u8,
}

impl Merge<'_> {
    /// How a kept stamp compares with the incoming event in content order.
    fn compare(&self, stamp: &Stamp) -> Ordering {
        (stamp.time_ms, stamp.sequence).cmp(&(self.incoming.time_ms, self.incoming.sequence)).then_with(|| {
            self.heap
                .with(stamp.id, |id| id.cmp(self.incoming.id))
                .then_with(|| self.sources.name(stamp.source).cmp(self.incoming.source))
        })
    }

    /// How the stamp of a number compares; `None` where there is none.
    fn compare_at(&self, number: u8) -> Option<Ordering> {
        self.state.at(number).map(|stamp| self.compare(stamp))
    }

    fn own(&mut self, mark: u8) -> Stamp {
        Stamp {
            time_ms: self.incoming.time_ms,
            sequence: self.incoming.sequence,
            id: self.heap.insert(self.incoming.id),
            source: self.source,
            mark,
            uses: 0,
        }
    }

    /// Moves one reference from a stamp to another; a stamp without any gives its id back.
    #[inline]
    fn refer(&mut self, from: u8, to: u8) {
        if let Some(stamp) = self.state.stamps.get_mut(usize::from(to)) {
            stamp.uses += 1;
        }
        if let Some(stamp) = self.state.stamps.get_mut(usize::from(from)) {
            stamp.uses -= 1;
            if stamp.uses == 0 {
                self.heap.remove(std::mem::replace(&mut stamp.id, Text::EMPTY));
            }
        }
    }

    /// The number of the incoming event's stamp, which takes the place of one that nothing refers to.
    #[inline]
    fn stamp(&mut self) -> u8 {
        if self.stamp == NONE {
            let own = self.own(NONE);
            let stamps = &mut self.state.stamps;
            // At most 19 slots and three roles refer to stamps, so there are at most 23.
            self.stamp = if let Some(free) = stamps.iter().position(|stamp| stamp.uses == 0) {
                stamps[free] = own;
                free as u8
            } else {
                stamps.push(own);
                stamps.len() as u8 - 1
            };
        }
        self.stamp
    }

    pub(super) fn apply(&mut self, change: &Change<'_>) -> Outcome {
        if self.state.deleted != NONE && self.compare_at(self.state.deleted) != Some(Ordering::Less) {
            return Outcome::default();
        }
        if change.effect == Effect::Delete {
            return self.delete();
        }
        let mut outcome = Outcome::default();
        let incoming = (self.incoming.time_ms, self.incoming.sequence);
        // Later than all before: every value wins, and none was written at this very moment.
        let is_later = self.state.greatest == NONE
            || self.incoming.time_ms > self.state.touched_ms
            || self.state.at(self.state.greatest).is_some_and(|stamp| (stamp.time_ms, stamp.sequence) < incoming);
        let is_greatest = is_later || self.compare_at(self.state.greatest) == Some(Ordering::Less);
        for (slot, value) in change.values {
            if !is_later && let Some(stamp) = self.state.at(owner(self.kind, self.cells, *slot)) {
                outcome.ambiguous |= (stamp.time_ms, stamp.sequence) == incoming;
                if !is_greatest && self.compare(stamp) != Ordering::Less {
                    continue;
                }
            }
            let number = self.stamp();
            self.write(*slot, number, value);
            outcome.slots |= 1 << slot;
        }
        if change.effect == Effect::Create
            && self.compare_at(self.state.created).is_none_or(|order| order == Ordering::Less)
        {
            let number = self.stamp();
            self.refer(self.state.created, number);
            self.state.created = number;
        }
        let created = (change.effect == Effect::Create).then_some(Mark::Created);
        for mark in created.into_iter().chain(change.mark) {
            let own = self.own(mark as u8);
            self.state.marks.push(own);
            let first_ms = &mut self.state.first_ms[mark as usize];
            *first_ms = (*first_ms).min(own.time_ms);
            outcome.changed = true;
        }
        if is_greatest {
            let number = self.stamp();
            self.refer(self.state.greatest, number);
            self.state.greatest = number;
            self.state.touched_ms = self.incoming.time_ms;
            outcome.changed = true;
        }
        outcome.changed |= outcome.slots != 0;
        outcome
    }

    /// Makes the incoming event the greatest deletion: what is less counts no more.
    fn delete(&mut self) -> Outcome {
        let number = self.stamp();
        let mut outcome = Outcome { changed: true, ..Outcome::default() };
        for slot in 0..self.kind.slots() as u8 {
            if self.compare_at(owner(self.kind, self.cells, slot)) == Some(Ordering::Less) {
                self.clear(slot);
                self.set_owner(slot, NONE);
                outcome.slots |= 1 << slot;
            }
        }
        let mut marks = std::mem::take(&mut self.state.marks);
        marks.retain(|stamp| {
            let counts = self.compare(stamp) == Ordering::Greater;
            if !counts {
                self.heap.remove(stamp.id);
            }
            counts
        });
        self.state.first_ms = [NEVER; 3];
        for stamp in &marks {
            let first_ms = &mut self.state.first_ms[usize::from(stamp.mark)];
            *first_ms = (*first_ms).min(stamp.time_ms);
        }
        self.state.marks = marks;
        if self.compare_at(self.state.greatest) == Some(Ordering::Less) {
            self.refer(self.state.greatest, NONE);
            self.state.greatest = NONE;
        }
        if self.compare_at(self.state.created) == Some(Ordering::Less) {
            self.refer(self.state.created, NONE);
            self.state.created = NONE;
        }
        if self.state.greatest == NONE {
            self.state.touched_ms = self.incoming.time_ms;
        }
        self.refer(self.state.deleted, number);
        self.state.deleted = number;
        outcome
    }

    #[inline]
    fn set_owner(&mut self, slot: u8, number: u8) {
        self.refer(owner(self.kind, self.cells, slot), number);
        let shift = 8 * (slot % 8);
        let word = &mut self.cells[self.kind.slots() + usize::from(slot / 8)];
        *word = (*word & !(0xff << shift)) | (u64::from(number) << shift);
    }

    #[inline]
    fn write(&mut self, slot: u8, owner: u8, value: &SlotValue<'_>) {
        self.clear(slot);
        let bits = match value {
            SlotValue::Null => None,
            SlotValue::Bits(bits) => Some(*bits),
            SlotValue::Text(text) => Some(self.heap.insert(text).to_bits()),
        };
        self.set_owner(slot, owner);
        if let Some(bits) = bits {
            self.cells[usize::from(slot)] = bits;
            self.state.present |= 1 << slot;
        }
    }

    /// Makes a slot null.
    #[inline]
    fn clear(&mut self, slot: u8) {
        let bit = 1 << slot;
        if self.state.present & bit != 0 {
            self.state.present &= !bit;
            if self.kind.text_slots() & bit != 0 {
                self.heap.remove(Text::from_bits(self.cells[usize::from(slot)]));
            }
        }
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
