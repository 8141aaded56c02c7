//! `kafka-loop parse|forward --brokers B --prefix P`: the hand-written loops over a broker as a process of their own, to be timed whole.

use std::process::ExitCode;

use benches::kafka::hand_loop::{Mode, run};
use clap::Parser;

/// Reads the input topics to their ends; parses, or parses and writes on
#[derive(Parser)]
#[command(name = "kafka-loop")]
struct Arguments {
    /// How far to go
    mode: Mode,
    /// HOST:PORT
    #[arg(long)]
    brokers: String,
    /// What the topics begin with
    #[arg(long, default_value = "")]
    prefix: String,
}

fn main() -> ExitCode {
    let Arguments { mode, brokers, prefix } = Arguments::parse();
    match run(&brokers, &prefix, mode) {
        Ok(report) => {
            println!("records {}\nparsed {}\ntransactions {}", report.records, report.parsed, report.transactions);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("kafka-loop: {error}");
            ExitCode::FAILURE
        }
    }
}
