//! From an epoch's rows to its updates.
//!
//! ```text
//!   rows of tables ─▶ by dealer and pulse topic ─▶ { epoch, dealerId, changed, gone, rows: [ at most 32 ] }
//! ```
//! Rows keep the names of their columns, in camel case. A large epoch is told by its counts and its first rows, never by all of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use operators::domain::rows::{RowBatch, RowChange};
use operators::domain::table::{ColumnType, Table};
use operators::domain::tables::TableId;
use operators::domain::time::format_rfc3339;

use super::ring::{EpochUpdates, Update};
use super::{EpochFacts, PulseTopic};

/// Rows that one update shows, at most.
const ROWS_MAX: usize = 32;

/// What a table's changes are told as, and whether its rows are shown.
fn topic_of(table: TableId) -> Option<(PulseTopic, bool)> {
    match table.table().name {
        "daily_kpis" => Some((PulseTopic::Kpis, true)),
        "leads" => Some((PulseTopic::Leads, true)),
        "deals" => Some((PulseTopic::Deals, true)),
        "vehicles" => Some((PulseTopic::Inventory, false)),
        "reps" | "team_status" => Some((PulseTopic::Team, true)),
        "segments" => Some((PulseTopic::Segments, true)),
        "lead_assignments" => Some((PulseTopic::Assignments, true)),
        "anomalies" => Some((PulseTopic::Anomalies, true)),
        "pricing_signals" | "recon_stages" | "recon_signals" => Some((PulseTopic::Signals, true)),
        _ => None,
    }
}

#[derive(Default)]
struct Gathered {
    changed: u64,
    gone: u64,
    rows: Vec<String>,
}

/// The updates of an epoch, by dealer, topic and table.
pub fn updates_of(facts: &EpochFacts) -> EpochUpdates {
    let mut gathered: BTreeMap<(&str, PulseTopic, &'static str), Gathered> = BTreeMap::new();
    for (id, slice) in &facts.rows {
        let Some((topic, shows_rows)) = topic_of(*id) else { continue };
        let table = id.table();
        for row in slice.range.clone() {
            let Some(dealer) = slice.rows.text(row, 0).and_then(|text| std::str::from_utf8(text).ok()) else {
                continue;
            };
            let own = gathered.entry((dealer, topic, table.name)).or_default();
            if slice.rows.change(row) == RowChange::Upsert {
                own.changed += 1;
                if shows_rows && own.rows.len() < ROWS_MAX {
                    own.rows.push(row_json(table, &slice.rows, row));
                }
            } else {
                own.gone += 1;
            }
        }
    }
    let epoch = facts.epoch;
    let mut names: BTreeMap<&str, Arc<str>> = BTreeMap::new();
    let mut updates: Vec<Update> = Vec::with_capacity(gathered.len() + 1);
    for ((dealer, topic, table), own) in gathered {
        let json = format!(
            "{{\"epoch\":{epoch},\"dealerId\":{},\"table\":\"{table}\",\"changed\":{},\"gone\":{},\"rows\":[{}]}}",
            text_json(dealer),
            own.changed,
            own.gone,
            own.rows.join(",")
        );
        let dealer = Arc::clone(names.entry(dealer).or_insert_with(|| dealer.into()));
        updates.push(Update { topic, dealer: Some(dealer), json: json.into() });
    }
    let json = format!(
        "{{\"epoch\":{epoch},\"time\":\"{}\",\"records\":{},\"events\":{},\"messages\":{},\"rejected\":{}}}",
        format_rfc3339(epoch),
        facts.records,
        facts.events,
        facts.messages,
        facts.rejected
    );
    updates.push(Update { topic: PulseTopic::Pipeline, dealer: None, json: json.into() });
    EpochUpdates { epoch, updates }
}

/// A text as JSON.
fn text_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `snake_case` as `camelCase`.
pub fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        if character == '_' {
            upper = true;
        } else {
            camel.push(if std::mem::take(&mut upper) { character.to_ascii_uppercase() } else { character });
        }
    }
    camel
}

/// A row as JSON, without the dealer: times as RFC 3339, dates as `YYYY-MM-DD`.
fn row_json(table: &Table, rows: &RowBatch, row: usize) -> String {
    let mut json = String::from("{");
    for (index, column) in table.stored().enumerate().skip(1) {
        if json.len() > 1 {
            json.push(',');
        }
        // Writing into a string does not fail.
        let _ = write!(json, "\"{}\":", camel_case(column.name));
        let Some(bits) = rows.bits(row, index) else {
            json.push_str("null");
            continue;
        };
        let integer = bits as i64;
        let text = || {
            let text = rows.text(row, index).unwrap_or_default();
            text_json(&String::from_utf8_lossy(text))
        };
        match column.column_type {
            ColumnType::Text | ColumnType::Bytes => json.push_str(&text()),
            ColumnType::Word(words) => {
                json.push_str(&text_json(words.get(integer as usize).copied().unwrap_or_default()));
            }
            ColumnType::Integer => {
                let _ = write!(json, "{integer}");
            }
            ColumnType::Double => {
                let value = f64::from_bits(bits);
                json.push_str(
                    &serde_json::Number::from_f64(value).map_or("null".to_owned(), |value| value.to_string()),
                );
            }
            ColumnType::Boolean => json.push_str(if integer == 0 { "false" } else { "true" }),
            ColumnType::Date => {
                let date = format_rfc3339(integer * 86_400_000);
                let _ = write!(json, "\"{}\"", date.get(..10).unwrap_or_default());
            }
            ColumnType::Timestamp => {
                let _ = write!(json, "\"{}\"", format_rfc3339(integer));
            }
        }
    }
    json.push('}');
    json
}

#[cfg(test)]
mod tests {
    use operators::domain::rows::Cell;

    use super::*;
    use crate::arrow_rows::RowSlice;

    fn kpis(days: i64) -> (TableId, RowSlice) {
        let mut rows = RowBatch::new(TableId::DailyKpis.width());
        for day in 0..days {
            rows.start(150, RowChange::Upsert);
            for cell in [Cell::Text(b"d-\"1"), Cell::Integer(20_000 + day), Cell::Integer(7)] {
                rows.cell(cell);
            }
            rows.cell(Cell::Null);
            rows.cell(Cell::Double(1.5));
            rows.finish();
        }
        rows.start(150, RowChange::Delete);
        rows.cell(Cell::Text(b"d-2"));
        rows.finish();
        let range = 0..rows.len();
        (TableId::DailyKpis, RowSlice { rows: Arc::new(rows), range })
    }

    fn updates(days: i64) -> Vec<(PulseTopic, Option<String>, serde_json::Value)> {
        let facts = EpochFacts { epoch: 150, records: 9, events: 8, messages: 1, rejected: 1, rows: vec![kpis(days)] };
        let updates = updates_of(&facts).updates;
        let parse = |update: Update| {
            (update.topic, update.dealer.map(|dealer| dealer.to_string()), serde_json::from_str(&update.json).unwrap())
        };
        updates.into_iter().map(parse).collect()
    }

    #[test]
    fn rows_are_told_by_dealer_and_topic() {
        let updates = updates(1);
        assert_eq!(updates.len(), 3);
        let (topic, dealer, json) = &updates[0];
        assert_eq!((*topic, dealer.as_deref()), (PulseTopic::Kpis, Some("d-\"1")));
        assert_eq!(json["dealerId"], "d-\"1");
        assert_eq!(json["rows"][0]["day"], "2024-10-04");
        assert_eq!((&json["rows"][0]["leads"], &json["rows"][0]["responded"]), (&7.into(), &serde_json::Value::Null));
        assert_eq!(json["rows"][0]["responseSecondsP50"], 1.5);
        assert_eq!((&updates[1].2["changed"], &updates[1].2["gone"]), (&0.into(), &1.into()));
        let (topic, dealer, json) = &updates[2];
        assert_eq!((*topic, dealer), (PulseTopic::Pipeline, &None));
        assert_eq!((&json["records"], &json["events"]), (&9.into(), &8.into()));
    }

    #[test]
    fn a_large_epoch_is_told_by_its_counts() {
        let updates = updates(100);
        assert_eq!(updates[0].2["changed"], 100);
        assert_eq!(updates[0].2["rows"].as_array().unwrap().len(), ROWS_MAX);
    }

    #[test]
    fn names_are_in_camel_case() {
        assert_eq!(camel_case("response_seconds_p50"), "responseSecondsP50");
        assert_eq!(camel_case("day"), "day");
    }
}
