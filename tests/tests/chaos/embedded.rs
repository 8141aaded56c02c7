//! The embedded log: producer and pipeline are one process, so a kill hits both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use connectors::embedded::{EmbeddedConfig, EmbeddedLog};

use crate::moment::{Moment, Stage, stage};
use crate::place::Place;
use crate::produced::{Produced, Productions};
use crate::settings::{kills, seed};

/// Kills after which a new log is begun: every start produces the world again, and the log only grows.
const KILLS_OF_ONE_LOG: u64 = 25;
/// How long the last run may take, which goes through everything that was ever produced.
const LAST_RUN_MAX: Duration = Duration::from_mins(3);

#[test]
fn a_demo_killed_at_any_moment_again_and_again_ends_with_the_references_tables() {
    let (_seed, mut random) = seed(1);
    let mut left = kills();
    let mut stages: BTreeMap<Stage, u64> = BTreeMap::new();
    while left > 0 {
        let started = Instant::now();
        let of_this_log = left.min(KILLS_OF_ONE_LOG);
        left -= of_this_log;
        let place = Place::embedded();
        let produced = Produced::simulated(&place, 6_000, 10, random.next() >> 32);
        let data_dir = place.data_dir();
        let mut demo = vec!["demo", "--rate", "15000", "--data-dir", data_dir.to_str().unwrap()];
        demo.extend(produced.arguments.iter().map(String::as_str));
        for kill in 0..of_this_log {
            let moment = Moment::any(&mut random);
            let mut process = place.start("demo", &demo);
            moment.wait(&place, &mut process);
            let stage = stage(&process, &data_dir);
            println!("kill {kill}: {moment:?}, {stage:?}");
            process.kill();
            *stages.entry(stage).or_default() += 1;
            place.sweep();
        }
        demo.push("--exit");
        place.start("last demo", &demo).wait(LAST_RUN_MAX).succeeded();

        place.audit_and_recompute();
        let mut config = EmbeddedConfig::new(&data_dir.join("log"));
        config.holder = "chaos".to_owned();
        let log = EmbeddedLog::open(config).unwrap();
        let bound = produced.assert_done(&place, &log, Productions::Cut);
        assert_eq!(bound.records, place_records(&place, log), "records by our count and by the audit's");
        println!(
            "{of_this_log} kills: {} records in {} epochs of {} runs, {:.1} s",
            bound.records,
            bound.epochs,
            bound.incarnations,
            started.elapsed().as_secs_f64()
        );
    }
    println!("killed: {stages:?}");
    if kills() >= 50 {
        let enough =
            [Stage::Starting, Stage::Opening, Stage::Running].iter().all(|stage| stages.get(stage) >= Some(&3));
        assert!(enough, "moments of some kind are missing: {stages:?}");
    }
}

/// The audit's count; the log is closed first, as it belongs to one process.
fn place_records(place: &Place, log: EmbeddedLog) -> u64 {
    drop(log);
    place.audited_records()
}
