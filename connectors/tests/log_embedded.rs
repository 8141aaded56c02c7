//! The embedded log keeps the log's contract, also when its process is killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::io::Write as _;
use std::time::Instant;

use connectors::embedded::{EmbeddedConfig, EmbeddedLog};
use connectors::log::{Log, LogError, OutgoingRecords, PollLimits, RecordBatch, TopicPartition, TopicSpec};
use connectors::testing::{conformance, crash, read_to_end, start_at, topic};

fn config(folder: &std::path::Path) -> EmbeddedConfig {
    EmbeddedConfig { limits: conformance::limits_under_test(), ..EmbeddedConfig::new(folder) }
}

#[test]
fn the_contract_holds() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(config(folder.path())).unwrap();
    for check in conformance::CHECKS {
        println!("{}", check.name);
        (check.run)(&log);
    }
}

#[test]
fn everything_is_there_after_opening_anew() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3_u64 {
        let log = EmbeddedLog::open(config(folder.path())).unwrap();
        if round == 0 {
            topic(&log, "kept", 2);
        }
        let mut records = OutgoingRecords::new();
        for partition in 0..2 {
            let place = records.place(&TopicPartition::new("kept", partition));
            records.push(place, 0, None, Some(&round.to_le_bytes()), []);
        }
        let appended = log.appender("check").unwrap().append(&records, Some(b"the same key")).unwrap();
        assert_eq!(appended.repeated, round > 0, "idempotency keys outlive the process");
        assert_eq!(appended.ranges[1].offset_first, 0, "and so do the places of the first");
        log.appender("check").unwrap().append(&records, None).unwrap();
        let read = read_to_end(&log, &[start_at("kept", 0, None), start_at("kept", 1, Some(0))]).unwrap();
        assert_eq!(read.len() as u64, 2 * (round + 2));
    }
    {
        let log = EmbeddedLog::open(config(folder.path())).unwrap();
        log.admin().unwrap().delete_records("kept", 0, 3).unwrap();
        log.admin().unwrap().add_partitions("kept", 3).unwrap();
    }
    let log = EmbeddedLog::open(config(folder.path())).unwrap();
    let described = log.admin().unwrap().describe_topic("kept").unwrap().unwrap();
    let bounds: Vec<_> = described.partitions.iter().map(|bounds| (bounds.earliest, bounds.end)).collect();
    assert_eq!(bounds, [(3, 4), (0, 4), (0, 0)]);
    let left = read_to_end(&log, &[start_at("kept", 0, None)]).unwrap();
    assert_eq!(left.iter().map(|record| record.offset).collect::<Vec<_>>(), [3]);
}

/// A kill before the store is whole leaves its beginnings, which the library would not open.
#[test]
fn a_log_whose_making_was_cut_short_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let making = folder.path().join("store.making");
    std::fs::create_dir_all(making.join("keyspaces")).unwrap();
    std::fs::write(making.join("0.jnl"), b"").unwrap();
    let log = EmbeddedLog::open(config(folder.path())).unwrap();
    topic(&log, "made", 1);
    assert!(!making.exists());
    drop(log);
    let log = EmbeddedLog::open(config(folder.path())).unwrap();
    assert_eq!(log.admin().unwrap().list_topics().unwrap(), ["made"]);
}

#[test]
fn a_second_process_is_told_who_holds_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let held = EmbeddedLog::open(EmbeddedConfig { holder: "dealerflow run".into(), ..config(folder.path()) }).unwrap();
    let refused = EmbeddedLog::open(config(folder.path())).err().unwrap();
    let LogError::Locked { holder, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(holder, &format!("dealerflow run (process {})", std::process::id()));
    drop(held);
    assert!(EmbeddedLog::open(config(folder.path())).is_ok());
}

#[test]
fn a_torn_tail_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    {
        let log = EmbeddedLog::open(config(folder.path())).unwrap();
        topic(&log, "torn", 1);
        let mut records = OutgoingRecords::new();
        let place = records.place(&TopicPartition::new("torn", 0));
        records.push(place, 0, None, Some(b"whole"), []);
        log.appender("check").unwrap().append(&records, None).unwrap();
    }
    let journals =
        walk(&folder.path().join("store")).into_iter().filter(|path| path.extension().is_some_and(|end| end == "jnl"));
    let mut torn = 0;
    for journal in journals {
        let mut file = std::fs::OpenOptions::new().append(true).open(journal).unwrap();
        file.write_all(&[1, 0, 0, 0, 7, 42, 42, 42]).unwrap();
        torn += 1;
    }
    assert!(torn > 0, "the journal is where it was looked for");
    let log = EmbeddedLog::open(config(folder.path())).unwrap();
    let read = read_to_end(&log, &[start_at("torn", 0, None)]).unwrap();
    assert_eq!(read.len(), 1);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn retention_deletes_the_oldest_by_age_and_by_size() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(config(folder.path())).unwrap();
    let aged = TopicSpec { retention: Some(std::time::Duration::from_millis(50)), ..TopicSpec::new("aged", 1) };
    let sized = TopicSpec { retention_bytes: Some(5000), ..TopicSpec::new("sized", 1) };
    log.admin().unwrap().create_topics(&[aged, sized]).unwrap();
    for time_ms in 0..100 {
        let mut records = OutgoingRecords::new();
        for topic in ["aged", "sized"] {
            let place = records.place(&TopicPartition::new(topic, 0));
            records.push(place, time_ms, None, Some(&[0; 1000]), []);
        }
        log.appender("check").unwrap().append(&records, None).unwrap();
    }
    // Records of 30 ms and later are kept; a block of one record takes some more than 1,000 bytes.
    assert_eq!(log.enforce_retention(80).unwrap(), 30 + 96);
    let earliest = |topic| log.admin().unwrap().describe_topic(topic).unwrap().unwrap().partitions[0].earliest;
    assert_eq!((earliest("aged"), earliest("sized")), (30, 96));
    assert_eq!(log.enforce_retention(80).unwrap(), 0);
    assert_eq!(log.enforce_retention(1_000_000).unwrap(), 69, "the newest block stays");
}

/// Not a test of its own: what the killed process does.
#[test]
fn crash_child() {
    if let Ok(folder) = std::env::var(crash::CHILD_VARIABLE) {
        crash::commit_until_killed(&EmbeddedLog::open(config(folder.as_ref())).unwrap());
    }
}

#[test]
fn groups_are_whole_after_kills_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    crash::prepare(&EmbeddedLog::open(config(folder.path())).unwrap());
    let mut count = 0;
    for round in 0..12 {
        let child = crash::child("crash_child", folder.path().to_str().unwrap());
        let said = crash::kill_after(child, 1 + round * 7);
        count = crash::prove(&EmbeddedLog::open(config(folder.path())).unwrap(), said);
    }
    println!("{count} groups, 12 kills");
}

/// Figures, not a verdict: `cargo test --release -p connectors --test log_embedded rates -- --ignored --nocapture`.
#[test]
#[ignore = "prints rates"]
fn rates() {
    const RECORDS: usize = 2_000_000;
    const BATCH: usize = 10_000;
    let folder = tempfile::tempdir_in(".").unwrap();
    let log = EmbeddedLog::open(EmbeddedConfig::new(folder.path())).unwrap();
    topic(&log, "rates", 4);
    let payload = [b'e'; 230];
    let started = Instant::now();
    let mut appender = log.appender("rates").unwrap();
    let mut records = OutgoingRecords::new();
    for batch in 0..RECORDS / BATCH {
        records.clear();
        let places = [0, 1, 2, 3].map(|partition| records.place(&TopicPartition::new("rates", partition)));
        for number in 0..BATCH {
            records.push(places[number % 4], (batch * BATCH + number) as i64, Some(b"d-0001"), Some(&payload), []);
        }
        appender.append(&records, None).unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("appended {RECORDS} records in batches of {BATCH}, synced: {:.0}/s", RECORDS as f64 / seconds);
    let mut reader = log.reader("rates").unwrap();
    reader.assign(&[0, 1, 2, 3].map(|partition| start_at("rates", partition, None))).unwrap();
    let started = Instant::now();
    let (mut read, mut bytes) = (0, 0);
    let mut batch = RecordBatch::new();
    while read < RECORDS {
        reader.poll(std::time::Duration::from_millis(100), PollLimits::default(), &mut batch).unwrap();
        read += batch.len();
        bytes += batch.records().map(|(_, record)| record.body.bytes()).sum::<usize>();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("read {read} records, {bytes} bytes: {:.0}/s", read as f64 / seconds);
    let mut committer =
        log.committer(connectors::log::CommitterIdentity { name: "rates".into(), incarnation: "one".into() }).unwrap();
    committer.open().unwrap();
    for group_records in [100, 1000] {
        let mut group = connectors::log::CommitGroup::new();
        let place = group.records.place(&TopicPartition::new("rates", 0));
        for _ in 0..group_records {
            group.records.push(place, 0, Some(b"d-0001"), Some(&payload), []);
        }
        let mut times: Vec<_> = (0..500)
            .map(|_| {
                let started = Instant::now();
                assert!(matches!(committer.commit(&group), connectors::log::CommitOutcome::Committed));
                started.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!("commits of {group_records} records: p50 {:?}, p99 {:?}", times[250], times[495]);
    }
    drop((log, appender, reader, committer));
    let started = Instant::now();
    let log = EmbeddedLog::open(EmbeddedConfig::new(folder.path())).unwrap();
    println!("opened anew in {:?}, {:?}", started.elapsed(), log.admin().unwrap().list_topics().unwrap());
}
