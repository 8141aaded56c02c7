//! Views of users: kept in a file for each access, so that callers who may see different rows never meet each other's texts.
//!
//! ```text
//!   <folder>/<role>-<digest of dealers>.json    [{"name": …, "query": …}, …], replaced whole by a rename
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::error::SqlError;

/// Views of one access at most.
pub(crate) const VIEWS_MAX: usize = 200;
/// Bytes of one view's query at most.
pub(crate) const VIEW_BYTES_MAX: usize = 64 << 10;

/// A view as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserView {
    /// Its name in schema `public`.
    pub(crate) name: String,
    /// What it shows.
    pub(crate) query: String,
}

/// Where views are kept.
#[derive(Clone, Debug)]
pub(crate) struct ViewStore {
    folder: PathBuf,
}

impl ViewStore {
    pub(crate) fn new(folder: &Path) -> Self {
        ViewStore { folder: folder.to_owned() }
    }

    fn file(&self, access: &Access) -> PathBuf {
        self.folder.join(format!("{}.json", access.file_name()))
    }

    /// The views of an access, in the order in which they were made.
    pub(crate) fn load(&self, access: &Access) -> Result<Vec<UserView>, SqlError> {
        let file = self.file(access);
        let wrong = |error: &dyn std::fmt::Display| {
            SqlError::Storage(format!(
                "the views in {} cannot be read ({error}): mend or remove the file",
                file.display()
            ))
        };
        match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(wrong(&error)),
        }
    }

    /// Replaces the views of an access.
    pub(crate) fn save(&self, access: &Access, views: &[UserView]) -> Result<(), SqlError> {
        let file = self.file(access);
        let saved = serde_json::to_vec_pretty(views).map_err(std::io::Error::other).and_then(|bytes| {
            std::fs::create_dir_all(&self.folder)?;
            let draft = file.with_extension("json.draft");
            std::fs::write(&draft, bytes)?;
            std::fs::rename(&draft, &file)
        });
        saved.map_err(|error| {
            SqlError::Storage(format!(
                "the views cannot be kept in {} ({error}): let this user write there",
                file.display()
            ))
        })
    }
}
