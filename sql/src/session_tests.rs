use std::fs::File;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::DataType;
use parquet::arrow::ArrowWriter;

use super::*;
use crate::definition::ColumnDefinition;
use crate::difference::differences;
use crate::format::{Format, write};

const DAY_MS: i64 = 86_400_000;

fn timestamps() -> DataType {
    DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, Some("UTC".into()))
}

fn column(name: &str, data_type: DataType, computed: bool) -> ColumnDefinition {
    ColumnDefinition { name: name.into(), data_type, comment: format!("The {name}."), computed }
}

fn cars() -> TableDefinition {
    TableDefinition {
        name: "cars".into(),
        comment: "Cars.".into(),
        columns: vec![
            column("dealer_id", DataType::Utf8, false),
            column("car_id", DataType::Utf8, false),
            column("price", DataType::Int64, false),
            column("bought_at", timestamps(), false),
            column("days", DataType::Int64, true),
        ],
        key: vec!["dealer_id".into(), "car_id".into()],
        view: Some(
            "select dealer_id, car_id, price, bought_at, cast(cast(local_date(queried_epoch(), 'America/New_York') as int) - \
             cast(local_date(bought_at, 'America/New_York') as int) as bigint) as days from stored.cars"
                .into(),
        ),
        is_archive: false,
        only_grows: false,
    }
}

/// A version: dealer, car, price, epoch, change.
type Version<'a> = (Option<&'a str>, &'a str, i64, i64, &'a str);

fn session(folder: &tempfile::TempDir, versions: &[Version<'_>]) -> Session {
    let definition = cars();
    let path = folder.path().join(format!("{}.parquet", versions.len()));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(versions.iter().map(|version| version.0).collect::<Vec<_>>())),
        Arc::new(StringArray::from(versions.iter().map(|version| version.1).collect::<Vec<_>>())),
        Arc::new(Int64Array::from(versions.iter().map(|version| version.2).collect::<Vec<_>>())),
        Arc::new(TimestampMillisecondArray::from(vec![DAY_MS; versions.len()]).with_timezone("UTC")),
        Arc::new(Int64Array::from(versions.iter().map(|version| version.3).collect::<Vec<_>>())),
        Arc::new(StringArray::from(versions.iter().map(|version| version.4).collect::<Vec<_>>())),
        Arc::new(
            TimestampMillisecondArray::from(versions.iter().map(|version| version.3).collect::<Vec<_>>())
                .with_timezone("UTC"),
        ),
    ];
    let batch = RecordBatch::try_new(definition.versions_schema(), arrays).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let options = SessionOptions { queried_epoch_ms: 3 * DAY_MS, memory_bytes_max: 64 << 20, timeout: None };
    let mut empty = TableDefinition { name: "boats".into(), view: None, ..cars() };
    empty.columns.retain(|column| !column.computed);
    let mut receipts = TableDefinition { name: "receipts".into(), is_archive: true, ..empty.clone() };
    receipts.key.clear();
    let file = |table: &str| FileEntry { table: table.into(), path: path.clone() };
    Session::open(vec![definition, empty, receipts], &[file("cars"), file("receipts")], &options).unwrap()
}

fn json(session: &Session, sql: &str) -> String {
    let mut out = Vec::new();
    write(Format::Json, &session.query_blocking(sql).unwrap(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const VERSIONS: &[Version<'_>] = &[
    (None, "x", 5, 10, "upsert"),
    (None, "x", 6, 20, "upsert"),
    (Some("d"), "a", 1, 10, "upsert"),
    (Some("d"), "a", 2, 20, "upsert"),
    (Some("d"), "b", 1, 10, "upsert"),
    (Some("d"), "b", 0, 20, "delete"),
    (Some("d"), "c", 1, 10, "upsert"),
    (Some("d"), "c", 0, 30, "expire"),
    (Some("d"), "c", 9, 40, "upsert"),
];

#[test]
fn live_tables_are_the_last_versions_and_null_keys_are_keys() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder, VERSIONS);
    let rows = json(&session, "select dealer_id, car_id, price, days from cars order by 1 nulls first, 2");
    let expected = concat!(
        "[{\"dealer_id\":null,\"car_id\":\"x\",\"price\":6,\"days\":2},\n",
        " {\"dealer_id\":\"d\",\"car_id\":\"a\",\"price\":2,\"days\":2},\n",
        " {\"dealer_id\":\"d\",\"car_id\":\"c\",\"price\":9,\"days\":2}]\n"
    );
    assert_eq!(rows, expected);
    assert_eq!(json(&session, "select * from boats"), "[]\n");
}

#[test]
fn history_tells_how_long_each_version_held() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder, VERSIONS);
    let rows = json(
        &session,
        "select price, cast(valid_from as bigint) f, cast(valid_to as bigint) t from history.cars where car_id = 'c' order by 2",
    );
    assert_eq!(rows, "[{\"price\":1,\"f\":10,\"t\":30},\n {\"price\":9,\"f\":40,\"t\":null}]\n");
    let rows = json(&session, "select count(*) n from history.cars where car_id = 'b' and valid_to is null");
    assert_eq!(rows, "[{\"n\":0}]\n");
}

#[test]
fn an_archive_is_history_row_by_row_and_no_live_table() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder, VERSIONS);
    let rows = json(&session, "select count(*) n, max(epoch) e, sum(price) p from history.receipts");
    assert_eq!(rows, "[{\"n\":9,\"e\":40,\"p\":25}]\n");
    assert!(session.query_blocking("select * from receipts").is_err());
}

#[test]
fn only_reading_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder, VERSIONS);
    for sql in [
        "create external table t stored as csv location '/etc/passwd'",
        "copy cars to '/tmp/out.csv'",
        "insert into cars values ('d', 'e', 1, null, 2)",
        "drop table cars",
        "create view v as select 1",
        "set datafusion.execution.batch_size = 1",
    ] {
        assert!(
            matches!(session.query_blocking(sql), Err(SqlError::ReadOnly)),
            "{sql}: {:?}",
            session.query_blocking(sql).err()
        );
    }
    for sql in [
        "select * from '/etc/passwd'",
        "select * from read_csv('/etc/passwd')",
        "select nonsense from cars",
        "selec",
        "",
    ] {
        assert!(session.query_blocking(sql).is_err(), "{sql}");
    }
}

#[test]
fn a_misspelt_table_is_named_with_its_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let error = session(&folder, VERSIONS).query_blocking("select * from carz").unwrap_err().to_string();
    assert_eq!(error, "there is no table carz: did you mean cars?");
}

#[test]
fn comments_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&folder, VERSIONS);
    let rows = json(&session, "select comment from system.columns where table_name = 'cars' and column_name = 'price'");
    assert_eq!(rows, "[{\"comment\":\"The price.\"}]\n");
    assert!(json(&session, "show tables").contains("history"));
}

#[test]
fn differences_are_told_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = (session(&folder, VERSIONS), session(&folder, &VERSIONS[..5]));
    let same = differences(&left, &left, &[], &[], 10).unwrap();
    assert!(same.iter().all(|table| table.differences.is_empty()));
    let told = differences(&left, &right, &[], &[], 10).unwrap();
    assert_eq!(told[0].rows, (3, 3));
    assert_eq!(told[0].differences, ["(\"d\", \"b\") is on the right alone", "(\"d\", \"c\") is on the left alone"]);
}
