//! Where history lies: an object store and a prefix in it.
//!
//! Everything here blocks the calling thread until the store has answered. A local folder needs no runtime; a remote store
//! is used from a thread that has entered one.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::executor::block_on;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::error::HistoryError;

/// The folder of all history below the store's prefix.
const HISTORY_FOLDER: &str = "parquet";

/// An object store and a prefix in it; cheap to clone.
#[derive(Clone)]
pub struct HistoryStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What errors call the store.
    name: String,
}

impl fmt::Debug for HistoryStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HistoryStore")
            .field("store", &self.store.to_string())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl HistoryStore {
    /// History in `store`, in the folder `parquet` below `prefix`.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &Path) -> Self {
        let name = store.to_string();
        Self { store, prefix: prefix.clone().join(HISTORY_FOLDER), name }
    }

    /// History in the folder `parquet` of a local `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// If the folder cannot be made or used.
    pub fn local(folder: &FilePath) -> Result<Self, HistoryError> {
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| HistoryError::Folder {
            path: folder.to_path_buf(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(|source| unusable(source.into()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|source| unusable(source.into()))?;
        Ok(Self { name: folder.display().to_string(), ..Self::new(Arc::new(store), &Path::default()) })
    }

    /// The store itself, for readers that scan it.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// The full path in the store of `relative`, a path as manifests name it.
    pub fn path(&self, relative: &str) -> Path {
        relative.split('/').fold(self.prefix.clone(), Path::join)
    }

    /// Where a path lies, for people.
    pub(super) fn place_of(&self, path: &Path) -> String {
        format!("{}/{path}", self.name)
    }

    /// Writes a whole object, or none of it; over one of the same name if `mode` allows. The inner result is false if
    /// there was one and `mode` does not.
    pub(super) fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<bool, HistoryError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        match block_on(self.store.put_opts(path, PutPayload::from_bytes(bytes), options)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(HistoryError::Write { path: self.place_of(path), source }),
        }
    }

    pub(super) fn get(&self, path: &Path) -> Result<Bytes, HistoryError> {
        block_on(async { self.store.get(path).await?.bytes().await })
            .map_err(|source| HistoryError::Read { path: self.place_of(path), source })
    }

    /// The names of the objects directly in `folder`.
    pub(super) fn names(&self, folder: &Path) -> Result<Vec<String>, HistoryError> {
        let objects: Vec<_> = block_on(self.store.list(Some(folder)).try_collect())
            .map_err(|source| HistoryError::Read { path: self.place_of(folder), source })?;
        let name_in_folder = |path: &Path| {
            let mut parts = path.prefix_match(folder)?;
            let name = parts.next()?.as_ref().to_owned();
            parts.next().is_none().then_some(name)
        };
        Ok(objects.iter().filter_map(|object| name_in_folder(&object.location)).collect())
    }
}
