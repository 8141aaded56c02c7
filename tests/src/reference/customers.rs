//! The table `customers`: whoever a live lead, a live deal or an engagement event names.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::effect::EntityKind;
use super::rows::{View, time_cell};

#[derive(Debug, Default)]
struct Customer {
    leads: u64,
    deals: u64,
    last_seen_ms: Option<i64>,
    engagement: Option<f64>,
}

/// One row per customer. `last_seen_at` is the greatest of its live leads' and deals' `updated_at` and its engagement
/// events' times; `engagement` is that of its greatest engagement event. Engagement events do not expire.
pub(super) fn customers(view: View<'_>) -> Vec<Value> {
    let mut customers: BTreeMap<&str, Customer> = BTreeMap::new();
    for kind in [EntityKind::Lead, EntityKind::Deal] {
        for (_, life) in view.live(kind) {
            let Some(customer_id) = life.text("customerId") else { continue };
            let customer = customers.entry(customer_id).or_default();
            match kind {
                EntityKind::Lead => customer.leads += 1,
                _ => customer.deals += 1,
            }
            customer.last_seen_ms = customer.last_seen_ms.max(life.updated_ms());
        }
    }
    for (customer_id, engagements) in &view.dealership.engagements {
        let customer = customers.entry(customer_id).or_default();
        for &(time_ms, engagement) in engagements {
            customer.last_seen_ms = customer.last_seen_ms.max(Some(time_ms));
            customer.engagement = Some(engagement);
        }
    }
    let row = |(customer_id, customer): (&str, Customer)| {
        json!({
            "dealer_id": view.dealer_id,
            "customer_id": customer_id,
            "leads": customer.leads,
            "deals": customer.deals,
            "last_seen_at": time_cell(customer.last_seen_ms),
            "engagement": customer.engagement,
            "segment": null,
        })
    };
    customers.into_iter().map(row).collect()
}
