//! `loop FOLDER [--only parse | parse-dedup]`: the hand-written loop as a process of its own, to be timed whole.
//!
//! It keeps the system's allocator: the loop's memory is a few vectors that grow, and `realloc` of the system moves their pages
//! where mimalloc copies their bytes (measured: half the time in the kernel, a sixth less memory).

use std::path::PathBuf;
use std::process::ExitCode;

use benches::hand_loop::{Extent, run};
use clap::Parser;

/// Parses, deduplicates and merges a folder of events on one thread, and prints the totals of the daily KPIs.
#[derive(Parser)]
#[command(name = "loop")]
struct Arguments {
    /// Folder of <topic>.jsonl files.
    folder: PathBuf,
    /// Stop after a part of the work.
    #[arg(long, default_value = "full")]
    only: Extent,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.folder, arguments.only) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("loop: {error}");
            ExitCode::FAILURE
        }
    }
}
