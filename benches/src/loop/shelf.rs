//! All entities of one kind, and the merge rule.
//!
//! ```text
//!   per field    the value whose event is greatest in content order; reading drops what the greatest deletion outranks
//!   first times  the earliest event of a mark; with deletions, found again at the end from the list of all marks
//! ```
//! While no event is late every field's new value wins without a comparison: the entity's greatest time says so.

use hashbrown::HashTable;
use operators::domain::batch::{EventBatch, Value};
use operators::domain::event::Effect;
use operators::domain::merge::Mark;

use super::fields::Fields;
use super::stamps::{NONE, Stamps};
use super::texts::{Text, Texts};

const MARKS: usize = 3;
const NEVER: i64 = i64::MAX;

/// What one event does to one entity.
pub(super) struct Change<'a> {
    /// The event's stamp and its time.
    pub(super) stamp: u32,
    pub(super) time_ms: i64,
    pub(super) effect: Effect,
    pub(super) mark: Option<Mark>,
    /// Values by slot.
    pub(super) values: &'a [(u8, Value)],
}

/// Which entity: its dealer's number, its id, and the hash of both.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) hash: u64,
    pub(super) dealer: u32,
    pub(super) id: &'a [u8],
}

/// One entity.
#[derive(Debug)]
pub(super) struct Entity<F> {
    key: Text,
    dealer: u32,
    greatest: u32,
    created: u32,
    deleted: u32,
    greatest_ms: i64,
    first_ms: [i64; MARKS],
    pub(super) fields: F,
}

#[derive(Clone, Copy, Debug)]
struct Marked {
    place: u32,
    stamp: u32,
    mark: Mark,
}

/// All entities of one kind.
#[derive(Debug)]
pub(super) struct Shelf<F> {
    index: HashTable<(u64, u32)>,
    entities: Vec<Entity<F>>,
    marks: Vec<Marked>,
    deletions: bool,
}

impl<F: Fields> Shelf<F> {
    /// A shelf without entities.
    pub(super) fn new() -> Self {
        Shelf { index: HashTable::new(), entities: Vec::new(), marks: Vec::new(), deletions: false }
    }

    /// The place of an entity, made at first sight.
    #[inline]
    pub(super) fn place(&mut self, Key { hash, dealer, id }: Key<'_>, texts: &mut Texts) -> u32 {
        let entities = &self.entities;
        let found = self.index.find(hash, |(own, place)| {
            *own == hash && {
                let entity = &entities[*place as usize];
                entity.dealer == dealer && texts.equals(entity.key, id)
            }
        });
        if let Some((_, place)) = found {
            return *place;
        }
        let place = self.entities.len() as u32;
        self.entities.push(Entity {
            key: texts.keep(id),
            dealer,
            greatest: NONE,
            created: NONE,
            deleted: NONE,
            greatest_ms: i64::MIN,
            first_ms: [NEVER; MARKS],
            fields: F::default(),
        });
        self.index.insert_unique(hash, (hash, place), |(hash, _)| *hash);
        place
    }

    /// Merges one event into its entity.
    #[inline]
    pub(super) fn merge(
        &mut self,
        place: u32,
        change: &Change<'_>,
        batch: &EventBatch,
        texts: &mut Texts,
        stamps: &Stamps,
    ) {
        let entity = &mut self.entities[place as usize];
        if change.effect == Effect::Delete {
            self.deletions = true;
            if stamps.is_after(change.stamp, entity.deleted) {
                entity.deleted = change.stamp;
            }
            return;
        }
        let is_greatest = change.time_ms > entity.greatest_ms || stamps.is_after(change.stamp, entity.greatest);
        for (slot, value) in change.values {
            if is_greatest || stamps.is_after(change.stamp, entity.fields.writer(*slot)) {
                entity.fields.set(*slot, change.stamp, *value, batch, texts);
            }
        }
        if change.effect == Effect::Create && stamps.is_after(change.stamp, entity.created) {
            entity.created = change.stamp;
        }
        let created = (change.effect == Effect::Create).then_some(Mark::Created);
        for mark in created.into_iter().chain(change.mark) {
            let first_ms = &mut entity.first_ms[mark as usize];
            *first_ms = (*first_ms).min(change.time_ms);
            self.marks.push(Marked { place, stamp: change.stamp, mark });
        }
        if is_greatest {
            entity.greatest = change.stamp;
            entity.greatest_ms = change.time_ms;
        }
    }

    /// Finds the first times of entities with a deletion: only marks greater than it count.
    pub(super) fn settle(&mut self, stamps: &Stamps) {
        if !self.deletions {
            return;
        }
        for entity in self.entities.iter_mut().filter(|entity| entity.deleted != NONE) {
            entity.first_ms = [NEVER; MARKS];
        }
        for marked in &self.marks {
            let entity = &mut self.entities[marked.place as usize];
            if entity.deleted != NONE && stamps.is_after(marked.stamp, entity.deleted) {
                let first_ms = &mut entity.first_ms[marked.mark as usize];
                *first_ms = (*first_ms).min(stamps.time_ms(marked.stamp));
            }
        }
    }

    /// The entities that are not gone, after [`Shelf::settle`].
    pub(super) fn alive(&self, stamps: &Stamps) -> impl Iterator<Item = &Entity<F>> {
        self.entities.iter().filter(move |entity| {
            if entity.deleted == NONE {
                entity.greatest != NONE
            } else {
                stamps.is_after(entity.created, entity.deleted)
            }
        })
    }
}

impl<F: Fields> Entity<F> {
    /// The number of its dealer.
    pub(super) fn dealer(&self) -> u32 {
        self.dealer
    }

    /// Time of the earliest counting event of a mark.
    pub(super) fn first_ms(&self, mark: Mark) -> Option<i64> {
        Some(self.first_ms[mark as usize]).filter(|time_ms| *time_ms != NEVER)
    }

    /// Whether the slot has a value, written by an event that counts.
    pub(super) fn has(&self, slot: u8, stamps: &Stamps) -> bool {
        self.fields.is_present(slot) && stamps.is_after(self.fields.writer(slot), self.deleted)
    }
}
