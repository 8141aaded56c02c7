//! Rows of the tables that show one entity each.

use super::intelligence::Intelligence;
use super::rep_names::RepNames;
use crate::domain::entity::{EntityKind, deal, dealer, lead, rep, vehicle};
use crate::domain::entity_store::{EntityStore, EntityView};
use crate::domain::merge::Mark;
use crate::domain::rows::{Cell, RowBatch, RowChange};
use crate::domain::vin::is_valid_vin;

/// Skill of a rep of whom none is known.
pub const SKILL_LEVEL_DEFAULT: f64 = 0.7;
/// Natural frequency of a rep of whom none is known, in radians per hour.
pub const NATURAL_FREQUENCY_DEFAULT: f64 = 1.0;

/// What rows show of the models.
#[derive(Clone, Copy)]
pub struct ModelColumns<'a> {
    /// The models, if any is on.
    pub models: Option<&'a Intelligence>,
    /// Ids of reps.
    pub rep_names: &'a RepNames,
}

/// Writes one entity's cells after another.
struct Writer<'a> {
    entity: EntityView<'a>,
    rows: &'a mut RowBatch,
}

impl Writer<'_> {
    fn text(&mut self, slot: u8) {
        if self.entity.with_text(slot, |text| self.rows.cell(Cell::Text(text))).is_none() {
            self.rows.cell(Cell::Null);
        }
    }

    fn text_or(&mut self, slot: u8, default: &str) {
        if self.entity.with_text(slot, |text| self.rows.cell(Cell::Text(text))).is_none() {
            self.rows.cell(Cell::Text(default.as_bytes()));
        }
    }

    fn integer(&mut self, slot: u8) {
        self.rows.cell(self.entity.bits(slot).map(|bits| bits as i64).into());
    }

    fn double(&mut self, slot: u8) {
        let bits = self.entity.bits(slot);
        self.rows.cell(bits.map_or(Cell::Null, |bits| Cell::Double(f64::from_bits(bits))));
    }

    fn first(&mut self, mark: Mark) -> Option<i64> {
        let time = self.entity.first_at(mark);
        self.rows.cell(time.into());
        time
    }

    fn nulls(&mut self, count: usize) {
        for _ in 0..count {
            self.rows.cell(Cell::Null);
        }
    }

    fn updated_at(&mut self) {
        self.rows.cell(Cell::Integer(self.entity.touched_at()));
    }
}

/// Adds the present version of an entity's row, or for a change that ends it its key alone.
pub fn write_row(
    store: &EntityStore,
    columns: ModelColumns<'_>,
    (kind, place): (EntityKind, u32),
    epoch: i64,
    change: RowChange,
    rows: &mut RowBatch,
) {
    let entity = store.entity(kind, place);
    rows.start(epoch, change);
    rows.cell(Cell::Text(store.dealer_name(entity.dealer())));
    if kind != EntityKind::Dealer {
        entity.with_key(|key| rows.cell(Cell::Text(key)));
    }
    if change == RowChange::Upsert {
        let mut writer = Writer { entity, rows };
        match kind {
            EntityKind::Dealer => dealer_cells(&mut writer),
            EntityKind::Lead => lead_cells(&mut writer, columns, place),
            EntityKind::Deal => deal_cells(&mut writer),
            EntityKind::Vehicle => vehicle_cells(&mut writer),
            // Reps and customers are views over more than one entity.
            EntityKind::Rep | EntityKind::Customer => {}
        }
    }
    rows.finish();
}

fn dealer_cells(writer: &mut Writer<'_>) {
    writer.text(dealer::NAME);
    writer.text_or(dealer::TIME_ZONE, "UTC");
    writer.text(dealer::STATE);
    writer.text_or(dealer::CURRENCY, "USD");
    writer.updated_at();
}

fn lead_cells(writer: &mut Writer<'_>, columns: ModelColumns<'_>, place: u32) {
    writer.text(lead::CUSTOMER_ID);
    writer.text(lead::CHANNEL);
    for slot in [
        lead::CREDIT_SCORE,
        lead::ANNUAL_INCOME_CENTS,
        lead::VEHICLE_PRICE_CENTS,
        lead::DOWN_PAYMENT_CENTS,
        lead::TRADE_VALUE_CENTS,
        lead::VISIT_COUNT,
    ] {
        writer.integer(slot);
    }
    writer.double(lead::TIME_ON_LOT_MINUTES);
    writer.double(lead::ENGAGEMENT);
    let created_at = writer.first(Mark::Created);
    let responded_at = writer.first(Mark::Reached);
    let response_ms = created_at.zip(responded_at).map(|(created, responded)| (responded - created).max(0));
    writer.rows.cell(response_ms.map_or(Cell::Null, |milliseconds| Cell::Double(milliseconds as f64 / 1_000.0)));
    let state = columns.models.and_then(|models| models.lead(place));
    match state.and_then(|state| state.assigned) {
        Some(assigned) => columns.rep_names.with_number(assigned.rep, |rep| writer.rows.cell(Cell::Text(rep))),
        None => writer.rows.cell(Cell::Null),
    }
    if let Some(segmented) = state.and_then(|state| state.segmented.as_ref()) {
        writer.rows.cell(Cell::Text(segmented.segment.name().as_bytes()));
        writer.rows.cell(Cell::Integer(i64::from(segmented.anomaly.is_some())));
        writer.rows.cell(Cell::Double(segmented.priority));
    } else {
        writer.nulls(3);
    }
    writer.updated_at();
}

fn deal_cells(writer: &mut Writer<'_>) {
    for slot in [deal::LEAD_ID, deal::CUSTOMER_ID, deal::REP_ID, deal::VEHICLE_ID] {
        writer.text(slot);
    }
    for slot in [deal::STAGE, deal::PRICE_CENTS, deal::FRONT_GROSS_CENTS, deal::BACK_GROSS_CENTS] {
        writer.integer(slot);
    }
    writer.first(Mark::Created);
    let delivered = writer.entity.bits(deal::STAGE) == Some(crate::domain::entity::STAGE_DELIVERED);
    let closed_at = writer.entity.slot_time(deal::STAGE).filter(|_| delivered);
    writer.rows.cell(closed_at.into());
    writer.updated_at();
}

fn vehicle_cells(writer: &mut Writer<'_>) {
    writer.text(vehicle::VIN);
    let valid = writer.entity.with_text(vehicle::VIN, is_valid_vin);
    writer.rows.cell(valid.map(i64::from).into());
    writer.integer(vehicle::YEAR);
    for slot in [vehicle::MAKE, vehicle::MODEL, vehicle::TRIM] {
        writer.text(slot);
    }
    for slot in
        [vehicle::CONDITION, vehicle::PHASE, vehicle::PRICE_CENTS, vehicle::COST_CENTS, vehicle::MARKET_PRICE_CENTS]
    {
        writer.integer(slot);
    }
    for mark in [Mark::Created, Mark::Reached, Mark::Sold] {
        writer.first(mark);
    }
    writer.updated_at();
}

/// What a rep's own events say, without the counts that a join adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct RepAttributes {
    /// Number of the name.
    pub name: Option<u32>,
    /// Code of the status.
    pub status: Option<u64>,
    /// Bits of the skill.
    pub skill_level: u64,
    /// Bits of the natural frequency.
    pub natural_frequency: u64,
    /// Bits of the phase at the rep's own last event, where there is a model.
    pub phase: Option<u64>,
    /// The greatest event applied.
    pub updated_at: i64,
}

impl RepAttributes {
    /// The attributes of a rep that is alive.
    pub fn of(entity: EntityView<'_>, names: &RepNames) -> Option<Self> {
        entity.is_alive().then(|| RepAttributes {
            name: entity.with_text(rep::NAME, |name| names.name(name)),
            status: entity.bits(rep::STATUS),
            skill_level: entity.bits(rep::SKILL_LEVEL).unwrap_or(SKILL_LEVEL_DEFAULT.to_bits()),
            natural_frequency: entity.bits(rep::NATURAL_FREQUENCY).unwrap_or(NATURAL_FREQUENCY_DEFAULT.to_bits()),
            phase: None,
            updated_at: entity.touched_at(),
        })
    }
}
