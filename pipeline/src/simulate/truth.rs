//! What is true of the simulated world and stands in no event: files to judge models by.
//!
//! Every file is CSV with a header, UTC times as RFC 3339, empty where there is nothing, without quotes (no cell needs them). A row
//! is written exactly if the event that brought its subject into the world (for `vehicles.csv`, ended it) is in the topics' files.
//!
//! `truth/leads.csv`, one row a lead, by creation:
//! - `dealer_id`, `lead_id`, `customer_id`, `segment` (Prime Buyers, Motivated Shoppers, Cash Strong Buyers, Credit Challenged,
//!   Tire Kickers; outlier), `created_at`
//! - `rep_id`: who works it; `response_seconds`: creation to first answer, empty if never answered
//! - `close_probability` = `segment_factor` × `speed_factor` × `skill_factor`, at most 0.9: why it closes or not, before the dice
//! - `outcome` (closed, unwound, lost, none): what the dice said; none = no deal ever; `deal_at`, `outcome_at`: when the deal opens
//!   and ends (an unwound one first closes at `outcome_at`). They may lie after the end of the recording.
//!
//! `truth/reps.csv`, one row a rep, by hiring: `dealer_id`, `rep_id`, `added_at`, `skill` (0–1: true, while `rep.added` carries
//! what the manager believes), `response_minutes_median`, `shift_start`, `shift_end` (local hours).
//!
//! `truth/customers.csv`, one row a customer, by first lead: `dealer_id`, `customer_id`, `segment`, `first_seen_at`.
//!
//! `truth/vehicles.csv`, one row a vehicle that left: `dealer_id`, `vehicle_id`, `fate` (sold, removed), `fate_at`, `acquired_at`,
//! `true_value_cents` (what the market would pay), `clogged` (1 if it went through recon while its dealer had a clogged stage).
//! A vehicle without a row was on the lot when the recording ended.

use super::calendar::MINUTE_MS;
use super::event::{EntityId, customer_id, lead_id, rep_id};
use super::hour::Hour;
use super::segment::Segment;
use super::text::{push_id, push_integer, push_thousandths, push_time};

/// A file of truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TruthTable {
    Leads,
    Reps,
    Customers,
    Vehicles,
}

impl TruthTable {
    pub(super) const COUNT: usize = 4;
    /// Every table, in the order of their numbers.
    pub(super) const ALL: [TruthTable; Self::COUNT] =
        [TruthTable::Leads, TruthTable::Reps, TruthTable::Customers, TruthTable::Vehicles];

    pub(super) const fn file_name(self) -> &'static str {
        match self {
            TruthTable::Leads => "leads.csv",
            TruthTable::Reps => "reps.csv",
            TruthTable::Customers => "customers.csv",
            TruthTable::Vehicles => "vehicles.csv",
        }
    }

    pub(super) const fn header(self) -> &'static str {
        match self {
            TruthTable::Leads => {
                "dealer_id,lead_id,customer_id,segment,created_at,rep_id,response_seconds,close_probability,segment_factor,\
                 speed_factor,skill_factor,outcome,deal_at,outcome_at\n"
            }
            TruthTable::Reps => "dealer_id,rep_id,added_at,skill,response_minutes_median,shift_start,shift_end\n",
            TruthTable::Customers => "dealer_id,customer_id,segment,first_seen_at\n",
            TruthTable::Vehicles => "dealer_id,vehicle_id,fate,fate_at,acquired_at,true_value_cents,clogged\n",
        }
    }
}

/// Appends the cells of one row.
pub(super) struct Cells<'a>(&'a mut Vec<u8>);

impl<'a> Cells<'a> {
    /// Begins a row with its dealer.
    pub(super) fn of_dealer(bytes: &'a mut Vec<u8>, dealer: &str) -> Self {
        bytes.extend_from_slice(dealer.as_bytes());
        Cells(bytes)
    }

    fn next(&mut self) -> &mut Vec<u8> {
        self.0.push(b',');
        self.0
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.next().extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn id(&mut self, id: EntityId) -> &mut Self {
        push_id(self.next(), id);
        self
    }

    pub(super) fn time(&mut self, time_ms: Option<i64>) -> &mut Self {
        let bytes = self.next();
        if let Some(time_ms) = time_ms {
            push_time(bytes, time_ms);
        }
        self
    }

    pub(super) fn integer(&mut self, value: i64) -> &mut Self {
        push_integer(self.next(), value);
        self
    }

    /// A number with three places.
    pub(super) fn decimal(&mut self, value: f64) -> &mut Self {
        push_thousandths(self.next(), (value * 1_000.0).round() as u32);
        self
    }
}

/// What is true of a lead.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeadTruth {
    pub(super) lead: u32,
    pub(super) customer: u32,
    pub(super) segment: Segment,
    pub(super) created_ms: i64,
    pub(super) rep: u32,
    pub(super) response_ms: Option<i64>,
    pub(super) segment_factor: f64,
    pub(super) speed_factor: f64,
    pub(super) skill_factor: f64,
    pub(super) outcome: &'static str,
    pub(super) deal_ms: Option<i64>,
    pub(super) outcome_ms: Option<i64>,
}

/// The greatest probability of closing that a lead can have.
pub(super) const CLOSE_PROBABILITY_MAX: f64 = 0.9;

impl LeadTruth {
    /// The probability that the lead closes.
    pub(super) fn close_probability(&self) -> f64 {
        (self.segment_factor * self.speed_factor * self.skill_factor).min(CLOSE_PROBABILITY_MAX)
    }

    /// Adds its row; its `lead.created` has to be the last event on the leads topic.
    pub(super) fn write(&self, hour: &mut Hour, dealer: &str) {
        hour.truth_row(TruthTable::Leads, super::event::Topic::Leads, |bytes| {
            let mut cells = Cells::of_dealer(bytes, dealer);
            cells
                .id(lead_id(self.lead))
                .id(customer_id(self.customer))
                .text(self.segment.name())
                .time(Some(self.created_ms));
            cells.id(rep_id(self.rep));
            match self.response_ms {
                Some(response_ms) => cells.decimal((response_ms - self.created_ms) as f64 / 1_000.0),
                None => cells.text(""),
            };
            cells.decimal(self.close_probability()).decimal(self.segment_factor).decimal(self.speed_factor);
            cells.decimal(self.skill_factor).text(self.outcome).time(self.deal_ms).time(self.outcome_ms);
        });
    }
}

/// Minutes of a length of time in ms.
pub(super) fn minutes(length_ms: i64) -> f64 {
    length_ms as f64 / MINUTE_MS as f64
}
