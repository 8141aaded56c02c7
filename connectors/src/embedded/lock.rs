//! One process a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::Path;

use crate::log::LogError;

/// The lock of a folder; the operating system frees it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock and writes into it who has it.
    pub(super) fn take(folder: &Path, holder: &str) -> Result<Self, LogError> {
        let path = folder.join("lock");
        let failed = |source: std::io::Error| LogError::Storage {
            path: folder.to_path_buf(),
            doing: "locked",
            source: source.into(),
        };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
                return Err(LogError::Locked { path: folder.to_path_buf(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        write!(file, "{holder} (process {})", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
