//! The sink operator of a running pipeline: everything that an epoch gave, on worker 0, once it is whole.
//!
//! ```text
//!   rows, messages, dead letters, counts of all workers ─exchange to worker 0─▶ kept by epoch ─(frontier passes)─▶ EpochOutput, in order
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use operators::dataflow::driver::Epoch;
use operators::dataflow::entities::EpochCounts;
use operators::dataflow::letters::DeadLetter;
use operators::dataflow::snapshot::SnapshotPart;
use operators::domain::messages::MessageBatch;
use operators::domain::rows::RowBatch;
use operators::domain::tables::TableId;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;

use crate::arrow_rows::RowSlice;
use crate::messages::{SharedMessage, letter_order, sort_messages};

/// All that an epoch gave.
#[derive(Clone, Debug, Default)]
pub struct EpochOutput {
    /// The epoch.
    pub epoch: i64,
    /// Events accepted.
    pub events: u64,
    /// Records that were not, in the order of their messages.
    pub letters: Vec<DeadLetter>,
    /// What the models say, in the order of their messages.
    pub messages: Vec<SharedMessage>,
    /// Row versions by table, in the order in which workers gave them.
    pub rows: Vec<(TableId, RowSlice)>,
    /// The state behind the epoch, if a snapshot was asked for.
    pub snapshot: Vec<SnapshotPart>,
}

/// What travels to worker 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Piece {
    /// Rows of a table, by its number; in order of epochs.
    Rows(u8, RowBatch),
    /// A record that was not accepted.
    Letter(DeadLetter),
    /// What the models say.
    Messages(MessageBatch),
    /// A worker's counts.
    Counts(EpochCounts),
    /// Parts of a worker's state behind an epoch.
    Snapshot(i64, Vec<SnapshotPart>),
}

#[derive(Default)]
struct Collector {
    epochs: BTreeMap<i64, EpochOutput>,
}

impl Collector {
    fn epoch(&mut self, epoch: i64) -> &mut EpochOutput {
        self.epochs.entry(epoch).or_insert_with(|| EpochOutput { epoch, ..EpochOutput::default() })
    }

    fn add(&mut self, piece: Piece) {
        match piece {
            Piece::Counts(counts) => self.epoch(counts.epoch).events += counts.events,
            Piece::Snapshot(epoch, parts) => self.epoch(epoch).snapshot.extend(parts),
            Piece::Letter(letter) => self.epoch(letter.epoch).letters.push(letter),
            Piece::Messages(batch) => {
                for message in SharedMessage::all(batch) {
                    self.epoch(message.view().epoch()).messages.push(message);
                }
            }
            Piece::Rows(table, rows) => {
                let Some(table) = TableId::ALL.get(usize::from(table)).copied() else { return };
                let rows = Arc::new(rows);
                let mut start = 0;
                while start < rows.len() {
                    let epoch = rows.epoch(start);
                    let end = (start..rows.len()).find(|row| rows.epoch(*row) != epoch).unwrap_or(rows.len());
                    let slice = RowSlice { rows: Arc::clone(&rows), range: start..end };
                    self.epoch(epoch).rows.push((table, slice));
                    start = end;
                }
            }
        }
    }

    /// Takes the epochs before `frontier` (`None`: all), in order.
    fn complete(&mut self, frontier: Option<i64>) -> impl Iterator<Item = EpochOutput> + use<> {
        let waiting = frontier.map_or_else(BTreeMap::new, |frontier| self.epochs.split_off(&frontier));
        std::mem::replace(&mut self.epochs, waiting).into_values().map(|mut output| {
            output.letters.sort_by_cached_key(letter_order);
            sort_messages(&mut output.messages);
            output
        })
    }
}

/// The operator. `emit` is called on worker 0 with each epoch, in order; its stream tells by its frontier what was emitted.
pub fn collect(
    pieces: Stream<'_, Epoch, Vec<Piece>>,
    mut emit: impl FnMut(EpochOutput) + 'static,
) -> Stream<'_, Epoch, Vec<()>> {
    let exchange = Exchange::new(|_: &Piece| 0);
    pieces.unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(exchange, "collect", move |_, _| {
        let mut collector = Collector::default();
        move |(input, frontier), _output| {
            input.for_each(|_capability, data| data.drain(..).for_each(|piece| collector.add(piece)));
            let frontier = frontier.frontier().first().map(|epoch| *epoch as i64);
            collector.complete(frontier).for_each(&mut emit);
        }
    })
}
