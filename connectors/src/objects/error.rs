//! Why an object could not be written or read.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use thiserror::Error as ThisError;

use crate::error::{io_cause, mend, passes};

/// Why an object could not be written or read.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum ObjectsError {
    /// A folder cannot be created or opened.
    #[error("the folder {} cannot be used: {}", path.display(), mend_cause(source.as_ref()))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system or the store said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A setting of a remote store is refused. Values are not repeated: they may be secret.
    #[error("the store {url} cannot be used: {reason}")]
    Settings {
        /// The store.
        url: String,
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// The store refused a write or a deletion.
    #[error("the object {path} cannot be written: {}", mend_store(source))]
    Write {
        /// The store and the path in it.
        path: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// The store refused a read or a listing.
    #[error("the object {path} cannot be read: {}", mend_store(source))]
    Read {
        /// The store and the path in it.
        path: String,
        /// What the store said.
        source: object_store::Error,
    },
}

impl ObjectsError {
    /// True if the same call may succeed later without anyone mending anything.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Write { source, .. } | Self::Read { source, .. } => store_passes(source),
            Self::Folder { source, .. } => io_cause(source.as_ref()).is_some_and(passes),
            Self::Settings { .. } => false,
        }
    }

    /// True if there is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source: object_store::Error::NotFound { .. }, .. })
    }
}

fn store_passes(error: &object_store::Error) -> bool {
    match (io_cause(error), error) {
        (Some(cause), _) => passes(cause),
        // A remote store reports throttling and lost connections as `Generic`; all else is a refusal.
        (None, object_store::Error::Generic { .. }) => true,
        (None, _) => false,
    }
}

fn mend_cause(error: &(dyn Error + 'static)) -> String {
    io_cause(error).map_or_else(|| said(error), mend)
}

fn mend_store(error: &object_store::Error) -> String {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    match (io_cause(error), error) {
        (Some(cause), _) if cause.kind() != io::ErrorKind::Other => mend(cause),
        (_, PermissionDenied { .. } | Unauthenticated { .. }) => {
            "the store refuses these credentials: check them, and what they may do there".to_owned()
        }
        (_, NotFound { .. }) => {
            "there is no such bucket or object: check the address, the bucket and the prefix".to_owned()
        }
        _ => said(error),
    }
}

/// What the store says, without the document that a server may add to it: that can repeat credentials.
fn said(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    let text = text.split('<').next().unwrap_or_default().trim_end_matches([' ', ':', '\n']);
    format!("the store says {text}: mend it, then run again")
}
