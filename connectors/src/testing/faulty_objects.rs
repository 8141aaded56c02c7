//! A store in memory that fails as stores do, by one seed.
//!
//! ```text
//!   put ─┬─ refused: nothing is there        put ─── stored, and the answer is lost        get, list ─── no answer
//!        └─ full: nothing can be put until it is emptied
//! ```
//! No threads and no clock of its own: the harness says what time it is.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::objects::Objects;

/// Chances of what may go wrong, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectFaults {
    /// A put fails and nothing is there.
    pub refused: f64,
    /// A put is done, and its answer is lost.
    pub unanswered: f64,
    /// A read or a listing fails.
    pub read: f64,
    /// Nothing can be put at all.
    pub is_full: bool,
}

/// What a deliberately broken store does, to prove that a harness sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ObjectDefect {
    /// Nothing.
    #[default]
    None,
    /// A put that was refused leaves half an object behind.
    TornPut,
    /// A new object is put over one that is there.
    NoFence,
    /// A put that is said to be done is not.
    ForgottenPut,
}

#[derive(Debug, Default)]
struct State {
    random: u64,
    now_ms: i64,
    faults: ObjectFaults,
    defect: ObjectDefect,
    modified_ms: BTreeMap<Path, i64>,
}

impl State {
    fn chance(&mut self, chance: f64) -> bool {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 <= chance && chance > 0.0
    }
}

/// The store, shared by all that read and write it.
#[derive(Clone, Debug, Default)]
pub struct FaultyObjects {
    memory: Arc<InMemory>,
    state: Arc<Mutex<State>>,
}

impl std::fmt::Display for FaultyObjects {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("simulated")
    }
}

fn failed(what: &str) -> Error {
    Error::Generic { store: "simulated", source: format!("simulated: {what}").into() }
}

impl FaultyObjects {
    /// A store without faults.
    pub fn new(seed: u64, defect: ObjectDefect) -> Self {
        let faulty = Self::default();
        *faulty.state() = State { random: seed, defect, ..State::default() };
        faulty
    }

    /// The store as others know it.
    pub fn objects(&self) -> Objects {
        Objects::new(Arc::new(self.clone()))
    }

    /// What is in it, past all faults.
    pub fn without_faults(&self) -> Objects {
        Objects::new(Arc::clone(&self.memory) as Arc<dyn ObjectStore>)
    }

    /// Changes what may go wrong.
    pub fn set_faults(&self, faults: ObjectFaults) {
        self.state().faults = faults;
    }

    /// Says what time it is, in UTC milliseconds.
    pub fn set_now(&self, now_ms: i64) {
        self.state().now_ms = now_ms;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_read(&self) -> Result<()> {
        let mut state = self.state();
        let chance = state.faults.read;
        if state.chance(chance) { Err(failed("reading")) } else { Ok(()) }
    }

    fn stamped(&self, mut object: ObjectMeta) -> ObjectMeta {
        let modified_ms = self.state().modified_ms.get(&object.location).copied().unwrap_or_default();
        object.last_modified = DateTime::from_timestamp_millis(modified_ms).unwrap_or_default();
        object
    }
}

#[async_trait]
impl ObjectStore for FaultyObjects {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let (defect, refused, unanswered) = {
            let mut state = self.state();
            if state.faults.is_full {
                let source = Box::new(io::Error::from(io::ErrorKind::StorageFull));
                return Err(Error::Generic { store: "simulated", source });
            }
            let (refused, unanswered) = (state.faults.refused, state.faults.unanswered);
            (state.defect, state.chance(refused), state.chance(unanswered))
        };
        if refused {
            if defect == ObjectDefect::TornPut {
                let bytes: Bytes = payload.into();
                self.memory.put_opts(location, bytes.slice(..bytes.len() / 2).into(), PutOptions::default()).await?;
            }
            return Err(failed("putting"));
        }
        if defect == ObjectDefect::NoFence {
            options.mode = PutMode::Overwrite;
        }
        if defect == ObjectDefect::ForgottenPut && self.state().chance(0.05) {
            return Ok(PutResult { e_tag: None, version: None });
        }
        let put = self.memory.put_opts(location, payload, options).await?;
        {
            let mut state = self.state();
            let now_ms = state.now_ms;
            state.modified_ms.insert(location.clone(), now_ms);
        }
        if unanswered { Err(failed("the answer to a put")) } else { Ok(put) }
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(failed("puts in parts are not used"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.check_read()?;
        self.memory.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check_read()?;
        self.memory.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.memory.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.check_read()?;
        let mut listed = self.memory.list_with_delimiter(prefix).await?;
        listed.objects = listed.objects.into_iter().map(|object| self.stamped(object)).collect();
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.memory.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_leave_nothing_or_all_of_it() {
        let faulty = FaultyObjects::new(7, ObjectDefect::None);
        let objects = faulty.objects();
        faulty.set_faults(ObjectFaults { refused: 1.0, ..ObjectFaults::default() });
        assert!(objects.put("a", Bytes::from_static(b"whole")).unwrap_err().is_retriable());
        assert!(faulty.without_faults().get("a").unwrap_err().is_not_found());
        faulty.set_faults(ObjectFaults { unanswered: 1.0, ..ObjectFaults::default() });
        assert!(objects.put_new("a", Bytes::from_static(b"whole")).is_err());
        assert!(!objects.put_new("a", Bytes::from_static(b"other")).unwrap());
        faulty.set_faults(ObjectFaults { is_full: true, ..ObjectFaults::default() });
        assert!(objects.put("b", Bytes::new()).unwrap_err().to_string().contains("the disk is full"));
        assert_eq!(objects.get("a").unwrap(), Bytes::from_static(b"whole"));
        faulty.set_faults(ObjectFaults { read: 1.0, ..ObjectFaults::default() });
        assert!(objects.get("a").is_err() && objects.list("").is_err());
    }
}
