//! Restarts from snapshots: what follows one is what would have followed without it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod damage;
mod events;
mod golden;
mod graph;
mod moving_leads;
mod resets;

use std::cell::RefCell;
use std::rc::Rc;

use events::{EpochRecords, Random, world};
use graph::{Outcome, SETTINGS, Start, run, standard, tables};
use operators::dataflow::driver::{Machine, Progress};
use operators::dataflow::entities::{EntityMachine, EntityOutput, EntitySettings};
use operators::dataflow::intelligence::settings::PreparedModels;
use operators::dataflow::rep_names::RepNames;
use operators::dataflow::snapshot::{Section, SnapshotPart};
use operators::dataflow::statistics::Statistics;
use operators::domain::shards::{Barrier, ShardRange, WorkerShards};
use operators::domain::tables::TableId;
use resets::add_resets;

/// What differs from epoch `after` on, if anything.
fn difference(expected: &Outcome, found: &Outcome, after: i64) -> Option<String> {
    for (epoch, rows) in expected.rows.range(after + 1..) {
        let other = found.rows.get(epoch).cloned().unwrap_or_default();
        if *rows != other {
            let missing: Vec<_> = rows.iter().filter(|row| !other.contains(row)).collect();
            let extra: Vec<_> = other.iter().filter(|row| !rows.contains(row)).collect();
            return Some(format!("rows of epoch {epoch}: missing {missing:?}, extra {extra:?}"));
        }
    }
    for (epoch, messages) in expected.messages.range(after + 1..) {
        let other = found.messages.get(epoch).cloned().unwrap_or_default();
        if *messages != other {
            let differs = messages.iter().zip(&other).find(|(left, right)| left != right);
            return Some(format!("{} and {} messages of epoch {epoch}: {differs:?}", messages.len(), other.len()));
        }
    }
    let later = |outcome: &Outcome| {
        let rows: Vec<i64> = outcome.rows.range(after + 1..).map(|(epoch, _)| *epoch).collect();
        let letters: Vec<_> =
            outcome.letters.range(after + 1..).map(|(epoch, letters)| (*epoch, letters.clone())).collect();
        let counts: Vec<_> = outcome.counts.range(after + 1..).map(|(epoch, counts)| (*epoch, *counts)).collect();
        (rows, letters, counts)
    };
    if later(expected) != later(found) {
        return Some(format!("letters or counts: {:?} and {:?}", later(expected), later(found)));
    }
    let state = |outcome: &Outcome| (outcome.live_rows.clone(), outcome.dedup_keys);
    (state(expected) != state(found))
        .then(|| format!("counts at the end: {:?} and {:?}", state(expected), state(found)))
}

/// Barriers after random epochs, the first of them whole, the others whole, in part or not at all.
fn random_barriers(random: &mut Random, epochs: &[EpochRecords]) -> Vec<Barrier> {
    let mut barriers = Vec::new();
    for (at, epoch) in epochs.iter().enumerate() {
        let is_last = at + 1 == epochs.len();
        if is_last || random.chance(25) {
            let first = random.below(256) as u16;
            let base = match random.below(4) {
                _ if is_last => ShardRange::ALL,
                0 => ShardRange::ALL,
                1 => ShardRange { first, end: (first + 90).min(256) },
                _ => ShardRange::NONE,
            };
            // Between two epochs, too, a barrier may fall.
            let after = epochs.get(at + 1).map_or(0, |next| random.below((next.epoch - epoch.epoch) as u64) as i64);
            barriers.push(Barrier { epoch: epoch.epoch + if random.chance(50) { 0 } else { after }, base });
        }
    }
    barriers
}

/// All parts up to an epoch, in the order of writing.
fn parts_until(outcome: &Outcome, epoch: i64) -> Vec<SnapshotPart> {
    outcome.parts.range(..=epoch).flat_map(|(_, parts)| parts.iter().cloned()).collect()
}

fn check_seed(seed: u64) {
    let mut random = Random(seed);
    let dealers = [1, 3, 8, 40][random.below(4) as usize];
    let mut epochs = world(&mut random, 60, dealers);
    if seed % 2 == 1 {
        add_resets(&mut epochs, &mut random, dealers);
    }
    let barriers = random_barriers(&mut random, &epochs);
    let (&last, others) = barriers.split_last().unwrap();
    let chunk = 1 + random.below(4) as usize;

    let silent = run(1, EntitySettings { snapshots: false, ..SETTINGS }, None, &epochs, &[last], 1);
    let workers = 1 + random.below(3) as usize;
    let whole = run(workers, SETTINGS, None, &epochs, &barriers, chunk);
    if let Some(difference) = difference(&silent, &whole, i64::MIN) {
        panic!("seed {seed}: snapshots change results at {workers} workers: {difference}");
    }
    assert_eq!(silent.parts[&last.epoch], whole.parts[&last.epoch], "seed {seed}: the final state differs");
    assert_eq!((silent.expired, silent.ambiguous), (whole.expired, whole.ambiguous), "seed {seed}");

    for workers in [1, 2, 3] {
        if others.is_empty() {
            continue;
        }
        let from = random.pick(others).epoch;
        let rest: Vec<EpochRecords> = epochs.iter().filter(|epoch| epoch.epoch > from).cloned().collect();
        let later: Vec<Barrier> = barriers.iter().filter(|barrier| barrier.epoch > from).copied().collect();
        let start = Start { epoch: from, parts: parts_until(&whole, from) };
        let restored = run(workers, SETTINGS, Some(start), &rest, &later, chunk);
        if let Some(difference) = difference(&whole, &restored, from) {
            panic!("seed {seed}: restored at {from} into {workers} workers: {difference}");
        }
        for barrier in &later {
            assert_eq!(
                whole.parts[&barrier.epoch], restored.parts[&barrier.epoch],
                "seed {seed}: restored at {from} into {workers} workers, the snapshot of {} differs",
                barrier.epoch
            );
        }
        let mut expected = tables(&whole, from);
        // Nobody keeps what was emitted and is not state.
        expected.retain(|(table, _), _| !matches!(table, TableId::DeadLetters | TableId::Epochs));
        assert_eq!(expected, tables(&restored, from), "seed {seed}: the rows of what was restored at {from}");
    }
}

#[test]
fn what_follows_a_restart_is_what_would_have_followed() {
    for seed in 0..60 {
        check_seed(seed);
    }
}

/// Many more seeds, by hand: `cargo test -p operators --test snapshots -- --ignored thousands`.
#[test]
#[ignore = "takes minutes"]
fn thousands_of_restarts() {
    for seed in 1_000..4_000 {
        check_seed(seed);
    }
}

/// A machine that has read parts.
pub(crate) fn restored(parts: &[SnapshotPart], epoch: i64) -> EntityMachine {
    restored_with(&standard(), parts, epoch)
}

/// The same with other models.
pub(crate) fn restored_with(models: &PreparedModels, parts: &[SnapshotPart], epoch: i64) -> EntityMachine {
    let statistics = Rc::new(RefCell::new(Statistics::default()));
    let mut machine = EntityMachine::new(SETTINGS, RepNames::new(0), statistics).with_models(models.clone());
    for part in parts.iter().filter(|part| part.section != Section::DailyKpis) {
        machine.restore(part).unwrap();
    }
    machine.restored(epoch).unwrap();
    machine
}

/// All that a machine writes at a barrier.
pub(crate) fn written(machine: &mut EntityMachine, barrier: Barrier) -> Vec<SnapshotPart> {
    let mut parts = Vec::new();
    loop {
        let mut output = EntityOutput::default();
        let progress = machine.snapshot(&barrier, WorkerShards::ALL, &mut output);
        parts.extend(output.snapshots.into_iter().flat_map(|(_, parts)| parts));
        if progress == Progress::Done {
            parts.sort_by_key(|part| (part.section, part.shard));
            return parts;
        }
    }
}

#[test]
fn a_restored_machine_writes_the_same_bytes() {
    for seed in 100..110 {
        let epochs = world(&mut Random(seed), 80, 20);
        let middle = Barrier { epoch: epochs[40].epoch, base: ShardRange::ALL };
        let last = Barrier { epoch: epochs[79].epoch, base: ShardRange::ALL };
        let outcome = run(1, SETTINGS, None, &epochs, &[middle, last], 3);
        let expected: Vec<SnapshotPart> =
            outcome.parts[&last.epoch].iter().filter(|part| part.section != Section::DailyKpis).cloned().collect();
        // A newer base takes the place of all before it.
        for parts in [parts_until(&outcome, last.epoch), expected.clone()] {
            assert_eq!(written(&mut restored(&parts, last.epoch), last), expected, "seed {seed}");
        }
    }
}

#[test]
fn a_delta_without_changes_is_empty() {
    let epochs = world(&mut Random(7), 30, 5);
    let base = Barrier { epoch: epochs[29].epoch, base: ShardRange::ALL };
    let outcome = run(1, SETTINGS, None, &epochs, &[base], 1);
    let mut machine = restored(&outcome.parts[&base.epoch], base.epoch);
    assert_eq!(written(&mut machine, Barrier { epoch: base.epoch + 1, base: ShardRange::NONE }), []);
}
