//! One pass over the bytes of a segment: where its lines are, and when they happened.
//!
//! ```text
//!  file      |·····segment·····|·····segment·····|·····segment·····|
//!  lines     aaaaaaa bbbbbbbbbbbb ccccc ddddddddddddddddddddddddddd e
//!  owned by   a, b               c, d              none               e
//! ```
//! A line belongs to the segment in which it starts, so segments of fixed size can be scanned in any order by any thread
//! and give the same result. Bytes pass through one small buffer per thread that stays in the processor's cache; it grows
//! only for a line that is longer, and never beyond the limit for lines.

use crate::error::FilesError;
use crate::files::ByteSource;
use crate::files::cut::{EpochRule, TimeHistogram};
use crate::files::lines::{LineDecoder, LineEncoder, is_blank, without_carriage_return};

/// How much is read at once: large enough to make the system call cheap, small enough for the second-level cache.
const BLOCK_BYTES: u64 = 256 << 10;
/// How much is read at once behind the segment's end, where only its last line is wanted.
const LOOKAHEAD_BYTES: u64 = 8 << 10;

/// What is known of a segment after its scan.
#[derive(Debug)]
pub(super) struct Segment {
    pub file: u32,
    /// Of the first line that starts here.
    pub offset: u64,
    /// Lines that start here, blank ones too.
    pub physical_lines: u64,
    /// Lines that start here and are not blank.
    pub records: u64,
    /// The readable times among them, if there are any.
    pub times: Option<Times>,
    encoded: Box<[u8]>,
}

/// Four of a run of readable times, each in ms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// First in file order.
    pub first: i64,
    /// Last in file order.
    pub last: i64,
    pub least: i64,
    pub greatest: i64,
}

impl Times {
    fn of(time: i64) -> Self {
        Self { first: time, last: time, least: time, greatest: time }
    }

    fn and(self, time: i64) -> Self {
        Self { first: self.first, last: time, least: self.least.min(time), greatest: self.greatest.max(time) }
    }
}

impl Segment {
    /// Its non-blank lines; `line_number` is that of the first line that starts here.
    pub(super) fn lines(&self, line_number: u64) -> LineDecoder<'_> {
        LineDecoder::new(&self.encoded, self.offset, line_number)
    }
}

/// One thread's working memory for scanning.
pub(super) struct Scanner<'a, TimeOfLine> {
    pub histogram: TimeHistogram,
    time_of_line: &'a TimeOfLine,
    line_bytes_max: u64,
    buffer: Vec<u8>,
    encoder: LineEncoder,
}

impl<'a, TimeOfLine: Fn(&[u8]) -> Option<i64>> Scanner<'a, TimeOfLine> {
    pub(super) fn new(rule: EpochRule, line_bytes_max: u64, time_of_line: &'a TimeOfLine) -> Self {
        Self {
            histogram: TimeHistogram::new(rule),
            time_of_line,
            line_bytes_max,
            buffer: Vec::new(),
            encoder: LineEncoder::default(),
        }
    }

    /// Scans the lines that start in bytes `start..end` of `source`.
    pub(super) fn scan(&mut self, source: &ByteSource, file: u32, start: u64, end: u64) -> Result<Segment, FilesError> {
        // Taken out, so that lines can be borrowed from it while the rest of `self` changes.
        let mut buffer = std::mem::take(&mut self.buffer);
        // The byte before the start tells whether a line starts there.
        let mut offset = if start == 0 { 0 } else { line_end(source, &mut buffer, start - 1, end)?.offset };
        let mut segment = Segment { file, offset, physical_lines: 0, records: 0, times: None, encoded: Box::default() };
        // `buffer[..kept]` is the beginning of the line at `offset`, whose end was not yet seen.
        let mut kept = 0;
        while offset < end {
            let position = offset + kept as u64;
            if position == source.len() {
                self.line(&mut segment, &buffer[..kept], kept as u64);
                break;
            }
            // One byte of grace, which may be a carriage return.
            if kept as u64 > self.line_bytes_max + 1 {
                let blank = is_blank(&buffer[..kept]);
                let rest = line_end(source, &mut buffer, position, source.len())?;
                self.line_above_limit(&mut segment, rest.offset - offset, blank && rest.blank);
                (offset, kept) = (rest.offset, 0);
                continue;
            }
            let block = if position < end { BLOCK_BYTES.min(end - position) } else { LOOKAHEAD_BYTES.max(kept as u64) };
            let filled = kept + block.min(source.len() - position) as usize;
            if buffer.len() < filled {
                buffer.resize(filled, 0);
            }
            source.read_exact_at(&mut buffer[kept..filled], position)?;

            let mut line_from = 0;
            for newline in memchr::memchr_iter(b'\n', &buffer[kept..filled]) {
                if offset >= end {
                    break;
                }
                let line_to = kept + newline;
                let length = (line_to + 1 - line_from) as u64;
                self.line(&mut segment, &buffer[line_from..line_to], length);
                line_from = line_to + 1;
                offset += length;
            }
            buffer.copy_within(line_from..filled, 0);
            kept = filled - line_from;
        }
        self.buffer = buffer;
        segment.encoded = self.encoder.finish();
        Ok(segment)
    }

    /// `length` counts the line's end too.
    #[inline]
    fn line(&mut self, segment: &mut Segment, line: &[u8], length: u64) {
        segment.physical_lines += 1;
        if is_blank(line) {
            self.encoder.blank(length);
            return;
        }
        segment.records += 1;
        let line = without_carriage_return(line);
        let time = if line.len() as u64 > self.line_bytes_max { None } else { (self.time_of_line)(line) };
        if let Some(time) = time {
            self.histogram.add(time);
            segment.times = Some(segment.times.map_or_else(|| Times::of(time), |times| times.and(time)));
        }
        self.encoder.line(length, time);
    }

    /// A line so long that it is not kept in memory: it counts, but its time is not looked for.
    fn line_above_limit(&mut self, segment: &mut Segment, length: u64, blank: bool) {
        segment.physical_lines += 1;
        if blank {
            self.encoder.blank(length);
        } else {
            segment.records += 1;
            self.encoder.line(length, None);
        }
    }
}

/// Where a line ends that was entered in its middle.
struct LineEnd {
    /// Behind its newline, or where the search ended.
    offset: u64,
    /// True if only white space was met.
    blank: bool,
}

/// Searches the next newline from `position`, at most up to `limit`, without keeping what it passes.
fn line_end(source: &ByteSource, buffer: &mut Vec<u8>, mut position: u64, limit: u64) -> Result<LineEnd, FilesError> {
    let mut block = LOOKAHEAD_BYTES;
    let mut blank = true;
    while position < limit {
        let wanted = block.min(limit - position) as usize;
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        source.read_exact_at(&mut buffer[..wanted], position)?;
        if let Some(newline) = memchr::memchr(b'\n', &buffer[..wanted]) {
            return Ok(LineEnd { offset: position + newline as u64 + 1, blank: blank && is_blank(&buffer[..newline]) });
        }
        blank = blank && is_blank(&buffer[..wanted]);
        position += wanted as u64;
        block = BLOCK_BYTES;
    }
    Ok(LineEnd { offset: limit, blank })
}
