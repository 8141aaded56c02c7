//! Kafka: what is wrong is said in one sentence, in bounded time, and a rival never does harm.

use std::time::{Duration, Instant};

use connectors::log::Log;

use crate::kafka::{end_when_all_is_bound, log_of, place_with_topics, start_producer};
use crate::kafka_kills::taken_over;
use crate::place::Place;
use crate::produced::{Produced, Productions};

/// How long a cluster may be out of reach before a start is given up, and what a busy machine adds.
const UNREACHABLE_MAX: Duration = Duration::from_secs(15);
/// How long anything else may take to be refused.
const REFUSED_MAX: Duration = Duration::from_secs(30);

#[test]
fn a_broker_that_is_not_there_is_named_in_one_sentence() {
    // A port that was free a moment ago: nobody answers there.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let place = Place::kafka(&address, "nowhere");
    let started = Instant::now();
    let sentence = place.start("run", &["run"]).wait(UNREACHABLE_MAX).failed();
    println!("after {:.1} s: {sentence}", started.elapsed().as_secs_f64());
    assert!(sentence.contains(&address), "{sentence}");
    let sentence = place.start("audit", &["audit"]).wait(REFUSED_MAX).failed();
    assert!(sentence.contains(&address), "{sentence}");
}

pub(crate) fn missing_topics_are_named(address: &str) {
    let place = Place::kafka(address, "none");
    let sentence = place.start("run", &["run"]).wait(REFUSED_MAX).failed();
    println!("{sentence}");
    assert!(sentence.contains("none.") && sentence.contains("does not exist"), "{sentence}");
    assert!(sentence.contains("`dealerflow topics create`"), "{sentence}");
}

/// Whether epochs have been recorded.
fn has_epochs(log: &dyn Log) -> bool {
    let topic = log.admin().unwrap().describe_topic("epochs").unwrap();
    topic.is_some_and(|topic| topic.partitions.iter().any(|bounds| bounds.stable_end > 0))
}

/// The first is fenced and says so; the second goes on from where it stopped, and ends well when it is asked to.
pub(crate) fn a_second_instance_takes_over(address: &str) {
    let prefix = "rivals";
    let place = place_with_topics(address, prefix);
    let produced = Produced::simulated(&place, 12_000, 6, 77);
    let log = log_of(address, prefix);
    let mut producer = start_producer(&place, address, &produced, 1_000);
    let mut first = place.start("first", &["run"]);
    assert!(first.wait_until(REFUSED_MAX, |_| has_epochs(&log)), "{}", first.stderr());
    // The producer goes on meanwhile: an instance with nothing to commit would not learn that it is fenced, nor differ from the other.
    let mut second = place.start("second", &["run"]);
    assert!(second.wait_until(REFUSED_MAX, taken_over), "{}", second.stderr());
    let sentence = first.wait(REFUSED_MAX).failed();
    println!("{sentence}");
    assert!(sentence.contains("another instance") && sentence.contains("rivals"), "{sentence}");
    producer.wait(REFUSED_MAX).succeeded();
    end_when_all_is_bound(&place, &log, second);
    place.audit_and_recompute();
    let bound = produced.assert_done(&place, &log, Productions::Whole(1));
    assert_eq!(bound.incarnations, 2, "both instances recorded epochs");
}
