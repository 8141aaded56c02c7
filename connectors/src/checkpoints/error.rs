//! Why a checkpoint could not be written or read.

use std::error::Error;
use std::path::PathBuf;

use thiserror::Error as ThisError;

use crate::error::{io_cause, mend_chain, passes, store_passes};

/// Why a checkpoint could not be written or read.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum CheckpointsError {
    /// The folder of a local store cannot be created or opened.
    #[error("the checkpoint folder {} cannot be used: {}", path.display(), mend_chain(source.as_ref()))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system or the store said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store refused a write or a deletion.
    #[error("the object {path} cannot be written: {}", mend_chain(source))]
    Write {
        /// The store and the path in it.
        path: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// The store refused a read or a listing.
    #[error("the object {path} cannot be read: {}", mend_chain(source))]
    Read {
        /// The store and the path in it.
        path: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// The bytes of a manifest or blob are not those that were written.
    #[error("the object {path} is damaged ({what}): restore it from a copy, or start from the checkpoint before")]
    Damaged {
        /// The store and the path in it.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A manifest was written by a version with another format.
    #[error(
        "the manifest {path} has format version {found}, and this build reads only {supported}: use the build that wrote it"
    )]
    Version {
        /// The store and the path in it.
        path: String,
        /// The version in the file.
        found: u64,
        /// The version this build reads and writes.
        supported: u64,
    },
    /// Another writer owns the checkpoints now.
    #[error(
        "checkpoint {number} was already written by incarnation {by:?}: another instance writes these checkpoints, so this one must \
         stop"
    )]
    Fenced {
        /// The highest number met.
        number: u64,
        /// Who wrote it.
        by: String,
    },
}

impl CheckpointsError {
    /// True if the same call may succeed later without anyone mending anything.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Write { source, .. } | Self::Read { source, .. } => store_passes(source),
            Self::Folder { source, .. } => io_cause(source.as_ref()).is_some_and(passes),
            Self::Damaged { .. } | Self::Version { .. } | Self::Fenced { .. } => false,
        }
    }
}
