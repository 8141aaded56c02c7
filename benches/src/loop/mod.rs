//! The hand-written single-threaded loop that the pipeline is judged against.
//!
//! ```text
//!   <topic>.jsonl ─▶ chunk of lines ─▶ the pipeline's parser ─▶ duplicates out ─▶ merge rule ─▶ … end of input ─▶ daily KPIs
//! ```
//! What an engineer would write who needs one answer, once: hash maps, no dataflow, no epochs, no outputs but totals. Files are
//! read one after another; the merge rule makes their order meaningless. It does less than the pipeline in three ways, all in its
//! favour: it never forgets (no retention, no horizon), it keeps no dead letters, and it answers only at the end. Where an id is
//! reused with other bytes it keeps the copy it meets first, the pipeline the least in content order.

mod fields;
mod kpis;
mod reader;
mod seen;
mod shelf;
mod stamps;
mod state;
mod texts;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use operators::domain::batch::{EventBatch, Place, Span};
use operators::domain::event::Topic;
use operators::domain::parse::Parser;

pub use self::kpis::{KPI_COLUMNS, KpiTotals};
use self::reader::ChunkReader;
use self::seen::{Seen, Sighting};
use self::state::State;

/// Bytes of a typical record, to size tables by the length of the files.
const RECORD_BYTES: u64 = 270;

/// How far the loop goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Extent {
    /// Parses each record and drops it.
    Parse,
    /// Parses and removes duplicates.
    ParseDedup,
    /// All of it.
    Full,
}

/// Why the loop stopped.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}; check its permissions", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing to do.
    #[error("{folder} holds none of dealers, leads, deals, inventory, reps, commands as .jsonl; name a folder of events", folder = folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoopReport {
    /// Records read, blank lines left out.
    pub records: u64,
    /// Events parsed.
    pub parsed: u64,
    /// Records that are no valid events.
    pub rejected: u64,
    /// Second arrivals of events.
    pub duplicates: u64,
    /// Ids that came again with other bytes.
    pub reused: u64,
    /// The KPIs' totals, unless the loop stopped before them.
    pub kpis: Option<KpiTotals>,
}

impl fmt::Display for LoopReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoopReport { records, parsed, rejected, duplicates, reused, kpis } = self;
        writeln!(
            formatter,
            "records {records}\nparsed {parsed}\nrejected {rejected}\nduplicates {duplicates}\nreused {reused}"
        )?;
        kpis.iter().try_for_each(|kpis| write!(formatter, "{kpis}"))
    }
}

/// Runs the loop over a folder of `<topic>.jsonl`.
///
/// # Errors
/// If the folder holds no file of events, or one cannot be read.
pub fn run(folder: &Path, extent: Extent) -> Result<LoopReport, LoopError> {
    let mut files = Vec::new();
    let mut bytes = 0;
    for topic in Topic::ALL {
        let path = folder.join(format!("{}.jsonl", topic.name()));
        match std::fs::metadata(&path) {
            Ok(metadata) => {
                bytes += metadata.len();
                files.push((topic, path));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(LoopError::Read { path, source }),
        }
    }
    if files.is_empty() {
        return Err(LoopError::Empty { folder: folder.to_owned() });
    }
    let events = (bytes / RECORD_BYTES) as usize;
    let mut pass = Pass {
        parser: Parser::default(),
        batch: EventBatch::default(),
        first: Vec::new(),
        seen: (extent != Extent::Parse).then(|| Seen::with_capacity(events)),
        state: (extent == Extent::Full).then(|| State::with_capacity(events)),
        report: LoopReport::default(),
    };
    for (topic, path) in files {
        pass.file(topic, &path).map_err(|source| LoopError::Read { path, source })?;
    }
    pass.report.kpis = pass.state.as_mut().map(State::daily_kpis);
    // Handing hundreds of megabytes back page by page is no part of the work; the process ends here.
    std::mem::forget(pass.state);
    Ok(pass.report)
}

/// One pass over all files.
struct Pass {
    parser: Parser,
    batch: EventBatch,
    /// Which events of the chunk were not seen before.
    first: Vec<u32>,
    seen: Option<Seen>,
    state: Option<State>,
    report: LoopReport,
}

impl Pass {
    fn file(&mut self, topic: Topic, path: &Path) -> io::Result<()> {
        let mut reader = ChunkReader::open(path)?;
        let mut line = 0;
        let mut buffer = Vec::new();
        loop {
            let length = reader.next_chunk(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            let raw = Arc::new(std::mem::take(&mut buffer));
            self.batch.raw.0 = Arc::clone(&raw);
            self.parse(topic, &raw[..length], &mut line);
            if self.seen.is_some() {
                self.remove_duplicates();
            }
            if let Some(state) = &mut self.state {
                state.merge(&self.batch, &self.first);
            }
            self.batch.raw.0 = Arc::default();
            buffer = Arc::unwrap_or_clone(raw);
        }
    }

    fn parse(&mut self, topic: Topic, chunk: &[u8], line: &mut u64) {
        self.batch.events.clear();
        self.batch.values.clear();
        self.batch.extra.clear();
        let mut start = 0;
        while start < chunk.len() {
            let end = memchr::memchr(b'\n', &chunk[start..]).map_or(chunk.len(), |at| start + at);
            *line += 1;
            let record = Span { start: start as u32, length: (end - start) as u32 };
            start = end + 1;
            if chunk[record.start as usize..end].trim_ascii_start().is_empty() {
                continue;
            }
            self.report.records += 1;
            let place = Place { topic: topic as u8, partition: 0, offset: *line };
            match self.parser.parse(chunk, record, place, 0) {
                Ok(event) => self.parser.push(event, &mut self.batch),
                Err(_) => self.report.rejected += 1,
            }
        }
        self.report.parsed += self.batch.events.len() as u64;
    }

    fn remove_duplicates(&mut self) {
        let Some(seen) = &mut self.seen else { return };
        self.first.clear();
        for (number, event) in self.batch.events.iter().enumerate() {
            match seen.insert(event.identity, event.content) {
                Sighting::First => self.first.push(number as u32),
                Sighting::Duplicate => self.report.duplicates += 1,
                Sighting::Reused => self.report.reused += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests;
