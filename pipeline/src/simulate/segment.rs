//! The true segments of customers, and what customers of each look like.
//!
//! A few percent are outliers: combinations that no honest application shows (a fortune beside a tiny income, forty visits).

use super::random::Random;

/// What a customer truly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Segment {
    Prime,
    Motivated,
    Cash,
    Challenged,
    Kicker,
    Outlier,
}

const ALL: [Segment; 6] =
    [Segment::Prime, Segment::Motivated, Segment::Cash, Segment::Challenged, Segment::Kicker, Segment::Outlier];

/// Share of each segment among new customers, in the order of `ALL`.
const SHARES: [f64; 6] = [0.22, 0.28, 0.15, 0.18, 0.14, 0.03];

impl Segment {
    pub(super) fn draw(random: &mut Random) -> Self {
        ALL[random.weighted(&SHARES)]
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Segment::Prime => "Prime Buyers",
            Segment::Motivated => "Motivated Shoppers",
            Segment::Cash => "Cash Strong Buyers",
            Segment::Challenged => "Credit Challenged",
            Segment::Kicker => "Tire Kickers",
            Segment::Outlier => "outlier",
        }
    }

    /// Probability that a lead closes with a typical answer from a typical rep.
    pub(super) const fn close_factor(self) -> f64 {
        match self {
            Segment::Prime => 0.29,
            Segment::Motivated => 0.25,
            Segment::Cash => 0.30,
            Segment::Challenged => 0.13,
            Segment::Kicker => 0.03,
            Segment::Outlier => 0.02,
        }
    }

    /// Probability that a lead that does not close still becomes a deal, which is then lost.
    pub(super) const fn deal_share(self) -> f64 {
        match self {
            Segment::Prime | Segment::Cash => 0.30,
            Segment::Motivated => 0.35,
            Segment::Challenged => 0.28,
            Segment::Kicker => 0.08,
            Segment::Outlier => 0.10,
        }
    }

    /// Probability that a deal is paid without a loan.
    pub(super) const fn cash_share(self) -> f64 {
        match self {
            Segment::Cash => 0.55,
            Segment::Prime => 0.12,
            _ => 0.03,
        }
    }
}

/// What a lead says of its customer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    pub(super) credit_score: u16,
    pub(super) annual_income_dollars: u32,
    pub(super) vehicle_price_dollars: u32,
    pub(super) down_payment_dollars: u32,
    /// 0 without a trade-in.
    pub(super) trade_value_dollars: u32,
    pub(super) visit_count: u8,
    pub(super) time_on_lot_minutes: u16,
    pub(super) engagement_thousandths: u16,
    pub(super) co_buyer: bool,
    pub(super) term_months: u8,
    pub(super) payment_sensitivity_thousandths: u16,
}

/// How the features of one segment spread.
struct Spread {
    credit: (f64, f64, f64, f64),
    income: (f64, f64),
    price: (f64, f64),
    down_share: (f64, f64),
    visits: f64,
    minutes: (f64, f64),
    engagement: (f64, f64),
    terms: &'static [u8],
    sensitivity: (f64, f64),
    trade_share: f64,
}

const fn spread_of(segment: Segment) -> Spread {
    match segment {
        Segment::Prime => Spread {
            credit: (768.0, 30.0, 702.0, 850.0),
            income: (128_000.0, 0.28),
            price: (52_000.0, 0.22),
            down_share: (0.08, 0.26),
            visits: 1.6,
            minutes: (55.0, 0.45),
            engagement: (0.50, 0.88),
            terms: &[36, 48, 60, 60, 72],
            sensitivity: (0.08, 0.40),
            trade_share: 0.50,
        },
        Segment::Motivated => Spread {
            credit: (672.0, 28.0, 602.0, 742.0),
            income: (64_000.0, 0.25),
            price: (33_000.0, 0.22),
            down_share: (0.05, 0.18),
            visits: 3.2,
            minutes: (95.0, 0.35),
            engagement: (0.74, 0.99),
            terms: &[60, 72, 72, 84],
            sensitivity: (0.40, 0.75),
            trade_share: 0.45,
        },
        Segment::Cash => Spread {
            credit: (662.0, 40.0, 560.0, 760.0),
            income: (72_000.0, 0.35),
            price: (28_000.0, 0.30),
            down_share: (0.36, 0.90),
            visits: 1.8,
            minutes: (60.0, 0.40),
            engagement: (0.45, 0.80),
            terms: &[24, 36, 36, 48],
            sensitivity: (0.10, 0.45),
            trade_share: 0.30,
        },
        Segment::Challenged => Spread {
            credit: (548.0, 34.0, 420.0, 618.0),
            income: (36_000.0, 0.25),
            price: (19_500.0, 0.22),
            down_share: (0.0, 0.10),
            visits: 2.2,
            minutes: (75.0, 0.40),
            engagement: (0.48, 0.86),
            terms: &[72, 72, 84],
            sensitivity: (0.70, 1.0),
            trade_share: 0.25,
        },
        Segment::Kicker | Segment::Outlier => Spread {
            credit: (665.0, 55.0, 480.0, 800.0),
            income: (58_000.0, 0.35),
            price: (41_000.0, 0.35),
            down_share: (0.0, 0.15),
            visits: 0.6,
            minutes: (14.0, 0.55),
            engagement: (0.02, 0.27),
            terms: &[48, 60, 72],
            sensitivity: (0.25, 0.75),
            trade_share: 0.12,
        },
    }
}

impl Features {
    /// Draws what a new customer of the segment shows.
    pub(super) fn draw(segment: Segment, random: &mut Random) -> Self {
        let spread = spread_of(segment);
        let (mean, deviation, low, high) = spread.credit;
        let price = random.log_normal(spread.price.0, spread.price.1).clamp(6_000.0, 160_000.0);
        let trade = random.chance(spread.trade_share);
        let mut features = Features {
            credit_score: random.normal_within(mean, deviation, low, high) as u16,
            annual_income_dollars: random.log_normal(spread.income.0, spread.income.1).clamp(9_000.0, 900_000.0) as u32
                / 100
                * 100,
            vehicle_price_dollars: price as u32 / 10 * 10,
            down_payment_dollars: (price * random.range(spread.down_share.0, spread.down_share.1)) as u32 / 50 * 50,
            trade_value_dollars: if trade { random.log_normal(price * 0.28, 0.4) as u32 / 50 * 50 } else { 0 },
            visit_count: random.poisson(spread.visits).min(12) as u8,
            time_on_lot_minutes: random.log_normal(spread.minutes.0, spread.minutes.1).clamp(0.0, 300.0) as u16,
            engagement_thousandths: (1_000.0 * random.range(spread.engagement.0, spread.engagement.1)) as u16,
            co_buyer: random.chance(0.24),
            term_months: *random.pick(spread.terms),
            payment_sensitivity_thousandths: (1_000.0 * random.range(spread.sensitivity.0, spread.sensitivity.1))
                as u16,
        };
        if segment == Segment::Outlier {
            features.distort(random);
        }
        features
    }

    /// Makes it a combination that does not occur.
    fn distort(&mut self, random: &mut Random) {
        match random.below(4) {
            0 => {
                self.credit_score = random.between(825, 850) as u16;
                self.annual_income_dollars = random.between(6, 11) as u32 * 1_000;
                self.vehicle_price_dollars = random.between(150, 320) as u32 * 1_000;
                self.down_payment_dollars = 0;
                self.term_months = 84;
            }
            1 => {
                self.visit_count = random.between(28, 60) as u8;
                self.time_on_lot_minutes = random.between(700, 1_400) as u16;
                self.engagement_thousandths = random.between(0, 20) as u16;
            }
            2 => {
                self.credit_score = random.between(300, 340) as u16;
                self.annual_income_dollars = random.between(700, 2_500) as u32 * 1_000;
                self.down_payment_dollars = self.vehicle_price_dollars * 2;
                self.term_months = 12;
            }
            _ => {
                self.trade_value_dollars = random.between(120, 260) as u32 * 1_000;
                self.vehicle_price_dollars = random.between(4, 8) as u32 * 1_000;
                self.payment_sensitivity_thousandths = 1_000;
                self.term_months = 96;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_follow_their_segment() {
        let mut random = Random::new(1, 2);
        for _ in 0..2_000 {
            assert!(Features::draw(Segment::Prime, &mut random).credit_score > 700);
            assert!(Features::draw(Segment::Challenged, &mut random).credit_score < 620);
            assert!(Features::draw(Segment::Kicker, &mut random).engagement_thousandths < 300);
            let cash = Features::draw(Segment::Cash, &mut random);
            assert!(f64::from(cash.down_payment_dollars) > 0.3 * f64::from(cash.vehicle_price_dollars));
            let outlier = Features::draw(Segment::Outlier, &mut random);
            assert!((300..=850).contains(&outlier.credit_score));
        }
    }
}
