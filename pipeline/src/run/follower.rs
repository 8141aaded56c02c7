//! A process of a cluster that is not process 0: it has workers and nothing else.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::cluster::Connected;
use super::engine::{Engine, EngineSettings, Seats};
use super::live::{Control, RunError};

/// How long process 0 may take to end well once this process was asked to end: it is asked, too, and drains first.
const END_MAX: Duration = Duration::from_secs(9);
/// How often is looked whether the end was asked for.
const LOOK: Duration = Duration::from_millis(100);

/// Works until process 0 says that nothing more will come. What this process knows belongs to the cluster: asked to end before, it waits
/// for process 0 to end well, and if that takes too long it ends the process, and the others with it.
///
/// # Errors
/// If the workers cannot be started, or one failed.
pub fn follow(settings: EngineSettings, connected: Connected, control: &Control) -> Result<(), RunError> {
    let control = control.clone();
    let watch = move || {
        let mut asked = None;
        loop {
            std::thread::sleep(LOOK);
            if !control.stop.load(Ordering::Acquire) {
                continue;
            }
            if asked.get_or_insert_with(Instant::now).elapsed() > END_MAX {
                eprintln!(
                    "dealerflow: process 0 did not end within {} s after this process was asked to end: it ends alone, and the others end with it; nothing is lost",
                    END_MAX.as_secs()
                );
                std::process::exit(1);
            }
        }
    };
    let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(watch);
    thread.map_err(|error| RunError::Engine(error.to_string()))?;
    let engine = Engine::start(settings, Seats::Cluster(connected), None, |_output| {}).map_err(RunError::Engine)?;
    engine.finish().map(drop).map_err(RunError::Engine)
}
