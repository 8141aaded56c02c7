//! Stores in a bucket of a real S3-compatible server: the same contract as in a folder, and writers that fence each other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use bytes::Bytes;
use connectors::checkpoints::{CheckpointManifest, CheckpointSettings, Checkpoints, CheckpointsError};
use connectors::error::HistoryError;
use connectors::objects::{Objects, S3Place};
use connectors::parquet::Manifest;
use connectors::testing::TestS3;
use connectors::testing::s3::BUCKET;

fn open(server: &TestS3, prefix: &str) -> Objects {
    let settings = server.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Objects::s3(S3Place { bucket: BUCKET, prefix, settings: &settings }).unwrap()
}

#[test]
fn a_bucket_keeps_the_contract_of_a_folder() {
    let Some(server) = TestS3::start() else { return };
    let objects = open(&server, "shop/one");
    objects.put("a/b/one", Bytes::from_static(b"1")).unwrap();
    objects.put("a/b/one", Bytes::from_static(b"2")).unwrap();
    assert_eq!(objects.get("a/b/one").unwrap(), Bytes::from_static(b"2"));
    assert!(objects.put_new("a/two", Bytes::from_static(b"first")).unwrap());
    assert!(!objects.put_new("a/two", Bytes::from_static(b"second")).unwrap());
    assert_eq!(objects.get("a/two").unwrap(), Bytes::from_static(b"first"));
    let names: Vec<String> = objects.list("a").unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(names, ["two"]);
    assert_eq!(objects.list("nowhere").unwrap(), []);
    assert!(objects.get("a/none").unwrap_err().is_not_found());
    objects.delete("a/two").unwrap();
    objects.delete("a/two").unwrap();
    assert!(objects.get("a/two").unwrap_err().is_not_found());
    assert_eq!(open(&server, "shop/one/a").below("b").get("one").unwrap(), Bytes::from_static(b"2"));
    assert!(open(&server, "shop/two").get("a/b/one").unwrap_err().is_not_found(), "prefixes are apart");
}

#[test]
fn writers_in_a_bucket_fence_each_other() {
    let Some(server) = TestS3::start() else { return };
    let objects = open(&server, "shop");
    let first = Manifest::first("run-1", 7, serde_json::json!({}));
    first.publish(&objects).unwrap();
    first.publish(&objects).unwrap();
    let error = Manifest::first("run-2", 7, serde_json::json!({})).publish(&objects).unwrap_err();
    assert!(matches!(&error, HistoryError::Fenced { number: 1, by } if by == "run-1"), "{error}");

    let settings = CheckpointSettings { shards: 8, deltas_max: 4, base_shards: 0 };
    let open_checkpoints = |incarnation: &str| Checkpoints::open(objects.clone(), settings, incarnation).unwrap().0;
    let write = |writer: &mut Checkpoints, epoch: i64| {
        let blob = writer.write_blob(epoch, 0..8, true, b"state")?;
        writer.commit(epoch, serde_json::json!(null), "1", vec![blob]).cloned()
    };
    let mut old = open_checkpoints("run-1");
    write(&mut old, 1).unwrap();
    let mut new = open_checkpoints("run-2");
    assert!(matches!(write(&mut old, 2), Err(CheckpointsError::Fenced { by, .. }) if by == "run-2"));
    write(&mut new, 2).unwrap();
    new.clean_up().unwrap();
    let latest = CheckpointManifest::latest(&objects).unwrap().0.unwrap();
    assert_eq!((latest.epoch, latest.read_blob(&objects, &latest.blobs[0]).unwrap()), (Some(2), b"state".to_vec()));
}

#[test]
fn a_bucket_that_is_not_there_and_a_server_that_is_gone_are_told_in_words() {
    let Some(server) = TestS3::start() else { return };
    let settings = server.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let missing = Objects::s3(S3Place { bucket: "no-such-bucket", prefix: "", settings: &settings }).unwrap();
    let error = missing.put("x", Bytes::from_static(b"1")).unwrap_err();
    assert!(error.to_string().contains("no such bucket") && !error.is_retriable(), "{error}");
    let objects = open(&server, "");
    drop(server);
    let error = objects.put("x", Bytes::from_static(b"1")).unwrap_err();
    assert!(error.is_retriable(), "{error}");
}
