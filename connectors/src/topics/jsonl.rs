//! Output topics as files of JSON lines.
//!
//! ```text
//!  open("anomalies") ─► DIR/topics/.anomalies.jsonl.partial ─ write ─ write ─ finish ─► DIR/topics/anomalies.jsonl
//! ```
//! A file under its final name is whole: lines go to a hidden name first. A sink that is dropped before `finish` takes its
//! hidden files with it. Nothing is forced to the disk: a replay that was lost with the machine is run again.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::TopicsError;

const BUFFER_BYTES: usize = 256 << 10;

/// An open topic of one [`JsonLinesSink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicNumber(usize);

/// A finished topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenTopic {
    /// Its name.
    pub topic: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Writes topics as files in one folder.
#[derive(Debug)]
pub struct JsonLinesSink {
    folder: PathBuf,
    topics: Vec<OpenTopic>,
}

#[derive(Debug)]
struct OpenTopic {
    name: String,
    partial: PathBuf,
    bytes: u64,
    writer: BufWriter<File>,
}

impl JsonLinesSink {
    /// Writes to the folder `topics` in `output`, which is made if it is missing.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn create(output: &Path) -> Result<Self, TopicsError> {
        let folder = output.join("topics");
        fs::create_dir_all(&folder).map_err(|source| TopicsError::Create { path: folder.clone(), source })?;
        Ok(Self { folder, topics: Vec::new() })
    }

    /// Opens `topic`, or gives its number if it is open. A topic that is opened and never written becomes an empty file.
    ///
    /// # Errors
    /// If the name cannot be a file's, or the file cannot be created.
    pub fn open(&mut self, topic: &str) -> Result<TopicNumber, TopicsError> {
        if let Some(number) = self.topics.iter().position(|open| open.name == topic) {
            return Ok(TopicNumber(number));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if topic.is_empty() || topic.starts_with('.') || !topic.bytes().all(allowed) {
            return Err(TopicsError::Name { topic: topic.to_owned() });
        }
        let partial = self.folder.join(format!(".{topic}.jsonl.partial"));
        let file = File::create(&partial).map_err(|source| TopicsError::Create { path: partial.clone(), source })?;
        let writer = BufWriter::with_capacity(BUFFER_BYTES, file);
        self.topics.push(OpenTopic { name: topic.to_owned(), partial, bytes: 0, writer });
        Ok(TopicNumber(self.topics.len() - 1))
    }

    /// Appends whole lines, each with its newline.
    ///
    /// # Errors
    /// If they cannot be written; the sink is then of no further use.
    ///
    /// # Panics
    /// If `topic` was opened in another sink.
    pub fn write(&mut self, topic: TopicNumber, lines: &[u8]) -> Result<(), TopicsError> {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\n"), "lines end with a newline");
        let open = &mut self.topics[topic.0];
        open.bytes += lines.len() as u64;
        open.writer.write_all(lines).map_err(|source| TopicsError::Write { path: open.partial.clone(), source })
    }

    /// Writes what is buffered and gives every file its final name, over any file of that name. Nothing is renamed unless
    /// all lines of all topics could be written.
    ///
    /// # Errors
    /// If a file cannot be written or renamed.
    pub fn finish(mut self) -> Result<Vec<WrittenTopic>, TopicsError> {
        for open in &mut self.topics {
            open.writer.flush().map_err(|source| TopicsError::Write { path: open.partial.clone(), source })?;
        }
        let mut written = Vec::with_capacity(self.topics.len());
        for open in &self.topics {
            let path = self.folder.join(format!("{}.jsonl", open.name));
            fs::rename(&open.partial, &path).map_err(|source| TopicsError::Rename { path: path.clone(), source })?;
            written.push(WrittenTopic { topic: open.name.clone(), path, bytes: open.bytes });
        }
        Ok(written)
    }
}

impl Drop for JsonLinesSink {
    fn drop(&mut self) {
        for open in &self.topics {
            // After `finish` the name is gone already; and a leftover does no harm, the next sink writes over it.
            let _ = fs::remove_file(&open.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn topics_appear_whole_at_the_end_and_empty_ones_too() {
        let output = tempfile::tempdir().unwrap();
        let topics = output.path().join("topics");
        let mut sink = JsonLinesSink::create(output.path()).unwrap();
        let anomalies = sink.open("anomalies").unwrap();
        sink.open("dead-letters").unwrap();
        sink.write(anomalies, b"{\"a\":1}\n").unwrap();
        assert_eq!(sink.open("anomalies").unwrap(), anomalies);
        sink.write(anomalies, b"{\"a\":2}\n{\"a\":3}\n").unwrap();
        assert_eq!(names(&topics), [".anomalies.jsonl.partial", ".dead-letters.jsonl.partial"]);

        let written = sink.finish().unwrap();
        assert_eq!(names(&topics), ["anomalies.jsonl", "dead-letters.jsonl"]);
        assert_eq!(fs::read(topics.join("anomalies.jsonl")).unwrap(), b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
        assert_eq!(written.iter().map(|topic| topic.bytes).collect::<Vec<_>>(), [24, 0]);
    }

    #[test]
    fn a_dropped_sink_leaves_nothing() {
        let output = tempfile::tempdir().unwrap();
        let mut sink = JsonLinesSink::create(output.path()).unwrap();
        sink.open("leads").unwrap();
        drop(sink);
        assert_eq!(names(&output.path().join("topics")), [""; 0]);
    }

    #[test]
    fn names_that_would_leave_the_folder_are_refused() {
        let output = tempfile::tempdir().unwrap();
        let mut sink = JsonLinesSink::create(output.path()).unwrap();
        for name in ["", "..", "a/b", ".hidden", "a\0b"] {
            assert!(matches!(sink.open(name), Err(TopicsError::Name { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_full_disk_is_named_with_the_file() {
        let output = tempfile::tempdir().unwrap();
        let mut sink = JsonLinesSink::create(output.path()).unwrap();
        let topic = sink.open("leads").unwrap();
        // A device that is always full stands in for the disk.
        sink.topics[topic.0].writer = BufWriter::new(File::options().write(true).open("/dev/full").unwrap());
        sink.write(topic, b"{}\n").unwrap();
        let error = sink.finish().unwrap_err();
        assert!(matches!(error, TopicsError::Write { .. }));
        assert!(error.to_string().contains(".leads.jsonl.partial"), "{error}");
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }

    #[test]
    fn a_file_in_the_way_of_the_folder_is_named() {
        let output = tempfile::tempdir().unwrap();
        fs::write(output.path().join("topics"), b"").unwrap();
        let error = JsonLinesSink::create(output.path()).unwrap_err();
        assert!(error.to_string().contains("a file is in the way"), "{error}");
    }
}
