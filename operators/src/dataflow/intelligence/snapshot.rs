//! The models' state written down and read back.
//!
//! ```text
//!   gone      dealer, lead                     before all else of a shard
//!   dealer    times, the team as it was told, network, phases that rows show
//!   reset     when: of a dealer whose models were told to begin anew, behind its own
//!   clusters  WHACO's own bytes
//!   lead      marks, segment, rep
//!   follows   numbers and places; what entities say (wishes, terms, load by deals, deals of leads); queues, timers, counts of members
//! ```
//! Dealers stand by name, leads by hash and id: the bytes follow from the events, however they came.

use std::collections::BTreeMap;

use super::Intelligence;
use super::clusters::CLUSTERS;
use super::dealership::{Dealership, TeamShown};
use super::lead_state::{Anomaly, Assigned, Segmented};
use crate::dataflow::rep_names::RepNames;
use crate::dataflow::snapshot::PartsWriter;
use crate::domain::binary::{BinaryReader, BinaryWriter, Malformed, PartNames};
use crate::domain::entity::EntityKind;
use crate::domain::entity_store::EntityStore;
use crate::domain::messages::{CauseId, MessageId, TimerKind};
use crate::models::oscillators::network::{Network, Settings};
use crate::models::whaco::features::FEATURES;
use crate::models::whaco::segment::Segment;

const GONE: u8 = 0;
const DEALER: u8 = 1;
const CLUSTER_BYTES: u8 = 2;
const LEAD: u8 = 3;
/// A record of its own, so that the bytes of dealers without one are what they were before there were resets.
const RESET: u8 = 4;

/// Leads that are remembered as gone, at most; beyond, everything is written whole.
const GONE_MAX: usize = 1 << 20;

const IDLE: u8 = 1;
const WAITING: u8 = 2;
const ACTIVE: u8 = 4;

/// Whether a lead's marks say that it is idle.
pub(super) fn is_idle(marks: u8) -> bool {
    marks & IDLE != 0
}

/// Whether they say that it waits.
pub(super) fn is_waiting(marks: u8) -> bool {
    marks & WAITING != 0
}

/// Whether they say that it is active with its rep.
pub(super) fn is_active(marks: u8) -> bool {
    marks & ACTIVE != 0
}

/// What is to be written, each list from its end.
#[derive(Debug, Default)]
pub struct ModelWork {
    gone: Vec<(u16, u64, u32, Box<[u8]>)>,
    dealers: Vec<(u16, u32, bool)>,
    leads: Vec<(u16, u64, u32)>,
    names: PartNames,
}

impl Intelligence {
    /// Remembers what changes from now on.
    pub fn keep_changes(&mut self) {
        self.keeps_changes = true;
    }

    /// Whether so many leads are gone that nobody remembers which.
    pub fn is_overrun(&self) -> bool {
        self.gone.len() > GONE_MAX
    }

    /// Lists what is to be written: all of the shards that `is_whole` names, and what changed of the others.
    pub fn plan(&mut self, store: &EntityStore, is_whole: impl Fn(usize) -> bool) -> ModelWork {
        let mut work = ModelWork::default();
        let changed_dealers = std::mem::take(&mut self.unwritten_dealers);
        let changed_leads = std::mem::take(&mut self.unwritten_leads);
        let mut add_dealer = |dealer: u32, whole: bool, has_learned: bool| {
            let shard = store.shard(dealer);
            if is_whole(shard) == whole {
                work.dealers.push((shard as u16, dealer, whole || has_learned));
            }
        };
        for dealership in self.dealerships.iter().flatten() {
            add_dealer(dealership.dealer, true, true);
        }
        for dealer in changed_dealers {
            let Some(dealership) = self.dealerships[dealer as usize].as_mut() else { continue };
            dealership.is_unwritten = false;
            add_dealer(dealer, false, std::mem::take(&mut dealership.has_learned));
        }
        let mut add_lead = |place: u32, dealer: u32, hash: u64, whole: bool| {
            let shard = store.shard(dealer);
            if is_whole(shard) == whole {
                work.leads.push((shard as u16, hash, place));
            }
        };
        for (place, lead) in self.leads.iter().enumerate().filter(|(_, lead)| lead.is_known) {
            add_lead(place as u32, lead.dealer, lead.hash, true);
        }
        for place in changed_leads {
            let lead = &mut self.leads[place as usize];
            lead.is_unwritten = false;
            if lead.is_known {
                add_lead(place, lead.dealer, lead.hash, false);
            }
        }
        for (dealer, hash, id) in self.gone.drain(..) {
            let shard = store.shard(dealer);
            if !is_whole(shard) {
                work.gone.push((shard as u16, hash, dealer, id));
            }
        }
        work.sort(store);
        work
    }

    /// Writes a shard.
    pub(in crate::dataflow) fn write(
        &self,
        shard: usize,
        work: &mut ModelWork,
        store: &EntityStore,
        rep_names: &RepNames,
        writer: &mut PartsWriter,
    ) {
        let ModelWork { gone, dealers, leads, names } = work;
        while let Some((.., dealer, id)) = gone.pop_if(|(own, ..)| usize::from(*own) == shard) {
            record(writer, names, |writer, names| {
                writer.byte(GONE);
                names.write(dealer, store.dealer_name(dealer), writer);
                writer.text(&id);
            });
        }
        while let Some((_, dealer, has_learned)) = dealers.pop_if(|(own, ..)| usize::from(*own) == shard) {
            let Some(Some(dealership)) = self.dealerships.get(dealer as usize) else { continue };
            record(writer, names, |writer, names| {
                writer.byte(DEALER);
                names.write(dealer, store.dealer_name(dealer), writer);
                write_dealer(dealership, writer);
            });
            if let Some(reset_ms) = dealership.reset_ms {
                record(writer, names, |writer, names| {
                    writer.byte(RESET);
                    names.write(dealer, store.dealer_name(dealer), writer);
                    writer.zigzag(reset_ms);
                });
            }
            if let Some(clusters) = dealership.clusters.as_ref().filter(|_| has_learned) {
                record(writer, names, |writer, names| {
                    writer.byte(CLUSTER_BYTES);
                    names.write(dealer, store.dealer_name(dealer), writer);
                    writer.text(&clusters.snapshot());
                });
            }
        }
        while let Some((.., place)) = leads.pop_if(|(own, ..)| usize::from(*own) == shard) {
            let lead = &self.leads[place as usize];
            record(writer, names, |writer, names| {
                writer.byte(LEAD);
                names.write(lead.dealer, store.dealer_name(lead.dealer), writer);
                store.entity(EntityKind::Lead, place).with_key(|id| writer.text(id));
                writer.byte(
                    (u8::from(lead.is_idle) * IDLE)
                        | (u8::from(lead.is_waiting) * WAITING)
                        | (u8::from(lead.is_active) * ACTIVE),
                );
                writer.varint(u64::from(lead.reassignments));
                writer.zigzag(lead.waiting_since_ms);
                write_option(writer, lead.response_due_ms, BinaryWriter::zigzag);
                write_option(writer, lead.segmented.as_ref(), write_segmented);
                write_option(writer, lead.assigned, |writer, assigned| {
                    rep_names.with_number(assigned.rep, |rep| writer.text(rep));
                    writer.fixed(assigned.score.to_bits());
                    writer.zigzag(assigned.assigned_ms);
                    writer.zigzag(assigned.epoch);
                    write_message(writer, assigned.message);
                });
            });
        }
    }
}

impl ModelWork {
    fn sort(&mut self, store: &EntityStore) {
        let name = |dealer: u32| store.dealer_name(dealer);
        let id = |place: u32| {
            let entity = store.entity(EntityKind::Lead, place);
            (name(entity.dealer()).to_vec(), entity.with_key(<[u8]>::to_vec))
        };
        self.gone.sort_by(|left, right| {
            let key = |(shard, hash, ..): &(u16, u64, u32, Box<[u8]>)| (*shard, *hash);
            let names = |(_, _, dealer, id): &(u16, u64, u32, Box<[u8]>)| (name(*dealer).to_vec(), id.clone());
            key(right).cmp(&key(left)).then_with(|| names(right).cmp(&names(left)))
        });
        self.gone.dedup();
        self.dealers.sort_by(|left, right| (right.0, name(right.1)).cmp(&(left.0, name(left.1))));
        self.leads.sort_by(|left, right| {
            (right.0, right.1).cmp(&(left.0, left.1)).then_with(|| id(right.2).cmp(&id(left.2)))
        });
    }
}

fn record(writer: &mut PartsWriter, names: &mut PartNames, write: impl FnOnce(&mut BinaryWriter, &mut PartNames)) {
    if writer.is_at_start() {
        names.clear();
    }
    writer.record(|writer| write(writer, names));
}

fn write_option<T>(writer: &mut BinaryWriter, value: Option<T>, write: impl FnOnce(&mut BinaryWriter, T)) {
    writer.byte(u8::from(value.is_some()));
    if let Some(value) = value {
        write(writer, value);
    }
}

fn read_option<T>(
    reader: &mut BinaryReader<'_>,
    read: impl FnOnce(&mut BinaryReader<'_>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match reader.byte()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(reader.malformed("a mark is neither 0 nor 1")),
    }
}

fn read_time(reader: &mut BinaryReader<'_>) -> Result<i64, Malformed> {
    reader.zigzag()
}

fn read_double(reader: &mut BinaryReader<'_>) -> Result<f64, Malformed> {
    reader.fixed().map(f64::from_bits)
}

fn write_message(writer: &mut BinaryWriter, message: MessageId) {
    match message.cause {
        CauseId::Event(identity) => {
            writer.byte(u8::MAX);
            writer.fixed((identity >> 64) as u64);
            writer.fixed(identity as u64);
        }
        CauseId::Timer(kind, due_ms, entity) => {
            writer.byte(kind as u8);
            writer.zigzag(due_ms);
            writer.fixed(entity);
        }
    }
    writer.varint(u64::from(message.ordinal));
}

fn read_message(reader: &mut BinaryReader<'_>) -> Result<MessageId, Malformed> {
    let cause = match reader.byte()? {
        u8::MAX => CauseId::Event(u128::from(reader.fixed()?) << 64 | u128::from(reader.fixed()?)),
        kind => {
            let kind = TimerKind::ALL.get(usize::from(kind)).copied();
            CauseId::Timer(
                kind.ok_or_else(|| reader.malformed("a timer is not known"))?,
                reader.zigzag()?,
                reader.fixed()?,
            )
        }
    };
    let ordinal = u32::try_from(reader.varint()?).map_err(|_| reader.malformed("an ordinal is too great"))?;
    Ok(MessageId { cause, ordinal })
}

fn write_segmented(writer: &mut BinaryWriter, segmented: &Segmented) {
    writer.byte(segmented.cluster);
    writer.byte(segmented.segment as u8);
    for number in [segmented.confidence, segmented.score, segmented.priority, segmented.routing_priority] {
        writer.fixed(number.to_bits());
    }
    writer.zigzag(segmented.scored_ms);
    write_message(writer, segmented.message);
    write_option(writer, segmented.anomaly.as_deref(), |writer, anomaly| {
        writer.text(anomaly.reason.as_bytes());
        anomaly.features.iter().for_each(|feature| writer.fixed(feature.to_bits()));
        writer.zigzag(anomaly.detected_ms);
        write_message(writer, anomaly.message);
    });
}

fn read_segmented(reader: &mut BinaryReader<'_>) -> Result<Segmented, Malformed> {
    let (cluster, segment) = (reader.byte()?, reader.byte()?);
    let segment = Segment::ALL.get(usize::from(segment)).copied();
    if usize::from(cluster) >= CLUSTERS {
        return Err(reader.malformed("a cluster is not known"));
    }
    Ok(Segmented {
        cluster,
        segment: segment.ok_or_else(|| reader.malformed("a segment is not known"))?,
        confidence: read_double(reader)?,
        score: read_double(reader)?,
        priority: read_double(reader)?,
        routing_priority: read_double(reader)?,
        scored_ms: reader.zigzag()?,
        message: read_message(reader)?,
        anomaly: read_option(reader, |reader| {
            let reason = String::from_utf8_lossy(reader.text()?).into_owned();
            let mut features = [0.0; FEATURES];
            for feature in &mut features {
                *feature = read_double(reader)?;
            }
            Ok(Box::new(Anomaly { reason, features, detected_ms: reader.zigzag()?, message: read_message(reader)? }))
        })?,
    })
}

fn write_dealer(dealership: &Dealership, writer: &mut BinaryWriter) {
    for time_ms in [dealership.event_ms, dealership.fired_until_ms] {
        writer.zigzag(time_ms);
    }
    for due_ms in [dealership.tick_due_ms, dealership.midnight_due_ms, dealership.placement_due_ms] {
        write_option(writer, due_ms, BinaryWriter::zigzag);
    }
    dealership.segment_updated_ms.iter().for_each(|time_ms| writer.zigzag(*time_ms));
    writer.byte(dealership.shown_segments);
    writer.fixed(dealership.team_fingerprint);
    write_option(writer, dealership.shown_team.filter(|_| dealership.has_team_row), |writer, team| {
        for number in [team.coherence, team.mean_phase, team.coverage] {
            write_option(writer, number, |writer, number| writer.fixed(number.to_bits()));
        }
        writer.varint(u64::from(team.reps));
        writer.zigzag(team.updated_ms);
    });
    let mut network = Vec::new();
    dealership.network.snapshot(&mut network);
    writer.text(&network);
    writer.varint(dealership.roster.len() as u64);
    dealership.roster.iter().for_each(|seat| writer.fixed(seat.shown_phase.to_bits()));
}

/// A dealer as it was read.
#[derive(Debug)]
pub(super) struct DealerRecord {
    pub(super) event_ms: i64,
    pub(super) fired_until_ms: i64,
    pub(super) reset_ms: Option<i64>,
    pub(super) due_ms: [Option<i64>; 3],
    pub(super) segment_updated_ms: [i64; CLUSTERS],
    pub(super) shown_segments: u8,
    pub(super) team_fingerprint: u64,
    pub(super) shown_team: Option<TeamShown>,
    pub(super) network: Network,
    pub(super) phases: Vec<f64>,
}

fn read_dealer(reader: &mut BinaryReader<'_>, settings: Settings) -> Result<DealerRecord, Malformed> {
    let (event_ms, fired_until_ms) = (reader.zigzag()?, reader.zigzag()?);
    let mut due_ms = [None; 3];
    for due_ms in &mut due_ms {
        *due_ms = read_option(reader, read_time)?;
    }
    let mut segment_updated_ms = [0; CLUSTERS];
    for time_ms in &mut segment_updated_ms {
        *time_ms = reader.zigzag()?;
    }
    let (shown_segments, team_fingerprint) = (reader.byte()?, reader.fixed()?);
    let shown_team = read_option(reader, |reader| {
        let (coherence, mean_phase) = (read_option(reader, read_double)?, read_option(reader, read_double)?);
        let coverage = read_option(reader, read_double)?;
        let reps = u32::try_from(reader.varint()?).map_err(|_| reader.malformed("a team is too large"))?;
        Ok(TeamShown { coherence, mean_phase, reps, coverage, updated_ms: reader.zigzag()? })
    })?;
    let network = Network::restore(settings, reader.text()?);
    let network = network.map_err(|_| reader.malformed("the bytes of a network are none"))?;
    let seats = reader.varint()?;
    if seats != network.members().len() as u64 {
        return Err(reader.malformed("a team has another number of seats than of members"));
    }
    let mut phases = Vec::with_capacity(network.members().len());
    for _ in 0..seats {
        phases.push(read_double(reader)?);
    }
    Ok(DealerRecord {
        event_ms,
        fired_until_ms,
        reset_ms: None,
        due_ms,
        segment_updated_ms,
        shown_segments,
        team_fingerprint,
        shown_team,
        network,
        phases,
    })
}

/// A lead as it was read; its rep by id.
#[derive(Debug)]
pub(super) struct LeadRecord {
    pub(super) marks: u8,
    pub(super) reassignments: u32,
    pub(super) waiting_since_ms: i64,
    pub(super) response_due_ms: Option<i64>,
    pub(super) segmented: Option<Segmented>,
    pub(super) assigned: Option<(Vec<u8>, Assigned)>,
}

fn read_lead(reader: &mut BinaryReader<'_>) -> Result<LeadRecord, Malformed> {
    let marks = reader.byte()?;
    let reassignments = u32::try_from(reader.varint()?).map_err(|_| reader.malformed("a count is too great"))?;
    Ok(LeadRecord {
        marks,
        reassignments,
        waiting_since_ms: reader.zigzag()?,
        response_due_ms: read_option(reader, read_time)?,
        segmented: read_option(reader, read_segmented)?,
        assigned: read_option(reader, |reader| {
            let rep = reader.text()?.to_vec();
            let (score, assigned_ms, epoch) = (read_double(reader)?, reader.zigzag()?, reader.zigzag()?);
            Ok((rep, Assigned { rep: 0, score, assigned_ms, epoch, message: read_message(reader)? }))
        })?,
    })
}

/// What was read: dealers, clusters by dealer, leads by dealer and id.
pub(super) type Records = (BTreeMap<u32, DealerRecord>, BTreeMap<u32, Vec<u8>>, BTreeMap<(u32, Vec<u8>), LeadRecord>);

/// What was read and waits for the entities that it belongs to, by the dealer's number.
#[derive(Debug, Default)]
pub struct PendingModels {
    dealers: BTreeMap<u32, DealerRecord>,
    clusters: BTreeMap<u32, Vec<u8>>,
    leads: BTreeMap<(u32, Vec<u8>), LeadRecord>,
    names: PartNames,
}

impl PendingModels {
    /// Forgets the names of the part before.
    pub fn begin_part(&mut self) {
        self.names.clear();
    }

    /// The records by dealer, and those of leads by dealer and id.
    pub(super) fn into_records(self) -> Records {
        (self.dealers, self.clusters, self.leads)
    }

    /// Forgets what was read of a shard before its newer base.
    pub fn clear(&mut self, is_meant: impl Fn(u32) -> bool) {
        self.dealers.retain(|dealer, _| !is_meant(*dealer));
        self.clusters.retain(|dealer, _| !is_meant(*dealer));
        self.leads.retain(|(dealer, _), _| !is_meant(*dealer));
    }

    /// Reads a record. `number` gives a dealer's.
    ///
    /// # Errors
    /// If the bytes are no record.
    pub fn read(
        &mut self,
        reader: &mut BinaryReader<'_>,
        settings: Settings,
        number: impl FnOnce(&[u8]) -> u32,
    ) -> Result<(), Malformed> {
        let kind = reader.byte()?;
        let dealer = self.names.read(reader, number)?;
        match kind {
            GONE => {
                self.leads.remove(&(dealer, reader.text()?.to_vec()));
            }
            DEALER => {
                self.dealers.insert(dealer, read_dealer(reader, settings)?);
            }
            RESET => {
                let reset_ms = reader.zigzag()?;
                let record = self.dealers.get_mut(&dealer);
                record.ok_or_else(|| reader.malformed("a reset is of a dealer who is not known"))?.reset_ms =
                    Some(reset_ms);
            }
            CLUSTER_BYTES => {
                self.clusters.insert(dealer, reader.text()?.to_vec());
            }
            LEAD => {
                let id = reader.text()?.to_vec();
                self.leads.insert((dealer, id), read_lead(reader)?);
            }
            _ => return Err(reader.malformed("a record is of no known kind")),
        }
        Ok(())
    }
}
