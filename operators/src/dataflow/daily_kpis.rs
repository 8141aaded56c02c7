//! Daily KPIs: sums and percentiles by dealer and local day, kept up change by change.
//!
//! ```text
//!   KpiChange { dealer, day, measure, ±1, amounts } ─▶ day's sums, sorted responses ─▶ one row per changed day and epoch
//!   KpiBatch.barrier ───────────────────────────────▶ the state at its epoch ──────▶ parts of the snapshot
//! ```
//! Responses of a day are a sorted list; an epoch's changes are merged into it in one pass, so a day of a million answers costs a
//! merge per epoch and not a shift per answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::operate::FrontierInterest;

use super::driver::{Epoch, Progress};
use super::snapshot::{Chains, SnapshotSlice};
use super::statistics::Statistics;
use crate::domain::rows::{Cell, RowBatch, RowChange};
use crate::domain::shards::{Barrier, WorkerShards};
use crate::domain::tables::TableId;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Measure {
    /// Leads created.
    Leads,
    /// Leads answered; the first amount is the response in milliseconds.
    Responded,
    /// Deals created.
    DealsCreated,
    /// Deals delivered; the amounts are front and back gross.
    DealsClosed,
    /// Vehicles acquired.
    VehiclesAcquired,
    /// Vehicles sold.
    VehiclesSold,
}

pub(super) const MEASURES: usize = 6;

/// Days of which one activation tells after a restart, and those of one more dealer.
const RESTORED_DAYS: usize = 4_096;

/// One change of one day's counts.
#[derive(Clone, Copy, Debug)]
pub struct KpiChange {
    /// The epoch.
    pub epoch: i64,
    /// The worker's number of the dealer.
    pub dealer: u32,
    /// Local day, in days since 1970-01-01.
    pub day: i32,
    /// What is counted.
    pub measure: Measure,
    /// Added or taken away.
    pub sign: i8,
    /// See [`Measure`].
    pub amounts: [i64; 2],
}

/// Changes in order of epochs, with the dealers that are new among them.
#[derive(Clone, Debug, Default)]
pub struct KpiBatch {
    /// Numbers and ids of dealers seen for the first time.
    pub dealers: Vec<(u32, Vec<u8>)>,
    /// The changes.
    pub changes: Vec<KpiChange>,
    /// A barrier that comes after the changes.
    pub barrier: Option<Barrier>,
}

/// One local day of one dealer.
#[derive(Debug, Default)]
pub(super) struct Day {
    pub(super) counts: [i64; MEASURES],
    pub(super) gross: [i64; 2],
    pub(super) responses_ms: Vec<i64>,
    added_ms: Vec<i64>,
    taken_ms: Vec<i64>,
    dirty: bool,
    pub(super) shown: bool,
    /// It is not what was written down last.
    pub(super) changed: bool,
}

impl Day {
    fn change(&mut self, change: &KpiChange) {
        self.counts[change.measure as usize] += i64::from(change.sign);
        match change.measure {
            Measure::Responded if change.sign > 0 => self.added_ms.push(change.amounts[0]),
            Measure::Responded => self.taken_ms.push(change.amounts[0]),
            Measure::DealsClosed => {
                for (gross, amount) in self.gross.iter_mut().zip(change.amounts) {
                    // Sums of cents wrap rather than panic: 90 quadrillion dollars a day is a producer's joke.
                    *gross = gross.wrapping_add(amount.wrapping_mul(i64::from(change.sign)));
                }
            }
            _ => {}
        }
    }

    /// Merges the epoch's changes into the sorted responses.
    fn merge_responses(&mut self) {
        if self.added_ms.is_empty() && self.taken_ms.is_empty() {
            return;
        }
        if let ([added], []) = (self.added_ms.as_slice(), self.taken_ms.as_slice()) {
            let at = self.responses_ms.partition_point(|response| response <= added);
            self.responses_ms.insert(at, *added);
        } else {
            self.responses_ms.append(&mut self.added_ms);
            self.responses_ms.sort_unstable();
            self.taken_ms.sort_unstable();
            let mut taken = self.taken_ms.iter().peekable();
            self.responses_ms.retain(|response| taken.next_if(|taken| *taken == response).is_none());
        }
        self.added_ms.clear();
        self.taken_ms.clear();
    }

    /// Nearest-rank percentile in seconds.
    fn response_seconds(&self, percent: usize) -> Option<f64> {
        let rank = (self.responses_ms.len() * percent).div_ceil(100);
        self.responses_ms.get(rank.max(1) - 1).map(|milliseconds| *milliseconds as f64 / 1_000.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts == [0; MEASURES]
    }

    /// Adds the row of a day that is not empty.
    fn write_row(&self, epoch: i64, dealer: &[u8], number: i32, rows: &mut RowBatch) {
        rows.start(epoch, RowChange::Upsert);
        rows.cell(Cell::Text(dealer));
        rows.cell(Cell::Integer(i64::from(number)));
        let count = |measure: Measure| Cell::Integer(self.counts[measure as usize]);
        let seconds = |percent| self.response_seconds(percent).map_or(Cell::Null, Cell::Double);
        for cell in [
            count(Measure::Leads),
            count(Measure::Responded),
            seconds(50),
            seconds(90),
            count(Measure::DealsCreated),
            count(Measure::DealsClosed),
            Cell::Integer(self.gross[0]),
            Cell::Integer(self.gross[1]),
            count(Measure::VehiclesAcquired),
            count(Measure::VehiclesSold),
        ] {
            rows.cell(cell);
        }
        rows.finish();
    }
}

/// The days of one worker's dealers.
#[derive(Debug, Default)]
pub struct DailyKpis {
    pub(super) dealers: Vec<Dealer>,
    dirty: Vec<(u32, i32)>,
    pub(super) shown: u64,
    /// Days that changed since they were written down, if they are.
    pub(super) changed: Option<Vec<(u32, i32)>>,
    pub(super) chains: Chains,
    /// Days that were restored, of dealers whose number was not told yet.
    pub(super) unnumbered: BTreeMap<Vec<u8>, Vec<(i32, Day)>>,
    /// The epoch of what was restored, until it is told.
    pub(super) restored_epoch: Option<i64>,
    /// The last dealer of whose restored days was told.
    told: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(super) struct Dealer {
    pub(super) name: Vec<u8>,
    /// Sorted by day; changes fall on the last days almost always.
    pub(super) days: Vec<(i32, Day)>,
}

impl DailyKpis {
    /// No days. What changes is remembered if `snapshots` are to be made of them.
    pub fn new(snapshots: bool) -> Self {
        DailyKpis { changed: snapshots.then(Vec::new), ..DailyKpis::default() }
    }

    /// Applies changes and writes the rows of every epoch among them.
    pub fn apply(&mut self, batch: &KpiBatch, mut rows: Option<&mut RowBatch>) {
        for (number, name) in &batch.dealers {
            if self.dealers.len() <= *number as usize {
                self.dealers.resize_with(*number as usize + 1, Dealer::default);
            }
            let dealer = &mut self.dealers[*number as usize];
            dealer.name.clone_from(name);
            if let Some(days) = self.unnumbered.remove(name) {
                dealer.days = days;
            }
        }
        for changes in batch.changes.chunk_by(|left, right| left.epoch == right.epoch) {
            for change in changes {
                let day = self.day(change.dealer, change.day);
                day.change(change);
                if !std::mem::replace(&mut day.dirty, true) {
                    self.dirty.push((change.dealer, change.day));
                }
            }
            self.close(changes[0].epoch, rows.as_deref_mut());
        }
    }

    pub(super) fn day(&mut self, dealer: u32, day: i32) -> &mut Day {
        let days = &mut self.dealers[dealer as usize].days;
        let at = match days.last() {
            Some((last, _)) if *last == day => days.len() - 1,
            Some((last, _)) if *last < day => {
                days.push((day, Day::default()));
                days.len() - 1
            }
            _ => match days.binary_search_by_key(&day, |(day, _)| *day) {
                Ok(at) => at,
                Err(at) => {
                    days.insert(at, (day, Day::default()));
                    at
                }
            },
        };
        &mut days[at].1
    }

    fn close(&mut self, epoch: i64, mut rows: Option<&mut RowBatch>) {
        for (dealer, number) in std::mem::take(&mut self.dirty) {
            let day = self.day(dealer, number);
            day.dirty = false;
            day.merge_responses();
            let exists = !day.is_empty();
            let shown = std::mem::replace(&mut day.shown, exists);
            let changed = std::mem::replace(&mut day.changed, true);
            self.shown = self.shown + u64::from(exists) - u64::from(shown);
            if let Some(days) = self.changed.as_mut().filter(|_| !changed) {
                days.push((dealer, number));
            }
            if let Some(rows) = rows.as_deref_mut().filter(|_| exists || shown) {
                let name = std::mem::take(&mut self.dealers[dealer as usize].name);
                if exists {
                    self.day(dealer, number).write_row(epoch, &name, number, rows);
                } else {
                    rows.start(epoch, RowChange::Delete);
                    rows.cell(Cell::Text(&name));
                    rows.cell(Cell::Integer(i64::from(number)));
                    rows.finish();
                }
                self.dealers[dealer as usize].name = name;
            }
        }
    }

    /// Adds the rows of some dealers' restored days, before any change.
    fn tell_restored(&mut self, mut rows: Option<&mut RowBatch>) -> Progress {
        let Some(epoch) = self.restored_epoch else { return Progress::Done };
        let told = self.told.take();
        let from = told.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        for (name, days) in self.unnumbered.range::<Vec<u8>, _>((from, Bound::Unbounded)) {
            let Some(rows) = rows.as_deref_mut() else { break };
            for (number, day) in days.iter().filter(|(_, day)| day.shown) {
                day.write_row(epoch, name, *number, rows);
            }
            if rows.len() >= RESTORED_DAYS {
                self.told = Some(name.clone());
                return Progress::More;
            }
        }
        self.restored_epoch = None;
        Progress::Done
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.shown
    }
}

/// What the operator gives.
#[derive(Debug)]
pub struct KpiStreams<'scope> {
    /// Rows of `daily_kpis`.
    pub rows: Stream<'scope, Epoch, Vec<(TableId, RowBatch)>>,
    /// Parts of the snapshots of barriers.
    pub snapshots: Stream<'scope, Epoch, Vec<SnapshotSlice>>,
}

/// The operator: changes of this worker's dealers in, rows of `daily_kpis` out. It begins with `kpis`, new or restored; the rows of
/// restored days go out first, at their epoch, if `restored_rows` asks for them.
pub fn daily_kpis(
    changes: Stream<'_, Epoch, Vec<KpiBatch>>,
    mut kpis: DailyKpis,
    with_rows: bool,
    restored_rows: bool,
    statistics: Rc<RefCell<Statistics>>,
) -> KpiStreams<'_> {
    let scope = changes.scope();
    let shards = WorkerShards { index: scope.index(), peers: scope.peers() };
    let mut builder = OperatorBuilder::new("daily_kpis".to_owned(), scope);
    let activator = scope.activator_for(builder.operator_info().address);
    let mut input = builder.new_input(changes, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (rows, rows_stream) = builder.new_output::<Vec<(TableId, RowBatch)>>();
    let (snapshots, snapshots_stream) = builder.new_output::<Vec<SnapshotSlice>>();
    let mut rows_output = OutputBuilder::<_, CapacityContainerBuilder<Vec<(TableId, RowBatch)>>>::from(rows);
    let mut snapshots_output = OutputBuilder::<_, CapacityContainerBuilder<Vec<SnapshotSlice>>>::from(snapshots);
    builder.build(move |capabilities| {
        let first = capabilities.into_iter().next();
        let mut restored = kpis.restored_epoch.zip(first).map(|(epoch, first)| first.delayed(&(epoch as Epoch)));
        move |_frontiers| {
            let (mut rows_output, mut snapshots_output) = (rows_output.activate(), snapshots_output.activate());
            if let Some(capability) = &restored {
                let mut rows = RowBatch::new(TableId::DailyKpis.width());
                let progress = kpis.tell_restored((with_rows && restored_rows).then_some(&mut rows));
                if !rows.is_empty() {
                    rows_output.session(capability).give((TableId::DailyKpis, rows));
                }
                if progress == Progress::Done {
                    restored = None;
                }
                activator.activate();
                return;
            }
            input.for_each(|capability, data| {
                let mut rows = RowBatch::new(TableId::DailyKpis.width());
                for batch in data.drain(..) {
                    kpis.apply(&batch, with_rows.then_some(&mut rows));
                    if let Some(barrier) = &batch.barrier {
                        let parts = kpis.snapshot(barrier, shards);
                        snapshots_output.session(&capability).give((barrier.epoch, parts));
                    }
                }
                if !rows.is_empty() {
                    rows_output.session(&capability).give((TableId::DailyKpis, rows));
                }
            });
            statistics.borrow_mut().live_rows[TableId::DailyKpis as usize] = kpis.rows() as i64;
        }
    });
    KpiStreams { rows: rows_stream, snapshots: snapshots_stream }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(epoch: i64, measure: Measure, sign: i8, amounts: [i64; 2]) -> KpiChange {
        KpiChange { epoch, dealer: 0, day: 100, measure, sign, amounts }
    }

    #[test]
    fn percentiles_are_nearest_rank_and_follow_retractions() {
        let mut kpis = DailyKpis::default();
        let mut rows = RowBatch::new(TableId::DailyKpis.width());
        let added = (1..=10).map(|second| change(1, Measure::Responded, 1, [second * 1_000, 0]));
        let taken = (6..=10).map(|second| change(2, Measure::Responded, -1, [second * 1_000, 0]));
        let rest = (1..=5).map(|second| change(3, Measure::Responded, -1, [second * 1_000, 0]));
        let batch = KpiBatch {
            dealers: vec![(0, b"d".to_vec())],
            changes: added.chain(taken).chain(rest).collect(),
            barrier: None,
        };
        kpis.apply(&batch, Some(&mut rows));
        assert_eq!(rows.len(), 3);
        let seconds = |row, column| rows.bits(row, column).map(f64::from_bits);
        assert_eq!((seconds(0, 4), seconds(0, 5)), (Some(5.0), Some(9.0)));
        assert_eq!((seconds(1, 4), seconds(1, 5)), (Some(3.0), Some(5.0)));
        assert_eq!(rows.change(2), RowChange::Delete);
        assert_eq!(kpis.rows(), 0);
    }

    #[test]
    fn gross_is_summed_and_taken_back() {
        let mut kpis = DailyKpis::default();
        let mut rows = RowBatch::new(TableId::DailyKpis.width());
        let changes = vec![
            change(1, Measure::DealsClosed, 1, [100, -20]),
            change(1, Measure::DealsClosed, 1, [50, 5]),
            change(2, Measure::DealsClosed, -1, [100, -20]),
        ];
        kpis.apply(&KpiBatch { dealers: vec![(0, b"d".to_vec())], changes, barrier: None }, Some(&mut rows));
        assert_eq!(rows.bits(0, 8).map(|bits| bits as i64), Some(150));
        assert_eq!(rows.bits(1, 9).map(|bits| bits as i64), Some(5));
    }
}
