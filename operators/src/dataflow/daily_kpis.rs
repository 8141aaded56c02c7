//! Daily KPIs: sums and percentiles by dealer and local day, kept up change by change.
//!
//! ```text
//!   KpiChange { dealer, day, measure, ±1, amounts } ─▶ day's sums, sorted responses ─▶ one row per changed day and epoch
//! ```
//! Responses of a day are a sorted list; an epoch's changes are merged into it in one pass, so a day of a million answers costs a
//! merge per epoch and not a shift per answer.

use std::cell::RefCell;
use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::operator::Operator;

use super::driver::Epoch;
use super::statistics::Statistics;
use crate::domain::rows::{Cell, RowBatch, RowChange};
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

const MEASURES: usize = 6;

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
}

#[derive(Debug, Default)]
struct Day {
    counts: [i64; MEASURES],
    gross: [i64; 2],
    responses_ms: Vec<i64>,
    added_ms: Vec<i64>,
    taken_ms: Vec<i64>,
    dirty: bool,
    shown: bool,
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

    fn is_empty(&self) -> bool {
        self.counts == [0; MEASURES]
    }
}

/// The days of one worker's dealers.
#[derive(Debug, Default)]
pub struct DailyKpis {
    dealers: Vec<Dealer>,
    dirty: Vec<(u32, i32)>,
    shown: u64,
}

#[derive(Debug, Default)]
struct Dealer {
    name: Vec<u8>,
    /// Sorted by day; changes fall on the last days almost always.
    days: Vec<(i32, Day)>,
}

impl DailyKpis {
    /// Applies changes and writes the rows of every epoch among them.
    pub fn apply(&mut self, batch: &KpiBatch, mut rows: Option<&mut RowBatch>) {
        for (number, name) in &batch.dealers {
            if self.dealers.len() <= *number as usize {
                self.dealers.resize_with(*number as usize + 1, Dealer::default);
            }
            self.dealers[*number as usize].name.clone_from(name);
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

    fn day(&mut self, dealer: u32, day: i32) -> &mut Day {
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
            self.shown = self.shown + u64::from(exists) - u64::from(shown);
            if let Some(rows) = rows.as_deref_mut().filter(|_| exists || shown) {
                rows.start(epoch, if exists { RowChange::Upsert } else { RowChange::Delete });
                rows.cell(Cell::Text(&self.dealers[dealer as usize].name));
                rows.cell(Cell::Integer(i64::from(number)));
                if exists {
                    let day = self.day(dealer, number);
                    let count = |measure: Measure| Cell::Integer(day.counts[measure as usize]);
                    let seconds = |percent| day.response_seconds(percent).map_or(Cell::Null, Cell::Double);
                    for cell in [
                        count(Measure::Leads),
                        count(Measure::Responded),
                        seconds(50),
                        seconds(90),
                        count(Measure::DealsCreated),
                        count(Measure::DealsClosed),
                        Cell::Integer(day.gross[0]),
                        Cell::Integer(day.gross[1]),
                        count(Measure::VehiclesAcquired),
                        count(Measure::VehiclesSold),
                    ] {
                        rows.cell(cell);
                    }
                }
                rows.finish();
            }
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.shown
    }
}

/// The operator: changes of this worker's dealers in, rows of `daily_kpis` out.
pub fn daily_kpis(
    changes: Stream<'_, Epoch, Vec<KpiBatch>>,
    with_rows: bool,
    statistics: Rc<RefCell<Statistics>>,
) -> Stream<'_, Epoch, Vec<(TableId, RowBatch)>> {
    changes.unary::<CapacityContainerBuilder<Vec<(TableId, RowBatch)>>, _, _, _>(Pipeline, "daily_kpis", move |_, _| {
        let mut kpis = DailyKpis::default();
        move |input, output| {
            input.for_each(|capability, data| {
                let mut rows = RowBatch::new(TableId::DailyKpis.width());
                for batch in data.drain(..) {
                    kpis.apply(&batch, with_rows.then_some(&mut rows));
                }
                if !rows.is_empty() {
                    output.session(&capability).give((TableId::DailyKpis, rows));
                }
            });
            statistics.borrow_mut().live_rows[TableId::DailyKpis as usize] = kpis.rows() as i64;
        }
    })
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
        let batch = KpiBatch { dealers: vec![(0, b"d".to_vec())], changes: added.chain(taken).chain(rest).collect() };
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
        kpis.apply(&KpiBatch { dealers: vec![(0, b"d".to_vec())], changes }, Some(&mut rows));
        assert_eq!(rows.bits(0, 8).map(|bits| bits as i64), Some(150));
        assert_eq!(rows.bits(1, 9).map(|bits| bits as i64), Some(5));
    }
}
