//! What is due at a dealer, and when: a priority queue whose order never depends on anything but its history.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that will happen at a dealer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// The dealer says who it is; `true` if with its time zone.
    Introduce(bool),
    /// A rep starts, at the opening of the world or later.
    Hire,
    /// Some rep leaves.
    Leave,
    /// Some rep's skill is reviewed.
    Review,
    /// The rep's status changes next.
    Shift(u32),
    /// A vehicle is taken in; `true` if it stood on the lot before the world began.
    Acquire(bool),
    /// The vehicle in this slot moves on.
    Vehicle(u32),
    /// A customer enquires.
    Enquiry,
    /// The journey in this slot goes on.
    Journey(u32),
}

/// Actions by time; those of one millisecond in the order in which they were planned.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BinaryHeap<Reverse<(i64, u64, Action)>>,
    planned: u64,
}

impl Agenda {
    pub(super) fn plan(&mut self, time_ms: i64, action: Action) {
        self.planned += 1;
        self.due.push(Reverse((time_ms, self.planned, action)));
    }

    /// Takes the next action that is due before `end_ms`.
    pub(super) fn next_before(&mut self, end_ms: i64) -> Option<(i64, Action)> {
        if self.due.peek()?.0.0 >= end_ms {
            return None;
        }
        self.due.pop().map(|Reverse((time_ms, _, action))| (time_ms, action))
    }
}

/// Entities in reusable slots.
#[derive(Debug)]
pub(super) struct Slots<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    pub(super) fn insert(&mut self, item: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.items[slot as usize] = item;
            slot
        } else {
            self.items.push(item);
            self.items.len() as u32 - 1
        }
    }

    /// Frees a slot; nothing may refer to it any more.
    pub(super) fn remove(&mut self, slot: u32) {
        self.free.push(slot);
    }

    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }
}

impl<T> std::ops::Index<u32> for Slots<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.items[slot as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.items[slot as usize]
    }
}
