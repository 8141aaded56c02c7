//! Times the index pass and the reading of all chunks over one synthetic file, in MB/s of one thread and of two.
//!
//! ```text
//! cargo run --release -p connectors --example index_timing [EVENTS]
//! ```
//! The events are those of a month, 300 bytes each, with two in a hundred late by up to six hours.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use connectors::files::{ByteSource, ChunkReader, Compression, Index, IndexOptions, InputFile, OpenOptions, open_all};

const EVENT_BYTES: usize = 300;
const MONTH_MS: u64 = 30 * 24 * 3_600 * 1_000;
const LATE_MS_MAX: u64 = 6 * 3_600 * 1_000;
const START_MS: u64 = 1_772_323_200_000;
const TIME_AT: usize = br#"{"time":""#.len();
const TIME_DIGITS: usize = 13;

fn main() -> Result<(), Box<dyn Error>> {
    let events: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |argument| argument.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("leads.jsonl");
    write_events(std::fs::File::create(&path)?, events)?;
    let file = InputFile { topic: 0, partition: 0, path, compression: Compression::None };
    let options = OpenOptions { replay_buffer_bytes: 0, scratch: folder.path(), threads: 1 };
    let (sources, _) = open_all(vec![file], options)?;
    let sources: Arc<[ByteSource]> = sources.into();
    let megabytes = sources[0].len() as f64 / 1e6;

    for threads in [1, 1, 1, 2] {
        let options = IndexOptions { threads, ..IndexOptions::default() };
        let started = Instant::now();
        let plan = Index::build(&sources, options, time_of_line)?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "index, {threads} thread(s): {megabytes:.0} MB in {seconds:.3} s, {:.0} MB/s; {} epochs, {} ranges, {} chunks",
            megabytes / seconds,
            plan.epochs.len(),
            plan.ranges.len(),
            plan.chunks.len(),
        );
        let reader = ChunkReader::new(Arc::clone(&sources));
        let (mut buffer, mut lines, mut listed) = (Vec::new(), Vec::new(), 0);
        let started = Instant::now();
        for chunk in 0..plan.chunks.len() {
            reader.read(&plan, chunk, &mut buffer, &mut lines)?;
            listed += lines.len() as u64;
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("read, 1 thread: {listed} of {events} lines in {seconds:.3} s, {:.0} MB/s", megabytes / seconds);
    }
    Ok(())
}

/// A fixed place and thirteen digits: next to nothing, so that the index itself is timed.
fn time_of_line(line: &[u8]) -> Option<i64> {
    let digits = line.get(TIME_AT..TIME_AT + TIME_DIGITS)?;
    digits.iter().try_fold(0_i64, |time, digit| digit.is_ascii_digit().then(|| time * 10 + i64::from(digit - b'0')))
}

fn write_events(file: std::fs::File, events: u64) -> Result<(), Box<dyn Error>> {
    let mut writer = std::io::BufWriter::with_capacity(1 << 20, file);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut line = String::new();
    for number in 0..events {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let late = if random.is_multiple_of(50) { (random >> 16) % LATE_MS_MAX } else { 0 };
        let time = START_MS + number * MONTH_MS / events - late;
        line.clear();
        write!(line, r#"{{"time":"{time}","id":"event-{number}","noise":"{random:016x}","padding":""#)?;
        while line.len() < EVENT_BYTES - 4 {
            line.push('x');
        }
        line.push_str("\"}\n");
        writer.write_all(line.as_bytes())?;
    }
    writer.flush()?;
    Ok(())
}
