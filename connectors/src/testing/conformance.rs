//! The log's contract as checks. Each takes a log and makes topics of its own, under names that begin with the check's.
//!
//! ```text
//!  for check in CHECKS { check.run(&log) }      panics with what is wrong
//! ```

use std::time::{Duration, Instant};

use super::helpers::{Owned, PATIENCE, group_of, payloads, push, read_to_end, records_of, start_at, topic};
use crate::log::{
    CommitOutcome, CommitterIdentity, Header, Log, LogCommitter, LogError, MirroredOffset, OutgoingRecords,
    PartitionEvent, PartitionSlot, PollLimits, RecordBatch, RecreationSign, TopicCreation, TopicId, TopicPartition,
    TopicSpec,
};

/// One check.
pub struct Check {
    /// Its name, which says what must hold.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&dyn Log),
}

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// Every check.
        pub const CHECKS: &[Check] = &[$(Check { name: stringify!($name), run: $name }),*];
    };
}

checks![
    records_come_back_whole_and_in_order,
    reading_resumes_exactly_at_any_offset,
    polls_keep_their_limits,
    a_paused_partition_is_silent_and_then_goes_on,
    the_end_is_told_and_told_again,
    a_group_is_read_whole,
    an_aborted_group_is_never_read,
    a_second_committer_fences_the_first,
    a_committer_that_is_not_open_commits_nothing,
    groups_and_records_have_limits,
    missing_topics_and_partitions_are_named,
    a_recreated_topic_is_recognised,
    expired_offsets_are_named,
    partitions_may_be_added,
    topics_are_described,
    a_sleeping_reader_wakes,
    a_repeat_of_an_append_is_recognised_or_written_again,
];

fn identity(name: &str, incarnation: &str) -> CommitterIdentity {
    CommitterIdentity { name: name.to_owned(), incarnation: incarnation.to_owned() }
}

fn opened(log: &dyn Log, name: &str, incarnation: &str) -> Box<dyn LogCommitter> {
    let mut committer = log.committer(identity(name, incarnation)).unwrap();
    committer.open().unwrap();
    committer
}

/// Commits as a pipeline does: again while it is said to be of use.
pub fn commit(committer: &mut dyn LogCommitter, group: &crate::log::CommitGroup) {
    let started = Instant::now();
    loop {
        match committer.commit(group) {
            CommitOutcome::Committed => return,
            outcome if outcome.is_resendable() && started.elapsed() < PATIENCE => {}
            outcome => panic!("not committed: {outcome:?}"),
        }
    }
}

fn append(log: &dyn Log, topic: &str, partition: u32, payloads: impl IntoIterator<Item = String>) {
    let mut records = OutgoingRecords::new();
    for payload in payloads {
        push(&mut records, topic, partition, payload.as_bytes());
    }
    log.appender("check").unwrap().append(&records, None).unwrap();
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn records_come_back_whole_and_in_order(log: &dyn Log) {
    let name = "whole";
    topic(log, name, 2);
    let large = vec![b'x'; 3 << 20];
    let mut records = OutgoingRecords::new();
    let places = [0, 1].map(|partition| records.place(&TopicPartition::new(name, partition)));
    let none: [Header<'_>; 0] = [];
    records.push(places[0], 1, Some(b"d-0001"), Some(b"first"), none);
    records.push(places[1], 2, None, Some(b"other"), none);
    let headers = [
        Header { name: "causes", value: Some(b"a") },
        Header { name: "causes", value: Some(b"b") },
        Header { name: "epoch", value: Some(b"") },
        Header { name: "none", value: None },
    ];
    records.push(places[0], 3, Some(b""), Some(b""), headers);
    records.push(places[0], 4, Some(b"tombstone"), None, none);
    records.push(places[0], 5, Some(&[0, 159, 146, 150]), Some(&large), none);
    let appended = log.appender("check").unwrap().append(&records, None).unwrap();
    assert_eq!(appended.ranges.len(), 2);
    assert_eq!((appended.ranges[0].offset_first, appended.ranges[0].offset_last), (0, 3));

    let read = read_to_end(log, &[start_at(name, 0, None), start_at(name, 1, Some(0))]).unwrap();
    let of =
        |partition| read.iter().filter(move |record| record.partition.partition == partition).collect::<Vec<&Owned>>();
    let (first, other) = (of(0), of(1));
    assert_eq!(other.len(), 1);
    assert_eq!(
        (other[0].timestamp_ms, other[0].key.clone(), other[0].payload.as_deref()),
        (2, None, Some(b"other".as_slice()))
    );
    assert_eq!(first.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(first.iter().map(|record| record.timestamp_ms).collect::<Vec<_>>(), [1, 3, 4, 5]);
    assert_eq!(first[0].key.as_deref(), Some(b"d-0001".as_slice()));
    assert_eq!((first[1].key.as_deref(), first[1].payload.as_deref()), (Some(b"".as_slice()), Some(b"".as_slice())));
    let expected: Vec<_> =
        headers.iter().map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec))).collect();
    assert_eq!(first[1].headers, expected);
    assert_eq!((first[2].key.as_deref(), first[2].payload.as_deref()), (Some(b"tombstone".as_slice()), None));
    assert!(first[3].payload.as_deref() == Some(large.as_slice()), "a large record comes back as it was");
}

fn reading_resumes_exactly_at_any_offset(log: &dyn Log) {
    let name = "resume";
    topic(log, name, 1);
    // Commits leave marks between records in some logs: offsets are taken from what was read, never computed.
    let mut committer = opened(log, name, "one");
    for first in (0..60).step_by(7) {
        let payloads = numbers(first..first + 7);
        let group: Vec<_> = payloads.iter().map(|payload| (name, 0, payload.as_bytes())).collect();
        commit(committer.as_mut(), &group_of(&group));
    }
    let all = read_to_end(log, &[start_at(name, 0, None)]).unwrap();
    assert_eq!(payloads(&all), numbers(0..63));
    assert!(all.windows(2).all(|pair| pair[0].offset < pair[1].offset), "offsets grow");
    for index in [0, 1, 6, 7, 8, 33, 62] {
        let rest = read_to_end(log, &[start_at(name, 0, Some(all[index].offset))]).unwrap();
        assert_eq!(rest, all[index..], "from {index}");
        let behind = read_to_end(log, &[start_at(name, 0, Some(all[index].offset + 1))]).unwrap();
        assert_eq!(behind, all[index + 1..], "behind {index}");
    }
}

fn polls_keep_their_limits(log: &dyn Log) {
    let name = "limits";
    topic(log, name, 2);
    for partition in 0..2 {
        append(log, name, partition, (0..500).map(|number| format!("{number:0100}")));
    }
    append(log, name, 0, ["y".repeat(100_000)]);
    let mut reader = log.reader("check").unwrap();
    reader.assign(&[start_at(name, 0, None), start_at(name, 1, None)]).unwrap();
    let limits = PollLimits { records_max: 50, bytes_max: 2000 };
    let mut batch = RecordBatch::new();
    let mut read = Vec::new();
    let started = Instant::now();
    while read.len() < 1001 && started.elapsed() < PATIENCE {
        reader.poll(Duration::from_millis(100), limits, &mut batch).unwrap();
        assert!(batch.len() <= 50 && (batch.len() == 1 || batch.bytes() < 2000 + 100_000), "{} records", batch.len());
        assert!(batch.len() <= 21, "a batch ends with the record that crosses the limit: {}", batch.len());
        read.extend(records_of(&batch));
    }
    for partition in 0..2 {
        let of: Vec<_> = read.iter().filter(|record| record.partition.partition == partition).cloned().collect();
        assert!(
            of.iter().enumerate().all(|(index, record)| record.offset == index as u64),
            "partition {partition} in order"
        );
    }
    assert_eq!(read.len(), 1001);
}

fn a_paused_partition_is_silent_and_then_goes_on(log: &dyn Log) {
    let name = "pause";
    topic(log, name, 2);
    for partition in 0..2 {
        append(log, name, partition, numbers(0..300));
    }
    let mut reader = log.reader("check").unwrap();
    reader.assign(&[start_at(name, 0, None), start_at(name, 1, None)]).unwrap();
    let mut batch = RecordBatch::new();
    let mut read = Vec::new();
    let few = PollLimits { records_max: 10, bytes_max: 1 << 20 };
    let started = Instant::now();
    while read.len() < 40 && started.elapsed() < PATIENCE {
        reader.poll(Duration::from_millis(100), few, &mut batch).unwrap();
        read.extend(records_of(&batch));
    }
    reader.pause(&[PartitionSlot(0)]).unwrap();
    assert!(reader.progress(PartitionSlot(0)).unwrap().paused);
    let before = read.iter().filter(|record| record.partition.partition == 0).count();
    while read.iter().filter(|record| record.partition.partition == 1).count() < 300 && started.elapsed() < PATIENCE {
        reader.poll(Duration::from_millis(100), few, &mut batch).unwrap();
        read.extend(records_of(&batch));
    }
    assert_eq!(read.iter().filter(|record| record.partition.partition == 0).count(), before, "silent while paused");
    reader.resume(&[PartitionSlot(0)]).unwrap();
    while read.len() < 600 && started.elapsed() < PATIENCE {
        reader.poll(Duration::from_millis(100), few, &mut batch).unwrap();
        read.extend(records_of(&batch));
    }
    let of: Vec<_> = read.into_iter().filter(|record| record.partition.partition == 0).collect();
    assert_eq!(payloads(&of), numbers(0..300));
    assert!(matches!(reader.pause(&[PartitionSlot(9)]), Err(LogError::Misuse { .. })));
}

fn the_end_is_told_and_told_again(log: &dyn Log) {
    let name = "end";
    topic(log, name, 2);
    let mut reader = log.reader("check").unwrap();
    reader.assign(&[start_at(name, 0, None), start_at(name, 1, Some(0))]).unwrap();
    let mut batch = RecordBatch::new();
    let mut read = Vec::new();
    let mut until_ended = |slots: &[PartitionSlot]| {
        let mut missing = slots.to_vec();
        let started = Instant::now();
        while !missing.is_empty() {
            assert!(started.elapsed() < PATIENCE, "no end of {missing:?}");
            reader.poll(Duration::from_millis(100), PollLimits::default(), &mut batch).unwrap();
            read.extend(records_of(&batch));
            for PartitionEvent::ReachedEnd { slot } in batch.events() {
                missing.retain(|missing| missing != slot);
            }
        }
        (read.len(), reader.progress(PartitionSlot(1)).unwrap())
    };
    let (read, progress) = until_ended(&[PartitionSlot(0), PartitionSlot(1)]);
    assert_eq!(read, 0, "the ends of empty partitions are told");
    assert!(progress.at_end && !progress.is_stalled());
    append(log, name, 1, numbers(0..5));
    let (read, progress) = until_ended(&[PartitionSlot(1)]);
    assert_eq!((read, progress.position), (5, Some(5)));
}

fn a_group_is_read_whole(log: &dyn Log) {
    topic(log, "group-a", 2);
    topic(log, "group-b", 1);
    topic(log, "group-epochs", 1);
    let mut committer = opened(log, "group", "one");
    for epoch in 0..5 {
        let payload = epoch.to_string();
        let payload = payload.as_bytes();
        let mut group = group_of(&[
            ("group-a", 0, payload),
            ("group-a", 1, payload),
            ("group-b", 0, payload),
            ("group-epochs", 0, payload),
        ]);
        let topic_partition = TopicPartition::new("group-b", 0);
        group.mirrored_offsets.push(MirroredOffset { topic_partition, next_offset: epoch });
        commit(committer.as_mut(), &group);
        // Committed means readable, at once and everywhere.
        for (topic, partition) in [("group-a", 0), ("group-a", 1), ("group-b", 0), ("group-epochs", 0)] {
            let read = read_to_end(log, &[start_at(topic, partition, None)]).unwrap();
            assert_eq!(payloads(&read), numbers(0..epoch as u32 + 1), "{topic}/{partition}");
        }
    }
    commit(committer.as_mut(), &group_of(&[]));
}

fn an_aborted_group_is_never_read(log: &dyn Log) {
    let name = "aborted";
    topic(log, name, 1);
    let mut committer = opened(log, name, "one");
    commit(committer.as_mut(), &group_of(&[(name, 0, b"0")]));
    let outcome = committer.commit(&group_of(&[(name, 0, b"never"), (name, 7, b"never"), (name, 0, b"never")]));
    let CommitOutcome::Aborted { error } = outcome else { panic!("{outcome:?}") };
    assert!(matches!(error, LogError::PartitionMissing { .. } | LogError::TopicMissing { .. }), "{error:?}");
    assert!(committer.is_open());
    commit(committer.as_mut(), &group_of(&[(name, 0, b"1")]));
    assert_eq!(payloads(&read_to_end(log, &[start_at(name, 0, None)]).unwrap()), numbers(0..2));
}

fn a_second_committer_fences_the_first(log: &dyn Log) {
    let name = "fencing";
    topic(log, name, 1);
    let mut first = opened(log, name, "first");
    commit(first.as_mut(), &group_of(&[(name, 0, b"0")]));
    let mut second = opened(log, name, "second");
    let outcome = first.commit(&group_of(&[(name, 0, b"never")]));
    let CommitOutcome::Fenced { by } = outcome else { panic!("{outcome:?}") };
    assert!(by.is_none_or(|by| by == "second"));
    assert!(!first.is_open());
    assert!(matches!(first.commit(&group_of(&[(name, 0, b"never")])), CommitOutcome::Fatal { .. }));
    commit(second.as_mut(), &group_of(&[(name, 0, b"1")]));
    // Another name is another committer.
    commit(opened(log, "fencing-other", "third").as_mut(), &group_of(&[(name, 0, b"2")]));
    commit(second.as_mut(), &group_of(&[(name, 0, b"3")]));
    assert_eq!(payloads(&read_to_end(log, &[start_at(name, 0, None)]).unwrap()), numbers(0..4));
}

fn a_committer_that_is_not_open_commits_nothing(log: &dyn Log) {
    let name = "closed";
    topic(log, name, 1);
    let mut committer = log.committer(identity(name, "one")).unwrap();
    assert!(!committer.is_open());
    assert!(matches!(committer.commit(&group_of(&[(name, 0, b"never")])), CommitOutcome::Fatal { .. }));
    committer.open().unwrap();
    committer.open().unwrap();
    commit(committer.as_mut(), &group_of(&[(name, 0, b"0")]));
    assert_eq!(payloads(&read_to_end(log, &[start_at(name, 0, None)]).unwrap()), numbers(0..1));
}

/// The limits that logs under test are configured with, so that checks can cross them cheaply.
pub fn limits_under_test() -> crate::log::LogLimits {
    crate::log::LogLimits {
        record_bytes_max: 4 << 20,
        commit_bytes_max: 8 << 20,
        commit_records_max: 20_000,
        commit_timeout: Duration::from_secs(10),
        ..crate::log::LogLimits::default()
    }
}

fn groups_and_records_have_limits(log: &dyn Log) {
    let name = "sizes";
    topic(log, name, 1);
    let limits = limits_under_test();
    let mut committer = opened(log, name, "one");
    let large = vec![0; limits.record_bytes_max + 1];
    let outcome = committer.commit(&group_of(&[(name, 0, &large)]));
    assert!(matches!(outcome, CommitOutcome::Fatal { error: LogError::RecordTooLarge { .. } }), "{outcome:?}");
    let half = vec![0; limits.commit_bytes_max / 2 - 10];
    let outcome = committer.commit(&group_of(&[
        (name, 0, &half[..3 << 20]),
        (name, 0, &half[..3 << 20]),
        (name, 0, &half[..3 << 20]),
    ]));
    assert!(matches!(outcome, CommitOutcome::Fatal { error: LogError::GroupTooLarge { .. } }), "{outcome:?}");
    let mut records = OutgoingRecords::new();
    push(&mut records, name, 0, &large);
    let refused = log.appender("check").unwrap().append(&records, None);
    assert!(matches!(refused, Err(LogError::RecordTooLarge { .. })), "{refused:?}");
    commit(committer.as_mut(), &group_of(&[(name, 0, &half[..3 << 20])]));
    assert_eq!(read_to_end(log, &[start_at(name, 0, None)]).unwrap().len(), 1);
}

fn missing_topics_and_partitions_are_named(log: &dyn Log) {
    let missing = read_to_end(log, &[start_at("not-there", 0, None)]).unwrap_err();
    assert!(matches!(&missing, LogError::TopicMissing { topic } if topic.ends_with("not-there")), "{missing:?}");
    topic(log, "one-partition", 1);
    let missing = read_to_end(log, &[start_at("one-partition", 3, Some(0))]).unwrap_err();
    assert!(
        matches!(&missing, LogError::PartitionMissing { partition, partitions: 1 } if partition.partition == 3),
        "{missing:?}"
    );
    let mut records = OutgoingRecords::new();
    push(&mut records, "not-there", 0, b"never");
    assert!(log.appender("check").unwrap().append(&records, None).is_err());
    let mut admin = log.admin().unwrap();
    assert_eq!(admin.describe_topic("not-there").unwrap(), None);
    assert!(admin.delete_topic("not-there").is_err());
    let mut reader = log.reader("check").unwrap();
    let twice = reader.assign(&[start_at("one-partition", 0, None), start_at("one-partition", 0, None)]);
    assert!(matches!(twice, Err(LogError::Misuse { .. })));
}

fn a_recreated_topic_is_recognised(log: &dyn Log) {
    let name = "recreated";
    topic(log, name, 1);
    append(log, name, 0, numbers(0..10));
    let mut admin = log.admin().unwrap();
    let first: Option<TopicId> = admin.describe_topic(name).unwrap().unwrap().id;
    admin.delete_topic(name).unwrap();
    let started = Instant::now();
    while admin.describe_topic(name).unwrap().is_some() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    topic(log, name, 1);
    append(log, name, 0, numbers(0..3));
    // It ends before the position.
    let error = read_to_end(log, &[start_at(name, 0, Some(10))]).unwrap_err();
    let LogError::TopicRecreated { sign, .. } = error else { panic!("{error:?}") };
    assert_eq!(sign, RecreationSign::EndBehindPosition { partition: 0, position: 10, latest: 3 });
    // It has grown beyond the position, and only its id tells.
    append(log, name, 0, numbers(3..20));
    let second = admin.describe_topic(name).unwrap().unwrap().id;
    assert!(first.is_some() && second.is_some() && first != second, "{first:?} {second:?}");
    let start = crate::log::PartitionStart { topic_id: first, ..start_at(name, 0, Some(10)) };
    let error = read_to_end(log, &[start]).unwrap_err();
    let LogError::TopicRecreated { sign, .. } = error else { panic!("{error:?}") };
    assert!(matches!(sign, RecreationSign::Id { expected, found } if Some(expected) == first && Some(found) == second));
    let start = crate::log::PartitionStart { topic_id: second, ..start_at(name, 0, Some(10)) };
    assert_eq!(payloads(&read_to_end(log, &[start]).unwrap()), numbers(10..20));
}

fn expired_offsets_are_named(log: &dyn Log) {
    let name = "expired";
    topic(log, name, 1);
    for first in (0..100).step_by(10) {
        append(log, name, 0, numbers(first..first + 10));
    }
    let mut admin = log.admin().unwrap();
    admin.delete_records(name, 0, 45).unwrap();
    let bounds = admin.describe_topic(name).unwrap().unwrap().partitions[0];
    assert_eq!((bounds.earliest, bounds.stable_end, bounds.end), (45, 100, 100));
    let error = read_to_end(log, &[start_at(name, 0, Some(17))]).unwrap_err();
    let LogError::OffsetOutOfRange { partition, position, earliest, latest } = error else { panic!("{error:?}") };
    assert_eq!((partition.partition, position, earliest, latest), (0, 17, 45, 100));
    assert_eq!(payloads(&read_to_end(log, &[start_at(name, 0, None)]).unwrap()), numbers(45..100));
    assert_eq!(payloads(&read_to_end(log, &[start_at(name, 0, Some(45))]).unwrap()), numbers(45..100));
    assert!(admin.delete_records(name, 0, 101).is_err());
    admin.delete_records(name, 0, 100).unwrap();
    assert!(read_to_end(log, &[start_at(name, 0, None)]).unwrap().is_empty());
    append(log, name, 0, numbers(100..101));
    let last = read_to_end(log, &[start_at(name, 0, None)]).unwrap();
    assert_eq!((payloads(&last), last[0].offset), (numbers(100..101), 100));
}

fn partitions_may_be_added(log: &dyn Log) {
    let name = "grown";
    topic(log, name, 1);
    append(log, name, 0, numbers(0..5));
    let mut reader = log.reader("check").unwrap();
    reader.assign(&[start_at(name, 0, None)]).unwrap();
    let mut admin = log.admin().unwrap();
    admin.add_partitions(name, 3).unwrap();
    assert!(admin.add_partitions(name, 3).is_err());
    let started = Instant::now();
    while admin.describe_topic(name).unwrap().unwrap().partitions.len() < 3 && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    append(log, name, 2, numbers(5..8));
    reader.assign_more(&[start_at(name, 1, Some(0)), start_at(name, 2, Some(0))]).unwrap();
    let mut batch = RecordBatch::new();
    let mut read = Vec::new();
    while read.len() < 8 && started.elapsed() < PATIENCE {
        reader.poll(Duration::from_millis(100), PollLimits::default(), &mut batch).unwrap();
        read.extend(records_of(&batch));
    }
    let mut texts = payloads(&read);
    texts.sort_unstable();
    assert_eq!(texts, numbers(0..8));
    assert_eq!(reader.progress(PartitionSlot(2)).unwrap().position, Some(3));
}

fn topics_are_described(log: &dyn Log) {
    let mut admin = log.admin().unwrap();
    let retention = Some(Duration::from_hours(24 * 7));
    let spec = TopicSpec { retention, ..TopicSpec::new("described", 3) };
    assert_eq!(admin.create_topics(std::slice::from_ref(&spec)).unwrap(), [TopicCreation::Created]);
    assert_eq!(admin.create_topics(&[spec]).unwrap(), [TopicCreation::AlreadyThere { partitions: 3 }]);
    let described = admin.describe_topic("described").unwrap().unwrap();
    assert_eq!((described.name.as_str(), described.partitions.len(), described.retention), ("described", 3, retention));
    assert!(!described.cleanup_policy.is_compacted() && described.id.is_some());
    assert!(described.partitions.iter().all(|bounds| bounds.end == 0 && !bounds.has_open_transaction()));
    assert!(described.record_bytes_max >= Some(limits_under_test().record_bytes_max as u64));
    assert!(admin.list_topics().unwrap().contains(&"described".to_owned()));
}

fn a_sleeping_reader_wakes(log: &dyn Log) {
    let name = "wake";
    topic(log, name, 1);
    let mut reader = log.reader("check").unwrap();
    reader.assign(&[start_at(name, 0, None)]).unwrap();
    let mut batch = RecordBatch::new();
    reader.poll(Duration::from_secs(5), PollLimits::default(), &mut batch).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            append(log, name, 0, numbers(0..1));
        });
        let started = Instant::now();
        while batch.is_empty() && started.elapsed() < PATIENCE {
            reader.poll(Duration::from_secs(10), PollLimits::default(), &mut batch).unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(8), "woken by the record, not by the end of its patience");
    });
    assert_eq!(batch.len(), 1);
}

fn a_repeat_of_an_append_is_recognised_or_written_again(log: &dyn Log) {
    let name = "repeat";
    topic(log, name, 1);
    let mut records = OutgoingRecords::new();
    push(&mut records, name, 0, b"once");
    let mut appender = log.appender("check").unwrap();
    let first = appender.append(&records, Some(b"key")).unwrap();
    assert!(!first.repeated);
    let second = appender.append(&records, Some(b"key")).unwrap();
    let read = read_to_end(log, &[start_at(name, 0, None)]).unwrap();
    assert_eq!(read.len(), if second.repeated { 1 } else { 2 });
    assert!(!second.repeated || second.ranges == first.ranges);
    assert!(!appender.append(&records, Some(b"other key")).unwrap().repeated);
}
