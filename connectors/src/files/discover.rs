//! Which files of a folder hold which input topic.
//!
//! ```text
//! INPUT/leads.jsonl          one file          leads, partition 0
//! INPUT/deals.jsonl.gz       compressed        deals, partition 0
//! INPUT/inventory/a.jsonl    a folder of them  inventory, partition 0
//! INPUT/inventory/b.jsonl.zst                  inventory, partition 1
//! INPUT/notes.jsonl          no topic          ignored, and listed so that the caller can warn
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::FilesError;

/// How the bytes of an input file are packed, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// One or more gzip members.
    Gzip,
    /// One or more Zstandard frames.
    Zstandard,
}

/// One file of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Index into the topics that were asked for.
    pub topic: usize,
    /// Index among all files of the topic, ordered by path.
    pub partition: u32,
    /// Where it lies.
    pub path: PathBuf,
    /// How it is packed.
    pub compression: Compression,
}

/// What a folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The topics' files, ordered by topic, then partition.
    pub files: Vec<InputFile>,
    /// Files that look like events but belong to no topic, or are packed in an unknown way; ordered by path.
    pub ignored: Vec<PathBuf>,
}

/// Finds the files of `topics` in the folder `input`: `T.jsonl`, `T.jsonl.gz`, `T.jsonl.zst`, or the same kinds of file
/// under any name in a folder `T` or `T.jsonl`. Folders are searched no deeper, and hidden files not at all.
///
/// Every file returned could be opened for reading a moment ago.
///
/// # Errors
/// If the folder is missing, not a folder, unreadable or without any file of `topics`, or if one of the files found is
/// not a regular file or cannot be opened.
pub fn discover(input: &Path, topics: &[&str]) -> Result<Discovery, FilesError> {
    match fs::metadata(input) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(FilesError::NotAFolder { path: input.to_path_buf() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FilesError::FolderMissing { path: input.to_path_buf() });
        }
        Err(source) => return Err(FilesError::FolderUnreadable { path: input.to_path_buf(), source }),
    }

    let mut found: Vec<(usize, PathBuf, Compression)> = Vec::new();
    let mut ignored = Vec::new();
    for path in entries_sorted(input)? {
        let Some(name) = visible_name(&path) else { continue };
        let topic_named = |stem: &str| topics.iter().position(|topic| *topic == stem);
        if path.is_dir() {
            if let Some(topic) = topic_named(name.strip_suffix(".jsonl").unwrap_or(name)) {
                search_topic_folder(&path, topic, &mut found, &mut ignored)?;
            }
        } else if let Some((topic, compression)) =
            split_name(name).and_then(|(stem, compression)| Some((topic_named(stem)?, compression)))
        {
            found.push((topic, path, compression));
        } else if name.contains(".jsonl") {
            ignored.push(path);
        }
    }
    if found.is_empty() {
        let expected = topics.iter().map(|topic| format!("{topic}.jsonl")).collect::<Vec<_>>().join(", ");
        return Err(FilesError::NoTopics { path: input.to_path_buf(), expected });
    }

    found.sort_by(|(topic, path, _), (other_topic, other_path, _)| (topic, path).cmp(&(other_topic, other_path)));
    ignored.sort();
    let mut files: Vec<InputFile> = Vec::with_capacity(found.len());
    for (topic, path, compression) in found {
        check_readable(&path)?;
        let partition = match files.last() {
            Some(previous) if previous.topic == topic => previous.partition + 1,
            _ => 0,
        };
        files.push(InputFile { topic, partition, path, compression });
    }
    Ok(Discovery { files, ignored })
}

fn search_topic_folder(
    folder: &Path,
    topic: usize,
    found: &mut Vec<(usize, PathBuf, Compression)>,
    ignored: &mut Vec<PathBuf>,
) -> Result<(), FilesError> {
    for path in entries_sorted(folder)? {
        let Some(name) = visible_name(&path) else { continue };
        if path.is_dir() {
            continue;
        }
        match split_name(name) {
            Some((_, compression)) => found.push((topic, path, compression)),
            None if name.contains(".jsonl") => ignored.push(path),
            None => {}
        }
    }
    Ok(())
}

fn entries_sorted(folder: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let unreadable = |source| FilesError::FolderUnreadable { path: folder.to_path_buf(), source };
    let mut paths = fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

/// The file's name, unless it is hidden or not UTF-8 (then it is no topic's).
fn visible_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str().filter(|name| !name.starts_with('.'))
}

/// `leads.jsonl.gz` into `leads` and gzip.
fn split_name(name: &str) -> Option<(&str, Compression)> {
    const FORMS: [(&str, Compression); 3] =
        [(".jsonl", Compression::None), (".jsonl.gz", Compression::Gzip), (".jsonl.zst", Compression::Zstandard)];
    FORMS.iter().find_map(|(suffix, compression)| Some((name.strip_suffix(suffix)?, *compression)))
}

fn check_readable(path: &Path) -> Result<(), FilesError> {
    let unreadable = |source| FilesError::Open { path: path.to_path_buf(), source };
    // Asked before opening, because opening a pipe would wait for its other end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(FilesError::NotAFile { path: path.to_path_buf() });
    }
    File::open(path).map_err(unreadable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPICS: [&str; 3] = ["leads", "deals", "inventory"];

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"{}\n").unwrap();
        }
        folder
    }

    #[test]
    fn every_form_is_found_numbered_and_the_rest_listed() {
        let folder = folder_with(&[
            "leads.jsonl",
            "leads.jsonl.gz",
            "leads/b.jsonl",
            "leads/a.jsonl.zst",
            "leads/.c.jsonl.partial",
            "leads/deeper/d.jsonl",
            "leads/e.jsonl.bz2",
            "deals.jsonl/0.jsonl",
            "inventory.jsonl.zst",
            "other.jsonl",
            "README.md",
            ".leads.jsonl.partial",
        ]);
        let discovery = discover(folder.path(), &TOPICS).unwrap();
        let relative = |path: &Path| path.strip_prefix(folder.path()).unwrap().display().to_string();
        let files: Vec<_> = discovery
            .files
            .iter()
            .map(|file| (TOPICS[file.topic], file.partition, relative(&file.path), file.compression))
            .collect();
        assert_eq!(
            files,
            [
                ("leads", 0, "leads/a.jsonl.zst".to_owned(), Compression::Zstandard),
                ("leads", 1, "leads/b.jsonl".to_owned(), Compression::None),
                ("leads", 2, "leads.jsonl".to_owned(), Compression::None),
                ("leads", 3, "leads.jsonl.gz".to_owned(), Compression::Gzip),
                ("deals", 0, "deals.jsonl/0.jsonl".to_owned(), Compression::None),
                ("inventory", 0, "inventory.jsonl.zst".to_owned(), Compression::Zstandard),
            ]
        );
        let ignored: Vec<_> = discovery.ignored.iter().map(|path| relative(path)).collect();
        assert_eq!(ignored, ["leads/e.jsonl.bz2", "other.jsonl"]);
    }

    #[test]
    fn a_folder_without_topics_says_what_was_expected() {
        let folder = folder_with(&["events.jsonl"]);
        let error = discover(folder.path(), &TOPICS).unwrap_err();
        assert!(matches!(error, FilesError::NoTopics { .. }));
        assert!(error.to_string().contains("leads.jsonl, deals.jsonl, inventory.jsonl"), "{error}");
    }

    #[test]
    fn wrong_inputs_are_named() {
        let folder = folder_with(&["leads.jsonl"]);
        let missing = discover(&folder.path().join("absent"), &TOPICS).unwrap_err();
        assert!(matches!(missing, FilesError::FolderMissing { .. }), "{missing}");
        let file = discover(&folder.path().join("leads.jsonl"), &TOPICS).unwrap_err();
        assert!(matches!(file, FilesError::NotAFolder { .. }), "{file}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_that_names_it() {
        let folder = folder_with(&["leads.jsonl"]);
        std::os::unix::fs::symlink("nowhere", folder.path().join("deals.jsonl")).unwrap();
        let error = discover(folder.path(), &TOPICS).unwrap_err();
        assert!(matches!(error, FilesError::Open { .. }));
        assert!(error.to_string().contains("deals.jsonl"), "{error}");
        assert!(error.to_string().contains("where a link points"), "{error}");
    }
}
