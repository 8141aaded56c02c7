//! Every table of dealerflow, declared once.
//!
//! Date-relative columns are computed from stored dates at the queried epoch (`view`), so a stored row never goes stale:
//! `stored.*` are the stored columns, `local_date(time, zone)` gives a local date, `queried_epoch()` the epoch of the answer.

use super::entity::{DEAL_STAGES, REP_STATUSES, VEHICLE_CONDITIONS, VEHICLE_PHASES};
use super::rejection::ReasonCode;
use super::table::ColumnType::{Boolean, Bytes, Date, Double, Integer, Text, Timestamp, Word};
use super::table::{Column, Table};

/// The tables, by the numbers that row batches carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum TableId {
    /// `dealers`
    Dealers,
    /// `leads`
    Leads,
    /// `deals`
    Deals,
    /// `vehicles`
    Vehicles,
    /// `reps`
    Reps,
    /// `customers`
    Customers,
    /// `daily_kpis`
    DailyKpis,
    /// `dead_letters`
    DeadLetters,
    /// `sources`
    Sources,
    /// `epochs`
    Epochs,
    /// `segments`
    Segments,
    /// `segment_members`
    SegmentMembers,
    /// `anomalies`
    Anomalies,
    /// `team_status`
    TeamStatus,
    /// `lead_assignments`
    LeadAssignments,
}

impl TableId {
    /// Every table, in the order of their numbers.
    pub const ALL: [TableId; 15] = [
        TableId::Dealers,
        TableId::Leads,
        TableId::Deals,
        TableId::Vehicles,
        TableId::Reps,
        TableId::Customers,
        TableId::DailyKpis,
        TableId::DeadLetters,
        TableId::Sources,
        TableId::Epochs,
        TableId::Segments,
        TableId::SegmentMembers,
        TableId::Anomalies,
        TableId::TeamStatus,
        TableId::LeadAssignments,
    ];

    /// The declaration.
    pub const fn table(self) -> &'static Table {
        match self {
            TableId::Dealers => &DEALERS,
            TableId::Leads => &LEADS,
            TableId::Deals => &DEALS,
            TableId::Vehicles => &VEHICLES,
            TableId::Reps => &REPS,
            TableId::Customers => &CUSTOMERS,
            TableId::DailyKpis => &DAILY_KPIS,
            TableId::DeadLetters => &DEAD_LETTERS,
            TableId::Sources => &SOURCES,
            TableId::Epochs => &EPOCHS,
            TableId::Segments => &SEGMENTS,
            TableId::SegmentMembers => &SEGMENT_MEMBERS,
            TableId::Anomalies => &ANOMALIES,
            TableId::TeamStatus => &TEAM_STATUS,
            TableId::LeadAssignments => &LEAD_ASSIGNMENTS,
        }
    }

    /// Whether rows are added and never changed or removed, so that the present rows are all of its history.
    pub const fn only_grows(self) -> bool {
        matches!(self, TableId::DeadLetters | TableId::Epochs)
    }

    /// Number of cells of a row.
    pub fn width(self) -> usize {
        self.table().stored().count()
    }
}

const fn c(name: &'static str, column_type: super::table::ColumnType, comment: &'static str) -> Column {
    Column::new(name, column_type, comment)
}

const DEALER_ID: Column = c("dealer_id", Text, "The dealer.").key().repetitive();
const UPDATED_AT: Column = c("updated_at", Timestamp, "Time of the greatest event applied.");

static DEALERS: Table = Table {
    name: "dealers",
    comment: "Dealers that have introduced themselves.",
    columns: &[
        DEALER_ID,
        c("name", Text, "Trading name."),
        c("time_zone", Text, "IANA time zone in which its days are counted; UTC until it names one.").repetitive(),
        c("state", Text, "State or province.").repetitive(),
        c("currency", Text, "ISO 4217 currency of its money; USD until it names one.").repetitive(),
        UPDATED_AT,
    ],
    view: None,
};

static LEADS: Table = Table {
    name: "leads",
    comment: "Enquiries of customers.",
    columns: &[
        DEALER_ID,
        c("lead_id", Text, "The lead, within the dealer.").key(),
        c("customer_id", Text, "Who enquires."),
        c("channel", Text, "How it came in: web, phone, walk-in, adf and so on.").repetitive(),
        c("credit_score", Integer, "Credit score, 300 to 850."),
        c("annual_income_cents", Integer, "Yearly income in minor units."),
        c("vehicle_price_cents", Integer, "Price of the vehicle asked for, in minor units."),
        c("down_payment_cents", Integer, "Down payment in minor units."),
        c("trade_value_cents", Integer, "Value of the trade-in in minor units."),
        c("visit_count", Integer, "Visits so far.").repetitive(),
        c("time_on_lot_minutes", Double, "Minutes spent on the lot."),
        c("engagement", Double, "Engagement, 0 to 1."),
        c("created_at", Timestamp, "Earliest lead.created; null if it was first seen in an update."),
        c("responded_at", Timestamp, "Earliest lead.responded."),
        c("response_seconds", Double, "Seconds from creation to first response, not below 0."),
        c("assigned_rep_id", Text, "The rep it is assigned to; null until the model has placed it.").repetitive(),
        c("segment", Text, "Customer segment; null until the model has scored it.").repetitive(),
        c("is_outlier", Boolean, "Whether the model flags it; null until scored."),
        c("priority_score", Double, "Priority, 0 to 1; null until scored."),
        c("active", Boolean, "Assigned, without a deal, with an event in the last 7 days.").computed(),
        UPDATED_AT,
    ],
    view: Some(
        "select l.dealer_id, l.lead_id, l.customer_id, l.channel, l.credit_score, l.annual_income_cents, l.vehicle_price_cents, \
         l.down_payment_cents, l.trade_value_cents, l.visit_count, l.time_on_lot_minutes, l.engagement, l.created_at, \
         l.responded_at, l.response_seconds, l.assigned_rep_id, l.segment, l.is_outlier, l.priority_score, \
         l.assigned_rep_id is not null and d.lead_id is null and l.updated_at >= queried_epoch() - interval '7 days' as active, \
         l.updated_at \
         from stored.leads l left join (select distinct dealer_id, lead_id from stored.deals where lead_id is not null) d \
         on l.dealer_id = d.dealer_id and l.lead_id = d.lead_id",
    ),
};

static DEALS: Table = Table {
    name: "deals",
    comment: "Negotiations over one vehicle.",
    columns: &[
        DEALER_ID,
        c("deal_id", Text, "The deal, within the dealer.").key(),
        c("lead_id", Text, "The lead it came from."),
        c("customer_id", Text, "The buyer."),
        c("rep_id", Text, "The rep who works it.").repetitive(),
        c("vehicle_id", Text, "The vehicle."),
        c(
            "stage",
            Word(DEAL_STAGES),
            "prospect, negotiating, pending_finance, approved, contracted, delivered, lost or unwound.",
        ),
        c("price_cents", Integer, "Price in minor units."),
        c("front_gross_cents", Integer, "Front gross in minor units: price less cost and over-allowance."),
        c("back_gross_cents", Integer, "Back gross in minor units: finance reserve and product margin."),
        c("created_at", Timestamp, "Earliest deal.created."),
        c("closed_at", Timestamp, "Time of the event that made it delivered, while it is."),
        UPDATED_AT,
    ],
    view: None,
};

static VEHICLES: Table = Table {
    name: "vehicles",
    comment: "Units of inventory.",
    columns: &[
        DEALER_ID,
        c("vehicle_id", Text, "The vehicle, within the dealer.").key(),
        c("vin", Text, "Vehicle identification number as given."),
        c(
            "vin_valid",
            Boolean,
            "Whether the VIN's characters and check digit are right (49 CFR 565); null without a VIN.",
        ),
        c("year", Integer, "Model year.").repetitive(),
        c("make", Text, "Make.").repetitive(),
        c("model", Text, "Model.").repetitive(),
        c("trim", Text, "Trim.").repetitive(),
        c("condition", Word(VEHICLE_CONDITIONS), "new, used or certified."),
        c("phase", Word(VEHICLE_PHASES), "Where it stands between acquired and sold."),
        c("price_cents", Integer, "Asking price in minor units."),
        c("cost_cents", Integer, "Cost in minor units."),
        c("market_price_cents", Integer, "Market price in minor units."),
        c("days_on_lot", Integer, "Local dates from acquisition to the sale, or to the queried epoch.").computed(),
        c("band", Text, "Days on lot as 0-30, 31-60, 61-90 or 91+.").computed(),
        c("acquired_at", Timestamp, "Earliest vehicle.acquired."),
        c("frontline_at", Timestamp, "First time on the frontline."),
        c("sold_at", Timestamp, "Earliest vehicle.sold."),
        UPDATED_AT,
    ],
    view: Some(
        "select dealer_id, vehicle_id, vin, vin_valid, year, make, model, \"trim\", condition, phase, price_cents, cost_cents, \
         market_price_cents, days_on_lot, case when days_on_lot is null then null when days_on_lot <= 30 then '0-30' \
         when days_on_lot <= 60 then '31-60' when days_on_lot <= 90 then '61-90' else '91+' end as band, \
         acquired_at, frontline_at, sold_at, updated_at from (select v.*, \
         cast(cast(local_date(coalesce(v.sold_at, queried_epoch()), d.time_zone) as int) \
         - cast(local_date(v.acquired_at, d.time_zone) as int) as bigint) as days_on_lot \
         from stored.vehicles v left join stored.dealers d on v.dealer_id = d.dealer_id)",
    ),
};

static REPS: Table = Table {
    name: "reps",
    comment: "Salespeople.",
    columns: &[
        DEALER_ID,
        c("rep_id", Text, "The rep, within the dealer.").key(),
        c("name", Text, "Name.").repetitive(),
        c("status", Word(REP_STATUSES), "available, busy, break or off; null until known."),
        c("skill_level", Double, "Skill, 0 to 1; 0.7 until known."),
        c(
            "natural_frequency",
            Double,
            "Natural frequency of the rep's oscillator in radians per hour; 1.0 until known.",
        ),
        c(
            "phase",
            Double,
            "Oscillator phase in radians at the rep's own last event; what it is now is in topic team-status.",
        )
        .repetitive(),
        c("active_deals", Integer, "The rep's deals in stages prospect to contracted."),
        c("deals_today", Integer, "The rep's deals closed on the dealer's present local day.").computed(),
        c("active_leads", Integer, "The rep's active leads.").computed(),
        c("member_status", Text, "overloaded, idle, crushing_it or normal, from active deals and deals today.")
            .computed(),
        UPDATED_AT,
    ],
    view: Some(
        "select r.dealer_id, r.rep_id, r.name, r.status, r.skill_level, r.natural_frequency, r.phase, r.active_deals, \
         coalesce(t.deals_today, 0) as deals_today, coalesce(a.active_leads, 0) as active_leads, \
         case when r.active_deals > 5 then 'overloaded' when r.active_deals = 0 and coalesce(t.deals_today, 0) = 0 then 'idle' \
         when coalesce(t.deals_today, 0) >= 2 then 'crushing_it' else 'normal' end as member_status, r.updated_at \
         from stored.reps r \
         left join (select c.dealer_id, c.rep_id, count(*) as deals_today from stored.deals c \
           left join stored.dealers z on c.dealer_id = z.dealer_id where c.closed_at is not null \
           and local_date(c.closed_at, z.time_zone) = local_date(queried_epoch(), z.time_zone) group by c.dealer_id, c.rep_id) t \
           on r.dealer_id = t.dealer_id and r.rep_id = t.rep_id \
         left join (select l.dealer_id, l.assigned_rep_id, count(*) as active_leads from stored.leads l \
           left join (select distinct dealer_id, lead_id from stored.deals where lead_id is not null) d \
           on l.dealer_id = d.dealer_id and l.lead_id = d.lead_id \
           where l.assigned_rep_id is not null and d.lead_id is null and l.updated_at >= queried_epoch() - interval '7 days' \
           group by l.dealer_id, l.assigned_rep_id) a on r.dealer_id = a.dealer_id and r.rep_id = a.assigned_rep_id",
    ),
};

static CUSTOMERS: Table = Table {
    name: "customers",
    comment: "People who enquire or buy, rolled up over their leads, deals and engagement.",
    columns: &[
        DEALER_ID,
        c("customer_id", Text, "The customer, within the dealer.").key(),
        c("leads", Integer, "Leads that name the customer.").repetitive(),
        c("deals", Integer, "Deals that name the customer.").repetitive(),
        c("last_seen_at", Timestamp, "Greatest event of those leads and deals, or of the customer's own engagement."),
        c("engagement", Double, "Last detected engagement, 0 to 1."),
        c("segment", Text, "Segment of the lead that was scored last; null until the model has scored one.")
            .repetitive(),
    ],
    view: None,
};

static DAILY_KPIS: Table = Table {
    name: "daily_kpis",
    comment: "What happened on each local day of each dealer.",
    columns: &[
        DEALER_ID,
        c("day", Date, "Local date in the dealer's present time zone.").key(),
        c("leads", Integer, "Leads created.").repetitive(),
        c("responded", Integer, "Leads created on the day that were answered.").repetitive(),
        c("response_seconds_p50", Double, "Median seconds to first response of those, nearest rank."),
        c("response_seconds_p90", Double, "90th percentile of the same."),
        c("deals_created", Integer, "Deals created.").repetitive(),
        c("deals_closed", Integer, "Deals delivered.").repetitive(),
        c("front_gross_cents", Integer, "Front gross of the deals delivered, in minor units."),
        c("back_gross_cents", Integer, "Back gross of the deals delivered, in minor units."),
        c("vehicles_acquired", Integer, "Vehicles acquired.").repetitive(),
        c("vehicles_sold", Integer, "Vehicles sold.").repetitive(),
    ],
    view: None,
};

const REASON_CODES: &[&str] = &{
    let mut names = [""; ReasonCode::ALL.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = ReasonCode::ALL[index].name();
        index += 1;
    }
    names
};

static DEAD_LETTERS: Table = Table {
    name: "dead_letters",
    comment: "Records that were not accepted, with their bytes and the reason.",
    columns: &[
        c("dealer_id", Text, "The dealer, if the record is well-formed and names one.").key().repetitive(),
        c("topic", Text, "Topic it came on.").key().repetitive(),
        c("log_partition", Integer, "Partition it lay in; for files, the file's position among the topic's files.")
            .key(),
        c("log_offset", Integer, "Offset it lay at; for files, its line number from 1.").key(),
        c("reason_code", Word(REASON_CODES), "Why, as a word."),
        c("reason", Text, "Why, as a sentence."),
        c("received_at", Timestamp, "Its own time if readable, else that of the record before it."),
        c("payload", Bytes, "The original bytes, cut at 256 KiB."),
    ],
    view: None,
};

static SOURCES: Table = Table {
    name: "sources",
    comment: "What came in, by dealer and topic.",
    columns: &[
        c("dealer_id", Text, "The dealer; null for records that name none.").key().repetitive(),
        c("topic", Text, "Input topic.").key().repetitive(),
        c("records", Integer, "Records read."),
        c("accepted", Integer, "Events accepted."),
        c("duplicates", Integer, "Copies of accepted events."),
        c("rejected", Integer, "Records that became dead letters."),
        c("unknown", Integer, "Accepted events of an unknown type."),
        c("late", Integer, "Accepted events that came after a timer they should have preceded."),
    ],
    view: None,
};

static EPOCHS: Table = Table {
    name: "epochs",
    comment: "The epochs, with what went in and out.",
    columns: &[
        c("dealer_id", Text, "Always null: epochs belong to all dealers.").key(),
        c("epoch", Integer, "The epoch, in milliseconds since 1970.").key(),
        c("closed_at", Timestamp, "When its input was complete."),
        c("committed_at", Timestamp, "When its outputs were visible; in a replay the epoch itself."),
        c("events", Integer, "Events accepted."),
        c("outputs", Integer, "Messages sent to output topics."),
    ],
    view: None,
};

/// The input archive: not a table that the dataflow gives rows of, but every record as it was read. Only in schema `history`.
pub static ARCHIVE: Table = Table {
    name: "events",
    comment: "Every input record, accepted or not, as it was read.",
    columns: &[
        c("dealer_id", Text, "Always null: what cannot be read belongs to no dealer.").key(),
        c("topic", Text, "Input topic.").key().repetitive(),
        c("log_partition", Integer, "Its partition.").key().repetitive(),
        c("log_offset", Integer, "Offset in the partition.").key(),
        c("received_at", Timestamp, "The log's own time of the record."),
        c("payload", Bytes, "Its bytes."),
    ],
    view: None,
};

static SEGMENTS: Table = Table {
    name: "segments",
    comment: "Clusters of each dealer's leads.",
    columns: &[
        DEALER_ID,
        c("cluster_id", Integer, "The cluster, 0 to 4.").key().repetitive(),
        c("name", Text, "The segment that its centroid is, by rule.").repetitive(),
        c("priority", Double, "How soon to serve its customers, 0 to 1.").repetitive(),
        c("customers", Integer, "Leads that are in it now.").repetitive(),
        c("outliers", Integer, "Unusual ones among them.").repetitive(),
        c("centroid", Text, "Its ten features, each 0 to 1, as a JSON list."),
        c("updated_at", Timestamp, "Time of the last lead that came, changed or went, or of a reset since."),
    ],
    view: None,
};

static SEGMENT_MEMBERS: Table = Table {
    name: "segment_members",
    comment: "Which cluster each lead is in.",
    columns: &[
        DEALER_ID,
        c("lead_id", Text, "The lead, within the dealer.").key(),
        c("cluster_id", Integer, "The cluster, 0 to 4.").repetitive(),
        c("customer_id", Text, "Who enquires."),
        c("confidence", Double, "The probability that the cluster is the right one."),
        c("is_outlier", Boolean, "Whether the lead is unusual."),
    ],
    view: None,
};

static ANOMALIES: Table = Table {
    name: "anomalies",
    comment: "Leads that are unusual among their dealer's.",
    columns: &[
        DEALER_ID,
        c("lead_id", Text, "The lead, within the dealer.").key(),
        c("customer_id", Text, "Who enquires."),
        c("cluster_id", Integer, "The nearest cluster, 0 to 4.").repetitive(),
        c("score", Double, "How unusual it is: 0 to 1, of the seed form its distance in deviations."),
        c("reason", Text, "The three features that are furthest off, with their values and the expected ranges."),
        c("features", Text, "Its ten features, each 0 to 1, as a JSON object."),
        c("detected_at", Timestamp, "Since when it is unusual."),
    ],
    view: None,
};

static TEAM_STATUS: Table = Table {
    name: "team_status",
    comment: "How each dealer's team moves, as it was told last.",
    columns: &[
        DEALER_ID,
        c("coherence", Double, "How well the reps on duty move together, 0 to 1; null while nobody is."),
        c("status", Text, "excellent, good, needs_attention or critical; null while nobody is on duty.").repetitive(),
        c("mean_phase", Double, "Mean phase of the reps on duty in radians, 0 to 2π; null while nobody is."),
        c("reps", Integer, "Reps on duty.").repetitive(),
        c("coverage", Double, "Share of staffed time with at least one rep ready; null before the first."),
        c("updated_at", Timestamp, "When it was told."),
    ],
    view: None,
};

static LEAD_ASSIGNMENTS: Table = Table {
    name: "lead_assignments",
    comment: "Which rep has each lead.",
    columns: &[
        DEALER_ID,
        c("lead_id", Text, "The lead, within the dealer.").key(),
        c("rep_id", Text, "The rep.").repetitive(),
        c("score", Double, "What the pair was worth."),
        c("assigned_at", Timestamp, "Since when."),
        c("assigned_epoch", Integer, "The epoch in which that was decided."),
        c("epoch", Integer, "The same; in the history, the epoch of the version.").computed(),
    ],
    view: Some(
        "select dealer_id, lead_id, rep_id, score, assigned_at, assigned_epoch, assigned_epoch as epoch from stored.lead_assignments",
    ),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_sound() {
        assert_eq!(ARCHIVE.columns[0].name, "dealer_id");
        for id in TableId::ALL {
            let table = id.table();
            assert_eq!(table.columns[0].name, "dealer_id");
            assert!(id.width() <= 32, "{}: nulls are a mask of 32 bits", table.name);
            let keys: Vec<bool> = table.columns.iter().map(|column| column.key).collect();
            assert!(keys.is_sorted_by(|left, right| left >= right), "{}: keys come first", table.name);
            assert_eq!(table.view.is_some(), table.columns.iter().any(|column| column.computed), "{}", table.name);
            for column in table.columns {
                assert!(column.comment.ends_with('.'), "{}.{}", table.name, column.name);
            }
        }
    }
}
