//! Where checkpoints lie: an object store and a prefix in it.
//!
//! Everything here blocks the calling thread until the store has answered. A local folder and memory need no runtime; a remote store
//! is used from a thread that has entered one.

use std::fmt;
use std::fs::File;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::executor::block_on;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::CheckpointsError;

/// The folder of all checkpoints below the store's prefix.
const CHECKPOINTS_FOLDER: &str = "checkpoints";

/// An object store and a prefix in it; cheap to clone.
#[derive(Clone)]
pub struct CheckpointStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What errors call the store.
    name: String,
    /// The folder of a local store, whose files are only as durable as we make them.
    folder: Option<PathBuf>,
}

impl fmt::Debug for CheckpointStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CheckpointStore")
            .field("store", &self.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl CheckpointStore {
    /// Checkpoints in `store`, in the folder `checkpoints` below `prefix`. The store must put only if absent, all at once or not at
    /// all, and list what was put.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &Path) -> Self {
        let name = store.to_string();
        Self { store, prefix: prefix.clone().join(CHECKPOINTS_FOLDER), name, folder: None }
    }

    /// Checkpoints in the folder `checkpoints` of a local `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// If the folder cannot be made or used.
    pub fn local(folder: &FilePath) -> Result<Self, CheckpointsError> {
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| CheckpointsError::Folder {
            path: folder.to_path_buf(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(|source| unusable(source.into()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|source| unusable(source.into()))?;
        let (name, folder) = (folder.display().to_string(), Some(folder.to_path_buf()));
        Ok(Self { name, folder, ..Self::new(Arc::new(store), &Path::default()) })
    }

    /// Checkpoints in memory, for simulations: the same calls give the same answers.
    pub fn memory() -> Self {
        Self::new(Arc::new(InMemory::new()), &Path::default())
    }

    /// The full path in the store of `relative`, a path as manifests name it.
    pub(super) fn path(&self, relative: &str) -> Path {
        relative.split('/').fold(self.prefix.clone(), Path::join)
    }

    /// Where a path lies, for people.
    pub(super) fn place_of(&self, path: &Path) -> String {
        format!("{}/{path}", self.name)
    }

    /// Writes a whole object, or none of it. False if there was one and `mode` does not allow to write over it.
    pub(super) fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<bool, CheckpointsError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        match block_on(self.store.put_opts(path, PutPayload::from_bytes(bytes), options)) {
            Ok(_) => self.sync(path).map(|()| true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(CheckpointsError::Write { path: self.place_of(path), source }),
        }
    }

    /// Makes an object of a local store outlast a power cut; remote stores do so before they answer.
    pub(super) fn sync(&self, path: &Path) -> Result<(), CheckpointsError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let file = folder.join(path.as_ref());
        let sync = |path: &FilePath| File::open(path).and_then(|file| file.sync_all());
        sync(&file).and_then(|()| file.parent().map_or(Ok(()), sync)).map_err(|source| CheckpointsError::Write {
            path: self.place_of(path),
            source: object_store::Error::Generic { store: "LocalFileSystem", source: source.into() },
        })
    }

    pub(super) fn get(&self, path: &Path) -> Result<Bytes, CheckpointsError> {
        block_on(async { self.store.get(path).await?.bytes().await })
            .map_err(|source| CheckpointsError::Read { path: self.place_of(path), source })
    }

    /// Deletes an object; one that is not there is deleted already.
    pub(super) fn delete(&self, path: &Path) -> Result<(), CheckpointsError> {
        match block_on(self.store.delete(path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(CheckpointsError::Write { path: self.place_of(path), source }),
        }
    }

    /// The names of the objects directly in `folder`, in order.
    pub(super) fn names(&self, folder: &Path) -> Result<Vec<String>, CheckpointsError> {
        let objects: Vec<_> = block_on(self.store.list(Some(folder)).try_collect())
            .map_err(|source| CheckpointsError::Read { path: self.place_of(folder), source })?;
        let name_in_folder = |path: &Path| {
            let mut parts = path.prefix_match(folder)?;
            let name = parts.next()?.as_ref().to_owned();
            parts.next().is_none().then_some(name)
        };
        let mut names: Vec<String> = objects.iter().filter_map(|object| name_in_folder(&object.location)).collect();
        names.sort();
        Ok(names)
    }
}
