//! WHACO: how long the analysis of a lead takes, when its dealer's model is at hand and when it has to be fetched.
//!
//! An analysis is everything that the machine does with a new lead: score, cluster, confidence, both priorities, the decision whether it is
//! an outlier, the reasons if so, and learning, reclusterings included.

use operators::models::whaco::features::LeadFields;
use operators::models::whaco::lead::LeadModel;
use operators::models::whaco::settings::{Settings, SettingsError};

use crate::figures::Target;
use crate::repeat::{seconds, units};
use crate::table::Table;

const LEADS: usize = 400_000;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report(Table);

fn lead(unit: &mut impl FnMut() -> f64) -> LeadFields {
    let mut upto = |greatest: f64| (greatest * unit()) as u64;
    LeadFields {
        credit_score: Some(450 + upto(380.0)),
        annual_income_cents: Some(3_000_000 + upto(12_000_000.0)),
        vehicle_price_cents: Some(1_500_000 + upto(4_000_000.0)),
        down_payment_cents: Some(upto(1_000_000.0)),
        trade_value_cents: (upto(10.0) < 4).then(|| upto(2_000_000.0)),
        visit_count: Some(upto(4.0)),
        co_buyer: Some(upto(10.0) < 3),
        term_months: Some(36 + 12 * upto(5.0)),
        time_on_lot_minutes: Some(90.0 * unit()),
        engagement: Some(unit()),
        payment_sensitivity: None,
    }
}

/// Measures it. `say` hears of each step as it begins.
///
/// # Errors
/// If the settings of leads do not make a model.
pub fn measure(rounds: usize, say: impl Fn(&str)) -> Result<Report, SettingsError> {
    let mut table = Table::new(&["work", "bytes a model", "least", "median", "greatest", "target", "verdict"]);
    let mut unit = units(1);
    let leads: Vec<LeadFields> = (0..LEADS).map(|_| lead(&mut unit)).collect();
    let settings = Settings::leads();
    for dealers in [1, 500] {
        say(&format!("{LEADS} leads of {dealers} dealers"));
        let mut models = vec![LeadModel::new(settings.clone())?; dealers];
        let (mut priority, mut outliers) = (0.0, 0_u64);
        // A prime stride, so that the next lead is never of a neighbour that was fetched along.
        let spread = seconds(rounds, || {
            for (number, fields) in leads.iter().enumerate() {
                let analysis = models[number * 7_919 % dealers].analyse(fields);
                priority += analysis.priority;
                outliers += u64::from(analysis.reasons.is_some());
            }
        });
        std::hint::black_box((priority, outliers));
        let Some(spread) = spread else { continue };
        let scale = 1e6 / LEADS as f64;
        let figure = |seconds: f64| format!("{:.3} µs", seconds * scale);
        let target = Target::AtMost(1.0);
        table.row([
            format!("an analysis, {dealers} dealers in turn"),
            settings.state_bytes().to_string(),
            figure(spread.least),
            figure(spread.median),
            figure(spread.greatest),
            format!("{target} µs"),
            target.verdict(spread.median * scale).to_owned(),
        ]);
    }
    Ok(Report(table))
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)
    }
}
