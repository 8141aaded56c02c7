//! Several processes that are one pipeline: one of them is killed, all end, all are started again, maybe in another number.

use std::time::Duration;

use connectors::embedded::{EmbeddedConfig, EmbeddedLog};
use tests::random::Random;

use crate::kafka::{end_when_all_is_bound, log_of, place_with_topics, start_producer};
use crate::kafka_kills::taken_over;
use crate::place::Place;
use crate::produced::{Produced, Productions};
use crate::running::{Running, end_of};
use crate::settings::{cluster_kills, seed};

/// How long a start may take before it has taken over.
const START_MAX: Duration = Duration::from_mins(1);
/// How long processes look for each other, and a little.
const GATHER_MAX: Duration = Duration::from_secs(70);
/// How long those that are left may take to end.
const END_MAX: Duration = Duration::from_secs(10);
/// How long the last run may take for what is left.
const LAST_RUN_MAX: Duration = Duration::from_secs(10);
/// How often the last run is given that long.
const LAST_RUNS_MAX: usize = 12;

/// A cluster of any shape: processes, and workers of each.
fn any_shape(random: &mut Random) -> [String; 2] {
    [(1 + random.below(3)).to_string(), (1 + random.below(2)).to_string()]
}

fn start(place: &Place, [processes, workers]: &[String; 2]) -> Running {
    place.start("run", &["run", "-n", processes, "-w", workers])
}

/// Kills any one of a run's processes at any moment, and holds the others to their promise.
fn kill_one(mut run: Running, random: &mut Random, kill: u64, shape: &[String; 2]) {
    if random.below(4) > 0 {
        assert!(run.wait_until(START_MAX, taken_over), "the run does not start:\n{}", run.stderr());
    }
    let after = Duration::from_micros(random.below(700_000) as u64);
    std::thread::sleep(after);
    let others = run.children();
    let victim = random.below(others.len() + 1);
    println!("kill {kill}: process {victim} of {shape:?}, {after:?} after the start, taken over: {}", taken_over(&run));
    let has_joined = run.stderr().matches("all processes are there").count() > others.len();
    let Some(other) = victim.checked_sub(1) else {
        run.kill();
        // Those that never reached process 0 look for it until their time is up.
        let patience = if has_joined { END_MAX } else { GATHER_MAX };
        for other in others {
            assert!(end_of(other, patience), "process {other} outlives process 0");
        }
        return;
    };
    let sent = std::process::Command::new("kill").args(["-9", &others[other].to_string()]).status().unwrap();
    assert!(sent.success());
    let sentence = run.wait(END_MAX).failed_last();
    if has_joined {
        assert!(sentence.contains("of this cluster is gone, so this one ends, too"), "{sentence}");
    }
}

#[test]
fn processes_on_the_embedded_log_killed_one_at_a_time_lose_nothing_together() {
    let (_seed, mut random) = seed(3);
    let place = Place::embedded();
    let _ = place.run(&["topics", "create", "--partitions", "3"]).succeeded();
    let produced = Produced::simulated(&place, 6_000, 10, random.next() >> 32);
    std::fs::write(place.path("own.toml"), "").unwrap();
    let own = place.path("own.toml");
    let mut produce = vec!["simulate", "--disorder", "--log", own.to_str().unwrap()];
    produce.extend(produced.arguments.iter().map(String::as_str));
    for kill in 0..cluster_kills() {
        // Nobody else can append while a run holds the log.
        let _ = place.run(&produce).succeeded();
        let shape = any_shape(&mut random);
        kill_one(start(&place, &shape), &mut random, kill, &shape);
    }
    let _ = place.run(&produce).succeeded();
    let productions = cluster_kills() + 1;
    let wanted = productions * produced.records();
    let mut runs = 0;
    while place.audited_records() < wanted {
        assert!(runs < LAST_RUNS_MAX, "{} of {wanted} records are bound", place.audited_records());
        runs += 1;
        let mut run = start(&place, &["2".into(), "1".into()]);
        assert!(run.wait_until(START_MAX, taken_over), "{}", run.stderr());
        std::thread::sleep(Duration::from_millis(1_500));
        run.terminate(LAST_RUN_MAX).0.succeeded();
    }
    place.audit_and_recompute();
    let mut config = EmbeddedConfig::new(&place.data_dir().join("log"));
    config.holder = "chaos".to_owned();
    let log = EmbeddedLog::open(config).unwrap();
    let bound = produced.assert_done(&place, &log, Productions::Whole(productions));
    println!(
        "{} kills: {} records in {} epochs of {} runs",
        cluster_kills(),
        bound.records,
        bound.epochs,
        bound.incarnations
    );
}

pub(crate) fn processes_killed_one_at_a_time_lose_nothing_together(address: &str) {
    let (_seed, mut random) = seed(4);
    let prefix = "processes";
    let place = place_with_topics(address, prefix);
    let produced = Produced::simulated(&place, 8_000, 10, random.next() >> 32);
    let log = log_of(address, prefix);
    let mut producer = start_producer(&place, address, &produced, 1_000);
    for kill in 0..cluster_kills().min(3) {
        let shape = any_shape(&mut random);
        kill_one(start(&place, &shape), &mut random, kill, &shape);
    }
    producer.wait(START_MAX).succeeded();
    let run = start(&place, &["2".into(), "1".into()]);
    end_when_all_is_bound(&place, &log, run);
    place.audit_and_recompute();
    produced.assert_done(&place, &log, Productions::Whole(1));
}
