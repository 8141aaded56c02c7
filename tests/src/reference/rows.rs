//! The rows of the tables that show one entity each: leads, deals, vehicles, reps, dealers.
//!
//! Columns and their meanings are those of `surface.md`. What a model fills stays null here, `leads.active` false and
//! `reps.active_leads` 0, since nothing assigns a lead.

use serde_json::{Value, json};

use chrono_tz::Tz;

use super::dealership::Dealership;
use super::effect::EntityKind;
use super::entity::Life;
use super::time;
use super::vin;

/// What rows depend on beside their own entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) dealer_id: &'a str,
    pub(super) dealership: &'a Dealership,
    pub(super) epoch_ms: i64,
    pub(super) retention_ms: i64,
    /// The dealer's zone at the epoch.
    pub(super) zone: Tz,
}

impl<'a> View<'a> {
    pub(super) fn live(&self, kind: EntityKind) -> Vec<(&'a str, Life<'a>)> {
        self.dealership.live(kind, self.retention_ms, self.epoch_ms)
    }
}

/// A time as a cell.
pub(super) fn time_cell(time_ms: Option<i64>) -> Value {
    time_ms.map(time::format).into()
}

/// Seconds from a lead's creation to its first response, never negative; `None` without both.
pub(super) fn response_seconds(lead: &Life<'_>) -> Option<f64> {
    let waited_ms = lead.earliest_ms("lead.responded")? - lead.earliest_ms("lead.created")?;
    Some(waited_ms.max(0) as f64 / 1_000.0)
}

/// The time at which a deal became delivered, if it is.
pub(super) fn closed_ms(deal: &Life<'_>) -> Option<i64> {
    let (deed, _) = deal.winner("stage").filter(|_| deal.text("stage") == Some("delivered"))?;
    Some(deed.stamp.time_ms)
}

pub(super) fn leads(view: View<'_>) -> Vec<Value> {
    let row = |(lead_id, lead): (&str, Life<'_>)| {
        json!({
            "dealer_id": view.dealer_id,
            "lead_id": lead_id,
            "customer_id": lead.cell("customerId"),
            "channel": lead.cell("channel"),
            "credit_score": lead.cell("creditScore"),
            "annual_income_cents": lead.cell("annualIncomeCents"),
            "vehicle_price_cents": lead.cell("vehiclePriceCents"),
            "down_payment_cents": lead.cell("downPaymentCents"),
            "trade_value_cents": lead.cell("tradeValueCents"),
            "visit_count": lead.cell("visitCount"),
            "time_on_lot_minutes": lead.cell("timeOnLotMinutes"),
            "engagement": lead.double("engagement"),
            "created_at": time_cell(lead.earliest_ms("lead.created")),
            "responded_at": time_cell(lead.earliest_ms("lead.responded")),
            "response_seconds": response_seconds(&lead),
            "assigned_rep_id": null,
            "segment": null,
            "is_outlier": null,
            "priority_score": null,
            "active": false,
            "updated_at": time_cell(lead.updated_ms()),
        })
    };
    view.live(EntityKind::Lead).into_iter().map(row).collect()
}

pub(super) fn deals(view: View<'_>) -> Vec<Value> {
    let row = |(deal_id, deal): (&str, Life<'_>)| {
        json!({
            "dealer_id": view.dealer_id,
            "deal_id": deal_id,
            "lead_id": deal.cell("leadId"),
            "customer_id": deal.cell("customerId"),
            "rep_id": deal.cell("repId"),
            "vehicle_id": deal.cell("vehicleId"),
            "stage": deal.cell("stage"),
            "price_cents": deal.cell("priceCents"),
            "front_gross_cents": deal.cell("frontGrossCents"),
            "back_gross_cents": deal.cell("backGrossCents"),
            "created_at": time_cell(deal.earliest_ms("deal.created")),
            "closed_at": time_cell(closed_ms(&deal)),
            "updated_at": time_cell(deal.updated_ms()),
        })
    };
    view.live(EntityKind::Deal).into_iter().map(row).collect()
}

pub(super) fn vehicles(view: View<'_>) -> Vec<Value> {
    let row = |(vehicle_id, vehicle): (&str, Life<'_>)| {
        let acquired_ms = vehicle.earliest_ms("vehicle.acquired");
        let sold_ms = vehicle.earliest_ms("vehicle.sold");
        let days_on_lot = acquired_ms.map(|acquired_ms| {
            let until = time::local_day(sold_ms.unwrap_or(view.epoch_ms), view.zone);
            (until - time::local_day(acquired_ms, view.zone)).num_days()
        });
        json!({
            "dealer_id": view.dealer_id,
            "vehicle_id": vehicle_id,
            "vin": vehicle.cell("vin"),
            "vin_valid": vehicle.text("vin").map(vin::is_valid),
            "year": vehicle.cell("year"),
            "make": vehicle.cell("make"),
            "model": vehicle.cell("model"),
            "trim": vehicle.cell("trim"),
            "condition": vehicle.cell("condition"),
            "phase": vehicle.cell("phase"),
            "price_cents": vehicle.cell("priceCents"),
            "cost_cents": vehicle.cell("costCents"),
            "market_price_cents": vehicle.cell("marketPriceCents"),
            "days_on_lot": days_on_lot,
            "band": days_on_lot.map(band),
            "acquired_at": time_cell(acquired_ms),
            "frontline_at": time_cell(frontline_ms(&vehicle)),
            "sold_at": time_cell(sold_ms),
            "updated_at": time_cell(vehicle.updated_ms()),
        })
    };
    view.live(EntityKind::Vehicle).into_iter().map(row).collect()
}

/// The earliest event that sets the phase `frontline`, an acquisition straight to the frontline included.
fn frontline_ms(vehicle: &Life<'_>) -> Option<i64> {
    vehicle.earliest_where_ms(|deed| {
        deed.effect.patch.iter().any(|(field, value)| {
            *field == "phase" && matches!(value, super::json::Json::Text(phase) if phase == "frontline")
        })
    })
}

fn band(days_on_lot: i64) -> &'static str {
    match days_on_lot {
        ..=30 => "0-30",
        31..=60 => "31-60",
        61..=90 => "61-90",
        91.. => "91+",
    }
}

pub(super) fn reps(view: View<'_>) -> Vec<Value> {
    let deals = view.live(EntityKind::Deal);
    let today = time::local_day(view.epoch_ms, view.zone);
    let row = |(rep_id, rep): (&str, Life<'_>)| {
        let own = || deals.iter().map(|(_, deal)| deal).filter(|deal| deal.text("repId") == Some(rep_id));
        let active_deals = own().filter(|deal| {
            let open = ["prospect", "negotiating", "pending_finance", "approved", "contracted"];
            deal.text("stage").is_some_and(|stage| open.contains(&stage))
        });
        let deals_today = own()
            .filter(|deal| closed_ms(deal).is_some_and(|closed_ms| time::local_day(closed_ms, view.zone) == today));
        let (active_deals, deals_today) = (active_deals.count(), deals_today.count());
        let member_status = match (active_deals, deals_today) {
            (6.., _) => "overloaded",
            (0, 0) => "idle",
            (_, 2..) => "crushing_it",
            _ => "normal",
        };
        json!({
            "dealer_id": view.dealer_id,
            "rep_id": rep_id,
            "name": rep.cell("name"),
            "status": rep.cell("status"),
            "skill_level": rep.double("skillLevel").unwrap_or(0.7),
            "natural_frequency": rep.double("naturalFrequency").unwrap_or(1.0),
            "phase": null,
            "active_leads": 0,
            "active_deals": active_deals,
            "deals_today": deals_today,
            "member_status": member_status,
            "updated_at": time_cell(rep.updated_ms()),
        })
    };
    view.live(EntityKind::Rep).into_iter().map(row).collect()
}

pub(super) fn dealers(view: View<'_>) -> Vec<Value> {
    let row = |(_, dealer): (&str, Life<'_>)| {
        json!({
            "dealer_id": view.dealer_id,
            "name": dealer.cell("name"),
            "time_zone": dealer.text("timeZone").unwrap_or("UTC"),
            "state": dealer.cell("state"),
            "currency": dealer.text("currency").unwrap_or("USD"),
            "updated_at": time_cell(dealer.updated_ms()),
        })
    };
    view.live(EntityKind::Dealer).into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_begin_at_31_61_and_91_days() {
        let days = [-1, 0, 30, 31, 60, 61, 90, 91, 4_000];
        let bands = ["0-30", "0-30", "0-30", "31-60", "31-60", "61-90", "61-90", "91+", "91+"];
        assert_eq!(days.map(band), bands);
    }
}
