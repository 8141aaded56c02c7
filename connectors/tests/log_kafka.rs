//! The log on a real Apache Kafka keeps the log's contract, also when our process or the broker is killed.
//!
//! Skipped, loudly, where Java or Maven is missing. One broker serves all checks that leave it alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use connectors::kafka::{Compression, KafkaConfig, KafkaLog};
use connectors::log::{
    CommitGroup, CommitOutcome, CommitterIdentity, Log, LogError, OutgoingRecords, PartitionSlot, PollLimits,
    RecordBatch, TopicPartition, TopicSpec, wait_until_settled,
};
use connectors::testing::broker::SASL_USER;
use connectors::testing::{TestBroker, conformance, crash, group_of, read_to_end, records_of, start_at, topic};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// The broker of this test process; it ends with the process.
fn shared_broker() -> Option<&'static TestBroker> {
    static BROKER: OnceLock<Option<TestBroker>> = OnceLock::new();
    BROKER.get_or_init(TestBroker::start).as_ref()
}

fn config(address: &str, prefix: &str) -> KafkaConfig {
    KafkaConfig {
        topic_prefix: prefix.to_owned(),
        limits: conformance::limits_under_test(),
        ..KafkaConfig::new(address, &format!("{prefix}group"))
    }
}

fn log_at(address: &str, prefix: &str) -> KafkaLog {
    KafkaLog::new(config(address, prefix)).unwrap()
}

#[test]
fn the_contract_holds() {
    let Some(broker) = shared_broker() else { return };
    let log = log_at(broker.address(), "contract.");
    for check in conformance::CHECKS {
        let started = Instant::now();
        (check.run)(&log);
        // Times of the whole check: a reader here is a client of its own, which takes its time to come and go.
        println!("{} ({} ms)", check.name, started.elapsed().as_millis());
    }
}

#[test]
fn every_compression_is_read_back() {
    let Some(broker) = shared_broker() else { return };
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let config = KafkaConfig { compression, ..config(broker.address(), &format!("{compression:?}.")) };
        let log = KafkaLog::new(config).unwrap();
        topic(&log, "compressed", 1);
        let mut records = OutgoingRecords::new();
        let place = records.place(&TopicPartition::new("compressed", 0));
        for _ in 0..100 {
            records.push(place, 0, None, Some(&[b'z'; 500]), []);
        }
        log.appender("check").unwrap().append(&records, None).unwrap();
        assert_eq!(read_to_end(&log, &[start_at("compressed", 0, None)]).unwrap().len(), 100);
    }
}

/// Not a test of its own: what the killed process does.
#[test]
fn crash_child() {
    if let Ok(place) = std::env::var(crash::CHILD_VARIABLE) {
        let (address, prefix) = place.split_once(' ').unwrap();
        crash::commit_until_killed(&log_at(address, prefix));
    }
}

#[test]
fn groups_are_whole_after_kills_at_any_moment() {
    let Some(broker) = shared_broker() else { return };
    let log = log_at(broker.address(), "crash.");
    crash::prepare(&log);
    let mut count = 0;
    for round in 0..8 {
        let child = crash::child("crash_child", &format!("{} crash.", broker.address()));
        count = crash::prove(&log, crash::kill_after(child, 1 + round * 9));
    }
    println!("{count} groups, 8 kills");
}

/// A producer of somebody else, with a transaction open on a topic.
fn foreign_transaction(address: &str, topic: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("transactional.id", "foreign")
        .set("linger.ms", "0")
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    producer.begin_transaction().unwrap();
    producer
        .send(BaseRecord::<(), [u8], ()>::with_opaque_to(topic, ()).partition(0).payload(b"unsettled".as_slice()))
        .unwrap();
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
    producer
}

#[test]
fn a_partition_stalled_by_a_foreign_transaction_is_recognised() {
    let Some(broker) = shared_broker() else { return };
    let log = log_at(broker.address(), "stalled.");
    topic(&log, "leads", 1);
    let mut records = OutgoingRecords::new();
    let place = records.place(&TopicPartition::new("leads", 0));
    records.push(place, 0, None, Some(b"settled"), []);
    log.appender("check").unwrap().append(&records, None).unwrap();
    let foreign = foreign_transaction(broker.address(), "stalled.leads");
    log.appender("check").unwrap().append(&records, None).unwrap();

    let mut reader = log.reader("check").unwrap();
    reader.assign(&[start_at("leads", 0, Some(0))]).unwrap();
    let mut batch = RecordBatch::new();
    let mut read = Vec::new();
    let started = Instant::now();
    while !reader.progress(PartitionSlot(0)).unwrap().is_stalled() {
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", reader.progress(PartitionSlot(0)));
        reader.poll(Duration::from_millis(100), PollLimits::default(), &mut batch).unwrap();
        read.extend(records_of(&batch));
    }
    assert_eq!(read.len(), 1, "nothing behind the open transaction is read");
    let progress = reader.progress(PartitionSlot(0)).unwrap();
    assert_eq!((progress.position, progress.stable_end, progress.end), (Some(1), Some(1), Some(3)));
    let described = log.admin().unwrap().describe_topic("leads").unwrap().unwrap();
    assert!(described.partitions[0].has_open_transaction());

    foreign.abort_transaction(Duration::from_secs(10)).unwrap();
    while read.len() < 2 {
        assert!(started.elapsed() < Duration::from_secs(30));
        reader.poll(Duration::from_millis(100), PollLimits::default(), &mut batch).unwrap();
        read.extend(records_of(&batch));
    }
    assert!(read.iter().all(|record| record.payload.as_deref() == Some(b"settled")), "what was aborted is never read");
    assert!(!log.admin().unwrap().describe_topic("leads").unwrap().unwrap().partitions[0].has_open_transaction());
}

#[test]
fn a_topic_recreated_while_it_is_read_is_recognised() {
    let Some(broker) = shared_broker() else { return };
    let log = log_at(broker.address(), "live.");
    topic(&log, "leads", 1);
    let mut reader = log.reader("check").unwrap();
    reader.assign(&[start_at("leads", 0, None)]).unwrap();
    let mut batch = RecordBatch::new();
    reader.poll(Duration::from_secs(5), PollLimits::default(), &mut batch).unwrap();
    log.admin().unwrap().delete_topic("leads").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    topic(&log, "leads", 1);
    let started = Instant::now();
    let error = loop {
        assert!(started.elapsed() < Duration::from_secs(30), "nobody noticed");
        match reader.poll(Duration::from_millis(200), PollLimits::default(), &mut batch) {
            Err(error) if !error.is_retriable() => break error,
            Ok(()) | Err(_) => {}
        }
    };
    assert!(matches!(error, LogError::TopicRecreated { .. } | LogError::TopicMissing { .. }), "{error:?}");
}

#[test]
fn compacted_topics_are_seen() {
    let Some(broker) = shared_broker() else { return };
    let log = log_at(broker.address(), "compacted.");
    let settings = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    log.admin().unwrap().create_topics(&[TopicSpec { settings, ..TopicSpec::new("leads", 1) }]).unwrap();
    assert!(log.admin().unwrap().describe_topic("leads").unwrap().unwrap().cleanup_policy.is_compacted());
}

#[test]
fn wrong_credentials_are_an_error_and_not_an_empty_source() {
    let Some(broker) = shared_broker() else { return };
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        refused_for_wrong_credentials(broker, mechanism);
    }
}

fn refused_for_wrong_credentials(broker: &TestBroker, mechanism: &str) {
    let with = |password: &str| {
        let mut config = config(broker.sasl_address(), &format!("credentials-{mechanism}."));
        for (name, value) in [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanisms", mechanism),
            ("sasl.username", SASL_USER.0),
            ("sasl.password", password),
        ] {
            config.client.insert(name.to_owned(), value.to_owned());
        }
        config.limits.admin_timeout = Duration::from_secs(5);
        config.limits.append_timeout = Duration::from_secs(5);
        KafkaLog::new(config).unwrap()
    };
    let right = with(SASL_USER.1);
    topic(&right, "leads", 1);
    assert!(read_to_end(&right, &[start_at("leads", 0, None)]).unwrap().is_empty());

    let wrong = with("wrong");
    let refused = |what: &str, result: Result<(), LogError>| {
        let error = result.unwrap_err();
        assert!(matches!(error, LogError::AuthenticationFailed { .. }), "{what}: {error:?}");
        assert!(!error.to_string().contains("wrong\""), "{error}");
    };
    refused("reading", read_to_end(&wrong, &[start_at("leads", 0, None)]).map(drop));
    refused("describing", wrong.admin().unwrap().describe_topic("leads").map(drop));
    let identity = CommitterIdentity { name: "credentials".into(), incarnation: "one".into() };
    refused("opening", wrong.committer(identity).unwrap().open());
    let group = group_of(&[("leads", 0, b"never")]);
    refused("appending", wrong.appender("check").unwrap().append(&group.records, None).map(drop));
}

/// The mock cluster has several brokers, which the real one here has not; it cannot tell topic ids, so nothing of ours reads from it.
#[test]
fn records_for_a_partition_whose_leader_moves_are_appended_once_and_in_order() {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("moved.leads", 1, 3).unwrap();
    let log = log_at(&cluster.bootstrap_servers(), "moved.");
    let mut appender = log.appender("check").unwrap();
    let started = Instant::now();
    let mut next = 0;
    for leader in [1, 2, 3] {
        cluster.partition_leader("moved.leads", 0, Some(leader)).unwrap();
        for number in 0..10 {
            let group = group_of(&[("leads", 0, format!("{leader} {number}").as_bytes())]);
            let appended = loop {
                match appender.append(&group.records, None) {
                    Ok(appended) => break appended,
                    Err(error) => {
                        assert!(error.is_retriable() && started.elapsed() < Duration::from_mins(1), "{error:?}");
                    }
                }
            };
            let [range] = &appended.ranges[..] else { panic!("{appended:?}") };
            assert_eq!((range.offset_first, range.offset_last), (next, next), "leader {leader}, record {number}");
            next += 1;
        }
    }
}

#[test]
fn nobody_at_the_address_is_unreachable_and_worth_a_retry() {
    let mut config = config("127.0.0.1:1", "nobody.");
    config.limits.admin_timeout = Duration::from_secs(3);
    config.limits.open_timeout = Duration::from_secs(3);
    let log = KafkaLog::new(config).unwrap();
    let mut reader = log.reader("check").unwrap();
    reader.assign(&[start_at("leads", 0, None)]).unwrap();
    let started = Instant::now();
    let mut batch = RecordBatch::new();
    let error = loop {
        assert!(started.elapsed() < Duration::from_secs(20), "no error");
        if let Err(error) = reader.poll(Duration::from_millis(200), PollLimits::default(), &mut batch) {
            break error;
        }
    };
    assert!(matches!(&error, LogError::Unreachable { endpoint, .. } if endpoint == "127.0.0.1:1"), "{error:?}");
    let identity = CommitterIdentity { name: "nobody".into(), incarnation: "one".into() };
    let error = log.committer(identity).unwrap().open().unwrap_err();
    assert!(error.is_retriable(), "{error:?}");
}

#[test]
fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let Some(mut broker) = TestBroker::start() else { return };
    let log = log_at(broker.address(), "away.");
    topic(&log, "out", 1);
    topic(&log, "in", 1);
    let identity = CommitterIdentity { name: "away".into(), incarnation: "one".into() };
    let mut committer = log.committer(identity.clone()).unwrap();
    committer.open().unwrap();
    let mut reader = log.reader("check").unwrap();
    reader.assign(&[start_at("out", 0, Some(0))]).unwrap();
    let mut batch = RecordBatch::new();
    let mut read = Vec::new();
    conformance::commit(committer.as_mut(), &group_of(&[("out", 0, b"0")]));
    while read.is_empty() {
        reader.poll(Duration::from_millis(200), PollLimits::default(), &mut batch).unwrap();
        read.extend(records_of(&batch));
    }
    broker.kill();
    // What cannot be committed now is not lost: it is said so, and the same group is sent again.
    let group = group_of(&[("out", 0, b"1")]);
    let outcome = committer.commit(&group);
    assert!(outcome.is_resendable(), "{outcome:?}");
    let started = Instant::now();
    let mut unreachable = false;
    while !unreachable && started.elapsed() < Duration::from_secs(20) {
        match reader.poll(Duration::from_millis(200), PollLimits::default(), &mut batch) {
            Ok(()) => read.extend(records_of(&batch)),
            Err(error) => unreachable = error.is_retriable(),
        }
    }
    assert!(unreachable, "a broker that is away is told to the reader");
    broker.restart();
    let started = Instant::now();
    loop {
        match committer.commit(&group) {
            CommitOutcome::Committed => break,
            outcome if outcome.is_resendable() && started.elapsed() < Duration::from_mins(1) => {}
            CommitOutcome::Fatal { .. } => {
                // The broker forgot the beginning of the transaction that we must abort: another committer takes over, and finds that
                // nobody has committed in between.
                committer = log.committer(identity.clone()).unwrap();
                committer.open().unwrap();
                assert_eq!(read_to_end(&log, &[start_at("out", 0, None)]).unwrap().len(), 1);
            }
            outcome => panic!("{outcome:?}"),
        }
    }
    conformance::commit(committer.as_mut(), &group_of(&[("out", 0, b"2")]));
    while read.len() < 3 && started.elapsed() < Duration::from_mins(1) {
        if reader.poll(Duration::from_millis(200), PollLimits::default(), &mut batch).is_ok() {
            read.extend(records_of(&batch));
        }
    }
    let texts: Vec<_> = read.iter().map(|record| record.payload.clone().unwrap()).collect();
    assert_eq!(texts, [b"0", b"1", b"2"], "each once, in order, through the outage");
}

/// Commits groups 0 1 2 … through whatever happens, as a pipeline does: what ends a committer or leaves a group in doubt is settled by
/// another one, that reads first. Returns what became of the groups that were not committed at once.
fn commit_through(log: &KafkaLog, groups: u32, trouble: &dyn Fn(u32)) -> Vec<String> {
    let identity = CommitterIdentity { name: "through".into(), incarnation: "one".into() };
    let mut troubles = Vec::new();
    let mut committer = log.committer(identity.clone()).unwrap();
    committer.open().unwrap();
    let started = Instant::now();
    let mut number = 0;
    let mut highest = None;
    while number < groups {
        assert!(started.elapsed() < Duration::from_mins(2), "at group {number}: {:?}", troubles.last());
        let payload = number.to_string();
        let mut group = CommitGroup::new();
        for (topic, records) in [("through-a", 200), ("through-b", 1)] {
            let place = group.records.place(&TopicPartition::new(topic, 0));
            (0..records).for_each(|_| group.records.push(place, 0, None, Some(payload.as_bytes()), []));
        }
        if highest.is_none_or(|highest| highest < number) {
            highest = Some(number);
            trouble(number);
        }
        match committer.commit(&group) {
            CommitOutcome::Committed => number += 1,
            outcome if outcome.is_resendable() => {
                troubles.push(format!("{number}: {outcome:?}"));
                std::thread::sleep(Duration::from_millis(100));
            }
            outcome @ (CommitOutcome::InDoubt { .. } | CommitOutcome::Fatal { .. }) => {
                troubles.push(format!("{number}: {outcome:?}"));
                committer = log.committer(identity.clone()).unwrap();
                while let Err(error) = committer.open() {
                    assert!(error.is_retriable() && started.elapsed() < Duration::from_mins(3), "{error:?}");
                }
                let mut admin = log.admin().unwrap();
                let settled = wait_until_settled(admin.as_mut(), "through-b", 0, Duration::from_mins(1)).unwrap();
                troubles.push(format!("settled at {settled:?}"));
                number = read_to_end(log, &[start_at("through-b", 0, None)]).unwrap().len() as u32;
            }
            outcome @ CommitOutcome::Fenced { .. } => panic!("{outcome:?}"),
            CommitOutcome::Aborted { .. } | CommitOutcome::TimedOut { .. } => unreachable!("these are sent again"),
        }
    }
    troubles
}

#[test]
fn a_broker_that_is_killed_amid_commits_tears_and_repeats_nothing() {
    let Some(broker) = TestBroker::start() else { return };
    let log = log_at(broker.address(), "amid.");
    topic(&log, "through-a", 1);
    topic(&log, "through-b", 1);
    let broker = std::sync::Mutex::new(broker);
    let troubles = std::thread::scope(|scope| {
        commit_through(&log, 60, &|number| {
            if matches!(number, 20 | 40) {
                let broker = &broker;
                scope.spawn(move || {
                    // Somewhere within the commit that comes now, or the next.
                    std::thread::sleep(Duration::from_micros(u64::from(number) * 60));
                    let mut broker = broker.lock().unwrap();
                    broker.kill();
                    broker.restart();
                });
            }
        })
    });
    println!("{} troubles, the first and last: {:?} {:?}", troubles.len(), troubles.first(), troubles.last());
    let read = |topic: &str| -> Vec<String> {
        let records = read_to_end(&log, &[start_at(topic, 0, None)]).unwrap();
        records.iter().map(|record| String::from_utf8(record.payload.clone().unwrap()).unwrap()).collect()
    };
    assert_eq!(read("through-b"), (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
    let expected: Vec<_> = (0..60).flat_map(|number| std::iter::repeat_n(number.to_string(), 200)).collect();
    assert!(read("through-a") == expected);
}

/// Figures, not a verdict: `cargo test --release -p connectors --test log_kafka rates -- --ignored --nocapture`.
#[test]
#[ignore = "prints rates"]
fn rates() {
    const RECORDS: usize = 1_000_000;
    const BATCH: usize = 20_000;
    let Some(broker) = shared_broker() else { return };
    let log = log_at(broker.address(), "rates.");
    topic(&log, "rates", 4);
    topic(&log, "out", 1);
    let payload = [b'e'; 230];
    let mut appender = log.appender("rates").unwrap();
    let mut records = OutgoingRecords::new();
    let places = [0, 1, 2, 3].map(|partition| records.place(&TopicPartition::new("rates", partition)));
    for number in 0..BATCH {
        records.push(places[number % 4], number as i64, Some(b"d-0001"), Some(&payload), []);
    }
    let started = Instant::now();
    for _ in 0..RECORDS / BATCH {
        appender.append(&records, None).unwrap();
    }
    println!("appended: {:.0}/s", RECORDS as f64 / started.elapsed().as_secs_f64());
    let mut reader = log.reader("rates").unwrap();
    reader.assign(&[0, 1, 2, 3].map(|partition| start_at("rates", partition, None))).unwrap();
    let mut batch = RecordBatch::new();
    let (mut read, mut bytes) = (0, 0);
    let started = Instant::now();
    let mut first = None;
    while read < RECORDS {
        reader.poll(Duration::from_millis(100), PollLimits::default(), &mut batch).unwrap();
        read += batch.len();
        bytes += batch.records().map(|(_, record)| record.body.bytes()).sum::<usize>();
        if !batch.is_empty() {
            first.get_or_insert_with(|| started.elapsed());
        }
    }
    println!("read {bytes} bytes, first after {first:?}: {:.0}/s", RECORDS as f64 / started.elapsed().as_secs_f64());
    let mut committer = log.committer(CommitterIdentity { name: "rates".into(), incarnation: "one".into() }).unwrap();
    committer.open().unwrap();
    for group_records in [100, 1000] {
        let mut group = CommitGroup::new();
        let place = group.records.place(&TopicPartition::new("out", 0));
        for _ in 0..group_records {
            group.records.push(place, 0, Some(b"d-0001"), Some(&payload), []);
        }
        let mut times: Vec<_> = (0..500)
            .map(|_| {
                let started = Instant::now();
                assert!(matches!(committer.commit(&group), CommitOutcome::Committed));
                started.elapsed()
            })
            .collect();
        let total: Duration = times.iter().sum();
        times.sort_unstable();
        let rate = f64::from(group_records * 500) / total.as_secs_f64();
        println!("commits of {group_records} records: p50 {:?}, p99 {:?}, {rate:.0} records/s", times[250], times[495]);
    }
}
