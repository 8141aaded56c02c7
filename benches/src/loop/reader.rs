//! Big reads of one file, cut at line ends.
//!
//! ```text
//!   file ─▶ [ carried tail | fresh bytes ......... \n | tail ]  ─▶ whole lines, the tail moves to the front
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes asked for at once: the events of one chunk stay in the second-level cache from parsing to merging.
const CHUNK_BYTES: usize = 128 << 10;

/// Reads a file in chunks of whole lines into a buffer that the caller owns.
pub(super) struct ChunkReader {
    file: File,
    /// Where the bytes behind the last whole line begin, and where they end.
    tail: (usize, usize),
    ended: bool,
}

impl ChunkReader {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(ChunkReader { file: File::open(path)?, tail: (0, 0), ended: false })
    }

    /// Puts the next whole lines into `buffer`, which has to be the one of the last call. Gives their length in bytes, 0 at the end.
    pub(super) fn next_chunk(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        if buffer.len() < CHUNK_BYTES {
            buffer.resize(CHUNK_BYTES, 0);
        }
        buffer.copy_within(self.tail.0..self.tail.1, 0);
        let mut filled = self.tail.1 - self.tail.0;
        loop {
            if filled == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            let fresh = filled;
            while !self.ended && filled < buffer.len() {
                match self.file.read(&mut buffer[filled..]) {
                    Ok(0) => self.ended = true,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if self.ended {
                self.tail = (filled, filled);
                return Ok(filled);
            }
            if let Some(at) = memchr::memrchr(b'\n', &buffer[fresh..filled]) {
                self.tail = (fresh + at + 1, filled);
                return Ok(self.tail.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_lines_and_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leads.jsonl");
        let mut text = Vec::new();
        for number in 0..3_000 {
            text.extend_from_slice(format!("{number:0width$}\n", width = number % 200 + 1).as_bytes());
        }
        text.extend(vec![b'x'; 3 * CHUNK_BYTES]);
        text.extend_from_slice(b"\nlast");
        std::fs::write(&path, &text).unwrap();
        let (mut reader, mut buffer, mut read) = (ChunkReader::open(&path).unwrap(), Vec::new(), Vec::new());
        loop {
            let length = reader.next_chunk(&mut buffer).unwrap();
            if length == 0 {
                break;
            }
            read.extend_from_slice(&buffer[..length]);
            assert!(buffer[length - 1] == b'\n' || read.len() == text.len());
        }
        assert!(read == text);
    }
}
