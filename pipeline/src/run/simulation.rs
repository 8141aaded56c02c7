//! A simulation of the running core: the real feeder, source, clock, dataflow, commits and recovery on a log in memory, with one seed
//! that decides everything.
//!
//! ```text
//!   seed ─▶ world ─┬─▶ producer            events, duplicates, late and broken ones ─▶ log
//!                  ├─▶ instances           feed, work, commit, crash, start, fence — a step at a time
//!                  ├─▶ log, stores, clock  faults, markers, foreign transactions, clocks that jump
//!                  └─▶ truth               what must hold after every step and at the end
//! ```
//! `SIMULATION_SEEDS` says how many seeds are run, `SIMULATION_SEED` runs one and tells each step. No threads, no wall clock: a seed
//! does the same on every machine.
//!
//! A crash keeps nothing but the log and the stores ([`stores`]): history, input archive and checkpoints, which fail, fill up, lose
//! answers and are taken over; records expire in the log once the archive has them.

mod instance;
mod log;
mod producer;
mod storage;
mod stores;
mod truth;
mod world;

use std::time::Instant;

use self::storage::Defect;
use self::world::{Report, simulate, simulate_with};
use connectors::testing::faulty_objects::ObjectDefect;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 300;
/// Seeds in which a defect of the log must be seen.
const SEEDS_WITH_DEFECT: u64 = 40;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Says which seed it was, should the core panic.
struct Watch(u64);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} panicked; {}", self.0, again(self.0));
        }
    }
}

fn again(seed: u64) -> String {
    format!("again: SIMULATION_SEED={seed} cargo test -p pipeline --lib run::simulation::seeds -- --nocapture")
}

/// Sums what seeds came to, and lists those that failed.
fn run_all(seeds: impl Iterator<Item = u64>) -> (Report, Vec<u64>) {
    let (mut total, mut failed) = (Report::default(), Vec::new());
    for seed in seeds {
        let _watch = Watch(seed);
        match simulate(seed, Defect::None, false) {
            Ok(report) => total.add(&report),
            Err(reason) => {
                println!("seed {seed}, {reason}\n  {}", again(seed));
                failed.push(seed);
            }
        }
    }
    (total, failed)
}

#[test]
fn seeds_keep_every_promise() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let _watch = Watch(seed);
        println!("{:?}", simulate(seed, Defect::None, true).unwrap_or_else(|reason| panic!("seed {seed}, {reason}")));
        return;
    }
    let first = number("SIMULATION_FIRST").unwrap_or(0);
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    // Seeds know nothing of each other; within one there is one thread.
    let threads = number("SIMULATION_THREADS").unwrap_or(1).max(1);
    let started = Instant::now();
    let (mut total, mut failed) = (Report::default(), Vec::new());
    std::thread::scope(|scope| {
        let run = |thread| move || run_all((first + thread..first + seeds).step_by(threads as usize));
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        for thread in running {
            let (report, mut seeds) = thread.join().unwrap();
            total.add(&report);
            failed.append(&mut seeds);
        }
    });
    failed.sort_unstable();
    let seconds = started.elapsed().as_secs_f64();
    println!("{seeds} seeds in {seconds:.1} s, {:.0} a second: {total:?}", seeds as f64 / seconds);
    assert!(failed.is_empty(), "{} of {seeds} seeds failed: {failed:?}", failed.len());
    assert!(total.epochs > seeds && total.starts > seeds, "the simulation did next to nothing: {total:?}");
}

#[test]
fn a_seed_does_the_same_again() {
    for seed in 0..20 {
        assert_eq!(simulate(seed, Defect::None, false), simulate(seed, Defect::None, false), "{}", again(seed));
    }
}

/// A simulation that cannot fail proves nothing.
#[test]
fn broken_logs_are_caught() {
    let defects =
        [Defect::TornCommit, Defect::NoFence, Defect::LostRecord, Defect::RepeatedRecord, Defect::ForgottenCommit];
    for defect in defects {
        let caught = (0..SEEDS_WITH_DEFECT).filter(|seed| simulate(*seed, defect, false).is_err()).count();
        println!("{defect:?} is seen by {caught} of {SEEDS_WITH_DEFECT} seeds");
        assert!(caught > 0, "{defect:?} goes unseen");
    }
}

#[test]
fn broken_stores_are_caught() {
    for defect in [ObjectDefect::TornPut, ObjectDefect::NoFence, ObjectDefect::ForgottenPut] {
        let seen = |seed: &u64| simulate_with(*seed, Defect::None, defect, false).is_err();
        let caught = (0..SEEDS_WITH_DEFECT).filter(seen).count();
        println!("{defect:?} is seen by {caught} of {SEEDS_WITH_DEFECT} seeds");
        assert!(caught > 0, "{defect:?} goes unseen");
    }
}
