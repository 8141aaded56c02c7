//! Short texts in eight bytes each, long ones in a heap that reuses what is freed.
//!
//! ```text
//!   Text (u64)   inline: 1 | length (7 bits) | up to seven bytes      heap: 0 | length (23 bits) | offset / 8 (40 bits)
//! ```
//!
//! State holds millions of ids; a `String` costs 24 bytes beside its allocation, a [`Text`] eight.

/// Longest text that a [`TextHeap`] holds, in bytes.
pub const TEXT_BYTES_MAX: usize = (1 << 23) - 1;

const INLINE: u64 = 1 << 63;
const INLINE_BYTES_MAX: usize = 7;
const OFFSET_BITS: u32 = 40;
const GRAIN_BYTES: usize = 8;
const EXACT_CLASSES: usize = 64;

/// A reference to a text in the [`TextHeap`] that made it. Copies share the text; freeing it is the owner's duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text(u64);

impl Text {
    /// The empty text, which needs no heap.
    pub const EMPTY: Text = Text(INLINE);

    /// The eight bytes, to keep in a slot.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The text whose bits [`Text::to_bits`] gave.
    pub fn from_bits(bits: u64) -> Self {
        Text(bits)
    }
}

/// Owns the bytes of texts longer than seven bytes.
#[derive(Debug, Default)]
pub struct TextHeap {
    bytes: Vec<u8>,
    /// Freed blocks by size class, as offsets in grains.
    free: Vec<Vec<u64>>,
}

/// Size class of a block and its size in grains of eight bytes: exact up to 512 bytes, then powers of two.
fn class_of(length: usize) -> (usize, usize) {
    let grains = length.div_ceil(GRAIN_BYTES);
    if grains <= EXACT_CLASSES {
        (grains, grains)
    } else {
        let rounded = grains.next_power_of_two();
        (EXACT_CLASSES + rounded.trailing_zeros() as usize, rounded)
    }
}

impl TextHeap {
    /// Keeps `text` and gives its reference. Texts beyond [`TEXT_BYTES_MAX`] are cut there; parsing refuses them before.
    pub fn insert(&mut self, text: &[u8]) -> Text {
        let length = text.len().min(TEXT_BYTES_MAX);
        if length <= INLINE_BYTES_MAX {
            let mut bits = INLINE | ((length as u64) << 56);
            for (index, byte) in text.iter().enumerate() {
                bits |= u64::from(*byte) << (8 * index);
            }
            return Text(bits);
        }
        let (class, grains) = class_of(length);
        let offset = match self.free.get_mut(class).and_then(Vec::pop) {
            Some(offset) => offset,
            None => {
                let offset = self.bytes.len() / GRAIN_BYTES;
                self.bytes.resize(self.bytes.len() + grains * GRAIN_BYTES, 0);
                offset as u64
            }
        };
        let start = offset as usize * GRAIN_BYTES;
        self.bytes[start..start + length].copy_from_slice(&text[..length]);
        Text(((length as u64) << OFFSET_BITS) | offset)
    }

    /// Gives the block of `text` back. The reference and its copies are dead from here on.
    pub fn remove(&mut self, text: Text) {
        if text.0 & INLINE != 0 {
            return;
        }
        let (class, _) = class_of((text.0 >> OFFSET_BITS) as usize);
        if self.free.len() <= class {
            self.free.resize_with(class + 1, Vec::new);
        }
        self.free[class].push(text.0 & ((1 << OFFSET_BITS) - 1));
    }

    /// Calls `read` with the bytes of `text`.
    pub fn with<R>(&self, text: Text, read: impl FnOnce(&[u8]) -> R) -> R {
        if text.0 & INLINE == 0 {
            let start = (text.0 & ((1 << OFFSET_BITS) - 1)) as usize * GRAIN_BYTES;
            read(&self.bytes[start..start + (text.0 >> OFFSET_BITS) as usize])
        } else {
            read(&text.0.to_le_bytes()[..(text.0 >> 56) as usize & 0x7f])
        }
    }

    /// Whether `text` holds exactly `bytes`.
    pub fn equals(&self, text: Text, bytes: &[u8]) -> bool {
        self.with(text, |own| own == bytes)
    }

    /// Bytes held, free blocks included.
    pub fn size_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_texts_of_every_length_and_reuses_freed_blocks() {
        let mut heap = TextHeap::default();
        let texts: Vec<Vec<u8>> = (0..2_000).map(|length| vec![b'a' + (length % 26) as u8; length]).collect();
        let kept: Vec<Text> = texts.iter().map(|text| heap.insert(text)).collect();
        for (text, reference) in texts.iter().zip(&kept) {
            assert!(heap.equals(*reference, text), "{} bytes", text.len());
        }
        let before = heap.bytes.len();
        for reference in kept {
            heap.remove(reference);
        }
        for text in &texts {
            heap.insert(text);
        }
        assert_eq!(heap.bytes.len(), before);
    }

    #[test]
    fn bits_round_trip() {
        let mut heap = TextHeap::default();
        for text in ["", "seven77", "eight888", "a rather longer text"] {
            let reference = heap.insert(text.as_bytes());
            assert!(heap.equals(Text::from_bits(reference.to_bits()), text.as_bytes()));
        }
        assert!(heap.equals(Text::EMPTY, b""));
    }
}
