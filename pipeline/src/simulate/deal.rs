//! A deal from its opening to its end.
//!
//! ```text
//!   prospect ▶ negotiating (again) ▶ submitted ▶ pending_finance ▶ approved ▶ tax ▶ contracted ▶ delivered ▶ unwound
//!        └──────────────┴───────────────┴──────────────┴─────────────┴─────▶ lost
//! ```

use super::agenda::Action;
use super::calendar::{DAY_MS, SECOND_MS};
use super::catalog::{LENDERS, LOST_REASONS};
use super::dealer::Dealer;
use super::event::{EventType, customer_id, deal_id, lead_id, rep_id, vehicle_id};
use super::hour::Hour;
use super::journey::{Journey, Outcome};
use super::random::Random;
use super::rhythm::next_open;
use super::segment::Features;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Negotiate,
    Submit,
    PendFinance,
    Approve,
    Tax,
    Contract,
}

const FINANCED: &[Step] = &[Step::Negotiate, Step::Submit, Step::PendFinance, Step::Approve, Step::Tax, Step::Contract];
const CASH: &[Step] = &[Step::Negotiate, Step::Tax, Step::Contract];

/// A deal under way. Money in cents.
#[derive(Debug)]
pub(super) struct Deal {
    steps: &'static [Step],
    /// Slot of its vehicle.
    vehicle: Option<u32>,
    strategy: &'static str,
    price_cents: i64,
    cost_cents: i64,
    down_cents: i64,
    allowance_cents: i64,
    value_of_trade_cents: i64,
    front_gross_cents: i64,
    back_gross_cents: i64,
    closed: bool,
}

impl Deal {
    fn financed_cents(&self) -> i64 {
        (self.price_cents - self.down_cents - self.allowance_cents).max(0)
    }

    fn set_front_gross(&mut self) {
        self.front_gross_cents =
            self.price_cents - self.cost_cents - (self.allowance_cents - self.value_of_trade_cents);
    }
}

fn strategy_for(features: &Features, random: &mut Random) -> &'static str {
    let score = features.credit_score;
    let low_down = features.down_payment_dollars * 100 <= features.vehicle_price_dollars * 15;
    let rules = [
        ("high_down_payment", true),
        ("extend_term", score <= 680),
        ("optimise_rate", score >= 680),
        ("maximise_trade", features.trade_value_dollars > 0),
        ("reduce_vehicle_price", score <= 640),
        ("add_co_signer", score <= 640 && low_down),
        ("balanced_structure", (640..=720).contains(&score)),
    ];
    let possible = rules.iter().filter(|(_, possible)| *possible).count() as u64;
    let chosen = random.below(possible) as usize;
    rules.iter().filter(|(_, possible)| *possible).nth(chosen).map_or("high_down_payment", |(name, _)| name)
}

/// Annual percentage rate in thousandths of a percent, by credit score.
fn rate_thousandths(credit_score: u16, random: &mut Random) -> u32 {
    let base = 3_900.0 + (850.0 - f64::from(credit_score)).max(0.0) * 26.0;
    (base * random.normal_within(1.0, 0.06, 0.8, 1.2)) as u32 / 10 * 10
}

impl Dealer {
    /// The journey becomes a deal.
    pub(super) fn open_deal(&mut self, slot: u32, now_ms: i64, hour: &mut Hour) {
        let random = &mut self.random;
        let journey = &mut self.journeys[slot];
        let features = &journey.features;
        let wanted_cents = i64::from(features.vehicle_price_dollars) * 100;
        let vehicle = self.lot.look_for(wanted_cents, random);
        let (price_cents, cost_cents) = match vehicle {
            Some(vehicle) => (self.lot.vehicles[vehicle].price_cents, self.lot.vehicles[vehicle].cost_cents),
            // Nothing on the lot: ordered from the factory.
            None => (wanted_cents, (wanted_cents as f64 * 0.93) as i64),
        };
        let value_of_trade_cents = i64::from(features.trade_value_dollars) * 100;
        let over = if value_of_trade_cents > 0 { random.range(0.97, 1.09) } else { 0.0 };
        let is_cash = random.chance(journey.segment.cash_share());
        let mut steps = if is_cash { CASH } else { FINANCED };
        if journey.outcome == Outcome::Lost {
            steps = &steps[..random.below(steps.len() as u64) as usize];
        }
        let mut deal = Deal {
            steps,
            vehicle,
            strategy: strategy_for(features, random),
            price_cents,
            cost_cents,
            down_cents: i64::from(features.down_payment_dollars) * 100,
            allowance_cents: (value_of_trade_cents as f64 * over) as i64 / 100 * 100,
            value_of_trade_cents,
            front_gross_cents: 0,
            back_gross_cents: if is_cash {
                random.between(0, 60_000)
            } else {
                random.log_normal(138_000.0, 0.5) as i64 / 100 * 100
            },
            closed: false,
        };
        deal.set_front_gross();
        let id = deal_id(journey.lead);
        let mut event = hour.event(&mut self.sender, EventType::DealCreated, now_ms, id);
        event
            .id("dealId", id)
            .id("leadId", lead_id(journey.lead))
            .id("customerId", customer_id(journey.customer))
            .id("repId", rep_id(journey.rep))
            .text("stage", "prospect");
        if let Some(vehicle) = vehicle {
            event.id("vehicleId", vehicle_id(self.lot.vehicles[vehicle].number));
        }
        event
            .integer("priceCents", price_cents)
            .integer("costCents", cost_cents)
            .integer("downPaymentCents", deal.down_cents);
        if deal.allowance_cents > 0 {
            event.integer("tradeAllowanceCents", deal.allowance_cents).integer("tradeAcvCents", value_of_trade_cents);
        }
        event.text("state", self.town.state).text("strategy", deal.strategy).end();
        if let Some(vehicle) = vehicle {
            self.lot.reserve(vehicle);
        }
        journey.deal = Some(deal);
        self.plan_deal_step(slot, now_ms);
    }

    /// Plans the next step between now and the outcome, in opening hours if they leave room.
    fn plan_deal_step(&mut self, slot: u32, now_ms: i64) {
        let journey = &self.journeys[slot];
        let Some(deal) = &journey.deal else { return };
        let outcome_ms = journey.outcome_ms;
        let due_ms = if deal.steps.is_empty() {
            outcome_ms
        } else {
            let share = self.random.range(0.3, 1.7) / (deal.steps.len() + 1) as f64;
            let due_ms = now_ms + SECOND_MS + ((outcome_ms - now_ms) as f64 * share) as i64;
            next_open(due_ms, self.offset_ms, &mut self.random).min(outcome_ms - 1)
        };
        self.agenda.plan(due_ms.max(now_ms), Action::Journey(slot));
    }

    /// The deal's next step happens.
    pub(super) fn deal_step(&mut self, slot: u32, now_ms: i64, hour: &mut Hour) {
        let Some(mut deal) = self.journeys[slot].deal.take() else { return };
        let ends = deal.steps.is_empty();
        if let [step, rest @ ..] = deal.steps {
            self.write_step(*step, &mut deal, slot, now_ms, hour);
            let again = *step == Step::Negotiate && self.random.chance(0.35);
            if !again {
                deal.steps = rest;
            }
        } else if deal.closed {
            self.unwind(&deal, slot, now_ms, hour);
        } else if self.journeys[slot].outcome == Outcome::Lost {
            self.lose(&deal, slot, now_ms, hour);
        } else {
            self.close(&mut deal, slot, now_ms, hour);
            if self.journeys[slot].outcome == Outcome::Unwound {
                let due_ms = next_open(now_ms + self.random.between(1, 7) * DAY_MS, self.offset_ms, &mut self.random);
                self.journeys[slot].deal = Some(deal);
                self.agenda.plan(due_ms, Action::Journey(slot));
                return;
            }
        }
        if ends {
            self.journeys.remove(slot);
        } else {
            self.journeys[slot].deal = Some(deal);
            self.plan_deal_step(slot, now_ms);
        }
    }

    fn write_step(&mut self, step: Step, deal: &mut Deal, slot: u32, now_ms: i64, hour: &mut Hour) {
        let random = &mut self.random;
        let Journey { lead, customer, rep, features, outcome, .. } = &self.journeys[slot];
        let id = deal_id(*lead);
        match step {
            Step::Negotiate => {
                deal.price_cents = (deal.price_cents as f64 * random.range(0.975, 1.0)) as i64 / 100 * 100;
                deal.set_front_gross();
                hour.event(&mut self.sender, EventType::DealUpdated, now_ms, id)
                    .id("dealId", id)
                    .text("stage", "negotiating")
                    .integer("priceCents", deal.price_cents)
                    .integer("downPaymentCents", deal.down_cents)
                    .end();
            }
            Step::Submit => {
                hour.event(&mut self.sender, EventType::DealSubmitted, now_ms, id)
                    .id("dealId", id)
                    .id("leadId", lead_id(*lead))
                    .id("customerId", customer_id(*customer))
                    .id("repId", rep_id(*rep))
                    .integer("priceCents", deal.price_cents)
                    .integer("amountFinancedCents", deal.financed_cents())
                    .integer("termMonths", i64::from(features.term_months))
                    .end();
            }
            Step::PendFinance => {
                hour.event(&mut self.sender, EventType::DealUpdated, now_ms, id)
                    .id("dealId", id)
                    .text("stage", "pending_finance")
                    .text("lender", random.pick::<&str>(LENDERS))
                    .end();
            }
            Step::Approve => {
                let income_cents = i64::from(features.annual_income_dollars) * 100 / 12;
                let debt_cents = (income_cents as f64 * random.range(0.05, 0.35)) as i64 / 100 * 100;
                hour.event(&mut self.sender, EventType::CreditApproved, now_ms, id)
                    .id("dealId", id)
                    .integer("creditScore", i64::from(features.credit_score))
                    .integer(
                        "maxAmountCents",
                        (deal.financed_cents() as f64 * random.range(1.0, 1.3)) as i64 / 100_000 * 100_000,
                    )
                    .integer("monthlyIncomeCents", income_cents)
                    .integer("monthlyDebtCents", debt_cents)
                    .end();
                hour.event(&mut self.sender, EventType::DealUpdated, now_ms, id)
                    .id("dealId", id)
                    .text("stage", "approved")
                    .integer("amountFinancedCents", deal.financed_cents())
                    .integer("termMonths", i64::from(features.term_months))
                    .thousandths("aprPercent", rate_thousandths(features.credit_score, random))
                    .end();
                let success = random.chance(if *outcome == Outcome::Lost { 0.35 } else { 0.8 });
                hour.event(&mut self.sender, EventType::StrategyOutcome, now_ms, id)
                    .id("dealId", id)
                    .text("strategy", deal.strategy)
                    .flag("success", success)
                    .end();
            }
            Step::Tax => {
                let rebate_cents = if random.chance(0.3) { random.between(1, 6) * 25_000 } else { 0 };
                let mut event = hour.event(&mut self.sender, EventType::TaxRequired, now_ms, id);
                event.id("dealId", id).text("state", self.town.state).integer("priceCents", deal.price_cents);
                event.integer("tradeAllowanceCents", deal.allowance_cents).integer("rebateCents", rebate_cents);
                event.integer("docFeeCents", 39_900).date("deliveryDate", now_ms + self.offset_ms + 2 * DAY_MS).end();
            }
            Step::Contract => {
                hour.event(&mut self.sender, EventType::DealUpdated, now_ms, id)
                    .id("dealId", id)
                    .text("stage", "contracted")
                    .integer("priceCents", deal.price_cents)
                    .integer("frontGrossCents", deal.front_gross_cents)
                    .integer("backGrossCents", deal.back_gross_cents)
                    .end();
                if let Some(vehicle) = deal.vehicle {
                    self.pend_vehicle(vehicle, now_ms, hour);
                }
            }
        }
    }

    fn close(&mut self, deal: &mut Deal, slot: u32, now_ms: i64, hour: &mut Hour) {
        let journey = &self.journeys[slot];
        let (lead, id) = (journey.lead, deal_id(journey.lead));
        hour.event(&mut self.sender, EventType::DealClosed, now_ms, id)
            .id("dealId", id)
            .id("repId", rep_id(journey.rep))
            .integer("frontGrossCents", deal.front_gross_cents)
            .integer("backGrossCents", deal.back_gross_cents)
            .end();
        deal.closed = true;
        if let Some(vehicle) = deal.vehicle {
            self.sell_vehicle(vehicle, lead, deal.price_cents, now_ms, hour);
        }
    }

    fn lose(&mut self, deal: &Deal, slot: u32, now_ms: i64, hour: &mut Hour) {
        let journey = &self.journeys[slot];
        let id = deal_id(journey.lead);
        let reason = *self.random.pick(LOST_REASONS);
        hour.event(&mut self.sender, EventType::DealLost, now_ms, id)
            .id("dealId", id)
            .id("repId", rep_id(journey.rep))
            .text("reason", reason)
            .end();
        if let Some(vehicle) = deal.vehicle {
            self.lot.release(vehicle);
        }
    }

    fn unwind(&mut self, deal: &Deal, slot: u32, now_ms: i64, hour: &mut Hour) {
        let journey = &self.journeys[slot];
        let id = deal_id(journey.lead);
        let reason = if self.random.chance(0.6) { "financing fell through" } else { "customer returned" };
        let front_gross_cents = if deal.vehicle.is_some() { -deal.front_gross_cents.abs() / 4 } else { 0 };
        hour.event(&mut self.sender, EventType::DealUnwound, now_ms, id)
            .id("dealId", id)
            .id("repId", rep_id(journey.rep))
            .text("reason", reason)
            .integer("frontGrossCents", front_gross_cents)
            .integer("backGrossCents", 0)
            .end();
    }
}
