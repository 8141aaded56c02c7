//! One table: who writes it, and the versions that readers hold.
//!
//! ```text
//!   changes of an epoch ─▶ one fresh chunk; replaced and removed rows lose their bit in the chunk they lie in
//!   index: hash of a key ─▶ chunk and row            (the writer's own; readers search the order of a chunk's keys)
//!   compaction: two chunks of one size class become one, at most so many rows a publication
//! ```
//! A publication costs what changed, a bit for each row of the chunks it touches, and a bounded amount of compaction; never the table.
//! A chunk is small while at most half of `CHUNK_ROWS_MAX` rows are alive in it; no two small chunks of one power of two stay, so that
//! a table has at most `rows / 4,096 + 14` chunks once compaction has caught up.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, interleave_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::Rows as Keys;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::chunk::{CHUNK_ROWS_MAX, Chunk, ChunkVersion};
use super::key::KeyCodec;

/// Rows that compaction may move at each publication, beside a multiple of the rows that changed.
const COMPACTED_ROWS: usize = 2 * CHUNK_ROWS_MAX;
/// That multiple. A row is moved about once for each doubling of its chunk.
const COMPACTED_ROWS_PER_CHANGE: usize = 16;

/// A version of a table. Cheap to clone; never changes.
#[derive(Clone, Debug)]
pub(crate) struct TableVersion {
    chunks: Arc<[ChunkVersion]>,
    rows: usize,
}

/// Which rows of a table are asked for, by their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// All.
    All,
    /// Those whose keys come after all that begin with this.
    After(Vec<u8>),
    /// Those whose keys begin with one of these, of which none is the beginning of another.
    Prefixed(Vec<Vec<u8>>),
}

/// Neighbouring rows of a chunk, of which the dead are to be left out.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) chunk: ChunkVersion,
    pub(crate) range: Range<usize>,
}

impl Selection {
    /// Rows that are alive in it.
    pub(crate) fn rows(&self) -> usize {
        match self.chunk.alive(&self.range) {
            None => self.range.len(),
            Some(bits) => bits.count_set_bits(),
        }
    }

    /// The rows that are alive, with the columns of `projection`. Shares memory where nothing is left out.
    pub(crate) fn batch(&self, projection: &[usize]) -> Result<RecordBatch, ArrowError> {
        let rows = self.chunk.chunk.rows().project(projection)?.slice(self.range.start, self.range.len());
        match self.chunk.alive(&self.range) {
            None => Ok(rows),
            Some(bits) => filter_record_batch(&rows, &BooleanArray::new(bits, None)),
        }
    }
}

impl TableVersion {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of chunks.
    #[cfg(test)]
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Some of its rows.
    pub(crate) fn select(&self, rows: &Rows) -> Vec<Selection> {
        let mut selections = Vec::new();
        for version in self.chunks.iter() {
            let mut push = |range: Range<usize>| {
                let selection = Selection { chunk: version.clone(), range };
                if !selection.range.is_empty() && selection.rows() > 0 {
                    selections.push(selection);
                }
            };
            let all = version.chunk.len();
            match rows {
                Rows::All => push(0..all),
                Rows::After(prefix) => push(version.chunk.range_of(prefix).end..all),
                Rows::Prefixed(prefixes) => prefixes.iter().for_each(|prefix| push(version.chunk.range_of(prefix))),
            }
        }
        selections
    }
}

/// Where a row lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    slot: u32,
    row: u32,
}

/// What a publication replaced, and what older versions alone hold on to from then on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replaced {
    /// Its memory.
    pub(crate) bytes: usize,
}

/// The writer of one table.
#[derive(Debug)]
pub(crate) struct TableWriter {
    schema: SchemaRef,
    codec: KeyCodec,
    index: HashTable<Place>,
    /// Chunks by their slot; freed slots are used again.
    slots: Vec<Option<ChunkVersion>>,
    free: Vec<u32>,
    /// Slots of small chunks, by size class.
    small: BTreeMap<u32, Vec<u32>>,
}

impl TableWriter {
    /// An empty table of the stored columns `schema`.
    pub(crate) fn new(schema: SchemaRef, codec: KeyCodec) -> Self {
        TableWriter {
            schema,
            codec,
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            small: BTreeMap::new(),
        }
    }

    /// The present version.
    pub(crate) fn version(&self) -> TableVersion {
        let chunks: Arc<[ChunkVersion]> = self.slots.iter().flatten().cloned().collect();
        let rows = chunks.iter().map(ChunkVersion::alive_count).sum();
        TableVersion { chunks, rows }
    }

    /// Takes on versions of rows: the stored columns first, and a column `change` that says `upsert` or how a row ended. Of several
    /// versions of a row the last one holds.
    ///
    /// # Errors
    /// If the batch does not have these columns.
    pub(crate) fn apply(&mut self, versions: &RecordBatch) -> Result<Replaced, ArrowError> {
        let (versions, keys) = self.in_order(versions)?;
        let changes = versions.column_by_name("change").and_then(|column| column.as_string_opt::<i32>());
        let Some(changes) = changes else {
            return Err(ArrowError::SchemaError("versions of rows need a text column change".to_owned()));
        };
        let is_upsert: BooleanArray = changes.iter().map(|change| Some(change == Some("upsert"))).collect();
        let stored: Vec<usize> = (0..self.schema.fields().len()).collect();
        let upserts = versions.project(&stored)?.with_schema(Arc::clone(&self.schema))?;
        let all_are = is_upsert.true_count() == upserts.num_rows();
        let upserts = if all_are { upserts } else { filter_record_batch(&upserts, &is_upsert)? };
        let mut fresh = self.insert(&upserts)?.into_iter();

        let mut dead: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for row in 0..versions.num_rows() {
            let key = keys.row(row);
            let hash = xxh3_64(key.data());
            let slots = &self.slots;
            let is_same = |place: &Place| {
                let version = slots.get(place.slot as usize).and_then(Option::as_ref);
                place.hash == hash && version.is_some_and(|version| version.chunk.key(place.row as usize) == key)
            };
            let found = self.index.find_entry(hash, is_same);
            // Fresh rows lie in the order of the upserts, one for each.
            let place = if is_upsert.value(row) { fresh.next() } else { None };
            match (found, place) {
                (Ok(mut found), Some((slot, row))) => {
                    let old = std::mem::replace(found.get_mut(), Place { hash, slot, row });
                    dead.entry(old.slot).or_default().push(old.row);
                }
                (Ok(found), None) => {
                    let (old, _) = found.remove();
                    dead.entry(old.slot).or_default().push(old.row);
                }
                (Err(_), Some((slot, row))) => {
                    self.index.insert_unique(hash, Place { hash, slot, row }, |place| place.hash);
                }
                (Err(_), None) => {}
            }
        }
        let mut replaced = Replaced::default();
        for (slot, rows) in dead {
            self.bury(slot, &rows, &mut replaced);
        }
        self.compact(COMPACTED_ROWS + COMPACTED_ROWS_PER_CHANGE * versions.num_rows(), &mut replaced)?;
        Ok(replaced)
    }

    /// The versions in order of their keys, each key once, with its last version; and the keys.
    fn in_order(&self, versions: &RecordBatch) -> Result<(RecordBatch, Keys), ArrowError> {
        let keys = self.codec.keys(versions)?;
        if (1..keys.num_rows()).all(|row| keys.row(row - 1) < keys.row(row)) {
            return Ok((versions.clone(), keys));
        }
        let mut order: Vec<u32> = (0..keys.num_rows() as u32).collect();
        order.sort_by(|left, right| keys.row(*left as usize).cmp(&keys.row(*right as usize)));
        let is_last =
            |at: &usize| order.get(at + 1).is_none_or(|next| keys.row(*next as usize) != keys.row(order[*at] as usize));
        let last: UInt32Array = (0..order.len()).filter(is_last).map(|at| order[at]).collect();
        let versions = take_record_batch(versions, &last)?;
        let keys = self.codec.keys(&versions)?;
        Ok((versions, keys))
    }

    /// Makes chunks of rows in order. Gives the place of each row.
    fn insert(&mut self, rows: &RecordBatch) -> Result<Vec<(u32, u32)>, ArrowError> {
        let mut places = Vec::with_capacity(rows.num_rows());
        for start in (0..rows.num_rows()).step_by(CHUNK_ROWS_MAX) {
            let part = rows.slice(start, CHUNK_ROWS_MAX.min(rows.num_rows() - start));
            let count = part.num_rows() as u32;
            let slot = self.seat(ChunkVersion::new(Arc::new(Chunk::new(part, &self.codec)?)));
            places.extend((0..count).map(|row| (slot, row)));
        }
        Ok(places)
    }

    /// Gives a chunk a slot.
    fn seat(&mut self, version: ChunkVersion) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        if let Some(class) = size_class(version.alive_count()) {
            self.small.entry(class).or_default().push(slot);
        }
        self.slots[slot as usize] = Some(version);
        slot
    }

    /// Takes a chunk out.
    fn unseat(&mut self, slot: u32, replaced: &mut Replaced) -> Option<ChunkVersion> {
        let version = self.slots.get_mut(slot as usize).and_then(Option::take)?;
        self.leave_class(slot, version.alive_count());
        self.free.push(slot);
        replaced.bytes += version.chunk.bytes();
        Some(version)
    }

    fn leave_class(&mut self, slot: u32, alive: usize) {
        if let Some(slots) = size_class(alive).and_then(|class| self.small.get_mut(&class)) {
            slots.retain(|other| *other != slot);
        }
    }

    /// Marks rows of a chunk as dead.
    fn bury(&mut self, slot: u32, rows: &[u32], replaced: &mut Replaced) {
        let Some(version) = self.slots.get(slot as usize).and_then(Option::as_ref) else { return };
        let before = version.alive_count();
        let version = version.without(rows);
        replaced.bytes += version.chunk.len() / 8;
        let after = version.alive_count();
        if after == 0 {
            self.unseat(slot, replaced);
            return;
        }
        if size_class(before) != size_class(after) {
            self.leave_class(slot, before);
            if let Some(class) = size_class(after) {
                self.small.entry(class).or_default().push(slot);
            }
        }
        self.slots[slot as usize] = Some(version);
    }

    /// Merges chunks of one size class, two by two, until none are left or `rows` were moved.
    fn compact(&mut self, mut rows: usize, replaced: &mut Replaced) -> Result<(), ArrowError> {
        while let Some(pair) = self.small.values().find_map(|slots| Some([*slots.first()?, *slots.get(1)?])) {
            let moved = self.merge(pair)?;
            for slot in pair {
                self.unseat(slot, replaced);
            }
            rows = rows.saturating_sub(moved);
            if rows == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Makes one chunk of the rows alive in two, which keep their slots until their rows are found elsewhere. Tells how many rows.
    fn merge(&mut self, pair: [u32; 2]) -> Result<usize, ArrowError> {
        let version = |slot: u32| self.slots.get(slot as usize).cloned().flatten();
        let [Some(left), Some(right)] = pair.map(version) else { return Ok(0) };
        let mut order = Vec::with_capacity(left.alive_count() + right.alive_count());
        let (mut lefts, mut rights) = (left.alive_rows().peekable(), right.alive_rows().peekable());
        while let (Some(at_left), Some(at_right)) = (lefts.peek(), rights.peek()) {
            if left.chunk.key(*at_left) < right.chunk.key(*at_right) {
                order.extend(lefts.next().map(|row| (0, row)));
            } else {
                order.extend(rights.next().map(|row| (1, row)));
            }
        }
        order.extend(lefts.map(|row| (0, row)).chain(rights.map(|row| (1, row))));
        let rows = interleave_record_batch(&[left.chunk.rows(), right.chunk.rows()], &order)?;
        let chunk = Arc::new(Chunk::new(rows, &self.codec)?);
        let slot = self.seat(ChunkVersion::new(Arc::clone(&chunk)));
        for (row, (side, old_row)) in order.iter().enumerate() {
            let hash = xxh3_64(chunk.key(row).data());
            let is_old = |place: &Place| place.slot == pair[*side] && place.row as usize == *old_row;
            if let Some(place) = self.index.find_mut(hash, is_old) {
                *place = Place { hash, slot, row: row as u32 };
            }
        }
        Ok(chunk.len())
    }
}

/// The power of two below the number of rows alive, while the chunk is small.
fn size_class(alive: usize) -> Option<u32> {
    (alive <= CHUNK_ROWS_MAX / 2).then(|| alive.checked_ilog2()).flatten()
}
