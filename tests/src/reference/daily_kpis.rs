//! The table `daily_kpis`: each entity counted on the local day of its own times.
//!
//! ```text
//!  live entity    ── days in the dealer's zone at the epoch ──┐
//!  expired entity ── days in its zone when it was due ────────┴──► counts, sums and answered seconds per day ──► rows
//! ```

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::effect::EntityKind;
use super::entity::Life;
use super::rows::{View, closed_ms, response_seconds};
use super::time;

#[derive(Debug, Default)]
struct Day {
    leads: u64,
    /// Seconds to the first response, one per answered lead.
    answered_seconds: Vec<f64>,
    deals_created: u64,
    deals_closed: u64,
    front_gross_cents: i128,
    back_gross_cents: i128,
    vehicles_acquired: u64,
    vehicles_sold: u64,
}

/// One row per day on which something counts.
pub(super) fn daily_kpis(view: View<'_>) -> Vec<Value> {
    let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
    let zone_of = |life: &Life<'_>| match life.due_ms {
        Some(due_ms) if life.expired(view.epoch_ms) => view.dealership.zone(due_ms),
        _ => view.zone,
    };
    let lives = |kind| view.dealership.lives(kind, view.retention_ms);
    for (_, lead) in lives(EntityKind::Lead) {
        let zone = zone_of(&lead);
        if let Some(day) = day_of(&mut days, lead.earliest_ms("lead.created"), zone) {
            day.leads += 1;
            day.answered_seconds.extend(response_seconds(&lead));
        }
    }
    for (_, deal) in lives(EntityKind::Deal) {
        let zone = zone_of(&deal);
        if let Some(day) = day_of(&mut days, deal.earliest_ms("deal.created"), zone) {
            day.deals_created += 1;
        }
        if let Some(day) = day_of(&mut days, closed_ms(&deal), zone) {
            day.deals_closed += 1;
            day.front_gross_cents += i128::from(deal.integer("frontGrossCents").unwrap_or(0));
            day.back_gross_cents += i128::from(deal.integer("backGrossCents").unwrap_or(0));
        }
    }
    for (_, vehicle) in lives(EntityKind::Vehicle) {
        let zone = zone_of(&vehicle);
        if let Some(day) = day_of(&mut days, vehicle.earliest_ms("vehicle.acquired"), zone) {
            day.vehicles_acquired += 1;
        }
        if let Some(day) = day_of(&mut days, vehicle.earliest_ms("vehicle.sold"), zone) {
            day.vehicles_sold += 1;
        }
    }
    days.into_iter().map(|(date, day)| row(view.dealer_id, date, day)).collect()
}

fn day_of(days: &mut BTreeMap<NaiveDate, Day>, time_ms: Option<i64>, zone: Tz) -> Option<&mut Day> {
    Some(days.entry(time::local_day(time_ms?, zone)).or_default())
}

fn row(dealer_id: &str, date: NaiveDate, mut day: Day) -> Value {
    day.answered_seconds.sort_by(f64::total_cmp);
    json!({
        "dealer_id": dealer_id,
        "day": date.to_string(),
        "leads": day.leads,
        "responded": day.answered_seconds.len(),
        "response_seconds_p50": nearest_rank(&day.answered_seconds, 50),
        "response_seconds_p90": nearest_rank(&day.answered_seconds, 90),
        "deals_created": day.deals_created,
        "deals_closed": day.deals_closed,
        "front_gross_cents": bounded(day.front_gross_cents),
        "back_gross_cents": bounded(day.back_gross_cents),
        "vehicles_acquired": day.vehicles_acquired,
        "vehicles_sold": day.vehicles_sold,
    })
}

/// A sum as the column's `bigint` holds it: beyond that, the bound.
fn bounded(sum: i128) -> i64 {
    sum.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// The smallest of the `sorted` values that at least `percent` of them do not exceed; `None` of nothing.
fn nearest_rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!((nearest_rank(&ten, 50), nearest_rank(&ten, 90)), (Some(5.0), Some(9.0)));
        assert_eq!((nearest_rank(&ten[..3], 50), nearest_rank(&ten[..3], 90)), (Some(2.0), Some(3.0)));
        assert_eq!((nearest_rank(&ten[..1], 50), nearest_rank(&[], 50)), (Some(1.0), None));
    }

    #[test]
    fn sums_stop_at_the_bounds_of_the_column() {
        assert_eq!(bounded(i128::from(i64::MAX) * 2), i64::MAX);
        assert_eq!(bounded(i128::from(i64::MIN) * 2), i64::MIN);
        assert_eq!(bounded(-7), -7);
    }
}
