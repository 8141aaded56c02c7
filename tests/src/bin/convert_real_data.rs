//! `convert_real_data --shared DIR --output DIR`: real data as our events, see `tests/src/real_data/README.md`.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::Path;
use std::process::ExitCode;

use tests::real_data;

const USAGE: &str = "usage: convert_real_data --shared DIR --output DIR";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (shared, output) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--shared", shared, "--output", output] | ["--output", output, "--shared", shared] => {
            (Path::new(*shared), Path::new(*output))
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(reason) = real_data::absent(shared) {
        eprintln!("{reason}");
        return ExitCode::FAILURE;
    }
    match real_data::convert(shared, output) {
        Ok(summary) => {
            print("events of the bank", &summary.bank_events_by_type);
            print("events of the inventory", &summary.inventory_events_by_type);
            print("rows of the bank's log", &summary.bank);
            print("inventory", &summary.inventory);
            print("borrowers", &summary.borrowers);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("{error}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn print(title: &str, counts: &BTreeMap<String, u64>) {
    println!("{title}: {}", counts.values().sum::<u64>());
    for (name, number) in counts {
        println!("  {number:>8}  {name}");
    }
}
