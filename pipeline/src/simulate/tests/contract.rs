//! The field table of the event contract, as a checker of whole lines. Written down a second time, apart from what makes the events.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const STAGES: &[&str] =
    &["prospect", "negotiating", "pending_finance", "approved", "contracted", "delivered", "lost", "unwound"];
const PHASES: &[&str] = &[
    "acquired",
    "inspection",
    "estimate",
    "approval",
    "parts",
    "mechanical",
    "body",
    "detail",
    "photos",
    "frontline",
    "sale_pending",
    "sold",
    "removed",
];

const LEAD: &str = "creditScore:score annualIncomeCents:money vehiclePriceCents:money downPaymentCents:money tradeValueCents:money \
    visitCount:count timeOnLotMinutes:count engagement:share coBuyer:flag termMonths:count paymentSensitivity:share vehicleId:text \
    language:text skills:texts";
const DEAL: &str = "leadId:text customerId:text repId:text stage:stage vehicleId:text priceCents:money costCents:money \
    downPaymentCents:money tradeAllowanceCents:money tradeAcvCents:money amountFinancedCents:money termMonths:count \
    aprPercent:percent frontGrossCents:signed backGrossCents:signed lender:text state:text strategy:text";
const DEAL_END: &str = "repId:text reason:text frontGrossCents:signed backGrossCents:signed";
const VEHICLE_END: &str = "dealId:text priceCents:money reason:text";

/// (type, topic, fields that it needs, fields that it may have)
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("dealer.updated", "dealers", "", "name:text timeZone:zone state:text currency:currency"),
    ("lead.created", "leads", "leadId:text customerId:text channel:text", LEAD),
    ("lead.updated", "leads", "leadId:text", LEAD),
    ("lead.responded", "leads", "leadId:text", "repId:text channel:text"),
    ("lead.deleted", "leads", "leadId:text", ""),
    ("customer.engagement.detected", "leads", "customerId:text engagement:share", "leadId:text channel:text"),
    ("customer.idle", "leads", "customerId:text idleMinutes:count", "leadId:text"),
    ("deal.created", "deals", "dealId:text", DEAL),
    ("deal.updated", "deals", "dealId:text", DEAL),
    ("deal.submitted", "deals", "dealId:text", DEAL),
    ("deal.closed", "deals", "dealId:text", DEAL_END),
    ("deal.lost", "deals", "dealId:text", DEAL_END),
    ("deal.unwound", "deals", "dealId:text", DEAL_END),
    (
        "deal.tax.required",
        "deals",
        "dealId:text state:text",
        "priceCents:money tradeAllowanceCents:money rebateCents:money docFeeCents:money deliveryDate:date",
    ),
    (
        "credit.approved",
        "deals",
        "dealId:text",
        "creditScore:score maxAmountCents:money monthlyIncomeCents:money monthlyDebtCents:money",
    ),
    ("deal.strategy.outcome", "deals", "dealId:text strategy:text success:flag", ""),
    (
        "vehicle.acquired",
        "inventory",
        "vehicleId:text",
        "vin:text year:year make:text model:text trim:text mileage:count condition:condition costCents:money marketPriceCents:money \
         phase:phase",
    ),
    ("vehicle.phase.moved", "inventory", "vehicleId:text phase:phase", ""),
    ("vehicle.priced", "inventory", "vehicleId:text priceCents:money", "marketPriceCents:money"),
    ("vehicle.sold", "inventory", "vehicleId:text", VEHICLE_END),
    ("vehicle.removed", "inventory", "vehicleId:text", VEHICLE_END),
    (
        "rep.added",
        "reps",
        "repId:text name:text",
        "skillLevel:share naturalFrequency:positive role:text team:text leadCap:count skills:texts shiftStart:clock shiftEnd:clock",
    ),
    ("rep.status.changed", "reps", "repId:text status:status", ""),
    ("rep.skill.updated", "reps", "repId:text", "skillLevel:share"),
    ("rep.removed", "reps", "repId:text", "skillLevel:share"),
];

/// What a checked line is.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) event: Map<String, Value>,
    /// Whether its type is in the table.
    pub(super) known: bool,
    /// Fields of `data` that the table does not know.
    pub(super) unknown_fields: usize,
    /// Event time in UTC milliseconds.
    pub(super) time_ms: i64,
}

impl Checked {
    /// A text of the envelope.
    pub(super) fn text(&self, key: &str) -> &str {
        self.event.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field of `data`.
    pub(super) fn field(&self, key: &str) -> &Value {
        self.event.get("data").and_then(|data| data.get(key)).unwrap_or(&Value::Null)
    }
}

/// Reads one line of a topic, or says what the contract has against it. `serde_json` alone would not see a key that stands twice.
pub(super) fn check(topic: &str, line: &[u8]) -> Result<Checked, String> {
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Value::Object(event) = value else { return Err("no object".to_owned()) };
    for key in [
        "\"specversion\":",
        "\"id\":",
        "\"time\":",
        "\"leadId\":",
        "\"dealId\":",
        "\"priceCents\":",
        "\"creditScore\":",
    ] {
        if text.matches(key).count() > 1 {
            return Err(format!("{key} stands twice"));
        }
    }
    let envelope = |key: &str| match event.get(key).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{key} is missing")),
    };
    if envelope("specversion")? != "1.0" {
        return Err("specversion".to_owned());
    }
    for key in ["id", "source", "dealerid", "subject"] {
        envelope(key)?;
    }
    let time = envelope("time")?;
    let time_ms = time_ms(&time).ok_or_else(|| format!("time {time}"))?;
    let known = TABLE.iter().find(|(name, ..)| Some(*name) == event.get("type").and_then(Value::as_str));
    let mut unknown_fields = 0;
    if let Some((name, its_topic, needed, possible)) = known {
        if *its_topic != topic {
            return Err(format!("{name} on {topic}"));
        }
        let data = event.get("data").and_then(Value::as_object).ok_or("data")?;
        let mut names = BTreeSet::new();
        let needed = needed.split_whitespace().map(|field| (field, true));
        let lead_keys = if *name == "lead.updated" { "customerId:text channel:text" } else { "" };
        let possible = possible.split_whitespace().chain(lead_keys.split_whitespace()).map(|field| (field, false));
        for (field, needed) in needed.chain(possible) {
            let (key, rule) = field.split_once(':').ok_or("table")?;
            names.insert(key);
            match data.get(key) {
                None | Some(Value::Null) if needed => return Err(format!("{key} is missing")),
                None | Some(Value::Null) => {}
                Some(value) if meets(rule, value) => {}
                Some(value) => return Err(format!("{key} is {value}")),
            }
        }
        unknown_fields = data.keys().filter(|key| !names.contains(key.as_str())).count();
    }
    Ok(Checked { known: known.is_some(), event, unknown_fields, time_ms })
}

fn meets(rule: &str, value: &Value) -> bool {
    let word = |words: &[&str]| value.as_str().is_some_and(|text| words.contains(&text));
    let integer = |low: i64, high: i64| value.as_i64().is_some_and(|number| (low..=high).contains(&number));
    let double = |low: f64, high: f64| value.as_f64().is_some_and(|number| (low..=high).contains(&number));
    match rule {
        "text" => value.as_str().is_some_and(|text| !text.is_empty()),
        "money" | "count" => integer(0, i64::MAX),
        "signed" => value.is_i64(),
        "score" => integer(300, 850),
        "year" => integer(1900, 2100),
        "share" => double(0.0, 1.0),
        "percent" => double(0.0, 100.0),
        "positive" => double(0.001, 10.0),
        "flag" => value.is_boolean(),
        "texts" => value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)),
        "stage" => word(STAGES),
        "phase" => word(PHASES),
        "condition" => word(&["new", "used", "certified"]),
        "status" => word(&["available", "busy", "break", "off"]),
        "currency" => word(&["USD"]),
        "zone" => {
            value.as_str().is_some_and(|name| super::super::catalog::TOWNS.iter().any(|town| town.zone.name == name))
        }
        "clock" => value.as_str().is_some_and(|text| text.len() == 5 && text.as_bytes()[2] == b':'),
        "date" => value.as_str().is_some_and(|text| time_ms(&format!("{text}T00:00:00Z")).is_some()),
        _ => false,
    }
}

/// UTC milliseconds of an RFC 3339 time.
pub(super) fn time_ms(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok().map(i64::from);
    let shape: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    let rest = shape.strip_prefix("0000-00-00T00:00:00")?;
    let (fraction, offset) = rest.split_at(rest.find(['Z', '+', '-'])?);
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let days = super::super::calendar::days_from_civil(year, month, day);
    if super::super::calendar::civil_from_days(days) != (year, month, day) {
        return None;
    }
    let thousandths = match fraction.len() {
        0 => 0,
        4.. => number(20..23)?,
        _ => return None,
    };
    let offset_minutes = match offset {
        "Z" => 0,
        "+00:00" => number(text.len() - 5..text.len() - 3)? * 60 + number(text.len() - 2..text.len())?,
        _ => return None,
    };
    let minutes = days * 1_440 + number(11..13)? * 60 + number(14..16)? - offset_minutes;
    Some((minutes * 60 + number(17..19)?) * 1_000 + thousandths)
}
