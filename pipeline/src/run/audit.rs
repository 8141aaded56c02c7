//! Proves from the topics alone that nothing was lost, written twice or torn.
//!
//! ```text
//!   topic `epochs`  ─▶ one chain, ranges tile every input partition ─▶ expected messages and checksums by (epoch, topic, partition)
//!   output topics   ─▶ messages by their header `epoch`, in order    ─▶ found    messages and checksums
//!                                                                       each expected one found, and nothing else
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectors::log::{Header, Log};

use super::binding::{Binding, ChainPosition, MessageSum};
use super::starting::{StartError, read_bindings, read_to_end};
use crate::messages::OUTPUT_TOPICS;

/// Problems that are told one by one; of more only the number.
const PROBLEMS_TOLD_MAX: usize = 20;
/// How often topic `epochs` is read again for epochs that were committed while outputs were read.
const LATER_READS_MAX: usize = 10;
/// Pause between these.
const LATER_READ_PAUSE: Duration = Duration::from_millis(100);

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
    let bindings = read_bindings(log, 0)?;
    let mut expected: BTreeMap<(String, u32), BTreeMap<i64, (u64, String)>> = BTreeMap::new();
    let mut unknown = Vec::new();
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
            audit_partition(log, topic, partition, &expected, &mut unknown, &mut report)?;
        }
    }
    explain_unknown(log, bindings.last(), unknown, &mut report)?;
    for ((topic, partition), epochs) in expected {
        report
            .problem(format!("{topic}/{partition} should hold messages of {} epochs and does not exist", epochs.len()));
    }
    Ok((report, bindings))
}

fn audit_partition(
    log: &dyn Log,
    topic: &str,
    partition: u32,
    expected: &BTreeMap<i64, (u64, String)>,
    unknown: &mut Vec<UnknownEpoch>,
    report: &mut AuditReport,
) -> Result<(), StartError> {
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
    problems.into_iter().for_each(|problem| report.problem(problem));
    for (epoch, (count, checksum)) in expected {
        match found.remove(epoch) {
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
    unknown.extend(found.into_iter().map(|(epoch, sum)| UnknownEpoch {
        epoch,
        sentence: format!(
            "{topic}/{partition} holds {} messages of epoch {epoch}, which no record of topic `epochs` knows",
            sum.count()
        ),
    }));
    Ok(())
}

/// Messages of an epoch that topic `epochs` did not hold when it was read.
struct UnknownEpoch {
    epoch: i64,
    sentence: String,
}

/// A pipeline may commit while it is audited: messages of epochs that were recorded since are no problem.
fn explain_unknown(
    log: &dyn Log,
    last: Option<&Binding>,
    mut unknown: Vec<UnknownEpoch>,
    report: &mut AuditReport,
) -> Result<(), StartError> {
    let is_later = |found: &UnknownEpoch| last.is_none_or(|last| found.epoch > last.epoch);
    for _ in 0..LATER_READS_MAX {
        if !unknown.iter().any(is_later) {
            break;
        }
        let recorded: BTreeSet<i64> = read_bindings(log, 0)?.iter().map(|binding| binding.epoch).collect();
        unknown.retain(|found| !is_later(found) || !recorded.contains(&found.epoch));
        if unknown.iter().any(is_later) {
            // One commit becomes readable on its partitions one after another.
            std::thread::sleep(LATER_READ_PAUSE);
        }
    }
    unknown.into_iter().for_each(|found| report.problem(found.sentence));
    Ok(())
}

