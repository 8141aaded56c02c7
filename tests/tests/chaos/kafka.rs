//! Apache Kafka: one broker for all that needs one, and what the scenes on it share.
//!
//! The scenes come one after another, each with topics of its own: two cores do not run several pipelines beside a broker in
//! any time that could be promised.

use std::io::Write as _;
use std::time::{Duration, Instant};

use connectors::kafka::{KafkaConfig, KafkaLog};
use connectors::testing::broker::TestBroker;

use crate::bindings::input_records;
use crate::place::Place;
use crate::produced::Produced;
use crate::running::{Ended, Running};
use crate::{kafka_broker_gone, kafka_faults, kafka_kills, kafka_refusals, processes};

/// How long a run may take to bind everything that was produced.
const CATCH_UP_MAX: Duration = Duration::from_mins(2);
/// How long a run may take to end well when it is asked to: what users are promised.
const DRAIN_MAX: Duration = Duration::from_secs(10);

#[test]
fn on_a_real_broker_a_pipeline_survives_kills_rivals_and_the_brokers_own_death() {
    let Some(mut broker) = TestBroker::start() else {
        // What a test prints is shown only if it fails; this is shown always.
        let told =
            "\n*** SKIPPED: chaos on Apache Kafka, which needs Java 17 and Maven: nothing was shown about it ***\n\n";
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return;
    };
    scene("missing topics", || kafka_faults::missing_topics_are_named(broker.address()));
    scene("credentials", || kafka_refusals::wrong_credentials_are_told_from_an_empty_cluster(&broker));
    scene("no right to write", || kafka_refusals::an_output_topic_that_may_not_be_written_ends_the_run(&broker));
    scene("a topic made anew", || kafka_refusals::a_topic_made_anew_stops_the_run(&broker));
    scene("more partitions", || kafka_refusals::new_partitions_are_read_from_their_beginning(&broker));
    scene("expired input", || kafka_refusals::input_that_expired_unread_is_named(&broker));
    scene("a second instance", || kafka_faults::a_second_instance_takes_over(broker.address()));
    scene("kills", || kafka_kills::a_run_killed_at_any_moment_loses_nothing(broker.address()));
    scene("processes", || processes::processes_killed_one_at_a_time_lose_nothing_together(broker.address()));
    scene("the broker gone", || kafka_broker_gone::a_run_outlives_its_broker(&mut broker));
}

/// Plays a scene and tells how long it took; the name tells which one failed. By hand, `CHAOS_KAFKA_SCENE` picks one.
fn scene(name: &str, play: impl FnOnce()) {
    if std::env::var("CHAOS_KAFKA_SCENE").is_ok_and(|picked| picked != name) {
        println!("scene: {name}: not picked");
        return;
    }
    let started = Instant::now();
    println!("scene: {name}");
    play();
    println!("scene: {name}: {:.1} s", started.elapsed().as_secs_f64());
}

/// A pipeline on the cluster with topics of its own, made.
pub(crate) fn place_with_topics(address: &str, prefix: &str) -> Place {
    let place = Place::kafka(address, prefix).with("DEALERFLOW_PIPELINE__TICK", "20ms");
    let _ = place.run(&["topics", "create", "--partitions", "3"]).succeeded();
    place
}

/// The cluster as any client sees it.
pub(crate) fn log_of(address: &str, prefix: &str) -> KafkaLog {
    let mut config = KafkaConfig::new(address, "chaos");
    config.topic_prefix = format!("{prefix}.");
    KafkaLog::new(config).unwrap()
}

/// Starts to append the world to the cluster, at a rate a second.
pub(crate) fn start_producer(place: &Place, address: &str, produced: &Produced, rate: u64) -> Running {
    let rate = rate.to_string();
    let mut arguments = vec!["simulate", "--disorder", "--brokers", address, "--rate", &rate];
    arguments.extend(produced.arguments.iter().map(String::as_str));
    place.start("producer", &arguments)
}

/// Waits until a run has bound every record of the input topics, which nobody appends to any more, and ends it well.
pub(crate) fn end_when_all_is_bound(place: &Place, log: &KafkaLog, mut run: Running) -> Ended {
    let wanted = input_records(log);
    let patience = Instant::now() + CATCH_UP_MAX;
    loop {
        let bound = place.audited_records();
        if bound == wanted {
            break;
        }
        assert!(!run.has_ended(), "the run ended with {bound} of {wanted} records bound:\n{}", run.stderr());
        assert!(Instant::now() < patience, "{bound} of {wanted} records are bound, and no more:\n{}", run.stderr());
        std::thread::sleep(Duration::from_millis(200));
    }
    let (ended, took) = run.terminate(DRAIN_MAX);
    println!("SIGTERM to the end: {:.2} s", took.as_secs_f64());
    ended.succeeded()
}
