//! What must be true of every run, computed plainly from what the log holds and what was published.
//!
//! ```text
//!   topic `epochs` ─▶ one chain, tiling ─▶ committed        published[i] is committed[i], and gives what it gave before
//!   input, by the bindings ─▶ dead letters and leads that there must be
//! ```

use std::collections::{BTreeMap, BTreeSet};

use connectors::log::TopicPartition;
use operators::domain::event::Topic;
use operators::domain::rows::RowChange;
use operators::domain::table::ColumnType;
use operators::domain::tables::TableId;
use operators::domain::time::parse_rfc3339_ms;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::super::audit::audit;
use super::super::binding::{Binding, ChainPosition};
use super::super::commits::{Published, messages_of};
use super::super::starting::StartError;
use super::instance::MAX_FUTURE_MS;
use super::log::SimulatedLog;
use crate::messages::{DEAD_LETTERS, EPOCHS};

/// The cells of a row, as bytes.
type Cells = Vec<Option<Vec<u8>>>;

/// Table, change and cells of a row version.
type Version = (u8, u8, Cells);

/// A record's place and why it was not accepted.
type Letter = (String, u32, u64, i64, String);

/// All that is known of the run.
#[derive(Default)]
pub(super) struct Truth {
    chain: ChainPosition,
    committed: Vec<Binding>,
    /// Of each epoch that was published, what it gave.
    digests: Vec<u64>,
    /// Row versions by table and epoch.
    versions: BTreeMap<u8, BTreeMap<i64, usize>>,
    /// The live rows by table and key.
    tables: BTreeMap<(u8, Cells), Cells>,
}

impl Truth {
    /// Epochs committed so far.
    pub(super) fn committed(&self) -> &[Binding] {
        &self.committed
    }

    /// The last epoch.
    pub(super) fn last_epoch(&self) -> Option<i64> {
        self.chain.epoch
    }

    /// Follows topic `epochs` as far as it is committed.
    pub(super) fn follow(&mut self, log: &SimulatedLog) -> Result<(), String> {
        let storage = log.storage();
        let seen = self.committed.len();
        for record in storage.committed(&TopicPartition::new(EPOCHS, 0), 0).skip(seen) {
            let binding = Binding::from_bytes(record.offset, &record.payload).map_err(|error| error.to_string())?;
            self.chain.follow(&binding).map_err(|error| error.to_string())?;
            let mut bound = 0;
            for range in &binding.inputs {
                let place = TopicPartition::new(range.topic.as_str(), range.partition);
                let offsets = storage.committed(&place, range.first).map(|record| record.offset);
                bound += offsets.take_while(|offset| *offset < range.next).count() as u64;
            }
            if bound != binding.records {
                return Err(format!("epoch {} bound {} records of {bound}", binding.epoch, binding.records));
            }
            self.committed.push(binding);
        }
        Ok(())
    }

    /// Takes note of what an instance published as its `index`-th epoch.
    pub(super) fn published(&mut self, index: usize, published: &Published) -> Result<(), String> {
        let epoch = published.binding.epoch;
        let Some(committed) = self.committed.get(index) else {
            return Err(format!("epoch {epoch} was published and is not committed"));
        };
        if *committed != published.binding {
            return Err(format!("epoch {epoch} was published where {committed:?} is committed"));
        }
        let versions = versions(published);
        let digest = digest(published, &versions);
        match self.digests.get(index) {
            Some(before) if *before != digest => {
                return Err(format!("epoch {epoch} was published again and differs"));
            }
            Some(_) => {}
            None => {
                self.digests.push(digest);
                for version in versions {
                    *self.versions.entry(version.0).or_default().entry(epoch).or_default() += 1;
                    self.apply(version);
                }
            }
        }
        Ok(())
    }

    /// An epoch in which a table has another number of versions than found, if any: what there are and what was found.
    pub(super) fn differing_versions(
        &self,
        table: TableId,
        found: &BTreeMap<i64, usize>,
    ) -> Option<(i64, usize, usize)> {
        let none = BTreeMap::new();
        let expected = self.versions.get(&(table as u8)).unwrap_or(&none);
        let epochs = expected.keys().chain(found.keys());
        let count = |counts: &BTreeMap<i64, usize>, epoch: &i64| counts.get(epoch).copied().unwrap_or_default();
        epochs
            .map(|epoch| (*epoch, count(expected, epoch), count(found, epoch)))
            .find(|(_, expected, found)| expected != found)
    }

    fn apply(&mut self, (table, change, cells): Version) {
        let keys = TableId::ALL[usize::from(table)].table().keys();
        let key = (table, cells[..keys].to_vec());
        if change == RowChange::Upsert as u8 {
            self.tables.insert(key, cells);
        } else {
            self.tables.remove(&key);
        }
    }

    /// Holds the topics against each other as `dealerflow audit` does.
    pub(super) fn audit(log: &SimulatedLog) -> Result<(), String> {
        let was_settled = log.storage().is_settled();
        let report = match audit(log) {
            Ok((report, _)) => report,
            // Out of reach for now.
            Err(StartError::Log(error)) if error.is_retriable() => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        if was_settled && report.hidden > 0 {
            return Err("the audit could not judge some epochs, and nothing is open".to_owned());
        }
        if report.problems_total > 0 { Err(format!("the audit finds {:?}", report.problems)) } else { Ok(()) }
    }

    /// Whether every input record that is committed belongs to an epoch that is committed and published.
    pub(super) fn is_whole(&self, log: &SimulatedLog) -> bool {
        let storage = log.storage();
        let is_bound = |topic: Topic, partition: u32| {
            let last = storage.committed(&TopicPartition::new(topic.name(), partition), 0).last();
            let next = self.chain.positions.get(&format!("{}/{partition}", topic.name())).copied();
            last.is_none_or(|last| next.is_some_and(|next| next > last.offset))
        };
        self.digests.len() == self.committed.len()
            && Topic::ALL
                .into_iter()
                .all(|topic| (0..storage.partitions(topic.name())).all(|one| is_bound(topic, one as u32)))
    }

    /// Holds dead letters and leads against a plain reading of the input.
    pub(super) fn check_results(&self, log: &SimulatedLog) -> Result<(), String> {
        let mut plain = PlainReading::default();
        for binding in &self.committed {
            plain.read(log, binding);
        }
        let storage = log.storage();
        let mut letters = BTreeSet::new();
        for partition in 0..storage.partitions(DEAD_LETTERS) {
            for record in storage.committed(&TopicPartition::new(DEAD_LETTERS, partition as u32), 0) {
                let header = |name: &str| {
                    let (_, value) = record.headers.iter().find(|(header, _)| header == name)?;
                    String::from_utf8(value.clone()).ok()
                };
                let number = |name: &str| header(name)?.parse::<i64>().ok();
                let letter = || {
                    let (partition, offset) = (number("partition")? as u32, number("offset")? as u64);
                    let reason = if header("reason-code")? == "too_far_ahead" || header("reason-code")? == "id_reused" {
                        header("reason-code")?
                    } else {
                        BROKEN.to_owned()
                    };
                    Some((header("topic")?, partition, offset, number("epoch")?, reason))
                };
                let letter = letter().ok_or_else(|| format!("a dead letter lacks headers: {record:?}"))?;
                if !letters.insert(letter.clone()) {
                    return Err(format!("the dead letter {letter:?} stands twice"));
                }
            }
        }
        if letters != plain.letters {
            let (more, fewer): (Vec<_>, Vec<_>) =
                (letters.difference(&plain.letters).collect(), plain.letters.difference(&letters).collect());
            return Err(format!("dead letters that there should not be: {more:?}; that are missing: {fewer:?}"));
        }
        let leads: BTreeSet<(String, String)> = self
            .tables
            .keys()
            .filter(|(table, _)| *table == TableId::Leads as u8)
            .map(|(_, key)| (text_of(key[0].as_ref()), text_of(key[1].as_ref())))
            .collect();
        if leads != plain.live_leads() {
            return Err(format!("the table of leads has {leads:?}, and there are {:?}", plain.live_leads()));
        }
        Ok(())
    }
}

fn text_of(cell: Option<&Vec<u8>>) -> String {
    String::from_utf8_lossy(cell.map(Vec::as_slice).unwrap_or_default()).into_owned()
}

/// The rows of an epoch in an order of their own: which worker's batch came first says nothing.
fn versions(published: &Published) -> Vec<Version> {
    let mut versions = Vec::new();
    for (table, slice) in &published.output.rows {
        for row in slice.range.clone() {
            let cell = |(index, column): (usize, &operators::domain::table::Column)| match column.column_type {
                ColumnType::Text | ColumnType::Bytes => slice.rows.text(row, index).map(<[u8]>::to_vec),
                _ => slice.rows.bits(row, index).map(|bits| bits.to_le_bytes().to_vec()),
            };
            let cells = table.table().stored().enumerate().map(cell).collect();
            versions.push((*table as u8, slice.rows.change(row) as u8, cells));
        }
    }
    versions.sort();
    versions
}

fn digest(published: &Published, versions: &[Version]) -> u64 {
    let messages: Vec<_> = messages_of(&published.output).collect();
    xxh3_64(format!("{} {} {messages:?} {versions:?}", published.binding.epoch, published.output.events).as_bytes())
}

/// The word for every reason that the bytes of a record give by themselves.
const BROKEN: &str = "broken";

/// The input read epoch by epoch, by rules that are few and short.
#[derive(Default)]
struct PlainReading {
    letters: BTreeSet<Letter>,
    /// Bytes accepted by dealer and id.
    accepted: BTreeMap<(String, String), Vec<u8>>,
    leads: BTreeMap<(String, String), PlainLead>,
}

impl PlainReading {
    fn read(&mut self, log: &SimulatedLog, binding: &Binding) {
        let storage = log.storage();
        let mut events = Vec::new();
        for range in &binding.inputs {
            let place = TopicPartition::new(range.topic.as_str(), range.partition);
            for record in storage.committed(&place, range.first).take_while(|record| record.offset < range.next) {
                let mut refuse = |reason: &str| {
                    let letter =
                        (range.topic.clone(), range.partition, record.offset, binding.epoch, reason.to_owned());
                    self.letters.insert(letter);
                };
                match parse(&record.payload) {
                    None => refuse(BROKEN),
                    Some(event) if event.time_ms > binding.epoch + MAX_FUTURE_MS => refuse("too_far_ahead"),
                    Some(event) => events.push((event, &range.topic, range.partition, record)),
                }
            }
        }
        events.sort_by(|left, right| left.0.order().cmp(&right.0.order()));
        for (event, topic, partition, record) in events {
            let identity = (event.dealer.clone(), event.id.clone());
            match self.accepted.get(&identity) {
                Some(bytes) if *bytes == record.payload => {}
                Some(_) => {
                    let letter = (topic.clone(), partition, record.offset, binding.epoch, "id_reused".to_owned());
                    self.letters.insert(letter);
                }
                None => {
                    self.accepted.insert(identity, record.payload.clone());
                    self.apply(event);
                }
            }
        }
    }

    fn apply(&mut self, event: PlainEvent) {
        let Some(lead) = event.lead else { return };
        let lead = self.leads.entry((event.dealer, lead)).or_default();
        let order = Some((event.time_ms, event.id));
        match event.event_type.as_str() {
            "lead.created" => lead.created = lead.created.take().max(order),
            "lead.deleted" => lead.deleted = lead.deleted.take().max(order),
            _ => lead.is_updated = true,
        }
    }

    fn live_leads(&self) -> BTreeSet<(String, String)> {
        self.leads.iter().filter(|(_, lead)| lead.is_live()).map(|(key, _)| key.clone()).collect()
    }
}

/// What was said of a lead, each in content order: time, then id.
#[derive(Default)]
struct PlainLead {
    created: Option<(i64, String)>,
    deleted: Option<(i64, String)>,
    is_updated: bool,
}

impl PlainLead {
    /// Whatever names it brings it into being; once deleted, only a later creation brings it back.
    fn is_live(&self) -> bool {
        if self.deleted.is_some() { self.created > self.deleted } else { self.is_updated || self.created.is_some() }
    }
}

struct PlainEvent {
    dealer: String,
    id: String,
    event_type: String,
    time_ms: i64,
    lead: Option<String>,
}

impl PlainEvent {
    fn order(&self) -> (i64, &str, &str) {
        (self.time_ms, &self.id, &self.dealer)
    }
}

/// An event, if it is one of those that the producer makes and not broken.
fn parse(payload: &[u8]) -> Option<PlainEvent> {
    let event: Value = serde_json::from_slice(payload).ok()?;
    let text = |name: &str| Some(event.get(name)?.as_str()?.to_owned());
    if text("specversion")? != "1.0" {
        return None;
    }
    let event_type = text("type")?;
    let data = event.get("data")?.as_object()?;
    let lead = data.get("leadId").and_then(Value::as_str).map(ToOwned::to_owned);
    Some(PlainEvent {
        dealer: text("dealerid")?,
        id: text("id")?,
        time_ms: parse_rfc3339_ms(text("time")?.as_bytes())?,
        lead: lead.filter(|_| event_type.starts_with("lead.")),
        event_type,
    })
}
