//! The tables against a plain map, and what holds between epochs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Int64Type};

use super::chunk::CHUNK_ROWS_MAX;
use super::filter::wanted_rows;
use super::table::{Rows, TableVersion};
use super::*;
use crate::access::{Access, Dealers, Role};
use crate::definition::ColumnDefinition;

/// A row's key and value; none for its end.
pub(crate) type Change = (Option<&'static str>, String, Option<i64>);

pub(crate) fn cars(name: &str, only_grows: bool) -> TableDefinition {
    let column = |name: &str, data_type| ColumnDefinition {
        name: name.into(),
        data_type,
        comment: format!("The {name}."),
        computed: false,
    };
    TableDefinition {
        name: name.into(),
        comment: "Cars.".into(),
        columns: vec![
            column("dealer_id", DataType::Utf8),
            column("car_id", DataType::Utf8),
            column("price", DataType::Int64),
        ],
        key: vec!["dealer_id".into(), "car_id".into()],
        view: None,
        only_grows,
        is_archive: false,
    }
}

pub(crate) fn versions(definition: &TableDefinition, epoch: i64, changes: &[Change]) -> RecordBatch {
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(changes.iter().map(|(dealer, _, _)| *dealer).collect::<StringArray>()),
        Arc::new(StringArray::from_iter_values(changes.iter().map(|(_, car, _)| car))),
        Arc::new(changes.iter().map(|(_, _, price)| *price).collect::<Int64Array>()),
        Arc::new(Int64Array::from(vec![epoch; changes.len()])),
        Arc::new(StringArray::from_iter_values(
            changes.iter().map(|(_, _, price)| if price.is_some() { "upsert" } else { "delete" }),
        )),
        Arc::new(TimestampMillisecondArray::from(vec![epoch; changes.len()]).with_timezone("UTC")),
    ];
    RecordBatch::try_new(definition.versions_schema(), arrays).unwrap()
}

pub(crate) fn tables(retention: Retention) -> Arc<LiveTables> {
    Arc::new(LiveTables::new(vec![cars("cars", false), cars("sales", true)], retention).unwrap())
}

pub(crate) fn publish(tables: &LiveTables, epoch: i64, cars: &[Change]) {
    let definition = &tables.definitions()[0];
    let changes = EpochChanges { epoch, tables: vec![(0, versions(definition, epoch, cars))] };
    tables.publish(changes).unwrap();
}

const KEEP: Retention = Retention { epochs_max: 100, bytes_max: usize::MAX };

type Model = BTreeMap<(Option<String>, String), i64>;

fn rows_of(version: &TableVersion, rows: &Rows) -> Model {
    let mut model = Model::new();
    for selection in version.select(rows) {
        let batch = selection.batch(&[0, 1, 2]).unwrap();
        let (dealers, cars) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        let prices = batch.column(2).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let dealer = dealers.is_valid(row).then(|| dealers.value(row).to_owned());
            let before = model.insert((dealer, cars.value(row).to_owned()), prices.value(row));
            assert!(before.is_none(), "a row is shown twice");
        }
    }
    model
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

const DEALERS: [Option<&str>; 4] = [None, Some("d-1"), Some("d-10"), Some("d-2")];

#[test]
fn tables_are_what_a_plain_map_would_be_whatever_is_published() {
    for seed in 1..=6 {
        let mut random = Random(seed * 0x9e37_79b9);
        // Small sets of keys are changed again and again, large ones make many chunks.
        let keys = [20, 300, 60_000][seed as usize % 3];
        let tables = tables(KEEP);
        let mut model = Model::new();
        let mut past = Vec::new();
        for epoch in 1..=60 {
            let count = [1, 40, 3_000][random.below(3) as usize];
            let changes: Vec<Change> = (0..count)
                .map(|_| {
                    let dealer = DEALERS[random.below(4) as usize];
                    let price = (random.below(4) > 0).then(|| random.below(1_000) as i64);
                    (dealer, format!("c-{}", random.below(keys)), price)
                })
                .collect();
            for (dealer, car, price) in &changes {
                let key = (dealer.map(str::to_owned), car.clone());
                match price {
                    Some(price) => drop(model.insert(key, *price)),
                    None => drop(model.remove(&key)),
                }
            }
            publish(&tables, epoch, &changes);
            let snapshot = tables.current();
            let version = snapshot.tables[0].as_ref().unwrap();
            assert_eq!(version.rows(), model.len());
            assert!(rows_of(version, &Rows::All) == model, "seed {seed}, epoch {epoch}");
            past.push((epoch, model.clone()));
        }
        for (epoch, model) in past {
            let snapshot = tables.snapshot_at(epoch).unwrap();
            assert!(rows_of(snapshot.tables[0].as_ref().unwrap(), &Rows::All) == model, "as of {epoch}, seed {seed}");
        }
        let snapshot = tables.current();
        let version = snapshot.tables[0].as_ref().unwrap();
        let chunks_max = model.len() / (CHUNK_ROWS_MAX / 2) + 16;
        assert!(version.chunks() <= chunks_max, "{} chunks for {} rows", version.chunks(), model.len());
        for _ in 0..50 {
            let (dealer, car) = (DEALERS[1 + random.below(3) as usize], format!("c-{}", random.below(keys)));
            let access = Access::unrestricted();
            let filters = [
                datafusion::logical_expr::col("car_id").eq(datafusion::logical_expr::lit(car.as_str())),
                datafusion::logical_expr::col("dealer_id").eq(datafusion::logical_expr::lit(dealer.unwrap())),
            ];
            let key = &tables.definitions()[0].key;
            let rows = wanted_rows(tables.codec(0), key, &filters, &access).unwrap();
            let key = (dealer.map(str::to_owned), car);
            let expected: Model =
                model.get_key_value(&key).map(|(key, price)| (key.clone(), *price)).into_iter().collect();
            assert_eq!(rows_of(version, &rows), expected);
        }
        for (role, dealers) in [
            (Role::Viewer, Dealers::All),
            (Role::Viewer, Dealers::Only(["d-1".to_owned()].into())),
            (Role::Admin, Dealers::Only(["d-10".to_owned(), "d-2".to_owned(), "d-3".to_owned()].into())),
        ] {
            let access = Access { role, dealers };
            let rows = wanted_rows(tables.codec(0), &tables.definitions()[0].key, &[], &access).unwrap();
            let mut seen = model.clone();
            seen.retain(|(dealer, _), _| dealer.as_ref().is_some_and(|dealer| access.sees(dealer)));
            assert!(rows_of(version, &rows) == seen, "{access:?}");
        }
    }
}

#[test]
fn a_publication_costs_what_changed_and_not_the_table() {
    let tables = tables(KEEP);
    let all: Vec<Change> = (0..100_000).map(|car| (Some("d-1"), format!("c-{car:06}"), Some(1))).collect();
    publish(&tables, 1, &all);
    let before = tables.current();
    publish(&tables, 2, &[(Some("d-1"), "c-050000".into(), Some(2))]);
    let after = tables.current();
    let chunks = |snapshot: &Snapshot| {
        let selections = snapshot.tables[0].as_ref().unwrap().select(&Rows::All);
        selections.into_iter().map(|selection| Arc::as_ptr(&selection.chunk.chunk)).collect::<Vec<_>>()
    };
    let (before, after) = (chunks(&before), chunks(&after));
    let shared = after.iter().filter(|chunk| before.contains(chunk)).count();
    assert_eq!(shared, before.len(), "no chunk was copied for one row");
    assert_eq!(after.len(), before.len() + 1);
}

#[test]
fn what_is_kept_of_the_past_is_bounded() {
    let tables = tables(Retention { epochs_max: 3, bytes_max: usize::MAX });
    for epoch in 1..=10 {
        publish(&tables, epoch * 10, &[(Some("d-1"), "c".into(), Some(epoch))]);
    }
    assert_eq!(tables.size().retained_epochs, 3);
    assert_eq!(tables.snapshot_at(75).unwrap().epoch, 70);
    assert_eq!(tables.snapshot_at(99).unwrap().epoch, 90);
    assert_eq!(tables.snapshot_at(1_000).unwrap().epoch, 100);
    assert!(tables.snapshot_at(69).is_none());

    let small = self::tables(Retention { epochs_max: 1_000, bytes_max: 100_000 });
    let rows =
        |price| -> Vec<Change> { (0..1_000).map(|car| (Some("d-1"), format!("c-{car}"), Some(price))).collect() };
    for epoch in 1..=50 {
        publish(&small, epoch, &rows(epoch));
    }
    assert!(small.size().retained_bytes <= 100_000, "{:?}", small.size());
    assert!(small.size().retained_epochs < 10);
}

#[test]
fn epochs_come_in_order_and_tables_are_known() {
    let tables = tables(KEEP);
    publish(&tables, 5, &[]);
    let definition = tables.definitions()[0].clone();
    let again = EpochChanges { epoch: 5, tables: vec![(0, versions(&definition, 5, &[]))] };
    assert!(matches!(tables.publish(again), Err(PublishError::Order { epoch: 5, present: 5 })));
    let unknown = EpochChanges { epoch: 6, tables: vec![(7, versions(&definition, 6, &[]))] };
    assert!(matches!(tables.publish(unknown), Err(PublishError::UnknownTable { place: 7, count: 2 })));
    assert_eq!(tables.epoch(), 5);
}

#[tokio::test]
async fn subscribers_hear_of_every_epoch_and_slow_ones_are_dropped_with_a_marker() {
    let tables = tables(KEEP);
    publish(&tables, 1, &[(Some("d-1"), "c".into(), Some(1))]);
    let (mut ready, mut slow) = (tables.subscribe().unwrap(), tables.subscribe().unwrap());
    assert_eq!(ready.from_epoch, 1);
    for epoch in 2..=600 {
        publish(&tables, epoch, &[(Some("d-1"), "c".into(), Some(epoch))]);
        let Some(Published::Epoch(changes)) = ready.next().await else { panic!("dropped") };
        assert_eq!((changes.epoch, changes.tables.len()), (epoch, 1));
    }
    let mut heard = Vec::new();
    while let Some(Published::Epoch(changes)) = slow.next().await {
        heard.push(changes.epoch);
    }
    assert_eq!(heard, (2..=257).collect::<Vec<_>>(), "what it was told is without a gap");
    assert!(slow.next().await.is_none(), "nothing comes behind the marker");
}

#[tokio::test]
async fn waiting_ends_when_the_epoch_is_there_or_the_time_is_over() {
    let tables = tables(KEEP);
    tables.answer_from(10);
    let filling = tables.wait_for(i64::MIN, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(filling, Progress { epoch: 0, answers_from: 10 });
    let waiting = {
        let tables = Arc::clone(&tables);
        tokio::spawn(async move { tables.wait_for(20, Duration::from_mins(1)).await })
    };
    publish(&tables, 10, &[]);
    assert!(tables.wait_for(i64::MIN, Duration::from_millis(1)).await.is_ok());
    publish(&tables, 20, &[]);
    assert_eq!(waiting.await.unwrap().unwrap().epoch, 20);
}
