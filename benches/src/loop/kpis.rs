//! Daily KPIs, counted once at the end, and the totals of their columns.

use std::fmt;

/// What is counted on a day.
#[derive(Clone, Copy, Debug)]
pub(super) enum Measure {
    Leads,
    DealsCreated,
    DealsClosed,
    VehiclesAcquired,
    VehiclesSold,
}

const MEASURES: usize = 5;

#[derive(Debug, Default)]
struct Day {
    counts: [u64; MEASURES],
    gross_cents: [i64; 2],
    responses_ms: Vec<i64>,
}

/// Every dealer's local days.
#[derive(Debug, Default)]
pub(super) struct DailyKpis {
    /// By dealer, sorted by day; counting goes along time, so the last day is almost always meant.
    dealers: Vec<Vec<(i64, Day)>>,
}

impl DailyKpis {
    fn day(&mut self, dealer: u32, day: i64) -> &mut Day {
        let dealer = dealer as usize;
        if self.dealers.len() <= dealer {
            self.dealers.resize_with(dealer + 1, Vec::new);
        }
        let days = &mut self.dealers[dealer];
        let at = match days.last() {
            Some((last, _)) if *last == day => days.len() - 1,
            _ => days.binary_search_by_key(&day, |(day, _)| *day).unwrap_or_else(|at| {
                days.insert(at, (day, Day::default()));
                at
            }),
        };
        &mut days[at].1
    }

    /// Counts one.
    pub(super) fn count(&mut self, dealer: u32, day: i64, measure: Measure) {
        self.day(dealer, day).counts[measure as usize] += 1;
    }

    /// Counts a delivered deal with its front and back gross.
    pub(super) fn count_closed(&mut self, dealer: u32, day: i64, gross_cents: [i64; 2]) {
        let day = self.day(dealer, day);
        day.counts[Measure::DealsClosed as usize] += 1;
        for (sum, gross) in day.gross_cents.iter_mut().zip(gross_cents) {
            *sum = sum.wrapping_add(gross);
        }
    }

    /// Counts a lead, with the time that its answer took if it has one.
    pub(super) fn count_lead(&mut self, dealer: u32, day: i64, response_ms: Option<i64>) {
        let day = self.day(dealer, day);
        day.counts[Measure::Leads as usize] += 1;
        day.responses_ms.extend(response_ms);
    }

    /// Sorts the answers of every day, takes the percentiles and sums each column over all rows.
    pub(super) fn totals(&mut self) -> KpiTotals {
        let mut totals = KpiTotals::default();
        for (_, day) in self.dealers.iter_mut().flatten() {
            day.responses_ms.sort_unstable();
            let answers = day.responses_ms.len();
            let percentile = |percent: usize| {
                let rank = (answers * percent).div_ceil(100).max(1);
                day.responses_ms.get(rank - 1).map_or(0, |response_ms| i128::from(*response_ms))
            };
            let count = |measure: Measure| i128::from(day.counts[measure as usize]);
            let row = [
                1,
                count(Measure::Leads),
                answers as i128,
                percentile(50),
                percentile(90),
                count(Measure::DealsCreated),
                count(Measure::DealsClosed),
                i128::from(day.gross_cents[0]),
                i128::from(day.gross_cents[1]),
                count(Measure::VehiclesAcquired),
                count(Measure::VehiclesSold),
            ];
            for (total, value) in totals.0.iter_mut().zip(row) {
                *total += value;
            }
        }
        totals
    }
}

/// Sums of the columns of `daily_kpis` over all dealers and days; the percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KpiTotals([i128; KPI_COLUMNS.len()]);

/// Names of the totals: the number of rows, then the columns as in the live table.
pub const KPI_COLUMNS: [&str; 11] = [
    "rows",
    "leads",
    "responded",
    "response_seconds_p50",
    "response_seconds_p90",
    "deals_created",
    "deals_closed",
    "front_gross_cents",
    "back_gross_cents",
    "vehicles_acquired",
    "vehicles_sold",
];

impl fmt::Display for KpiTotals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, total) in KPI_COLUMNS.iter().zip(self.0) {
            if name.starts_with("response_seconds") {
                writeln!(formatter, "{name} {}.{:03}", total / 1_000, total % 1_000)?;
            } else {
                writeln!(formatter, "{name} {total}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank_and_columns_sum_over_rows() {
        let mut kpis = DailyKpis::default();
        for second in (1..=10).rev() {
            kpis.count_lead(0, 100, Some(second * 1_000));
        }
        kpis.count_lead(3, 99, Some(250));
        kpis.count_lead(0, 98, None);
        kpis.count_closed(0, 98, [100, -20]);
        kpis.count_closed(0, 98, [5, 5]);
        let totals = kpis.totals();
        assert_eq!(totals.0, [3, 12, 11, 5_250, 9_250, 0, 2, 105, -15, 0, 0]);
        assert!(totals.to_string().contains("response_seconds_p50 5.250\n"));
    }
}
