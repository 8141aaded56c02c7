//! The machine, the daily counts and the join of reps as `pipeline` wires them, run over records to the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use operators::dataflow::daily_kpis::{DailyKpis, daily_kpis};
use operators::dataflow::driver::{Epoch, Machine, drive};
use operators::dataflow::entities::{EntityMachine, EntitySettings};
use operators::dataflow::intelligence::settings::{ModelSettings, PreparedModels};
use operators::dataflow::rep_names::RepNames;
use operators::dataflow::reps::reps;
use operators::dataflow::snapshot::{Section, SnapshotPart};
use operators::dataflow::statistics::Statistics;
use operators::domain::batch::{EventBatch, Place, RawBytes, Span};
use operators::domain::hash::shard_of;
use operators::domain::parse::Parser;
use operators::domain::rows::{RowBatch, RowChange};
use operators::domain::shards::{Barrier, WorkerShards};
use operators::domain::table::ColumnType;
use operators::domain::tables::TableId;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::source;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Concatenate, Inspect};

use crate::events::{EpochRecords, HOUR_MS, Record};

pub(crate) const SETTINGS: EntitySettings = EntitySettings {
    dedup_horizon_ms: 20 * HOUR_MS,
    dedup_keys_max: 256 * 30,
    retention_ms: 60 * HOUR_MS,
    rows: true,
    snapshots: true,
    restored_rows: true,
};

/// Every model on.
pub(crate) fn standard() -> PreparedModels {
    ModelSettings::standard().prepare().unwrap()
}

/// A row as it was written: its cells as text, the key first.
pub(crate) type Row = (TableId, Vec<String>, RowChange);

/// What a run gave.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Rows by epoch, sorted.
    pub(crate) rows: BTreeMap<i64, Vec<Row>>,
    /// Dead letters by epoch, sorted.
    pub(crate) letters: BTreeMap<i64, Vec<String>>,
    /// What the models say by epoch, sorted.
    pub(crate) messages: BTreeMap<i64, Vec<String>>,
    /// Events and outputs by epoch, over all workers.
    pub(crate) counts: BTreeMap<i64, (u64, u64)>,
    /// Parts by the epoch of their barrier, sorted by section, shard and slice.
    pub(crate) parts: BTreeMap<i64, Vec<SnapshotPart>>,
    /// Rows of each table at the end, over all workers.
    pub(crate) live_rows: Vec<i64>,
    pub(crate) expired: u64,
    pub(crate) ambiguous: u64,
    pub(crate) dedup_keys: u64,
}

/// Where a run begins.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) epoch: i64,
    pub(crate) parts: Vec<SnapshotPart>,
}

/// The rows of each table after `until`, by key.
pub(crate) fn tables(outcome: &Outcome, until: i64) -> BTreeMap<(TableId, Vec<String>), Vec<String>> {
    let mut tables = BTreeMap::new();
    for (table, cells, change) in outcome.rows.range(..=until).flat_map(|(_, rows)| rows) {
        let key = (*table, cells[..table.table().keys()].to_vec());
        if *change == RowChange::Upsert {
            tables.insert(key, cells.clone());
        } else {
            tables.remove(&key);
        }
    }
    tables
}

fn cells(table: TableId, rows: &RowBatch, row: usize) -> Vec<String> {
    let text = |column_type| matches!(column_type, ColumnType::Text | ColumnType::Bytes);
    let is_word_text = |column: &operators::domain::table::Column| text(column.column_type);
    let columns = table.table().stored().enumerate();
    columns
        .map(|(column, declared)| {
            if is_word_text(declared) {
                rows.text(row, column).map_or("null".into(), |text| String::from_utf8_lossy(text).into_owned())
            } else {
                rows.bits(row, column).map_or("null".into(), |bits| bits.to_string())
            }
        })
        .collect()
}

/// The batches of some epochs for all workers, of the records that worker `index` reads.
fn batches(epochs: &[EpochRecords], until: i64, barriers: &[Barrier], index: usize, peers: usize) -> Vec<EventBatch> {
    let mut raw = Vec::new();
    let own = |record: &&Record| record.offset as usize % peers == index;
    let mut spans = Vec::new();
    for epoch in epochs {
        for record in epoch.records.iter().filter(own) {
            spans.push((epoch.epoch, record, Span { start: raw.len() as u32, length: record.json.len() as u32 }));
            raw.extend_from_slice(record.json.as_bytes());
        }
    }
    let raw = RawBytes(Arc::new(raw));
    let first = epochs[0].epoch;
    let due = |barrier: &&Barrier| (first..until).contains(&barrier.epoch);
    let mut batches: Vec<EventBatch> = (0..peers)
        .map(|destination| EventBatch {
            destination: destination as u64,
            epochs: epochs.iter().map(|epoch| epoch.epoch).collect(),
            raw: raw.clone(),
            barriers: barriers.iter().filter(due).copied().collect(),
            ..EventBatch::default()
        })
        .collect();
    let mut parser = Parser::default();
    for (epoch, record, span) in spans {
        let place = Place { topic: record.topic as u8, partition: 0, offset: record.offset };
        match parser.parse(&raw.0, span, place, epoch) {
            Ok(event) => {
                let destination = shard_of(event.dealer_hash) % peers;
                parser.push(event, &mut batches[destination]);
            }
            Err(rejection) => {
                let destination = shard_of(parser.dealer_hash(&raw.0, &rejection)) % peers;
                parser.push_rejection(rejection, span, place, (epoch, epoch, 0), &mut batches[destination]);
            }
        }
    }
    batches
}

/// Runs the graph with every model on. Each worker reads its part of the records, `chunk` epochs at a time, and says every barrier to all.
pub(crate) fn run(
    workers: usize,
    settings: EntitySettings,
    start: Option<Start>,
    epochs: &[EpochRecords],
    barriers: &[Barrier],
    chunk: usize,
) -> Outcome {
    run_with(&standard(), workers, settings, start, epochs, barriers, chunk)
}

/// The same with other models.
pub(crate) fn run_with(
    models: &PreparedModels,
    workers: usize,
    settings: EntitySettings,
    start: Option<Start>,
    epochs: &[EpochRecords],
    barriers: &[Barrier],
    chunk: usize,
) -> Outcome {
    let models = models.clone();
    let outcome = Arc::new(Mutex::new(Outcome { live_rows: vec![0; TableId::ALL.len()], ..Outcome::default() }));
    let (shared, epochs, barriers) = (Arc::clone(&outcome), epochs.to_vec(), barriers.to_vec());
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (index, peers) = (worker.index(), worker.peers());
        let statistics = Rc::new(RefCell::new(Statistics::default()));
        let rep_names = RepNames::new(index as u32);
        let machine = EntityMachine::new(settings, rep_names.clone(), Rc::clone(&statistics));
        let mut machine = machine.with_models(models.clone());
        let mut kpis = DailyKpis::new(settings.snapshots);
        if let Some(start) = &start {
            let shards = WorkerShards { index, peers };
            for part in start.parts.iter().filter(|part| shards.contains(usize::from(part.shard))) {
                if part.section == Section::DailyKpis { kpis.restore(part) } else { machine.restore(part) }.unwrap();
            }
            machine.restored(start.epoch).unwrap();
            kpis.restored(start.epoch).unwrap();
        }
        let (epochs, barriers) = (epochs.clone(), barriers.clone());
        worker.dataflow::<Epoch, _, _>(|scope| {
            let stream =
                source::<_, CapacityContainerBuilder<Vec<EventBatch>>, _, _>(scope, "records", |first, info| {
                    let activator = scope.activator_for(info.address);
                    let (mut held, mut at) = (Some(first), 0);
                    move |output| {
                        let Some(capability) = held.as_mut() else { return };
                        let epochs = &epochs[at.min(epochs.len())..];
                        let Some(next) = epochs.first() else { return held = None };
                        capability.downgrade(&(next.epoch as Epoch));
                        let (now, later) = epochs.split_at(epochs.len().min(chunk));
                        let until = later.first().map_or(i64::MAX, |next| next.epoch);
                        let batches = batches(now, until, &barriers, index, peers);
                        output.session(&capability).give_iterator(batches.into_iter());
                        at += chunk;
                        activator.activate();
                    }
                });
            let outputs = drive(stream, "entities", machine);
            let changes = outputs.clone().map(|output| output.kpis);
            let kpis = daily_kpis(changes, kpis, true, settings.restored_rows, Rc::clone(&statistics));
            let rep_updates =
                outputs.clone().flat_map(|output| output.reps.into_iter().map(|(rep, at, by)| (rep, at as u64, by)));
            let active = outputs
                .clone()
                .flat_map(|output| output.active_deals.into_iter().map(|(rep, at, by)| (rep, at as u64, by)));
            let rep_rows = reps(rep_updates, active, rep_names);
            let rows = outputs.clone().flat_map(|output| output.rows);
            let into = Arc::clone(&shared);
            scope.concatenate([rows, kpis.rows, rep_rows]).inspect(move |(table, batch)| {
                let mut outcome = into.lock().unwrap();
                for row in 0..batch.len() {
                    let version = (*table, cells(*table, batch, row), batch.change(row));
                    outcome.rows.entry(batch.epoch(row)).or_default().push(version);
                }
            });
            let into = Arc::clone(&shared);
            let snapshots = outputs.clone().flat_map(|output| output.snapshots);
            scope.concatenate([snapshots, kpis.snapshots]).inspect(move |(epoch, parts)| {
                into.lock().unwrap().parts.entry(*epoch).or_default().extend(parts.iter().cloned());
            });
            let into = Arc::clone(&shared);
            outputs.inspect(move |output| {
                let mut outcome = into.lock().unwrap();
                for letter in &output.letters {
                    outcome.letters.entry(letter.epoch).or_default().push(format!("{letter:?}"));
                }
                for number in 0..output.messages.len() {
                    let message = output.messages.message(number);
                    let text = String::from_utf8(message.event().to_vec()).unwrap();
                    outcome.messages.entry(message.epoch()).or_default().push(text);
                }
                for counts in &output.epochs {
                    let sum = outcome.counts.entry(counts.epoch).or_default();
                    *sum = (sum.0 + counts.events, sum.1 + counts.outputs);
                }
            });
        });
        while worker.step_or_park(None) {}
        let (mut outcome, statistics) = (shared.lock().unwrap(), statistics.borrow());
        outcome.live_rows.iter_mut().zip(statistics.live_rows).for_each(|(sum, rows)| *sum += rows);
        outcome.expired += statistics.expired;
        outcome.ambiguous += statistics.ambiguous_order;
        outcome.dedup_keys += statistics.dedup_keys;
    });
    drop(guards.unwrap());
    let mut outcome = std::mem::take(&mut *outcome.lock().unwrap());
    outcome.rows.values_mut().for_each(|rows| rows.sort_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1))));
    outcome.letters.values_mut().for_each(|letters| letters.sort());
    outcome.messages.values_mut().for_each(|messages| messages.sort());
    // A stable sort keeps the slices in order.
    outcome.parts.values_mut().for_each(|parts| parts.sort_by_key(|part| (part.section, part.shard)));
    outcome
}
