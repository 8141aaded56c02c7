//! Where entities live: a place for each, found by dealer, kind and id.
//!
//! ```text
//!   (kind, dealer, id) ─▶ index: hash, place ─▶ head (key, dealer, state of the merge rule) and cells (slots and their owners)
//! ```
//! Places never move, and those of entities that left are given out again, the last one first.

use hashbrown::HashTable;

use super::entity::EntityKind;
use super::entity_changes::EntityChanges;
use super::hash::{hash_text, hash_within};
use super::merge::{Change, Mark, Merge, NEVER, NONE, Outcome, State, cells_of, owner};
use super::names::Names;
use super::paged::Paged;
use super::text::{Text, TextHeap};

/// What [`EntityStore::tag`] gives before anything was set.
pub const UNTAGGED: u32 = u32::MAX;

/// Four cache lines, of which most events read the first and write one more.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Head {
    pub(super) key: Text,
    pub(super) dealer: u32,
    /// A number of the caller's.
    tag: u32,
    pub(super) state: State,
}

/// All entities of one kind.
#[derive(Debug)]
pub(super) struct Shelf {
    /// The hash stands beside the place, so that neither a lookup nor growth reads an entity that it does not mean.
    index: HashTable<(u64, u32)>,
    pub(super) heads: Paged<Head>,
    pub(super) cells: Paged<u64>,
    free: Vec<u32>,
}

impl Shelf {
    fn head(&self, place: u32) -> &Head {
        &self.heads.row(place as usize)[0]
    }

    fn head_mut(&mut self, place: u32) -> &mut Head {
        &mut self.heads.row_mut(place as usize)[0]
    }
}

/// The entities of one worker's dealers.
#[derive(Debug)]
pub struct EntityStore {
    pub(super) heap: TextHeap,
    pub(super) shelves: [Shelf; 6],
    pub(super) dealers: Names,
    pub(super) sources: Names,
    /// The source of each dealer's last event about each kind: almost always that of the next.
    last_sources: Vec<u32>,
    /// What changed since it was last written down, if anybody writes it down.
    pub(super) changes: Option<Box<EntityChanges>>,
}

impl Default for EntityStore {
    fn default() -> Self {
        EntityStore {
            heap: TextHeap::default(),
            shelves: EntityKind::ALL.map(|kind| Shelf {
                index: HashTable::new(),
                heads: Paged::new(1),
                cells: Paged::new(cells_of(kind)),
                free: Vec::new(),
            }),
            dealers: Names::default(),
            sources: Names::default(),
            last_sources: Vec::new(),
            changes: None,
        }
    }
}

impl EntityStore {
    /// The number of a dealer, given at first sight; `hash` is that of its name.
    pub fn dealer(&mut self, hash: u64, name: &[u8]) -> u32 {
        self.dealers.number(hash, name)
    }

    /// The id of a dealer.
    pub fn dealer_name(&self, dealer: u32) -> &[u8] {
        self.dealers.name(dealer)
    }

    /// The hash of an entity's id within its dealer, which the other calls take.
    pub fn hash(&self, dealer: u32, id: &[u8]) -> u64 {
        hash_within(self.dealers.hash(dealer), id)
    }

    /// Number of dealers seen.
    pub fn dealers(&self) -> usize {
        self.dealers.len()
    }

    /// Number of places for entities of a kind; some may be free.
    pub fn places(&self, kind: EntityKind) -> u32 {
        self.shelves[kind as usize].heads.len() as u32
    }

    /// The place that [`EntityStore::find`] is likely to give: that of some entity with the same hash.
    #[inline]
    pub fn guess(&self, kind: EntityKind, hash: u64) -> Option<u32> {
        self.shelves[kind as usize].index.find(hash, |(own, _)| *own == hash).map(|(_, place)| *place)
    }

    /// Reads what applying an event to the entity will read, so that a batch of them waits for memory once. The value says nothing.
    #[inline]
    pub fn warm(&self, kind: EntityKind, place: u32) -> u64 {
        let shelf = &self.shelves[kind as usize];
        let head = shelf.head(place);
        let cells = shelf.cells.row(place as usize);
        head.state.touched_ms as u64 ^ head.state.stamps.len() as u64 ^ cells[cells.len() - 1]
    }

    /// Reads the entity's id, likewise.
    #[inline]
    pub fn warm_key(&self, kind: EntityKind, place: u32) -> u64 {
        self.entity(kind, place).with_key(|key| u64::from(key.first().copied().unwrap_or(0)))
    }

    /// The place of an entity, if the store knows it.
    #[inline]
    pub fn find(&self, kind: EntityKind, dealer: u32, hash: u64, id: &[u8]) -> Option<u32> {
        let shelf = &self.shelves[kind as usize];
        let found = shelf.index.find(hash, |(own, place)| {
            *own == hash && {
                let head = shelf.head(*place);
                head.dealer == dealer && self.heap.equals(head.key, id)
            }
        });
        found.map(|(_, place)| *place)
    }

    /// The place of an entity, made at first sight.
    pub fn find_or_insert(&mut self, kind: EntityKind, dealer: u32, hash: u64, id: &[u8]) -> u32 {
        self.find(kind, dealer, hash, id).unwrap_or_else(|| self.insert(kind, dealer, hash, id))
    }

    /// Makes the place of an entity that the store does not know.
    pub fn insert(&mut self, kind: EntityKind, dealer: u32, hash: u64, id: &[u8]) -> u32 {
        debug_assert!(self.find(kind, dealer, hash, id).is_none(), "the entity is known");
        let key = self.heap.insert(id);
        let shelf = &mut self.shelves[kind as usize];
        let head = Head { key, dealer, tag: UNTAGGED, state: State::new() };
        let place = if let Some(place) = shelf.free.pop() {
            *shelf.head_mut(place) = head;
            place
        } else {
            let owners = cells_of(kind) - kind.slots();
            shelf.cells.push(std::iter::repeat_n(0, kind.slots()).chain(std::iter::repeat_n(u64::MAX, owners)));
            shelf.heads.push(std::iter::once(head)) as u32
        };
        shelf.index.insert_unique(hash, (hash, place), |(hash, _)| *hash);
        place
    }

    /// Forgets an entity altogether and frees its place.
    pub fn remove(&mut self, kind: EntityKind, place: u32) {
        let hash = self.entity(kind, place).hash(&self.dealers);
        let (shelf, heap) = (&mut self.shelves[kind as usize], &mut self.heap);
        if let Ok(entry) = shelf.index.find_entry(hash, |(_, other)| *other == place) {
            entry.remove();
        }
        let cells = shelf.cells.row_mut(place as usize);
        let head = &mut shelf.heads.row_mut(place as usize)[0];
        // What never had an event of its own was never written down.
        if let Some(changes) = self.changes.as_deref_mut().filter(|_| head.state.has_events()) {
            heap.with(head.key, |key| changes.leave(kind, place, head.dealer, key));
        }
        for (slot, cell) in cells[..kind.slots()].iter().enumerate() {
            if head.state.present & kind.text_slots() & (1 << slot) != 0 {
                heap.remove(Text::from_bits(*cell));
            }
        }
        cells[kind.slots()..].fill(u64::MAX);
        let state = std::mem::replace(&mut head.state, State::new());
        for stamp in state.stamps.iter().chain(&state.marks) {
            heap.remove(stamp.id);
        }
        heap.remove(head.key);
        head.state.is_free = true;
        shelf.free.push(place);
    }

    /// Applies one event to one entity.
    pub fn apply(&mut self, kind: EntityKind, place: u32, change: &Change<'_>) -> Outcome {
        let shelf = &mut self.shelves[kind as usize];
        let cells = shelf.cells.row_mut(place as usize);
        let head = &mut shelf.heads.row_mut(place as usize)[0];
        let last = head.dealer as usize * EntityKind::ALL.len() + kind as usize;
        let source = source(&mut self.sources, &mut self.last_sources, last, change.incoming.source);
        let mut merge = Merge {
            kind,
            state: &mut head.state,
            cells,
            heap: &mut self.heap,
            sources: &self.sources,
            incoming: change.incoming,
            source,
            stamp: NONE,
        };
        let outcome = merge.apply(change);
        if let Some(changes) = self.changes.as_deref_mut().filter(|_| outcome.changed) {
            changes.change(kind, place);
        }
        outcome
    }

    /// The number that the caller gave an entity, [`UNTAGGED`] before.
    pub fn tag(&self, kind: EntityKind, place: u32) -> u32 {
        self.shelves[kind as usize].head(place).tag
    }

    /// Gives an entity a number.
    pub fn set_tag(&mut self, kind: EntityKind, place: u32, tag: u32) {
        self.shelves[kind as usize].head_mut(place).tag = tag;
    }

    /// An entity, to be read.
    #[inline]
    pub fn entity(&self, kind: EntityKind, place: u32) -> EntityView<'_> {
        let shelf = &self.shelves[kind as usize];
        EntityView { kind, head: shelf.head(place), cells: shelf.cells.row(place as usize), heap: &self.heap }
    }

    /// Keeps what changes from now on, for [`EntityStore::take_changes`].
    pub fn keep_changes(&mut self) {
        self.changes = Some(Box::default());
    }

    /// What changed since the last call, if changes are kept.
    pub fn take_changes(&mut self) -> Option<Box<EntityChanges>> {
        self.changes.as_mut().map(std::mem::take)
    }

    /// Keeps the memory of changes below that of what changes.
    pub fn limit_changes(&mut self) {
        let size_bytes = if self.changes.is_some() { self.size_bytes() } else { 0 };
        if let Some(changes) = &mut self.changes {
            changes.limit(size_bytes);
        }
    }

    /// Bytes held, roughly.
    pub fn size_bytes(&self) -> usize {
        let shelves: usize = self
            .shelves
            .iter()
            .map(|shelf| {
                let entry_bytes = size_of::<(u64, u32)>() + 1;
                shelf.heads.size_bytes() + shelf.cells.size_bytes() + shelf.index.capacity() * entry_bytes
            })
            .sum();
        shelves + self.heap.size_bytes() + self.changes.as_deref().map_or(0, EntityChanges::size_bytes)
    }
}

/// The number of an event's source; `last` is where its like left theirs.
fn source(sources: &mut Names, last_sources: &mut Vec<u32>, last: usize, name: &[u8]) -> u32 {
    if last_sources.len() <= last {
        last_sources.resize(last + 1, u32::MAX);
    }
    let last = &mut last_sources[last];
    if *last == u32::MAX || sources.name(*last) != name {
        *last = sources.number(hash_text(name), name);
    }
    *last
}

/// One entity.
#[derive(Clone, Copy, Debug)]
pub struct EntityView<'a> {
    kind: EntityKind,
    head: &'a Head,
    cells: &'a [u64],
    heap: &'a TextHeap,
}

impl EntityView<'_> {
    /// What it is.
    pub fn kind(&self) -> EntityKind {
        self.kind
    }

    /// Whether it is there for users: it has an event that counts, and no deletion that outranks its creations.
    #[inline]
    pub fn is_alive(&self) -> bool {
        let state = &self.head.state;
        !state.is_free && if state.deleted == NONE { state.greatest != NONE } else { state.created != NONE }
    }

    /// Whether the place is held by an entity, alive or not.
    pub fn is_held(&self) -> bool {
        !self.head.state.is_free
    }

    /// The number of its dealer.
    pub fn dealer(&self) -> u32 {
        self.head.dealer
    }

    fn hash(&self, dealers: &Names) -> u64 {
        self.with_key(|key| hash_within(dealers.hash(self.head.dealer), key))
    }

    /// Calls `read` with its id.
    pub fn with_key<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        self.heap.with(self.head.key, read)
    }

    /// Bits of a slot, `None` if it is null.
    #[inline]
    pub fn bits(&self, slot: u8) -> Option<u64> {
        (self.head.state.present & (1 << slot) != 0).then(|| self.cells[usize::from(slot)])
    }

    /// Calls `read` with the text of a slot, if it is not null.
    #[inline]
    pub fn with_text<R>(&self, slot: u8, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.bits(slot).map(|bits| self.heap.with(Text::from_bits(bits), read))
    }

    /// The text of a slot, if it is not null.
    pub fn text(&self, slot: u8) -> Option<Vec<u8>> {
        self.with_text(slot, <[u8]>::to_vec)
    }

    /// Time of the greatest event that counts (or of the deletion, while nothing counts): when the entity was last touched.
    #[inline]
    pub fn touched_at(&self) -> i64 {
        self.head.state.touched_ms
    }

    /// Time of the event that owns a slot.
    pub fn slot_time(&self, slot: u8) -> Option<i64> {
        self.head.state.at(owner(self.kind, self.cells, slot)).map(|stamp| stamp.time_ms)
    }

    /// Time of the earliest counting event of a mark.
    #[inline]
    pub fn first_at(&self, mark: Mark) -> Option<i64> {
        Some(self.head.state.first_ms[mark as usize]).filter(|time_ms| *time_ms != NEVER)
    }

    /// Number of stamps kept, marks apart.
    #[cfg(test)]
    pub(super) fn stamps(&self) -> usize {
        self.head.state.stamps.len()
    }
}
