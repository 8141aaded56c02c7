//! The plan of a replay: which bytes of which file belong to which epoch, in chunks that one worker reads at once.
//!
//! ```text
//!  epochs   |      A      |  B | C|        D        |
//!  ranges   aaaaaaaaa a aa bbbb cc ddddddd ddd ddd d     in an epoch by topic, partition, offset
//!  chunks   |‾‾‾‾‾‾‾‾‾‾‾‾‾|‾‾‾‾‾‾‾|‾‾‾‾‾‾‾‾|‾‾‾‾‾‾‾‾|     small epochs share one, a large one has several
//! ```

use std::ops::Range;

use crate::files::ByteSource;
use crate::files::lines::IndexedLine;

/// An epoch that holds lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochInfo {
    /// Its inclusive upper bound, in ms: it holds the lines after the previous label and up to this one.
    pub label: i64,
    /// How many lines it holds.
    pub records: u64,
}

/// Consecutive lines of one file that belong to one epoch. Blank lines may lie between them, not at the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRange {
    /// Index of the file among the sources that were indexed.
    pub file: u32,
    /// How many lines that are not blank.
    pub lines: u32,
    /// The epoch's label, in ms.
    pub epoch: i64,
    /// Of the first byte, in the decompressed file.
    pub offset: u64,
    /// In bytes, with the last line's end.
    pub length: u64,
    /// One-based number of the first line, counting every physical line of the file.
    pub first_line: u64,
}

/// What one worker reads at once: all or part of an epoch, or several small epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Label of its first epoch, in ms.
    pub epoch_first: i64,
    /// Label of its last epoch, in ms.
    pub epoch_last: i64,
    /// Its part of [`Plan::ranges`].
    pub ranges: Range<usize>,
    /// Bytes in its ranges.
    pub bytes: u64,
    /// Lines that are not blank.
    pub records: u64,
}

/// Consecutive lines of a file that have no readable time: they count as being of the time before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UntimedRun {
    /// Index of the file among the sources.
    pub file: u32,
    /// One-based number of the first such line.
    pub first_line: u64,
    /// The time they count as, in ms.
    pub time: i64,
}

/// Where every line of the input belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every epoch that holds lines, ascending.
    pub epochs: Vec<EpochInfo>,
    /// In epoch order.
    pub chunks: Vec<Chunk>,
    /// By epoch, and within it by topic, partition and offset.
    pub ranges: Vec<LineRange>,
    /// Where lines have no readable time, by file and line.
    pub untimed: Vec<UntimedRun>,
    /// Physical lines of every file, blank ones too.
    pub lines_per_file: Vec<u64>,
    /// Lines that are not blank.
    pub records: u64,
    /// Bytes in all chunks.
    pub bytes: u64,
    /// The least readable time, in ms.
    pub time_first: Option<i64>,
    /// The greatest readable time, in ms.
    pub time_last: Option<i64>,
    /// Lines above this are listed cut (see [`crate::files::Line::bytes_cut`]).
    pub line_bytes_max: u64,
}

impl Plan {
    /// Adds a chunk without lines, at epoch 0, if there is none.
    pub fn ensure_chunk(&mut self) {
        if self.chunks.is_empty() {
            self.epochs.push(EpochInfo { label: 0, records: 0 });
            self.chunks.push(Chunk { epoch_first: 0, epoch_last: 0, ranges: 0..0, bytes: 0, records: 0 });
        }
    }

    /// The time in ms that a line without a readable one counts as: that of the line before it.
    pub fn time_before(&self, file: u32, line_number: u64) -> i64 {
        let at = self.untimed.partition_point(|run| (run.file, run.first_line) <= (file, line_number));
        at.checked_sub(1).map_or(0, |run| self.untimed[run].time)
    }
}

impl LineRange {
    /// True if the range is one line above the limit.
    pub(super) fn is_above_limit(&self, line_bytes_max: u64) -> bool {
        const LINE_END_BYTES: u64 = 2;
        self.lines == 1 && self.length > line_bytes_max + LINE_END_BYTES
    }
}

/// Joins the lines of one file, in order, into ranges of at most `bytes_max` (unless one line is longer).
#[derive(Debug)]
pub(super) struct RangeJoiner {
    bytes_max: u64,
    ranges: Vec<LineRange>,
}

impl RangeJoiner {
    pub(super) fn new(bytes_max: u64, capacity: usize) -> Self {
        Self { bytes_max, ranges: Vec::with_capacity(capacity) }
    }

    #[inline]
    pub(super) fn line(&mut self, file: u32, epoch: i64, line: &IndexedLine) {
        self.range(LineRange {
            file,
            lines: 1,
            epoch,
            offset: line.offset,
            length: line.length,
            first_line: line.line_number,
        });
    }

    /// Adds a range that follows all others, joined to the last one if that is of the same file and epoch.
    #[inline]
    pub(super) fn range(&mut self, range: LineRange) {
        if let Some(last) = self.ranges.last_mut()
            && last.file == range.file
            && last.epoch == range.epoch
            && range.offset + range.length - last.offset <= self.bytes_max
        {
            last.length = range.offset + range.length - last.offset;
            // A joined range holds no more lines than bytes, and far fewer bytes than 2^32.
            last.lines += range.lines;
        } else {
            self.ranges.push(range);
        }
    }

    pub(super) fn finish(mut self) -> Vec<LineRange> {
        self.ranges.shrink_to_fit();
        self.ranges
    }
}

/// Orders ranges by epoch, topic, partition and offset.
pub(super) fn order(ranges: &mut [LineRange], sources: &[ByteSource]) {
    let mut files: Vec<usize> = (0..sources.len()).collect();
    files.sort_by_key(|file| (sources[*file].file().topic, sources[*file].file().partition));
    let mut rank_of_file = vec![0; files.len()];
    for (rank, file) in files.into_iter().enumerate() {
        rank_of_file[file] = rank;
    }
    ranges.sort_by_key(|range| (range.epoch, rank_of_file[range.file as usize], range.offset));
}

/// Deals ordered ranges into chunks of about `chunk_bytes`.
pub(super) fn pack(ranges: &[LineRange], chunk_bytes: u64) -> (Vec<EpochInfo>, Vec<Chunk>) {
    let mut epochs = Vec::new();
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut open: Option<Chunk> = None;
    let mut start = 0;
    for epoch_ranges in ranges.chunk_by(|range, next| range.epoch == next.epoch) {
        let label = epoch_ranges[0].epoch;
        let bytes: u64 = epoch_ranges.iter().map(|range| range.length).sum();
        epochs.push(EpochInfo { label, records: epoch_ranges.iter().map(|range| u64::from(range.lines)).sum() });

        // An epoch that does not fit into the open chunk begins a new one, and one that fits into none is dealt evenly.
        if open.as_ref().is_some_and(|chunk| chunk.bytes + bytes > chunk_bytes) {
            chunks.extend(open.take());
        }
        let share = bytes.div_ceil(bytes.div_ceil(chunk_bytes).max(1));
        for (index, range) in epoch_ranges.iter().enumerate() {
            let at = start + index;
            let chunk = open.get_or_insert(Chunk {
                epoch_first: label,
                epoch_last: label,
                ranges: at..at,
                bytes: 0,
                records: 0,
            });
            chunk.epoch_last = label;
            chunk.ranges.end = at + 1;
            chunk.bytes += range.length;
            chunk.records += u64::from(range.lines);
            if chunk.epoch_first == label && chunk.bytes >= share && bytes > chunk_bytes {
                chunks.extend(open.take());
            }
        }
        start += epoch_ranges.len();
    }
    chunks.extend(open);
    (epochs, chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(lengths: &[(i64, u64)]) -> Vec<LineRange> {
        lengths
            .iter()
            .map(|&(epoch, length)| LineRange { file: 0, lines: 1, epoch, offset: 0, length, first_line: 1 })
            .collect()
    }

    fn shapes(chunks: &[Chunk]) -> Vec<(i64, i64, u64)> {
        chunks.iter().map(|chunk| (chunk.epoch_first, chunk.epoch_last, chunk.bytes)).collect()
    }

    #[test]
    fn small_epochs_share_a_chunk() {
        let (epochs, chunks) = pack(&ranges(&[(1, 40), (2, 40), (2, 20), (3, 1), (4, 100)]), 100);
        assert_eq!(epochs.iter().map(|epoch| epoch.records).collect::<Vec<_>>(), [1, 2, 1, 1]);
        assert_eq!(shapes(&chunks), [(1, 2, 100), (3, 3, 1), (4, 4, 100)]);
    }

    #[test]
    fn a_large_epoch_is_dealt_evenly_over_several_chunks() {
        let (_, chunks) = pack(&ranges(&[(1, 50), (1, 50), (1, 50), (1, 50), (1, 50), (1, 50), (2, 7)]), 140);
        assert_eq!(shapes(&chunks), [(1, 1, 100), (1, 1, 100), (1, 1, 100), (2, 2, 7)]);
        assert_eq!(chunks.iter().map(|chunk| chunk.ranges.len()).sum::<usize>(), 7);
    }

    #[test]
    fn lines_join_up_to_a_limit_and_over_blank_lines() {
        let mut joiner = RangeJoiner::new(30, 0);
        for (line_number, offset, epoch) in [(1, 0, 1), (3, 12, 1), (4, 22, 1), (5, 32, 2), (6, 42, 1)] {
            joiner.line(0, epoch, &IndexedLine { offset, length: 10, line_number, time: None });
        }
        let shapes: Vec<_> =
            joiner.finish().iter().map(|range| (range.offset, range.length, range.first_line, range.lines)).collect();
        assert_eq!(shapes, [(0, 22, 1, 2), (22, 10, 4, 1), (32, 10, 5, 1), (42, 10, 6, 1)]);
    }
}
