//! Little-endian bytes for state that is written down: numbers of one to ten bytes, texts with their length.
//!
//! ```text
//!   varint  seven bits a byte, least first, the eighth says that more follow        zigzag  0, −1, 1, −2 … as 0, 1, 2, 3 …
//!   text    varint length, bytes
//! ```
//! Reading never panics and never allocates more than the bytes it was given: what does not fit is [`Malformed`].

/// Bytes that are not what a [`BinaryReader`] was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// Where, counted from the start of what is read.
    pub offset: usize,
}

/// Appends to bytes.
#[derive(Debug, Default)]
pub struct BinaryWriter {
    bytes: Vec<u8>,
}

impl BinaryWriter {
    /// The bytes written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// One byte.
    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Eight bytes.
    pub fn fixed(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A number, the shorter the smaller.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A signed number, the shorter the nearer to zero.
    pub fn zigzag(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// A text.
    pub fn text(&mut self, text: &[u8]) {
        self.varint(text.len() as u64);
        self.bytes.extend_from_slice(text);
    }
}

/// Reads what a [`BinaryWriter`] wrote.
#[derive(Clone, Debug)]
pub struct BinaryReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BinaryReader<'a> {
    /// Reads `bytes` from their start.
    pub fn new(bytes: &'a [u8]) -> Self {
        BinaryReader { bytes, at: 0 }
    }

    /// Whether everything was read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Says that what was read last makes no sense.
    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, offset: self.at }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(self.malformed("the bytes end too early")) };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// If nothing is left.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn fixed(&mut self) -> Result<u64, Malformed> {
        let mut value = [0; 8];
        value.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(value))
    }

    /// A number.
    ///
    /// # Errors
    /// If it ends too early or has more than 64 bits.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number has more than 64 bits"))
    }

    /// A signed number.
    ///
    /// # Errors
    /// As [`BinaryReader::varint`].
    pub fn zigzag(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A text.
    ///
    /// # Errors
    /// If it ends too early.
    pub fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| self.malformed("a text is too long"))?;
        self.take(length)
    }
}

/// Numbers of names within one part: each name is written once, at its first use, and then meant by its position among them.
///
/// On either side the numbers are those of whoever writes or reads.
#[derive(Debug, Default)]
pub struct PartNames {
    known: Vec<u32>,
}

impl PartNames {
    /// Forgets all names, at the start of a part.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Writes a number, with its name if it is new.
    pub fn write(&mut self, number: u32, name: &[u8], writer: &mut BinaryWriter) {
        // Few dealers share a shard and few sources a dealer, and the one used last is likely to come again.
        let position = self.known.iter().rposition(|own| *own == number);
        writer.varint(position.unwrap_or(self.known.len()) as u64);
        if position.is_none() {
            writer.text(name);
            self.known.push(number);
        }
    }

    /// Reads a number; `number` gives that of a name that is new here.
    ///
    /// # Errors
    /// If there is no such name.
    pub fn read(&mut self, reader: &mut BinaryReader<'_>, number: impl FnOnce(&[u8]) -> u32) -> Result<u32, Malformed> {
        let position = reader.varint()?;
        if position == self.known.len() as u64 {
            let name = reader.text()?;
            self.known.push(number(name));
        }
        let known = usize::try_from(position).ok().and_then(|position| self.known.get(position));
        known.copied().ok_or_else(|| reader.malformed("a name is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<Vec<u8>>()), 0..20)) {
            let mut writer = BinaryWriter::default();
            for (number, signed, text) in &values {
                writer.varint(*number);
                writer.zigzag(*signed);
                writer.text(text);
                writer.fixed(*number);
            }
            let mut reader = BinaryReader::new(writer.bytes());
            for (number, signed, text) in &values {
                prop_assert_eq!(reader.varint(), Ok(*number));
                prop_assert_eq!(reader.zigzag(), Ok(*signed));
                prop_assert_eq!(reader.text(), Ok(text.as_slice()));
                prop_assert_eq!(reader.fixed(), Ok(*number));
            }
            prop_assert!(reader.is_at_end());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let mut reader = BinaryReader::new(&bytes);
            while !reader.is_at_end() {
                if reader.text().is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        let mut bytes = vec![0xff; 9];
        bytes.push(2);
        assert!(BinaryReader::new(&bytes).varint().is_err());
        bytes[9] = 1;
        assert_eq!(BinaryReader::new(&bytes).varint(), Ok(u64::MAX));
    }
}
