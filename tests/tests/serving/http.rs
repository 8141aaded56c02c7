//! The HTTP server, as its callers meet it: what goes in, what comes out, and what nobody gets of others.

use std::path::Path;

use serde_json::{Value, json};

use crate::asking::Asking;
use crate::served::Served;

const CHIEF: &str = "chief-token-0123456789";
const ANN: &str = "ann-token-0123456789abc";
const VIEWER: &str = "viewer-token-0123456789";

fn event(id: &str, kind: &str, dealer: &str, data: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/crm", "type": kind, "time": "2026-02-16T15:04:05Z", "dealerid": dealer, "data": data})
}

fn serve(folder: &Path) -> Served {
    let tokens = [("chief", CHIEF, "admin", "*"), ("ann", ANN, "admin", "d-1"), ("viewer", VIEWER, "viewer", "d-1")];
    Served::guarded(folder, &tokens)
}

#[test]
fn a_token_gets_nothing_of_other_dealers_by_any_path() {
    let folder = tempfile::tempdir().unwrap();
    // A pipeline makes no topics by itself: a demo does.
    Served::demo(folder.path(), 200, &[]).kill();
    let served = serve(folder.path());
    let asking = |token| Asking { served: &served, token };
    let (chief, ann, viewer, nobody) = (asking(Some(CHIEF)), asking(Some(ANN)), asking(Some(VIEWER)), asking(None));

    let rep = |dealer: &str, name: &str| {
        event(&format!("rep-{dealer}"), "rep.added", dealer, &json!({"repId": "r-1", "name": name}))
    };
    let lead = |dealer: &str| {
        event(
            &format!("lead-{dealer}"),
            "lead.created",
            dealer,
            &json!({"leadId": "l-1", "customerId": "c-1", "channel": "web"}),
        )
    };
    let batch = json!([rep("d-1", "Ann Own"), rep("d-2", "Zed Secret"), lead("d-1"), lead("d-2"), {"id": 7}]);
    let told = chief.post("/api/events", &batch);
    assert_eq!(told.status, 200, "{}", told.body);
    let told = told.json();
    assert_eq!((&told["accepted"], &told["rejected"]), (&json!(4), &json!(1)), "{told}");
    assert_eq!(told["results"][4]["status"], "rejected");
    let epoch = told["epoch"].as_i64().unwrap();

    // Reading: with the epoch of the write, so that an empty answer is no accident.
    for path in ["team-status", "customer-segments", "anomalies", "insights"] {
        let own = ann.get(&format!("/api/intelligence/{path}?minEpoch={epoch}"));
        assert_eq!(own.status, 200, "{path}: {}", own.body);
        assert!(!own.body.contains("Secret"), "{path}: {}", own.body);
        let other = ann.get(&format!("/api/intelligence/{path}?dealerId=d-2&minEpoch={epoch}"));
        assert_eq!(other.status, 403, "{path}: {}", other.body);
        assert_eq!(nobody.get(&format!("/api/intelligence/{path}")).status, 401);
    }
    let team = ann.get(&format!("/api/intelligence/team-status?minEpoch={epoch}")).json();
    assert_eq!(team["teamMembers"][0]["name"], "Ann Own");
    let floor = ann.get("/api/pulse/floor").json();
    assert!(floor.to_string().contains("Ann Own") && !floor.to_string().contains("d-2"), "{floor}");
    assert_eq!(ann.get("/api/pulse/floor?dealerId=d-2").status, 403);
    for whole in ["/api/pulse/meta", "/metrics"] {
        assert_eq!(
            (ann.get(whole).status, chief.get(whole).status, nobody.get(whole).status),
            (403, 200, 401),
            "{whole}"
        );
    }

    // SQL.
    for table in ["reps", "leads", "history.leads", "versions.reps", "stored.leads", "sources"] {
        let query = json!({"sql": format!("select count(*) as n from {table} where dealer_id is distinct from 'd-1'"), "minEpoch": epoch});
        let answer = ann.post("/api/sql", &query);
        assert_eq!((answer.status, answer.json()[0]["n"].as_i64()), (200, Some(0)), "{table}: {}", answer.body);
        assert!(answer.head.contains("dealerflow-epoch: "), "{}", answer.head);
    }
    let everybody = chief.post("/api/sql", &json!({"sql": "select count(distinct dealer_id) as n from reps"})).json();
    assert!(everybody[0]["n"].as_i64().unwrap() > 1);
    assert_eq!(ann.post("/api/sql", &json!({"sql": "delete from reps"})).status, 400);
    let csv = ann.call("POST", "/api/sql", &[("accept", "text/csv")], r#"{"sql": "select name from reps"}"#);
    assert_eq!(csv.body.trim(), "name\r\nAnn Own");

    // Writing.
    assert_eq!(ann.post("/api/events", &rep("d-2", "X")).status, 403);
    assert_eq!(viewer.post("/api/events", &rep("d-1", "X")).status, 403);
    assert_eq!(
        ann.post("/api/intelligence/deal-closed?dealerId=d-2", &json!({"salespersonId": "r-1", "dealId": "x"})).status,
        403
    );
    assert_eq!(viewer.post("/api/intelligence/add-salesperson", &json!({"id": "r-9", "name": "N"})).status, 403);
    let added = ann.post("/api/intelligence/add-salesperson", &json!({"id": "r-9", "name": "New", "skillLevel": 0.5}));
    assert_eq!((added.status, added.json()["status"].as_str()), (200, Some("added")), "{}", added.body);
    let refused = ann.post("/api/intelligence/add-salesperson", &json!({"id": "r-9", "name": "New", "skillLevel": 5}));
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.head.contains("application/problem+json"), "{}", refused.head);

    // Streams: both dealers' events come again, and each token hears of its own.
    let ends = |line: &str| line.starts_with("event: epoch");
    let again = json!([
        event("e-1", "lead.updated", "d-1", &json!({"leadId": "l-1", "engagement": 0.9})),
        event("e-2", "lead.updated", "d-2", &json!({"leadId": "l-1", "engagement": 0.8}))
    ]);
    let second = chief.post("/api/events", &again).json()["epoch"].as_i64().unwrap();
    let behind = (second - 1).to_string();
    let (mine, all) =
        (ann.stream("/api/pulse-stream", Some(&behind), ends), chief.stream("/api/pulse-stream", Some(&behind), ends));
    assert!(
        mine.contains("\"dealerId\":\"d-1\"") && !mine.contains("d-2") && !mine.contains("event: pipeline"),
        "{mine}"
    );
    assert!(all.contains("\"dealerId\":\"d-2\"") && all.contains("event: pipeline"), "{all}");
    assert!(ann.stream("/api/pulse-stream?dealerId=d-2", None, |line| line.contains("403")).contains("403"));
    let progress = |line: &str| line.starts_with("id: ");
    let (mine, all) = (
        ann.stream("/api/subscribe?table=reps", None, progress),
        chief.stream("/api/subscribe?table=reps", None, progress),
    );
    assert!(mine.contains("Ann Own") && !mine.contains("Secret"), "{mine}");
    assert!(all.contains("Secret"), "{all}");
    for query in
        ["*%20from%20reps", "*%20from%20history.reps", "count(*),name%20from%20stored.reps%20group%20by%20name"]
    {
        let path = format!("/api/subscribe?query=select%20{query}");
        let (mine, all) = (ann.stream(&path, None, progress), chief.stream(&path, None, progress));
        assert!(mine.contains("Ann Own") && !mine.contains("Secret"), "{query}: {mine}");
        assert!(all.contains("Secret"), "{query}: {all}");
        let resumed = ann.stream(&path, Some(&(epoch - 60_000).to_string()), progress);
        assert!(resumed.contains("Ann Own") && !resumed.contains("Secret"), "{query}: {resumed}");
    }
    let resumed = ann.stream("/api/subscribe?table=leads", Some(&epoch.to_string()), progress);
    assert!(resumed.contains("event: changes") && resumed.contains("\"engagement\":0.9"), "{resumed}");
    assert!(!resumed.contains("\"d-2\"") && !resumed.contains("\"engagement\":0.8"), "{resumed}");
    assert_eq!(served.stderr().matches("panicked").count(), 0);
}

#[test]
fn a_command_is_recorded_once_and_answered_again() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::demo(folder.path(), 2_000, &[]);
    let local = Asking { served: &served, token: None };
    served.wait_for_records(2_000);
    let dealer =
        served.rows("select dealer_id from dealers order by 1 limit 1")[0]["dealer_id"].as_str().unwrap().to_owned();
    let customer = json!({"dealerId": dealer, "customerId": "c-new", "creditScore": 760, "annualIncome": 120_000, "engagement": 0.6});
    let path = "/api/intelligence/analyze-customer";
    let leads = || served.number(&format!("select count(*) from leads where dealer_id = '{dealer}'"));
    let before = leads();

    let preview = local.post(&format!("{path}?preview=true"), &customer);
    assert_eq!(preview.status, 200, "{}", preview.body);
    assert_eq!((&preview.json()["leadId"], leads()), (&Value::Null, before), "a preview records nothing");

    let body = customer.to_string();
    let first = local.call("POST", path, &[("idempotency-key", "order-1")], &body);
    assert_eq!(first.status, 200, "{}", first.body);
    let told = first.json();
    assert_eq!((told["leadId"].as_str(), leads()), (Some("order-1"), before + 1));
    assert!(told["customerAnalysis"]["clusterName"].is_string(), "{told}");
    assert!(told["recommendedActions"].as_array().is_some_and(|actions| !actions.is_empty()), "{told}");
    let again = local.call("POST", path, &[("idempotency-key", "order-1")], &body);
    assert_eq!((again.json(), leads()), (told, before + 1), "a repeat is the recorded result");
    let other = local.call("POST", path, &[("idempotency-key", "order-1")], &body.replace("760", "761"));
    assert_eq!(other.status, 409, "{}", other.body);
    let wrong = local.post(path, &json!({"dealerId": dealer, "customerId": "c", "creditScore": 9_000}));
    assert_eq!((wrong.status, leads()), (422, before + 1), "{}", wrong.body);

    let closed = json!({"dealerId": dealer, "salespersonId": "r-x", "dealId": "deal-new"});
    let closed = local.post("/api/intelligence/deal-closed", &closed).json();
    assert_eq!(closed["status"], "recorded");
    let query = format!("select stage from deals where dealer_id = '{dealer}' and deal_id = 'deal-new'");
    assert_eq!(served.rows(&query)[0]["stage"], "delivered", "its epoch is published");
    assert_eq!(local.post("/api/intelligence/reset", &json!({})).status, 400, "there are several dealers");

    let moved = |of: &str| {
        let query =
            "select cast(min(updated_at) as varchar) as first, cast(max(updated_at) as varchar) as last from segments";
        let rows = served.rows(&format!("{query} where dealer_id {of} '{dealer}'"));
        (rows[0]["first"].to_string(), rows[0]["last"].to_string())
    };
    let (own, others) = (moved("="), moved("<>"));
    let reset = local.post(&format!("/api/intelligence/reset?dealerId={dealer}"), &json!({})).json();
    assert_eq!(reset["status"], "recorded", "{reset}");
    let (first, last) = moved("=");
    assert!(first == last && last > own.1, "every cluster of the dealer began anew: {first} to {last} after {own:?}");
    assert_eq!(moved("<>"), others, "and of no other");
}

#[test]
fn every_route_is_in_the_document_and_strangers_pages_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::demo(folder.path(), 200, &[("DEALERFLOW_HTTP__BODY_BYTES_MAX", "10KiB")]);
    let local = Asking { served: &served, token: None };
    let document = local.get("/api/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    for path in ["/api/events", "/api/sql", "/api/subscribe", "/api/pulse-stream", "/metrics", "/healthz", "/readyz"] {
        assert!(paths.contains_key(path), "{path}");
    }
    for path in [
        "analyze-customer",
        "team-status",
        "customer-segments",
        "anomalies",
        "deal-closed",
        "insights",
        "add-salesperson",
        "salesperson/{id}",
        "reset",
        "health",
    ] {
        assert!(paths.contains_key(&format!("/api/intelligence/{path}")), "{path}");
    }
    assert_eq!(local.get("/nowhere").status, 404);
    assert_eq!(local.call("PUT", "/api/sql", &[], "{}").status, 405);
    assert_eq!(
        local.call("GET", "/api/intelligence/health", &[("origin", "http://elsewhere.example")], "").status,
        403
    );
    for page in ["/floor", "/pulse/meta"] {
        let page = local.get(page);
        assert_eq!(page.status, 200);
        assert!(
            page.head.contains("content-security-policy: default-src 'none'")
                && page.head.contains("x-frame-options: deny")
        );
    }
    let huge = local.call("POST", "/api/events", &[("content-type", "application/json")], &" ".repeat(20 << 10));
    assert_eq!(huge.status, 413);
    let metrics = local.get("/metrics").body;
    assert!(metrics.contains("dealerflow_events_accepted_total") && metrics.contains("process_resident_memory_bytes"));
}
