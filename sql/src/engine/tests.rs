//! Queries over live tables: one epoch each, past epochs, limits, views, and who sees what.

use std::sync::Arc;

use datafusion::object_store::memory::InMemory;
use tokio::sync::watch;

use super::*;
use crate::access::{Dealers, Role};
use crate::format::{Format, write};
use crate::live::tests::{Change, cars, publish, tables, versions};
use crate::live::{EpochChanges, Retention};
use crate::session::QueryResult;

pub(super) const LIMITS: QueryLimits = QueryLimits {
    timeout: Duration::from_mins(1),
    wait_max: Duration::from_millis(50),
    memory_bytes_max: 64 << 20,
    rows_max: 100_000,
    queries_max: 8,
    threads: 2,
};

pub(super) fn engine(retained: usize, limits: QueryLimits) -> Arc<Engine> {
    let tables = tables(Retention { epochs_max: retained, bytes_max: usize::MAX });
    Engine::start(tables, Arc::new(InMemory::new()), limits, None, Box::new(|_, _| {})).unwrap()
}

pub(super) async fn ask_with(caller: &Caller, sql: &str, settings: &Settings) -> Result<String, SqlError> {
    let answer = caller.query(sql, settings).await?;
    let schema = Arc::clone(&answer.schema);
    let batches = answer.collect().await?;
    let mut out = Vec::new();
    write(Format::Json, &QueryResult { schema, batches }, &mut out).unwrap();
    Ok(String::from_utf8(out).unwrap().trim_end().to_owned())
}

async fn ask(caller: &Caller, sql: &str) -> String {
    ask_with(caller, sql, &Settings::default()).await.unwrap()
}

pub(super) async fn admin(engine: &Arc<Engine>) -> Caller {
    engine.caller(&Access::unrestricted()).await.unwrap()
}

pub(super) fn viewer(dealers: &[&str]) -> Access {
    let dealers = dealers.iter().map(|dealer| (*dealer).to_owned()).collect();
    Access { role: Role::Viewer, dealers: Dealers::Only(dealers) }
}

pub(super) fn at(as_of: i64) -> Settings {
    Settings { as_of: Some(as_of), ..Settings::default() }
}

#[tokio::test]
async fn the_end_of_every_query_is_told_whatever_it_is() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let on_query: OnQuery = {
        let told = Arc::clone(&told);
        Box::new(move |outcome, _| told.lock().unwrap().push(outcome))
    };
    let tables = tables(Retention { epochs_max: 1, bytes_max: usize::MAX });
    let limits = QueryLimits { rows_max: 10, ..LIMITS };
    let engine = Engine::start(tables, Arc::new(InMemory::new()), limits, None, on_query).unwrap();
    let caller = admin(&engine).await;
    assert_eq!(ask(&caller, "select 1 n").await, "[{\"n\":1}]");
    let endless = "select a.value from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b";
    assert!(ask_with(&caller, endless, &Settings::default()).await.is_err(), "it has more rows than an answer may");
    assert!(ask_with(&caller, "select 1", &at(i64::MAX)).await.is_err(), "that epoch does not come");
    let slow = format!("select count(*) from ({endless}) where value % 7 = 8");
    let (sender, signal) = watch::channel(0);
    let plan = caller.plan(crate::postgres::statement::parse_one(&slow).unwrap()).await.unwrap();
    let taken_back = tokio::spawn({
        let (caller, plan) = (caller.clone(), plan.clone());
        async move { caller.execute(plan, &Settings::default(), Some(signal)).await?.collect().await.map(drop) }
    });
    while engine.load().0 == 0 {
        tokio::task::yield_now().await;
    }
    sender.send(1).unwrap();
    assert!(matches!(taken_back.await.unwrap(), Err(SqlError::Cancelled)));
    // A reader that goes takes its query with it.
    drop(caller.execute(plan, &Settings::default(), None).await.unwrap());
    while engine.load().0 > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (failed, cancelled) = (QueryOutcome::Failed, QueryOutcome::Cancelled);
    assert_eq!(*told.lock().unwrap(), [QueryOutcome::Answered, failed, failed, cancelled, cancelled]);
}

#[tokio::test]
async fn every_scan_of_a_query_sees_one_epoch() {
    let engine = engine(10, LIMITS);
    let caller = admin(&engine).await;
    let writer = {
        let engine = Arc::clone(&engine);
        tokio::task::spawn_blocking(move || {
            for epoch in 1..=400 {
                let changes: Vec<Change> = (0..20).map(|car| (Some("d-1"), format!("c-{car}"), Some(epoch))).collect();
                publish(engine.tables(), epoch, &changes);
            }
        })
    };
    let sql = "select count(*) n from cars l join cars r on l.car_id = r.car_id where l.price <> r.price or l.price <> dealerflow_epoch()";
    while !writer.is_finished() {
        assert_eq!(ask(&caller, sql).await, "[{\"n\":0}]");
    }
    writer.await.unwrap();
    assert_eq!(ask(&caller, "select max(price) p, dealerflow_epoch() e from cars").await, "[{\"p\":400,\"e\":400}]");
}

#[tokio::test]
async fn the_past_is_the_same_from_memory_and_from_history() {
    // One engine keeps every epoch, the other none, so that it reads history.
    let (long, short) = (engine(100, LIMITS), engine(0, LIMITS));
    let changes = |epoch: i64| -> Vec<Change> {
        let car = |number: i64| (Some("d-1"), format!("c-{}", number % 7), (number % 5 > 0).then_some(number));
        (0..4).map(|step| car(epoch * 3 + step)).collect()
    };
    for epoch in 1..=30 {
        for engine in [&long, &short] {
            publish(engine.tables(), epoch * 10, &changes(epoch));
        }
    }
    let (long, short) = (admin(&long).await, admin(&short).await);
    for sql in [
        "select * from cars order by car_id",
        "select car_id, price, cast(valid_from as bigint) f, cast(valid_to as bigint) t from history.cars order by 1, 3",
        "select dealerflow_epoch() e, cast(queried_epoch() as bigint) q",
        "select count(*) n from cars a join cars b on a.car_id = b.car_id where a.car_id in ('c-1', 'c-2')",
    ] {
        for as_of in [5, 10, 14, 99, 155, 300] {
            let (kept, read) = (ask_with(&long, sql, &at(as_of)).await, ask_with(&short, sql, &at(as_of)).await);
            assert_eq!(kept.unwrap(), read.unwrap(), "{sql} as of {as_of}");
        }
    }
    let future = ask_with(&long, "select 1", &at(301)).await.unwrap_err();
    assert_eq!(future.to_string(), "epoch 301 is not shown yet, epoch 300 is; waited for 50ms");
    // What no clock has come to is not waited for.
    let never = ask_with(&long, "select 1", &at(i64::MAX)).await.unwrap_err();
    assert!(
        never.to_string().ends_with("lies in the future, epoch 300 is shown: epochs are times in UTC milliseconds")
    );
}

#[tokio::test]
async fn tables_that_only_grow_are_whole_at_the_epoch_without_being_held() {
    let engine = engine(10, LIMITS);
    let caller = admin(&engine).await;
    for epoch in 1..=5 {
        let sales = versions(&cars("sales", true), epoch, &[(Some("d-1"), format!("s-{epoch}"), Some(epoch))]);
        engine.tables().publish(EpochChanges { epoch, tables: vec![(1, sales)] }).unwrap();
    }
    assert_eq!(ask(&caller, "select count(*) n, max(price) p from sales").await, "[{\"n\":5,\"p\":5}]");
    let third = ask_with(&caller, "select count(*) n from sales", &at(3)).await.unwrap();
    assert_eq!(third, "[{\"n\":3}]");
    assert_eq!(engine.tables().size().rows, [("cars".to_owned(), 0)]);
}

#[tokio::test]
async fn a_caller_gets_nothing_of_other_dealers_by_any_way() {
    let engine = engine(10, LIMITS);
    let secret = |epoch: i64| -> Vec<Change> {
        vec![
            (Some("d-1"), "own".into(), Some(epoch)),
            (Some("d-2"), "zebra-secret".into(), Some(777_000_000 + epoch)),
            (None, "system-secret".into(), Some(888_000_000 + epoch)),
        ]
    };
    for epoch in 1..=5 {
        publish(engine.tables(), epoch, &secret(epoch));
        let sales = versions(&cars("sales", true), epoch + 10, &secret(epoch + 10));
        drop(sales);
    }
    let sales = versions(&cars("sales", true), 6, &secret(6));
    engine.tables().publish(EpochChanges { epoch: 6, tables: vec![(1, sales)] }).unwrap();
    let caller = engine.caller(&viewer(&["d-1"])).await.unwrap();
    let tricks = [
        "select * from cars",
        "select * from public.cars where dealer_id = 'd-2'",
        "select * from cars where dealer_id in ('d-1', 'd-2') or true",
        "select * from cars where dealer_id is null or dealer_id is not null",
        "select * from cars where car_id = 'zebra-secret'",
        "select * from stored.cars",
        "select * from versions.cars",
        "select * from history.cars",
        "select * from dealerflow.history.cars where dealer_id <> 'd-1'",
        "select * from sales",
        "select * from stored.sales union all select * from stored.cars",
        "select * from versions.sales",
        "select a.* from cars a right join (select * from history.cars) b on true",
        "select max(price), min(price), max(car_id), min(car_id), string_agg(car_id, ',') from cars",
        "select max(price), max(car_id), min(dealer_id) from versions.cars",
        "select approx_distinct(price), array_agg(price) from history.cars",
        "with recursive r as (select * from cars union all select * from r where false) select * from r",
        "select (select max(price) from stored.cars), exists (select 1 from cars where price > 700000)",
        "select car_id, lag(price) over (order by price), first_value(car_id) over (order by price desc) from cars",
        "explain select * from cars",
        "explain select * from history.cars where price > 700000",
        "select * from information_schema.tables",
        "select * from information_schema.columns",
        "select * from information_schema.df_settings",
        "select * from information_schema.views",
        "select * from pg_catalog.pg_class",
        "select * from pg_catalog.pg_description",
        "select * from pg_catalog.pg_statistic",
        "select * from pg_catalog.pg_stat_user_tables",
        "select * from pg_catalog.pg_settings",
        "select * from system.tables",
        "select * from system.columns",
        "show tables",
        "show all",
        "describe cars",
        // Errors of a query are made of rows that it may see.
        "select * from cars where cast(car_id as bigint) = 1",
        "select * from history.cars where cast(car_id as bigint) = 1",
        "select * from versions.cars where cast(car_id as bigint) = 1 and price > 0",
        "select arrow_cast(car_id, 'Int64') from versions.cars where dealer_id = 'd-2'",
        "select 1 / (price - 777000001) from versions.cars where price > 700000",
        "select 1 / (case when max(price) > 700000 then 0 else 1 end) from cars",
    ];
    for as_of in [None, Some(2), Some(5)] {
        let settings = Settings { as_of, ..Settings::default() };
        for sql in tricks {
            let told = match ask_with(&caller, sql, &settings).await {
                Ok(rows) => rows,
                Err(error) => error.to_string(),
            };
            for leak in ["zebra", "777000", "888000", "system-secret"] {
                assert!(!told.contains(leak), "{sql} as of {as_of:?} tells {told}");
            }
            assert!(!told.contains("d-2") || sql.contains("d-2"), "{sql} tells {told}");
        }
    }
    assert_eq!(ask(&caller, "select count(*) n from cars").await, "[{\"n\":1}]");
    assert_eq!(ask(&caller, "select count(*) n from history.cars").await, "[{\"n\":5}]");
    for sql in ["explain analyze select * from cars", "explain verbose select * from history.cars"] {
        let denied = ask_with(&caller, sql, &Settings::default()).await.unwrap_err();
        assert_eq!(denied.sqlstate(), "42501", "{sql}");
    }
    // Others see what is theirs: dealers' rows with all dealers, the system's as an admin.
    let all = engine.caller(&Access { role: Role::Operator, dealers: Dealers::All }).await.unwrap();
    assert_eq!(ask(&all, "select count(*) n, max(price) p from cars").await, "[{\"n\":2,\"p\":777000005}]");
    assert_eq!(ask(&all, "select count(*) n from versions.sales").await, "[{\"n\":2}]");
    assert_eq!(ask(&admin(&engine).await, "select count(*) n from cars").await, "[{\"n\":3}]");
}

#[tokio::test]
async fn views_last_and_belong_to_callers_with_the_same_access() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let tables = tables(Retention { epochs_max: 1, bytes_max: usize::MAX });
        publish(&tables, 1, &[(Some("d-1"), "a".into(), Some(1)), (Some("d-2"), "b".into(), Some(2))]);
        Engine::start(tables, Arc::new(InMemory::new()), LIMITS, Some(folder.path()), Box::new(|_, _| {})).unwrap()
    };
    let first = start();
    let caller = first.caller(&viewer(&["d-1"])).await.unwrap();
    caller.create_view("cheap", "select car_id from cars where price < 10", false).await.unwrap();
    caller.create_view("cheaper", "select * from cheap where car_id < 'z'", false).await.unwrap();
    assert_eq!(ask(&caller, "select * from cheaper").await, "[{\"car_id\":\"a\"}]");
    for (name, query) in
        [("cars", "select 1"), ("cheap", "select 2"), ("wrong", "drop table cars"), ("worse", "select nothing")]
    {
        assert!(caller.create_view(name, query, false).await.is_err(), "{name}");
    }
    drop(caller);
    let second = start();
    let caller = second.caller(&viewer(&["d-1"])).await.unwrap();
    assert_eq!(ask(&caller, "select * from cheaper").await, "[{\"car_id\":\"a\"}]");
    let other = second.caller(&viewer(&["d-2"])).await.unwrap();
    assert_eq!(ask_with(&other, "select * from cheap", &Settings::default()).await.unwrap_err().sqlstate(), "42P01");
    assert!(caller.drop_view("cheap").unwrap());
    assert!(!caller.drop_view("cars").unwrap());
    assert!(ask_with(&caller, "select * from cheap", &Settings::default()).await.is_err());
}

#[tokio::test]
async fn a_query_that_takes_too_much_fails_alone() {
    let limits = QueryLimits { rows_max: 1_000, memory_bytes_max: 8 << 20, ..LIMITS };
    let engine = engine(1, limits);
    let caller = admin(&engine).await;
    let changes: Vec<Change> = (0..2_000).map(|car| (Some("d-1"), format!("c-{car}"), Some(car))).collect();
    publish(engine.tables(), 1, &changes);
    let long = ask_with(&caller, "select * from cars", &Settings::default()).await.unwrap_err();
    assert_eq!(long.sqlstate(), "54000");
    let settings = Settings { timeout: Some(Duration::from_millis(50)), ..Settings::default() };
    let endless = "select count(*) from cars a, cars b, cars c where a.price + b.price + c.price = -1";
    assert_eq!(ask_with(&caller, endless, &settings).await.unwrap_err().sqlstate(), "57014");
    let large = "select array_agg(a.car_id || b.car_id) from cars a, cars b, cars c";
    assert_eq!(ask_with(&caller, large, &Settings::default()).await.unwrap_err().sqlstate(), "53200");
    let cancel = watch::Sender::new(0);
    let statement = crate::postgres::statement::parse_one(endless).unwrap();
    let plan = caller.plan(statement).await.unwrap();
    let settings = Settings::default();
    let running = caller.execute(plan, &settings, Some(cancel.subscribe()));
    let (outcome, ()) =
        tokio::join!(async { running.await?.collect().await }, async { cancel.send_modify(|count| *count += 1) });
    assert_eq!(outcome.unwrap_err().sqlstate(), "57014");
    for sql in [
        "drop table cars",
        "insert into cars values ('d', 'c', 1)",
        "create table t as select 1",
        "set x = 1",
        "copy cars to '/tmp/x'",
    ] {
        let refused = ask_with(&caller, sql, &Settings::default()).await.unwrap_err();
        assert_eq!(refused.sqlstate(), "25006", "{sql}: {refused}");
    }
    assert_eq!(ask(&caller, "select count(*) n from cars").await, "[{\"n\":2000}]");
}
