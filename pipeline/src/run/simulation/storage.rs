//! What the simulated log holds, and all that can happen to it.
//!
//! ```text
//!   partition   r0 r1 │ t2 t3 (marker 4) │ f5 … r6        r plain, t of a settled transaction, f of an open one
//!                                          └─ stable end: nothing behind it is read
//! ```
//! Transactions take offsets of their own when they are settled. A settled transaction shows on some partitions later than on others,
//! as markers reach brokers one by one, and a commit whose answer never came is settled by the next committer that opens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connectors::log::{OutgoingRecords, PartitionBounds, TopicPartition};

use crate::simulate::random::Random;

/// A record as it lies in the log.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) offset: u64,
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload: Vec<u8>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    transaction: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug)]
struct Transaction {
    fate: Fate,
    /// Partitions where it is not settled yet.
    unsettled: BTreeSet<TopicPartition>,
    /// Name of the committer, for those of the pipeline.
    committer: Option<String>,
}

#[derive(Debug, Default)]
struct Partition {
    records: Vec<Stored>,
    end: u64,
    /// Records before it have expired: nobody reads them any more, and the truth remembers them.
    earliest: u64,
}

/// Chances of what may go wrong, each from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    /// A read fails for now.
    pub(super) read: f64,
    /// A poll brings nothing, or less than it could.
    pub(super) scant: f64,
    /// A commit is undone.
    pub(super) undone: f64,
    /// A commit's answer never comes.
    pub(super) in_doubt: f64,
    /// A commit fails for good.
    pub(super) fatal: f64,
    /// A settled transaction shows on a partition only later.
    pub(super) slow_marker: f64,
    /// The log cannot be reached to open or to describe.
    pub(super) unreachable: f64,
}

impl Faults {
    /// Nothing goes wrong.
    pub(super) const NONE: Faults =
        Faults { read: 0.0, scant: 0.0, undone: 0.0, in_doubt: 0.0, fatal: 0.0, slow_marker: 0.0, unreachable: 0.0 };

    /// Chances of one simulation: some quiet, some wild.
    pub(super) fn seeded(random: &mut Random) -> Self {
        let mut up_to = |most: f64| if random.chance(0.3) { 0.0 } else { random.range(0.0, most) };
        Faults {
            read: up_to(0.2),
            scant: up_to(0.8),
            undone: up_to(0.3),
            in_doubt: up_to(0.15),
            fatal: up_to(0.05),
            slow_marker: up_to(0.5),
            unreachable: up_to(0.1),
        }
    }
}

/// What a deliberately broken log does, to prove that the simulation sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// Nothing.
    None,
    /// What is left of a commit that was undone can be read on some partition.
    TornCommit,
    /// An earlier committer keeps its power.
    NoFence,
    /// A reader leaves a record out.
    LostRecord,
    /// A reader hands a record out twice.
    RepeatedRecord,
    /// A group that is told to be committed is not.
    ForgottenCommit,
}

/// The log's whole state.
pub(super) struct Storage {
    topics: BTreeMap<Arc<str>, Vec<Partition>>,
    transactions: Vec<Transaction>,
    /// Those that are not settled everywhere.
    unsettled: BTreeSet<usize>,
    /// Number of the committer in power and its incarnation, by name.
    committers: BTreeMap<String, (u64, String)>,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) defect: Defect,
}

impl Storage {
    pub(super) fn new(random: Random, defect: Defect) -> Self {
        Storage {
            topics: BTreeMap::new(),
            transactions: Vec::new(),
            unsettled: BTreeSet::new(),
            committers: BTreeMap::new(),
            random,
            faults: Faults::NONE,
            defect,
        }
    }

    pub(super) fn create_topic(&mut self, topic: &str, partitions: usize) {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        self.topics.entry(topic.into()).or_insert(partitions);
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.topics.keys()
    }

    /// Partitions of a topic; 0 if there is none.
    pub(super) fn partitions(&self, topic: &str) -> usize {
        self.topics.get(topic).map_or(0, Vec::len)
    }

    /// Lets the records of a partition expire before an offset.
    pub(super) fn expire(&mut self, place: &TopicPartition, before: u64) {
        let partition = self.partition_mut(place);
        partition.earliest = partition.earliest.max(before.min(partition.end));
    }

    /// Raises the number of partitions.
    pub(super) fn add_partition(&mut self, topic: &str) {
        self.topics.get_mut(topic).unwrap().push(Partition::default());
    }

    fn partition(&self, place: &TopicPartition) -> &Partition {
        &self.topics[&place.topic][place.partition as usize]
    }

    fn partition_mut(&mut self, place: &TopicPartition) -> &mut Partition {
        &mut self.topics.get_mut(&place.topic).unwrap()[place.partition as usize]
    }

    pub(super) fn bounds(&self, place: &TopicPartition) -> PartitionBounds {
        let partition = self.partition(place);
        let mut stable_end = partition.end;
        if self.unsettled.iter().any(|id| self.is_unsettled(*id, place)) {
            let is_open = |record: &&Stored| record.transaction.is_some_and(|id| self.is_unsettled(id, place));
            stable_end = partition.records.iter().find(is_open).map_or(partition.end, |record| record.offset);
        }
        PartitionBounds { earliest: partition.earliest, stable_end, end: partition.end }
    }

    fn is_unsettled(&self, id: usize, place: &TopicPartition) -> bool {
        self.transactions[id].unsettled.contains(place)
    }

    /// Records that are readable from an offset on, in order.
    pub(super) fn readable<'a>(&'a self, place: &TopicPartition, from: u64) -> impl Iterator<Item = &'a Stored> + 'a {
        let stable_end = self.bounds(place).stable_end;
        self.committed(place, from).take_while(move |record| record.offset < stable_end)
    }

    /// Records that are committed, whether they show yet or not.
    pub(super) fn committed<'a>(&'a self, place: &TopicPartition, from: u64) -> impl Iterator<Item = &'a Stored> + 'a {
        let records = &self.partition(place).records;
        let start = records.partition_point(|record| record.offset < from);
        let is_committed =
            |record: &&Stored| record.transaction.is_none_or(|id| self.transactions[id].fate == Fate::Committed);
        records[start..].iter().filter(is_committed)
    }

    /// Whether every transaction is settled everywhere.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.is_empty()
    }

    fn write(&mut self, records: &OutgoingRecords, transaction: Option<usize>) {
        for record in records.iter() {
            let partition = self.partition_mut(record.topic_partition);
            partition.records.push(Stored {
                offset: partition.end,
                timestamp_ms: record.timestamp_ms,
                key: record.body.key.map(<[u8]>::to_vec),
                payload: record.body.payload.unwrap_or_default().to_vec(),
                headers: record
                    .body
                    .headers
                    .iter()
                    .map(|header| (header.name.to_owned(), header.value.unwrap_or_default().to_vec()))
                    .collect(),
                transaction,
            });
            partition.end += 1;
        }
    }

    /// Appends outside any transaction.
    pub(super) fn append(&mut self, records: &OutgoingRecords) {
        self.write(records, None);
    }

    /// Writes records in a transaction that stays open.
    pub(super) fn begin(&mut self, records: &OutgoingRecords, committer: Option<&str>) -> usize {
        let id = self.transactions.len();
        let unsettled = records.iter().map(|record| record.topic_partition.clone()).collect();
        self.transactions.push(Transaction {
            fate: Fate::Open,
            unsettled,
            committer: committer.map(ToOwned::to_owned),
        });
        self.unsettled.insert(id);
        self.write(records, Some(id));
        id
    }

    /// Ends a transaction. Its markers may reach partitions later.
    pub(super) fn end(&mut self, id: usize, commit: bool) {
        if self.transactions[id].fate != Fate::Open {
            return;
        }
        self.transactions[id].fate = if commit { Fate::Committed } else { Fate::Aborted };
        let places: Vec<TopicPartition> = self.transactions[id].unsettled.iter().cloned().collect();
        for place in &places {
            if !self.random.chance(self.faults.slow_marker) {
                self.mark(id, place);
            }
        }
        if !commit && self.defect == Defect::TornCommit {
            let place = self.random.pick(&places).clone();
            let torn = |record: &&mut Stored| record.transaction == Some(id);
            self.partition_mut(&place).records.iter_mut().filter(torn).for_each(|record| record.transaction = None);
        }
    }

    fn mark(&mut self, id: usize, place: &TopicPartition) {
        if self.transactions[id].unsettled.remove(place) {
            self.partition_mut(place).end += 1;
        }
        if self.transactions[id].unsettled.is_empty() {
            self.unsettled.remove(&id);
        }
    }

    /// Lets markers that are on their way arrive: some, or all.
    pub(super) fn settle(&mut self, all: bool) {
        for id in self.unsettled.clone() {
            if self.transactions[id].fate == Fate::Open {
                continue;
            }
            for place in self.transactions[id].unsettled.clone() {
                if all || self.random.chance(0.5) {
                    self.mark(id, &place);
                }
            }
        }
    }

    /// Gives a committer of that name the power and settles what the former ones left. Its number.
    pub(super) fn open(&mut self, name: &str, incarnation: &str) -> u64 {
        for id in self.unsettled.clone() {
            if self.transactions[id].committer.as_deref() != Some(name) {
                continue;
            }
            let commit = self.random.chance(0.5);
            self.end(id, commit);
            for place in self.transactions[id].unsettled.clone() {
                self.mark(id, &place);
            }
        }
        let power = self.committers.entry(name.to_owned()).or_default();
        *power = (power.0 + 1, incarnation.to_owned());
        power.0
    }

    /// Who took the power from the committer of that number, if anyone has.
    pub(super) fn fenced_by(&self, name: &str, number: u64) -> Option<&str> {
        let (latest, incarnation) = self.committers.get(name)?;
        (*latest != number && self.defect != Defect::NoFence).then_some(incarnation.as_str())
    }
}
