//! Real clients: psql, and the drivers that this machine has. What is missing is said aloud.

use std::path::Path;
use std::process::Command;

use crate::served::Served;

#[test]
fn drivers_of_other_languages_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::demo(folder.path(), 1_000, &[]);
    served.wait_for_records(1_000);
    let (host, port) = served.address.rsplit_once(':').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/run");
    let outcome = Command::new(script).args([host, port]).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    println!("{told}");
    assert!(outcome.status.success(), "{told}");
}

#[test]
fn psql_finds_its_way_about() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::demo(folder.path(), 1_000, &[]);
    served.wait_for_records(1_000);
    let check = |text: &str, expected: &[&str]| {
        let Some(told) = served.psql(text) else { return };
        for expected in expected {
            assert!(told.contains(expected), "{text} misses {expected}:\n{told}");
        }
    };
    check("\\dt", &["leads", "daily_kpis"]);
    check("\\d", &["deals", "public"]);
    check("\\d leads", &["credit_score", "bigint", "timestamp", "active", "boolean"]);
    check("\\d+ leads", &["Credit score, 300 to 850."]);
    check("\\dt history.*", &["history"]);
    check("\\dn", &["history", "public", "system"]);
    check("\\l", &["dealerflow"]);
    check("select 1 as one; select 'a' as b", &["one", "1", "a"]);
    check("copy (select 1 as x, 'a,b' as y, null as z) to stdout with (format csv, header)", &["x,y,z\n1,\"a,b\","]);
    check("copy (select 'a\tb' as y, null as z) to stdout", &["a\\tb\t\\N"]);
    check("\\set VERBOSITY verbose\nselect * from leadz;", &["42P01", "did you mean leads?"]);
    check("\\set VERBOSITY verbose\nselect nothing from leads;", &["42703"]);
    check("\\set VERBOSITY verbose\nselec;", &["42601"]);
    check("\\set VERBOSITY verbose\nselect 1/0;", &["22012"]);
    check("\\set VERBOSITY verbose\ndelete from leads;", &["25006"]);
    // Without its condition the engine would know the answer from the tables' sizes.
    check(
        "\\set VERBOSITY verbose\nset statement_timeout = '20ms'; select count(*) from leads a, leads b, leads c, leads d, leads e \
         where a.lead_id || b.lead_id || c.lead_id || d.lead_id || e.lead_id = 'x';",
        &["57014"],
    );
    check(
        "create view hot as select lead_id from leads where engagement > 0.5; select count(*) >= 0 as counted from hot; drop view hot; select * from hot;",
        &["CREATE VIEW", "counted", "DROP VIEW", "there is no table hot"],
    );
    check("begin; select count(*) > 0 as some from leads; commit", &["BEGIN", "some", "COMMIT"]);
    check("prepare x as select 1; ", &[]);
    check("show dealerflow.epoch", &["dealerflow.epoch"]);
    check("set dealerflow.min_epoch = '9999-01-01T00:00:00Z'; select 1", &["lies in the future"]);
    check("explain select * from leads where dealer_id = 'd-0001' and lead_id = 'x'", &["LiveScan"]);
}
