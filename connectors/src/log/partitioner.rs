//! Which partition a key goes to: as Java's producer decides it, so that events of one key from any client meet.

/// The partition of `key` among `partitions`, as the default partitioner of Apache Kafka's Java client computes it:
/// `toPositive(murmur2(key)) % partitions` (`org.apache.kafka.clients.producer.internals.BuiltInPartitioner`).
///
/// # Panics
/// If `partitions` is 0.
pub fn partition_of_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// `MurmurHash2` by Austin Appleby, 32 bits, with the seed of `org.apache.kafka.common.utils.Utils.murmur2`.
pub fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;
    let (words, tail) = bytes.as_chunks::<4>();
    let mut hash = SEED ^ bytes.len() as u32;
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> SHIFT;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        for (place, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of Apache Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_are_those_of_the_java_client() {
        let cases: [(&str, i32); 7] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
            ("", 275_646_681),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key:?}");
        }
    }

    #[test]
    fn a_negative_hash_still_names_a_partition() {
        // −973,932,308 without its sign bit is 1,173,551,340.
        assert_eq!(partition_of_key(b"21", 7), 1_173_551_340 % 7);
        assert!((0..1000).all(|dealer| partition_of_key(format!("d-{dealer:04}").as_bytes(), 12) < 12));
    }
}
