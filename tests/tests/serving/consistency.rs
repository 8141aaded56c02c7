//! What two tables say of one thing is the same in every answer, while events stream in.

use std::time::Instant;

use crate::served::Served;

/// Each gives no row while the tables agree.
const INVARIANTS: [&str; 4] = [
    "select * from (select coalesce(sum(front_gross_cents), 0) as deals from deals where stage = 'delivered') d, \
     (select coalesce(sum(front_gross_cents), 0) as days from daily_kpis) k where d.deals <> k.days",
    "select * from (select count(*) as deals from deals) d, (select sum(n) as stages from \
     (select count(*) as n from deals group by stage) s) t where d.deals <> coalesce(t.stages, 0)",
    "select * from (select sum(active_leads) as reps from reps) r, (select count(*) as leads from leads l \
     where active and exists (select 1 from reps r where r.dealer_id = l.dealer_id and r.rep_id = l.assigned_rep_id)) l \
     where coalesce(r.reps, 0) <> l.leads",
    "select a.lead_id from stored.leads a full join stored.leads b on a.dealer_id = b.dealer_id and a.lead_id = b.lead_id \
     where (a.updated_at is distinct from b.updated_at) or a.lead_id is null or b.lead_id is null",
];

#[test]
fn two_tables_never_disagree_while_events_stream_in() {
    let queries = std::env::var("CONSISTENCY_QUERIES").map_or(300, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments =
        ["demo", "--events", "400000", "--dealers", "10", "--rate", "2000", "--data-dir", data.to_str().unwrap()];
    let served = Served::start(folder.path(), &arguments, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&served.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut prepared = Vec::new();
        for invariant in INVARIANTS {
            prepared.push(client.prepare(invariant).await.unwrap());
        }
        let started = Instant::now();
        let mut epochs = std::collections::BTreeSet::new();
        for number in 0..queries {
            let place = number % INVARIANTS.len();
            let rows = client.query(&prepared[place], &[]).await.unwrap();
            assert!(rows.is_empty(), "in query {number}: {}", INVARIANTS[place]);
            if number % 10 == 0 {
                let row = client.query_one("select dealerflow_epoch()", &[]).await.unwrap();
                epochs.insert(row.get::<_, i64>(0));
            }
        }
        assert!(epochs.len() > 3, "epochs passed meanwhile: {epochs:?} in {:?}", started.elapsed());
    });
}
