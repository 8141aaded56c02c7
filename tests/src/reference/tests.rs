//! Whole folders against tables computed by hand.

use std::fs;

use serde_json::{Value, json};

use super::*;

/// An event of dealer `d` on `time`, with its type and data; the id is the line's number.
struct Line(&'static str, &'static str, &'static str, Value);

/// Writes the events to their topics and reads them back.
fn read(lines: &[Line]) -> Reference {
    let folder = tempfile::tempdir().unwrap();
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (index, Line(topic, time, type_name, data)) in lines.iter().enumerate() {
        let event = json!({
            "specversion": "1.0", "id": format!("{index:03}"), "source": "s", "type": type_name, "dealerid": "d",
            "time": time, "data": data,
        });
        let text = files.entry(topic).or_default();
        text.push_str(&event.to_string());
        text.push('\n');
    }
    for (topic, text) in files {
        fs::write(folder.path().join(format!("{topic}.jsonl")), text).unwrap();
    }
    Reference::read(folder.path(), Settings::default()).unwrap()
}

/// The given columns of a table's rows, whatever the order the events are written in.
fn check(mut lines: Vec<Line>, table: &str, columns: &[&str], expected: &Value) {
    let pick = |reference: &Reference| -> Value {
        let rows = &reference.tables()[table];
        rows.iter().map(|row| columns.iter().map(|column| row[*column].clone()).collect::<Value>()).collect()
    };
    assert_eq!(pick(&read(&lines)), *expected);
    lines.reverse();
    assert_eq!(pick(&read(&lines)), *expected, "in reverse order");
}

fn lead(time: &'static str, type_name: &'static str, mut data: Value) -> Line {
    data["leadId"] = "l".into();
    if type_name == "lead.created" {
        data["customerId"] = "c".into();
        data["channel"] = "web".into();
    }
    Line("leads", time, type_name, data)
}

fn deal(time: &'static str, type_name: &'static str, mut data: Value) -> Line {
    data["dealId"] = "x".into();
    Line("deals", time, type_name, data)
}

fn vehicle(time: &'static str, type_name: &'static str, mut data: Value) -> Line {
    data["vehicleId"] = "v".into();
    Line("inventory", time, type_name, data)
}

#[test]
fn a_lead_shows_its_columns() {
    let lines = vec![
        lead("2026-01-01T10:00:00Z", "lead.created", json!({"creditScore": 700, "engagement": 0})),
        lead("2026-01-01T10:02:03.450Z", "lead.responded", json!({"repId": "r", "channel": "phone"})),
        lead("2026-01-01T10:05:00Z", "lead.responded", json!({})),
        lead("2026-01-02T00:00:00Z", "lead.updated", json!({"creditScore": null, "visitCount": 3})),
        Line(
            "leads",
            "2026-01-03T00:00:00Z",
            "customer.engagement.detected",
            json!({"customerId": "c", "engagement": 0.5, "leadId": "l"}),
        ),
    ];
    let reference = read(&lines);
    let expected = json!([{
        "dealer_id": "d", "lead_id": "l", "customer_id": "c", "channel": "web", "credit_score": null,
        "annual_income_cents": null, "vehicle_price_cents": null, "down_payment_cents": null, "trade_value_cents": null,
        "visit_count": 3, "time_on_lot_minutes": null, "engagement": 0.5, "created_at": "2026-01-01T10:00:00.000Z",
        "responded_at": "2026-01-01T10:02:03.450Z", "response_seconds": 123.45, "assigned_rep_id": null, "segment": null,
        "is_outlier": null, "priority_score": null, "active": false, "updated_at": "2026-01-03T00:00:00.000Z",
    }]);
    assert_eq!(Value::from(reference.tables()["leads"].clone()), expected);
    check(lines, "leads", &["visit_count", "engagement", "response_seconds"], &json!([[3, 0.5, 123.45]]));
}

#[test]
fn a_lead_first_seen_in_an_update_has_no_creation_and_a_response_before_it_takes_no_time() {
    let update = lead("2026-01-01T10:00:00Z", "lead.updated", json!({"visitCount": 1}));
    check(vec![update], "leads", &["created_at", "response_seconds", "customer_id"], &json!([[null, null, null]]));
    let lines = vec![
        lead("2026-01-01T09:00:00Z", "lead.responded", json!({})),
        lead("2026-01-01T10:00:00Z", "lead.created", json!({})),
    ];
    check(lines, "leads", &["response_seconds", "responded_at"], &json!([[0.0, "2026-01-01T09:00:00.000Z"]]));
}

#[test]
fn deleted_leads_leave_every_table_and_return_only_by_creation() {
    let created = |time| lead(time, "lead.created", json!({"visitCount": 1}));
    let deleted = |time| lead(time, "lead.deleted", json!({}));
    let updated = |time| lead(time, "lead.updated", json!({"channel": "phone"}));
    let gone =
        || vec![created("2026-01-01T00:00:00Z"), deleted("2026-01-02T00:00:00Z"), updated("2026-01-03T00:00:00Z")];
    for table in ["leads", "daily_kpis", "customers"] {
        check(gone(), table, &["dealer_id"], &json!([]));
    }
    let mut revived = gone();
    revived.push(lead("2026-01-04T00:00:00Z", "lead.created", json!({})));
    check(
        revived,
        "leads",
        &["channel", "visit_count", "created_at"],
        &json!([["web", null, "2026-01-04T00:00:00.000Z"]]),
    );
}

#[test]
fn a_deal_closes_while_its_winning_stage_is_delivered() {
    let created = || deal("2026-01-01T00:00:00Z", "deal.created", json!({"repId": "r", "frontGrossCents": -500}));
    let closed = || deal("2026-01-02T00:00:00Z", "deal.closed", json!({"backGrossCents": 70, "priceCents": 9}));
    let columns = ["stage", "closed_at", "front_gross_cents", "back_gross_cents", "price_cents"];
    check(vec![created()], "deals", &columns, &json!([["prospect", null, -500, null, null]]));
    let delivered = json!([["delivered", "2026-01-02T00:00:00.000Z", -500, 70, null]]);
    check(vec![created(), closed()], "deals", &columns, &delivered);
    let unwound = || deal("2026-01-03T00:00:00Z", "deal.unwound", json!({}));
    check(vec![created(), closed(), unwound()], "deals", &columns, &json!([["unwound", null, -500, 70, null]]));
    let kpis = ["day", "deals_created", "deals_closed", "front_gross_cents", "back_gross_cents"];
    let rows = json!([["2026-01-01", 1, 0, 0, 0], ["2026-01-02", 0, 1, -500, 70]]);
    check(vec![created(), closed()], "daily_kpis", &kpis, &rows);
    check(vec![created(), closed(), unwound()], "daily_kpis", &kpis, &json!([["2026-01-01", 1, 0, 0, 0]]));
}

#[test]
fn a_vehicle_keeps_its_price_when_sold_and_ages_until_then() {
    let lines = || {
        vec![
            vehicle("2026-01-01T12:00:00Z", "vehicle.acquired", json!({"vin": "1HGCM82633A004352", "year": 2026})),
            vehicle("2026-01-11T12:00:00Z", "vehicle.phase.moved", json!({"phase": "frontline"})),
            vehicle("2026-01-12T12:00:00Z", "vehicle.priced", json!({"priceCents": 100, "marketPriceCents": 90})),
            vehicle("2026-02-01T12:00:00Z", "vehicle.sold", json!({"priceCents": 95})),
            Line("dealers", "2026-06-01T12:00:00Z", "dealer.updated", json!({"name": "D"})),
        ]
    };
    check(
        lines(),
        "vehicles",
        &["phase", "price_cents", "market_price_cents", "vin_valid", "days_on_lot", "band", "frontline_at", "sold_at"],
        &json!([["sold", 100, 90, true, 31, "31-60", "2026-01-11T12:00:00.000Z", "2026-02-01T12:00:00.000Z"]]),
    );
    let mut unsold = lines();
    unsold.remove(3);
    check(unsold, "vehicles", &["phase", "days_on_lot", "band"], &json!([["frontline", 151, "91+"]]));
    let mut removed = lines();
    removed.push(vehicle("2026-03-01T12:00:00Z", "vehicle.removed", json!({})));
    check(removed, "vehicles", &["phase"], &json!([]));
}

#[test]
fn reps_have_defaults_and_count_their_deals() {
    let lines = vec![
        Line("reps", "2026-01-01T00:00:00Z", "rep.added", json!({"repId": "r", "name": "Rae"})),
        Line("reps", "2026-01-02T00:00:00Z", "rep.status.changed", json!({"repId": "r", "status": "busy"})),
        Line("reps", "2026-01-01T00:00:00Z", "rep.added", json!({"repId": "q", "name": "Quin", "skillLevel": 1})),
        Line("reps", "2026-01-05T00:00:00Z", "rep.removed", json!({"repId": "q"})),
        Line("deals", "2026-01-05T00:00:00Z", "deal.created", json!({"dealId": "1", "repId": "r"})),
        Line("deals", "2026-01-05T00:00:00Z", "deal.updated", json!({"dealId": "2", "repId": "r"})),
        Line("deals", "2026-01-04T23:59:59Z", "deal.closed", json!({"dealId": "3", "repId": "r"})),
        Line("deals", "2026-01-05T00:00:00Z", "deal.closed", json!({"dealId": "4", "repId": "r"})),
    ];
    check(
        lines,
        "reps",
        &[
            "rep_id",
            "name",
            "status",
            "skill_level",
            "natural_frequency",
            "active_deals",
            "deals_today",
            "active_leads",
        ],
        &json!([["r", "Rae", "busy", 0.7, 1.0, 1, 1, 0]]),
    );
}

#[test]
fn days_are_those_of_the_dealers_present_zone() {
    let created = || lead("2026-01-01T02:00:00Z", "lead.created", json!({}));
    let zone = |time, zone: &str| Line("dealers", time, "dealer.updated", json!({"timeZone": zone, "name": "D"}));
    check(vec![created()], "daily_kpis", &["day", "leads"], &json!([["2026-01-01", 1]]));
    let lines = vec![created(), zone("2026-02-01T00:00:00Z", "America/Los_Angeles")];
    check(lines, "daily_kpis", &["day", "leads"], &json!([["2025-12-31", 1]]));
    let dealer = vec![zone("2026-02-01T00:00:00Z", "America/Los_Angeles")];
    let expected = json!([["D", "America/Los_Angeles", null, "USD"]]);
    check(dealer, "dealers", &["name", "time_zone", "state", "currency"], &expected);
}

#[test]
fn answers_count_on_the_day_the_lead_was_created() {
    let mut lines = Vec::new();
    for (id, answered_at) in
        [("l1", "2026-01-01T23:59:10Z"), ("l2", "2026-01-01T23:59:20Z"), ("l3", "2026-01-02T00:00:30Z")]
    {
        let data = json!({"leadId": id, "customerId": "c", "channel": "web"});
        lines.push(Line("leads", "2026-01-01T23:59:00Z", "lead.created", data));
        lines.push(Line("leads", answered_at, "lead.responded", json!({"leadId": id})));
    }
    lines.push(Line("leads", "2026-01-03T00:00:00Z", "lead.responded", json!({"leadId": "l4"})));
    let columns = ["day", "leads", "responded", "response_seconds_p50", "response_seconds_p90"];
    check(lines, "daily_kpis", &columns, &json!([["2026-01-01", 3, 3, 20.0, 90.0]]));
}

#[test]
fn expired_entities_have_no_row_but_keep_their_days() {
    let lines = || {
        vec![
            lead("2024-01-01T02:00:00Z", "lead.created", json!({"visitCount": 1})),
            Line("dealers", "2026-01-01T00:00:00Z", "dealer.updated", json!({"timeZone": "America/Los_Angeles"})),
        ]
    };
    check(lines(), "leads", &["lead_id"], &json!([]));
    check(lines(), "customers", &["customer_id"], &json!([]));
    check(lines(), "daily_kpis", &["day", "leads"], &json!([["2024-01-01", 1]]));
    let mut again = lines();
    again.push(lead("2025-12-31T00:00:00Z", "lead.updated", json!({"channel": "phone"})));
    let fresh = json!([["phone", null, null]]);
    check(again, "leads", &["channel", "visit_count", "created_at"], &fresh);
}

#[test]
fn customers_live_by_leads_deals_and_engagement() {
    let lines = vec![
        lead("2026-01-01T00:00:00Z", "lead.created", json!({})),
        deal("2026-01-02T00:00:00Z", "deal.created", json!({"customerId": "c"})),
        Line(
            "leads",
            "2026-01-03T00:00:00Z",
            "customer.engagement.detected",
            json!({"customerId": "e", "engagement": 1}),
        ),
        Line(
            "leads",
            "2026-01-04T00:00:00Z",
            "customer.engagement.detected",
            json!({"customerId": "e", "engagement": 0.25}),
        ),
        Line("leads", "2026-01-05T00:00:00Z", "customer.idle", json!({"customerId": "i", "idleMinutes": 5})),
    ];
    check(
        lines,
        "customers",
        &["customer_id", "leads", "deals", "last_seen_at", "engagement", "segment"],
        &json!([
            ["c", 1, 1, "2026-01-02T00:00:00.000Z", null, null],
            ["e", 0, 0, "2026-01-04T00:00:00.000Z", 0.25, null]
        ]),
    );
}

#[test]
fn every_line_is_counted_once_in_sources_and_the_bad_ones_are_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let good = r#"{"specversion":"1.0","id":"1","source":"s","type":"lead.deleted","dealerid":"d","time":"2026-01-01T00:00:00Z","data":{"leadId":"l"}}"#;
    let reused = good.replace("\"l\"", "\"m\"");
    let unknown = good.replace("lead.deleted", "x.any").replace("\"id\":\"1\"", "\"id\":\"2\"");
    let wrong_topic = good.replace("\"id\":\"1\"", "\"id\":\"3\"");
    fs::write(folder.path().join("leads.jsonl"), format!("{good}\n\n{good}\r\n{reused}\n{unknown}\nrubbish")).unwrap();
    fs::write(folder.path().join("deals.jsonl"), wrong_topic).unwrap();
    let reference = Reference::read(folder.path(), Settings::default()).unwrap();
    let tables = reference.tables();
    let letters: Vec<_> = reference.dead_letters().iter().map(|l| (l.topic, l.line, l.reason.code())).collect();
    assert_eq!(letters, [("deals", 1, "wrong_topic"), ("leads", 4, "id_reused"), ("leads", 6, "invalid_json")]);
    let counts = |dealer_id: Value, topic: &str, numbers: [u64; 5]| {
        let [records, accepted, duplicates, rejected, unknown] = numbers;
        json!({"dealer_id": dealer_id, "topic": topic, "records": records, "accepted": accepted,
            "duplicates": duplicates, "rejected": rejected, "unknown": unknown, "late": 0})
    };
    let expected = vec![
        counts(Value::Null, "leads", [1, 0, 0, 1, 0]),
        counts("d".into(), "deals", [1, 0, 0, 1, 0]),
        counts("d".into(), "leads", [4, 2, 1, 1, 1]),
    ];
    assert_eq!(tables["sources"], expected);
    let letter =
        json!({"dealer_id": "d", "topic": "leads", "log_partition": 0, "log_offset": 4, "reason_code": "id_reused"});
    assert_eq!(tables["dead_letters"][1], letter);
}

#[test]
fn an_empty_folder_gives_empty_tables() {
    let folder = tempfile::tempdir().unwrap();
    let reference = Reference::read(folder.path(), Settings::default()).unwrap();
    assert_eq!(reference.epoch_ms(), None);
    assert!(reference.tables().values().all(Vec::is_empty));
    assert_eq!(reference.tables().len(), 9);
}
