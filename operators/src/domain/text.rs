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

/// Grains of one page: a page is never moved, so a growing heap copies nothing.
const PAGE_GRAINS_BITS: u32 = 15;
const PAGE_BYTES: usize = GRAIN_BYTES << PAGE_GRAINS_BITS;

/// Owns the bytes of texts longer than seven bytes.
#[derive(Debug, Default)]
pub struct TextHeap {
    /// Pages of [`PAGE_BYTES`]; a text that is larger has one of its own size.
    pages: Vec<Vec<u8>>,
    /// Bytes used of the page that is being filled.
    used: usize,
    /// That page.
    filling: usize,
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

/// Page and byte of an offset in grains.
fn place_of(offset: u64) -> (usize, usize) {
    ((offset >> PAGE_GRAINS_BITS) as usize, (offset as usize & ((1 << PAGE_GRAINS_BITS) - 1)) * GRAIN_BYTES)
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
            None => self.extend(grains * GRAIN_BYTES),
        };
        let (page, start) = place_of(offset);
        self.pages[page][start..start + length].copy_from_slice(&text[..length]);
        Text(((length as u64) << OFFSET_BITS) | offset)
    }

    /// A new block at the end, as its offset in grains.
    fn extend(&mut self, bytes: usize) -> u64 {
        if bytes > PAGE_BYTES {
            self.pages.push(vec![0; bytes]);
            return ((self.pages.len() - 1) as u64) << PAGE_GRAINS_BITS;
        }
        if self.pages.is_empty() || self.used + bytes > PAGE_BYTES {
            self.pages.push(vec![0; PAGE_BYTES]);
            self.filling = self.pages.len() - 1;
            self.used = 0;
        }
        let offset = ((self.filling as u64) << PAGE_GRAINS_BITS) + (self.used / GRAIN_BYTES) as u64;
        self.used += bytes;
        offset
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
            let (page, start) = place_of(text.0 & ((1 << OFFSET_BITS) - 1));
            read(&self.pages[page][start..start + (text.0 >> OFFSET_BITS) as usize])
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
        self.pages.iter().map(Vec::capacity).sum()
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
        let before = heap.size_bytes();
        for reference in kept {
            heap.remove(reference);
        }
        for text in &texts {
            heap.insert(text);
        }
        assert_eq!(heap.size_bytes(), before);
        let large = vec![b'x'; 3 << 20];
        let kept = heap.insert(&large);
        let small = heap.insert(b"after the large one");
        assert!(heap.equals(kept, &large) && heap.equals(small, b"after the large one"));
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
