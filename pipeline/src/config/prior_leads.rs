//! The leads that every dealer's clusters begin with, as a CSV file.
//!
//! ```text
//!   dealerflow sql --format csv "select * from leads" > leads.csv      models.whaco.prior_leads = "leads.csv"
//!                                                                      models.whaco.prior_worth = 200
//! ```
//! The first line names the columns, as table `leads` has them; those that say nothing of a lead itself are passed over, empty fields
//! are missing. A dealer with few leads is then judged by what is known of many, and by its own the more of these there are.

use std::path::Path;

use operators::models::whaco::features::LeadFields;
use xxhash_rust::xxh3::xxh3_64;

/// More leads than these teach nothing more.
const LEADS_MAX: usize = 1_000_000;
/// The largest file.
const BYTES_MAX: u64 = 1 << 30;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PriorLeads {
    /// Its leads, in their order.
    pub(super) leads: Vec<LeadFields>,
    /// Of its bytes; 0 without a file.
    pub(super) fingerprint: u64,
}

/// A column that tells something of a lead.
type Column = fn(&mut LeadFields, &str) -> Option<()>;

fn number(text: &str) -> Option<Option<u64>> {
    text.parse().ok().map(Some)
}

fn share(text: &str) -> Option<Option<f64>> {
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Some)
}

fn column(name: &str) -> Option<Column> {
    Some(match name {
        "credit_score" => |lead, text| number(text).map(|value| lead.credit_score = value),
        "annual_income_cents" => |lead, text| number(text).map(|value| lead.annual_income_cents = value),
        "vehicle_price_cents" => |lead, text| number(text).map(|value| lead.vehicle_price_cents = value),
        "down_payment_cents" => |lead, text| number(text).map(|value| lead.down_payment_cents = value),
        "trade_value_cents" => |lead, text| number(text).map(|value| lead.trade_value_cents = value),
        "visit_count" => |lead, text| number(text).map(|value| lead.visit_count = value),
        "time_on_lot_minutes" => |lead, text| share(text).map(|value| lead.time_on_lot_minutes = value),
        "engagement" => |lead, text| share(text).map(|value| lead.engagement = value),
        "term_months" => |lead, text| number(text).map(|value| lead.term_months = value),
        "payment_sensitivity" => |lead, text| share(text).map(|value| lead.payment_sensitivity = value),
        "co_buyer" => |lead, text| text.parse().ok().map(|value| lead.co_buyer = Some(value)),
        _ => return None,
    })
}

impl PriorLeads {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, reading on from the key that names it.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let place = path.display();
        let unreadable = |error: std::io::Error| format!("is {place}, which cannot be read ({error})");
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > BYTES_MAX {
            return Err(format!("is {place}, which has {bytes} bytes, more than {BYTES_MAX}"));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let leads = leads_of(&bytes).map_err(|fault| format!("is {place}, {fault}"))?;
        Ok(PriorLeads { leads, fingerprint: xxh3_64(&bytes) })
    }
}

fn leads_of(bytes: &[u8]) -> Result<Vec<LeadFields>, String> {
    let mut reader = csv::Reader::from_reader(bytes);
    let unreadable = |error: csv::Error| format!("which is no CSV ({error})");
    let names = reader.headers().map_err(unreadable)?.clone();
    let columns: Vec<(usize, &str, Column)> =
        names.iter().enumerate().filter_map(|(index, name)| Some((index, name, column(name)?))).collect();
    if columns.is_empty() {
        return Err("whose first line names no column of table leads that tells something of a lead".to_owned());
    }
    let mut leads = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        let mut lead = LeadFields::default();
        for (index, name, set) in &columns {
            let text = record.get(*index).unwrap_or_default();
            if !text.is_empty() && set(&mut lead, text).is_none() {
                return Err(format!("where {name} is {text:?} in line {line}"));
            }
        }
        if leads.len() == LEADS_MAX {
            return Err(format!("which has more than {LEADS_MAX} leads"));
        }
        leads.push(lead);
    }
    if leads.is_empty() { Err("which has no leads".to_owned()) } else { Ok(leads) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_of_the_table_is_read_and_what_is_wrong_is_told_with_its_line() {
        let text = "dealer_id,lead_id,credit_score,engagement,co_buyer\nd-1,l-1,700,0.5,true\nd-2,l-2,,,\n";
        let leads = leads_of(text.as_bytes()).unwrap();
        let first = LeadFields {
            credit_score: Some(700),
            engagement: Some(0.5),
            co_buyer: Some(true),
            ..LeadFields::default()
        };
        assert_eq!(leads, [first, LeadFields::default()]);
        for (text, said) in [
            ("credit_score\nmany\n", "where credit_score is \"many\" in line 2"),
            ("engagement\n0.5\nNaN\n", "where engagement is \"NaN\" in line 3"),
            ("credit_score\n", "which has no leads"),
            ("lead_id\nl-1\n", "names no column"),
            ("credit_score,engagement\n1\n", "which is no CSV"),
        ] {
            let fault = leads_of(text.as_bytes()).unwrap_err();
            assert!(fault.contains(said), "{fault}");
        }
        assert!(PriorLeads::read(Path::new("/nowhere/leads.csv")).unwrap_err().contains("cannot be read"));
    }
}
