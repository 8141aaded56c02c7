//! Reading the lines of one chunk.
//!
//! ```text
//!  plan order    r0(file 0) r1(file 1) r2(file 0)       the order in which lines are listed
//!  reads         ├──────r0──gap──r2──────┤ ├──r1──┤     one positioned read per run of neighbouring ranges
//! ```
//! A gap between two ranges of a file is mostly a straggler of a few hundred bytes that belongs elsewhere: reading over it
//! costs less than a second system call.

use std::sync::Arc;

use crate::error::FilesError;
use crate::files::lines::{is_blank, without_carriage_return};
use crate::files::{ByteSource, LineRange, Plan};

/// Gaps up to this are read over.
const GAP_BYTES_MAX: u64 = 4 << 10;

/// One non-blank line of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Index of the file among the sources.
    pub file: u32,
    /// Where its bytes begin in the buffer.
    pub start: u32,
    /// Where its bytes end in the buffer; the line's end (`\n` or `\r\n`) is not among them.
    pub end: u32,
    /// Label of its epoch, in ms.
    pub epoch: i64,
    /// One-based, counting every physical line of the file.
    pub line_number: u64,
    /// Bytes of the line missing behind `end`, without its line's end: above 0 only for a line above
    /// `line_bytes_max`, of which `line_bytes_max + 1` bytes are listed so that it is seen to be too long.
    pub bytes_cut: u64,
}

/// Reads chunks; several workers may use one at once.
#[derive(Clone, Debug)]
pub struct ChunkReader {
    sources: Arc<[ByteSource]>,
}

impl ChunkReader {
    /// For the sources that were indexed, in the same order.
    pub fn new(sources: Arc<[ByteSource]>) -> Self {
        Self { sources }
    }

    /// The sources.
    pub fn sources(&self) -> &[ByteSource] {
        &self.sources
    }

    /// Replaces `lines` by the lines of chunk `chunk` of `plan`, in plan order, and `buffer` by their bytes. Both keep
    /// their capacity, so reuse them. A number outside the plan gives no lines.
    ///
    /// # Errors
    /// If a file cannot be read, or was found to have changed since it was indexed: a file that lost bytes always is, one
    /// that was rewritten is unless its lines still end in the same places.
    pub fn read(
        &self,
        plan: &Plan,
        chunk: usize,
        buffer: &mut Vec<u8>,
        lines: &mut Vec<Line>,
    ) -> Result<(), FilesError> {
        buffer.clear();
        lines.clear();
        let Some(chunk) = plan.chunks.get(chunk) else { return Ok(()) };
        let ranges = &plan.ranges[chunk.ranges.clone()];
        let spans = Span::over(ranges, chunk.bytes, plan.line_bytes_max);
        let bytes: u64 = spans.reads.iter().map(|read| read.length).sum();
        buffer.resize(bytes as usize, 0);
        let mut rest = buffer.as_mut_slice();
        for read in &spans.reads {
            let (target, behind) = rest.split_at_mut(read.length as usize);
            self.sources[read.file as usize].read_exact_at(target, read.offset)?;
            rest = behind;
        }
        lines.reserve(chunk.records as usize);
        for (range, start) in ranges.iter().zip(&spans.starts) {
            self.list_lines(range, *start as usize, plan.line_bytes_max, buffer, lines)?;
        }
        Ok(())
    }

    /// Lists the lines of `range`, whose bytes begin at `start` in `buffer`.
    fn list_lines(
        &self,
        range: &LineRange,
        start: usize,
        line_bytes_max: u64,
        buffer: &[u8],
        lines: &mut Vec<Line>,
    ) -> Result<(), FilesError> {
        let listed = |from: usize, to: usize, line_number: u64, bytes_cut: u64| Line {
            file: range.file,
            start: from as u32,
            end: to as u32,
            epoch: range.epoch,
            line_number,
            bytes_cut,
        };
        let wanted = bytes_wanted(range, line_bytes_max);
        if wanted < range.length {
            // Listed whatever its first bytes are: they must stay more than the limit.
            let mut tail = [0; 2];
            let source = &self.sources[range.file as usize];
            source.read_exact_at(&mut tail, range.offset + range.length - 2)?;
            let line_end = match tail {
                [b'\r', b'\n'] => 2,
                [_, b'\n'] => 1,
                _ => 0,
            };
            lines.push(listed(start, start + wanted as usize, range.first_line, range.length - wanted - line_end));
            return Ok(());
        }
        let listed_before = lines.len();
        let end = start + wanted as usize;
        let mut from = start;
        let newlines = memchr::memchr_iter(b'\n', &buffer[start..end]).map(|newline| start + newline);
        // The last line of a file may lack its newline.
        for (line_number, to) in (range.first_line..).zip(newlines.chain([end])) {
            let line = &buffer[from..to];
            if !is_blank(line) {
                lines.push(listed(from, from + without_carriage_return(line).len(), line_number, 0));
            }
            from = to + 1;
        }
        let source = &self.sources[range.file as usize];
        let ends_as_indexed = buffer[start..end].last() == Some(&b'\n') || range.offset + range.length == source.len();
        if ends_as_indexed && lines.len() - listed_before == range.lines as usize {
            Ok(())
        } else {
            Err(FilesError::Changed { path: source.file().path.clone(), offset: range.offset })
        }
    }
}

/// How many bytes of a range are read: all, but for a line above the limit.
fn bytes_wanted(range: &LineRange, line_bytes_max: u64) -> u64 {
    if range.is_above_limit(line_bytes_max) { line_bytes_max + 1 } else { range.length }
}

/// A stretch of a file that is read at once.
#[derive(Debug)]
struct Span {
    file: u32,
    offset: u64,
    length: u64,
}

/// The reads of a chunk, in the order in which they fill the buffer.
#[derive(Debug)]
struct Spans {
    reads: Vec<Span>,
    /// Where each range's bytes begin in the buffer.
    starts: Vec<u64>,
}

impl Span {
    /// Gaps together take no more than the chunk itself, so that offsets in the buffer stay within their 32 bits.
    fn over(ranges: &[LineRange], chunk_bytes: u64, line_bytes_max: u64) -> Spans {
        let mut by_place: Vec<usize> = (0..ranges.len()).collect();
        by_place.sort_unstable_by_key(|index| (ranges[*index].file, ranges[*index].offset));
        let mut reads: Vec<Self> = Vec::new();
        let mut starts = vec![0; ranges.len()];
        let mut buffered = 0;
        let mut gap_bytes_left = chunk_bytes;
        for index in by_place {
            let range = &ranges[index];
            let wanted = bytes_wanted(range, line_bytes_max);
            let joined = reads.last_mut().and_then(|read| {
                let gap = range.offset.checked_sub(read.offset + read.length)?;
                (read.file == range.file && gap <= GAP_BYTES_MAX.min(gap_bytes_left)).then_some((read, gap))
            });
            if let Some((read, gap)) = joined {
                read.length += gap + wanted;
                gap_bytes_left -= gap;
                buffered += gap;
            } else {
                reads.push(Self { file: range.file, offset: range.offset, length: wanted });
            }
            starts[index] = buffered;
            buffered += wanted;
        }
        Spans { reads, starts }
    }
}
