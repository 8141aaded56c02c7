//! Which events came before: an open table with linear probing, sixteen bytes a slot.
//!
//! ```text
//!   identity (128 bits) ─▶ high half: slot and tag │ low half: 32 more bits of tag ;  beside them 32 bits of the content's hash
//! ```
//! One cache line per look-up, where a table of control bytes needs two. Nothing is forgotten: a loop ends before that matters.

/// What [`Seen::insert`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// Not seen before.
    First,
    /// The same event again.
    Duplicate,
    /// The same id with other bytes.
    Reused,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// Zero marks a free slot; a hash of zero is moved to one.
    high: u64,
    low: u32,
    content: u32,
}

/// The identities of all events so far.
pub(super) struct Seen {
    slots: Vec<Slot>,
    shift: u32,
    used: usize,
}

impl Seen {
    /// A table that holds `events` without growing.
    pub(super) fn with_capacity(events: usize) -> Self {
        let length = (events * 3 / 2).next_power_of_two().max(16);
        Seen { slots: vec![Slot::default(); length], shift: 64 - length.trailing_zeros(), used: 0 }
    }

    /// Looks an event up and remembers it if it is new.
    #[inline]
    pub(super) fn insert(&mut self, identity: u128, content: u64) -> Sighting {
        let own = Slot { high: ((identity >> 64) as u64).max(1), low: identity as u32, content: content as u32 };
        let mask = self.slots.len() - 1;
        let mut at = (own.high >> self.shift) as usize;
        loop {
            let slot = self.slots[at & mask];
            if slot.high == 0 {
                self.slots[at & mask] = own;
                self.used += 1;
                if self.used * 4 > self.slots.len() * 3 {
                    self.grow();
                }
                return Sighting::First;
            }
            if slot.high == own.high && slot.low == own.low {
                return if slot.content == own.content { Sighting::Duplicate } else { Sighting::Reused };
            }
            at += 1;
        }
    }

    fn grow(&mut self) {
        let length = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); length]);
        self.shift -= 1;
        for slot in old.into_iter().filter(|slot| slot.high != 0) {
            let mut at = (slot.high >> self.shift) as usize;
            while self.slots[at & (length - 1)].high != 0 {
                at += 1;
            }
            self.slots[at & (length - 1)] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use operators::domain::hash::hash_identity;

    #[test]
    fn knows_copies_and_reuses_across_growth() {
        let mut seen = Seen::with_capacity(0);
        let identity = |number: u32| hash_identity(b"d", b"s", &number.to_le_bytes());
        for number in 0..100_000 {
            assert_eq!(seen.insert(identity(number), u64::from(number)), Sighting::First);
        }
        for number in 0..100_000 {
            assert_eq!(seen.insert(identity(number), u64::from(number)), Sighting::Duplicate);
            assert_eq!(seen.insert(identity(number), u64::from(number) + 1), Sighting::Reused);
        }
    }
}
