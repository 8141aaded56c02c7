//! The table sink: row versions of one day of one table become one Parquet file, on the worker that the day falls to.
//!
//! ```text
//!   (table, rows) ─▶ parts by day ─exchange by (table, day)─▶ kept until the day's epochs are complete ─▶ sort ─▶ file
//! ```
//! A day that grows beyond `ROWS_PER_FILE` is cut at the end of an epoch. What is cut where depends on the rows alone, so the
//! files are the same with any number of workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use connectors::HistoryError;
use connectors::objects::Objects;
use connectors::parquet::{ColumnHints, ParquetSink, WrittenFile};
use operators::dataflow::driver::Epoch;
use operators::domain::rows::RowBatch;
use operators::domain::table::{ColumnType, Table};
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

/// Writes files of the days that it is given rows of.
pub struct DayWriter {
    sink: ParquetSink,
    days: BTreeMap<(i32, u8), Vec<RowSlice>>,
}

impl DayWriter {
    /// A writer without rows.
    pub fn new(store: Objects) -> Self {
        DayWriter { sink: ParquetSink::new(store), days: BTreeMap::new() }
    }

    /// Takes on rows of one epoch.
    pub fn add(&mut self, table: TableId, epoch: i64, slice: RowSlice) {
        let day = epoch.div_euclid(DAY_MS) as i32;
        self.days.entry((day, table as u8)).or_default().push(slice);
    }

    /// Forgets rows up to an epoch. Only for rows that were added epoch by epoch.
    pub fn forget_through(&mut self, epoch: i64) {
        for slices in self.days.values_mut() {
            slices.retain(|slice| slice.rows.epoch(slice.range.start) > epoch);
        }
        self.days.retain(|_, slices| !slices.is_empty());
    }

    /// Writes all rows and keeps them, until [`DayWriter::forget_through`].
    ///
    /// # Errors
    /// If a file cannot be written; others may have been, and nobody reads what no manifest names.
    pub fn write_all(&mut self) -> Result<Vec<TableFile>, HistoryError> {
        let days = std::mem::take(&mut self.days);
        let mut files = Vec::new();
        let written =
            days.iter().try_for_each(|((day, table), slices)| self.write_day(*day, *table, slices.clone(), &mut files));
        self.days = days;
        written.map(|()| files)
    }

    /// Writes the days that are complete before `frontier` (`None`: all), and cuts those that have grown large.
    fn write_complete(&mut self, frontier: Option<i64>) -> Result<Vec<TableFile>, HistoryError> {
        let day_frontier = frontier.map(|frontier| frontier.div_euclid(DAY_MS) as i32);
        let waiting = match day_frontier {
            Some(day) => self.days.split_off(&(day, 0)),
            None => BTreeMap::new(),
        };
        let mut files = Vec::new();
        for ((day, table), slices) in std::mem::replace(&mut self.days, waiting) {
            self.write_day(day, table, slices, &mut files)?;
        }
        for ((day, table), mut slices) in std::mem::take(&mut self.days) {
            while let Some(part) = cut(table, &mut slices, frontier) {
                files.extend(self.write(day, table, &part)?);
            }
            self.days.insert((day, table), slices);
        }
        Ok(files)
    }

    /// Writes all of a day's rows, in files of bounded size.
    fn write_day(
        &mut self,
        day: i32,
        table: u8,
        mut slices: Vec<RowSlice>,
        files: &mut Vec<TableFile>,
    ) -> Result<(), HistoryError> {
        while let Some(part) = cut(table, &mut slices, None) {
            files.extend(self.write(day, table, &part)?);
        }
        files.extend(self.write(day, table, &slices)?);
        Ok(())
    }

    fn write(&mut self, day: i32, table: u8, slices: &[RowSlice]) -> Result<Option<TableFile>, HistoryError> {
        let table = TableId::ALL[usize::from(table)];
        let declaration = table.table();
        let schema = stored_schema(declaration);
        let epochs = || slices.iter().flat_map(|slice| slice.range.clone().map(|row| slice.rows.epoch(row)));
        let (Some(epoch_first), Some(epoch_last)) = (epochs().min(), epochs().max()) else { return Ok(None) };
        let batch = record_batch(declaration, &schema, slices)
            .map_err(|source| HistoryError::Rows { table: declaration.name.to_owned(), source })?;
        let hints = hints_of(declaration);
        let day = format_date(i64::from(day));
        let written = self.sink.write(declaration.name, &day, epoch_first, epoch_last, &[batch], &hints)?;
        Ok(Some(TableFile { table, epoch_first, epoch_last, written }))
    }
}

/// What is known of the columns of a table's files.
pub fn hints_of(table: &Table) -> ColumnHints {
    let names = |names: &mut dyn Iterator<Item = &'static str>| names.map(str::to_owned).collect();
    let (repetitive, keys) =
        (table.stored().filter(|column| column.repetitive), table.stored().filter(|column| column.key));
    ColumnHints {
        dictionary: names(&mut repetitive.map(|column| column.name).chain([EPOCH, "change", "changed_at"])),
        statistics: names(&mut keys.map(|column| column.name).chain([EPOCH])),
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
    store: Objects,
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
        let mut writer = DayWriter::new(store);
        move |(input, frontier), _output| {
            input.for_each(|_capability, data| {
                for DayRows { table, day, slice } in data.drain(..) {
                    writer.days.entry((day, table)).or_default().push(slice);
                }
            });
            if failure.is_set() {
                return;
            }
            match writer.write_complete(frontier.frontier().first().map(|epoch| *epoch as i64)) {
                Ok(written) => files.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(written),
                Err(error) => failure.report(&error),
            }
        }
    })
}
