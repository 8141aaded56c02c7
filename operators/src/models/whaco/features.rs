//! The ten features of a lead, each in [0, 1].
//!
//! ```text
//!   0 FICO (s − 300)/550     1 income /200,000     2 down payment ÷ price    3 visits /10       4 time on lot /180 min
//!   5 engagement             6 deal complexity     7 trade value /30,000     8 term /84 months  9 payment sensitivity
//! ```
//! Beyond its range a feature is held at 0 or 1. Deal complexity is 0.5, + 0.2 with a trade, + 0.2 if FICO is below 620, + 0.1 with a
//! co-buyer, at most 1. What a lead does not say is taken to be 650, 50,000, 0, 0, 30, 0.5, –, 0, 60, 0.5; a share of an unknown
//! price is unknown.

/// Number of features.
pub const FEATURES: usize = 10;
/// Place of the credit score.
pub const FICO: usize = 0;
/// Place of the annual income.
pub const INCOME: usize = 1;
/// Place of the down payment's share of the price.
pub const DOWN_SHARE: usize = 2;
/// Place of the engagement.
pub const ENGAGEMENT: usize = 5;

/// A lead's features.
pub type Features = [f64; FEATURES];

const FICO_MISSING: f64 = 650.0;
const FICO_COMPLEX_BELOW: f64 = 620.0;

/// What a lead says about itself, as in `events.md`; amounts are minor units of money.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LeadFields {
    /// 300 to 850.
    pub credit_score: Option<u64>,
    /// Income in a year.
    pub annual_income_cents: Option<u64>,
    /// Price of the vehicle asked for.
    pub vehicle_price_cents: Option<u64>,
    /// Money put down.
    pub down_payment_cents: Option<u64>,
    /// What the trade-in is worth.
    pub trade_value_cents: Option<u64>,
    /// Visits so far.
    pub visit_count: Option<u64>,
    /// Minutes on the lot.
    pub time_on_lot_minutes: Option<f64>,
    /// 0 to 1.
    pub engagement: Option<f64>,
    /// Whether somebody buys with them.
    pub co_buyer: Option<bool>,
    /// Length of the loan.
    pub term_months: Option<u64>,
    /// 0 to 1.
    pub payment_sensitivity: Option<f64>,
}

fn share(value: f64) -> f64 {
    // A comparison with something that is no number is false: it becomes 0.
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

fn fico(score: f64) -> f64 {
    share((score - 300.0) / 550.0)
}

fn money(cents: Option<u64>, missing: f64, full: f64) -> f64 {
    share(cents.map_or(missing, |cents| cents as f64 / 100.0) / full)
}

impl LeadFields {
    /// The features.
    pub fn features(&self) -> Features {
        let score = self.credit_score.map_or(FICO_MISSING, |score| score as f64);
        let trade = self.trade_value_cents.unwrap_or(0);
        // In tenths, since 0.5 + 0.2 + 0.2 + 0.1 is not 1 in binary.
        let tenths = 5
            + 2 * u8::from(trade > 0)
            + 2 * u8::from(score < FICO_COMPLEX_BELOW)
            + u8::from(self.co_buyer == Some(true));
        let complexity = f64::from(tenths) / 10.0;
        let down = match (self.down_payment_cents, self.vehicle_price_cents) {
            (Some(down), Some(price)) if price > 0 => down as f64 / price as f64,
            _ => 0.0,
        };
        [
            fico(score),
            money(self.annual_income_cents, 50_000.0, 200_000.0),
            share(down),
            share(self.visit_count.unwrap_or(0) as f64 / 10.0),
            share(self.time_on_lot_minutes.unwrap_or(30.0) / 180.0),
            share(self.engagement.unwrap_or(0.5)),
            share(complexity),
            money(self.trade_value_cents, 0.0, 30_000.0),
            share(self.term_months.unwrap_or(60) as f64 / 84.0),
            share(self.payment_sensitivity.unwrap_or(0.5)),
        ]
    }

    /// The features without anything that comes from the credit score: what routing may look at before there is a credit
    /// application.
    pub fn routing_features(&self) -> Features {
        LeadFields { credit_score: None, ..*self }.features()
    }
}

/// The features of a lead that says nothing.
pub fn missing() -> Features {
    LeadFields::default().features()
}

/// How a feature reads.
struct Reading {
    name: &'static str,
    unit: Unit,
    zero: f64,
    one: f64,
}

#[derive(Clone, Copy)]
enum Unit {
    Whole(&'static str),
    Money,
    Percent,
    Share,
}

const fn reading(name: &'static str, unit: Unit, zero: f64, one: f64) -> Reading {
    Reading { name, unit, zero, one }
}

const READINGS: [Reading; FEATURES] = [
    reading("credit score", Unit::Whole(""), 300.0, 850.0),
    reading("annual income", Unit::Money, 0.0, 200_000.0),
    reading("down payment", Unit::Percent, 0.0, 100.0),
    reading("visits", Unit::Whole(""), 0.0, 10.0),
    reading("time on lot", Unit::Whole(" min"), 0.0, 180.0),
    reading("engagement", Unit::Share, 0.0, 1.0),
    reading("deal complexity", Unit::Share, 0.0, 1.0),
    reading("trade value", Unit::Money, 0.0, 30_000.0),
    reading("term", Unit::Whole(" months"), 0.0, 84.0),
    reading("payment sensitivity", Unit::Share, 0.0, 1.0),
];

/// The name of a feature.
pub fn feature_name(feature: usize) -> &'static str {
    READINGS[feature].name
}

/// A feature's value in the unit that people use.
pub fn feature_value(feature: usize, value: f64) -> String {
    let Reading { unit, zero, one, .. } = READINGS[feature];
    let amount = zero + value * (one - zero);
    match unit {
        Unit::Whole(unit) => format!("{amount:.0}{unit}"),
        Unit::Money => {
            let dollars = format!("{:.0}", amount.max(0.0));
            let (thousands, rest) = dollars.split_at(dollars.len().saturating_sub(3));
            if thousands.is_empty() { format!("${rest}") } else { format!("${thousands},{rest}") }
        }
        Unit::Percent => format!("{amount:.0}%"),
        Unit::Share => format!("{amount:.2}"),
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "scaling gives exact values, and missing ones have to be the very same")]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_scaled_as_defined() {
        let lead = LeadFields {
            credit_score: Some(575),
            annual_income_cents: Some(5_000_000),
            vehicle_price_cents: Some(2_000_000),
            down_payment_cents: Some(500_000),
            trade_value_cents: Some(750_000),
            visit_count: Some(3),
            time_on_lot_minutes: Some(45.0),
            engagement: Some(0.8),
            co_buyer: Some(true),
            term_months: Some(63),
            payment_sensitivity: Some(0.1),
        };
        assert_eq!(lead.features(), [0.5, 0.25, 0.25, 0.3, 0.25, 0.8, 1.0, 0.25, 0.75, 0.1]);
    }

    #[test]
    fn what_is_missing_and_what_is_too_much() {
        let complexity = 0.5;
        assert_eq!(missing(), [350.0 / 550.0, 0.25, 0.0, 0.0, 30.0 / 180.0, 0.5, complexity, 0.0, 60.0 / 84.0, 0.5]);
        let lead = LeadFields {
            annual_income_cents: Some(u64::MAX),
            visit_count: Some(40),
            time_on_lot_minutes: Some(f64::NAN),
            term_months: Some(96),
            down_payment_cents: Some(1),
            vehicle_price_cents: Some(0),
            ..LeadFields::default()
        };
        let features = lead.features();
        assert_eq!((features[INCOME], features[3], features[4], features[8]), (1.0, 1.0, 0.0, 1.0));
        assert_eq!(features[DOWN_SHARE].to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn routing_sees_nothing_of_the_credit_score() {
        let lead = LeadFields { credit_score: Some(480), engagement: Some(0.9), ..LeadFields::default() };
        let other = LeadFields { credit_score: Some(840), ..lead };
        assert_ne!(lead.features()[6].to_bits(), other.features()[6].to_bits());
        assert_eq!(lead.routing_features(), other.routing_features());
        assert_eq!(lead.routing_features()[FICO], missing()[FICO]);
    }

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!(feature_value(FICO, 0.5), "575");
        assert_eq!(feature_value(INCOME, 0.25), "$50,000");
        assert_eq!(feature_value(7, 0.01), "$300");
        assert_eq!(feature_value(DOWN_SHARE, 0.45), "45%");
        assert_eq!(feature_value(8, 1.0), "84 months");
    }
}
