//! Daily snapshots of eleven Toyota dealers' lots: which car stood where on which day.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::NaiveDate;

use super::{Outcomes, RealDataError, count, table_file};

/// The file, in the folder of shared data.
pub(super) const FILE: &str = "toyota_dealer_inventory_daily/snapshots.csv.gz";

/// A car on one day.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sighting {
    pub(super) status: String,
    pub(super) year: i64,
    pub(super) trim: String,
    pub(super) exterior_color: String,
    /// In dollars.
    pub(super) msrp: Option<f64>,
    /// In dollars, as scraped.
    pub(super) total_price: Option<f64>,
}

/// One dealer's lot.
#[derive(Debug, Clone, Default)]
pub(super) struct Lot {
    /// The days on which the scraper reached the dealer.
    pub(super) days: BTreeSet<NaiveDate>,
    /// The sightings by VIN and day.
    pub(super) cars: BTreeMap<String, BTreeMap<NaiveDate, Sighting>>,
}

/// Reads the lots by dealer's name, and what became of the rows: of several for one car on one day the last counts.
pub(super) fn read(path: &Path) -> Result<(BTreeMap<String, Lot>, Outcomes), RealDataError> {
    let mut lots: BTreeMap<String, Lot> = BTreeMap::new();
    let mut outcomes = Outcomes::new();
    table_file::for_each_row(path, |row| {
        let day_text = row.text("snapshot_date")?;
        let day = NaiveDate::parse_from_str(day_text, "%Y-%m-%d")
            .map_err(|error| row.problem(format!("snapshot_date {day_text:?}: {error}")))?;
        let lot = lots.entry(row.text("dealer_name")?.to_owned()).or_default();
        lot.days.insert(day);
        let vin = row.text("vin")?;
        if vin.is_empty() {
            count(&mut outcomes, "row skipped: no VIN");
            return Ok(());
        }
        let sighting = Sighting {
            status: row.text("status")?.to_owned(),
            year: row.number("year")?.ok_or_else(|| row.problem("a car without a year".to_owned()))? as i64,
            trim: row.text("trim")?.to_owned(),
            exterior_color: row.text("exterior_color")?.to_owned(),
            msrp: row.number("msrp")?,
            total_price: row.number("total_price")?,
        };
        let before = lot.cars.entry(vin.to_owned()).or_default().insert(day, sighting);
        count(&mut outcomes, if before.is_some() { "row skipped: repeated" } else { "row used" });
        Ok(())
    })?;
    Ok((lots, outcomes))
}
