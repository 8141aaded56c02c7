//! The graph: read from top to bottom like the diagram. A replay and a running pipeline differ in their ends alone.
//!
//! ```text
//!   replay source ─┐             ┌──────────────────────▶ rows ─┐        ┌─▶ rows by day ─▶ parquet sink, dead letter sink
//!                  ├─▶ entities, ┼─▶ daily_kpis ─────────▶ rows ─┼─▶ ends ┤
//!   records ───────┘   models    ├─▶ reps ⋈ active deals ▶ rows ─┤        └─▶ collect (whole epochs, on worker 0)
//!                                └─▶ epoch counts, messages ─────┘
//! ```
//! Without outputs a replay has only the first two columns: what nobody reads is not computed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use connectors::objects::Objects;
use operators::dataflow::daily_kpis::{DailyKpis, KpiBatch, daily_kpis};
use operators::dataflow::driver::{Epoch, Machine, drive};
use operators::dataflow::entities::{EntityMachine, EntityOutput, EntitySettings, EpochCounts};
use operators::dataflow::entity_rows::RepAttributes;
use operators::dataflow::intelligence::settings::PreparedModels;
use operators::dataflow::letters::DeadLetter;
use operators::dataflow::rep_names::{RepKey, RepNames};
use operators::dataflow::reps::reps;
use operators::dataflow::snapshot::{Section, SnapshotError, SnapshotPart, SnapshotSlice};
use operators::dataflow::statistics::Statistics;
use operators::domain::batch::EventBatch;
use operators::domain::messages::MessageBatch;
use operators::domain::rows::{Cell, RowBatch, RowChange};
use operators::domain::tables::TableId;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::dataflow::{Scope, Stream};
use timely::scheduling::Activator;

use crate::failure::Failure;
use crate::replay::chunks::{ReplayInput, replay_source};
use crate::run::collect::{EpochOutput, Piece, collect};
use crate::run::records::{FeedQueue, records};
use crate::sinks::parquet::{TableFiles, parquet_sink};
use crate::sinks::topics::{Outgoing, TopicFiles, topic_sink};

/// Where results go.
pub struct Outputs {
    /// Parquet.
    pub store: Objects,
    /// The files written so far.
    pub files: TableFiles,
    /// The topics' files, on worker 0.
    pub topics: Option<TopicFiles>,
    /// Called with them when all messages are written.
    pub topics_done: Box<dyn Fn(TopicFiles)>,
    /// Where errors go.
    pub failure: Failure,
}

/// What the machines of a graph are told.
#[derive(Clone, Debug)]
pub struct GraphSettings {
    /// The entity machine.
    pub entities: EntitySettings,
    /// The models.
    pub models: PreparedModels,
}

/// Builds the graph of a replay on one worker. The counts of the worker appear in `statistics`.
pub fn replay(
    scope: Scope<'_, Epoch>,
    input: ReplayInput,
    settings: GraphSettings,
    outputs: Option<Outputs>,
    statistics: &Rc<RefCell<Statistics>>,
) -> Handle<Epoch> {
    let finished = Handle::new();
    let batches = replay_source(scope, input, finished.clone());
    // A replay makes no snapshots: it is its own recovery.
    let rep_names = RepNames::new(scope.index() as u32);
    let GraphSettings { entities: settings, models } = settings;
    let entities = EntityMachine::new(settings, rep_names.clone(), Rc::clone(statistics)).with_models(models);
    let machines = Machines { entities, kpis: DailyKpis::new(false), rep_names, restored_epoch: None };
    let Some(outputs) = outputs else {
        views(batches, machines, settings, false, statistics).rows.probe_with(&finished);
        return finished;
    };
    let Views { rows, letters, messages, epochs, snapshots: _ } = views(batches, machines, settings, true, statistics);
    let rows = scope.concatenate([rows, epoch_rows(epochs)]);
    let rows = count_live_rows(rows, Rc::clone(statistics));
    let tables = parquet_sink(rows, outputs.store, outputs.files, outputs.failure.clone());
    let letters = wrapped(letters, "dead letters to topics", Outgoing::Letter);
    let messages = wrapped(messages, "messages to topics", Outgoing::Messages);
    let outgoing = scope.concatenate([letters, messages]);
    let topics = topic_sink(outgoing, outputs.topics, outputs.failure, outputs.topics_done);
    scope.concatenate([tables, topics]).probe_with(&finished);
    finished
}

/// Builds the graph of a running pipeline on one worker: `emit` gets each epoch's outputs, on worker 0, in order. The activator is
/// to be called when the queue has grown.
pub fn run(
    scope: Scope<'_, Epoch>,
    queue: FeedQueue,
    max_future_ms: i64,
    machines: Machines,
    settings: EntitySettings,
    emit: impl FnMut(EpochOutput) + 'static,
    statistics: &Rc<RefCell<Statistics>>,
) -> (Handle<Epoch>, Activator) {
    let finished = Handle::new();
    let (batches, activator) = records(scope, queue, max_future_ms, machines.restored_epoch);
    let Views { rows, letters, messages, epochs, snapshots } = views(batches, machines, settings, true, statistics);
    let rows = count_live_rows(rows, Rc::clone(statistics));
    let rows = wrapped(rows, "rows to collect", |(table, rows)| Piece::Rows(table as u8, rows));
    let letters = wrapped(letters, "dead letters to collect", Piece::Letter);
    let messages = wrapped(messages, "messages to collect", Piece::Messages);
    let epochs = wrapped(epochs, "counts to collect", Piece::Counts);
    let snapshots = wrapped(snapshots, "snapshots to collect", |(epoch, parts)| Piece::Snapshot(epoch, parts));
    collect(scope.concatenate([rows, letters, messages, epochs, snapshots]), emit).probe_with(&finished);
    (finished, activator)
}

/// What the operators make of events.
struct Views<'scope> {
    rows: Rows<'scope>,
    letters: Stream<'scope, Epoch, Vec<DeadLetter>>,
    messages: Stream<'scope, Epoch, Vec<MessageBatch>>,
    epochs: Stream<'scope, Epoch, Vec<EpochCounts>>,
    snapshots: Stream<'scope, Epoch, Vec<SnapshotSlice>>,
}

/// The state of one worker, before its dataflow is built.
pub struct Machines {
    entities: EntityMachine,
    kpis: DailyKpis,
    rep_names: RepNames,
    /// The epoch that the state is of, if it was restored.
    restored_epoch: Option<i64>,
}

/// A snapshot to go on with: its epoch, and the parts of it that are a worker's, in the order in which they were written.
pub type Restored = (i64, Vec<SnapshotPart>);

impl Machines {
    /// New machines for worker `index`, or such that go on with a snapshot.
    ///
    /// # Errors
    /// If the snapshot is damaged, incomplete or of another format.
    pub fn new(
        settings: GraphSettings,
        index: usize,
        restored: Option<Restored>,
        statistics: &Rc<RefCell<Statistics>>,
    ) -> Result<Self, SnapshotError> {
        let rep_names = RepNames::new(index as u32);
        let GraphSettings { entities: settings, models } = settings;
        let mut entities = EntityMachine::new(settings, rep_names.clone(), Rc::clone(statistics)).with_models(models);
        let mut kpis = DailyKpis::new(settings.snapshots);
        let restored_epoch = restored.as_ref().map(|(epoch, _)| *epoch);
        if let Some((epoch, parts)) = restored {
            // Each part goes as its state comes, so that both are never whole in memory at once.
            for part in parts {
                match part.section {
                    Section::DailyKpis => kpis.restore(&part)?,
                    _ => entities.restore(&part)?,
                }
            }
            entities.restored(epoch)?;
            kpis.restored(epoch)?;
        }
        Ok(Machines { entities, kpis, rep_names, restored_epoch })
    }
}

/// The operators, from events to rows. Without rows in `settings` there are only those that count; their rows are made if `kpi_rows`
/// asks for them.
fn views<'scope>(
    batches: Stream<'scope, Epoch, Vec<EventBatch>>,
    machines: Machines,
    settings: EntitySettings,
    kpi_rows: bool,
    statistics: &Rc<RefCell<Statistics>>,
) -> Views<'scope> {
    let scope = batches.scope();
    let Machines { entities, kpis, rep_names, restored_epoch: _ } = machines;
    let parts = unpack(drive(batches, "entities", entities));
    let kpis = daily_kpis(parts.kpis, kpis, kpi_rows, settings.restored_rows, Rc::clone(statistics));
    let snapshots = scope.concatenate([parts.snapshots, kpis.snapshots]);
    if !settings.rows {
        let (letters, messages) = (parts.letters, parts.messages);
        return Views { rows: kpis.rows, letters, messages, epochs: parts.epochs, snapshots };
    }
    let rep_rows = reps(parts.reps, parts.active_deals, rep_names);
    let rows = scope.concatenate([parts.rows, kpis.rows, rep_rows]);
    Views { rows, letters: parts.letters, messages: parts.messages, epochs: parts.epochs, snapshots }
}

type Rows<'scope> = Stream<'scope, Epoch, Vec<(TableId, RowBatch)>>;

type RepUpdate = ((RepKey, RepAttributes), Epoch, isize);

/// The parts of what the entity machine emits.
struct Parts<'scope> {
    rows: Rows<'scope>,
    kpis: Stream<'scope, Epoch, Vec<KpiBatch>>,
    reps: Stream<'scope, Epoch, Vec<RepUpdate>>,
    active_deals: Stream<'scope, Epoch, Vec<(RepKey, Epoch, isize)>>,
    letters: Stream<'scope, Epoch, Vec<DeadLetter>>,
    messages: Stream<'scope, Epoch, Vec<MessageBatch>>,
    epochs: Stream<'scope, Epoch, Vec<EpochCounts>>,
    snapshots: Stream<'scope, Epoch, Vec<SnapshotSlice>>,
}

/// Takes the machine's output apart, one stream for each reader.
fn unpack(stream: Stream<'_, Epoch, Vec<EntityOutput>>) -> Parts<'_> {
    let mut builder = OperatorBuilder::new("unpack".to_owned(), stream.scope());
    let mut input = builder.new_input(stream, Pipeline);
    let (rows, rows_stream) = builder.new_output::<Vec<(TableId, RowBatch)>>();
    let (kpis, kpis_stream) = builder.new_output::<Vec<KpiBatch>>();
    let (reps, reps_stream) = builder.new_output::<Vec<RepUpdate>>();
    let (active_deals, active_deals_stream) = builder.new_output::<Vec<(RepKey, Epoch, isize)>>();
    let (letters, letters_stream) = builder.new_output::<Vec<DeadLetter>>();
    let (messages, messages_stream) = builder.new_output::<Vec<MessageBatch>>();
    let (epochs, epochs_stream) = builder.new_output::<Vec<EpochCounts>>();
    let (snapshots, snapshots_stream) = builder.new_output::<Vec<SnapshotSlice>>();
    let mut rows = OutputBuilder::<_, CapacityContainerBuilder<Vec<(TableId, RowBatch)>>>::from(rows);
    let mut kpis = OutputBuilder::<_, CapacityContainerBuilder<Vec<KpiBatch>>>::from(kpis);
    let mut reps = OutputBuilder::<_, CapacityContainerBuilder<Vec<RepUpdate>>>::from(reps);
    let mut active_deals =
        OutputBuilder::<_, CapacityContainerBuilder<Vec<(RepKey, Epoch, isize)>>>::from(active_deals);
    let mut letters = OutputBuilder::<_, CapacityContainerBuilder<Vec<DeadLetter>>>::from(letters);
    let mut messages = OutputBuilder::<_, CapacityContainerBuilder<Vec<MessageBatch>>>::from(messages);
    let mut epochs = OutputBuilder::<_, CapacityContainerBuilder<Vec<EpochCounts>>>::from(epochs);
    let mut snapshots = OutputBuilder::<_, CapacityContainerBuilder<Vec<SnapshotSlice>>>::from(snapshots);
    builder.build(move |_| {
        move |_frontiers| {
            let (mut rows, mut kpis, mut reps) = (rows.activate(), kpis.activate(), reps.activate());
            let (mut active_deals, mut letters, mut epochs) =
                (active_deals.activate(), letters.activate(), epochs.activate());
            let (mut messages, mut snapshots) = (messages.activate(), snapshots.activate());
            input.for_each(|capability, data| {
                for output in data.drain(..) {
                    rows.session(&capability).give_iterator(output.rows.into_iter());
                    kpis.session(&capability).give(output.kpis);
                    let changed = output.reps.into_iter().map(|(rep, epoch, change)| (rep, epoch as u64, change));
                    reps.session(&capability).give_iterator(changed);
                    let changed =
                        output.active_deals.into_iter().map(|(rep, epoch, change)| (rep, epoch as u64, change));
                    active_deals.session(&capability).give_iterator(changed);
                    letters.session(&capability).give_iterator(output.letters.into_iter());
                    if !output.messages.is_empty() {
                        messages.session(&capability).give(output.messages);
                    }
                    epochs.session(&capability).give_iterator(output.epochs.into_iter());
                    snapshots.session(&capability).give_iterator(output.snapshots.into_iter());
                }
            });
        }
    });
    Parts {
        rows: rows_stream,
        kpis: kpis_stream,
        reps: reps_stream,
        active_deals: active_deals_stream,
        letters: letters_stream,
        messages: messages_stream,
        epochs: epochs_stream,
        snapshots: snapshots_stream,
    }
}

/// Wraps what a stream holds, so that it can flow with others.
fn wrapped<'scope, T: Clone + 'static, W: Clone + 'static>(
    stream: Stream<'scope, Epoch, Vec<T>>,
    name: &str,
    wrap: impl Fn(T) -> W + 'static,
) -> Stream<'scope, Epoch, Vec<W>> {
    stream.unary::<CapacityContainerBuilder<Vec<W>>, _, _, _>(Pipeline, name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, data| {
                output.session(&capability).give_iterator(data.drain(..).map(&wrap));
            });
        }
    })
}

/// Sums each epoch's counts over the workers into a row of `epochs`.
fn epoch_rows(counts: Stream<'_, Epoch, Vec<EpochCounts>>) -> Rows<'_> {
    let exchange = Exchange::new(|_: &EpochCounts| 0);
    counts.unary_frontier::<CapacityContainerBuilder<Vec<(TableId, RowBatch)>>, _, _, _>(exchange, "epochs", |_, _| {
        let mut sums: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        let mut held: Option<timely::dataflow::operators::Capability<Epoch>> = None;
        move |(input, frontier), output| {
            input.for_each(|capability, data| {
                if held.as_ref().is_none_or(|held| capability.time() < held.time()) {
                    held = Some(capability.retain(0));
                }
                for counts in data.drain(..) {
                    let sum = sums.entry(counts.epoch).or_default();
                    sum.0 += counts.events;
                    sum.1 += counts.outputs;
                }
            });
            let Some(capability) = held.as_mut() else { return };
            let frontier = frontier.frontier().first().map(|epoch| *epoch as i64);
            let waiting = frontier.map_or_else(BTreeMap::new, |frontier| sums.split_off(&frontier));
            let mut rows = RowBatch::new(TableId::Epochs.width());
            for (epoch, (events, outputs)) in std::mem::replace(&mut sums, waiting) {
                rows.start(epoch, RowChange::Upsert);
                let (events, outputs) = (Cell::Integer(events as i64), Cell::Integer(outputs as i64));
                // In a replay an epoch is committed when it closes.
                let epoch = Cell::Integer(epoch);
                for cell in [Cell::Null, epoch, epoch, epoch, events, outputs] {
                    rows.cell(cell);
                }
            }
            if !rows.is_empty() {
                output.session(&capability).give((TableId::Epochs, rows));
            }
            match sums.keys().next() {
                Some(epoch) => capability.downgrade(&(*epoch as u64)),
                None => held = None,
            }
        }
    })
}

/// Counts the rows of tables that only grow, or that a join makes; the machines count their own.
fn count_live_rows(rows: Rows<'_>, statistics: Rc<RefCell<Statistics>>) -> Rows<'_> {
    rows.unary::<CapacityContainerBuilder<Vec<(TableId, RowBatch)>>, _, _, _>(Pipeline, "count rows", move |_, _| {
        move |input, output| {
            input.for_each(|capability, data| {
                let mut statistics = statistics.borrow_mut();
                for (table, rows) in data.iter() {
                    statistics.versions[*table as usize] += rows.len() as u64;
                    if table.only_grows() {
                        statistics.live_rows[*table as usize] += rows.len() as i64;
                    }
                }
                output.session(&capability).give_container(data);
            });
        }
    })
}
