//! The source operator of a replay: chunks of files in, batches of parsed events out.
//!
//! ```text
//!   source.claim ─▶ read ─▶ lines ─▶ parse ─▶ one batch per worker, sent at the chunk's lowest epoch
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connectors::files::{ChunkReader, Line, Plan};
use operators::dataflow::driver::Epoch;
use operators::domain::batch::{EventBatch, Place, RawBytes, Rejected, Span};
use operators::domain::event_time::event_time_of;
use operators::domain::hash::shard_of;
use operators::domain::parse::{Parser, too_large};
use operators::domain::rejection::ReasonCode;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::{Scope, Stream};

use crate::failure::Failure;
use crate::replay::source::{Source, Turn};

/// What a replay reads.
#[derive(Clone)]
pub struct ReplayInput {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Reads its chunks.
    pub reader: ChunkReader,
    /// Hands them out.
    pub source: Source,
    /// Packed files that broke off: where, and what the decoder said. They become dead letters of the last chunk.
    pub damages: Arc<Vec<(Place, String)>>,
    /// Records read so far, for the progress bar.
    pub records_read: Arc<AtomicU64>,
    /// Where errors go.
    pub failure: Failure,
}

/// Reads and parses chunks.
struct ChunkParser {
    input: ReplayInput,
    peers: usize,
    parser: Parser,
    lines: Vec<Line>,
}

impl ChunkParser {
    /// The batches of a chunk, one for each worker: those without events tell of its epochs.
    fn read(&mut self, chunk: usize) -> Result<Vec<EventBatch>, connectors::FilesError> {
        let plan = &self.input.plan;
        let mut buffer = Vec::new();
        self.input.reader.read(plan, chunk, &mut buffer, &mut self.lines)?;
        let raw = RawBytes(Arc::new(buffer));
        let ranges = &plan.ranges[plan.chunks[chunk].ranges.clone()];
        let mut epochs: Vec<i64> = ranges.iter().map(|range| range.epoch).collect();
        epochs.dedup();
        if epochs.is_empty() {
            epochs.push(plan.chunks[chunk].epoch_first);
        }
        let mut batches: Vec<EventBatch> = (0..self.peers)
            .map(|destination| EventBatch {
                destination: destination as u64,
                epochs: epochs.clone(),
                raw: raw.clone(),
                events: Vec::with_capacity(self.lines.len() / self.peers + self.lines.len() / 8),
                values: Vec::with_capacity(self.lines.len() * 8 / self.peers),
                ..EventBatch::default()
            })
            .collect();
        let sources = self.input.reader.sources();
        for line in &self.lines {
            let file = sources[line.file as usize].file();
            let place = Place { topic: file.topic as u8, partition: file.partition, offset: line.line_number };
            let record = Span { start: line.start, length: line.end - line.start };
            match self.parser.parse(&raw.0, record, place, line.epoch) {
                Ok(event) => {
                    let destination = shard_of(event.dealer_hash) % self.peers;
                    self.parser.push(event, &mut batches[destination]);
                }
                Err(mut rejection) => {
                    if line.bytes_cut > 0 {
                        rejection = too_large(u64::from(record.length) + line.bytes_cut);
                    }
                    let destination = shard_of(self.parser.dealer_hash(&raw.0, &rejection)) % self.peers;
                    let own_time = event_time_of(&raw.0[line.start as usize..line.end as usize]);
                    let time_ms = own_time.unwrap_or_else(|| plan.time_before(line.file, line.line_number));
                    self.parser.push_rejection(
                        rejection,
                        record,
                        place,
                        (line.epoch, time_ms, line.bytes_cut),
                        &mut batches[destination],
                    );
                }
            }
        }
        if chunk + 1 == plan.chunks.len() {
            let (Some(batch), Some(epoch)) = (batches.first_mut(), epochs.last().copied()) else { return Ok(batches) };
            for (place, reason) in self.input.damages.iter() {
                batch.rejected.push(Rejected {
                    epoch,
                    time_ms: epoch,
                    dealer: None,
                    record: Span::default(),
                    unread_bytes: 0,
                    place: *place,
                    code: ReasonCode::DamagedFile as u8,
                    sentence: format!("The packed file breaks off here: {reason}."),
                });
            }
        }
        self.input.records_read.fetch_add(self.lines.len() as u64, Ordering::Relaxed);
        Ok(batches)
    }
}

/// The source operator. `finished` is a probe behind every output; `claims` how many chunks one activation reads at most is one, so
/// that what is read is worked on while it is warm.
pub fn replay_source(
    scope: Scope<'_, Epoch>,
    input: ReplayInput,
    finished: Handle<Epoch>,
) -> Stream<'_, Epoch, Vec<EventBatch>> {
    let peers = scope.peers();
    source::<_, CapacityContainerBuilder<Vec<EventBatch>>, _, _>(scope, "replay source", move |capability, info| {
        let activator = scope.activator_for(info.address);
        let mut held = Some(capability);
        let mut chunks = ChunkParser { input, peers, parser: Parser::default(), lines: Vec::new() };
        move |output| {
            let Some(capability) = held.as_mut() else { return };
            let frontier = finished.with_frontier(|frontier| frontier.first().map(|epoch| *epoch as i64));
            let turn = if chunks.input.failure.is_set() { Turn::Done } else { chunks.input.source.claim(frontier) };
            match turn {
                Turn::Read(chunk) => {
                    let epoch = chunks.input.plan.chunks[chunk].epoch_first as u64;
                    if epoch > *capability.time() {
                        capability.downgrade(&epoch);
                    }
                    match chunks.read(chunk) {
                        Ok(batches) => {
                            let mut session = output.session(&capability);
                            for batch in batches {
                                session.give(batch);
                            }
                        }
                        Err(error) => chunks.input.failure.report(&error),
                    }
                    activator.activate();
                }
                Turn::Wait => activator.activate(),
                Turn::Done => {
                    held = None;
                    return;
                }
            }
            match chunks.input.source.epoch_next() {
                Some(epoch) if epoch as u64 > *capability.time() => capability.downgrade(&(epoch as u64)),
                Some(_) => {}
                None => held = None,
            }
        }
    })
}
