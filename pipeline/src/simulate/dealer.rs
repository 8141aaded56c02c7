//! One dealer: its people, its lot, its customers, and what is due.
//!
//! A dealer knows nothing of the others and has its own stream of chance, so its events do not depend on the order in which dealers
//! are asked, nor on how many hours are asked at once.

use super::agenda::{Action, Agenda, Slots};
use super::calendar::{DAY_MS, HOUR_MS, MINUTE_MS};
use super::catalog::{HOUSES, MAKES, TOWNS, Town};
use super::event::EventType;
use super::hour::{Hour, Sender};
use super::journey::{Journey, KnownCustomer};
use super::lot::Lot;
use super::random::Random;
use super::rhythm::{Campaign, intensity};
use super::team::Team;

/// How large a dealer is. Everything follows from the number of its events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Enquiries a day, over a week's mean, without campaigns.
    pub(super) leads_per_day: f64,
    /// Reps at the opening of the world.
    pub(super) reps: u32,
    /// Share of worked shifts whose status changes are reported.
    pub(super) reported_shift_share: f64,
    /// Status changes inside a reported shift, beside its begin and end.
    pub(super) status_changes_per_shift: f64,
}

/// Share of leads that end in a sale, roughly: what the lot is stocked for.
const SALES_PER_LEAD: f64 = 0.19;
/// Days of sales that the lot holds.
const STOCK_DAYS: f64 = 45.0;

/// A dealer and all that is alive in it.
#[derive(Debug)]
pub(super) struct Dealer {
    pub(super) sender: Sender,
    pub(super) town: &'static Town,
    pub(super) scale: Scale,
    pub(super) random: Random,
    pub(super) agenda: Agenda,
    pub(super) team: Team,
    pub(super) lot: Lot,
    pub(super) journeys: Slots<Journey>,
    pub(super) known_customers: Vec<KnownCustomer>,
    pub(super) campaign: Campaign,
    /// Local time minus UTC in the present hour.
    pub(super) offset_ms: i64,
    pub(super) leads: u32,
    pub(super) customers: u32,
    name: String,
    /// When the doors open: everybody is hired by then.
    opens_ms: i64,
}

/// From the first moment of the world until customers come: dealers introduce themselves, then their reps.
const INTRODUCTIONS_MS: i64 = 10 * MINUTE_MS;
const HIRING_MS: i64 = 10 * MINUTE_MS;

impl Dealer {
    /// The dealer at a position, as it opens.
    pub(super) fn new(index: u32, seed: u64, scale: Scale, start_ms: i64, days: u32) -> Self {
        let mut random = Random::new(seed, u64::from(index) + 1);
        let town = random.pick(TOWNS);
        let lot = Lot::new(start_ms, days, &mut random);
        let name = format!("{} {} {}", random.pick(HOUSES), random.pick(MAKES).name, town.name);
        let mut agenda = Agenda::default();
        let introduced_ms = start_ms + random.between(0, INTRODUCTIONS_MS - 1);
        // A few forget their time zone at first, and mend it the next day.
        let forgets_zone = random.chance(0.03);
        agenda.plan(introduced_ms, Action::Introduce(!forgets_zone));
        if forgets_zone {
            agenda.plan(introduced_ms + random.between(DAY_MS / 2, DAY_MS), Action::Introduce(true));
        }
        if random.chance(0.15) {
            agenda.plan(start_ms + random.between(DAY_MS, i64::from(days.max(2)) * DAY_MS), Action::Introduce(true));
        }
        for _ in 0..scale.reps {
            agenda.plan(start_ms + INTRODUCTIONS_MS + random.between(0, HIRING_MS - 1), Action::Hire);
        }
        let opens_ms = start_ms + INTRODUCTIONS_MS + HIRING_MS;
        let stock = (scale.leads_per_day * SALES_PER_LEAD * STOCK_DAYS).round() as u32;
        for _ in 0..stock {
            agenda.plan(opens_ms + random.between(0, 2 * HOUR_MS), Action::Acquire(true));
        }
        Dealer {
            sender: Sender::new(index, seed),
            town,
            scale,
            random,
            agenda,
            team: Team::default(),
            lot,
            journeys: Slots::default(),
            known_customers: Vec::new(),
            campaign: Campaign::default(),
            offset_ms: town.zone.offset_ms(start_ms),
            leads: 0,
            customers: 0,
            name,
            opens_ms,
        }
    }

    /// Lives through the hour that begins at `start_ms`. `pace` multiplies the rate of enquiries.
    pub(super) fn live(&mut self, start_ms: i64, pace: f64, hour: &mut Hour) {
        self.offset_ms = self.town.zone.offset_ms(start_ms);
        let local_ms = start_ms + self.offset_ms;
        let hour_of_day = local_ms.rem_euclid(DAY_MS) / HOUR_MS;
        if hour_of_day == 0 {
            self.new_day(start_ms, pace);
        }
        let rate = self.scale.leads_per_day / 24.0 * pace * intensity(local_ms) * self.campaign.factor(start_ms);
        for _ in 0..self.random.poisson(rate) {
            let at_ms = self.some_time_in(start_ms);
            self.agenda.plan(at_ms, Action::Enquiry);
        }
        if (8..16).contains(&hour_of_day) {
            let wanted = self.scale.leads_per_day * pace * SALES_PER_LEAD;
            let missing = wanted * STOCK_DAYS - self.lot.len() as f64;
            let rate = (wanted + missing / 20.0).max(wanted * 0.2) / 8.0;
            for _ in 0..self.random.poisson(rate) {
                let at_ms = self.some_time_in(start_ms);
                self.agenda.plan(at_ms, Action::Acquire(false));
            }
        }
        while let Some((now_ms, action)) = self.agenda.next_before(start_ms + HOUR_MS) {
            self.act(now_ms, action, hour);
        }
    }

    /// A time in the hour that begins at `start_ms`, after the opening.
    fn some_time_in(&mut self, start_ms: i64) -> i64 {
        let first_ms = start_ms.max(self.opens_ms);
        first_ms + self.random.below((start_ms + HOUR_MS - first_ms) as u64) as i64
    }

    fn new_day(&mut self, start_ms: i64, pace: f64) {
        self.campaign.new_day(start_ms, &mut self.random);
        let reps = f64::from(self.scale.reps);
        // Where few events are to be told, reviews are rare too.
        let reviews = (reps / 30.0).min(self.scale.leads_per_day * pace / 20.0);
        for (mean, action) in [(reps / 300.0, Action::Hire), (reps / 280.0, Action::Leave), (reviews, Action::Review)] {
            for _ in 0..self.random.poisson(mean) {
                let at_ms = start_ms + self.random.between(9 * HOUR_MS, 17 * HOUR_MS);
                self.agenda.plan(at_ms, action);
            }
        }
    }

    fn act(&mut self, now_ms: i64, action: Action, hour: &mut Hour) {
        match action {
            Action::Introduce(with_zone) => self.introduce(now_ms, with_zone, hour),
            Action::Hire => self.hire(now_ms, hour),
            Action::Leave => self.dismiss(now_ms, hour),
            Action::Review => self.review_skill(now_ms, hour),
            Action::Shift(rep) => self.change_status(rep, now_ms, hour),
            Action::Acquire(from_before) => self.acquire(now_ms, from_before, hour),
            Action::Vehicle(slot) => self.vehicle_step(slot, now_ms, hour),
            Action::Enquiry => self.enquire(now_ms, hour),
            Action::Journey(slot) => self.journey_step(slot, now_ms, hour),
        }
    }

    fn introduce(&mut self, now_ms: i64, with_zone: bool, hour: &mut Hour) {
        let mut event = hour.event(&mut self.sender, EventType::DealerUpdated, now_ms, None);
        event.text("name", &self.name);
        if with_zone {
            event.text("timeZone", self.town.zone.name);
        }
        event.text("state", self.town.state).text("currency", "USD").end();
    }
}
