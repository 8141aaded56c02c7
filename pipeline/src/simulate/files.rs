//! The files of a simulated world: one a topic, one a table of truth.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::SimulateError;
use super::event::Topic;
use super::hour::Hour;
use super::truth::TruthTable;

const BUFFER_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Output {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl Output {
    fn create(path: PathBuf, overwrite: bool) -> Result<Self, SimulateError> {
        let mut options = fs::OpenOptions::new();
        options.write(true);
        if overwrite {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        match options.open(&path) {
            Ok(file) => Ok(Output { writer: BufWriter::with_capacity(BUFFER_BYTES, file), path }),
            Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(SimulateError::OutputExists { path })
            }
            Err(source) => Err(SimulateError::Create { path, source }),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SimulateError> {
        self.writer.write_all(bytes).map_err(|source| SimulateError::Write { path: self.path.clone(), source })
    }
}

/// All files of one world.
#[derive(Debug)]
pub(super) struct Files {
    topics: Vec<Output>,
    truth: Vec<Output>,
    /// Bytes written to the topics' files.
    pub(super) topic_bytes: u64,
}

impl Files {
    /// Creates the folder and the files; the truth gets its headers.
    pub(super) fn create(folder: &Path, overwrite: bool) -> Result<Self, SimulateError> {
        let truth_folder = truth_folder(folder);
        fs::create_dir_all(&truth_folder)
            .map_err(|source| SimulateError::Create { path: truth_folder.clone(), source })?;
        let topics =
            Topic::ALL.iter().map(|topic| Output::create(folder.join(format!("{}.jsonl", topic.name())), overwrite));
        let truth = TruthTable::ALL.iter().map(|table| {
            let mut output = Output::create(truth_folder.join(table.file_name()), overwrite)?;
            output.write(table.header().as_bytes())?;
            Ok(output)
        });
        Ok(Files { topics: topics.collect::<Result<_, _>>()?, truth: truth.collect::<Result<_, _>>()?, topic_bytes: 0 })
    }

    /// Appends to a topic.
    pub(super) fn write(&mut self, topic: Topic, bytes: &[u8]) -> Result<(), SimulateError> {
        self.topic_bytes += bytes.len() as u64;
        self.topics[topic as usize].write(bytes)
    }

    /// Appends a sorted hour as it is.
    pub(super) fn write_hour(&mut self, hour: &Hour) -> Result<(), SimulateError> {
        for topic in Topic::ALL {
            let lines = &hour.topics[topic as usize];
            for line in &lines.lines {
                self.write(topic, &lines.bytes[line.start as usize..line.end as usize])?;
            }
        }
        Ok(())
    }

    /// Appends the truth of an hour.
    pub(super) fn write_truth(&mut self, hour: &Hour) -> Result<(), SimulateError> {
        for row in &hour.truth {
            self.truth[row.table as usize].write(&hour.truth_bytes[row.start..row.end])?;
        }
        Ok(())
    }

    /// Brings everything to the operating system.
    pub(super) fn finish(self) -> Result<u64, SimulateError> {
        for mut output in self.topics.into_iter().chain(self.truth) {
            output.writer.flush().map_err(|source| SimulateError::Write { path: output.path.clone(), source })?;
        }
        Ok(self.topic_bytes)
    }
}

/// Where the truth lies.
pub(super) fn truth_folder(folder: &Path) -> PathBuf {
    folder.join("truth")
}
