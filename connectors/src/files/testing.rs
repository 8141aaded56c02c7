//! Inputs for the tests of this module.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use crate::files::{ByteSource, Compression, InputFile, OpenOptions, open_all};

/// Packs as one gzip member.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Packs as one Zstandard frame with a checksum.
pub(super) fn zstandard(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes plain files, one partition of topic 0 each, and opens them.
pub(super) fn sources(folder: &Path, contents: &[&[u8]]) -> Arc<[ByteSource]> {
    let files = (0..)
        .zip(contents)
        .map(|(partition, bytes)| {
            let path = folder.join(format!("{partition:03}.jsonl"));
            std::fs::write(&path, bytes).unwrap();
            InputFile { topic: 0, partition, path, compression: Compression::None }
        })
        .collect();
    let options = OpenOptions { replay_buffer_bytes: 0, scratch: folder, threads: 1 };
    open_all(files, options).unwrap().0.into()
}

/// The decimal number at the head of a line, as its time in ms.
pub(super) fn leading_number(line: &[u8]) -> Option<i64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
    std::str::from_utf8(&line[..digits]).ok()?.parse().ok()
}
