//! Folders as bytes: what lies in them, whether two are the same, and other ways to pack the same lines.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::world::Random;

/// The topics that simulated dealers write to.
pub(crate) const TOPICS: [&str; 5] = ["dealers", "deals", "inventory", "leads", "reps"];

/// Every file below `folder`, by its path relative to it. Empty if there is no such folder.
pub(crate) fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for path in paths_below(folder) {
        files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
    }
    files
}

/// The paths of every file below `folder`, in no order. What vanishes meanwhile is left out.
pub(crate) fn paths_below(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => paths.push(entry.path()),
            }
        }
    }
    paths
}

/// Asserts that two folders hold the same files with the same bytes.
pub(crate) fn assert_same_bytes(left: &Path, right: &Path) {
    assert_same_trees(&tree(left), &tree(right), &format!("{} and {}", left.display(), right.display()));
}

/// Asserts that two trees are the same, and tells which files are not.
pub(crate) fn assert_same_trees(left: &BTreeMap<PathBuf, Vec<u8>>, right: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    assert!(!left.is_empty(), "{what}: there is nothing to compare");
    let paths = left.keys().chain(right.keys().filter(|path| !left.contains_key(*path)));
    let unequal: Vec<String> = paths
        .filter(|path| left.get(*path) != right.get(*path))
        .map(|path| {
            let length = |tree: &BTreeMap<PathBuf, Vec<u8>>| tree.get(path).map(Vec::len);
            format!("{} ({:?} and {:?} bytes)", path.display(), length(left), length(right))
        })
        .collect();
    assert!(unequal.is_empty(), "{what} differ in {} files:\n  {}", unequal.len(), unequal.join("\n  "));
}

/// The lines of a file, without their ends.
pub(crate) fn lines_of(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

/// Lines as the bytes of a file.
pub(crate) fn joined<'a>(lines: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

pub(crate) fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Deals the lines of `input` to `files` files of each topic in `output`, each file in an order of its own.
///
/// A line without a time of its own counts at the time of the one before it, so it stays behind that one.
pub(crate) fn deal(input: &Path, output: &Path, files: usize, random: &mut Random) {
    for topic in TOPICS {
        let folder = output.join(topic);
        fs::create_dir_all(&folder).unwrap();
        let mut runs: Vec<Vec<Vec<u8>>> = Vec::new();
        for line in lines_of(&input.join(format!("{topic}.jsonl"))) {
            match runs.last_mut() {
                Some(run) if !tells_its_time(&line) => run.push(line),
                _ => runs.push(vec![line]),
            }
        }
        random.shuffle(&mut runs);
        let mut hands: Vec<Vec<u8>> = vec![Vec::new(); files];
        for run in runs {
            hands[random.below(files)].extend(joined(&run));
        }
        for (number, hand) in hands.iter().enumerate() {
            fs::write(folder.join(format!("{number}.jsonl")), hand).unwrap();
        }
    }
}

fn tells_its_time(line: &[u8]) -> bool {
    let event: Option<serde_json::Value> = serde_json::from_slice(line).ok();
    let time = event.as_ref().and_then(|event| event["time"].as_str());
    time.is_some_and(|time| chrono::DateTime::parse_from_rfc3339(time).is_ok())
}

/// Cuts each topic of `input` into `parts` files in `output`, in their order, packed in turn as nothing, gzip, Zstandard.
pub(crate) fn split(input: &Path, output: &Path, parts: usize) {
    for topic in TOPICS {
        let folder = output.join(topic);
        fs::create_dir_all(&folder).unwrap();
        let lines = lines_of(&input.join(format!("{topic}.jsonl")));
        for (number, part) in lines.chunks(lines.len().div_ceil(parts).max(1)).enumerate() {
            let bytes = joined(part);
            let (ending, bytes) = match number % 3 {
                0 => ("jsonl", bytes),
                1 => ("jsonl.gz", gzip(&bytes)),
                _ => ("jsonl.zst", zstandard(&bytes)),
            };
            fs::write(folder.join(format!("{number:02}.{ending}")), bytes).unwrap();
        }
    }
}

/// Packs each topic of `input` into a file in `output` that ends in `ending`.
pub(crate) fn pack(input: &Path, output: &Path, ending: &str, pack: fn(&[u8]) -> Vec<u8>) {
    fs::create_dir_all(output).unwrap();
    for topic in TOPICS {
        let bytes = fs::read(input.join(format!("{topic}.jsonl"))).unwrap();
        fs::write(output.join(format!("{topic}.jsonl.{ending}")), pack(&bytes)).unwrap();
    }
}
