//! Sightings of cars as vehicles: what changed from one scraped day to the next.
//!
//! ```text
//!  first seen ──► acquired (+ priced)   status changed ──► phase moved   price changed ──► priced
//!  not seen again ──► sold, if it stood on the lot; removed otherwise, as `vin_replaced` if a twin appeared that day
//! ```
//!
//! A snapshot knows the day only: its events are at 20:00 UTC, in this order. A car missed for some days and seen
//! again never left. One VIN at two dealers is two vehicles.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::America::Los_Angeles;

use super::borrowers::cents;
use super::snapshots::{Lot, Sighting};
use super::topics::{Fields, NewEvent, Topics};
use super::{Outcomes, count};

/// The dearest price that is believed, in dollars. The scraper added the list price to one dealer's adjustments, which gave
/// a RAV4 prices of up to 3.95 million.
const PRICE_DOLLARS_MAX: f64 = 100_000.0;

/// A snapshot knows no time of day. At 20:00 UTC it is noon there, or one o'clock in summer.
const TIME_OF_DAY_UTC: TimeDelta = TimeDelta::hours(20);

/// The order of events of one car on one day, as their `sequence`.
const DEALER: u64 = 0;
const ACQUIRED: u64 = 1;
const MOVED: u64 = 2;
const PRICED: u64 = 3;
const GONE: u64 = 4;

/// Adds the events of all lots and counts the changes behind them.
pub(super) fn convert(lots: &BTreeMap<String, Lot>, topics: &mut Topics, outcomes: &mut Outcomes) {
    for (name, lot) in lots {
        let dealer_id = dealer_id(name);
        let source = format!("/dealers/{dealer_id}/inventory-snapshots");
        let mut car = Car {
            topics,
            outcomes,
            dealer_id: &dealer_id,
            source: &source,
            vin: "",
            current_phase: "",
            twins: BTreeSet::new(),
        };
        if let Some(&day) = lot.days.first() {
            let data = vec![
                ("name", name.as_str().into()),
                ("timeZone", "America/Los_Angeles".into()),
                ("state", "WA".into()),
                ("currency", "USD".into()),
            ];
            car.add("dealers", "dealer.updated", day, DEALER, data);
        }
        for (vin, sightings) in &lot.cars {
            car.vin = vin;
            car.follow(lot, sightings);
        }
    }
}

/// A dealer's name as an id: `Toyota of Lake City` is `toyota-of-lake-city`.
fn dealer_id(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// The phase of a status; `None` for a blank one.
fn phase(status: &str) -> Option<&'static str> {
    match status {
        "" => None,
        "In Stock" => Some("frontline"),
        pending if pending.starts_with("Sale Pending") => Some("sale_pending"),
        // In Production, In Transit: ordered, and not yet at the dealer.
        _ => Some("acquired"),
    }
}

struct Car<'a> {
    topics: &'a mut Topics,
    outcomes: &'a mut Outcomes,
    dealer_id: &'a str,
    source: &'a str,
    vin: &'a str,
    current_phase: &'static str,
    /// VINs that already stand for another car of this lot.
    twins: BTreeSet<String>,
}

impl Car<'_> {
    fn follow(&mut self, lot: &Lot, sightings: &BTreeMap<NaiveDate, Sighting>) {
        let mut previous: Option<(NaiveDate, &Sighting)> = None;
        let mut believed_price: Option<f64> = None;
        for (&day, sighting) in sightings {
            let (status_changed, price_changed) = match previous {
                None => {
                    self.acquired(day, sighting);
                    (false, sighting.total_price.is_some())
                }
                Some((_, before)) => (before.status != sighting.status, before.total_price != sighting.total_price),
            };
            if status_changed {
                count(self.outcomes, "change: status");
                self.moved(day, sighting);
            }
            if price_changed {
                count(self.outcomes, if previous.is_some() { "change: price" } else { "first price" });
                self.priced(day, sighting);
            }
            let believable = sighting.total_price.filter(|price| *price <= PRICE_DOLLARS_MAX);
            believed_price = believable.or(believed_price);
            previous = Some((day, sighting));
        }
        if let Some((day, sighting)) = previous
            && let Some(&gone_on) = day.checked_add_days(Days::new(1)).and_then(|next| lot.days.range(next..).next())
        {
            count(self.outcomes, "change: gone");
            self.gone(lot, gone_on, sighting, believed_price);
        }
    }

    fn acquired(&mut self, day: NaiveDate, sighting: &Sighting) {
        count(self.outcomes, "change: first seen");
        self.current_phase = phase(&sighting.status).unwrap_or("acquired");
        let mut data = self.vehicle();
        data.push(("vin", self.vin.into()));
        data.push(("year", sighting.year.into()));
        data.push(("make", "Toyota".into()));
        data.push(("model", "RAV4".into()));
        data.push(("trim", sighting.trim.as_str().into()));
        data.push(("condition", "new".into()));
        data.extend(sighting.msrp.map(|msrp| ("marketPriceCents", cents(msrp).into())));
        data.push(("phase", self.current_phase.into()));
        data.push(("lotStatus", sighting.status.as_str().into()));
        self.add("inventory", "vehicle.acquired", day, ACQUIRED, data);
    }

    /// A new status is a new phase, or an event of our own where two statuses share a phase or the new one is blank.
    fn moved(&mut self, day: NaiveDate, sighting: &Sighting) {
        let mut data = self.vehicle();
        let type_name = match phase(&sighting.status) {
            Some(phase) if phase != self.current_phase => {
                self.current_phase = phase;
                data.push(("phase", phase.into()));
                "vehicle.phase.moved"
            }
            _ => "x.vehicle.status.changed",
        };
        data.push(("lotStatus", sighting.status.as_str().into()));
        self.add("inventory", type_name, day, MOVED, data);
    }

    fn priced(&mut self, day: NaiveDate, sighting: &Sighting) {
        let mut data = self.vehicle();
        let type_name = match sighting.total_price {
            Some(price) if price <= PRICE_DOLLARS_MAX => {
                data.push(("priceCents", cents(price).into()));
                data.extend(sighting.msrp.map(|msrp| ("marketPriceCents", cents(msrp).into())));
                "vehicle.priced"
            }
            Some(price) => {
                data.push(("scrapedPriceCents", cents(price).into()));
                "x.price.implausible"
            }
            None => "x.price.withdrawn",
        };
        self.add("inventory", type_name, day, PRICED, data);
    }

    fn gone(&mut self, lot: &Lot, gone_on: NaiveDate, last: &Sighting, believed_price: Option<f64>) {
        let mut data = self.vehicle();
        if matches!(last.status.as_str(), "In Stock" | "Sale Pending - In Stock") {
            data.extend(believed_price.map(|price| ("priceCents", cents(price).into())));
            data.push(("reason", "gone_from_stock".into()));
            count(self.outcomes, "gone: from stock");
            self.add("inventory", "vehicle.sold", gone_on, GONE, data);
            return;
        }
        let twin = self.twin(lot, gone_on, last);
        if let Some(vin) = twin {
            count(self.outcomes, "gone: replaced by a twin");
            data.push(("reason", "vin_replaced".into()));
            data.push(("twinVin", vin.into()));
        } else {
            count(self.outcomes, "gone: before arrival");
            data.push(("reason", "gone_before_arrival".into()));
        }
        data.push(("lotStatus", last.status.as_str().into()));
        self.add("inventory", "vehicle.removed", gone_on, GONE, data);
    }

    /// The new VIN of a car that vanished while in production: one first seen that very day, alike in trim, colour and list
    /// price. Each stands for one car only.
    fn twin(&mut self, lot: &Lot, gone_on: NaiveDate, last: &Sighting) -> Option<String> {
        if !last.status.ends_with("In Production") {
            return None;
        }
        let (vin, _) = lot.cars.iter().find(|(vin, sightings)| {
            let first = sightings.first_key_value();
            first.is_some_and(|(day, first)| *day == gone_on && is_twin(first, last)) && !self.twins.contains(*vin)
        })?;
        self.twins.insert(vin.clone());
        Some(vin.clone())
    }

    fn vehicle(&self) -> Fields {
        vec![("vehicleId", self.vin.into())]
    }

    fn add(&mut self, topic: &'static str, type_name: &str, day: NaiveDate, sequence: u64, data: Fields) {
        let time = Los_Angeles.from_utc_datetime(&(day.and_time(NaiveTime::MIN) + TIME_OF_DAY_UTC));
        self.topics.add(NewEvent {
            topic,
            type_name,
            id: format!("{day}-{}-{sequence}", if topic == "dealers" { "dealer" } else { self.vin }),
            source: self.source,
            dealer_id: self.dealer_id,
            subject: self.vin,
            time: &time.to_rfc3339(),
            time_ms: time.timestamp_millis(),
            sequence,
            extensions: Fields::new(),
            data,
        });
    }
}

/// Whether a car could be another one under a new VIN.
fn is_twin(first: &Sighting, last: &Sighting) -> bool {
    first.trim == last.trim && first.exterior_color == last.exterior_color && first.msrp == last.msrp
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Sightings of cars as `vin: status price, …`, one word-pair a day from 1 March, `-` where it was not seen and `?` for
    /// no price. Tells each event of March as `day type sequence vin: changed`.
    fn check(cars: &[&str], expected: &[&str]) {
        let mut lot = Lot::default();
        for car in cars {
            let (vin, sightings) = car.split_once(": ").unwrap();
            for (day, sighting) in (1..).zip(sightings.split(", ")) {
                let day = NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
                lot.days.insert(day);
                let Some((status, price)) = sighting.rsplit_once(' ') else { continue };
                let sighting = Sighting {
                    status: status.to_owned(),
                    year: 2026,
                    trim: "LE".to_owned(),
                    exterior_color: "Red".to_owned(),
                    msrp: Some(400.0),
                    total_price: price.parse().ok(),
                };
                lot.cars.entry(vin.to_owned()).or_default().insert(day, sighting);
            }
        }
        let mut topics = Topics::default();
        convert(&BTreeMap::from([("Toyota of Here".to_owned(), lot)]), &mut topics, &mut Outcomes::new());
        let folder = tempfile::tempdir().unwrap();
        topics.write(folder.path()).unwrap();
        let lines = std::fs::read_to_string(folder.path().join("inventory.jsonl")).unwrap();
        let events = lines.lines().map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["dealerid"], "toyota-of-here");
            let data = &event["data"];
            let changed = ["phase", "priceCents", "scrapedPriceCents", "reason", "twinVin"]
                .map(|field| data[field].as_str().map_or_else(|| data[field].to_string(), str::to_owned));
            let changed: Vec<String> = changed.into_iter().filter(|value| value != "null").collect();
            let (day, kind) = (event["time"].as_str().unwrap()[8..10].to_owned(), event["type"].as_str().unwrap());
            format!("{day} {kind} {}: {}", data["vehicleId"].as_str().unwrap(), changed.join(" "))
        });
        assert_eq!(events.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_car_arrives_is_priced_and_sells_from_the_lot() {
        check(
            &["A: In Transit 400, In Stock 400, -, In Stock 390, Sale Pending - In Stock 390, -"],
            &[
                "01 vehicle.acquired A: acquired",
                "01 vehicle.priced A: 40000",
                "02 vehicle.phase.moved A: frontline",
                "04 vehicle.priced A: 39000",
                "05 vehicle.phase.moved A: sale_pending",
                "06 vehicle.sold A: 39000 gone_from_stock",
            ],
        );
    }

    #[test]
    fn what_vanishes_before_arrival_is_removed_and_may_have_a_twin() {
        check(
            &["A: In Production ?, -", "B: In Transit ?, -", "C: -, In Production ?", "D: In Production ?, -"],
            &[
                "01 vehicle.acquired A: acquired",
                "01 vehicle.acquired B: acquired",
                "01 vehicle.acquired D: acquired",
                "02 vehicle.acquired C: acquired",
                "02 vehicle.removed A: vin_replaced C",
                "02 vehicle.removed B: gone_before_arrival",
                "02 vehicle.removed D: gone_before_arrival",
            ],
        );
    }

    #[test]
    fn unbelievable_prices_and_statuses_without_a_phase_are_kept_as_events_of_our_own() {
        check(
            &["A: In Production 400, In Transit 3950000,  400, In Stock ?"],
            &[
                "01 vehicle.acquired A: acquired",
                "01 vehicle.priced A: 40000",
                "02 x.vehicle.status.changed A: ",
                "02 x.price.implausible A: 395000000",
                "03 x.vehicle.status.changed A: ",
                "03 vehicle.priced A: 40000",
                "04 vehicle.phase.moved A: frontline",
                "04 x.price.withdrawn A: ",
            ],
        );
    }
}
