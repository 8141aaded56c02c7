//! Every error of this crate: what happened, where, and how to mend it.
//!
//! ```text
//! FilesError    input folders and files     (files/)
//! TopicsError   output topics as files      (topics/)
//! HistoryError  Parquet files and manifests (parquet/)
//! ObjectsError, CheckpointsError, LogError  have files of their own (objects/, checkpoints/, log/error.rs)
//! ```
//! A message is one sentence for the person at the terminal and never repeats its own cause: callers that want it walk
//! [`std::error::Error::source`]. Damaged input is not here, since bad bytes are data (see [`crate::files::Damage`]).

use std::error::Error;
use std::io;
use std::path::PathBuf;

use thiserror::Error as ThisError;

use crate::objects::ObjectsError;

/// Why input files could not be found, opened, indexed or read.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum FilesError {
    /// The input folder is not there.
    #[error("the input folder {} does not exist: check the path", path.display())]
    FolderMissing {
        /// The folder that was asked for.
        path: PathBuf,
    },
    /// The input path names something other than a folder.
    #[error("the input {} is not a folder: name the folder that holds the topics' files", path.display())]
    NotAFolder {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// A folder cannot be listed.
    #[error("the folder {} cannot be listed: {}", path.display(), mend(source))]
    FolderUnreadable {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The input folder holds none of the input topics.
    #[error(
        "the folder {} holds no input topic: expected at least one of {expected}, each as .jsonl, .jsonl.gz, .jsonl.zst \
         or a folder of such files",
        path.display()
    )]
    NoTopics {
        /// The folder that was searched.
        path: PathBuf,
        /// The file names that were looked for, comma-separated.
        expected: String,
    },
    /// An input path is a pipe, a socket or a device.
    #[error("the input {} is not a regular file: copy its contents into one", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// An input file cannot be opened.
    #[error("the input file {} cannot be opened: {}", path.display(), mend(source))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// An input file cannot be read.
    #[error("the input file {} cannot be read at byte {offset}: {}", path.display(), mend(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Where in the (decompressed) file, in bytes.
        offset: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// An input file is not what it was when it was indexed.
    #[error(
        "the input file {} was shortened or rewritten at byte {offset} while it was being read: \
         leave input files alone during a replay, then run it again",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The first byte that is no longer as indexed.
        offset: u64,
    },
    /// Decompressed input could not be spilled to disk.
    #[error(
        "the decompressed form of {} cannot be spilled to a temporary file in {}: {}",
        path.display(), folder.display(), mend(source)
    )]
    Spill {
        /// The compressed input file.
        path: PathBuf,
        /// The scratch folder.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Why output topics could not be written as files.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum TopicsError {
    /// The topic's name cannot be a file's name.
    #[error(
        "the topic name {topic:?} cannot name a file: use letters, digits, '.', '_' and '-', not starting with '.'"
    )]
    Name {
        /// The refused name.
        topic: String,
    },
    /// A folder or file cannot be created.
    #[error("the output {} cannot be created: {}", path.display(), mend(source))]
    Create {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Lines cannot be written.
    #[error("the output topic file {} cannot be written: {}", path.display(), mend(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The finished file cannot be given its final name.
    #[error("the finished output topic cannot be renamed to {}: {}", path.display(), mend(source))]
    Rename {
        /// The final name.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Why history (Parquet files and their manifests) could not be written or read.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum HistoryError {
    /// The store refuses.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// A file without rows would be a file without a schema.
    #[error("no rows were given for table {table}, epochs {epoch_first} to {epoch_last}: skip files without rows")]
    NoRows {
        /// The table.
        table: String,
        /// First epoch of the refused file, in ms.
        epoch_first: i64,
        /// Last epoch of the refused file, in ms.
        epoch_last: i64,
    },
    /// Rows do not fit their table's schema.
    #[error("the rows of table {table} do not fit its schema ({source}): this is a mistake in the program")]
    Rows {
        /// The table.
        table: String,
        /// What the builder of columns said.
        source: arrow::error::ArrowError,
    },
    /// Rows cannot be encoded as Parquet.
    #[error("the rows of table {table} cannot be encoded as Parquet: give all batches of a file the table's schema")]
    Encode {
        /// The table.
        table: String,
        /// What the encoder said.
        source: ::parquet::errors::ParquetError,
    },
    /// A file is not what was written.
    #[error("the file {path} of table {table} is damaged ({source}): restore it from a copy")]
    FileDamaged {
        /// The store and the path in it.
        path: String,
        /// The table.
        table: String,
        /// What the decoder said.
        source: ::parquet::errors::ParquetError,
    },
    /// No manifest exists, so no file is visible.
    #[error(
        "{path} holds no manifest, so no history was ever published there: check the path, or run the pipeline first"
    )]
    NoManifest {
        /// The store and the folder of manifests in it.
        path: String,
    },
    /// A manifest is not what this code writes.
    #[error("the manifest {path} is damaged: restore it, or delete it to fall back to the one before")]
    ManifestDamaged {
        /// The store and the path in it.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A manifest was written by a version with another format.
    #[error(
        "the manifest {path} has format version {found}, and this build reads only {supported}: use the build that wrote it"
    )]
    ManifestVersion {
        /// The store and the path in it.
        path: String,
        /// The version in the file.
        found: u64,
        /// The version this build reads and writes.
        supported: u64,
    },
    /// Another writer owns the history now.
    #[error(
        "manifest {number} was already published by incarnation {by:?}: another instance writes this history, so this \
         one must stop"
    )]
    Fenced {
        /// The highest manifest number met.
        number: u64,
        /// Who published it.
        by: String,
    },
}

impl FilesError {
    /// True if the same call may succeed later without anyone mending anything.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::FolderUnreadable { source, .. }
            | Self::Open { source, .. }
            | Self::Read { source, .. }
            | Self::Spill { source, .. } => passes(source),
            Self::FolderMissing { .. }
            | Self::NotAFolder { .. }
            | Self::NoTopics { .. }
            | Self::NotAFile { .. }
            | Self::Changed { .. } => false,
        }
    }
}

impl TopicsError {
    /// True if the same call may succeed later without anyone mending anything.
    pub fn is_retriable(&self) -> bool {
        match self {
            // Some of the bytes may be in the file already, so the same write would repeat them.
            Self::Name { .. } | Self::Write { .. } => false,
            Self::Create { source, .. } | Self::Rename { source, .. } => passes(source),
        }
    }
}

impl HistoryError {
    /// True if the same call may succeed later without anyone mending anything.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Objects(error) => error.is_retriable(),
            Self::NoRows { .. }
            | Self::Rows { .. }
            | Self::Encode { .. }
            | Self::FileDamaged { .. }
            | Self::NoManifest { .. }
            | Self::ManifestDamaged { .. }
            | Self::ManifestVersion { .. }
            | Self::Fenced { .. } => false,
        }
    }
}

/// A full disk is not retriable: it fills again at once unless somebody makes room.
pub(crate) fn passes(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, ResourceBusy, TimedOut, WouldBlock,
    };
    matches!(
        error.kind(),
        Interrupted | WouldBlock | TimedOut | ResourceBusy | ConnectionReset | ConnectionAborted | ConnectionRefused
    )
}

/// The operating system's error at the bottom of a chain, if there is one.
pub(crate) fn io_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    std::iter::successors(Some(error), |cause| (*cause).source()).find_map(|cause| cause.downcast_ref::<io::Error>())
}

/// What happened and how to mend it, in words, by the kind of failure.
pub(crate) fn mend(error: &io::Error) -> String {
    /// Too many open files, by this process or on this machine.
    const OPEN_FILES_EXHAUSTED: [i32; 2] = [24, 23];
    /// Too many levels of symbolic links.
    const LINKS_IN_A_CIRCLE: i32 = 40;
    let known = match (error.kind(), error.raw_os_error()) {
        (_, Some(code)) if OPEN_FILES_EXHAUSTED.contains(&code) => {
            "too many files are open: raise the limit (ulimit -n), or join small input files"
        }
        (_, Some(LINKS_IN_A_CIRCLE)) => "its links lead in a circle: let them end at a file",
        (io::ErrorKind::NotFound, _) => "it does not exist: check the path, and where a link points",
        (io::ErrorKind::PermissionDenied, _) => "permission is denied: grant it to this user, or choose another place",
        (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge, _) => {
            "the disk is full: free space, or choose a folder on another disk"
        }
        (io::ErrorKind::ReadOnlyFilesystem, _) => "the file system is read-only: choose another folder",
        (io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists, _) => {
            "a file is in the way: move it, or choose another folder"
        }
        (io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::TimedOut, _) => {
            "nobody answers there: check the address, the server and the network"
        }
        (io::ErrorKind::IsADirectory, _) => "a folder is in the way: move it, or choose another name",
        _ => return format!("{error}: mend the disk or file system, then run again"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system_error(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    #[test]
    fn a_full_disk_says_so_and_is_not_retried() {
        const NO_SPACE: i32 = 28;
        let spill =
            FilesError::Spill { path: "a.jsonl.gz".into(), folder: "/scratch".into(), source: system_error(NO_SPACE) };
        assert_eq!(
            spill.to_string(),
            "the decompressed form of a.jsonl.gz cannot be spilled to a temporary file in /scratch: \
             the disk is full: free space, or choose a folder on another disk"
        );
        assert!(!spill.is_retriable());

        let wrapped = object_store::Error::Generic { store: "local", source: Box::new(system_error(NO_SPACE)) };
        let write = HistoryError::from(ObjectsError::Write { path: "parquet/leads/x".into(), source: wrapped });
        assert!(write.to_string().contains("the disk is full"), "{write}");
        assert!(!write.is_retriable());
    }

    #[test]
    fn what_passes_by_itself_is_retriable() {
        const INTERRUPTED: i32 = 4;
        let read = FilesError::Read { path: "a".into(), offset: 7, source: system_error(INTERRUPTED) };
        assert!(read.is_retriable());
        let throttled = object_store::Error::Generic { store: "S3", source: "slow down".into() };
        assert!(HistoryError::from(ObjectsError::Write { path: "p".into(), source: throttled }).is_retriable());
        assert!(!HistoryError::Fenced { number: 3, by: "other".into() }.is_retriable());
    }

    #[test]
    fn messages_do_not_repeat_their_cause() {
        const DENIED: i32 = 13;
        let open = FilesError::Open { path: "leads.jsonl".into(), source: system_error(DENIED) };
        let cause = open.source().map(ToString::to_string).unwrap_or_default();
        assert!(!cause.is_empty() && !open.to_string().contains(&cause));
    }
}
