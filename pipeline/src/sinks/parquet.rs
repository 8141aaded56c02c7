//! The table sink: row versions of one day of one table become one Parquet file, on the worker that the day falls to.
//!
//! ```text
//!   (table, rows) ─▶ parts by day ─exchange by (table, day)─▶ kept until the day's epochs are complete ─▶ sort ─▶ file
//! ```
//! A day that grows beyond `ROWS_PER_FILE` is cut at the end of an epoch. What is cut where depends on the rows alone, so the
//! files are the same with any number of workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use connectors::parquet::{ColumnHints, HistoryStore, ParquetSink, WrittenFile};
use operators::dataflow::driver::Epoch;
use operators::domain::rows::RowBatch;
use operators::domain::table::ColumnType;
use operators::domain::tables::TableId;
use operators::domain::time::{DAY_MS, format_date};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;

use crate::arrow_rows::{EPOCH, RowSlice, record_batch, stored_schema};
use crate::failure::Failure;

/// Weight after which a day's file is cut at the next end of an epoch: rows, and a row for each kibibyte of payload.
const ROWS_PER_FILE: usize = 200_000;

/// A file that was written, with its table and epochs.
#[derive(Clone, Debug)]
pub struct TableFile {
    /// The table.
    pub table: TableId,
    /// Its first epoch.
    pub epoch_first: i64,
    /// Its last epoch.
    pub epoch_last: i64,
    /// The file.
    pub written: WrittenFile,
}

/// Files written by all workers.
pub type TableFiles = Arc<Mutex<Vec<TableFile>>>;

/// Rows of one table that belong to one day.
#[derive(Clone, Debug)]
struct DayRows {
    table: u8,
    day: i32,
    slice: RowSlice,
}

#[derive(Serialize, Deserialize)]
struct DayRowsOnWire {
    table: u8,
    day: i32,
    start: usize,
    end: usize,
    rows: RowBatch,
}

impl Serialize for DayRows {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (start, end) = (self.slice.range.start, self.slice.range.end);
        DayRowsOnWire { table: self.table, day: self.day, start, end, rows: RowBatch::clone(&self.slice.rows) }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DayRows {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DayRowsOnWire::deserialize(deserializer).map(|wire| DayRows {
            table: wire.table,
            day: wire.day,
            slice: RowSlice { rows: Arc::new(wire.rows), range: wire.start..wire.end },
        })
    }
}

/// Cuts a batch, whose rows come in order of epochs, into its days.
fn days_of(table: TableId, rows: RowBatch) -> Vec<DayRows> {
    let rows = Arc::new(rows);
    let day_at = |row: usize| rows.epoch(row).div_euclid(DAY_MS) as i32;
    let mut days = Vec::new();
    let mut start = 0;
    for row in 1..=rows.len() {
        if row == rows.len() || day_at(row) != day_at(start) {
            let slice = RowSlice { rows: Arc::clone(&rows), range: start..row };
            days.push(DayRows { table: table as u8, day: day_at(start), slice });
            start = row;
        }
    }
    days
}

/// Writes the files of the days that fall to one worker.
struct DayWriter {
    sink: ParquetSink,
    days: BTreeMap<(i32, u8), Vec<RowSlice>>,
    files: TableFiles,
    failure: Failure,
}

impl DayWriter {
    fn add(&mut self, rows: DayRows) {
        self.days.entry((rows.day, rows.table)).or_default().push(rows.slice);
    }

    /// Writes the days that are complete before `frontier` (`None`: all), and cuts those that have grown large.
    fn write_complete(&mut self, frontier: Option<i64>) {
        let day_frontier = frontier.map(|frontier| frontier.div_euclid(DAY_MS) as i32);
        let waiting = match day_frontier {
            Some(day) => self.days.split_off(&(day, 0)),
            None => BTreeMap::new(),
        };
        for ((day, table), slices) in std::mem::replace(&mut self.days, waiting) {
            let mut slices = slices;
            while let Some(part) = cut(table, &mut slices, None) {
                self.write(day, table, &part);
            }
            if !slices.is_empty() {
                self.write(day, table, &slices);
            }
        }
        for ((day, table), mut slices) in std::mem::take(&mut self.days) {
            while let Some(part) = cut(table, &mut slices, frontier) {
                self.write(day, table, &part);
            }
            self.days.insert((day, table), slices);
        }
    }

    fn write(&mut self, day: i32, table: u8, slices: &[RowSlice]) {
        if self.failure.is_set() {
            return;
        }
        let table = TableId::ALL[usize::from(table)];
        let declaration = table.table();
        let schema = stored_schema(declaration);
        let epochs = || slices.iter().flat_map(|slice| slice.range.clone().map(|row| slice.rows.epoch(row)));
        let (Some(epoch_first), Some(epoch_last)) = (epochs().min(), epochs().max()) else { return };
        let batch = match record_batch(declaration, &schema, slices) {
            Ok(batch) => batch,
            Err(error) => return self.failure.report(&error),
        };
        let hints = ColumnHints {
            dictionary: declaration
                .stored()
                .filter(|column| column.repetitive)
                .map(|column| column.name)
                .chain([EPOCH, "change", "changed_at"])
                .map(str::to_owned)
                .collect(),
            statistics: declaration
                .stored()
                .filter(|column| column.key)
                .map(|column| column.name)
                .chain([EPOCH])
                .map(str::to_owned)
                .collect(),
        };
        let day = format_date(i64::from(day));
        match self.sink.write(declaration.name, &day, epoch_first, epoch_last, &[batch], &hints) {
            Ok(written) => {
                let mut files = self.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                files.push(TableFile { table, epoch_first, epoch_last, written });
            }
            Err(error) => self.failure.report(&error),
        }
    }
}

/// Takes the rows of whole epochs before `frontier` off the front, once they weigh `ROWS_PER_FILE`. `None` if they weigh less.
fn cut(table: u8, slices: &mut Vec<RowSlice>, frontier: Option<i64>) -> Option<Vec<RowSlice>> {
    let payload =
        TableId::ALL[usize::from(table)].table().stored().position(|column| column.column_type == ColumnType::Bytes);
    let weight = |rows: &RowBatch, row: usize| {
        1 + payload.and_then(|payload| rows.text(row, payload)).map_or(0, |payload| payload.len() >> 10)
    };
    let weight_of = |slice: &RowSlice| match payload {
        None => slice.range.len(),
        Some(_) => slice.range.clone().map(|row| weight(&slice.rows, row)).sum(),
    };
    if slices.iter().map(weight_of).sum::<usize>() < ROWS_PER_FILE {
        return None;
    }
    let mut rows_by_epoch: BTreeMap<i64, usize> = BTreeMap::new();
    for slice in slices.iter() {
        for row in slice.range.clone() {
            *rows_by_epoch.entry(slice.rows.epoch(row)).or_default() += weight(&slice.rows, row);
        }
    }
    let mut rows = 0;
    let last = rows_by_epoch
        .iter()
        .take_while(|(epoch, _)| frontier.is_none_or(|frontier| **epoch < frontier))
        .find(|(_, count)| {
            rows += **count;
            rows >= ROWS_PER_FILE
        })
        .map(|(epoch, _)| *epoch)?;
    let mut taken = Vec::new();
    let mut rest = Vec::new();
    for slice in slices.drain(..) {
        // Rows of a batch come in order of epochs.
        let split = slice.range.clone().find(|row| slice.rows.epoch(*row) > last).unwrap_or(slice.range.end);
        if split > slice.range.start {
            taken.push(RowSlice { rows: Arc::clone(&slice.rows), range: slice.range.start..split });
        }
        if split < slice.range.end {
            rest.push(RowSlice { rows: slice.rows, range: split..slice.range.end });
        }
    }
    *slices = rest;
    Some(taken)
}

/// The sink. Its output is empty and tells by its frontier what is written or kept.
pub fn parquet_sink(
    rows: Stream<'_, Epoch, Vec<(TableId, RowBatch)>>,
    store: HistoryStore,
    files: TableFiles,
    failure: Failure,
) -> Stream<'_, Epoch, Vec<()>> {
    let days = rows.unary::<CapacityContainerBuilder<Vec<DayRows>>, _, _, _>(Pipeline, "rows by day", |_, _| {
        move |input, output| {
            input.for_each(|capability, data| {
                let mut session = output.session(&capability);
                for (table, rows) in data.drain(..) {
                    for day in days_of(table, rows) {
                        session.give(day);
                    }
                }
            });
        }
    });
    // Neighbouring days of one table and tables of one day fall to different workers.
    let exchange = Exchange::new(|rows: &DayRows| (rows.day as u64).wrapping_add(u64::from(rows.table)));
    days.unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(exchange, "parquet sink", move |_, _| {
        let mut writer = DayWriter { sink: ParquetSink::new(store), days: BTreeMap::new(), files, failure };
        move |(input, frontier), _output| {
            input.for_each(|_capability, data| data.drain(..).for_each(|rows| writer.add(rows)));
            writer.write_complete(frontier.frontier().first().map(|epoch| *epoch as i64));
        }
    })
}
