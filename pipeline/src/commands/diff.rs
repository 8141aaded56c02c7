//! `dealerflow diff`: two replays' outputs compared, table by table and topic by topic.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use sql::difference::differences;

use super::CommandError;
use crate::replay::output::open_output;

/// Differences told of each table and topic.
const DIFFERENCES_TOLD_MAX: usize = 10;

/// Compares two outputs.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One output folder
    left: PathBuf,
    /// The other
    right: PathBuf,
    /// Leave epoch numbers out, to compare replays of different widths
    #[arg(long)]
    ignore_epochs: bool,
}

/// Runs the command.
///
/// # Errors
/// If an output cannot be read, or the outputs differ.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let left = open_output(&arguments.left).map_err(CommandError::failed)?;
    let right = open_output(&arguments.right).map_err(CommandError::failed)?;
    let (tables, columns): (&[&str], &[&str]) =
        if arguments.ignore_epochs { (&["epochs"], &["epoch", "assigned_epoch"]) } else { (&[], &[]) };
    let mut unequal = 0;
    for table in differences(&left, &right, tables, columns, DIFFERENCES_TOLD_MAX).map_err(CommandError::failed)? {
        report("table", &table.table, table.rows, &table.differences);
        unequal += usize::from(!table.differences.is_empty());
    }
    let mut topics = BTreeSet::new();
    for folder in [&arguments.left, &arguments.right] {
        topics.extend(topic_files(folder)?);
    }
    for topic in topics {
        let (lines, told) = compare_topic(&arguments.left, &arguments.right, &topic, arguments.ignore_epochs)?;
        report("topic", topic.trim_end_matches(".jsonl"), lines, &told);
        unequal += usize::from(!told.is_empty());
    }
    if unequal == 0 {
        println!("equal");
        return Ok(());
    }
    Err(CommandError::failed(format!("the outputs differ in {unequal} tables or topics")))
}

fn report(kind: &str, name: &str, (left, right): (usize, usize), differences: &[String]) {
    if differences.is_empty() {
        println!("{kind} {name}: equal, {left}");
        return;
    }
    println!("{kind} {name}: DIFFERENT, {left} on the left, {right} on the right");
    for difference in differences {
        println!("  {difference}");
    }
}

fn topic_files(output: &Path) -> Result<Vec<String>, CommandError> {
    let folder = output.join("topics");
    let unreadable =
        |error: std::io::Error| CommandError::failed(format!("{} cannot be read: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// The lines of a topic; none if there is no such file.
fn lines_of(output: &Path, topic: &str) -> Result<Box<dyn Iterator<Item = std::io::Result<String>>>, CommandError> {
    let path = output.join("topics").join(topic);
    match File::open(&path) {
        Ok(file) => Ok(Box::new(BufReader::new(file).lines())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Box::new(std::iter::empty())),
        Err(error) => Err(CommandError::failed(format!("{} cannot be read: {error}", path.display()))),
    }
}

fn without_epoch(line: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(mut event) => {
            if let Some(object) = event.as_object_mut() {
                object.remove("epoch");
                object.get_mut("data").and_then(|data| data.as_object_mut()).and_then(|data| data.remove("epoch"));
            }
            event.to_string()
        }
        Err(_) => line.to_owned(),
    }
}

type TopicComparison = ((usize, usize), Vec<String>);

fn compare_topic(left: &Path, right: &Path, topic: &str, ignore_epochs: bool) -> Result<TopicComparison, CommandError> {
    let (mut left, mut right) = (lines_of(left, topic)?, lines_of(right, topic)?);
    let failed = |error: std::io::Error| CommandError::failed(format!("topic {topic} cannot be read: {error}"));
    let (mut counts, mut told, mut number) = ((0, 0), Vec::new(), 0);
    loop {
        number += 1;
        let pair = (left.next().transpose().map_err(failed)?, right.next().transpose().map_err(failed)?);
        counts.0 += usize::from(pair.0.is_some());
        counts.1 += usize::from(pair.1.is_some());
        let sentence = match pair {
            (None, None) => return Ok((counts, told)),
            (Some(left), Some(right)) if left == right => continue,
            (Some(left), Some(right)) if ignore_epochs && without_epoch(&left) == without_epoch(&right) => continue,
            (Some(left), Some(right)) => format!("line {number}: {left} on the left, {right} on the right"),
            (Some(left), None) => format!("line {number} is on the left alone: {left}"),
            (None, Some(right)) => format!("line {number} is on the right alone: {right}"),
        };
        if told.len() < DIFFERENCES_TOLD_MAX {
            told.push(sentence);
        }
    }
}
