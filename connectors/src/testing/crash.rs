//! A process that commits until it is killed, and the proof of what it left.
//!
//! ```text
//!  child    open ─► group 0 ─► "0" ─► group 1 ─► "1" ─► …          says each group once it is told Committed
//!  parent   reads some lines ─► SIGKILL ─► opens a committer ─► reads all to the end:
//!           epochs 0 1 2 … n without a gap, n ≥ what was said, and every partition holds exactly these groups, in order
//! ```
//! Group `n` puts `1 + n % 50` records on each of three partitions, and one on the topic of epochs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use super::conformance::commit;
use super::helpers::{payloads, push, read_to_end, start_at, topic};
use crate::log::{CommitGroup, CommitterIdentity, Log};

/// Set for the child process.
pub const CHILD_VARIABLE: &str = "DEALERFLOW_CRASH_CHILD";
const OUTPUTS: [(&str, u32); 3] = [("crash-a", 0), ("crash-a", 1), ("crash-b", 0)];
const EPOCHS: &str = "crash-epochs";

/// Makes the topics of the check.
pub fn prepare(log: &dyn Log) {
    topic(log, "crash-a", 2);
    topic(log, "crash-b", 1);
    topic(log, EPOCHS, 1);
}

fn records_of_group(number: u32) -> u32 {
    1 + number % 50
}

/// Goes on behind what is there, for ever: what the child process does.
pub fn commit_until_killed(log: &dyn Log) -> ! {
    let mut committer =
        log.committer(CommitterIdentity { name: "crash".to_owned(), incarnation: "child".to_owned() }).unwrap();
    committer.open().unwrap();
    let mut number = read_to_end(log, &[start_at(EPOCHS, 0, None)]).unwrap().len() as u32;
    let mut group = CommitGroup::new();
    let mut output = std::io::stdout();
    loop {
        group.clear();
        let payload = number.to_string();
        for _ in 0..records_of_group(number) {
            for (topic, partition) in OUTPUTS {
                push(&mut group.records, topic, partition, payload.as_bytes());
            }
        }
        push(&mut group.records, EPOCHS, 0, payload.as_bytes());
        commit(committer.as_mut(), &group);
        writeln!(output, "committed {number}").unwrap();
        output.flush().unwrap();
        number += 1;
    }
}

/// Waits until the child has said `lines` groups, kills it, and returns the last that it said.
pub fn kill_after(mut child: Child, lines: usize) -> Option<u32> {
    let output = child.stdout.take().expect("the child's output is piped");
    let mut said = None;
    let mut seen = 0;
    for line in BufReader::new(output).lines() {
        let line = line.unwrap();
        if let Some(number) = line.strip_prefix("committed ") {
            said = number.parse().ok();
            seen += 1;
            if seen == lines {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(seen >= lines, "the child ended by itself after {seen} groups");
    said
}

/// Starts this test program again to run the test called `test` alone, with `value` in [`CHILD_VARIABLE`].
pub fn child(test: &str, value: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new(program);
    command.args([test, "--exact", "--nocapture", "--include-ignored"]).env(CHILD_VARIABLE, value);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Proves that every group is there whole or not at all, in order, none twice, none lost of those that were said to be committed.
/// The number of groups.
pub fn prove(log: &dyn Log, said: Option<u32>) -> u32 {
    let mut committer =
        log.committer(CommitterIdentity { name: "crash".to_owned(), incarnation: "parent".to_owned() }).unwrap();
    committer.open().unwrap();
    let epochs = payloads(&read_to_end(log, &[start_at(EPOCHS, 0, None)]).unwrap());
    let count = epochs.len() as u32;
    assert_eq!(epochs, (0..count).map(|number| number.to_string()).collect::<Vec<_>>(), "no gap and no repeat");
    assert!(said.is_none_or(|said| said < count), "group {said:?} was committed, and {count} groups are there");
    let expected: Vec<String> =
        (0..count).flat_map(|number| (0..records_of_group(number)).map(move |_| number.to_string())).collect();
    for (topic, partition) in OUTPUTS {
        let read = payloads(&read_to_end(log, &[start_at(topic, partition, None)]).unwrap());
        assert!(read == expected, "{topic}/{partition}: {} records, expected {}", read.len(), expected.len());
    }
    count
}
