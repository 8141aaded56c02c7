//! Tokens over the wire: nobody without one, and each sees its dealers.

use tests::dealerflow::dealerflow;

use crate::served::Served;

#[test]
fn a_token_opens_the_door_to_its_dealers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let first = Served::demo(folder.path(), 2_000, &[]);
    first.wait_for_records(2_000);
    let dealers = first.rows("select dealer_id from dealers order by 1");
    let own = dealers[0]["dealer_id"].as_str().unwrap().to_owned();
    let everybody = first.number("select count(*) from leads");
    let mine = first.number(&format!("select count(*) from leads where dealer_id = '{own}'"));
    assert!(mine > 0 && mine < everybody);
    first.kill();

    let tokens = [("chief", "alpha-secret", "admin", "*"), ("clerk.token", "beta-secret", "viewer", own.as_str())];
    let served = Served::guarded(folder.path(), &tokens);
    let ask = |who: &str, query: &str| {
        let url = format!("postgres://{who}@{}/dealerflow", served.address);
        dealerflow(["sql", "--url", &url, "--format", "json", query])
    };
    let leads = "select count(*) as n from leads";
    assert_eq!(ask("chief:alpha-secret", leads).succeeded().rows()[0]["n"], everybody);
    assert_eq!(ask("clerk:beta-secret", leads).succeeded().rows()[0]["n"], mine);
    for table in ["leads", "deals", "daily_kpis", "history.leads", "stored.reps", "versions.vehicles", "sources"] {
        let query = format!("select count(*) as n from {table} where dealer_id is distinct from '{own}'");
        assert_eq!(ask("clerk:beta-secret", &query).succeeded().rows()[0]["n"], 0, "{table}");
    }
    assert_eq!(ask("clerk:beta-secret", "select count(*) as n from epochs").succeeded().rows()[0]["n"], 0);
    assert_ne!(ask("chief:alpha-secret", "select count(*) as n from epochs").succeeded().rows()[0]["n"], 0);
    for stranger in ["clerk:alpha-secret", "chief:beta-secret", "nobody:alpha-secret", "chief:"] {
        let refused = ask(stranger, leads).failed(1);
        assert!(!refused.contains("secret"), "{refused}");
    }
}

#[test]
fn without_tokens_only_this_machine_is_listened_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tests::dealerflow::command();
    command
        .args(["run"])
        .env("DEALERFLOW_SOURCE__KIND", "embedded")
        .env("DEALERFLOW_DATA_DIR", folder.path())
        .env("DEALERFLOW_SQL__LISTEN", "0.0.0.0:0");
    let refused = tests::dealerflow::run(command);
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stderr.contains("which others can reach, and there is no token"), "{}", refused.stderr);
}
