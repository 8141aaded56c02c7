//! A customer's way from the first enquiry to a deal, or to nothing.
//!
//! ```text
//!   created ▶ answered ▶ touches (engagement, idle, updates) ▶ deal opens ▶ … (deal.rs) ▶ closed │ lost │ unwound
//! ```
//! What will become of a lead is decided when it is created, from its true segment, the speed of the answer and the rep's skill, and
//! stands in the truth; what happens on the way is drawn as it happens.

use super::agenda::Action;
use super::calendar::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use super::deal::Deal;
use super::dealer::Dealer;
use super::event::{EventType, Topic, customer_id, lead_id, rep_id, vehicle_id};
use super::hour::Hour;
use super::rhythm::{is_open, next_open};
use super::segment::{Features, Segment};
use super::truth::{Cells, LeadTruth, TruthTable, minutes};

/// A time that never comes.
const NEVER: i64 = i64::MAX;

/// A customer who has been here before.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownCustomer {
    number: u32,
    segment: Segment,
    credit_score: u16,
    annual_income_dollars: u32,
}

/// How many past customers of a dealer may come back.
const KNOWN_CUSTOMERS_MAX: usize = 256;
/// Share of leads that come from them.
const REPEAT_SHARE: f64 = 0.12;

/// What becomes of a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    None,
    Lost,
    Closed,
    Unwound,
}

/// A lead on its way.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) lead: u32,
    pub(super) customer: u32,
    pub(super) rep: u32,
    pub(super) segment: Segment,
    pub(super) outcome: Outcome,
    pub(super) features: Features,
    pub(super) outcome_ms: i64,
    pub(super) deal: Option<Deal>,
    channel: &'static str,
    response_ms: i64,
    touch_ms: i64,
    deal_ms: i64,
    touch_pause_ms: i64,
    touches_left: u8,
}

impl Journey {
    fn next_ms(&self) -> i64 {
        self.response_ms.min(self.touch_ms).min(self.deal_ms)
    }
}

/// How much better than after a typical wait a lead closes, by minutes until its answer.
fn speed_factor(response_minutes: Option<f64>) -> f64 {
    match response_minutes {
        None => 0.3,
        Some(minutes) if minutes < 5.0 => 1.25,
        Some(minutes) if minutes < 15.0 => 1.10,
        Some(minutes) if minutes < 60.0 => 1.0,
        Some(minutes) if minutes < 240.0 => 0.85,
        Some(_) => 0.65,
    }
}

impl Dealer {
    fn customer_for_lead(&mut self) -> (KnownCustomer, Features, bool) {
        let random = &mut self.random;
        if !self.known_customers.is_empty() && random.chance(REPEAT_SHARE) {
            let known = *random.pick(&self.known_customers);
            let mut features = Features::draw(known.segment, random);
            features.credit_score = known.credit_score;
            features.annual_income_dollars = known.annual_income_dollars;
            return (known, features, false);
        }
        let segment = Segment::draw(random);
        let features = Features::draw(segment, random);
        self.customers += 1;
        let known = KnownCustomer {
            number: self.customers,
            segment,
            credit_score: features.credit_score,
            annual_income_dollars: features.annual_income_dollars,
        };
        if self.known_customers.len() < KNOWN_CUSTOMERS_MAX {
            self.known_customers.push(known);
        } else {
            let slot = random.below(KNOWN_CUSTOMERS_MAX as u64) as usize;
            self.known_customers[slot] = known;
        }
        (known, features, true)
    }

    fn channel_of_lead(&mut self, now_ms: i64) -> &'static str {
        const CHANNELS: [&str; 7] = ["web", "phone", "walk-in", "adf", "chat", "referral", "ads"];
        let open = is_open(now_ms + self.offset_ms);
        let ads = if self.campaign.is_running(now_ms) { 0.35 } else { 0.04 };
        let weights =
            if open { [0.34, 0.17, 0.20, 0.17, 0.07, 0.05, ads] } else { [0.52, 0.02, 0.0, 0.28, 0.14, 0.02, ads] };
        CHANNELS[self.random.weighted(&weights)]
    }

    /// A customer enquires.
    pub(super) fn enquire(&mut self, now_ms: i64, hour: &mut Hour) {
        let local_ms = now_ms + self.offset_ms;
        let Some(rep) = self.team.choose(local_ms, &mut self.random) else { return };
        let (customer, mut features, is_new) = self.customer_for_lead();
        let segment = customer.segment;
        let channel = self.channel_of_lead(now_ms);
        if channel == "walk-in" {
            features.visit_count = features.visit_count.max(1);
        }
        self.leads += 1;
        let lead = self.leads;
        self.write_lead(lead, customer.number, channel, segment, &features, now_ms, hour);

        let random = &mut self.random;
        let worker = &self.team.reps[rep as usize];
        let answered = random.chance(if segment == Segment::Kicker { 0.88 } else { 0.94 });
        let response_ms = answered.then(|| {
            let haste = if channel == "walk-in" { 0.2 } else { 1.0 };
            let wait_ms = random.log_normal(worker.response_minutes_median * haste, 0.9) * MINUTE_MS as f64;
            worker.next_on_shift(local_ms) - self.offset_ms + (wait_ms as i64).clamp(15 * SECOND_MS, 5 * DAY_MS)
        });
        let mut truth = LeadTruth {
            lead,
            customer: customer.number,
            segment,
            created_ms: now_ms,
            rep: rep + 1,
            response_ms,
            segment_factor: segment.close_factor(),
            speed_factor: speed_factor(response_ms.map(|response_ms| minutes(response_ms - now_ms))),
            skill_factor: 0.6 + 0.6 * worker.skill,
            outcome: "none",
            deal_ms: None,
            outcome_ms: None,
        };
        let outcome = if random.chance(truth.close_probability()) {
            if random.chance(0.025) { Outcome::Unwound } else { Outcome::Closed }
        } else if random.chance(segment.deal_share()) {
            Outcome::Lost
        } else {
            Outcome::None
        };
        if outcome != Outcome::None {
            let (pause_hours, length_hours) = if channel == "walk-in" { (1.2, 14.0) } else { (22.0, 30.0) };
            let from_ms = response_ms.unwrap_or(now_ms + HOUR_MS);
            let deal_ms =
                from_ms + 5 * MINUTE_MS + (random.log_normal(pause_hours, 0.9).min(500.0) * HOUR_MS as f64) as i64;
            let deal_ms = next_open(deal_ms, self.offset_ms, random);
            let outcome_ms =
                deal_ms + 40 * MINUTE_MS + (random.log_normal(length_hours, 0.9).min(700.0) * HOUR_MS as f64) as i64;
            truth.deal_ms = Some(deal_ms);
            truth.outcome_ms = Some(next_open(outcome_ms, self.offset_ms, random));
        }
        truth.outcome = match outcome {
            Outcome::None => "none",
            Outcome::Lost => "lost",
            Outcome::Closed => "closed",
            Outcome::Unwound => "unwound",
        };
        let touches = random.poisson(if segment == Segment::Kicker { 1.6 } else { 3.0 }).min(12);
        let deal_ms = truth.deal_ms.unwrap_or(NEVER);
        let touch_pause_ms = if deal_ms == NEVER { 20 * HOUR_MS } else { (deal_ms - now_ms) / i64::from(touches + 1) };
        let journey = Journey {
            lead,
            customer: customer.number,
            rep: rep + 1,
            segment,
            outcome,
            features,
            outcome_ms: truth.outcome_ms.unwrap_or(NEVER),
            deal: None,
            channel,
            response_ms: response_ms.unwrap_or(NEVER),
            touch_ms: if touches == 0 {
                NEVER
            } else {
                now_ms + MINUTE_MS + random.exponential(touch_pause_ms as f64) as i64
            },
            deal_ms,
            touch_pause_ms,
            touches_left: touches as u8,
        };
        truth.write(hour, &self.sender.id);
        if is_new {
            hour.truth_row(TruthTable::Customers, Topic::Leads, |bytes| {
                let mut cells = Cells::of_dealer(bytes, &self.sender.id);
                cells.id(customer_id(customer.number)).text(segment.name()).time(Some(now_ms));
            });
        }
        let next_ms = journey.next_ms();
        if next_ms != NEVER {
            let slot = self.journeys.insert(journey);
            self.agenda.plan(next_ms, Action::Journey(slot));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the cells of one record")]
    fn write_lead(
        &mut self,
        lead: u32,
        customer: u32,
        channel: &'static str,
        segment: Segment,
        features: &Features,
        now_ms: i64,
        hour: &mut Hour,
    ) {
        let random = &mut self.random;
        let interest =
            self.lot.look_for(i64::from(features.vehicle_price_dollars) * 100, random).filter(|_| random.chance(0.6));
        // A form asks for much, a call for little; what makes an outlier is always told.
        let told = match channel {
            _ if segment == Segment::Outlier => 1.0,
            "web" | "adf" => 0.93,
            "walk-in" => 0.9,
            _ => 0.72,
        };
        let on_site = matches!(channel, "walk-in" | "phone" | "referral") || segment == Segment::Outlier;
        let mut event = hour.event(&mut self.sender, EventType::LeadCreated, now_ms, lead_id(lead));
        event.id("leadId", lead_id(lead)).id("customerId", customer_id(customer)).text("channel", channel);
        if random.chance(told) {
            event.integer("creditScore", i64::from(features.credit_score));
            event.integer("annualIncomeCents", i64::from(features.annual_income_dollars) * 100);
        }
        event.integer("vehiclePriceCents", i64::from(features.vehicle_price_dollars) * 100);
        if random.chance(told) {
            event.integer("downPaymentCents", i64::from(features.down_payment_dollars) * 100);
        }
        if features.trade_value_dollars > 0 {
            event.integer("tradeValueCents", i64::from(features.trade_value_dollars) * 100);
        }
        if on_site || random.chance(0.7) {
            event.integer("visitCount", i64::from(features.visit_count));
            event.integer("timeOnLotMinutes", i64::from(features.time_on_lot_minutes));
        }
        event.thousandths("engagement", u32::from(features.engagement_thousandths));
        if features.co_buyer {
            event.flag("coBuyer", true);
        }
        if random.chance(told) {
            event.integer("termMonths", i64::from(features.term_months));
            event.thousandths("paymentSensitivity", u32::from(features.payment_sensitivity_thousandths));
        }
        if let Some(slot) = interest {
            event.id("vehicleId", vehicle_id(self.lot.vehicles[slot].number));
        }
        if random.chance(self.town.spanish_share) {
            event.text("language", "es").list("skills", &["es"]);
        } else if random.chance(0.3) {
            event.text("language", "en");
        }
        event.end();
    }

    /// What is due on a journey happens.
    pub(super) fn journey_step(&mut self, slot: u32, now_ms: i64, hour: &mut Hour) {
        let journey = &mut self.journeys[slot];
        if journey.deal.is_some() {
            self.deal_step(slot, now_ms, hour);
            return;
        }
        if now_ms >= journey.response_ms {
            journey.response_ms = NEVER;
            hour.event(&mut self.sender, EventType::LeadResponded, now_ms, lead_id(journey.lead))
                .id("leadId", lead_id(journey.lead))
                .id("repId", rep_id(journey.rep))
                .text("channel", if journey.channel == "adf" { "email" } else { journey.channel })
                .end();
        } else if now_ms >= journey.deal_ms {
            self.open_deal(slot, now_ms, hour);
            return;
        } else {
            self.touch(slot, now_ms, hour);
        }
        let next_ms = self.journeys[slot].next_ms();
        if next_ms == NEVER {
            self.journeys.remove(slot);
        } else {
            self.agenda.plan(next_ms.max(now_ms), Action::Journey(slot));
        }
    }

    /// The customer shows up, falls silent, or says something new.
    fn touch(&mut self, slot: u32, now_ms: i64, hour: &mut Hour) {
        let random = &mut self.random;
        let journey = &mut self.journeys[slot];
        let (lead, customer) = (lead_id(journey.lead), customer_id(journey.customer));
        match random.weighted(&[0.54, 0.20, 0.26]) {
            0 => {
                let mean = f64::from(journey.features.engagement_thousandths);
                let engagement = random.normal_within(mean, 60.0, 0.0, 1_000.0) as u32;
                let channel = *random.pick(&["email", "web", "text", "phone"]);
                hour.event(&mut self.sender, EventType::EngagementDetected, now_ms, customer)
                    .id("customerId", customer)
                    .thousandths("engagement", engagement)
                    .id("leadId", lead)
                    .text("channel", channel)
                    .end();
            }
            1 => {
                let idle = random.log_normal(420.0, 0.8).clamp(30.0, 20_000.0) as i64;
                hour.event(&mut self.sender, EventType::CustomerIdle, now_ms, customer)
                    .id("customerId", customer)
                    .integer("idleMinutes", idle)
                    .id("leadId", lead)
                    .end();
            }
            _ => {
                let features = &mut journey.features;
                let mut event = hour.event(&mut self.sender, EventType::LeadUpdated, now_ms, lead);
                event.id("leadId", lead);
                match random.below(4) {
                    0 => {
                        features.visit_count = features.visit_count.saturating_add(1);
                        features.time_on_lot_minutes =
                            features.time_on_lot_minutes.saturating_add(random.between(10, 45) as u16);
                        event.integer("visitCount", i64::from(features.visit_count));
                        event.integer("timeOnLotMinutes", i64::from(features.time_on_lot_minutes));
                    }
                    1 => {
                        features.down_payment_dollars += random.between(1, 12) as u32 * 50;
                        event.integer("downPaymentCents", i64::from(features.down_payment_dollars) * 100);
                        event.integer("termMonths", i64::from(features.term_months));
                    }
                    2 => {
                        let factor = random.range(0.93, 1.05);
                        features.vehicle_price_dollars =
                            (f64::from(features.vehicle_price_dollars) * factor) as u32 / 10 * 10;
                        event.integer("vehiclePriceCents", i64::from(features.vehicle_price_dollars) * 100);
                    }
                    _ => {
                        event.integer("creditScore", i64::from(features.credit_score));
                        event.integer("annualIncomeCents", i64::from(features.annual_income_dollars) * 100);
                        event.flag("coBuyer", features.co_buyer);
                    }
                }
                event.end();
            }
        }
        journey.touches_left -= 1;
        journey.touch_ms = if journey.touches_left == 0 {
            NEVER
        } else {
            now_ms + MINUTE_MS + random.exponential(journey.touch_pause_ms as f64) as i64
        };
    }
}
