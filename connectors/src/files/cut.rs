//! Cutting time into epochs.
//!
//! ```text
//!  by count   every `target` events, then on to the next change of time value     |···3000···|···3000··|···3001···|··17|
//!  by width   every `width` ms                                                    |·|···20···|·········0·········|·7·|
//! ```
//! An epoch is named by its inclusive upper bound. The cut depends on the multiset of readable times alone: dealing the
//! lines over other files, or indexing with other threads, moves no bound. The last bound is the greatest readable time,
//! whatever the rule, so that what a replay ends with does not depend on it either.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::files::parallel::in_parallel;
use crate::files::scan::Segment;

/// Times are counted in buckets of 2^16 ms (65 s) before they are sorted.
const BUCKET_BITS: u32 = 16;
const BUCKET_MS: usize = 1 << BUCKET_BITS;
/// How many times are sorted at once, which bounds the memory of a cut to 16 MiB per thread.
const WINDOW_EVENTS_MAX: u64 = 2 << 20;

/// How epochs are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EpochRule {
    /// After this many events, at the next change of time value.
    Count(u64),
    /// At multiples of this many ms.
    WidthMs(i64),
}

/// How many events lie in which stretch of time; filled while scanning.
#[derive(Debug)]
pub(super) struct TimeHistogram {
    rule: EpochRule,
    counts: BTreeMap<i64, u64>,
    /// Neighbouring lines are close in time, so the map is touched once per run of them.
    run_bucket: i64,
    run_events: u64,
}

impl TimeHistogram {
    pub(super) fn new(rule: EpochRule) -> Self {
        Self { rule, counts: BTreeMap::new(), run_bucket: 0, run_events: 0 }
    }

    #[inline]
    pub(super) fn add(&mut self, time: i64) {
        let bucket = match self.rule {
            EpochRule::Count(_) => time >> BUCKET_BITS,
            EpochRule::WidthMs(width_ms) => round_up(time, width_ms),
        };
        if bucket != self.run_bucket {
            self.end_run();
            self.run_bucket = bucket;
        }
        self.run_events += 1;
    }

    fn end_run(&mut self) {
        if self.run_events > 0 {
            *self.counts.entry(self.run_bucket).or_default() += self.run_events;
            self.run_events = 0;
        }
    }

    fn merge(histograms: Vec<Self>) -> BTreeMap<i64, u64> {
        let mut merged: BTreeMap<i64, u64> = BTreeMap::new();
        for mut histogram in histograms {
            histogram.end_run();
            if merged.is_empty() {
                merged = histogram.counts;
            } else {
                for (bucket, events) in histogram.counts {
                    *merged.entry(bucket).or_default() += events;
                }
            }
        }
        merged
    }
}

fn round_up(time: i64, width_ms: i64) -> i64 {
    match time.rem_euclid(width_ms) {
        0 => time,
        rest => time.saturating_add(width_ms - rest),
    }
}

/// The inclusive upper bounds of all epochs in ms, ascending; none if no time was readable.
pub(super) fn cut_epochs(
    rule: EpochRule,
    histograms: Vec<TimeHistogram>,
    segments: &[Segment],
    threads: usize,
) -> Vec<i64> {
    let counts = TimeHistogram::merge(histograms);
    match rule {
        EpochRule::WidthMs(_) => {
            let mut labels: Vec<i64> = counts.into_keys().collect();
            let greatest = segments.iter().filter_map(|segment| Some(segment.times?.greatest)).max();
            if let (Some(last), Some(greatest)) = (labels.last_mut(), greatest) {
                *last = greatest;
            }
            labels
        }
        EpochRule::Count(target) => {
            let events_total: u64 = counts.values().sum();
            let window_events_max = events_total.div_ceil(threads as u64).clamp(1, WINDOW_EVENTS_MAX);
            let windows = Window::over(&counts, window_events_max);
            let mut cutter = Cutter { target, labels: Vec::new(), open: None };
            for group in windows.chunks(threads) {
                for times in sorted_times(group, segments, threads) {
                    times.feed(&mut cutter);
                }
            }
            cutter.finish()
        }
    }
}

/// A stretch of time whose events are sorted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    bucket_first: i64,
    bucket_last: i64,
    events: u64,
}

impl Window {
    /// Neighbouring buckets, joined as long as they hold no more than `events_max` together.
    fn over(counts: &BTreeMap<i64, u64>, events_max: u64) -> Vec<Self> {
        let mut windows: Vec<Self> = Vec::new();
        for (&bucket, &events) in counts {
            match windows.last_mut() {
                Some(window) if window.events + events <= events_max => {
                    window.bucket_last = bucket;
                    window.events += events;
                }
                _ => windows.push(Self { bucket_first: bucket, bucket_last: bucket, events }),
            }
        }
        windows
    }

    /// Calls `each` with every readable time in the window, in no particular order.
    fn for_each_time(&self, segments: &[Segment], mut each: impl FnMut(i64)) {
        let first = self.bucket_first << BUCKET_BITS;
        let last = (self.bucket_last << BUCKET_BITS) | (BUCKET_MS as i64 - 1);
        let overlapping =
            segments.iter().filter(|segment| segment.times.is_some_and(|t| t.least <= last && t.greatest >= first));
        for segment in overlapping {
            for time in segment.lines(0).filter_map(|line| line.time) {
                if (first..=last).contains(&time) {
                    each(time);
                }
            }
        }
    }

    fn sorted_times(&self, segments: &[Segment]) -> SortedTimes {
        if self.bucket_first == self.bucket_last && self.events > BUCKET_MS as u64 {
            let first = self.bucket_first << BUCKET_BITS;
            let mut counts = vec![0; BUCKET_MS];
            self.for_each_time(segments, |time| counts[(time - first) as usize] += 1);
            SortedTimes::Counted { first, counts }
        } else {
            let mut times = Vec::with_capacity(self.events as usize);
            self.for_each_time(segments, |time| times.push(time));
            times.sort_unstable();
            SortedTimes::Listed(times)
        }
    }
}

/// Times in ascending order.
#[derive(Debug)]
enum SortedTimes {
    Listed(Vec<i64>),
    /// How many events each ms from `first` on has: for a rush so dense that listing it would be larger.
    Counted {
        first: i64,
        counts: Vec<u64>,
    },
}

impl SortedTimes {
    fn feed(self, cutter: &mut Cutter) {
        match self {
            Self::Listed(times) => times.into_iter().for_each(|time| cutter.add(time, 1)),
            Self::Counted { first, counts } => {
                for (time, events) in (first..).zip(counts).filter(|(_, events)| *events > 0) {
                    cutter.add(time, events);
                }
            }
        }
    }
}

fn sorted_times(windows: &[Window], segments: &[Segment], threads: usize) -> Vec<SortedTimes> {
    let work = |(): &mut (), window: usize| Ok::<_, Infallible>(windows[window].sorted_times(segments));
    match in_parallel(threads, windows.len(), || (), work) {
        Ok((times, _)) => times,
        Err(never) => match never {},
    }
}

/// Closes an epoch once it holds enough events and the time value changes.
#[derive(Debug)]
struct Cutter {
    target: u64,
    labels: Vec<i64>,
    /// Last time and number of events of the epoch that is being filled.
    open: Option<(i64, u64)>,
}

impl Cutter {
    #[inline]
    fn add(&mut self, time: i64, events: u64) {
        self.open = match self.open {
            Some((last, count)) if count >= self.target && time != last => {
                self.labels.push(last);
                Some((time, events))
            }
            Some((_, count)) => Some((time, count + events)),
            None => Some((time, events)),
        };
    }

    fn finish(mut self) -> Vec<i64> {
        self.labels.extend(self.open.map(|(last, _)| last));
        self.labels
    }
}

/// Finds the epoch of a time, quickest when it is that of the time before.
#[derive(Debug)]
pub(super) struct EpochFinder<'a> {
    labels: &'a [i64],
    index: usize,
}

impl<'a> EpochFinder<'a> {
    pub(super) fn new(labels: &'a [i64]) -> Self {
        Self { labels, index: 0 }
    }

    /// The label of the epoch that holds `time`; times after the last label belong to it.
    #[inline]
    pub(super) fn label(&mut self, time: i64) -> i64 {
        let here = self.labels.get(self.index).is_some_and(|label| time <= *label)
            && (self.index == 0 || self.labels[self.index - 1] < time);
        if !here {
            let above = self.labels.partition_point(|label| *label < time);
            self.index = above.min(self.labels.len().saturating_sub(1));
        }
        self.labels.get(self.index).copied().unwrap_or(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_by_count(target: u64, times: &[i64]) -> Vec<i64> {
        let mut cutter = Cutter { target, labels: Vec::new(), open: None };
        for time in times {
            cutter.add(*time, 1);
        }
        cutter.finish()
    }

    #[test]
    fn epochs_end_where_the_time_changes() {
        assert_eq!(cut_by_count(2, &[1, 1, 1, 2, 3, 4, 4, 9]), [1, 3, 4, 9]);
        assert_eq!(cut_by_count(3, &[5, 5, 5]), [5]);
        assert_eq!(cut_by_count(3, &[]), Vec::<i64>::new());
    }

    #[test]
    fn widths_round_up_without_overflow() {
        assert_eq!([-7, -5, 0, 1, 5, 6].map(|time| round_up(time, 5)), [-5, -5, 0, 5, 5, 10]);
        assert_eq!(round_up(i64::MAX, 1_000), i64::MAX);
        assert_eq!(round_up(i64::MIN, i64::MAX), -i64::MAX);
    }

    #[test]
    fn windows_join_small_buckets_and_leave_large_ones_alone() {
        let counts = BTreeMap::from([(0, 3), (1, 4), (7, 4), (8, 100), (9, 1)]);
        let window = |bucket_first, bucket_last, events| Window { bucket_first, bucket_last, events };
        assert_eq!(Window::over(&counts, 10), [window(0, 1, 7), window(7, 7, 4), window(8, 8, 100), window(9, 9, 1)]);
    }

    #[test]
    fn a_dense_rush_is_cut_like_a_list() {
        let mut counted = Cutter { target: 4, labels: Vec::new(), open: None };
        SortedTimes::Counted { first: 10, counts: vec![3, 0, 2, 1, 9] }.feed(&mut counted);
        let listed: Vec<i64> = [10, 10, 10, 12, 12, 13].into_iter().chain([14; 9]).collect();
        assert_eq!(counted.finish(), cut_by_count(4, &listed));
    }

    #[test]
    fn every_time_finds_its_epoch() {
        let labels = [10, 20, 30];
        let mut finder = EpochFinder::new(&labels);
        for (time, label) in [(5, 10), (10, 10), (11, 20), (30, 30), (20, 20), (21, 30), (31, 30), (-9, 10)] {
            assert_eq!(finder.label(time), label, "time {time}");
        }
    }
}
