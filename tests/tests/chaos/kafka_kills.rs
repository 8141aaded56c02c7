//! Kafka: the run is killed, the producer beside it is not.

use std::time::Duration;

use tests::random::Random;

use crate::kafka::{end_when_all_is_bound, log_of, place_with_topics, start_producer};
use crate::place::Place;
use crate::produced::{Produced, Productions};
use crate::running::Running;
use crate::settings::{kafka_kills, seed};

const PREFIX: &str = "kills";
/// Events a second beside the kills.
const RATE: u64 = 2_000;
/// How long a start may take before the run binds: the broker may have to end a dead run's transaction first.
const START_MAX: Duration = Duration::from_mins(1);
/// How long the producer may take for what is left.
const PRODUCE_MAX: Duration = Duration::from_mins(1);

pub(crate) fn a_run_killed_at_any_moment_loses_nothing(address: &str) {
    let (_seed, mut random) = seed(2);
    let place = place_with_topics(address, PREFIX);
    let produced = Produced::simulated(&place, 10_000, 10, random.next() >> 32);
    let log = log_of(address, PREFIX);
    let mut producer = start_producer(&place, address, &produced, RATE);
    let (mut productions, mut early) = (1, 0);
    for kill in 0..kafka_kills() {
        if producer.has_ended() {
            producer.wait(PRODUCE_MAX).succeeded();
            // The same events once more: they change nothing.
            producer = start_producer(&place, address, &produced, RATE);
            productions += 1;
        }
        early += u64::from(!run_and_kill(&place, &mut random, kill));
    }
    producer.wait(PRODUCE_MAX).succeeded();
    let run = place.start("last run", &["run"]);
    end_when_all_is_bound(&place, &log, run);

    assert_eq!(place.audited_records(), productions * produced.records());
    place.audit_and_recompute();
    let bound = produced.assert_done(&place, &log, Productions::Whole(productions));
    println!(
        "{} kills, {early} of them before the run took over: {} records in {} epochs of {} runs, {productions} productions",
        kafka_kills(),
        bound.records,
        bound.epochs,
        bound.incarnations
    );
}

/// Whether the run had taken over when it was killed.
fn run_and_kill(place: &Place, random: &mut Random, kill: u64) -> bool {
    let mut run = place.start("run", &["run"]);
    let waits = random.below(4) > 0;
    let after = Duration::from_micros(random.below(if waits { 1_200_000 } else { 400_000 }) as u64);
    if waits {
        let taken_over = run.wait_until(START_MAX, taken_over);
        assert!(taken_over, "the run does not start:\n{}", run.stderr());
    }
    std::thread::sleep(after);
    let taken_over = taken_over(&run);
    println!(
        "kill {kill}: {after:?} after {}, taken over: {taken_over}",
        if waits { "taking over" } else { "the start" }
    );
    run.kill();
    taken_over
}

/// Whether a run has fenced the one before, read what was recorded, and feeds it.
pub(crate) fn taken_over(run: &Running) -> bool {
    run.stderr().contains("taken over")
}
