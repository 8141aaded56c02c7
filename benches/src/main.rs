//! The runner of the benchmarks; `benches/README.md` says how to read what it prints.

use std::path::PathBuf;
use std::process::ExitCode;

use benches::child::Binaries;
use benches::failure::Failure;
use benches::input::InputFolder;
use benches::{assignment, flatness, http, kafka, oscillators, replay, restart, serving, whaco};
use clap::{Args, Parser, Subcommand};

/// Times the pipeline beside a hand-written loop over the same files.
#[derive(Parser)]
#[command(name = "benches", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    replay: ReplayArguments,
}

#[derive(Subcommand)]
enum Mode {
    /// Loop and pipeline take turns over one folder; the default.
    Replay(ReplayArguments),
    /// Cost per event at 1, 3 and 10 million events.
    Flatness(FlatnessArguments),
    /// Oscillator networks: time of a step and of a tick over all dealers, and what both objectives reach.
    Oscillators(ModelArguments),
    /// On a real broker: from an event produced to its result readable.
    KafkaLatency(KafkaLatencyArguments),
    /// On a real broker: a backlog worked off, beside hand-written loops.
    KafkaThroughput(KafkaThroughputArguments),
    /// Restart with a million live entities: time to ready, and memory.
    Restart(RestartArguments),
    /// Lead assignment: gap to the exact optimum by iteration, and time.
    Assignment(ModelArguments),
    /// Queries over the wire while 20,000 events a second stream in: percentiles, and what they take from the events.
    Serving(ModelArguments),
    /// WHACO: time of the analysis of a lead, with one dealer and with 500 in turn.
    Whaco(ModelArguments),
    /// The HTTP API while 20,000 events a second stream in: recorded analyses, previews, delay of the pulse stream.
    Http,
}

#[derive(Args)]
struct KafkaLatencyArguments {
    /// Events a second.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// How long, in seconds; the first fifteen do not count.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(16..))]
    seconds: u64,
    /// Worker threads.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    workers: u64,
    /// Partitions of each topic.
    #[arg(long, default_value_t = kafka::PARTITIONS, value_parser = clap::value_parser!(u32).range(1..=100))]
    partitions: u32,
    /// Seed of the simulated world.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct KafkaThroughputArguments {
    /// Events of the backlog.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Rounds; every subject runs once in each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Worker threads.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    workers: u64,
    /// Seed of the simulated world.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct ModelArguments {
    /// Rounds; every subject runs once in each.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
}

#[derive(Args)]
struct ReplayArguments {
    /// Events to simulate.
    #[arg(long, default_value_t = 1_000_000, conflicts_with = "input")]
    events: u64,
    /// Seed of the simulated world.
    #[arg(long, default_value_t = 1, conflicts_with = "input")]
    seed: u64,
    /// Rounds; every subject runs once in each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Folder of <topic>.jsonl files to take instead of simulating.
    #[arg(long)]
    input: Option<PathBuf>,
}

#[derive(Args)]
struct RestartArguments {
    /// Events that fill the log; of 4.6 million come about a million entities.
    #[arg(long, default_value_t = 4_600_000)]
    events: u64,
}

#[derive(Args)]
struct FlatnessArguments {
    /// Rounds; every size runs once in each.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Seed of the simulated world.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also 30 million events (9 GB of scratch files).
    #[arg(long)]
    full: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let say = |what: &str| eprintln!("{what}");
    let outcome = match arguments.mode.unwrap_or(Mode::Replay(arguments.replay)) {
        Mode::Replay(arguments) => run_replay(&arguments, say),
        Mode::Flatness(FlatnessArguments { rounds, seed, full }) => Binaries::beside_this_one()
            .and_then(|binaries| flatness::measure(&binaries, rounds as usize, seed, full, say))
            .map(|flatness| println!("{flatness}")),
        Mode::KafkaLatency(KafkaLatencyArguments { rate, seconds, workers, partitions, seed }) => {
            let settings = kafka::latency::Settings { rate, seconds, workers, partitions, seed };
            Binaries::beside_this_one()
                .and_then(|binaries| kafka::latency::measure(&binaries, settings, say))
                .map(|latency| println!("{latency}"))
        }
        Mode::KafkaThroughput(KafkaThroughputArguments { events, rounds, workers, seed }) => {
            let settings = kafka::throughput::Settings { events, rounds, workers, seed };
            Binaries::beside_this_one()
                .and_then(|binaries| kafka::throughput::measure(&binaries, settings, say))
                .map(|throughput| println!("{throughput}"))
        }
        Mode::Restart(RestartArguments { events }) => Binaries::beside_this_one()
            .and_then(|binaries| restart::measure(&binaries, events, say))
            .map(|restart| println!("{restart}")),
        Mode::Oscillators(ModelArguments { rounds }) => {
            println!("{}", oscillators::measure(rounds as usize, say));
            Ok(())
        }
        Mode::Assignment(ModelArguments { rounds }) => {
            println!("{}", assignment::measure(rounds as usize, say));
            Ok(())
        }
        Mode::Serving(ModelArguments { rounds }) => Binaries::beside_this_one()
            .and_then(|binaries| serving::measure(&binaries, rounds as usize, say))
            .map(|serving| println!("{serving}")),
        Mode::Whaco(ModelArguments { rounds }) => {
            whaco::measure(rounds as usize, say).map(|report| println!("{report}")).map_err(Failure::from)
        }
        Mode::Http => Binaries::beside_this_one()
            .and_then(|binaries| http::measure(&binaries, say))
            .map(|found| println!("{found}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("benches: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run_replay(arguments: &ReplayArguments, say: impl Fn(&str)) -> Result<(), Failure> {
    let binaries = Binaries::beside_this_one()?;
    let input = if let Some(path) = &arguments.input {
        InputFolder::given(path)
    } else {
        say(&format!("simulating {} events", arguments.events));
        InputFolder::simulated(&binaries, arguments.events, arguments.seed)?
    };
    println!("{}", replay::measure(&binaries, input.path(), arguments.rounds as usize, say)?);
    Ok(())
}
