//! Why a checkpoint could not be written or read.

use thiserror::Error as ThisError;

use crate::objects::ObjectsError;

/// Why a checkpoint could not be written or read.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum CheckpointsError {
    /// The store refuses.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
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
            Self::Objects(error) => error.is_retriable(),
            Self::Damaged { .. } | Self::Version { .. } | Self::Fenced { .. } => false,
        }
    }
}
