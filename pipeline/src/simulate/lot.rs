//! The vehicles of a dealer: taken in, reconditioned stage by stage, priced and re-priced, sold or sent away.
//!
//! ```text
//!   acquired ▶ inspection ▶ … ▶ photos ▶ frontline ▶ sale_pending ▶ sold
//!                 (each dealer has its own speed per stage; now and then one is clogged)   ▶ removed
//! ```

use super::agenda::{Action, Slots};
use super::calendar::{DAY_MS, HOUR_MS, SECOND_MS, civil_from_days};
use super::catalog::{MAKES, TRIMS};
use super::dealer::Dealer;
use super::event::{EventType, Topic, deal_id, vehicle_id};
use super::hour::Hour;
use super::random::Random;
use super::rhythm::next_open;
use super::truth::{Cells, TruthTable};
use super::vin;

const PHASES: [&str; 10] =
    ["acquired", "inspection", "estimate", "approval", "parts", "mechanical", "body", "detail", "photos", "frontline"];
const FRONTLINE: usize = 9;

/// Median hours in each phase before the next one.
const DWELL_HOURS: [f64; FRONTLINE] = [14.0, 8.0, 6.0, 16.0, 30.0, 22.0, 40.0, 12.0, 9.0];

/// Probability that a used vehicle goes through a phase; a new one sees inspection, detail and photos alone.
const USED_SHARE: [f64; 10] = [1.0, 1.0, 0.9, 0.8, 0.5, 0.75, 0.25, 1.0, 0.95, 1.0];
const NEW_SHARE: [f64; 10] = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.8, 1.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Recon,
    Frontline,
    /// In a deal.
    Reserved,
    /// Left; its slot is freed when its planned action comes.
    Gone,
}

/// One vehicle.
#[derive(Debug)]
pub(super) struct Vehicle {
    pub(super) number: u32,
    /// What it stands in the books for.
    pub(super) cost_cents: i64,
    /// What the dealer asks.
    pub(super) price_cents: i64,
    market_cents: i64,
    value_cents: i64,
    acquired_ms: i64,
    position: u32,
    phase: u8,
    is_new: bool,
    clogged: bool,
    place: Place,
}

/// How a dealer's recon works.
#[derive(Debug)]
struct Recon {
    speed_of_phase: [f64; FRONTLINE],
    clogged_phase: usize,
    clogged_from_ms: i64,
    clogged_until_ms: i64,
}

/// The vehicles of one dealer.
#[derive(Debug)]
pub(super) struct Lot {
    pub(super) vehicles: Slots<Vehicle>,
    frontline: Vec<u32>,
    recon: Recon,
    make: usize,
    acquired: u32,
    gone: usize,
}

impl Lot {
    pub(super) fn new(start_ms: i64, days: u32, random: &mut Random) -> Self {
        let mut speed_of_phase = [1.0; FRONTLINE];
        let speed = random.log_normal(1.0, 0.3);
        for phase in &mut speed_of_phase {
            *phase = speed * random.log_normal(1.0, 0.3);
        }
        let clogs = random.chance(0.35);
        let clogged_from_ms = start_ms + random.between(0, i64::from(days) * DAY_MS);
        let clogged_until_ms = if clogs { clogged_from_ms + random.between(4, 14) * DAY_MS } else { clogged_from_ms };
        let clogged_phase = *random.pick(&[3, 4, 5, 6, 7]);
        let recon = Recon { speed_of_phase, clogged_phase, clogged_from_ms, clogged_until_ms };
        let make = random.below(MAKES.len() as u64) as usize;
        Lot { vehicles: Slots::default(), frontline: Vec::new(), recon, make, acquired: 0, gone: 0 }
    }

    /// How many vehicles are there.
    pub(super) fn len(&self) -> usize {
        self.vehicles.len() - self.gone
    }

    /// A vehicle at the frontline near a price, of a few looked at.
    pub(super) fn look_for(&self, price_cents: i64, random: &mut Random) -> Option<u32> {
        const LOOKS: usize = 4;
        if self.frontline.is_empty() {
            return None;
        }
        (0..LOOKS)
            .map(|_| *random.pick(&self.frontline))
            .min_by_key(|slot| ((self.vehicles[*slot].price_cents - price_cents).abs(), *slot))
    }

    fn join_frontline(&mut self, slot: u32) {
        let vehicle = &mut self.vehicles[slot];
        vehicle.place = Place::Frontline;
        vehicle.position = self.frontline.len() as u32;
        self.frontline.push(slot);
    }

    fn leave_frontline(&mut self, slot: u32) {
        let position = self.vehicles[slot].position;
        self.frontline.swap_remove(position as usize);
        if let Some(moved) = self.frontline.get(position as usize) {
            self.vehicles[*moved].position = position;
        }
    }

    /// Takes a vehicle at the frontline out of sale for a deal.
    pub(super) fn reserve(&mut self, slot: u32) {
        self.leave_frontline(slot);
        self.vehicles[slot].place = Place::Reserved;
    }

    /// A deal over a reserved vehicle is lost: it is for sale again.
    pub(super) fn release(&mut self, slot: u32) {
        self.join_frontline(slot);
    }

    fn leave(&mut self, slot: u32) {
        if self.vehicles[slot].place == Place::Frontline {
            self.leave_frontline(slot);
        }
        self.vehicles[slot].place = Place::Gone;
        self.gone += 1;
    }
}

impl Dealer {
    /// A vehicle is taken in.
    pub(super) fn acquire(&mut self, now_ms: i64, from_before: bool, hour: &mut Hour) {
        let random = &mut self.random;
        self.lot.acquired += 1;
        let number = self.lot.acquired;
        let condition = random.weighted(&[0.42, 0.44, 0.14]);
        let is_new = condition == 0;
        // A franchise sells its own make new, and any make used.
        let make = if is_new || random.chance(0.4) { &MAKES[self.lot.make] } else { random.pick(MAKES) };
        let (model, list_dollars) = *random.pick(make.models);
        let (this_year, _, _) = civil_from_days(now_ms.div_euclid(DAY_MS));
        let age = if is_new { 0 } else { 1 + random.poisson(2.6).min(12) };
        let year = this_year as u16 - age as u16;
        let mileage =
            if is_new { random.between(4, 60) } else { random.log_normal(11_500.0 * f64::from(age), 0.3) as i64 };
        let depreciated =
            f64::from(list_dollars) * [1.0, 0.84, 0.75, 0.67, 0.60, 0.53, 0.47, 0.42][(age as usize).min(7)];
        let value_cents = (100.0 * depreciated * random.log_normal(1.0, 0.06)) as i64;
        let market_cents = (value_cents as f64 * random.log_normal(1.0, 0.025)) as i64 / 100 * 100;
        let cost_cents =
            (value_cents as f64 * random.normal_within(if is_new { 0.94 } else { 0.86 }, 0.03, 0.7, 1.02)) as i64 / 100
                * 100;
        let placeholder = random.chance(0.02);
        let vin = vin::draw(make, year, self.sender.index * 7_919 + number, placeholder, random);
        let trim = *random.pick(TRIMS);
        let at_frontline = from_before && random.chance(0.75);
        let mut event = hour.event(&mut self.sender, EventType::VehicleAcquired, now_ms, vehicle_id(number));
        event
            .id("vehicleId", vehicle_id(number))
            .text("vin", std::str::from_utf8(&vin).unwrap_or_default())
            .integer("year", i64::from(year))
            .text("make", make.name)
            .text("model", model)
            .text("trim", trim)
            .integer("mileage", mileage)
            .text("condition", ["new", "used", "certified"][condition])
            .integer("costCents", cost_cents)
            .integer("marketPriceCents", market_cents);
        if at_frontline {
            event.text("phase", PHASES[FRONTLINE]);
        }
        event.end();
        let vehicle = Vehicle {
            number,
            cost_cents,
            price_cents: market_cents,
            market_cents,
            value_cents,
            acquired_ms: now_ms,
            position: 0,
            phase: if at_frontline { FRONTLINE as u8 } else { 0 },
            is_new,
            clogged: false,
            place: Place::Recon,
        };
        let slot = self.lot.vehicles.insert(vehicle);
        if at_frontline {
            self.lot.join_frontline(slot);
            // Not in the same millisecond: both events tell the market's price.
            let due_ms = now_ms + self.random.between(SECOND_MS, 30 * SECOND_MS);
            self.agenda.plan(due_ms, Action::Vehicle(slot));
        } else {
            self.plan_phase(slot, now_ms);
        }
    }

    fn plan_phase(&mut self, slot: u32, now_ms: i64) {
        let recon = &self.lot.recon;
        let phase = usize::from(self.lot.vehicles[slot].phase);
        let mut hours = self.random.log_normal(DWELL_HOURS[phase] * recon.speed_of_phase[phase], 0.55);
        if phase == recon.clogged_phase && (recon.clogged_from_ms..recon.clogged_until_ms).contains(&now_ms) {
            hours *= 4.0;
            self.lot.vehicles[slot].clogged = true;
        }
        let due_ms = now_ms + (hours.min(60.0 * 24.0) * HOUR_MS as f64) as i64 + 60_000;
        let due_ms = next_open(due_ms, self.offset_ms, &mut self.random);
        self.agenda.plan(due_ms, Action::Vehicle(slot));
    }

    /// The vehicle's next step: another phase, another price, away.
    pub(super) fn vehicle_step(&mut self, slot: u32, now_ms: i64, hour: &mut Hour) {
        const LOT_DAYS_MAX: i64 = 95;
        let vehicle = &mut self.lot.vehicles[slot];
        match vehicle.place {
            Place::Recon => {
                let shares = if vehicle.is_new { &NEW_SHARE } else { &USED_SHARE };
                let mut phase = usize::from(vehicle.phase) + 1;
                while phase < FRONTLINE && !self.random.chance(shares[phase]) {
                    phase += 1;
                }
                vehicle.phase = phase as u8;
                self.move_phase(slot, PHASES[phase], now_ms, hour);
                if phase == FRONTLINE {
                    self.lot.join_frontline(slot);
                    self.price(slot, now_ms, hour);
                } else {
                    self.plan_phase(slot, now_ms);
                }
            }
            Place::Frontline if now_ms - vehicle.acquired_ms > LOT_DAYS_MAX * DAY_MS || self.random.chance(0.01) => {
                let reason = if self.random.chance(0.7) { "wholesale" } else { "transferred" };
                self.remove_vehicle(slot, reason, now_ms, hour);
                self.agenda.plan(now_ms + DAY_MS, Action::Vehicle(slot));
            }
            Place::Frontline => self.price(slot, now_ms, hour),
            Place::Reserved => self.agenda.plan(now_ms + 2 * DAY_MS, Action::Vehicle(slot)),
            Place::Gone => {
                self.lot.gone -= 1;
                self.lot.vehicles.remove(slot);
            }
        }
    }

    fn move_phase(&mut self, slot: u32, phase: &str, now_ms: i64, hour: &mut Hour) {
        let id = vehicle_id(self.lot.vehicles[slot].number);
        hour.event(&mut self.sender, EventType::PhaseMoved, now_ms, id).id("vehicleId", id).text("phase", phase).end();
    }

    /// Asks a price: near the market, lower with age. Plans the next look.
    fn price(&mut self, slot: u32, now_ms: i64, hour: &mut Hour) {
        let random = &mut self.random;
        let vehicle = &mut self.lot.vehicles[slot];
        vehicle.market_cents =
            (vehicle.market_cents as f64 * random.normal_within(0.997, 0.008, 0.95, 1.04)) as i64 / 100 * 100;
        let age_days = (now_ms - vehicle.acquired_ms) as f64 / DAY_MS as f64;
        let ratio = random.normal_within(1.03 - 0.0012 * age_days, 0.012, 0.8, 1.12);
        vehicle.price_cents = (vehicle.market_cents as f64 * ratio) as i64 / 10_000 * 10_000 + 9_500;
        let (id, price_cents, market_cents) = (vehicle_id(vehicle.number), vehicle.price_cents, vehicle.market_cents);
        hour.event(&mut self.sender, EventType::VehiclePriced, now_ms, id)
            .id("vehicleId", id)
            .integer("priceCents", price_cents)
            .integer("marketPriceCents", market_cents)
            .end();
        let pause_ms = (random.log_normal(6.5, 0.4) * DAY_MS as f64) as i64;
        let due_ms = next_open(now_ms + pause_ms, self.offset_ms, random);
        self.agenda.plan(due_ms, Action::Vehicle(slot));
    }

    /// The vehicle's contract is signed.
    pub(super) fn pend_vehicle(&mut self, slot: u32, now_ms: i64, hour: &mut Hour) {
        self.move_phase(slot, "sale_pending", now_ms, hour);
    }

    /// The vehicle is sold.
    pub(super) fn sell_vehicle(&mut self, slot: u32, deal: u32, price_cents: i64, now_ms: i64, hour: &mut Hour) {
        let id = vehicle_id(self.lot.vehicles[slot].number);
        hour.event(&mut self.sender, EventType::VehicleSold, now_ms, id)
            .id("vehicleId", id)
            .id("dealId", deal_id(deal))
            .integer("priceCents", price_cents)
            .text("reason", "retail")
            .end();
        self.end_vehicle(slot, "sold", now_ms, hour);
    }

    fn remove_vehicle(&mut self, slot: u32, reason: &str, now_ms: i64, hour: &mut Hour) {
        let id = vehicle_id(self.lot.vehicles[slot].number);
        hour.event(&mut self.sender, EventType::VehicleRemoved, now_ms, id)
            .id("vehicleId", id)
            .text("reason", reason)
            .end();
        self.end_vehicle(slot, "removed", now_ms, hour);
    }

    fn end_vehicle(&mut self, slot: u32, fate: &str, now_ms: i64, hour: &mut Hour) {
        let vehicle = &self.lot.vehicles[slot];
        hour.truth_row(TruthTable::Vehicles, Topic::Inventory, |bytes| {
            let mut cells = Cells::of_dealer(bytes, &self.sender.id);
            cells.id(vehicle_id(vehicle.number)).text(fate).time(Some(now_ms)).time(Some(vehicle.acquired_ms));
            cells.integer(vehicle.value_cents).integer(i64::from(vehicle.clogged));
        });
        self.lot.leave(slot);
    }
}
