//! Feeds every recorded epoch to fresh workers and compares what they give with what was recorded.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use connectors::log::{CommitterIdentity, Log, PollLimits};
use connectors::objects::Objects;

use super::archive_reader::missing_in_archive;
use super::binding::{Binding, ChainPosition};
use super::clock::Clock;
use super::collect::EpochOutput;
use super::commits::{Commits, Publisher, RunIdentity, Turn};
use super::engine::{Engine, Seats};
use super::feeder::{FeedSink, Feeder};
use super::live::{LiveSettings, RunError, archive_first, reading};
use super::records::{EpochEnds, RecordChunk};
use super::recovery::{Action, Input, Recovery};
use super::source::{Close, Source};
use super::starting::{describe_inputs, output_partitions};
use super::successor::Nobody;

/// How long nothing may move before the log is given up.
const STILL_MAX: Duration = Duration::from_mins(1);

struct Bench {
    engine: Engine,
    closes: Vec<Close>,
}

impl FeedSink for Bench {
    fn feed(&mut self, worker: usize, chunk: RecordChunk) {
        self.engine.feed(worker, chunk);
    }

    fn bind(&mut self, ends: EpochEnds) {
        self.engine.bind(&ends);
    }

    fn closed(&mut self, close: Close, _records: Vec<RecordChunk>) {
        self.closes.push(close);
    }
}

/// Recomputes recorded epochs from the input, and hands each to `publisher` once it has proved equal. Number of epochs.
///
/// What has expired in the log is read from the input archive in `history`. Nothing is written, and no running instance is
/// disturbed.
///
/// # Errors
/// If the input is not there any more, or an epoch gives other outputs than recorded.
pub fn recompute(
    log: &Arc<dyn Log>,
    settings: &LiveSettings,
    bindings: Vec<Binding>,
    history: &Objects,
    publisher: &mut dyn Publisher,
) -> Result<usize, RunError> {
    let total = bindings.len();
    let Some(last) = bindings.last().map(|binding| binding.epoch) else { return Ok(0) };
    let mut recovery = Recovery::default();
    recovery.handle(Input::Begin);
    recovery.handle(Input::CommitterOpened);
    recovery.handle(Input::CheckpointFound(None));
    recovery.handle(Input::BindingsRead(bindings));
    let mut action = recovery.handle(Input::TopicsDescribed(describe_inputs(log.as_ref())?));
    if let Action::FindArchived(ranges) = &action {
        action = recovery.handle(Input::ArchiveSearched(missing_in_archive(history, ranges)?));
    }
    let plan = match action {
        Action::Go(plan) => *plan,
        Action::Stop(reason) => return Err(RunError::Commit(reason)),
        action => return Err(RunError::Commit(format!("the recomputation went wrong: {action:?}; report this"))),
    };
    let started = Instant::now();
    let mut now = move || reading(started);
    let clock = Clock::start(settings.tick_ms, Some(last), now())?;
    let source = Source::new(settings.source, clock, &ChainPosition::default(), plan.recorded).recorded_only();
    let reader = archive_first(log.reader("recompute")?, history, plan.archived)?;
    let workers = settings.engine.workers.max(1);
    let mut feeder = Feeder::new(reader, source, &plan.starts, workers, PollLimits::default(), now())?;
    let (to_us, outputs) = channel::<EpochOutput>();
    let engine = Engine::start(settings.engine.clone(), Seats::Alone, None, move |output| {
        let _ = to_us.send(output);
    })
    .map_err(RunError::Engine)?;
    let identity = CommitterIdentity { name: format!("{} (audit)", settings.name), incarnation: "audit".into() };
    let run = RunIdentity {
        pipeline: settings.name.clone(),
        incarnation: 0,
        settings: settings.fingerprint.clone(),
        logic: settings.logic.clone(),
    };
    // Never opened, so it can write nothing: recorded epochs are only compared.
    let committer = log.committer(identity)?;
    let mut commits = Commits::new(committer, Box::new(Nobody), settings.commit, run, output_partitions(log.as_ref())?);
    let mut bench = Bench { engine, closes: Vec::new() };
    let mut done = 0;
    let mut moved = Instant::now();
    while done < total {
        if feeder.source().is_replaying() {
            feeder.step(Duration::from_millis(5), &mut now, &mut bench)?;
        }
        bench.closes.drain(..).for_each(|close| commits.closed(close, Vec::new()));
        while let Ok(output) = outputs.recv_timeout(Duration::from_millis(1)) {
            let epoch = output.epoch;
            commits.collected(output);
            if let Turn::Stop(reason) = commits.step(publisher) {
                return Err(RunError::Commit(reason));
            }
            feeder.source().released(epoch);
            done += 1;
            moved = Instant::now();
        }
        if moved.elapsed() > STILL_MAX {
            return Err(RunError::Commit(format!(
                "the recomputation stands still after {done} of {total} epochs: the log gives no more of the input"
            )));
        }
    }
    bench.engine.finish().map_err(RunError::Engine)?;
    Ok(done)
}
