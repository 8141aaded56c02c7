//! How much disorder: what is asked for, what of it goes where, what was done.

use super::bad::BadKind;
use crate::simulate::random::Random;

/// How much disorder to put into the files. Shares are of all records.
#[derive(Clone, Debug, PartialEq)]
pub struct DisorderOptions {
    /// Records that stand a second time, with the same bytes, minutes to 2 days further down.
    pub duplicate_share: f64,
    /// Records that stand up to 6 hours too far down, with their time unchanged.
    pub late_share: f64,
    /// Added updates that change earlier values, some with a time before the entity's newest event; some clear a field.
    pub correction_share: f64,
    /// Added deletions, some dated before events already written. Every second entity comes back later by a record of its own.
    pub deletion_share: f64,
    /// Records that have to be rejected, of every kind in turn.
    pub bad_share: f64,
    /// Records of unknown types, and as many known ones with an unknown field.
    pub unknown_share: f64,
    /// Records in an unusual but accepted form: other offsets, finer times, `sequence`, CRLF, a blank line before.
    pub format_share: f64,
    /// Records that carry the id of an earlier one with other bytes.
    pub id_reuse_count: u64,
}

impl Default for DisorderOptions {
    fn default() -> Self {
        DisorderOptions {
            duplicate_share: 0.01,
            late_share: 0.02,
            correction_share: 0.005,
            deletion_share: 0.001,
            bad_share: 0.002,
            unknown_share: 0.0005,
            format_share: 0.003,
            id_reuse_count: 5,
        }
    }
}

/// What disorder was put into the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisorderCounts {
    /// Second copies with the same bytes.
    pub duplicates: u64,
    /// Records that carry the id of an earlier one with other bytes.
    pub ids_reused: u64,
    /// Records further down than their time says.
    pub late: u64,
    /// Updates that correct earlier values.
    pub corrections: u64,
    /// Deletions and removals.
    pub deletions: u64,
    /// Records that bring a deleted entity back.
    pub revivals: u64,
    /// Records to reject, by kind, in the order of [`BadKind::ALL`].
    pub bad: [u64; BadKind::ALL.len()],
    /// Records of unknown types.
    pub unknown_types: u64,
    /// Records with an unknown field.
    pub unknown_fields: u64,
    /// Blank lines. They are no records and do not count among the events.
    pub blank_lines: u64,
    /// Records that end in CRLF.
    pub carriage_returns: u64,
    /// Records with a time at another offset than UTC.
    pub other_offsets: u64,
    /// Records with a time finer than milliseconds.
    pub finer_times: u64,
    /// Records with a `sequence`, half of them as text, half as number.
    pub sequences: u64,
}

impl DisorderCounts {
    /// Records to reject, of all kinds.
    pub fn bad_total(&self) -> u64 {
        self.bad.iter().sum()
    }

    pub(super) fn added(&self) -> u64 {
        self.duplicates
            + self.ids_reused
            + self.corrections
            + self.deletions
            + self.revivals
            + self.bad_total()
            + self.unknown_types
    }

    /// Every count with its name.
    pub fn named(&self) -> Vec<(String, u64)> {
        let mut named: Vec<(String, u64)> = [
            ("duplicates", self.duplicates),
            ("ids_reused", self.ids_reused),
            ("late", self.late),
            ("corrections", self.corrections),
            ("deletions", self.deletions),
            ("revivals", self.revivals),
            ("unknown_types", self.unknown_types),
            ("unknown_fields", self.unknown_fields),
            ("blank_lines", self.blank_lines),
            ("carriage_returns", self.carriage_returns),
            ("other_offsets", self.other_offsets),
            ("finer_times", self.finer_times),
            ("sequences", self.sequences),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into();
        named.extend(BadKind::ALL.iter().zip(self.bad).map(|(kind, count)| (format!("bad:{}", kind.name()), count)));
        named
    }
}

/// What may happen to, or because of, an ordinary record. At most one of these each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mischief {
    Duplicate,
    ReuseId,
    Correct,
    Delete,
    Bad,
    UnknownType,
    UnknownField,
    BlankLine,
    CarriageReturn,
    OtherOffset,
    FinerTime,
    SequenceText,
    SequenceNumber,
}

/// Deals exact numbers of mischief over the ordinary records, each record alike (Knuth's selection sampling).
#[derive(Debug)]
pub(super) struct Dealing {
    left: [(Mischief, u64); 13],
    mischief_left: u64,
    late_left: u64,
    ordinary_left: u64,
    /// Records to be added in all.
    pub(super) to_add: u64,
}

impl Dealing {
    pub(super) fn new(options: &DisorderOptions, events: u64) -> Self {
        // The first ones of the table below add a record, the others change one.
        const ADDING: usize = 6;
        let share = |share: f64| (events as f64 * share).round() as u64;
        let deletions = share(options.deletion_share);
        let form = share(options.format_share / 6.0);
        let left = [
            (Mischief::Duplicate, share(options.duplicate_share)),
            (Mischief::ReuseId, options.id_reuse_count.min(events / 100)),
            (Mischief::Correct, share(options.correction_share)),
            (Mischief::Delete, deletions),
            (Mischief::Bad, share(options.bad_share)),
            (Mischief::UnknownType, share(options.unknown_share)),
            (Mischief::UnknownField, share(options.unknown_share)),
            (Mischief::BlankLine, form),
            (Mischief::CarriageReturn, form),
            (Mischief::OtherOffset, form),
            (Mischief::FinerTime, form),
            (Mischief::SequenceText, form),
            (Mischief::SequenceNumber, form),
        ];
        let to_add = left[..ADDING].iter().map(|(_, count)| count).sum::<u64>() + deletions / 2;
        let mischief_left = left.iter().map(|(_, count)| count).sum();
        Dealing {
            left,
            mischief_left,
            late_left: share(options.late_share),
            ordinary_left: events.saturating_sub(to_add),
            to_add,
        }
    }

    /// Ordinary records that there have to be.
    pub(super) fn ordinary(&self) -> u64 {
        self.ordinary_left
    }

    /// What happens to the next ordinary record: mischief, and whether it is late.
    pub(super) fn next(&mut self, random: &mut Random) -> (Option<Mischief>, bool) {
        let mut draw = random.below(self.ordinary_left);
        let late = random.below(self.ordinary_left) < self.late_left;
        self.late_left -= u64::from(late);
        self.ordinary_left = self.ordinary_left.saturating_sub(1);
        if draw >= self.mischief_left {
            return (None, late);
        }
        for (mischief, count) in &mut self.left {
            if draw < *count {
                *count -= 1;
                self.mischief_left -= 1;
                return (Some(*mischief), late);
            }
            draw -= *count;
        }
        (None, late)
    }
}
