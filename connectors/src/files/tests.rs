//! The way from files to lines as a whole, against a plain reference that holds everything in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::error::FilesError;
use crate::files::index::build_with_segments;
use crate::files::testing::{gzip, leading_number, sources, zstandard};
use crate::files::{
    ByteSource, ChunkReader, Compression, Index, IndexOptions, InputFile, Line, OpenOptions, Plan, open_all,
};

/// File, line number, epoch and bytes of a line.
type Listed = (u32, u64, i64, Vec<u8>);

const SMALL: IndexOptions = IndexOptions {
    threads: 1,
    target_epoch_records: 3,
    epoch_width_ms: None,
    chunk_bytes: 40,
    line_bytes_max: 1 << 20,
};

fn listed(reader: &ChunkReader, plan: &Plan) -> Result<Vec<Listed>, FilesError> {
    let mut all = Vec::new();
    let (mut buffer, mut lines) = (Vec::new(), Vec::new());
    for (index, chunk) in plan.chunks.iter().enumerate() {
        reader.read(plan, index, &mut buffer, &mut lines)?;
        assert_eq!(lines.len() as u64, chunk.records);
        assert!(lines.iter().all(|line| (chunk.epoch_first..=chunk.epoch_last).contains(&line.epoch)));
        let bytes = |line: &Line| buffer[line.start as usize..line.end as usize].to_vec();
        all.extend(lines.iter().map(|line| (line.file, line.line_number, line.epoch, bytes(line))));
    }
    Ok(all)
}

/// What the index and the reader must say, computed the long way: all lines by epoch, file and line, and the time (by file
/// and line) that lines without one count as.
fn reference(contents: &[&[u8]], options: IndexOptions) -> (Vec<Listed>, Vec<(u32, u64, i64)>) {
    let mut per_file = Vec::new();
    let mut readable = Vec::new();
    for content in contents {
        let physical = content.strip_suffix(b"\n").unwrap_or(content).split(|byte| *byte == b'\n');
        let lines: Vec<(u64, Option<i64>, &[u8])> = (1..)
            .zip(physical)
            .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
            .map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line)))
            .map(|(number, line)| (number, leading_number(line), line))
            .collect();
        readable.extend(lines.iter().filter_map(|(_, time, _)| *time));
        per_file.push(lines);
    }
    readable.sort_unstable();
    let greatest = readable.last().copied();
    let mut labels: Vec<i64> = Vec::new();
    if let Some(width) = options.epoch_width_ms {
        labels = readable.iter().map(|time| (time + width - 1).div_euclid(width) * width).collect();
        labels.dedup();
        if let (Some(label), Some(greatest)) = (labels.last_mut(), greatest) {
            *label = greatest;
        }
    } else {
        let mut count = 0;
        for (index, time) in readable.iter().enumerate() {
            count += 1;
            let changes = readable.get(index + 1).is_none_or(|next| next != time);
            if changes && (count >= options.target_epoch_records || index + 1 == readable.len()) {
                labels.push(*time);
                count = 0;
            }
        }
    }
    let mut all = Vec::new();
    let mut untimed = Vec::new();
    for (file, lines) in (0..).zip(&per_file) {
        let mut time = lines.iter().find_map(|(_, time, _)| *time).or(greatest).unwrap_or(0);
        for (number, own_time, line) in lines {
            time = own_time.unwrap_or(time);
            untimed.extend(own_time.is_none().then_some((file, *number, time)));
            let epoch = labels.iter().copied().find(|label| time <= *label).unwrap_or(0);
            all.push((file, *number, epoch, line.to_vec()));
        }
    }
    all.sort_by_key(|(file, number, epoch, _)| (*epoch, *file, *number));
    (all, untimed)
}

fn check(contents: &[&[u8]], options: IndexOptions, segment_bytes: u64) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), contents);
    let plan = build_with_segments(&sources, options, &leading_number, segment_bytes).unwrap();
    let lines = listed(&ChunkReader::new(sources), &plan).unwrap();
    let (expected, untimed) = reference(contents, options);
    assert_eq!(lines, expected);
    for (file, line_number, time) in untimed {
        assert_eq!(plan.time_before(file, line_number), time, "file {file}, line {line_number}");
    }

    let mut records_per_epoch = BTreeMap::new();
    for (_, _, epoch, _) in &expected {
        *records_per_epoch.entry(*epoch).or_insert(0) += 1;
    }
    let epochs: BTreeMap<i64, u64> = plan.epochs.iter().map(|epoch| (epoch.label, epoch.records)).collect();
    assert_eq!(epochs, records_per_epoch);
    assert_eq!(plan.records, expected.len() as u64);
    assert_eq!(plan.bytes, plan.ranges.iter().map(|range| range.length).sum::<u64>());
    assert!(plan.chunks.is_sorted_by_key(|chunk| chunk.epoch_first));
    plan
}

fn labels(plan: &Plan) -> Vec<i64> {
    plan.epochs.iter().map(|epoch| epoch.label).collect()
}

#[test]
fn odd_bytes_are_lines_like_others() {
    let contents: [&[u8]; 11] = [
        b"",
        b"\n",
        b"\r\n \t\n",
        b"5",
        b"1 a\r\n\r\n2 b\r\n3 c",
        b"\n\n4 d\n\n\n5 e\n\n",
        b"\0\0\n\xff\xfe{\0\n7 \xc3\x28\n",
        b"no time\nnone either\n6 at last\nagain none\n",
        b"no time in this whole file\n",
        b"-9223372036854775808 least\n9223372036854775807 greatest\n",
        b"\n\xef\xbb\xbf8 mark\n9 f\r\r\n\r9 g\n",
    ];
    for segment_bytes in [1, 2, 3, 7, 1 << 20] {
        let plan = check(&contents, SMALL, segment_bytes);
        assert_eq!(plan.lines_per_file, [0, 1, 2, 1, 4, 7, 3, 4, 1, 2, 4]);
        assert_eq!((plan.time_first, plan.time_last), (Some(i64::MIN), Some(i64::MAX)));
        for content in contents {
            check(&[content], SMALL, segment_bytes);
        }
    }
}

#[test]
fn without_any_readable_time_all_is_one_epoch() {
    let plan = check(&[b"a\nb\n", b"c\n"], SMALL, 1 << 20);
    assert_eq!(labels(&plan), [0]);
    assert_eq!((plan.records, plan.time_last), (3, None));
    let empty = check(&[b"", b"\n"], SMALL, 1 << 20);
    assert!(empty.epochs.is_empty() && empty.chunks.is_empty());
}

#[test]
fn epochs_are_cut_by_count_or_by_width_and_end_with_the_greatest_time() {
    let content: &[u8] = b"10\n11\n11\n11\n12\n3 straggler\n29\n40\n41\n";
    assert_eq!(labels(&check(&[content], SMALL, 8)), [11, 40, 41]);
    let by_width = |width| IndexOptions { epoch_width_ms: Some(width), ..SMALL };
    assert_eq!(labels(&check(&[content], by_width(10), 8)), [10, 20, 30, 40, 41]);
    assert_eq!(labels(&check(&[content], by_width(1_000), 8)), [41]);
}

#[test]
fn stragglers_are_ranges_of_their_own() {
    let content: &[u8] = b"1\n2\n3\n4\n1 late\n5\n6\n";
    let plan = check(&[content], IndexOptions { chunk_bytes: 400, ..SMALL }, 1 << 20);
    let ranges: Vec<_> = plan.ranges.iter().map(|range| (range.epoch, range.first_line, range.lines)).collect();
    assert_eq!(ranges, [(2, 1, 2), (2, 5, 1), (5, 3, 2), (5, 6, 1), (6, 7, 1)]);
}

#[test]
fn dealing_lines_over_other_files_or_threads_moves_no_epoch() {
    let lines: Vec<String> = (0..5_000_i64).map(|n| format!("{} event\n", n * 37 % 4_001 * 50_000)).collect();
    let options = IndexOptions { target_epoch_records: 100, chunk_bytes: 4_000, ..SMALL };
    let deal = |files: usize| -> Vec<Vec<u8>> {
        (0..files).map(|file| lines.iter().skip(file).step_by(files).flat_map(|line| line.bytes()).collect()).collect()
    };
    let mut epochs = Vec::new();
    for files in [1, 4] {
        let contents = deal(files);
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let plan = check(&contents, options, 10_000);
        let in_parallel = check(&contents, IndexOptions { threads: 3, ..options }, 10_000);
        assert_eq!(plan, in_parallel);
        epochs.push(plan.epochs);
    }
    assert!(epochs[0].len() > 20);
    assert_eq!(epochs[0], epochs[1]);
}

#[test]
fn a_dense_rush_is_cut_by_count() {
    // More events in one bucket than it has milliseconds.
    let content: Vec<u8> = (0..200_000_i64).flat_map(|n| format!("{}\n", n * 7 % 1_000).into_bytes()).collect();
    let options = IndexOptions { target_epoch_records: 450, chunk_bytes: 64 << 10, ..SMALL };
    let plan = check(&[&content], options, 1 << 18);
    assert_eq!(plan.epochs.len(), 1_000usize.div_ceil(3));
    assert!(plan.epochs[..300].iter().all(|epoch| epoch.records == 600));
}

#[test]
fn long_lines_grow_the_buffer_and_those_above_the_limit_are_listed_cut() {
    let limit = 700_000;
    let long = |head: &str, length: usize, fill: &str| format!("{head}{}", fill.repeat(length - head.len()));
    let content = [
        "1 first".to_owned(),
        long("2 long ", 600_000, "x"),
        long("3 at the limit ", limit, "x"),
        " ".repeat(900_000),
        long("9 above ", limit + 1, "x"),
        long("9 far above ", 2_000_000, "x"),
        " ".repeat(1_000_000) + "late letters",
        "4 last".to_owned(),
    ]
    .join("\r\n");
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), &[content.as_bytes()]);
    let reader = ChunkReader::new(sources.clone());
    for segment_bytes in [50_000, 1_000_000, 1 << 24] {
        let options = IndexOptions { line_bytes_max: limit as u64, chunk_bytes: 1_000, ..SMALL };
        let plan = build_with_segments(&sources, options, &leading_number, segment_bytes).unwrap();
        assert_eq!(plan.lines_per_file, [8]);
        let mut found = BTreeMap::new();
        let (mut buffer, mut lines) = (Vec::new(), Vec::new());
        for chunk in 0..plan.chunks.len() {
            reader.read(&plan, chunk, &mut buffer, &mut lines).unwrap();
            found.extend(
                lines.iter().map(|line| (line.line_number, (line.end - line.start, line.bytes_cut, line.epoch))),
            );
        }
        let above = limit as u32 + 1;
        let expected = [
            (1, (7, 0, 3)),
            (2, (600_000, 0, 3)),
            (3, (limit as u32, 0, 3)),
            (5, (above, 0, 3)),
            (6, (above, 2_000_000 - u64::from(above), 3)),
            (7, (above, 1_000_012 - u64::from(above), 3)),
            (8, (6, 0, 4)),
        ];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "segments of {segment_bytes} bytes");
    }
}

#[test]
fn packed_files_give_the_same_lines_and_epochs_as_plain_ones() {
    let content: Vec<u8> =
        (0..40_000_i64).flat_map(|n| format!("{} event {n}\n", n * 100 - n % 50 * 9_000).into_bytes()).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut results = Vec::new();
    for (name, bytes, compression) in [
        ("a.jsonl", content.clone(), Compression::None),
        ("a.jsonl.gz", gzip(&content), Compression::Gzip),
        ("a.jsonl.zst", zstandard(&content), Compression::Zstandard),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let file = InputFile { topic: 0, partition: 0, path, compression };
        let options = OpenOptions { replay_buffer_bytes: 100_000, scratch: folder.path(), threads: 1 };
        let (sources, damages) = open_all(vec![file], options).unwrap();
        assert_eq!(damages, []);
        let plan = Index::build(&sources, IndexOptions::default(), leading_number).unwrap();
        let lines = listed(&ChunkReader::new(sources.into()), &plan).unwrap();
        results.push((plan, lines));
    }
    assert_eq!(results[0].1.len(), 40_000);
    assert!(results[0] == results[1] && results[0] == results[2]);
}

#[test]
fn topics_and_partitions_order_lines_within_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let file = |topic, partition| {
        let path = folder.path().join(format!("{topic}-{partition}"));
        std::fs::write(&path, format!("1 t{topic} p{partition}\n")).unwrap();
        InputFile { topic, partition, path, compression: Compression::None }
    };
    let options = OpenOptions { replay_buffer_bytes: 0, scratch: folder.path(), threads: 1 };
    let sources = open_all(vec![file(1, 0), file(0, 1), file(0, 0)], options).unwrap().0;
    let plan = Index::build(&sources, SMALL, leading_number).unwrap();
    let lines = listed(&ChunkReader::new(sources.into()), &plan).unwrap();
    let order: Vec<_> = lines.iter().map(|(_, _, _, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert_eq!(order, ["1 t0 p0", "1 t0 p1", "1 t1 p0"]);
}

#[test]
fn files_that_change_after_the_index_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let content: &[u8] = b"1 one\n2 two\n3 three\n4 four\n";
    let sources = sources(folder.path(), &[content]);
    let path = sources[0].file().path.clone();
    let plan = Index::build(&sources, SMALL, leading_number).unwrap();
    let reader = ChunkReader::new(sources);
    let changes: [&[u8]; 3] =
        [b"1 one\n2 two\n3 th", b"1 one 2 two 3 three 4 four\n", b"\n\n\n\n\n\n2 two\n3 three\n4 four\n"];
    for changed in changes {
        std::fs::write(&path, changed).unwrap();
        let error = listed(&reader, &plan).unwrap_err();
        assert!(matches!(&error, FilesError::Changed { path: named, .. } if *named == path), "{error}");
        assert!(error.to_string().contains("leave input files alone"), "{error}");
    }
    std::fs::write(&path, content).unwrap();
    assert_eq!(listed(&reader, &plan).unwrap().len(), 4);
}

#[test]
fn a_file_that_shrinks_before_the_index_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let sources: std::sync::Arc<[ByteSource]> = sources(folder.path(), &[b"1 one\n2 two\n"]);
    std::fs::write(&sources[0].file().path, b"1").unwrap();
    let error = Index::build(&sources, SMALL, leading_number).unwrap_err();
    assert!(matches!(error, FilesError::Changed { .. }), "{error}");
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-20_i64..400, "[ -~]{0,12}").prop_map(|(time, rest)| format!("{}|{rest}", time * 1_000).into_bytes()),
        1 => "[ \t\r]{0,5}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec((any_line(), prop::bool::weighted(0.2)), 0..40), any::<bool>()).prop_map(
        |(lines, ends_with_newline)| {
            let mut bytes = Vec::new();
            for (line, windows) in lines {
                bytes.extend(line);
                bytes.extend_from_slice(if windows { b"\r\n" } else { b"\n" });
            }
            if !ends_with_newline {
                bytes.pop();
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// All chunks together list exactly the non-blank lines, each in the epoch its time says, with any way to cut.
    #[test]
    fn chunks_list_every_line_once_in_its_epoch(
        files in prop::collection::vec(any_file(), 0..4),
        segment_bytes in 1_u64..200,
        chunk_bytes in 1_u64..500,
        target_epoch_records in 1_u64..20,
        epoch_width_ms in prop::option::of(1_i64..90_000),
        threads in 1_usize..4,
    ) {
        let contents: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let options = IndexOptions { threads, target_epoch_records, epoch_width_ms, chunk_bytes, ..SMALL };
        check(&contents, options, segment_bytes);
    }
}
