//! Kafka: the broker dies and comes back while everything runs.

use std::time::Duration;

use connectors::testing::broker::TestBroker;

use crate::kafka::{end_when_all_is_bound, log_of, place_with_topics, start_producer};
use crate::kafka_kills::taken_over;
use crate::produced::{Produced, Productions};

const PREFIX: &str = "gone";
const START_MAX: Duration = Duration::from_mins(1);
const PRODUCE_MAX: Duration = Duration::from_mins(2);

/// Producer and run wait for the broker and go on by themselves, from where they were.
pub(crate) fn a_run_outlives_its_broker(broker: &mut TestBroker) {
    let address = broker.address().to_owned();
    let place = place_with_topics(&address, PREFIX);
    let produced = Produced::simulated(&place, 6_000, 6, 78);
    let mut run = place.start("run", &["run"]);
    assert!(run.wait_until(START_MAX, taken_over), "{}", run.stderr());
    let mut producer = start_producer(&place, &address, &produced, 1_000);
    std::thread::sleep(Duration::from_millis(1_700));
    broker.kill();
    std::thread::sleep(Duration::from_secs(2));
    assert!(!run.has_ended(), "the run ended with the broker:\n{}", run.stderr());
    broker.restart();
    producer.wait(PRODUCE_MAX).succeeded();
    let log = log_of(&address, PREFIX);
    end_when_all_is_bound(&place, &log, run);
    place.audit_and_recompute();
    // What was in flight to the broker may have been appended twice: the producer repeats what was not acknowledged.
    let bound = produced.assert_done(&place, &log, Productions::Cut);
    assert_eq!(bound.incarnations, 1, "one run did it all");
}
