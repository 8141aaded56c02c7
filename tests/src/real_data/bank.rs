//! The bank's log as leads, deals and reps of one dealer, `bank-nl`.
//!
//! ```text
//!  A_SUBMITTED ──► lead ── first W_ START ──► responded      A_ACCEPTED ──► deal ── O_… ──► A_ACTIVATED ──► closed
//!                                                                          └── A_DECLINED, A_CANCELLED ──► lost
//!  W_ START, COMPLETE by a person ──► rep busy, available
//! ```
//!
//! Each row becomes exactly one event, whose `sequence` and id are its number in the file. What the log implies beside that
//! (the dealer, a rep's first appearance, a lead's first response) are companions of the row that shows it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::bank_log::{LogRow, SYSTEM};
use super::borrowers::Pool;
use super::topics::{Fields, NewEvent, Topics};
use super::{Outcomes, count};

const DEALER_ID: &str = "bank-nl";
const SOURCE: &str = "/dealers/bank-nl/bpic2012";

/// What is known of an application before a row of it.
#[derive(Debug, Default)]
struct Application {
    responded: bool,
    deal: Deal,
    /// Pieces of work completed.
    contacts: u32,
    previous_ms: Option<i64>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Deal {
    #[default]
    None,
    Open,
    /// Delivered or lost: later rows set no stage.
    Ended,
}

/// The one event a row becomes.
struct Mapped {
    topic: &'static str,
    type_name: &'static str,
    extensions: Fields,
    data: Fields,
}

impl Mapped {
    fn new(topic: &'static str, type_name: &'static str, data: Fields) -> Self {
        Mapped { topic, type_name, extensions: Fields::new(), data }
    }
}

/// Adds the events of `log`, which must be in order, and tells what its rows became.
pub(super) fn convert(log: &[LogRow], pool: &Pool, topics: &mut Topics) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut applications: BTreeMap<u64, Application> = BTreeMap::new();
    let mut reps: BTreeSet<&str> = BTreeSet::new();
    if let Some(first) = log.first() {
        let data = vec![
            ("name", "Dutch bank (BPI Challenge 2012)".into()),
            ("timeZone", "Europe/Amsterdam".into()),
            ("currency", "EUR".into()),
        ];
        add(topics, first, "-dealer", DEALER_ID, Mapped::new("dealers", "dealer.updated", data));
    }
    for row in log {
        if let Some(resource) = &row.resource
            && reps.insert(resource)
        {
            add(topics, row, "-rep", &rep_id(resource), Mapped::new("reps", "rep.added", new_rep(resource)));
        }
        let application = applications.entry(row.application).or_default();
        if is_work(row, "START") && !application.responded {
            application.responded = true;
            let mut data = vec![("leadId", lead_id(row))];
            data.extend(person(row).map(|resource| ("repId", rep_id(resource).into())));
            add(topics, row, "-response", &subject(row), Mapped::new("leads", "lead.responded", data));
        }
        if let Some(mapped) = map(row, application, pool) {
            count(&mut outcomes, mapped.type_name);
            add(topics, row, "", &subject(row), mapped);
        } else {
            count(&mut outcomes, &format!("skipped: unknown activity {} {}", row.activity, row.transition));
        }
        application.contacts += u32::from(is_work(row, "COMPLETE"));
        application.previous_ms = Some(row.time_ms);
    }
    outcomes
}

fn map(row: &LogRow, application: &mut Application, pool: &Pool) -> Option<Mapped> {
    match (row.activity.as_str(), row.transition.as_str()) {
        ("A_SUBMITTED", "COMPLETE") => Some(lead_created(row, pool)),
        ("A_PARTLYSUBMITTED" | "A_PREACCEPTED", "COMPLETE") => {
            let data = vec![("leadId", lead_id(row)), ("activity", row.activity.as_str().into())];
            Some(Mapped::new("leads", "lead.updated", data))
        }
        ("A_ACCEPTED", "COMPLETE") => Some(deal_patch(row, application, "deal.updated", Some("prospect"))),
        ("O_SELECTED" | "O_CREATED" | "A_FINALIZED", "COMPLETE") => {
            Some(deal_patch(row, application, "deal.updated", Some("negotiating")))
        }
        ("O_SENT", "COMPLETE") => Some(deal_patch(row, application, "deal.submitted", None)),
        ("O_SENT_BACK", "COMPLETE") => Some(deal_patch(row, application, "deal.updated", Some("pending_finance"))),
        ("O_ACCEPTED", "COMPLETE") => Some(deal_patch(row, application, "deal.updated", None)),
        ("A_APPROVED", "COMPLETE") => Some(deal_patch(row, application, "deal.updated", Some("approved"))),
        ("A_REGISTERED", "COMPLETE") => Some(deal_patch(row, application, "deal.updated", Some("contracted"))),
        ("A_ACTIVATED", "COMPLETE") => Some(deal_ended(row, application, "deal.closed", None)),
        ("A_DECLINED", "COMPLETE") => Some(refused(row, application, "x.application.declined", "declined")),
        ("A_CANCELLED", "COMPLETE") => Some(refused(row, application, "x.application.cancelled", "cancelled")),
        ("O_CANCELLED", "COMPLETE") => Some(Mapped::new("deals", "x.offer.cancelled", deal_data(row))),
        ("O_DECLINED", "COMPLETE") => Some(Mapped::new("deals", "x.offer.declined", deal_data(row))),
        (activity, "SCHEDULE") if activity.starts_with("W_") => {
            Some(Mapped::new("leads", "x.work.scheduled", work_data(row)))
        }
        (activity, "START") if activity.starts_with("W_") => Some(match person(row) {
            Some(resource) => rep_status(resource, "busy", row),
            None => idle(row, application),
        }),
        (activity, "COMPLETE") if activity.starts_with("W_") => Some(match (person(row), &row.resource) {
            (Some(resource), _) => rep_status(resource, "available", row),
            (None, Some(_)) => Mapped::new("leads", "x.work.completed", work_data(row)),
            (None, None) => engagement(row, application),
        }),
        _ => None,
    }
}

fn lead_created(row: &LogRow, pool: &Pool) -> Mapped {
    let profile = pool.draw(row.application);
    let data = vec![
        ("leadId", lead_id(row)),
        ("customerId", customer_id(row)),
        ("channel", "web".into()),
        ("creditScore", profile.credit_score.into()),
        ("annualIncomeCents", profile.annual_income_cents.into()),
        ("vehiclePriceCents", profile.vehicle_price_cents.into()),
        ("downPaymentCents", profile.down_payment_cents.into()),
        ("termMonths", profile.term_months.into()),
        ("amountRequestedCents", row.amount_requested_cents.into()),
    ];
    Mapped { extensions: vec![("profile", "drawn".into())], ..Mapped::new("leads", "lead.created", data) }
}

/// A change of the deal; the first one creates it.
fn deal_patch(
    row: &LogRow,
    application: &mut Application,
    type_name: &'static str,
    stage: Option<&'static str>,
) -> Mapped {
    let mut data = deal_data(row);
    if application.deal != Deal::Ended {
        data.extend(stage.map(|stage| ("stage", stage.into())));
    }
    if application.deal != Deal::None {
        return Mapped::new("deals", type_name, data);
    }
    application.deal = Deal::Open;
    data.push(("leadId", lead_id(row)));
    data.push(("customerId", customer_id(row)));
    data.push(("amountFinancedCents", row.amount_requested_cents.into()));
    Mapped::new("deals", "deal.created", data)
}

fn deal_ended(
    row: &LogRow,
    application: &mut Application,
    type_name: &'static str,
    reason: Option<&'static str>,
) -> Mapped {
    application.deal = Deal::Ended;
    let mut data = deal_data(row);
    data.extend(reason.map(|reason| ("reason", reason.into())));
    Mapped::new("deals", type_name, data)
}

/// An application refused: a lost deal, or if it never came to a deal an event of our own, as leads are not lost.
fn refused(row: &LogRow, application: &mut Application, without_deal: &'static str, reason: &'static str) -> Mapped {
    if application.deal == Deal::None {
        let data = vec![("leadId", lead_id(row)), ("customerId", customer_id(row))];
        return Mapped::new("leads", without_deal, data);
    }
    deal_ended(row, application, "deal.lost", Some(reason))
}

fn rep_status(resource: &str, status: &str, row: &LogRow) -> Mapped {
    let data = vec![
        ("repId", rep_id(resource).into()),
        ("status", status.into()),
        ("leadId", lead_id(row)),
        ("activity", row.activity.as_str().into()),
    ];
    Mapped::new("reps", "rep.status.changed", data)
}

/// Work begun by nobody named: the customer waited since the application's previous row.
fn idle(row: &LogRow, application: &Application) -> Mapped {
    let waited_ms = application.previous_ms.map_or(0, |previous_ms| row.time_ms - previous_ms);
    let data = vec![
        ("customerId", customer_id(row)),
        ("idleMinutes", (waited_ms / 60_000).into()),
        ("leadId", lead_id(row)),
        ("activity", row.activity.as_str().into()),
    ];
    Mapped::new("leads", "customer.idle", data)
}

/// Work finished by nobody named: a contact. The share is an index of ours that rises with each: n / (n + 4).
fn engagement(row: &LogRow, application: &Application) -> Mapped {
    let contacts = f64::from(application.contacts + 1);
    let data = vec![
        ("customerId", customer_id(row)),
        ("engagement", (contacts / (contacts + 4.0)).into()),
        ("leadId", lead_id(row)),
        ("channel", "phone".into()),
        ("activity", row.activity.as_str().into()),
    ];
    Mapped::new("leads", "customer.engagement.detected", data)
}

fn new_rep(resource: &str) -> Fields {
    let mut rep = vec![("repId", rep_id(resource).into()), ("name", format!("Resource {resource}").into())];
    if resource == SYSTEM {
        rep.push(("role", "system".into()));
        rep.push(("leadCap", 0.into()));
    }
    rep
}

fn deal_data(row: &LogRow) -> Fields {
    let mut data = vec![("dealId", format!("deal-{}", row.application).into())];
    data.extend(person(row).map(|resource| ("repId", rep_id(resource).into())));
    data.push(("activity", row.activity.as_str().into()));
    data
}

fn work_data(row: &LogRow) -> Fields {
    vec![("leadId", lead_id(row)), ("activity", row.activity.as_str().into())]
}

fn is_work(row: &LogRow, transition: &str) -> bool {
    row.activity.starts_with("W_") && row.transition == transition
}

/// The resource, if it is a person.
fn person(row: &LogRow) -> Option<&str> {
    row.resource.as_deref().filter(|resource| *resource != SYSTEM)
}

fn rep_id(resource: &str) -> String {
    format!("rep-{resource}")
}

fn subject(row: &LogRow) -> String {
    format!("application-{}", row.application)
}

fn lead_id(row: &LogRow) -> Value {
    format!("lead-{}", row.application).into()
}

fn customer_id(row: &LogRow) -> Value {
    format!("customer-{}", row.application).into()
}

fn add(topics: &mut Topics, row: &LogRow, companion: &str, subject: &str, mapped: Mapped) {
    topics.add(NewEvent {
        topic: mapped.topic,
        type_name: mapped.type_name,
        id: format!("bpic2012-{:06}{companion}", row.number),
        source: SOURCE,
        dealer_id: DEALER_ID,
        subject,
        time: &row.time,
        time_ms: row.time_ms,
        sequence: row.number,
        extensions: mapped.extensions,
        data: mapped.data,
    });
}

#[cfg(test)]
mod tests {
    use super::super::borrowers::tests::pool_of_one;
    use super::*;

    /// Converts rows of one application given as `activity transition resource`, a minute apart, and tells each event as
    /// `type id: data`.
    fn check(rows: &[&str], expected: &[&str]) {
        let log: Vec<LogRow> = (1..)
            .zip(rows)
            .map(|(number, row)| {
                let mut words = row.split(' ');
                let mut word = || words.next().unwrap_or_default().to_owned();
                let (activity, transition, resource) = (word(), word(), word());
                LogRow {
                    number,
                    application: 7,
                    amount_requested_cents: 500,
                    activity,
                    transition,
                    resource: (!resource.is_empty()).then_some(resource),
                    time: format!("2012-01-01T00:{number:02}:00.000+01:00"),
                    time_ms: number as i64 * 60_000,
                }
            })
            .collect();
        let mut topics = Topics::default();
        let outcomes = convert(&log, &pool_of_one(), &mut topics);
        assert_eq!(outcomes.values().sum::<u64>(), rows.len() as u64);
        let folder = tempfile::tempdir().unwrap();
        topics.write(folder.path()).unwrap();
        let mut events = Vec::new();
        for topic in ["leads", "deals", "reps"] {
            for line in
                std::fs::read_to_string(folder.path().join(format!("{topic}.jsonl"))).unwrap_or_default().lines()
            {
                let event: Value = serde_json::from_str(line).unwrap();
                let text = |key: &str| event[key].as_str().unwrap().to_owned();
                let data = line.split_once("\"data\":").unwrap().1.strip_suffix('}').unwrap();
                events.push(format!("{} {}: {data}", text("type"), text("id").trim_start_matches("bpic2012-")));
            }
        }
        assert_eq!(events, expected);
    }

    #[test]
    fn an_application_becomes_a_lead_with_a_drawn_profile() {
        check(
            &["A_SUBMITTED COMPLETE 112", "A_DECLINED COMPLETE 112"],
            &[
                r#"lead.created 000001: {"leadId":"lead-7","customerId":"customer-7","channel":"web","creditScore":700,"annualIncomeCents":4800000,"vehiclePriceCents":200,"downPaymentCents":100,"termMonths":73,"amountRequestedCents":500}"#,
                r#"x.application.declined 000002: {"leadId":"lead-7","customerId":"customer-7"}"#,
                r#"rep.added 000001-rep: {"repId":"rep-112","name":"Resource 112","role":"system","leadCap":0}"#,
            ],
        );
    }

    #[test]
    fn work_makes_reps_busy_and_the_first_start_answers_the_lead() {
        check(
            &["W_a START 5", "W_a COMPLETE 5", "W_b START", "W_b COMPLETE", "W_b COMPLETE 112", "W_c SCHEDULE 112"],
            &[
                r#"lead.responded 000001-response: {"leadId":"lead-7","repId":"rep-5"}"#,
                r#"customer.idle 000003: {"customerId":"customer-7","idleMinutes":1,"leadId":"lead-7","activity":"W_b"}"#,
                r#"customer.engagement.detected 000004: {"customerId":"customer-7","engagement":0.3333333333333333,"leadId":"lead-7","channel":"phone","activity":"W_b"}"#,
                r#"x.work.completed 000005: {"leadId":"lead-7","activity":"W_b"}"#,
                r#"x.work.scheduled 000006: {"leadId":"lead-7","activity":"W_c"}"#,
                r#"rep.status.changed 000001: {"repId":"rep-5","status":"busy","leadId":"lead-7","activity":"W_a"}"#,
                r#"rep.added 000001-rep: {"repId":"rep-5","name":"Resource 5"}"#,
                r#"rep.status.changed 000002: {"repId":"rep-5","status":"available","leadId":"lead-7","activity":"W_a"}"#,
                r#"rep.added 000005-rep: {"repId":"rep-112","name":"Resource 112","role":"system","leadCap":0}"#,
            ],
        );
    }

    #[test]
    fn offers_move_a_deal_until_it_has_ended() {
        check(
            &[
                "A_ACCEPTED COMPLETE",
                "O_SENT COMPLETE",
                "O_SENT_BACK COMPLETE",
                "A_ACTIVATED COMPLETE",
                "A_APPROVED COMPLETE",
            ],
            &[
                r#"deal.created 000001: {"dealId":"deal-7","activity":"A_ACCEPTED","stage":"prospect","leadId":"lead-7","customerId":"customer-7","amountFinancedCents":500}"#,
                r#"deal.submitted 000002: {"dealId":"deal-7","activity":"O_SENT"}"#,
                r#"deal.updated 000003: {"dealId":"deal-7","activity":"O_SENT_BACK","stage":"pending_finance"}"#,
                r#"deal.closed 000004: {"dealId":"deal-7","activity":"A_ACTIVATED"}"#,
                r#"deal.updated 000005: {"dealId":"deal-7","activity":"A_APPROVED"}"#,
            ],
        );
        check(
            &["A_ACCEPTED COMPLETE", "A_CANCELLED COMPLETE", "O_CANCELLED COMPLETE", "O_NEW COMPLETE"],
            &[
                r#"deal.created 000001: {"dealId":"deal-7","activity":"A_ACCEPTED","stage":"prospect","leadId":"lead-7","customerId":"customer-7","amountFinancedCents":500}"#,
                r#"deal.lost 000002: {"dealId":"deal-7","activity":"A_CANCELLED","reason":"cancelled"}"#,
                r#"x.offer.cancelled 000003: {"dealId":"deal-7","activity":"O_CANCELLED"}"#,
            ],
        );
    }
}
