//! Blocks: runs of records of one partition with consecutive offsets, the unit that the store keeps.
//!
//! ```text
//!  key    │ partition u32 BE │ base offset u64 BE │                      sorts by partition, then offset
//!  value  │ version u8 │ records u32 │ greatest timestamp i64 │ record*  (little endian)
//!  record │ timestamp i64 │ key length │ payload length │ header count │ header length │ key │ payload │ headers │
//! ```
//! Lengths are u32; `u32::MAX` says that there is no key or payload.

use crate::log::{Body, Headers};

const VERSION: u8 = 1;
const NO_BYTES: u32 = u32::MAX;
const HEADER_BYTES: usize = 1 + 4 + 8;

/// A block grows no further than this, but for a single larger record.
pub(super) const BLOCK_BYTES_MAX: usize = 256 << 10;

/// The key of the block that begins at `base` in the partition with this number.
pub(super) fn block_key(partition: u32, base: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&partition.to_be_bytes());
    key[4..].copy_from_slice(&base.to_be_bytes());
    key
}

/// The base offset in a block's key.
pub(super) fn base_of_key(key: &[u8]) -> Option<u64> {
    key.get(4..12)?.try_into().ok().map(u64::from_be_bytes)
}

/// A block that is being filled.
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    records: u32,
    timestamp_max_ms: i64,
}

impl BlockBuilder {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], records: 0, timestamp_max_ms: i64::MIN }
    }

    pub(super) fn records(&self) -> u32 {
        self.records
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BLOCK_BYTES_MAX
    }

    pub(super) fn push(&mut self, timestamp_ms: i64, body: Body<'_>) {
        let length = |bytes: Option<&[u8]>| bytes.map_or(NO_BYTES, |bytes| bytes.len() as u32);
        let headers = body.headers.encoded();
        self.bytes.extend_from_slice(&timestamp_ms.to_le_bytes());
        for number in [length(body.key), length(body.payload), body.headers.len() as u32, headers.len() as u32] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.bytes.extend_from_slice(body.key.unwrap_or_default());
        self.bytes.extend_from_slice(body.payload.unwrap_or_default());
        self.bytes.extend_from_slice(headers);
        self.records += 1;
        self.timestamp_max_ms = self.timestamp_max_ms.max(timestamp_ms);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes[0] = VERSION;
        self.bytes[1..5].copy_from_slice(&self.records.to_le_bytes());
        self.bytes[5..HEADER_BYTES].copy_from_slice(&self.timestamp_max_ms.to_le_bytes());
        self.bytes
    }
}

/// What the head of a block says; `None` if it is no block that this build writes.
pub(super) fn block_head(bytes: &[u8]) -> Option<BlockHead> {
    let (&VERSION, rest) = bytes.split_first()? else { return None };
    let (records, rest) = rest.split_first_chunk::<4>()?;
    let timestamp = rest.first_chunk::<8>()?;
    Some(BlockHead { records: u32::from_le_bytes(*records), timestamp_max_ms: i64::from_le_bytes(*timestamp) })
}

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHead {
    pub(super) records: u32,
    pub(super) timestamp_max_ms: i64,
}

/// A place in a block's bytes, behind the records that were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockCursor {
    at: usize,
}

impl BlockCursor {
    pub(super) fn start() -> Self {
        Self { at: HEADER_BYTES }
    }

    /// The next record with its timestamp; `None` if the bytes are no whole record.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> Option<(i64, Body<'a>)> {
        let rest = bytes.get(self.at..)?;
        let (timestamp, rest) = rest.split_first_chunk::<8>()?;
        let mut numbers = [0_u32; 4];
        let mut tail = rest;
        for number in &mut numbers {
            let (taken, left) = tail.split_first_chunk::<4>()?;
            *number = u32::from_le_bytes(*taken);
            tail = left;
        }
        let [key_bytes, payload_bytes, header_count, header_bytes] = numbers;
        let (key, tail) = split_optional(tail, key_bytes)?;
        let (payload, tail) = split_optional(tail, payload_bytes)?;
        let (headers, tail) = tail.split_at_checked(header_bytes as usize)?;
        self.at = bytes.len() - tail.len();
        let headers = Headers::from_encoded(headers, header_count);
        Some((i64::from_le_bytes(*timestamp), Body { key, payload, headers }))
    }
}

fn split_optional(bytes: &[u8], length: u32) -> Option<(Option<&[u8]>, &[u8])> {
    if length == NO_BYTES {
        return Some((None, bytes));
    }
    let (taken, rest) = bytes.split_at_checked(length as usize)?;
    Some((Some(taken), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body<'a>(key: Option<&'a [u8]>, payload: Option<&'a [u8]>) -> Body<'a> {
        Body { key, payload, headers: Headers::from_encoded(b"\x01\0a\xff\xff\xff\xff", 1) }
    }

    #[test]
    fn a_block_gives_back_its_records() {
        let mut builder = BlockBuilder::new();
        builder.push(7, body(Some(b"key"), Some(b"")));
        builder.push(3, body(None, None));
        let bytes = builder.finish();
        assert_eq!(block_head(&bytes), Some(BlockHead { records: 2, timestamp_max_ms: 7 }));
        let mut cursor = BlockCursor::start();
        let (timestamp_ms, first) = cursor.next(&bytes).unwrap();
        assert_eq!((timestamp_ms, first.key, first.payload), (7, Some(b"key".as_slice()), Some(b"".as_slice())));
        assert_eq!(first.headers.iter().next().unwrap().name, "a");
        let (timestamp_ms, second) = cursor.next(&bytes).unwrap();
        assert_eq!((timestamp_ms, second.key, second.payload), (3, None, None));
        assert!(cursor.next(&bytes).is_none());
    }

    #[test]
    fn no_cut_of_a_block_panics() {
        let mut builder = BlockBuilder::new();
        builder.push(7, body(Some(b"key"), Some(b"payload")));
        let bytes = builder.finish();
        for length in 0..bytes.len() {
            assert!(BlockCursor::start().next(&bytes[..length]).is_none());
        }
        assert!(block_head(b"\x02abcdefghijklmnop").is_none());
    }

    #[test]
    fn keys_sort_by_partition_and_offset() {
        assert!(block_key(1, 300) < block_key(1, 301) && block_key(1, u64::MAX) < block_key(2, 0));
        assert_eq!(base_of_key(&block_key(9, 77)), Some(77));
    }
}
