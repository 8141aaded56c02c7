//! Texts in sixteen bytes: up to fifteen in place, longer ones in one arena that only grows.
//!
//! ```text
//!   words   in place: bytes 0–7 │ bytes 8–14, length        in the arena: start │ length (32 bits), 0xff
//! ```
//! Short texts are put together in registers: a copy of bytes that is read back as words waits for the store, which was a tenth
//! of the merge.

const INLINE_BYTES_MAX: usize = 15;
const TOP_SHIFT: u32 = 56;
const IN_ARENA: u64 = 0xff << TOP_SHIFT;

/// A text, valid for the [`Texts`] that kept it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text {
    words: [u64; 2],
}

/// Owns the long texts. What is overwritten stays: a loop ends before that matters.
#[derive(Debug, Default)]
pub(super) struct Texts {
    arena: Vec<u8>,
}

/// The words of a text that fits in place.
#[inline]
fn pack(text: &[u8]) -> Option<Text> {
    let length = text.len();
    let top = (length as u64) << TOP_SHIFT;
    let words = if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        if length > INLINE_BYTES_MAX {
            return None;
        }
        let rest = u64::from_le_bytes(*last).checked_shr(8 * (16 - length as u32)).unwrap_or(0);
        [u64::from_le_bytes(*first), rest | top]
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        [u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (length - 4)), top]
    } else {
        [text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), top]
    };
    Some(Text { words })
}

impl Texts {
    /// Keeps a text.
    #[inline]
    pub(super) fn keep(&mut self, text: &[u8]) -> Text {
        pack(text).unwrap_or_else(|| {
            let start = self.arena.len() as u64;
            self.arena.extend_from_slice(text);
            Text { words: [start, text.len() as u64 | IN_ARENA] }
        })
    }

    fn in_arena(&self, text: Text) -> Option<&[u8]> {
        let start = text.words[0] as usize;
        (text.words[1] & IN_ARENA == IN_ARENA).then(|| &self.arena[start..start + text.words[1] as u32 as usize])
    }

    /// Whether `text` holds exactly `bytes`.
    #[inline]
    pub(super) fn equals(&self, text: Text, bytes: &[u8]) -> bool {
        match pack(bytes) {
            Some(packed) => packed.words == text.words,
            None => self.in_arena(text) == Some(bytes),
        }
    }

    /// The bytes of a text.
    pub(super) fn bytes(&self, text: Text) -> Vec<u8> {
        self.in_arena(text).map_or_else(
            || text.words.map(u64::to_le_bytes).as_flattened()[..(text.words[1] >> TOP_SHIFT) as usize].to_vec(),
            <[u8]>::to_vec,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_texts_of_every_length() {
        let mut texts = Texts::default();
        let all: Vec<Vec<u8>> =
            (0..300).map(|length| (0..length).map(|at| (at * 7 + length) as u8).collect()).collect();
        let kept: Vec<Text> = all.iter().map(|text| texts.keep(text)).collect();
        for (text, kept) in all.iter().zip(&kept) {
            assert_eq!(texts.bytes(*kept), *text);
            for other in &all {
                assert_eq!(texts.equals(*kept, other), text == other, "{text:?} {other:?}");
            }
        }
    }
}
