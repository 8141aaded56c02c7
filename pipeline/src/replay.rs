//! A replay: a folder of events in, the outputs of the whole pipeline out.
//!
//! ```text
//!   discover ─▶ open ─▶ index (plan) ─▶ workers run the graph ─▶ finish topics ─▶ publish the manifest
//! ```
//! The same events give the same outputs, with any number of workers, dealt over files in any way.

pub mod chunks;
pub mod committer;
pub mod output;
pub mod recovery;
pub mod source;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use connectors::files::{ChunkReader, Damage, Discovery, Index, IndexOptions, OpenOptions, Plan, discover, open_all};
use connectors::objects::Objects;
use connectors::parquet::{FOLDER, Manifest};
use connectors::topics::JsonLinesSink;
use connectors::{FilesError, HistoryError, TopicsError};
use operators::dataflow::entities::EntitySettings;
use operators::dataflow::intelligence::settings::PreparedModels;
use operators::dataflow::statistics::Statistics;
use operators::domain::batch::Place;
use operators::domain::event::Topic;
use operators::domain::event_time::event_time_of;
use operators::domain::parse::RECORD_BYTES_MAX;
use operators::domain::tables::TableId;
use timely::communication::Config as Communication;

use crate::failure::Failure;
use crate::graph::{self, GraphSettings, Outputs};
use crate::replay::chunks::ReplayInput;
use crate::replay::committer::{Action, Committer, Input};
use crate::replay::recovery::{Decision, Found, decide};
use crate::replay::source::Source;
use crate::sinks::parquet::TableFile;
use crate::sinks::topics::TopicFiles;

/// Bytes of input in flight between the sources and the sinks.
const WINDOW_BYTES: u64 = 16 << 20;
/// Bytes that a worker reads and parses at once: small enough to stay in the cache.
const CHUNK_BYTES: u64 = 256 << 10;

/// What to replay, and how.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Folder of events.
    pub input: PathBuf,
    /// Folder for the outputs; none, and nothing is written.
    pub output: Option<PathBuf>,
    /// Whether an earlier replay's output may be replaced.
    pub overwrite: bool,
    /// Number of worker threads.
    pub workers: usize,
    /// Width of an epoch; none, and epochs are cut by count.
    pub epoch_width_ms: Option<i64>,
    /// Events per epoch when cut by count.
    pub epoch_records: u64,
    /// Unpacked input kept in memory.
    pub replay_buffer_bytes: u64,
    /// How long an event's id is remembered.
    pub dedup_horizon_ms: i64,
    /// How many ids are remembered at most.
    pub dedup_keys_max: usize,
    /// How long an untouched lead, deal or vehicle stays.
    pub retention_ms: i64,
    /// The models.
    pub models: PreparedModels,
    /// Fingerprint of their settings.
    pub models_fingerprint: String,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct ReplayReport {
    /// Counts over all workers.
    pub statistics: Statistics,
    /// Records read.
    pub records: u64,
    /// Bytes read, unpacked.
    pub bytes: u64,
    /// Epochs.
    pub epochs: usize,
    /// The last epoch.
    pub epoch_last: Option<i64>,
    /// Files that look like events but belong to no topic.
    pub ignored: Vec<PathBuf>,
    /// Packed files that end before their time.
    pub damaged: Vec<(PathBuf, String)>,
    /// Time taken by the index pass.
    pub index_time: Duration,
    /// Time taken in all.
    pub total_time: Duration,
}

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The input cannot be read.
    #[error(transparent)]
    Input(#[from] FilesError),
    /// A topic cannot be written.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// Parquet or its manifest cannot be written.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The output folder is not ours to write.
    #[error("the output folder {path} cannot be used: {reason}", path = path.display())]
    OutputRefused {
        /// The folder.
        path: PathBuf,
        /// Why, and how to mend it.
        reason: String,
    },
    /// The output folder cannot be looked at or cleared.
    #[error("the output folder {path} cannot be prepared: {source}; check its permissions", path = path.display())]
    OutputFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A worker failed; the sentence is its own.
    #[error("{0}")]
    Worker(String),
    /// The engine did not start.
    #[error("the workers could not be started: {0}")]
    Engine(String),
}

/// Called with the records read so far and their total.
pub type Progress = dyn Fn(u64, u64) + Send + Sync;

/// Runs a replay to its end.
///
/// # Errors
/// If the input cannot be read or the output not written. Then nothing of it is visible, and what was written is removed.
pub fn replay(options: &ReplayOptions, progress: &Arc<Progress>) -> Result<ReplayReport, ReplayError> {
    let started = Instant::now();
    let topics = Topic::ALL.map(Topic::name);
    let Discovery { files, ignored } = discover(&options.input, &topics)?;
    if let Some(output) = &options.output {
        prepare_output(output, options.overwrite)?;
    }
    let scratch = options.output.clone().unwrap_or_else(std::env::temp_dir);
    let open =
        OpenOptions { replay_buffer_bytes: options.replay_buffer_bytes, scratch: &scratch, threads: options.workers };
    let (sources, damages) = open_all(files, open)?;
    let index = IndexOptions {
        threads: options.workers,
        target_epoch_records: options.epoch_records,
        epoch_width_ms: options.epoch_width_ms,
        chunk_bytes: CHUNK_BYTES,
        line_bytes_max: RECORD_BYTES_MAX as u64,
    };
    let mut plan = Index::build(&sources, index, event_time_of)?;
    if !damages.is_empty() {
        // Their dead letters need an epoch, even if there is nothing else.
        plan.ensure_chunk();
    }
    let plan = Arc::new(plan);
    let index_time = started.elapsed();
    let failure = Failure::default();
    let damaged = damages
        .iter()
        .map(|damage| (sources[damage.file as usize].file().path.clone(), damage.reason.clone()))
        .collect();
    let damages = Arc::new(places_of(&damages, &sources, &plan));
    let input = ReplayInput {
        source: Source::new(Arc::clone(&plan), WINDOW_BYTES),
        reader: ChunkReader::new(sources.into()),
        plan: Arc::clone(&plan),
        damages,
        records_read: Arc::new(AtomicU64::new(0)),
        failure: failure.clone(),
    };
    let statistics = match &options.output {
        None => run(options, &input, None, progress)?,
        Some(output) => {
            let outcome = run_with_outputs(options, output, &input, &plan, progress);
            if outcome.is_err() {
                // Nothing is visible without a manifest; what is left is only clutter, so failing to remove it changes nothing.
                let _ = clear(output, &["topics".to_owned(), "parquet".to_owned()]);
            }
            outcome?
        }
    };
    Ok(ReplayReport {
        statistics,
        records: plan.records,
        bytes: plan.bytes,
        epochs: plan.epochs.len(),
        epoch_last: plan.epochs.last().map(|epoch| epoch.label),
        ignored,
        damaged,
        index_time,
        total_time: started.elapsed(),
    })
}

/// Where the damage of packed files lies: behind their last line.
fn places_of(damages: &[Damage], sources: &[connectors::files::ByteSource], plan: &Plan) -> Vec<(Place, String)> {
    damages
        .iter()
        .map(|damage| {
            let file = sources[damage.file as usize].file();
            let offset = plan.lines_per_file[damage.file as usize] + 1;
            (Place { topic: file.topic as u8, partition: file.partition, offset }, damage.reason.clone())
        })
        .collect()
}

fn run_with_outputs(
    options: &ReplayOptions,
    output: &Path,
    input: &ReplayInput,
    plan: &Plan,
    progress: &Arc<Progress>,
) -> Result<Statistics, ReplayError> {
    let store = Objects::scratch_folder(output).map_err(HistoryError::from)?.below(FOLDER);
    let files = Arc::new(Mutex::new(Vec::<TableFile>::new()));
    let topics = TopicFiles::open(JsonLinesSink::create(output)?)?;
    let finished_topics = Arc::new(Mutex::new(None));
    let topics = Arc::new(Mutex::new(Some(topics)));
    let make_outputs: Arc<dyn Fn(usize) -> Outputs + Send + Sync> = {
        let (store, files, failure) = (store.clone(), Arc::clone(&files), input.failure.clone());
        let finished_topics = Arc::clone(&finished_topics);
        Arc::new(move |worker| {
            let finished_topics = Arc::clone(&finished_topics);
            Outputs {
                store: store.clone(),
                files: Arc::clone(&files),
                topics: if worker == 0 { topics.lock().unwrap_or_else(PoisonError::into_inner).take() } else { None },
                topics_done: Box::new(move |topics| {
                    *finished_topics.lock().unwrap_or_else(PoisonError::into_inner) = Some(topics);
                }),
                failure: failure.clone(),
            }
        })
    };
    let mut committer = Committer::default();
    let outcome = run(options, input, Some(make_outputs), progress);
    let mut next = committer.handle(if outcome.is_ok() { &Input::Finished } else { &Input::Failed });
    let statistics = outcome?;
    while let Some(action) = next {
        next = match action {
            Action::FinishTopics => {
                let topics = finished_topics.lock().unwrap_or_else(PoisonError::into_inner).take();
                topics.map_or(Ok(Vec::new()), |topics| topics.into_sink().finish())?;
                committer.handle(&Input::TopicsFinished)
            }
            Action::PublishManifest => {
                let mut files = std::mem::take(&mut *files.lock().unwrap_or_else(PoisonError::into_inner));
                publish(options, &store, plan, &mut files)?;
                committer.handle(&Input::ManifestPublished)
            }
            Action::Discard => None,
        };
    }
    Ok(statistics)
}

/// Names every file in a manifest: from then on the results are visible.
fn publish(options: &ReplayOptions, store: &Objects, plan: &Plan, files: &mut [TableFile]) -> Result<(), HistoryError> {
    // What decides the results, and nothing that does not, so that equal inputs give equal manifests.
    let settings = serde_json::json!({
        "dedup_horizon_ms": options.dedup_horizon_ms,
        "retention_ms": options.retention_ms,
        "models": options.models_fingerprint,
        "logic_version": env!("CARGO_PKG_VERSION"),
    });
    let epoch_last = plan.epochs.last().map_or(0, |epoch| epoch.label);
    let mut manifest = Manifest::first("replay", epoch_last, settings);
    files.sort_by_key(|file| (file.table, file.epoch_first));
    for table in TableId::ALL {
        manifest.tables.entry(table.table().name.to_owned()).or_default();
    }
    for file in files {
        manifest.add(file.table.table().name, file.epoch_first, file.epoch_last, file.written.clone());
    }
    manifest.publish(store)
}

type MakeOutputs = Arc<dyn Fn(usize) -> Outputs + Send + Sync>;

/// Runs the graph on all workers until every epoch is through.
fn run(
    options: &ReplayOptions,
    input: &ReplayInput,
    outputs: Option<MakeOutputs>,
    progress: &Arc<Progress>,
) -> Result<Statistics, ReplayError> {
    let workers = options.workers.max(1);
    let entities = EntitySettings {
        dedup_horizon_ms: options.dedup_horizon_ms,
        dedup_keys_max: options.dedup_keys_max,
        retention_ms: options.retention_ms,
        rows: outputs.is_some(),
        snapshots: false,
        restored_rows: false,
    };
    let settings = GraphSettings { entities, models: options.models.clone() };
    let failure = input.failure.clone();
    let (input, progress) = (input.clone(), Arc::clone(progress));
    let communication = if workers == 1 { Communication::Thread } else { Communication::Process(workers) };
    let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
    let guards = timely::execute(config, move |worker| {
        let _abort = AbortOnPanic;
        let statistics = Rc::new(RefCell::new(Statistics::default()));
        let outputs = outputs.as_ref().map(|outputs| outputs(worker.index()));
        let settings = settings.clone();
        let finished = worker.dataflow(|scope| graph::replay(scope, input.clone(), settings, outputs, &statistics));
        let total = input.plan.records;
        while !finished.done() {
            worker.step_or_park(None);
            if worker.index() == 0 {
                progress(input.records_read.load(Ordering::Relaxed), total);
            }
        }
        // Parts of the graph that no probe follows end with it.
        while worker.step() {}

        statistics.borrow().clone()
    })
    .map_err(ReplayError::Engine)?;
    let mut total = Statistics::default();
    for worker in guards.join() {
        total.add(&worker.map_err(ReplayError::Worker)?);
    }
    match failure.take() {
        Some(sentence) => Err(ReplayError::Worker(sentence)),
        None => Ok(total),
    }
}

/// A worker that panics takes the process with it: its siblings would wait for its progress for ever.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("dealerflow: a worker failed; the process ends so that nothing half done is taken for whole");
            std::process::abort();
        }
    }
}

fn prepare_output(output: &Path, overwrite: bool) -> Result<(), ReplayError> {
    let failed = |source| ReplayError::OutputFolder { path: output.to_owned(), source };
    match std::fs::metadata(output) {
        Ok(metadata) if !metadata.is_dir() => {
            return Err(ReplayError::OutputRefused {
                path: output.to_owned(),
                reason: "it is a file; name a folder".into(),
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return std::fs::create_dir_all(output).map_err(failed);
        }
        Err(error) => return Err(failed(error)),
    }
    let mut found = Found::default();
    for entry in std::fs::read_dir(output).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if ["topics", "parquet"].contains(&name.as_str()) {
            found.outputs.push(name);
        } else {
            found.foreign.push(name);
        }
    }
    found.outputs.sort();
    found.foreign.sort();
    found.manifest = output.join("parquet").join("_manifests").is_dir();
    match decide(&found, overwrite) {
        Decision::Start => Ok(()),
        Decision::Clear(names) => clear(output, &names).map_err(failed),
        Decision::Refuse(reason) => Err(ReplayError::OutputRefused { path: output.to_owned(), reason }),
    }
}

fn clear(output: &Path, names: &[String]) -> std::io::Result<()> {
    // The manifest goes first: what is half removed must not be visible.
    let manifests = output.join("parquet").join("_manifests");
    for path in std::iter::once(manifests).chain(names.iter().map(|name| output.join(name))) {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
