//! Dead letters: records that were not accepted, on their way to the topic and the table.

use serde::{Deserialize, Serialize};

use crate::domain::batch::{Place, topic_of};
use crate::domain::rejection::ReasonCode;
use crate::domain::rows::{Cell, RowBatch, RowChange};

/// Longest payload that a dead letter carries, in bytes; longer ones are cut, with the length told.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// A record that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The epoch it belongs to.
    pub epoch: i64,
    /// Its own time if readable, else that of the record before it, in UTC milliseconds.
    pub time_ms: i64,
    /// The dealer, if known.
    pub dealer: Option<Vec<u8>>,
    /// Where it lay.
    pub place: Place,
    /// Number of the reason code in [`ReasonCode::ALL`].
    pub code: u8,
    /// Why, for people.
    pub sentence: String,
    /// The original bytes, cut at [`PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
    /// Their number before the cut.
    pub payload_bytes: u64,
}

impl DeadLetter {
    /// The payload of a record.
    pub fn payload_of(record: &[u8]) -> (Vec<u8>, u64) {
        (record[..record.len().min(PAYLOAD_BYTES_MAX)].to_vec(), record.len() as u64)
    }

    /// The reason code.
    pub fn reason_code(&self) -> ReasonCode {
        ReasonCode::ALL.get(usize::from(self.code)).copied().unwrap_or(ReasonCode::InvalidJson)
    }

    /// Adds it to rows of table `dead_letters`.
    pub fn write_row(&self, rows: &mut RowBatch) {
        rows.start(self.epoch, RowChange::Upsert);
        rows.cell(self.dealer.as_deref().map_or(Cell::Null, Cell::Text));
        rows.cell(Cell::Text(topic_of(self.place).name().as_bytes()));
        rows.cell(Cell::Integer(i64::from(self.place.partition)));
        rows.cell(Cell::Integer(self.place.offset as i64));
        rows.cell(Cell::Integer(i64::from(self.code)));
        rows.cell(Cell::Text(self.sentence.as_bytes()));
        rows.cell(Cell::Integer(self.time_ms));
        rows.cell(Cell::Text(&self.payload));
    }
}
