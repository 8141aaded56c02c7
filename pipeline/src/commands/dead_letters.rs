//! `dealerflow dead-letters`: what was not accepted, why, and sending it again.
//!
//! ```text
//!   list ─▶ a line each      show leads/0/17 ─▶ headers and the original bytes      replay leads/0/17 ─▶ its input topic, again
//! ```
//! A dead letter is named by where its record lay: topic, partition and offset.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use connectors::log::{Log, OutgoingRecords, TopicPartition, partition_of_key};
use operators::domain::event::Topic;

use super::{CommandError, load_config};
use crate::logs::open_log;
use crate::messages::DEAD_LETTERS;
use crate::run::starting::read_to_end;

/// Lists, shows and sends again what was not accepted.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Configuration file; the defaults if not given
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    action: DeadLettersCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DeadLettersCommand {
    /// List them, the latest last
    List {
        /// Only those with this reason code
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
        /// The latest so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show one: its headers on standard error, the original bytes on standard output
    Show {
        /// Where the record lay, such as leads/0/17
        place: String,
    },
    /// Append one to its input topic again, as it was or mended
    Replay {
        /// Where the record lay, such as leads/0/17
        place: String,
        /// A file with the mended record
        #[arg(long, value_name = "FILE")]
        payload: Option<PathBuf>,
    },
}

/// A message of topic `dead-letters`.
struct Letter {
    key: Option<Vec<u8>>,
    payload: Vec<u8>,
    headers: BTreeMap<String, String>,
}

impl Letter {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn place(&self) -> String {
        format!("{}/{}/{}", self.header("topic"), self.header("partition"), self.header("offset"))
    }
}

/// Hands every dead letter on, partition by partition.
fn each_letter(log: &dyn Log, mut each: impl FnMut(Letter)) -> Result<(), CommandError> {
    let found = log.admin().and_then(|mut admin| admin.existing_topic(DEAD_LETTERS)).map_err(CommandError::failed)?;
    for partition in 0..found.partitions.len() as u32 {
        read_to_end(log, DEAD_LETTERS, partition, 0, |_, record| {
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
            each(Letter {
                key: record.body.key.map(<[u8]>::to_vec),
                payload: record.body.payload.unwrap_or_default().to_vec(),
                headers: record
                    .body
                    .headers
                    .iter()
                    .map(|header| (header.name.to_owned(), text(header.value)))
                    .collect(),
            });
            Ok(())
        })
        .map_err(CommandError::failed)?;
    }
    Ok(())
}

/// The letter of a place; the latest, if its record was refused more than once.
fn find(log: &dyn Log, place: &str) -> Result<Letter, CommandError> {
    let mut found = None;
    each_letter(log, |letter| {
        if letter.place() == place {
            found = Some(letter);
        }
    })?;
    found.ok_or_else(|| {
        CommandError::failed(format!(
            "there is no dead letter of {place}: `dealerflow dead-letters list` names those there are"
        ))
    })
}

/// Runs the command.
///
/// # Errors
/// If the log cannot be read or written, or there is no such dead letter.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let config = load_config(arguments.config.as_deref())?;
    let log = open_log(&config).map_err(CommandError::failed)?;
    match &arguments.action {
        DeadLettersCommand::List { reason, limit } => list(log.as_ref(), reason.as_deref(), *limit),
        DeadLettersCommand::Show { place } => {
            let letter = find(log.as_ref(), place)?;
            for (name, value) in &letter.headers {
                eprintln!("{name}: {value}");
            }
            std::io::stdout().write_all(&letter.payload).map_err(CommandError::failed)
        }
        DeadLettersCommand::Replay { place, payload } => {
            let letter = find(log.as_ref(), place)?;
            let bytes = match payload {
                Some(path) => std::fs::read(path)
                    .map_err(|error| CommandError::failed(format!("{} cannot be read: {error}", path.display())))?,
                None if letter.headers.contains_key("record-bytes") => {
                    return Err(CommandError::failed(format!(
                        "the dead letter holds only the beginning of its record of {} bytes: give the whole with --payload",
                        letter.header("record-bytes")
                    )));
                }
                None => letter.payload.clone(),
            };
            replay(log.as_ref(), &letter, &bytes)
        }
    }
}

fn list(log: &dyn Log, reason: Option<&str>, limit: usize) -> Result<(), CommandError> {
    // By epoch and place; only the latest are kept, so a long topic costs no memory.
    let mut lines: BTreeMap<(i64, String), (String, String)> = BTreeMap::new();
    let mut total = 0_u64;
    each_letter(log, |letter| {
        let code = letter.header("reason-code").to_owned();
        if reason.is_none_or(|reason| reason == code) {
            total += 1;
            let epoch = letter.header("epoch").parse().unwrap_or(i64::MIN);
            lines.insert((epoch, letter.place()), (code, letter.header("reason").to_owned()));
            if lines.len() > limit {
                lines.pop_first();
            }
        }
    })?;
    println!("{:<24} {:<20} reason", "place", "code");
    for ((_, place), (code, sentence)) in &lines {
        println!("{place:<24} {code:<20} {sentence}");
    }
    println!("{} of {total}", lines.len());
    Ok(())
}

fn replay(log: &dyn Log, letter: &Letter, bytes: &[u8]) -> Result<(), CommandError> {
    let name = letter.header("topic");
    let topic = Topic::ALL.into_iter().find(|topic| topic.name() == name);
    let topic =
        topic.ok_or_else(|| CommandError::failed(format!("the dead letter names no input topic but {name:?}")))?;
    let described =
        log.admin().and_then(|mut admin| admin.describe_topic(topic.name())).map_err(CommandError::failed)?;
    let partitions = described.map_or(1, |found| found.partitions.len().max(1) as u32);
    let partition = partition_of_key(letter.key.as_deref().unwrap_or(bytes), partitions);
    let mut records = OutgoingRecords::new();
    let place = records.place(&TopicPartition::new(topic.name(), partition));
    let time_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    records.push(place, time_ms as i64, letter.key.as_deref(), Some(bytes), []);
    let appended = log.appender("dead-letters").and_then(|mut appender| appender.append(&records, None));
    for range in appended.map_err(CommandError::failed)?.ranges {
        println!("appended to {} at offset {}", range.topic_partition, range.offset_first);
    }
    Ok(())
}
