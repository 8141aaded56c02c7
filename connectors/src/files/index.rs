//! The index pass: one look at all bytes, after which every line's epoch is known.
//!
//! ```text
//!  files ─► segments of 4 MiB ─► scan (parallel) ─► compact lines + histogram of times
//!                                                       │ cut (parallel)
//!                                                       ▼
//!  plan ◄─ chunks ◄─ ranges, ordered ◄─ join (parallel) ◄─ labels of epochs
//! ```
//! A line whose time cannot be read takes the time of the line before it in its file; at the head of a file, that of the
//! file's first readable line; in a file without any, the greatest time of the whole input, or 0 if that has none.

use std::convert::Infallible;

use crate::error::FilesError;
use crate::files::ByteSource;
use crate::files::cut::{EpochFinder, EpochRule, cut_epochs};
use crate::files::parallel::in_parallel;
use crate::files::plan::{LineRange, Plan, RangeJoiner, UntimedRun, order, pack};
use crate::files::scan::{Scanner, Segment};

/// Large enough that the seam between two segments costs nothing, small enough that threads finish together.
const SEGMENT_BYTES: u64 = 4 << 20;
/// A chunk is made of whole ranges, so none may be larger than this part of it (unless one line is).
const RANGES_PER_CHUNK_MIN: u64 = 4;
/// Offsets within a chunk are 32 bits wide.
const CHUNK_BYTES_LIMIT: u64 = 256 << 20;
const LINE_BYTES_LIMIT: u64 = 1 << 30;

/// How to index.
#[derive(Clone, Copy, Debug)]
pub struct IndexOptions {
    /// Threads to use; 0 counts as 1. The plan does not depend on it.
    pub threads: usize,
    /// Events per epoch when epochs are cut by count; 0 counts as 1.
    pub target_epoch_records: u64,
    /// If given, epochs end at multiples of this many ms instead; less than 1 counts as 1.
    pub epoch_width_ms: Option<i64>,
    /// How much one worker reads at once, about, in bytes; between 1 byte and 256 MiB.
    pub chunk_bytes: u64,
    /// Lines above this keep their place, but their time is not looked for and their end is not read; at most 1 GiB.
    pub line_bytes_max: u64,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            target_epoch_records: 3_000,
            epoch_width_ms: None,
            chunk_bytes: 512 << 10,
            line_bytes_max: 16 << 20,
        }
    }
}

/// The index pass (see the module's documentation).
#[derive(Debug)]
pub struct Index;

impl Index {
    /// Plans the replay of `sources`. `time_of_line` gives the event time of a line in ms since 1970 (UTC), or `None` if
    /// it cannot be read; it must depend on nothing but the line's bytes, which come without the line's end.
    ///
    /// The same lines in the same files give the same plan; the same lines in other files give the same epochs. Memory
    /// peaks at about 5 bytes per line.
    ///
    /// # Errors
    /// If a file cannot be read, or is shorter than when it was opened.
    pub fn build<TimeOfLine>(
        sources: &[ByteSource],
        options: IndexOptions,
        time_of_line: TimeOfLine,
    ) -> Result<Plan, FilesError>
    where
        TimeOfLine: Fn(&[u8]) -> Option<i64> + Sync,
    {
        build_with_segments(sources, options, &time_of_line, SEGMENT_BYTES)
    }
}

/// As [`Index::build`], with segments of another size.
pub(super) fn build_with_segments<TimeOfLine>(
    sources: &[ByteSource],
    options: IndexOptions,
    time_of_line: &TimeOfLine,
    segment_bytes: u64,
) -> Result<Plan, FilesError>
where
    TimeOfLine: Fn(&[u8]) -> Option<i64> + Sync,
{
    let threads = options.threads.max(1);
    let chunk_bytes = options.chunk_bytes.clamp(1, CHUNK_BYTES_LIMIT);
    let line_bytes_max = options.line_bytes_max.min(LINE_BYTES_LIMIT);
    let rule = match options.epoch_width_ms {
        Some(width_ms) => EpochRule::WidthMs(width_ms.max(1)),
        None => EpochRule::Count(options.target_epoch_records.max(1)),
    };

    let spans: Vec<(u32, u64)> = (0..)
        .zip(sources)
        .flat_map(|(file, source)| (0..source.len()).step_by(segment_bytes as usize).map(move |start| (file, start)))
        .collect();
    let scan = |scanner: &mut Scanner<'_, TimeOfLine>, item: usize| {
        let (file, start) = spans[item];
        let source = &sources[file as usize];
        scanner.scan(source, file, start, source.len().min(start + segment_bytes))
    };
    let (segments, scanners) =
        in_parallel(threads, spans.len(), || Scanner::new(rule, line_bytes_max, time_of_line), scan)?;
    let histograms = scanners.into_iter().map(|scanner| scanner.histogram).collect();

    let time_first = segments.iter().filter_map(|segment| Some(segment.times?.least)).min();
    let time_last = segments.iter().filter_map(|segment| Some(segment.times?.greatest)).max();
    let mut labels = cut_epochs(rule, histograms, &segments, threads);
    if labels.is_empty() {
        labels.push(0);
    }

    let heads = SegmentHead::resolve(&segments, time_last.unwrap_or(0));
    let mut lines_per_file = vec![0; sources.len()];
    for segment in &segments {
        lines_per_file[segment.file as usize] += segment.physical_lines;
    }
    let (mut ranges, untimed) =
        ranges_of(&segments, &heads, &labels, (chunk_bytes / RANGES_PER_CHUNK_MIN).max(1), threads);
    drop(segments);
    order(&mut ranges, sources);
    let (epochs, chunks) = pack(&ranges, chunk_bytes);
    Ok(Plan {
        records: epochs.iter().map(|epoch| epoch.records).sum(),
        bytes: chunks.iter().map(|chunk| chunk.bytes).sum(),
        epochs,
        chunks,
        ranges,
        untimed,
        lines_per_file,
        time_first,
        time_last,
        line_bytes_max,
    })
}

/// What a segment must know of those before it.
#[derive(Clone, Copy, Debug)]
struct SegmentHead {
    /// Number of its first line.
    line_number: u64,
    /// The time of lines before its first readable one, in ms.
    time: i64,
}

impl SegmentHead {
    fn resolve(segments: &[Segment], time_of_unreadable_file: i64) -> Vec<Self> {
        let mut heads = Vec::with_capacity(segments.len());
        for file_segments in segments.chunk_by(|segment, next| segment.file == next.file) {
            let mut line_number = 1;
            let mut time =
                file_segments.iter().find_map(|segment| Some(segment.times?.first)).unwrap_or(time_of_unreadable_file);
            for segment in file_segments {
                heads.push(Self { line_number, time });
                line_number += segment.physical_lines;
                time = segment.times.map_or(time, |times| times.last);
            }
        }
        heads
    }
}

/// The ranges of all segments, and the runs of lines without a readable time, in file order.
fn ranges_of(
    segments: &[Segment],
    heads: &[SegmentHead],
    labels: &[i64],
    range_bytes_max: u64,
    threads: usize,
) -> (Vec<LineRange>, Vec<UntimedRun>) {
    let work = |(): &mut (), item: usize| {
        let (segment, head) = (&segments[item], heads[item]);
        let mut finder = EpochFinder::new(labels);
        let mut joiner = RangeJoiner::new(range_bytes_max, 0);
        let mut untimed = Vec::new();
        let mut time = head.time;
        let mut in_run = false;
        for line in segment.lines(head.line_number) {
            if line.time.is_none() && !in_run {
                untimed.push(UntimedRun { file: segment.file, first_line: line.line_number, time });
            }
            in_run = line.time.is_none();
            time = line.time.unwrap_or(time);
            joiner.line(segment.file, finder.label(time), &line);
        }
        Ok::<_, Infallible>((joiner.finish(), untimed))
    };
    let per_segment = match in_parallel(threads, segments.len(), || (), work) {
        Ok((per_segment, _)) => per_segment,
        Err(never) => match never {},
    };
    let mut joiner = RangeJoiner::new(range_bytes_max, per_segment.iter().map(|(ranges, _)| ranges.len()).sum());
    let mut untimed = Vec::new();
    for (ranges, runs) in per_segment {
        for range in ranges {
            joiner.range(range);
        }
        untimed.extend(runs);
    }
    (joiner.finish(), untimed)
}
