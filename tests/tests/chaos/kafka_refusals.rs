//! Kafka: what the cluster refuses, or has not any more, is named in one sentence, and nothing is skipped in silence.

use std::time::Duration;

use connectors::log::{Log, TopicSpec};
use connectors::testing::TestBroker;
use connectors::testing::broker::SASL_USER;

use crate::kafka::{end_when_all_is_bound, log_of, place_with_topics, start_producer};
use crate::kafka_kills::taken_over;
use crate::place::Place;
use crate::produced::{Produced, Productions};
use crate::running::Running;

/// How long anything may take to be refused.
const REFUSED_MAX: Duration = Duration::from_secs(40);
/// How long a start or a production may take.
const WORK_MAX: Duration = Duration::from_mins(1);

/// A pipeline that logs in, with topics made by somebody who may.
fn place_with_login(broker: &TestBroker, prefix: &str, mechanism: &str, password: &str) -> Place {
    let own = place_with_topics(broker.address(), prefix);
    drop(own);
    Place::kafka(broker.sasl_address(), prefix)
        .with("DEALERFLOW_KAFKA__CLIENT__SECURITY_PROTOCOL", "sasl_plaintext")
        .with("DEALERFLOW_KAFKA__CLIENT__SASL_MECHANISMS", mechanism)
        .with("DEALERFLOW_KAFKA__CLIENT__SASL_USERNAME", SASL_USER.0)
        .with("DEALERFLOW_KAFKA__CLIENT__SASL_PASSWORD", password)
}

/// Produces a world, all of it.
fn produce(place: &Place, address: &str, produced: &Produced) {
    start_producer(place, address, produced, 20_000).wait(WORK_MAX).succeeded();
}

fn running(place: &Place) -> Running {
    let mut run = place.start("run", &["run"]);
    assert!(run.wait_until(WORK_MAX, taken_over), "{}", run.stderr());
    run
}

pub(crate) fn wrong_credentials_are_told_from_an_empty_cluster(broker: &TestBroker) {
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let place = place_with_login(broker, "login", mechanism, "wrong");
        let sentence = place.start("run", &["run"]).wait(REFUSED_MAX).failed();
        println!("{mechanism}: {sentence}");
        assert!(sentence.contains("refuses the credentials"), "{sentence}");
    }
}

/// Read and describe it may; the access list forbids to write.
pub(crate) fn an_output_topic_that_may_not_be_written_ends_the_run(broker: &TestBroker) {
    let place = place_with_login(broker, "denied", "SCRAM-SHA-512", SASL_USER.1);
    broker.deny_writes("denied.dead-letters");
    let produced = Produced::simulated(&place, 6_000, 6, 79);
    let open = Place::kafka(broker.address(), "denied");
    produce(&open, broker.address(), &produced);
    let sentence = place.start("run", &["run"]).wait(REFUSED_MAX).failed();
    println!("{sentence}");
    assert!(sentence.contains("denied.dead-letters") && sentence.contains("not allowed"), "{sentence}");
}

/// An input topic is deleted and made again while it is read.
pub(crate) fn a_topic_made_anew_stops_the_run(broker: &TestBroker) {
    let prefix = "anew";
    let place = place_with_topics(broker.address(), prefix);
    let mut run = running(&place);
    let log = log_of(broker.address(), prefix);
    let mut admin = log.admin().unwrap();
    admin.delete_topic("leads").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    admin.create_topics(&[TopicSpec::new("leads", 3)]).unwrap();
    let sentence = run.wait(REFUSED_MAX).failed();
    println!("{sentence}");
    let is_named = sentence.contains("anew.leads") || sentence.contains("leads/");
    assert!(is_named && (sentence.contains("is not the one") || sentence.contains("does not exist")), "{sentence}");
}

/// Partitions that a topic gets while the pipeline is away, and while it runs, are read from their beginning.
pub(crate) fn new_partitions_are_read_from_their_beginning(broker: &TestBroker) {
    let prefix = "grown";
    let place = place_with_topics(broker.address(), prefix);
    let produced = Produced::simulated(&place, 6_000, 6, 80);
    let log = log_of(broker.address(), prefix);
    produce(&place, broker.address(), &produced);
    end_when_all_is_bound(&place, &log, running(&place));
    log.admin().unwrap().add_partitions("leads", 5).unwrap();
    produce(&place, broker.address(), &produced);
    let run = running(&place);
    log.admin().unwrap().add_partitions("deals", 4).unwrap();
    produce(&place, broker.address(), &produced);
    end_when_all_is_bound(&place, &log, run);
    place.audit_and_recompute();
    produced.assert_done(&place, &log, Productions::Whole(3));
}

/// Records that no epoch has are gone when the pipeline comes back: the range is named, and nothing is bound behind it.
pub(crate) fn input_that_expired_unread_is_named(broker: &TestBroker) {
    let prefix = "expired";
    let place = place_with_topics(broker.address(), prefix);
    let produced = Produced::simulated(&place, 6_000, 6, 81);
    let log = log_of(broker.address(), prefix);
    produce(&place, broker.address(), &produced);
    end_when_all_is_bound(&place, &log, running(&place));
    let bound = place.audited_records();
    let mut admin = log.admin().unwrap();
    let before = admin.describe_topic("leads").unwrap().unwrap().partitions[0].end;
    produce(&place, broker.address(), &produced);
    admin.delete_records("leads", 0, before + 2).unwrap();
    let sentence = place.start("run", &["run"]).wait(REFUSED_MAX).failed();
    println!("{sentence}");
    let range = format!("the records {before} to {} of leads/0 have expired", before + 1);
    assert!(sentence.contains(&range), "{sentence}");
    assert_eq!(place.audited_records(), bound, "nothing was bound behind what is lost");
}
