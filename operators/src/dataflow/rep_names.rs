//! Reps and their names as numbers, so that the join of `reps` moves a few words and no text.
//!
//! ```text
//!   (dealer, rep id) ─▶ RepKey { worker, number } ─▶ join, wherever it runs ─▶ back to `worker` ─▶ (dealer, rep id)
//! ```
//! Numbers are one worker's own: only the worker that gave one may read it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::domain::hash::hash_text;
use crate::domain::names::Names;

/// A rep: the worker of its dealer, and the number that this worker gave it.
pub type RepKey = (u32, u32);

#[derive(Debug, Default)]
struct Numbers {
    /// Dealer, rep id, and the dealer's length in four bytes, so that no two pairs run together.
    reps: Names,
    names: Names,
    scratch: Vec<u8>,
}

/// The reps of one worker's dealers, shared by those who number them and those who write their rows.
#[derive(Clone, Debug)]
pub struct RepNames {
    worker: u32,
    numbers: Rc<RefCell<Numbers>>,
}

impl RepNames {
    /// No reps yet, on worker `worker`.
    pub fn new(worker: u32) -> Self {
        RepNames { worker, numbers: Rc::default() }
    }

    /// The key of a rep.
    pub fn key(&self, dealer: &[u8], rep: &[u8]) -> RepKey {
        let Numbers { reps, scratch, .. } = &mut *self.numbers.borrow_mut();
        scratch.clear();
        scratch.extend_from_slice(dealer);
        scratch.extend_from_slice(rep);
        scratch.extend_from_slice(&(dealer.len() as u32).to_le_bytes());
        (self.worker, reps.number(hash_text(scratch), scratch))
    }

    /// Calls `read` with dealer and id of one of this worker's reps.
    pub fn with_key<R>(&self, key: RepKey, read: impl FnOnce(&[u8], &[u8]) -> R) -> R {
        debug_assert_eq!(key.0, self.worker, "another worker's number");
        let numbers = self.numbers.borrow();
        let name = numbers.reps.name(key.1);
        let (pair, length) = name.split_last_chunk::<4>().unwrap_or((name, &[0; 4]));
        let (dealer, rep) = pair.split_at(u32::from_le_bytes(*length) as usize);
        read(dealer, rep)
    }

    /// Calls `read` with the id of the rep of one of this worker's numbers.
    pub fn with_number<R>(&self, number: u32, read: impl FnOnce(&[u8]) -> R) -> R {
        self.with_key((self.worker, number), |_, rep| read(rep))
    }

    /// The number of a rep's name.
    pub fn name(&self, name: &[u8]) -> u32 {
        self.numbers.borrow_mut().names.number(hash_text(name), name)
    }

    /// Calls `read` with a name.
    pub fn with_name<R>(&self, number: u32, read: impl FnOnce(&[u8]) -> R) -> R {
        read(self.numbers.borrow().names.name(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_do_not_run_together() {
        let names = RepNames::new(3);
        let keys = [names.key(b"d1", b"r"), names.key(b"d", b"1r"), names.key(b"d1", b"r"), names.key(b"", b"")];
        assert_eq!(keys, [(3, 0), (3, 1), (3, 0), (3, 2)]);
        assert_eq!(
            names.with_key(keys[1], |dealer, rep| (dealer.to_vec(), rep.to_vec())),
            (b"d".to_vec(), b"1r".to_vec())
        );
    }
}
