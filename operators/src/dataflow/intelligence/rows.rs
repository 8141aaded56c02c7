//! Rows of the models' tables: one version a key an epoch, written when the epoch ends.
//!
//! ```text
//!   dirty leads   ─▶ segment_members, anomalies, lead_assignments      what stands and what stood: upsert, delete or nothing
//!   dirty dealers ─▶ segments (clusters that changed), team_status
//! ```

use super::Intelligence;
use super::clusters::CLUSTERS;
use super::dealership::Dealership;
use super::lead_state::LeadState;
use super::segments::features_json;
use crate::dataflow::rep_names::RepNames;
use crate::domain::entity::{EntityKind, lead};
use crate::domain::entity_store::EntityStore;
use crate::domain::json_writer::JsonWriter;
use crate::domain::rows::{Cell, RowBatch, RowChange};
use crate::domain::tables::TableId;
use crate::models::oscillators::rhythm::Band;

/// Rows that come and go: table, and by how many.
pub type RowCount = (TableId, i64);

/// The tables of a lead, in the order of [`LeadState::shown`].
const LEAD_TABLES: [TableId; 3] = [TableId::SegmentMembers, TableId::Anomalies, TableId::LeadAssignments];

/// What a row is written with.
struct Writer<'a> {
    store: &'a EntityStore,
    rep_names: &'a RepNames,
    epoch: i64,
    rows: &'a mut [RowBatch],
}

impl LeadState {
    /// Which rows of it should stand.
    pub fn shows(&self) -> [bool; 3] {
        let is_outlier = self.segmented.as_ref().is_some_and(|segmented| segmented.anomaly.is_some());
        [self.segmented.is_some(), is_outlier, self.assigned.is_some()]
    }
}

/// The rows that stand of a lead.
pub(super) fn lead_counts(state: &LeadState) -> impl Iterator<Item = RowCount> + use<'_> {
    LEAD_TABLES.into_iter().zip(state.shown).filter(|(_, shown)| *shown).map(|(table, _)| (table, 1))
}

/// The rows that stand of a dealer.
pub(super) fn dealer_counts(dealership: &Dealership) -> impl Iterator<Item = RowCount> + use<> {
    let segments = i64::from(dealership.shown_segments.count_ones());
    [(TableId::Segments, segments), (TableId::TeamStatus, i64::from(dealership.has_team_row))].into_iter()
}

impl Writer<'_> {
    fn start(&mut self, table: TableId, change: RowChange, dealer: u32) -> &mut RowBatch {
        let rows = &mut self.rows[table as usize];
        rows.start(self.epoch, change);
        rows.cell(Cell::Text(self.store.dealer_name(dealer)));
        rows
    }

    fn lead(&mut self, place: u32, state: &LeadState, table: TableId, change: RowChange) {
        let entity = self.store.entity(EntityKind::Lead, place);
        let rep_names = self.rep_names;
        let rows = self.start(table, change, entity.dealer());
        entity.with_key(|key| rows.cell(Cell::Text(key)));
        if change == RowChange::Upsert {
            let customer = |rows: &mut RowBatch| {
                if entity.with_text(lead::CUSTOMER_ID, |id| rows.cell(Cell::Text(id))).is_none() {
                    rows.cell(Cell::Null);
                }
            };
            match (table, &state.segmented, &state.assigned) {
                (TableId::SegmentMembers, Some(segmented), _) => {
                    rows.cell(Cell::Integer(i64::from(segmented.cluster)));
                    customer(rows);
                    rows.cell(Cell::Double(segmented.confidence));
                    rows.cell(Cell::Integer(i64::from(segmented.anomaly.is_some())));
                }
                (TableId::Anomalies, Some(segmented), _) => {
                    customer(rows);
                    rows.cell(Cell::Integer(i64::from(segmented.cluster)));
                    rows.cell(Cell::Double(segmented.score));
                    if let Some(anomaly) = &segmented.anomaly {
                        rows.cell(Cell::Text(anomaly.reason.as_bytes()));
                        rows.cell(Cell::Text(&features_json(&anomaly.features)));
                        rows.cell(Cell::Integer(anomaly.detected_ms));
                    }
                }
                (TableId::LeadAssignments, _, Some(assigned)) => {
                    rep_names.with_number(assigned.rep, |rep| rows.cell(Cell::Text(rep)));
                    rows.cell(Cell::Double(assigned.score));
                    rows.cell(Cell::Integer(assigned.assigned_ms));
                    rows.cell(Cell::Integer(assigned.epoch));
                }
                _ => {}
            }
        }
        rows.finish();
    }

    fn segment(&mut self, dealership: &Dealership, cluster: usize) {
        let Some(clusters) = &dealership.clusters else { return };
        let segment = clusters.segment(cluster as u32);
        let mut centroid = Vec::new();
        JsonWriter::new(&mut centroid)
            .list(|json| clusters.centroid(cluster as u32).iter().for_each(|value| json.double(*value)));
        let rows = self.start(TableId::Segments, RowChange::Upsert, dealership.dealer);
        rows.cell(Cell::Integer(cluster as i64));
        rows.cell(Cell::Text(segment.name().as_bytes()));
        rows.cell(Cell::Double(segment.priority()));
        rows.cell(Cell::Integer(i64::from(dealership.members[cluster])));
        rows.cell(Cell::Integer(i64::from(dealership.outliers[cluster])));
        rows.cell(Cell::Text(&centroid));
        rows.cell(Cell::Integer(dealership.segment_updated_ms[cluster]));
    }

    fn team(&mut self, dealership: &Dealership) {
        let Some(team) = &dealership.shown_team else { return };
        let number = |value: Option<f64>| value.map_or(Cell::Null, Cell::Double);
        let rows = self.start(TableId::TeamStatus, RowChange::Upsert, dealership.dealer);
        rows.cell(number(team.coherence));
        rows.cell(team.coherence.map_or(Cell::Null, |coherence| Cell::Text(Band::of(coherence).name().as_bytes())));
        rows.cell(number(team.mean_phase));
        rows.cell(Cell::Integer(i64::from(team.reps)));
        rows.cell(number(team.coverage));
        rows.cell(Cell::Integer(team.updated_ms));
    }
}

impl Intelligence {
    /// Ends a lead's rows, since it leaves memory at the end of the epoch: `is_alive`, or it was deleted in the same epoch.
    pub fn end_rows(
        &mut self,
        place: u32,
        is_alive: bool,
        epoch: i64,
        (store, rep_names): (&EntityStore, &RepNames),
        rows: &mut [RowBatch],
    ) -> [Option<RowCount>; 3] {
        let mut counts = [None; 3];
        let Some(state) = self.leads.get_mut(place as usize) else { return counts };
        let shown = std::mem::take(&mut state.shown);
        state.is_dirty = false;
        let change = if is_alive { RowChange::Expire } else { RowChange::Delete };
        let mut writer = Writer { store, rep_names, epoch, rows };
        for (which, table) in LEAD_TABLES.into_iter().enumerate().filter(|(which, _)| shown[*which]) {
            writer.lead(place, &self.leads[place as usize], table, change);
            counts[which] = Some((table, -1));
        }
        counts
    }

    /// Writes the rows that the epoch has changed. `count` hears of rows that come and go.
    pub fn write_rows(
        &mut self,
        epoch: i64,
        (store, rep_names): (&EntityStore, &RepNames),
        rows: &mut [RowBatch],
        mut count: impl FnMut(RowCount),
    ) {
        let mut writer = Writer { store, rep_names, epoch, rows };
        let mut dirty = std::mem::take(&mut self.dirty_leads);
        for place in dirty.drain(..) {
            let state = &mut self.leads[place as usize];
            // One that left memory in the epoch has had its rows ended.
            if !std::mem::take(&mut state.is_dirty) {
                continue;
            }
            let (shown, shows) = (state.shown, state.shows());
            state.shown = shows;
            for (which, table) in LEAD_TABLES.into_iter().enumerate() {
                let change = if shows[which] { RowChange::Upsert } else { RowChange::Delete };
                if shows[which] || shown[which] {
                    writer.lead(place, &self.leads[place as usize], table, change);
                    count((table, i64::from(shows[which]) - i64::from(shown[which])));
                }
            }
        }
        self.dirty_leads = dirty;
        let mut dirty = std::mem::take(&mut self.dirty_dealers);
        for dealer in dirty.drain(..) {
            let Some(dealership) = self.dealerships[dealer as usize].as_mut() else { continue };
            dealership.is_dirty = false;
            let segments = std::mem::take(&mut dealership.dirty_segments);
            for cluster in (0..CLUSTERS).filter(|cluster| segments & (1 << cluster) != 0) {
                writer.segment(dealership, cluster);
                let is_new = dealership.shown_segments & (1 << cluster) == 0;
                count((TableId::Segments, i64::from(is_new)));
            }
            dealership.shown_segments |= segments;
            if std::mem::take(&mut dealership.is_team_dirty) {
                writer.team(dealership);
                count((TableId::TeamStatus, i64::from(!std::mem::replace(&mut dealership.has_team_row, true))));
            }
        }
        self.dirty_dealers = dirty;
    }

    /// Writes all rows that stand, after a restart: those of a dealer, then those of a lead.
    pub fn tell_dealer(
        &self,
        dealer: u32,
        epoch: i64,
        (store, rep_names): (&EntityStore, &RepNames),
        rows: &mut [RowBatch],
    ) {
        let Some(Some(dealership)) = self.dealerships.get(dealer as usize) else { return };
        let mut writer = Writer { store, rep_names, epoch, rows };
        for cluster in (0..CLUSTERS).filter(|cluster| dealership.shown_segments & (1 << cluster) != 0) {
            writer.segment(dealership, cluster);
        }
        writer.team(dealership);
    }

    /// See [`Intelligence::tell_dealer`].
    pub fn tell_lead(
        &self,
        place: u32,
        epoch: i64,
        (store, rep_names): (&EntityStore, &RepNames),
        rows: &mut [RowBatch],
    ) {
        let Some(state) = self.leads.get(place as usize) else { return };
        let mut writer = Writer { store, rep_names, epoch, rows };
        for (_, table) in LEAD_TABLES.into_iter().enumerate().filter(|(which, _)| state.shown[*which]) {
            writer.lead(place, state, table, RowChange::Upsert);
        }
    }
}
