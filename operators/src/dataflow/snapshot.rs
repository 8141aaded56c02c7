//! State written down: the format of its parts, and what a sequence of them has to be.
//!
//! ```text
//!   part   = header, frames          header = magic "DFSP" | version u16 | section u8 | flags u8 (1 base, 2 last slice) | shard u16 | 0 u16
//!   frame  = length u32                       | slice u32 | epoch i64 | previous i64 | bytes of the frames u64 | XXH3 of these 40 bytes u64
//!            XXH3 of the records u64
//!            records, of which none is cut    all numbers little-endian; what a record is, its section says
//! ```
//! A shard's section is written whole (base) or as what changed since the snapshot before (delta), in slices of about
//! [`PART_BYTES`]. Bases begin a chain, each delta names the epoch of its predecessor, and restoring reads a chain in order: the
//! newest wins. A section that did not change is left out of a delta snapshot, and the next delta's predecessor is the last that was
//! written. Whoever loses a snapshot asks for a base the next time.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::binary::{BinaryReader, BinaryWriter, Malformed};
use crate::domain::hash::SHARDS;

/// The version of the format that this build writes and reads.
pub const FORMAT_VERSION: u16 = 2;
/// A part is closed when it has so many bytes.
pub const PART_BYTES: usize = 1 << 20;
/// A frame is closed when it has so many bytes.
pub const FRAME_BYTES: usize = 1 << 16;
/// Parts that one activation emits, in bytes: so much is in flight at once.
pub const SLICE_BYTES: usize = 4 << 20;

const MAGIC: [u8; 4] = *b"DFSP";
const HEADER_BYTES: usize = 48;
const HEADER_CHECKED_BYTES: usize = 40;
const FRAME_HEADER_BYTES: usize = 12;
const FLAG_BASE: u8 = 1;
const FLAG_LAST: u8 = 2;
const NO_EPOCH: i64 = i64::MIN;

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Section {
    /// Dealers, leads, deals, vehicles, reps and customers with all that the merge rule keeps of them.
    Entities,
    /// Events remembered against duplicates.
    Duplicates,
    /// Counts of what came in.
    Sources,
    /// Until when timers have fired.
    Timers,
    /// Daily counts, with their responses.
    DailyKpis,
    /// Clusters, networks, and what they say of leads.
    Models,
}

impl Section {
    /// Every section, by number.
    pub const ALL: [Section; 6] = [
        Section::Entities,
        Section::Duplicates,
        Section::Sources,
        Section::Timers,
        Section::DailyKpis,
        Section::Models,
    ];
}

/// Why a snapshot cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not a part at all.
    #[error("these {bytes} bytes are no part of a snapshot: restore the checkpoint before")]
    NoPart {
        /// How many bytes there are.
        bytes: usize,
    },
    /// Another build wrote it.
    #[error(
        "the snapshot has format version {found}, and this build reads only {FORMAT_VERSION}: use the build that wrote it"
    )]
    Version {
        /// The version found.
        found: u16,
    },
    /// The bytes of a header or frame are not those that were written.
    #[error("the snapshot is damaged {place}: restore the checkpoint before")]
    Damaged {
        /// Where: the header, or a frame by number.
        place: String,
    },
    /// The bytes are those that were written, but make no sense.
    #[error(
        "section {section:?} of shard {shard} makes no sense: {malformed}; report this, and restore the checkpoint before"
    )]
    Malformed {
        /// The section.
        section: Section,
        /// The shard.
        shard: u16,
        /// What is wrong.
        malformed: Malformed,
    },
    /// The clusters of a dealer cannot be read.
    #[error(
        "the clusters of a dealer's leads cannot be restored: {reason}; report this, and restore the checkpoint before"
    )]
    Clusters {
        /// Why.
        reason: String,
    },
    /// A part is missing, or parts came in another order than they were written in.
    #[error(
        "section {section:?} of shard {shard} has a gap before epoch {epoch}, slice {slice}: give the parts of a base and of all its \
         deltas in the order in which they were written"
    )]
    Gap {
        /// The section.
        section: Section,
        /// The shard.
        shard: u16,
        /// The epoch of the part that does not fit.
        epoch: i64,
        /// Its slice.
        slice: u32,
    },
    /// The last slices of a section are missing.
    #[error("section {section:?} of shard {shard} ends before its last slice: give all parts")]
    Unfinished {
        /// The section.
        section: Section,
        /// The shard.
        shard: u16,
    },
    /// A part was given to somebody else.
    #[error(
        "section {section:?} of shard {shard} was given to a machine that does not keep it: route parts by section and shard"
    )]
    Misrouted {
        /// The section.
        section: Section,
        /// The shard.
        shard: u16,
    },
}

/// A piece of written state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// Whose state: one of the shards of dealers.
    pub shard: u16,
    /// What it holds.
    pub section: Section,
    /// Whether it is of a base; otherwise of a delta.
    pub is_base: bool,
    /// Everything, header included.
    pub bytes: Vec<u8>,
}

/// Parts of the snapshot of an epoch. It is whole when the frontier has passed the epoch.
pub type SnapshotSlice = (i64, Vec<SnapshotPart>);

#[derive(Clone, Copy, Debug)]
struct Header {
    section: Section,
    shard: u16,
    is_base: bool,
    is_last: bool,
    slice: u32,
    epoch: i64,
    previous: Option<i64>,
    body_bytes: usize,
}

fn number<const BYTES: usize>(bytes: &[u8], at: usize) -> [u8; BYTES] {
    let mut number = [0; BYTES];
    number.copy_from_slice(&bytes[at..at + BYTES]);
    number
}

impl Header {
    fn write(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[6] = self.section as u8;
        bytes[7] = (u8::from(self.is_base) * FLAG_BASE) | (u8::from(self.is_last) * FLAG_LAST);
        bytes[8..10].copy_from_slice(&self.shard.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.slice.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.previous.unwrap_or(NO_EPOCH).to_le_bytes());
        bytes[32..40].copy_from_slice(&(self.body_bytes as u64).to_le_bytes());
        let checksum = xxh3_64(&bytes[..HEADER_CHECKED_BYTES]);
        bytes[40..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        if bytes.len() < HEADER_BYTES || bytes[..4] != MAGIC {
            return Err(SnapshotError::NoPart { bytes: bytes.len() });
        }
        let damaged = || SnapshotError::Damaged { place: "in a header".into() };
        // The checksum is judged before the version: a flipped bit is no other version.
        if u64::from_le_bytes(number(bytes, 40)) != xxh3_64(&bytes[..HEADER_CHECKED_BYTES]) {
            return Err(damaged());
        }
        let version = u16::from_le_bytes(number(bytes, 4));
        if version != FORMAT_VERSION {
            return Err(SnapshotError::Version { found: version });
        }
        let section = Section::ALL.get(usize::from(bytes[6])).copied().ok_or_else(damaged)?;
        let shard = u16::from_le_bytes(number(bytes, 8));
        let body_bytes = usize::try_from(u64::from_le_bytes(number(bytes, 32))).map_err(|_| damaged())?;
        if usize::from(shard) >= SHARDS {
            return Err(damaged());
        }
        Ok(Header {
            section,
            shard,
            is_base: bytes[7] & FLAG_BASE != 0,
            is_last: bytes[7] & FLAG_LAST != 0,
            slice: u32::from_le_bytes(number(bytes, 12)),
            epoch: i64::from_le_bytes(number(bytes, 16)),
            previous: Some(i64::from_le_bytes(number(bytes, 24))).filter(|epoch| *epoch != NO_EPOCH),
            body_bytes,
        })
    }
}

impl SnapshotPart {
    /// Takes the first part off bytes that hold one after another, as a store may keep them.
    ///
    /// # Errors
    /// If they do not begin with a whole header of this version, or end before the part does. Frames are judged when they are read.
    pub fn split_first(bytes: &[u8]) -> Result<(Self, &[u8]), SnapshotError> {
        let header = Header::read(bytes)?;
        let end = HEADER_BYTES.checked_add(header.body_bytes).filter(|end| *end <= bytes.len());
        let end =
            end.ok_or_else(|| SnapshotError::Damaged { place: format!("at its end, after {} bytes", bytes.len()) })?;
        let Header { shard, section, is_base, .. } = header;
        Ok((SnapshotPart { shard, section, is_base, bytes: bytes[..end].to_vec() }, &bytes[end..]))
    }

    /// The epoch of its snapshot.
    ///
    /// # Errors
    /// If the header is damaged.
    pub fn epoch(&self) -> Result<i64, SnapshotError> {
        Header::read(&self.bytes).map(|header| header.epoch)
    }
}

/// Writes the records of one section of one shard as parts.
#[derive(Debug)]
pub(super) struct PartsWriter {
    header: Header,
    frame: BinaryWriter,
    body: Vec<u8>,
    parts: Vec<SnapshotPart>,
    is_empty: bool,
}

impl PartsWriter {
    /// A base, or with `previous` a delta to the snapshot of that epoch.
    pub(super) fn new(section: Section, shard: usize, epoch: i64, previous: Option<i64>) -> Self {
        let is_base = previous.is_none();
        let shard = shard as u16;
        let header = Header { section, shard, is_base, is_last: false, slice: 0, epoch, previous, body_bytes: 0 };
        PartsWriter { header, frame: BinaryWriter::default(), body: Vec::new(), parts: Vec::new(), is_empty: true }
    }

    /// Whether the next record begins a part, and so cannot refer to any before.
    pub(super) fn is_at_start(&self) -> bool {
        self.frame.bytes().is_empty() && self.body.is_empty()
    }

    /// Writes one record.
    pub(super) fn record(&mut self, write: impl FnOnce(&mut BinaryWriter)) {
        self.is_empty = false;
        write(&mut self.frame);
        if self.frame.bytes().len() >= FRAME_BYTES {
            self.close_frame();
            if self.body.len() >= PART_BYTES {
                self.close_part(false);
            }
        }
    }

    /// Whether parts are ready.
    pub(super) fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Takes the parts that are ready.
    pub(super) fn take(&mut self) -> Vec<SnapshotPart> {
        std::mem::take(&mut self.parts)
    }

    /// The rest of the parts. A delta without records has none; the second value says whether anything was written at all.
    pub(super) fn finish(mut self) -> (Vec<SnapshotPart>, bool) {
        if self.is_empty && !self.header.is_base {
            return (self.parts, false);
        }
        self.close_frame();
        self.close_part(true);
        (self.parts, true)
    }

    fn close_frame(&mut self) {
        let records = self.frame.bytes();
        if !records.is_empty() {
            self.body.extend_from_slice(&(records.len() as u32).to_le_bytes());
            self.body.extend_from_slice(&xxh3_64(records).to_le_bytes());
            self.body.extend_from_slice(records);
            self.frame.clear();
        }
    }

    fn close_part(&mut self, is_last: bool) {
        self.header.is_last = is_last;
        self.header.body_bytes = self.body.len();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.body.len());
        bytes.extend_from_slice(&self.header.write());
        bytes.append(&mut self.body);
        let Header { shard, section, is_base, .. } = self.header;
        self.parts.push(SnapshotPart { shard, section, is_base, bytes });
        self.header.slice += 1;
    }
}

/// A part whose header is in order and fits the parts before it.
#[derive(Debug)]
pub(super) struct OpenPart<'a> {
    header: Header,
    body: &'a [u8],
    /// Whether what was read of the section before is to be forgotten.
    pub(super) clears: bool,
}

impl OpenPart<'_> {
    pub(super) fn section(&self) -> Section {
        self.header.section
    }

    pub(super) fn shard(&self) -> usize {
        usize::from(self.header.shard)
    }

    /// Calls `read` until it has read every record.
    pub(super) fn records(
        &self,
        mut read: impl FnMut(&mut BinaryReader<'_>) -> Result<(), Malformed>,
    ) -> Result<(), SnapshotError> {
        let (mut rest, mut frame) = (self.body, 0);
        while !rest.is_empty() {
            let damaged = || {
                let Header { section, shard, epoch, slice, .. } = self.header;
                let place =
                    format!("in section {section:?} of shard {shard}, epoch {epoch}, slice {slice}, frame {frame}");
                SnapshotError::Damaged { place }
            };
            let (head, after) = rest.split_at_checked(FRAME_HEADER_BYTES).ok_or_else(damaged)?;
            let length = u32::from_le_bytes(number(head, 0)) as usize;
            let (records, after) = after.split_at_checked(length).ok_or_else(damaged)?;
            if u64::from_le_bytes(number(head, 4)) != xxh3_64(records) {
                return Err(damaged());
            }
            let mut reader = BinaryReader::new(records);
            while !reader.is_at_end() {
                read(&mut reader).map_err(|malformed| self.malformed(malformed))?;
            }
            (rest, frame) = (after, frame + 1);
        }
        Ok(())
    }

    /// An error of its records.
    pub(super) fn malformed(&self, malformed: Malformed) -> SnapshotError {
        SnapshotError::Malformed { section: self.header.section, shard: self.header.shard, malformed }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    /// The epoch of the last snapshot.
    last: Option<i64>,
    /// The slice that is expected next, while a snapshot is not whole.
    next_slice: Option<u32>,
}

/// Where the chains of all shards and sections stand, for a writer and for a reader.
#[derive(Debug)]
pub(super) struct Chains {
    chains: Vec<[Chain; Section::ALL.len()]>,
}

impl Default for Chains {
    fn default() -> Self {
        Chains { chains: vec![Default::default(); SHARDS] }
    }
}

impl Chains {
    /// The epoch of the last snapshot of a section.
    pub(super) fn last(&self, section: Section, shard: usize) -> Option<i64> {
        self.chains[shard][section as usize].last
    }

    /// Notes that a section was written.
    pub(super) fn wrote(&mut self, section: Section, shard: usize, epoch: i64) {
        self.chains[shard][section as usize].last = Some(epoch);
    }

    /// Opens the next part of a chain.
    pub(super) fn open<'a>(&mut self, part: &'a SnapshotPart) -> Result<OpenPart<'a>, SnapshotError> {
        let header = Header::read(&part.bytes)?;
        let Header { section, shard, is_base, is_last, slice, epoch, previous, body_bytes } = header;
        if (section, shard, is_base) != (part.section, part.shard, part.is_base) {
            return Err(SnapshotError::Damaged {
                place: "in its routing: it is not the part that it was taken for".into(),
            });
        }
        let body = &part.bytes[HEADER_BYTES..];
        if body.len() != body_bytes {
            return Err(SnapshotError::Damaged { place: format!("at its end, after {} bytes", part.bytes.len()) });
        }
        let chain = &mut self.chains[usize::from(shard)][section as usize];
        let fits = match chain.next_slice {
            Some(next) => slice == next && chain.last == Some(epoch),
            None => slice == 0 && (is_base || previous == chain.last) && chain.last.is_none_or(|last| last < epoch),
        };
        if !fits || is_base != previous.is_none() {
            return Err(SnapshotError::Gap { section, shard, epoch, slice });
        }
        let clears = is_base && slice == 0 && chain.last.is_some();
        chain.last = Some(epoch);
        chain.next_slice = (!is_last).then_some(slice.wrapping_add(1));
        Ok(OpenPart { header, body, clears })
    }

    /// Checks that no snapshot was left in the middle.
    pub(super) fn finish(&self) -> Result<(), SnapshotError> {
        for (shard, chains) in self.chains.iter().enumerate() {
            for section in Section::ALL {
                if chains[section as usize].next_slice.is_some() {
                    return Err(SnapshotError::Unfinished { section, shard: shard as u16 });
                }
            }
        }
        Ok(())
    }
}
