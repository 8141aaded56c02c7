//! The store itself.
//!
//! Everything here blocks the calling thread until the store has answered, so it is called from threads of their own and never from
//! inside an asynchronous task.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::Runtime;

use super::folder::DurableFolder;
use super::{ObjectsError, S3Place};

/// An object as a listing tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedObject {
    /// Its name in the folder.
    pub name: String,
    /// When it was put, by the store's own clock: UTC milliseconds.
    pub modified_ms: i64,
}

/// A store and a prefix in it; cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What errors call the store.
    name: String,
    /// The folder of a local store whose files are made to last.
    durable: Option<Arc<DurableFolder>>,
    /// What a remote store's client runs on.
    runtime: Option<Arc<OwnRuntime>>,
}

/// A runtime that may be dropped anywhere.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Objects")
            .field("store", &self.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Objects {
    /// Objects in `store`, which must put only if absent, all at once or not at all, and list what was put.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        let name = store.to_string();
        Self { store, prefix: Path::default(), name, durable: None, runtime: None }
    }

    /// Objects in a local folder, which is made if it is missing. They outlast a power cut.
    ///
    /// # Errors
    /// If the folder cannot be made or used.
    pub fn folder(folder: &FilePath) -> Result<Self, ObjectsError> {
        let objects = Self::scratch_folder(folder)?;
        Ok(Self { durable: Some(Arc::new(DurableFolder::new(folder))), ..objects })
    }

    /// Objects in a local folder that can be made again: written whole, but only as durable as the system likes.
    ///
    /// # Errors
    /// As [`Objects::folder`].
    pub fn scratch_folder(folder: &FilePath) -> Result<Self, ObjectsError> {
        let unusable =
            |source: Box<dyn Error + Send + Sync>| ObjectsError::Folder { path: folder.to_path_buf(), source };
        std::fs::create_dir_all(folder).map_err(|source| unusable(source.into()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|source| unusable(source.into()))?;
        Ok(Self { name: folder.display().to_string(), ..Self::new(Arc::new(store)) })
    }

    /// Objects in a bucket. Nothing is contacted yet.
    ///
    /// # Errors
    /// If a setting is refused, or the system gives no thread.
    pub fn s3(place: S3Place<'_>) -> Result<Self, ObjectsError> {
        let client = place.client()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("objects")
            .enable_all()
            .build()
            .map_err(|error| ObjectsError::Settings { url: place.url(), reason: error.to_string() })?;
        let prefix = place.prefix.split('/').filter(|part| !part.is_empty()).fold(Path::default(), Path::join);
        Ok(Self {
            prefix,
            name: place.url(),
            runtime: Some(Arc::new(OwnRuntime(Some(runtime)))),
            ..Self::new(Arc::new(client))
        })
    }

    /// Objects in memory: the same calls give the same answers.
    pub fn memory() -> Self {
        Self::new(Arc::new(InMemory::new()))
    }

    /// The same store, one folder further down.
    #[must_use]
    pub fn below(&self, folder: &str) -> Self {
        Self { prefix: self.path(folder), ..self.clone() }
    }

    /// The store itself, for readers that scan it.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// The full path in the store of `relative`, with slashes between its parts.
    pub fn path(&self, relative: &str) -> Path {
        relative.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), Path::join)
    }

    /// Where `relative` lies, for people.
    pub fn place_of(&self, relative: &str) -> String {
        format!("{}/{}", self.name, self.path(relative))
    }

    /// Writes a whole object, or none of it; over one of the same name.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn put(&self, relative: &str, bytes: Bytes) -> Result<(), ObjectsError> {
        self.put_as(relative, bytes, PutMode::Overwrite).map(drop)
    }

    /// Writes a whole object, or none of it. False if there was one; that may be this one, when an answer was lost on the way.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn put_new(&self, relative: &str, bytes: Bytes) -> Result<bool, ObjectsError> {
        self.put_as(relative, bytes, PutMode::Create)
    }

    fn put_as(&self, relative: &str, bytes: Bytes, mode: PutMode) -> Result<bool, ObjectsError> {
        let path = self.path(relative);
        let refused = |source| ObjectsError::Write { path: self.place_of(relative), source };
        if let Some(durable) = &self.durable {
            return durable.put(path.as_ref(), &bytes, mode == PutMode::Overwrite).map_err(|source| {
                refused(object_store::Error::Generic { store: "LocalFileSystem", source: source.into() })
            });
        }
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.wait(self.store.put_opts(&path, PutPayload::from_bytes(bytes), options)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(source) => Err(refused(source)),
        }
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// If there is none ([`ObjectsError::is_not_found`]), or the store refuses.
    pub fn get(&self, relative: &str) -> Result<Bytes, ObjectsError> {
        let path = self.path(relative);
        self.wait(async { self.store.get(&path).await?.bytes().await })
            .map_err(|source| ObjectsError::Read { path: self.place_of(relative), source })
    }

    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn delete(&self, relative: &str) -> Result<(), ObjectsError> {
        match self.wait(self.store.delete(&self.path(relative))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(ObjectsError::Write { path: self.place_of(relative), source }),
        }
    }

    /// The objects directly in a folder, in the order of their names; none if there is no such folder.
    ///
    /// # Errors
    /// If the store refuses.
    pub fn list(&self, folder: &str) -> Result<Vec<ListedObject>, ObjectsError> {
        let path = self.path(folder);
        let listed = self
            .wait(self.store.list_with_delimiter(Some(&path)))
            .map_err(|source| ObjectsError::Read { path: self.place_of(folder), source })?;
        let own = |object: object_store::ObjectMeta| {
            let name = object.location.filename()?.to_owned();
            Some(ListedObject { name, modified_ms: object.last_modified.timestamp_millis() })
        };
        let mut objects: Vec<ListedObject> = listed.objects.into_iter().filter_map(own).collect();
        objects.sort();
        Ok(objects)
    }

    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        match self.runtime.as_ref().and_then(|runtime| runtime.0.as_ref()) {
            Some(runtime) => runtime.block_on(answer),
            None => block_on(answer),
        }
    }
}
