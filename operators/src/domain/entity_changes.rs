//! Which entities changed since their state was last written down.
//!
//! ```text
//!   changed    a bit for each place        gone    keys of those that left, whose places may have others by now
//! ```

use super::entity::EntityKind;

/// Bytes that the keys of those gone may always have; beyond that, no more than the state that is left has.
const GONE_BYTES_MIN: usize = 1 << 20;

/// An entity that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// What it was.
    pub kind: EntityKind,
    /// The number of its dealer.
    pub dealer: u32,
    /// Its id.
    pub key: Vec<u8>,
}

/// The changes of one store.
#[derive(Debug, Default)]
pub struct EntityChanges {
    changed: [Vec<u64>; EntityKind::ALL.len()],
    gone: Vec<Gone>,
    gone_bytes: usize,
    is_overrun: bool,
}

impl EntityChanges {
    /// Notes that the entity at a place is another now.
    #[inline]
    pub fn change(&mut self, kind: EntityKind, place: u32) {
        let words = &mut self.changed[kind as usize];
        let word = place as usize / 64;
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        words[word] |= 1 << (place % 64);
    }

    /// Notes that the entity at a place left.
    pub fn leave(&mut self, kind: EntityKind, place: u32, dealer: u32, key: &[u8]) {
        if let Some(word) = self.changed[kind as usize].get_mut(place as usize / 64) {
            *word &= !(1 << (place % 64));
        }
        if !self.is_overrun {
            self.gone_bytes += size_of::<Gone>() + key.len();
            self.gone.push(Gone { kind, dealer, key: key.to_vec() });
        }
    }

    /// Forgets those gone if their keys take more than `state_bytes` or [`GONE_BYTES_MIN`]: it is shorter to write the state whole.
    pub fn limit(&mut self, state_bytes: usize) {
        if self.gone_bytes > state_bytes.max(GONE_BYTES_MIN) {
            self.is_overrun = true;
            self.gone = Vec::new();
            self.gone_bytes = 0;
        }
    }

    /// Whether so many left that they were forgotten.
    pub fn is_overrun(&self) -> bool {
        self.is_overrun
    }

    /// The places of what changed, by kind and in order.
    pub fn places(&self) -> impl Iterator<Item = (EntityKind, u32)> + '_ {
        EntityKind::ALL.into_iter().flat_map(|kind| {
            self.changed[kind as usize].iter().enumerate().filter(|(_, word)| **word != 0).flat_map(
                move |(at, word)| {
                    let word = *word;
                    (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| (kind, at as u32 * 64 + bit))
                },
            )
        })
    }

    /// Those that left, in the order in which they did.
    pub fn gone(&self) -> &[Gone] {
        &self.gone
    }

    /// Bytes held, roughly.
    pub fn size_bytes(&self) -> usize {
        self.gone_bytes + self.changed.iter().map(|words| words.capacity() * 8).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_listed_once_and_the_gone_by_key() {
        let mut changes = EntityChanges::default();
        for place in [70, 3, 70, 64] {
            changes.change(EntityKind::Deal, place);
        }
        changes.change(EntityKind::Lead, 0);
        changes.leave(EntityKind::Deal, 64, 5, b"deal-1");
        let places: Vec<_> = changes.places().collect();
        assert_eq!(places, [(EntityKind::Lead, 0), (EntityKind::Deal, 3), (EntityKind::Deal, 70)]);
        assert_eq!(changes.gone(), [Gone { kind: EntityKind::Deal, dealer: 5, key: b"deal-1".to_vec() }]);
    }

    #[test]
    fn the_gone_are_bounded_by_the_state() {
        let mut changes = EntityChanges::default();
        for place in 0..100_000 {
            changes.leave(EntityKind::Lead, place, 0, b"a lead of sixteen");
            changes.limit(0);
        }
        assert!(changes.is_overrun() && changes.gone().is_empty() && changes.size_bytes() < GONE_BYTES_MIN);
    }
}
