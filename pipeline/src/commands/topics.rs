//! `dealerflow topics`: makes the pipeline's topics, and lists them.

use std::path::PathBuf;

use connectors::log::TopicCreation;

use super::{CommandError, load_config};
use crate::logs::{PARTITIONS_DEFAULT, open_log, topic_specs};

/// Makes or lists the topics of the pipeline.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: TopicsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TopicsCommand {
    /// Make the topics that are missing; those that are there stay as they are
    Create {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Partitions of each topic but `epochs`, which has one
        #[arg(long, value_name = "N", default_value_t = PARTITIONS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        partitions: u32,
    },
    /// List the topics with their partitions and how many offsets each holds
    List {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Runs the command.
///
/// # Errors
/// If the log is out of reach or refuses.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    match &arguments.action {
        TopicsCommand::Create { config, partitions } => {
            let config = load_config(config.as_deref())?;
            let log = open_log(&config).map_err(CommandError::failed)?;
            let specs = topic_specs(*partitions);
            let made = log.admin().and_then(|mut admin| admin.create_topics(&specs)).map_err(CommandError::failed)?;
            for (spec, creation) in specs.iter().zip(made) {
                match creation {
                    TopicCreation::Created => println!("{:<16} made with {} partitions", spec.name, spec.partitions),
                    TopicCreation::AlreadyThere { partitions } => {
                        println!("{:<16} is there with {partitions} partitions", spec.name);
                    }
                }
            }
        }
        TopicsCommand::List { config } => {
            let config = load_config(config.as_deref())?;
            let log = open_log(&config).map_err(CommandError::failed)?;
            let mut admin = log.admin().map_err(CommandError::failed)?;
            println!("{:<16} {:>10} {:>16} {:>10}", "topic", "partitions", "offsets", "open");
            for spec in topic_specs(PARTITIONS_DEFAULT) {
                match admin.describe_topic(&spec.name).map_err(CommandError::failed)? {
                    None => println!("{:<16} is missing", spec.name),
                    Some(found) => {
                        let offsets: u64 = found.partitions.iter().map(|bounds| bounds.end - bounds.earliest).sum();
                        let open = found.partitions.iter().filter(|bounds| bounds.has_open_transaction()).count();
                        println!("{:<16} {:>10} {offsets:>16} {open:>10}", spec.name, found.partitions.len());
                    }
                }
            }
        }
    }
    Ok(())
}
