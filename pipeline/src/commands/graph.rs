//! `dealerflow graph`: the dataflow, as timely itself describes it when the graph is built.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use connectors::files::{ChunkReader, Plan};
use connectors::objects::Objects;
use operators::dataflow::entities::EntitySettings;
use operators::dataflow::intelligence::settings::PreparedModels;
use operators::dataflow::statistics::Statistics;
use timely::logging::{TimelyEvent, TimelyEventBuilder};

use super::CommandError;
use crate::failure::Failure;
use crate::graph::{self, GraphSettings, Outputs};
use crate::replay::chunks::ReplayInput;
use crate::replay::source::Source;

/// Prints the dataflow.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// A channel: the scope it lies in, and operator and port of its two ends.
type Channel = (Vec<usize>, (usize, usize), (usize, usize));

#[derive(Default)]
struct Seen {
    operators: BTreeMap<Vec<usize>, String>,
    channels: Vec<Channel>,
}

/// Runs the command.
///
/// # Errors
/// If the engine does not start.
pub fn run(_arguments: &Arguments) -> Result<(), CommandError> {
    let scratch = std::env::temp_dir();
    let store = Objects::scratch_folder(&scratch).map_err(CommandError::failed)?;
    let guards = timely::execute(timely::Config::thread(), move |worker| {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let sink = Rc::clone(&seen);
        if let Some(mut registry) = worker.log_register() {
            registry.insert::<TimelyEventBuilder, _>("timely", move |_, data| {
                for (_, event) in data.iter().flat_map(|data| data.iter()) {
                    match event {
                        TimelyEvent::Operates(event) => {
                            sink.borrow_mut().operators.insert(event.addr.clone(), event.name.clone());
                        }
                        TimelyEvent::Channels(event) => {
                            sink.borrow_mut().channels.push((event.scope_addr.clone(), event.source, event.target));
                        }
                        _ => {}
                    }
                }
            });
        }
        let plan = Arc::new(Plan::default());
        let input = ReplayInput {
            source: Source::new(Arc::clone(&plan), 1),
            reader: ChunkReader::new(Arc::from([])),
            plan,
            damages: Arc::default(),
            records_read: Arc::new(AtomicU64::new(0)),
            failure: Failure::default(),
        };
        let outputs = Outputs {
            store: store.clone(),
            files: Arc::default(),
            topics: None,
            topics_done: Box::new(|_| {}),
            failure: Failure::default(),
        };
        let entities = EntitySettings {
            dedup_horizon_ms: 0,
            dedup_keys_max: 0,
            retention_ms: 0,
            rows: true,
            snapshots: false,
            restored_rows: false,
        };
        // The models live in the entity machine's operator: the graph is the same without them.
        let settings = GraphSettings { entities, models: PreparedModels::none() };
        let statistics = Rc::new(RefCell::new(Statistics::default()));
        worker.dataflow(|scope| graph::replay(scope, input.clone(), settings, Some(outputs), &statistics));
        while worker.step() {}
        let seen = seen.borrow();
        let name = |scope: &[usize], index: usize| {
            let address: Vec<usize> = scope.iter().copied().chain([index]).collect();
            let Some(name) = seen.operators.get(&address) else { return "scope".to_owned() };
            // Several operators of the libraries share a name; their number tells them apart.
            let is_ambiguous = seen.operators.values().filter(|other| *other == name).count() > 1;
            if is_ambiguous { format!("{name} #{index}") } else { name.clone() }
        };
        let mut lines: Vec<String> = seen
            .channels
            .iter()
            .map(|(scope, source, target)| format!("{} -> {}", name(scope, source.0), name(scope, target.0)))
            .collect();
        lines.dedup();
        lines
    })
    .map_err(CommandError::failed)?;
    for lines in guards.join() {
        for line in lines.map_err(CommandError::failed)? {
            println!("{line}");
        }
    }
    Ok(())
}
