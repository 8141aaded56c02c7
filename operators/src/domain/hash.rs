//! Hashes that are the same on every machine and in every run.
//!
//! XXH3 with fixed seeds: fast, not keyed. They only place and compare state; a producer that constructs a collision can hurt
//! no dealer but those it may write for, since the dealer is part of every key and routing never trusts equality of hashes.

use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

/// Parts of the state, by dealer. Their number is fixed, so that the state does not know how many workers share them.
pub const SHARDS: usize = 256;

/// The shard of a dealer, by the hash of its id.
#[inline]
pub fn shard_of(dealer_hash: u64) -> usize {
    dealer_hash as usize % SHARDS
}

/// Hash of one text.
pub fn hash_text(text: &[u8]) -> u64 {
    xxh3_64(text)
}

/// Hash of one text in the light of another hash, such as an id of a dealer.
pub fn hash_within(outer: u64, text: &[u8]) -> u64 {
    xxh3_64_with_seed(text, outer)
}

/// The 128-bit identity of an event: `(dealer, source, id)`, each ended by its length so that no two triples run together.
pub fn hash_identity(dealer: &[u8], source: &[u8], id: &[u8]) -> u128 {
    let total = dealer.len() + source.len() + id.len() + 8;
    let mut buffer = [0_u8; 200];
    if total <= buffer.len() {
        // One call on one buffer is three times as fast as streaming, and most identities are short.
        let mut at = 0;
        for part in [dealer, source, id] {
            buffer[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        buffer[at..at + 4].copy_from_slice(&(dealer.len() as u32).to_le_bytes());
        buffer[at + 4..at + 8].copy_from_slice(&(source.len() as u32).to_le_bytes());
        return xxhash_rust::xxh3::xxh3_128(&buffer[..total]);
    }
    let mut hasher = Xxh3::new();
    hasher.update(dealer);
    hasher.update(source);
    hasher.update(id);
    hasher.update(&(dealer.len() as u32).to_le_bytes());
    hasher.update(&(source.len() as u32).to_le_bytes());
    hasher.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_do_not_run_together() {
        assert_ne!(hash_identity(b"ab", b"c", b"d"), hash_identity(b"a", b"bc", b"d"));
        assert_ne!(hash_identity(b"a", b"b", b"cd"), hash_identity(b"a", b"bc", b"d"));
    }

    #[test]
    fn the_short_and_the_long_way_agree() {
        let long = [b'x'; 184];
        let mut hasher = Xxh3::new();
        for part in [b"d1".as_slice(), b"s".as_slice(), &long[..180]] {
            hasher.update(part);
        }
        hasher.update(&2_u32.to_le_bytes());
        hasher.update(&1_u32.to_le_bytes());
        assert_eq!(hash_identity(b"d1", b"s", &long[..180]), hasher.digest128());
    }
}
