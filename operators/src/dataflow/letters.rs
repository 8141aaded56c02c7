//! Dead letters: records that were not accepted, on their way to the topic and the table.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::batch::{Place, topic_of};
use crate::domain::rejection::ReasonCode;
use crate::domain::rows::{Cell, RowBatch, RowChange};

/// Longest payload that a dead letter carries, in bytes; longer ones are cut, with length and fingerprint told.
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
    /// The original bytes.
    pub payload: Payload,
}

/// The bytes of a record, or the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The bytes, cut at [`PAYLOAD_BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// Their number before the cut, if they were cut.
    pub record_bytes: Option<u64>,
    /// SHA-256 of the whole record, if it was cut and is not beyond the limit of records, of which only the beginning is read.
    pub record_sha256: Option<[u8; 32]>,
}

impl Payload {
    /// The payload of a record; `unread` bytes of it were not even read.
    pub fn of(record: &[u8], unread: u64) -> Self {
        let is_cut = record.len() > PAYLOAD_BYTES_MAX || unread > 0;
        Payload {
            bytes: record[..record.len().min(PAYLOAD_BYTES_MAX)].to_vec(),
            record_bytes: is_cut.then_some(record.len() as u64 + unread),
            record_sha256: (is_cut && unread == 0).then(|| Sha256::digest(record).into()),
        }
    }
}

impl DeadLetter {
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
        rows.cell(Cell::Text(&self.payload.bytes));
    }
}
