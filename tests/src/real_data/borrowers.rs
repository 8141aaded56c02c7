//! Borrowers' profiles of real US car loans, and the seeded draw that lends one to each bank application.
//!
//! The two data sets do not know each other: **a lead's profile is drawn, not its own.** The draw depends on the seed and
//! the application's number alone. Amounts are US dollars, taken as the same number of euros.

use std::path::Path;

use super::table_file::{self, Row};
use super::{Outcomes, RealDataError, count};

/// The file, in the folder of shared data.
pub(super) const FILE: &str = "sec_auto_abs_loans/loans_static.csv";

/// The bureau's scores run to 893, ours to 850.
const CREDIT_SCORES: std::ops::RangeInclusive<f64> = 300.0..=850.0;

/// Payment over payment-to-income gives monthly incomes of up to 337,480 dollars: beyond these bounds they are not believed.
const MONTHLY_INCOMES: std::ops::RangeInclusive<f64> = 500.0..=30_000.0;

/// What a lead says of its borrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) credit_score: i64,
    pub(super) annual_income_cents: i64,
    pub(super) vehicle_price_cents: i64,
    pub(super) down_payment_cents: i64,
    pub(super) term_months: i64,
}

/// The profiles that may be drawn. Never empty.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    profiles: Vec<Profile>,
    seed: u64,
}

impl Pool {
    /// The profile of the application with this number.
    pub(super) fn draw(&self, application: u64) -> Profile {
        let random = mix(mix(self.seed) ^ application);
        // The high half of the product spreads the draw evenly over any length.
        let at = (u128::from(random) * self.profiles.len() as u128) >> 64;
        self.profiles[at as usize]
    }
}

/// The finaliser of `SplitMix64`.
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Reads the pool, and how many loans are in it or why not.
pub(super) fn read(path: &Path, seed: u64) -> Result<(Pool, Outcomes), RealDataError> {
    let mut profiles = Vec::new();
    let mut outcomes = Outcomes::new();
    table_file::for_each_row(path, |row| {
        match profile(row)? {
            Ok(profile) => {
                profiles.push(profile);
                count(&mut outcomes, "in the pool");
            }
            Err(reason) => count(&mut outcomes, reason),
        }
        Ok(())
    })?;
    if profiles.is_empty() {
        let problem = "no loan has a usable profile".to_owned();
        return Err(RealDataError::Row { path: path.to_path_buf(), line: 1, problem });
    }
    Ok((Pool { profiles, seed }, outcomes))
}

fn profile(row: &Row<'_>) -> Result<Result<Profile, &'static str>, RealDataError> {
    let (Some(score), Some(value), Some(loan), Some(term)) = (
        row.number("obligorCreditScore")?,
        row.number("vehicleValueAmount")?,
        row.number("originalLoanAmount")?,
        row.number("originalLoanTerm")?,
    ) else {
        return Ok(Err("skipped: no score"));
    };
    if !CREDIT_SCORES.contains(&score) {
        return Ok(Err("skipped: score beyond 850"));
    }
    let payment = row.number("reportingPeriodScheduledPaymentAmount")?.unwrap_or(0.0);
    let payment_to_income = row.number("paymentToIncomePercentage")?.unwrap_or(0.0);
    let monthly_income = payment / payment_to_income;
    if !MONTHLY_INCOMES.contains(&monthly_income) {
        return Ok(Err("skipped: income not believable"));
    }
    Ok(Ok(Profile {
        credit_score: score.round() as i64,
        annual_income_cents: cents(monthly_income * 12.0),
        vehicle_price_cents: cents(value),
        down_payment_cents: cents((value - loan).max(0.0)),
        term_months: term.round() as i64,
    }))
}

/// An amount in whole cents.
pub(super) fn cents(amount: f64) -> i64 {
    (amount * 100.0).round() as i64
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    const HEADER: &str = "originalLoanAmount,originalLoanTerm,vehicleValueAmount,obligorCreditScore,paymentToIncomePercentage,reportingPeriodScheduledPaymentAmount\n";

    fn read_rows(rows: &str) -> Result<(Pool, Outcomes), RealDataError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{HEADER}{rows}")).unwrap();
        read(file.path(), 1)
    }

    /// A pool from which every draw is the same.
    pub(in super::super) fn pool_of_one() -> Pool {
        read_rows("1,73,2,700,0.1,400\n").unwrap().0
    }

    #[test]
    fn incomes_come_from_the_payment_and_odd_ones_are_left_out() {
        let rows = "13649.18,73,10975,694.0,0.1,400\n1,73,2,,0.1,400\n1,73,2,893,0.1,400\n1,73,2,700,0.001,400\n1,73,2,700,0,400\n15000,75,20000.5,850,0.08,400\n";
        let (pool, outcomes) = read_rows(rows).unwrap();
        let first = Profile {
            credit_score: 694,
            annual_income_cents: 4_800_000,
            vehicle_price_cents: 1_097_500,
            down_payment_cents: 0,
            term_months: 73,
        };
        let last = Profile {
            credit_score: 850,
            annual_income_cents: 6_000_000,
            vehicle_price_cents: 2_000_050,
            down_payment_cents: 500_050,
            term_months: 75,
        };
        assert_eq!(pool.profiles, [first, last]);
        let expected = [
            ("in the pool", 2),
            ("skipped: income not believable", 2),
            ("skipped: no score", 1),
            ("skipped: score beyond 850", 1),
        ];
        assert_eq!(outcomes, expected.map(|(outcome, number)| (outcome.to_owned(), number)).into());
        assert!(read_rows("").is_err());
    }

    #[test]
    fn the_draw_is_repeatable_and_reaches_every_profile() {
        let rows = "1,73,2,700,0.1,400\n".repeat(10);
        let (mut pool, _) = read_rows(&rows).unwrap();
        for (number, profile) in (0..).zip(&mut pool.profiles) {
            profile.term_months = number;
        }
        let draws: Vec<i64> = (0..1_000).map(|application| pool.draw(application).term_months).collect();
        assert_eq!(draws, (0..1_000).map(|application| pool.draw(application).term_months).collect::<Vec<_>>());
        for term in 0..10 {
            let times = draws.iter().filter(|draw| **draw == term).count();
            assert!((60..=140).contains(&times), "{term} was drawn {times} times");
        }
    }
}
