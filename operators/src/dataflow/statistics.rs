//! Counts of one worker, in plain fields that `pipeline` exports.

use serde::{Deserialize, Serialize};

use crate::domain::rejection::ReasonCode;
use crate::domain::tables::TableId;

/// The counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Rows of each live table, by [`TableId`].
    pub live_rows: [i64; TableId::ALL.len()],
    /// Row versions written for each table.
    pub versions: [u64; TableId::ALL.len()],
    /// Events accepted.
    pub accepted: u64,
    /// Copies of accepted events.
    pub duplicates: u64,
    /// Dead letters by [`ReasonCode`].
    pub rejected: [u64; ReasonCode::ALL.len()],
    /// Accepted events of an unknown type.
    pub unknown: u64,
    /// Fields that their event type does not know, in events that were not refused (copies of others among them).
    pub unknown_fields: u64,
    /// Fields written by two events of the same time and sequence.
    pub ambiguous_order: u64,
    /// Leads, deals and vehicles that left after their retention.
    pub expired: u64,
    /// Bytes of state, roughly.
    pub state_bytes: u64,
    /// Events remembered against duplicates.
    pub dedup_keys: u64,
}

impl Statistics {
    /// Adds another worker's counts.
    pub fn add(&mut self, other: &Statistics) {
        let pairs = self.live_rows.iter_mut().zip(other.live_rows);
        pairs.for_each(|(own, other)| *own += other);
        self.versions.iter_mut().zip(other.versions).for_each(|(own, other)| *own += other);
        self.rejected.iter_mut().zip(other.rejected).for_each(|(own, other)| *own += other);
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.unknown += other.unknown;
        self.unknown_fields += other.unknown_fields;
        self.ambiguous_order += other.ambiguous_order;
        self.expired += other.expired;
        self.state_bytes += other.state_bytes;
        self.dedup_keys += other.dedup_keys;
    }

    /// All dead letters.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }
}
