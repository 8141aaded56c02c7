//! What is committed and not kept yet, in bytes: whoever adds to it waits while it is as large as it may be.
//!
//! ```text
//!   commit thread ─ take_room(bytes) ─▶ Room ─▶ tables ─▶ keeper ─ written ─▶ the room is given back
//! ```

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A backlog below this part of its bound is small.
const SMALL_SHARE: u64 = 4;

#[derive(Debug)]
struct Shared {
    bytes_max: u64,
    /// Bytes that are taken; none once nobody is held up any more.
    bytes: Mutex<Option<u64>>,
    changed: Condvar,
}

/// The bound, shared by those who add and those who keep.
#[derive(Clone, Debug)]
pub struct Backlog(Arc<Shared>);

/// Room for one epoch, given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    backlog: Backlog,
    bytes: u64,
}

impl Backlog {
    /// Room for `bytes_max`, beside one epoch.
    pub fn new(bytes_max: u64) -> Self {
        Backlog(Arc::new(Shared { bytes_max, bytes: Mutex::new(Some(0)), changed: Condvar::new() }))
    }

    /// Waits until there is room for so many bytes, or for anything while nothing is taken.
    pub fn take_room(&self, bytes: u64) -> Room {
        let Shared { bytes_max, bytes: taken, changed } = self.0.as_ref();
        let is_full = |taken: &mut Option<u64>| taken.is_some_and(|taken| taken > 0 && taken + bytes > *bytes_max);
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = changed.wait_while(taken, is_full).unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = taken.as_mut() {
            *taken += bytes;
        }
        Room { backlog: self.clone(), bytes }
    }

    /// Whether what is taken is far from what may be: whoever keeps it may take its time.
    pub fn is_small(&self) -> bool {
        let Shared { bytes_max, bytes, .. } = self.0.as_ref();
        let taken = *bytes.lock().unwrap_or_else(PoisonError::into_inner);
        taken.is_some_and(|taken| taken < bytes_max / SMALL_SHARE)
    }

    /// Nobody is held up any more: who keeps is gone.
    pub fn close(&self) {
        *self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.changed.notify_all();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Shared { bytes, changed, .. } = self.backlog.0.as_ref();
        if let Some(taken) = bytes.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *taken = taken.saturating_sub(self.bytes);
        }
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_adds_waits_for_room_and_never_for_a_keeper_that_is_gone() {
        let backlog = Backlog::new(100);
        assert!(backlog.is_small());
        let large = backlog.take_room(500);
        assert!(!backlog.is_small());
        let taking = |bytes| {
            let backlog = backlog.clone();
            std::thread::spawn(move || backlog.take_room(bytes))
        };
        let first = taking(60);
        drop(large);
        let first = first.join().unwrap();
        assert_eq!(*backlog.0.bytes.lock().unwrap(), Some(60));
        let second = taking(60);
        backlog.close();
        assert!(!backlog.is_small(), "nobody takes their time for one that is gone");
        drop((first, second.join().unwrap()));
        assert_eq!(*backlog.0.bytes.lock().unwrap(), None);
    }
}
