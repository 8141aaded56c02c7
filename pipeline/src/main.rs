//! The command line of dealerflow.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pipeline::commands::{self, CommandError};

/// A stream-processing pipeline for car dealerships
#[derive(Debug, Parser)]
#[command(name = "dealerflow", version, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run simulated dealers through the whole pipeline, with nothing installed
    Demo(commands::demo::Arguments),
    /// Run the pipeline against the log
    Run(commands::run::Arguments),
    /// Turn files of events into output topics, Parquet and tables
    Replay(commands::replay::Arguments),
    /// Ask the tables of a replay's output
    Sql(commands::sql::Arguments),
    /// Compare the outputs of two replays
    Diff(commands::diff::Arguments),
    /// Check the configuration and what it names
    Check(commands::check::Arguments),
    /// Make a reproducible world of events
    Simulate(commands::simulate::Arguments),
    /// Make and list the pipeline's topics
    Topics(commands::topics::Arguments),
    /// List, show and send again what was not accepted
    DeadLetters(commands::dead_letters::Arguments),
    /// Prove from the topics that every epoch is there once and whole
    Audit(commands::audit::Arguments),
    /// Print the dataflow
    Graph(commands::graph::Arguments),
    /// Try the models on your own numbers
    Lab(commands::lab::Arguments),
}

fn main() -> ExitCode {
    pipeline::allocator::for_batch();
    let outcome = match CommandLine::parse().command {
        Command::Demo(arguments) => commands::demo::run(&arguments),
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::Topics(arguments) => commands::topics::run(&arguments),
        Command::DeadLetters(arguments) => commands::dead_letters::run(&arguments),
        Command::Audit(arguments) => commands::audit::run(&arguments),
        Command::Replay(arguments) => commands::replay::run(&arguments),
        Command::Sql(arguments) => commands::sql::run(&arguments),
        Command::Diff(arguments) => commands::diff::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Simulate(arguments) => commands::simulate::run(&arguments),
        Command::Graph(arguments) => commands::graph::run(&arguments),
        Command::Lab(arguments) => commands::lab::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError { exit_code, sentence }) => {
            eprintln!("dealerflow: {sentence}");
            ExitCode::from(exit_code)
        }
    }
}
