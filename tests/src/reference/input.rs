//! A folder of event files as lines with their places.
//!
//! ```text
//!  DIR/leads.jsonl   DIR/leads.jsonl.gz   DIR/leads/a.jsonl.zst      ──►  (topic, partition, line number, bytes)
//! ```
//!
//! A topic's files are its partitions, numbered from 0 in the byte order of their paths relative to the folder. Lines are
//! numbered from 1, blank ones included though skipped. Files and folders of other names are no input.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::ReferenceError;
use super::schema::TOPICS;

const ENDINGS: [&str; 3] = [".jsonl", ".jsonl.gz", ".jsonl.zst"];

/// Where a line lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) topic: &'static str,
    pub(super) partition: usize,
    /// Counted from 1.
    pub(super) line: u64,
}

/// Gives each line of each topic of `folder` that is not blank, without its line ending, to `visit`.
///
/// # Errors
/// When the folder or a file of it cannot be read to its end.
pub(super) fn for_each_line(folder: &Path, mut visit: impl FnMut(Place, &[u8])) -> Result<(), ReferenceError> {
    for topic in TOPICS {
        for (partition, file) in files_of(folder, topic)?.iter().enumerate() {
            let failed = |source| ReferenceError { path: file.clone(), source };
            let mut reader = open(file).map_err(failed)?;
            let mut line = Vec::new();
            for number in 1.. {
                line.clear();
                if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                    break;
                }
                let content = line.strip_suffix(b"\n").unwrap_or(&line);
                let content = content.strip_suffix(b"\r").unwrap_or(content);
                if !content.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                    visit(Place { topic, partition, line: number }, content);
                }
            }
        }
    }
    Ok(())
}

fn files_of(folder: &Path, topic: &str) -> Result<Vec<PathBuf>, ReferenceError> {
    let mut files: Vec<String> =
        ENDINGS.iter().map(|ending| format!("{topic}{ending}")).filter(|name| folder.join(name).is_file()).collect();
    let topic_folder = folder.join(topic);
    let failed = |source| ReferenceError { path: topic_folder.clone(), source };
    fs::read_dir(folder).map_err(|source| ReferenceError { path: folder.to_path_buf(), source })?;
    if topic_folder.is_dir() {
        for entry in fs::read_dir(&topic_folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                files.push(format!("{topic}/{name}"));
            }
        }
    }
    files.sort();
    Ok(files.into_iter().map(|name| folder.join(name)).collect())
}

fn open(file: &Path) -> io::Result<Box<dyn BufRead>> {
    let bytes = File::open(file)?;
    let content: Box<dyn Read> = match file.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(MultiGzDecoder::new(bytes)),
        Some("zst") => Box::new(zstd::Decoder::new(bytes)?),
        _ => Box::new(bytes),
    };
    Ok(Box::new(BufReader::with_capacity(1 << 16, content)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn partitions_are_files_in_order_and_blank_lines_keep_their_number() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("leads.jsonl"), "one\r\n\n  \ntwo").unwrap();
        fs::write(folder.path().join("unrelated.jsonl"), "zero\n").unwrap();
        fs::create_dir(folder.path().join("leads")).unwrap();
        let file = File::create(folder.path().join("leads/a.jsonl.gz")).unwrap();
        let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packer.write_all(b"three\n").unwrap();
        packer.finish().unwrap();
        fs::write(folder.path().join("leads/b.jsonl.zst"), zstd::encode_all(&b"four\n"[..], 1).unwrap()).unwrap();

        let mut seen = Vec::new();
        for_each_line(folder.path(), |place, line| {
            seen.push((place.topic, place.partition, place.line, String::from_utf8(line.to_vec()).unwrap()));
        })
        .unwrap();
        let expected =
            [("leads", 0, 1, "one"), ("leads", 0, 4, "two"), ("leads", 1, 1, "three"), ("leads", 2, 1, "four")];
        assert_eq!(seen, expected.map(|(topic, partition, line, text)| (topic, partition, line, text.to_owned())));
    }

    #[test]
    fn an_unreadable_folder_is_named() {
        let error = for_each_line(Path::new("/no/such/folder"), |_, _| {}).unwrap_err();
        assert_eq!(error.path, Path::new("/no/such/folder"));
    }
}
