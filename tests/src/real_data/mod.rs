//! Real data, converted to our events. `README.md` beside this file has the mapping tables and what the data cannot say.
//!
//! ```text
//!  bpic2012_loan_applications ────► bank_log ──► bank ──► DIR/bank/{dealers,leads,deals,reps}.jsonl
//!  sec_auto_abs_loans ──► borrowers (seeded draw) ─┘
//!  toyota_dealer_inventory_daily ──► snapshots ──► inventory ──► DIR/inventory/{dealers,inventory}.jsonl
//! ```
//!
//! Two folders for two replays: fourteen years lie between the bank's log and the inventory, so in one replay every lead
//! and deal would be past its retention when the first car appears.
//!
//! The same data gives the same bytes. The data stays where it is: it is no part of the project, so whoever lacks it skips
//! these tests ([`absent`] says why).

mod bank;
mod bank_log;
mod borrowers;
mod inventory;
mod snapshots;
mod table_file;
mod topics;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use self::topics::Topics;

/// The seed of the draw of borrowers' profiles.
pub const PROFILE_SEED: u64 = 2_012;

/// What became of the records of one data set: how many by outcome. Each record has exactly one.
pub type Outcomes = BTreeMap<String, u64>;

/// What a conversion did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Events written to the bank's folder, by type.
    pub bank_events_by_type: BTreeMap<String, u64>,
    /// Events written to the inventory's folder, by type.
    pub inventory_events_by_type: BTreeMap<String, u64>,
    /// The bank's log: the event type each of its rows became, or `skipped: …`.
    pub bank: Outcomes,
    /// The inventory's snapshot rows, and the changes found between them.
    pub inventory: Outcomes,
    /// The borrowers: in the pool of the draw, or `skipped: …`.
    pub borrowers: Outcomes,
}

/// A conversion that could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum RealDataError {
    /// A file cannot be read.
    #[error("cannot read {}; check that it exists and is whole", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system or the CSV reader said.
        source: io::Error,
    },
    /// A row does not look like the data the converter was written for.
    #[error("{} line {line}: {problem}; the converter knows the files as their PROVENANCE.md describes them", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Its line, the header being the first.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The output folder holds something.
    #[error("{} is not empty; name a new folder", path.display())]
    OutputNotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The output cannot be written.
    #[error("cannot write {}; check the disk and the permissions", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A sentence on why the real data cannot be used, or `None` if all of its files are in `shared`.
pub fn absent(shared: &Path) -> Option<String> {
    let missing = [bank_log::FILE, snapshots::FILE, borrowers::FILE].map(|file| shared.join(file));
    let missing = missing.iter().find(|file| !file.is_file())?;
    Some(format!(
        "real data: {} is absent. The data's licences keep it out of the project; it is looked for in ../shared/data \
         beside the checkout, or where DEALERFLOW_REAL_DATA points",
        missing.display()
    ))
}

/// Where the tests look for the real data.
pub fn default_folder() -> PathBuf {
    std::env::var_os("DEALERFLOW_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from)
}

/// The folder of the bank's topics inside the output.
pub const BANK_FOLDER: &str = "bank";

/// The folder of the inventory's topics inside the output.
pub const INVENTORY_FOLDER: &str = "inventory";

/// Converts all three data sets in `shared` and writes their topics to two folders in `output`, which must be new or empty.
///
/// # Errors
/// When a file is absent or not as described, or the output cannot be written; then the output may be incomplete.
pub fn convert(shared: &Path, output: &Path) -> Result<Summary, RealDataError> {
    topics::prepare(output)?;
    let (pool, borrowers) = borrowers::read(&shared.join(borrowers::FILE), PROFILE_SEED)?;
    let log = bank_log::read(&shared.join(bank_log::FILE))?;
    let mut topics = Topics::default();
    let bank = bank::convert(&log, &pool, &mut topics);
    let bank_events_by_type = topics.write(&output.join(BANK_FOLDER))?;

    let (lots, mut inventory) = snapshots::read(&shared.join(snapshots::FILE))?;
    let mut topics = Topics::default();
    inventory::convert(&lots, &mut topics, &mut inventory);
    let inventory_events_by_type = topics.write(&output.join(INVENTORY_FOLDER))?;
    Ok(Summary { bank_events_by_type, inventory_events_by_type, bank, inventory, borrowers })
}

/// Adds one to an outcome.
fn count(outcomes: &mut Outcomes, outcome: &str) {
    if let Some(number) = outcomes.get_mut(outcome) {
        *number += 1;
    } else {
        outcomes.insert(outcome.to_owned(), 1);
    }
}

#[cfg(test)]
mod tests;
