//! Lines and their compact record in the index.
//!
//! ```text
//! non-blank line, time readable   varint(length << 2)      varint(zigzag(time − previous time))   about 4 bytes
//! non-blank line, no time         varint(length << 2 | 1)
//! run of blank lines              varint(length << 2 | 2)  varint(number of lines)
//! ```
//! `length` counts bytes with the line's end, so offsets follow by addition. Thirty million events take some 130 MB, and
//! they are freed as soon as the plan stands.

const KIND_TIMED: u64 = 0;
const KIND_UNTIMED: u64 = 1;
const KIND_BLANK: u64 = 2;
const KIND_BITS: u32 = 2;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;

/// True if the line holds nothing but white space; such lines are counted, and otherwise skipped.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// The line without the carriage return that Windows leaves before the newline.
pub(super) fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A non-blank line as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexedLine {
    /// Of its first byte, in the decompressed file.
    pub offset: u64,
    /// In bytes, with its end.
    pub length: u64,
    /// One-based, counting every physical line of the file.
    pub line_number: u64,
    /// In ms; `None` if it could not be read.
    pub time: Option<i64>,
}

/// Writes lines in compact form.
#[derive(Debug, Default)]
pub(super) struct LineEncoder {
    bytes: Vec<u8>,
    time_previous: i64,
    blank_bytes: u64,
    blank_lines: u64,
}

impl LineEncoder {
    pub(super) fn line(&mut self, length: u64, time: Option<i64>) {
        if self.blank_lines > 0 {
            self.varint(self.blank_bytes << KIND_BITS | KIND_BLANK);
            self.varint(self.blank_lines);
            (self.blank_bytes, self.blank_lines) = (0, 0);
        }
        match time {
            Some(time) => {
                self.varint(length << KIND_BITS | KIND_TIMED);
                let delta = time.wrapping_sub(self.time_previous);
                self.varint(((delta << 1) ^ (delta >> 63)) as u64);
                self.time_previous = time;
            }
            None => self.varint(length << KIND_BITS | KIND_UNTIMED),
        }
    }

    pub(super) fn blank(&mut self, length: u64) {
        self.blank_bytes += length;
        self.blank_lines += 1;
    }

    /// The lines so far, in a box of their exact size; starts anew. Blank lines at the end leave no trace here.
    pub(super) fn finish(&mut self) -> Box<[u8]> {
        let encoded = self.bytes.as_slice().into();
        self.bytes.clear();
        (self.time_previous, self.blank_bytes, self.blank_lines) = (0, 0, 0);
        encoded
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// Reads lines back from their compact form.
#[derive(Debug)]
pub(super) struct LineDecoder<'a> {
    bytes: std::slice::Iter<'a, u8>,
    offset: u64,
    line_number: u64,
    time_previous: i64,
}

impl<'a> LineDecoder<'a> {
    /// `offset` and `line_number` are those of the first physical line that was encoded.
    pub(super) fn new(encoded: &'a [u8], offset: u64, line_number: u64) -> Self {
        Self { bytes: encoded.iter(), offset, line_number, time_previous: 0 }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        let mut shift = 0;
        loop {
            let byte = *self.bytes.next()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
    }
}

impl Iterator for LineDecoder<'_> {
    type Item = IndexedLine;

    fn next(&mut self) -> Option<IndexedLine> {
        loop {
            let head = self.varint()?;
            let length = head >> KIND_BITS;
            let time = match head & KIND_MASK {
                KIND_BLANK => {
                    self.offset += length;
                    self.line_number += self.varint()?;
                    continue;
                }
                KIND_TIMED => {
                    let zigzag = self.varint()?;
                    let delta = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                    self.time_previous = self.time_previous.wrapping_add(delta);
                    Some(self.time_previous)
                }
                _ => None,
            };
            let line = IndexedLine { offset: self.offset, length, line_number: self.line_number, time };
            self.offset += length;
            self.line_number += 1;
            return Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_encoding() {
        let mut encoder = LineEncoder::default();
        encoder.blank(1);
        encoder.line(300, Some(1_700_000_000_000));
        encoder.line(5_000_000_000, Some(i64::MIN));
        encoder.blank(2);
        encoder.blank(40);
        encoder.line(1, None);
        encoder.line(7, Some(i64::MAX));
        encoder.blank(9);
        let bytes = encoder.finish();
        let lines: Vec<_> = LineDecoder::new(&bytes, 100, 11).collect();
        let line = |offset, length, line_number, time| IndexedLine { offset, length, line_number, time };
        assert_eq!(
            lines,
            [
                line(101, 300, 12, Some(1_700_000_000_000)),
                line(401, 5_000_000_000, 13, Some(i64::MIN)),
                line(5_000_000_443, 1, 16, None),
                line(5_000_000_444, 7, 17, Some(i64::MAX)),
            ]
        );
        assert!(encoder.finish().is_empty(), "a finished encoder starts anew");
    }

    #[test]
    fn a_usual_line_takes_four_bytes() {
        let mut encoder = LineEncoder::default();
        encoder.line(300, Some(0));
        encoder.finish();
        encoder.line(300, Some(2_600));
        assert_eq!(encoder.finish().len(), 4);
    }

    #[test]
    fn only_white_space_is_blank() {
        assert!(is_blank(b"") && is_blank(b" \t\r"));
        assert!(!is_blank(b"\0") && !is_blank(b" {"));
        assert_eq!(without_carriage_return(b"a\r\r"), b"a\r");
    }
}
