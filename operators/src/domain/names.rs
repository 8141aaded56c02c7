//! Names numbered in the order of their first sight: dealers and sources, of which there are few.

use hashbrown::HashTable;

/// Names by number. The list only grows.
#[derive(Debug, Default)]
pub struct Names {
    index: HashTable<(u64, u32)>,
    /// Hash and end in `bytes`.
    entries: Vec<(u64, usize)>,
    bytes: Vec<u8>,
}

impl Names {
    /// The number of a name, given at first sight. Equal names have to come with equal hashes.
    pub fn number(&mut self, hash: u64, name: &[u8]) -> u32 {
        if let Some((_, number)) = self.index.find(hash, |(own, number)| *own == hash && self.name(*number) == name) {
            return *number;
        }
        let number = self.entries.len() as u32;
        self.bytes.extend_from_slice(name);
        self.entries.push((hash, self.bytes.len()));
        self.index.insert_unique(hash, (hash, number), |(hash, _)| *hash);
        number
    }

    /// A name.
    #[inline]
    pub fn name(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.entries[number - 1].1 };
        &self.bytes[start..self.entries[number].1]
    }

    /// The hash that the name came with.
    pub fn hash(&self, number: u32) -> u64 {
        self.entries[number as usize].0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_do_not_make_names_equal() {
        let mut names = Names::default();
        assert_eq!(
            [names.number(1, b"a"), names.number(1, b"bb"), names.number(2, b""), names.number(1, b"a")],
            [0, 1, 2, 0]
        );
        assert_eq!([names.name(0), names.name(1), names.name(2)], [b"a".as_slice(), b"bb", b""]);
        assert_eq!((names.len(), names.hash(2)), (3, 2));
    }
}
