//! Durable writes into a local folder.
//!
//! ```text
//!   bytes ─▶ file under a name of its own ─▶ synced ─▶ linked or renamed to its place ─▶ folder synced, and new ones above it
//! ```
//! A power cut at any moment leaves the object whole or absent.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Folders that are remembered to be durable; beyond, they are synced again.
const FOLDERS_MAX: usize = 1_024;

/// A folder whose files outlast a power cut.
#[derive(Debug)]
pub(super) struct DurableFolder {
    root: PathBuf,
    /// Folders whose own entries above them are synced.
    durable: Mutex<BTreeSet<PathBuf>>,
}

impl DurableFolder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), durable: Mutex::default() }
    }

    /// Puts a whole file, over one of the same name if `replaces`. False if there was one and it may not be replaced.
    pub(super) fn put(&self, relative: &str, bytes: &[u8], replaces: bool) -> io::Result<bool> {
        let path = self.root.join(relative);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        // Listings pass over names with such an end.
        let mut file = tempfile::Builder::new().prefix(".putting-").suffix("#0").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        let placed = if replaces { file.persist(&path) } else { file.persist_noclobber(&path) };
        match placed {
            Ok(_) => self.sync_folder(folder).map(|()| true),
            Err(error) if !replaces && error.error.kind() == io::ErrorKind::AlreadyExists => {
                // Whoever put it may not have synced it yet, and the caller may find it to be its own.
                self.sync_folder(folder).map(|()| false)
            }
            Err(error) => Err(error.error),
        }
    }

    /// Syncs a folder, and once also those above it, up to the root.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()?;
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.contains(folder) {
            return Ok(());
        }
        for above in folder.ancestors().skip(1).take_while(|above| above.starts_with(&self.root)) {
            File::open(above)?.sync_all()?;
        }
        if durable.len() == FOLDERS_MAX {
            durable.clear();
        }
        durable.insert(folder.to_path_buf());
        Ok(())
    }
}
