//! Input topics as files of lines, read so that nothing is late.
//!
//! ```text
//!  discover ──► open ──► index ───────────────► read
//!  which files  plain:    1. scan: one pass over   the lines of one chunk,
//!  hold which   pread     the bytes (scan, lines)  by any worker
//!  topic        .gz .zst: 2. cut: times into
//!               once, in  epochs (cut)
//!               memory or 3. ranges: lines into
//!               spilled   epochs into chunks
//!                         (plan)
//! ```
//! The index knows the epoch of every line before the first is handed out. A straggler, written hours after its time,
//! becomes a small range of its own in the epoch where it belongs, so each epoch is read whole and nothing is buffered.
//!
//! Bytes are never trusted: no content of a file can make this module panic, and lines are opaque but for their ends.

mod cut;
mod discover;
mod index;
mod lines;
mod open;
mod parallel;
mod plan;
mod read;
mod scan;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use discover::{Compression, Discovery, InputFile, discover};
pub use index::{Index, IndexOptions};
pub use open::{ByteSource, Damage, OpenOptions, open_all};
pub use plan::{Chunk, EpochInfo, LineRange, Plan, UntimedRun};
pub use read::{ChunkReader, Line};
