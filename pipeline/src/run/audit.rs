//! Proves from the topics alone that nothing was lost, written twice or torn.
//!
//! ```text
//!   topic `epochs`  ─▶ one chain, ranges tile every input partition ─▶ expected messages and checksums by (epoch, topic, partition)
//!   output topics   ─▶ messages by their header `epoch`, in order    ─▶ found    messages and checksums
//!                                                                       each expected one found, and nothing else
//! ```
//! The pipeline may run meanwhile. A commit shows on one partition before it shows on another, and what lies behind an open transaction
//! cannot be read, so what is not there yet is no problem where an open transaction may hide it: it is named and counted apart.

use std::collections::{BTreeMap, BTreeSet};

use connectors::log::{Header, Log, PartitionBounds, TopicPartition};

use super::binding::{Binding, ChainPosition, MessageSum};
use super::starting::{StartError, read_bindings, read_to_end};
use crate::messages::{EPOCHS, OUTPUT_TOPICS};

/// Problems that are told one by one; of more only the number.
const PROBLEMS_TOLD_MAX: usize = 20;

/// What an audit found.
#[derive(Clone, Debug, Default)]
pub struct AuditReport {
    /// Epochs recorded.
    pub epochs: u64,
    /// Runs that wrote them.
    pub incarnations: u64,
    /// Records bound.
    pub records: u64,
    /// Output messages found.
    pub messages: u64,
    /// Where the chain stands.
    pub chain: ChainPosition,
    /// The first problems, a sentence each.
    pub problems: Vec<String>,
    /// All problems.
    pub problems_total: u64,
    /// Partitions that a transaction of some producer holds open.
    pub open_transactions: Vec<String>,
    /// Epochs of single partitions that could not be judged, because an open transaction hides their messages or their record.
    pub hidden: u64,
}

impl AuditReport {
    fn problem(&mut self, sentence: String) {
        self.problems_total += 1;
        if self.problems.len() < PROBLEMS_TOLD_MAX {
            self.problems.push(sentence);
        }
    }
}

/// Reads topic `epochs` and every output topic to their ends and holds them against each other.
///
/// # Errors
/// If the log cannot be read. What is wrong with what it holds stands in the report.
pub fn audit(log: &dyn Log) -> Result<(AuditReport, Vec<Binding>), StartError> {
    let mut report = AuditReport::default();
    let (mut bindings, mut next_offset) = (Vec::new(), 0);
    read_to_end(log, EPOCHS, 0, 0, |offset, record| {
        bindings.push(Binding::from_bytes(offset, record.body.payload.unwrap_or_default())?);
        next_offset = offset + 1;
        Ok(())
    })?;
    let mut expected: BTreeMap<(String, u32), BTreeMap<i64, (u64, String)>> = BTreeMap::new();
    for binding in &bindings {
        if let Err(error) = report.chain.follow(binding) {
            report.problem(error.to_string());
            // What follows is held against this record, whatever came before it.
            report.chain.epoch = Some(binding.epoch);
            for range in &binding.inputs {
                report.chain.positions.insert(format!("{}/{}", range.topic, range.partition), range.next);
            }
        }
        report.epochs += 1;
        report.records += binding.records;
        for sum in &binding.outputs {
            let epochs = expected.entry((sum.topic.clone(), sum.partition)).or_default();
            epochs.insert(binding.epoch, (sum.count, sum.checksum.clone()));
        }
    }
    let mut incarnations: Vec<u64> = bindings.iter().map(|binding| binding.incarnation).collect();
    incarnations.dedup();
    report.incarnations = incarnations.len() as u64;
    let mut admin = log.admin()?;
    let mut unknown = Vec::new();
    for topic in OUTPUT_TOPICS {
        let Some(found) = admin.describe_topic(topic)? else {
            report.problem(format!("the output topic {topic} does not exist"));
            continue;
        };
        for (partition, bounds) in found.partitions.iter().enumerate() {
            let partition = partition as u32;
            if bounds.has_open_transaction() {
                report.open_transactions.push(format!("{topic}/{partition} from offset {}", bounds.stable_end));
            }
            let expected = expected.remove(&(topic.to_owned(), partition)).unwrap_or_default();
            let is_open = bounds.has_open_transaction();
            unknown.append(&mut audit_partition(log, topic, partition, &expected, is_open, &mut report)?);
        }
    }
    audit_unknown(log, next_offset, unknown, &mut report)?;
    for ((topic, partition), epochs) in expected {
        report
            .problem(format!("{topic}/{partition} should hold messages of {} epochs and does not exist", epochs.len()));
    }
    Ok((report, bindings))
}

/// Messages of an epoch that no record was known to when they were found.
struct Unknown {
    place: TopicPartition,
    epoch: i64,
    count: u64,
}

/// Looks for the records of epochs that were committed while the outputs were read.
fn audit_unknown(
    log: &dyn Log,
    next_offset: u64,
    unknown: Vec<Unknown>,
    report: &mut AuditReport,
) -> Result<(), StartError> {
    if unknown.is_empty() {
        return Ok(());
    }
    // Asked before the records are read: what is settled by now will be among them.
    let found = log.admin()?.describe_topic(EPOCHS)?;
    let stalled =
        found.and_then(|found| found.partitions.first().copied()).filter(PartitionBounds::has_open_transaction);
    if let Some(bounds) = stalled {
        report.open_transactions.push(format!("{EPOCHS}/0 from offset {}", bounds.stable_end));
    }
    let newer: BTreeSet<i64> = read_bindings(log, next_offset)?.iter().map(|binding| binding.epoch).collect();
    let last = newer.last().copied().or(report.chain.epoch);
    for Unknown { place, epoch, count } in unknown {
        if newer.contains(&epoch) {
            continue;
        }
        if stalled.is_some() && last.is_none_or(|last| epoch > last) {
            report.hidden += 1;
            continue;
        }
        report.problem(format!(
            "{place} holds {count} messages of epoch {epoch}, which no record of topic `epochs` knows"
        ));
    }
    Ok(())
}

/// Holds a partition against what is expected of it. Messages of other epochs are given back.
fn audit_partition(
    log: &dyn Log,
    topic: &str,
    partition: u32,
    expected: &BTreeMap<i64, (u64, String)>,
    is_open: bool,
    report: &mut AuditReport,
) -> Result<Vec<Unknown>, StartError> {
    let mut found: BTreeMap<i64, MessageSum> = BTreeMap::new();
    let mut last = i64::MIN;
    let mut problems = Vec::new();
    read_to_end(log, topic, partition, 0, |offset, record| {
        let epoch = record.body.headers.last("epoch").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let Some(epoch) = epoch else {
            problems.push(format!("the message at offset {offset} of {topic}/{partition} names no epoch"));
            return Ok(());
        };
        if epoch < last {
            problems.push(format!(
                "the message at offset {offset} of {topic}/{partition} belongs to epoch {epoch} and stands behind epoch {last}"
            ));
        }
        last = epoch;
        report.messages += 1;
        let headers = record.body.headers.iter().map(|Header { name, value }| (name, value.unwrap_or_default()));
        let (key, payload) = (record.body.key.unwrap_or_default(), record.body.payload.unwrap_or_default());
        found.entry(epoch).or_default().add(key, headers, payload);
        Ok(())
    })?;
    for problem in problems {
        report.problem(problem);
    }
    for (epoch, (count, checksum)) in expected {
        match found.remove(epoch) {
            None if is_open && *epoch > last => report.hidden += 1,
            None => report.problem(format!(
                "epoch {epoch} should have {count} messages in {topic}/{partition} and has none: they are lost, or expired"
            )),
            Some(sum) if sum.count() != *count => report.problem(format!(
                "epoch {epoch} should have {count} messages in {topic}/{partition} and has {}: it is torn or written twice",
                sum.count()
            )),
            Some(sum) if sum.checksum() != *checksum => report.problem(format!(
                "the {count} messages of epoch {epoch} in {topic}/{partition} are not those that were recorded"
            )),
            Some(_) => {}
        }
    }
    let place = TopicPartition::new(topic, partition);
    Ok(found.into_iter().map(|(epoch, sum)| Unknown { place: place.clone(), epoch, count: sum.count() }).collect())
}
