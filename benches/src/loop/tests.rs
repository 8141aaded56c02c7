//! The loop over a small folder whose KPIs can be counted by hand, in any order of lines.

use std::fmt::Write as _;

use super::*;

/// Events as (topic, type, id, time on 2 March 2026, data).
const EVENTS: &[(&str, &str, &str, &str, &str)] = &[
    // Midnight in Chicago is six hours after midnight UTC: the lead of 05:59 counts on the day before.
    ("dealers", "dealer.updated", "z0", "01:00:00Z", r#"{"timeZone":"Europe/Berlin"}"#),
    ("dealers", "dealer.updated", "z1", "02:00:00Z", r#"{"timeZone":"America/Chicago"}"#),
    ("leads", "lead.created", "a1", "05:59:00Z", r#"{"leadId":"a","customerId":"c","channel":"web"}"#),
    ("leads", "lead.responded", "a2", "06:01:00Z", r#"{"leadId":"a"}"#),
    ("leads", "lead.responded", "a3", "06:00:30.250Z", r#"{"leadId":"a"}"#),
    // Deleted for good: an update does not bring it back.
    ("leads", "lead.created", "b1", "07:00:00Z", r#"{"leadId":"b","customerId":"c","channel":"web"}"#),
    ("leads", "lead.deleted", "b2", "08:00:00Z", r#"{"leadId":"b"}"#),
    ("leads", "lead.updated", "b3", "09:00:00Z", r#"{"leadId":"b","visitCount":2}"#),
    // Deleted and created anew: only the second creation and what follows it count.
    ("leads", "lead.created", "d1", "05:00:00Z", r#"{"leadId":"d","customerId":"c","channel":"web"}"#),
    ("leads", "lead.responded", "d2", "05:30:00Z", r#"{"leadId":"d"}"#),
    ("leads", "lead.deleted", "d3", "06:00:00Z", r#"{"leadId":"d"}"#),
    ("leads", "lead.created", "d4", "07:00:00Z", r#"{"leadId":"d","customerId":"c","channel":"web"}"#),
    ("leads", "lead.responded", "d5", "07:00:09Z", r#"{"leadId":"d"}"#),
    // Closed, then corrected by a later patch; of two patches of one time the greater id wins.
    ("deals", "deal.created", "e1", "10:00:00Z", r#"{"dealId":"e","frontGrossCents":1}"#),
    ("deals", "deal.closed", "e2", "11:00:00Z", r#"{"dealId":"e","frontGrossCents":100,"backGrossCents":7}"#),
    ("deals", "deal.updated", "e4", "12:00:00Z", r#"{"dealId":"e","frontGrossCents":-50}"#),
    ("deals", "deal.updated", "e3", "12:00:00Z", r#"{"dealId":"e","frontGrossCents":99,"backGrossCents":null}"#),
    // Closed and unwound.
    ("deals", "deal.created", "f1", "10:00:00Z", r#"{"dealId":"f"}"#),
    ("deals", "deal.closed", "f2", "11:00:00Z", r#"{"dealId":"f","frontGrossCents":1000}"#),
    ("deals", "deal.unwound", "f3", "12:00:00Z", r#"{"dealId":"f"}"#),
    ("inventory", "vehicle.acquired", "v1", "10:00:00Z", r#"{"vehicleId":"v"}"#),
    ("inventory", "vehicle.sold", "v2", "11:00:00Z", r#"{"vehicleId":"v"}"#),
    ("inventory", "vehicle.sold", "w1", "11:00:00Z", r#"{"vehicleId":"w"}"#),
];

fn lines() -> Vec<(&'static str, String)> {
    let line = |(topic, event_type, id, time, data): &(&'static str, &str, &str, &str, &str)| {
        let line = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/d/crm","type":"{event_type}","dealerid":"d","time":"2026-03-02T{time}","data":{data}}}"#
        );
        (*topic, line)
    };
    EVENTS.iter().map(line).collect()
}

fn totals(lines: &[(&str, String)]) -> LoopReport {
    let folder = tempfile::tempdir().unwrap();
    for topic in Topic::ALL.map(Topic::name) {
        let own = lines.iter().filter(|(own, _)| *own == topic).fold(String::new(), |mut text, (_, line)| {
            writeln!(text, "{line}").unwrap();
            text
        });
        if !own.is_empty() {
            std::fs::write(folder.path().join(topic).with_extension("jsonl"), own).unwrap();
        }
    }
    run(folder.path(), Extent::Full).unwrap()
}

const EXPECTED: &str = "\
rows 2
leads 2
responded 2
response_seconds_p50 99.250
response_seconds_p90 99.250
deals_created 2
deals_closed 1
front_gross_cents -50
back_gross_cents 0
vehicles_acquired 1
vehicles_sold 2
";

#[test]
fn counts_what_a_person_counts() {
    // Lead a, of 1 March in Chicago, was answered after 90.25 s; lead d, of 2 March, after 9 s.
    assert_eq!(totals(&lines()).kpis.unwrap().to_string(), EXPECTED);
}

#[test]
fn the_order_of_lines_means_nothing() {
    let mut lines = lines();
    let mut state = 1_u64;
    for _ in 0..50 {
        for last in (1..lines.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            lines.swap(last, (state >> 33) as usize % (last + 1));
        }
        assert_eq!(totals(&lines).kpis.unwrap().to_string(), EXPECTED);
    }
}

#[test]
fn copies_count_once_and_rubbish_not_at_all() {
    let mut lines = lines();
    lines.extend(lines.clone());
    lines.push(("leads", "{".into()));
    lines.push(("leads", "   ".into()));
    let report = totals(&lines);
    let events = EVENTS.len() as u64;
    assert_eq!((report.records, report.parsed, report.rejected), (2 * events + 1, 2 * events, 1));
    assert_eq!((report.duplicates, report.reused), (events, 0));
    assert_eq!(report.kpis.unwrap().to_string(), EXPECTED);
}

#[test]
fn an_empty_folder_is_said_to_be_empty() {
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), Extent::Full).unwrap_err().to_string().contains("name a folder of events"));
}
