//! What a pipeline keeps: the input archive stands in for a log that let go of its records, and an end leaves nothing to do again.

use std::time::Duration;

use connectors::embedded::{EmbeddedConfig, EmbeddedLog};
use connectors::log::Log as _;

use crate::bindings::INPUTS;
use crate::place::Place;

/// How long a start or an end may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lets every input record expire.
fn expire(place: &Place) {
    let log = EmbeddedLog::open(EmbeddedConfig::new(&place.data_dir().join("log"))).unwrap();
    let mut admin = log.admin().unwrap();
    for topic in INPUTS {
        let found = admin.describe_topic(topic).unwrap().unwrap();
        for (partition, bounds) in found.partitions.iter().enumerate() {
            admin.delete_records(topic, partition as u32, bounds.end).unwrap();
        }
    }
}

/// One number that SQL answers.
fn number(place: &Place, sql: &str) -> u64 {
    let folder = place.data_dir();
    let told = place.run(&["sql", "--output", folder.to_str().unwrap(), "--format", "csv", sql]).succeeded().stdout;
    told.lines().nth(1).and_then(|line| line.trim().parse().ok()).unwrap_or_else(|| panic!("no number in {told}"))
}

fn filled() -> Place {
    let place = Place::embedded();
    let data_dir = place.data_dir();
    let demo = ["demo", "--events", "3000", "--dealers", "5", "--exit", "--data-dir", data_dir.to_str().unwrap()];
    let _ = place.run(&demo).succeeded();
    place
}

#[test]
fn what_the_log_let_go_is_read_from_the_archive_or_named() {
    let place = filled();
    let records = place.audited_records();
    assert_eq!(number(&place, "select count(*) as n from history.events"), records);
    let distinct = "select count(*) as n from (select distinct topic, log_partition, log_offset from history.events)";
    assert_eq!(number(&place, distinct), records);
    expire(&place);
    // Everything is computed again, and nothing of it is in the log any more.
    place.audit_and_recompute();
    std::fs::remove_dir_all(place.data_dir().join("checkpoints")).unwrap();
    let mut running = place.start("run", &["run"]);
    assert!(running.wait_until(PATIENCE, |running| running.stderr().contains("ready: ")), "{}", running.stderr());
    assert!(running.stderr().contains("are read from the input archive"), "{}", running.stderr());
    let (ended, _) = running.terminate(PATIENCE);
    let _ = ended.succeeded();

    std::fs::remove_dir_all(place.data_dir().join("checkpoints")).unwrap();
    std::fs::remove_dir_all(place.data_dir().join("parquet")).unwrap();
    let sentence = place.start("without", &["run"]).wait(PATIENCE).failed();
    assert!(sentence.contains("the records 0 to ") && sentence.contains("have expired in the log"), "{sentence}");
    assert!(sentence.contains("the input archive does not hold them"), "{sentence}");
}

#[test]
fn after_an_end_by_signal_nothing_is_done_again() {
    let place = filled();
    for run in ["first", "second"] {
        let mut running = place.start(run, &["run"]);
        assert!(running.wait_until(PATIENCE, |running| running.stderr().contains("ready: ")), "{}", running.stderr());
        assert!(running.stderr().contains("\"recorded\":0"), "recorded epochs are left: {}", running.stderr());
        let (ended, _) = running.terminate(PATIENCE);
        let _ = ended.succeeded();
    }
    place.audit_and_recompute();
}
