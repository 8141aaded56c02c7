//! `reference INPUT [TABLE]`: prints what the tables must say after a replay of the folder INPUT, as JSON.
//!
//! With a table's name it prints the array of its rows, without one an object of all tables.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use tests::reference::{Reference, Settings, Tables};

const USAGE: &str =
    "usage: reference INPUT [customers|daily_kpis|dead_letters|dealers|deals|leads|reps|sources|vehicles]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (input, table) = match arguments.as_slice() {
        [input] => (input, None),
        [input, table] => (input, Some(table.as_str())),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let tables = match Reference::read(Path::new(input), Settings::default()) {
        Ok(reference) => reference.tables(),
        Err(error) => {
            eprintln!("{error}: {}", error.source);
            return ExitCode::FAILURE;
        }
    };
    if let Some(table) = table
        && !tables.contains_key(table)
    {
        eprintln!("there is no table {table}\n{USAGE}");
        return ExitCode::from(2);
    }
    match print(&tables, table) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(tables: &Tables, table: Option<&str>) -> io::Result<()> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    match table.and_then(|name| tables.get(name)) {
        Some(rows) => serde_json::to_writer_pretty(&mut output, rows)?,
        None => serde_json::to_writer_pretty(&mut output, tables)?,
    }
    output.write_all(b"\n")?;
    output.flush()
}
