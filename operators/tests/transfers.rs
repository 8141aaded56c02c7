//! The transfer graph, a public test of internal consistency in streaming systems (Brandon 2021): money moves between accounts, and however
//! disordered it arrives, every consistent view of it sums to nothing.
//!
//! ```text
//!   transfers ─▶ driver ─▶ (from, to, amount) ±1 ─┬─▶ credits by account ─┐
//!                (epochs whole)                   └─▶ debits by account ──⋈─▶ balances ─▶ total: zero at every epoch
//! ```
//! A join that pairs new credits with old debits, or a sum that shows one side of a transfer first, is seen at once. Balances are held
//! against sums made from scratch, epoch by epoch, for several numbers of workers and of epochs in a batch.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use differential_dataflow::operators::CountTotal;
use differential_dataflow::{AsCollection, VecCollection};
use operators::dataflow::driver::{Epoch, Inputs, Machine, Progress, drive};
use operators::dataflow::snapshot::{SnapshotError, SnapshotPart};
use operators::domain::batch::{EventBatch, Place, RawBytes, Span};
use operators::domain::event::Topic;
use operators::domain::hash::shard_of;
use operators::domain::parse::Parser;
use operators::domain::shards::{Barrier, WorkerShards};
use operators::domain::time::format_rfc3339;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::source;
use timely::dataflow::operators::vec::Map;

const ACCOUNTS: u64 = 10;
const TRANSFERS: u64 = 3_000;
const EPOCH_MS: i64 = 50;
const EPOCHS: u64 = 120;
const START_MS: i64 = 1_767_600_000_000;

/// Money on its way from one account to another; reversed, on its way back out of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transfer {
    number: u64,
    from: u64,
    to: u64,
    cents: i64,
    is_reversal: bool,
}

impl Transfer {
    fn sign(self) -> isize {
        if self.is_reversal { -1 } else { 1 }
    }

    /// The event that tells it; everything stands in its id.
    fn json(self, time_ms: i64) -> String {
        let Transfer { number, from, to, cents, is_reversal } = self;
        format!(
            r#"{{"specversion":"1.0","id":"{number} {from} {to} {cents} {}","source":"bank","type":"deal.created","dealerid":"branch-{}","time":"{}","data":{{"dealId":"{number}"}}}}"#,
            u8::from(is_reversal),
            number % 37,
            format_rfc3339(time_ms)
        )
    }

    fn read(id: &[u8]) -> Self {
        let text = std::str::from_utf8(id).unwrap();
        let numbers: Vec<i64> = text.split(' ').map(|part| part.parse().unwrap()).collect();
        let [number, from, to, cents, reversal] = numbers[..] else { panic!("{text}") };
        Transfer { number: number as u64, from: from as u64, to: to as u64, cents, is_reversal: reversal == 1 }
    }
}

/// Seeded numbers below a bound (`SplitMix64`; Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }
}

/// By the epoch in which they arrive: transfers with their times, in no order. One in four comes late by up to twenty epochs, and one in
/// eight is reversed, maybe in the very epoch in which it comes.
fn arrivals(seed: u64) -> BTreeMap<i64, Vec<(Transfer, i64)>> {
    let mut random = Random(seed);
    let mut arrivals: BTreeMap<i64, Vec<(Transfer, i64)>> = BTreeMap::new();
    let epoch_of = |number: u64| START_MS + number as i64 * EPOCH_MS;
    // Every account has both sides from the first epoch on.
    for from in 0..ACCOUNTS {
        let ring = Transfer { number: from, from, to: (from + 1) % ACCOUNTS, cents: 100, is_reversal: false };
        arrivals.entry(epoch_of(0)).or_default().push((ring, START_MS));
    }
    for number in ACCOUNTS..TRANSFERS {
        let from = random.below(ACCOUNTS);
        let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
        let transfer = Transfer { number, from, to, cents: 1 + random.below(10_000) as i64, is_reversal: false };
        let made = 1 + random.below(EPOCHS);
        let late = if random.below(4) == 0 { random.below(20) } else { 0 };
        let time_ms = epoch_of(made) - random.below(EPOCH_MS as u64) as i64;
        arrivals.entry(epoch_of(made + late)).or_default().push((transfer, time_ms));
        if random.below(8) == 0 {
            let reversal = Transfer { is_reversal: true, ..transfer };
            arrivals.entry(epoch_of(made + late + random.below(6))).or_default().push((reversal, time_ms));
        }
    }
    for transfers in arrivals.values_mut() {
        for place in (1..transfers.len()).rev() {
            transfers.swap(place, random.below(place as u64 + 1) as usize);
        }
    }
    arrivals
}

/// Emits each epoch's transfers; keeps nothing.
struct Transfers;

type Moved = (Transfer, i64);

impl Machine for Transfers {
    type Output = Vec<Moved>;

    fn advance(&mut self, epoch: i64, inputs: &Inputs<'_>, output: &mut Vec<Moved>) {
        for index in 0..inputs.len() {
            let (batch, event) = inputs.event(index);
            output.push((Transfer::read(batch.text(event.id)), epoch));
        }
    }

    fn flush(&mut self, _output: &mut Vec<Moved>) {}

    fn snapshot(&mut self, _barrier: &Barrier, _shards: WorkerShards, _output: &mut Vec<Moved>) -> Progress {
        Progress::Done
    }

    fn restore(&mut self, _part: &SnapshotPart) -> Result<(), SnapshotError> {
        Ok(())
    }

    fn restored(&mut self, _epoch: i64) -> Result<(), SnapshotError> {
        Ok(())
    }

    fn restored_epoch(&self) -> Option<Epoch> {
        None
    }

    fn emit_restored(&mut self, _output: &mut Vec<Moved>) -> Progress {
        Progress::Done
    }
}

/// The batches of some epochs for all workers, of the transfers that worker `index` reads.
fn batches(epochs: &[(i64, Vec<(Transfer, i64)>)], index: usize, peers: usize) -> Vec<EventBatch> {
    let mut raw = Vec::new();
    let mut records = Vec::new();
    for (epoch, transfers) in epochs {
        for (transfer, time_ms) in transfers.iter().filter(|(transfer, _)| transfer.number as usize % peers == index) {
            let json = transfer.json(*time_ms);
            let span = Span { start: raw.len() as u32, length: json.len() as u32 };
            records.push((*epoch, transfer.number, span));
            raw.extend_from_slice(json.as_bytes());
        }
    }
    let raw = RawBytes(Arc::new(raw));
    let empty = |destination| EventBatch {
        destination: destination as u64,
        epochs: epochs.iter().map(|(epoch, _)| *epoch).collect(),
        raw: raw.clone(),
        ..EventBatch::default()
    };
    let mut batches: Vec<EventBatch> = (0..peers).map(empty).collect();
    let mut parser = Parser::default();
    for (epoch, offset, span) in records {
        let place = Place { topic: Topic::Deals as u8, partition: 0, offset };
        let event =
            parser.parse(&raw.0, span, place, epoch).unwrap_or_else(|rejection| panic!("{}", rejection.sentence));
        let destination = shard_of(event.dealer_hash) % peers;
        parser.push(event, &mut batches[destination]);
    }
    batches
}

/// What changed in a view, by epoch.
type Changes<T> = BTreeMap<i64, Vec<(T, isize)>>;

#[derive(Debug, Default)]
struct Views {
    balances: Changes<(u64, i64)>,
    totals: Changes<i64>,
}

/// Runs the graph, `chunk` epochs at a time.
fn run(workers: usize, chunk: usize, arrivals: &BTreeMap<i64, Vec<(Transfer, i64)>>) -> Views {
    let views = Arc::new(Mutex::new(Views::default()));
    let epochs: Vec<_> = arrivals.iter().map(|(epoch, transfers)| (*epoch, transfers.clone())).collect();
    let shared = Arc::clone(&views);
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (index, peers) = (worker.index(), worker.peers());
        let epochs = epochs.clone();
        worker.dataflow::<Epoch, _, _>(|scope| {
            let stream =
                source::<_, CapacityContainerBuilder<Vec<EventBatch>>, _, _>(scope, "transfers", |first, info| {
                    let activator = scope.activator_for(info.address);
                    let (mut held, mut at) = (Some(first), 0);
                    move |output| {
                        let Some(capability) = held.as_mut() else { return };
                        let left = &epochs[at.min(epochs.len())..];
                        let Some((next, _)) = left.first() else { return held = None };
                        capability.downgrade(&(*next as Epoch));
                        let now = &left[..left.len().min(chunk)];
                        output.session(&capability).give_iterator(batches(now, index, peers).into_iter());
                        at += chunk;
                        activator.activate();
                    }
                });
            let moved = drive(stream, "transfers", Transfers).flat_map(|output| {
                output.into_iter().map(|(transfer, epoch)| {
                    ((transfer.from, transfer.to, transfer.cents), epoch as Epoch, transfer.sign())
                })
            });
            let transfers: VecCollection<'_, Epoch, (u64, u64, i64), isize> = moved.as_collection();
            // The sums are carried in the difference, beside a count that says whether an account is there.
            let credits = transfers.clone().explode(|(_, to, cents)| Some((to, (1_isize, cents as isize))));
            let debits = transfers.explode(|(from, _, cents)| Some((from, (1_isize, cents as isize))));
            let balances = credits
                .count_total()
                .join(debits.count_total())
                .map(|(account, ((_, credit), (_, debit)))| (account, (credit - debit) as i64));
            let totals = balances
                .clone()
                .explode(|(_, balance)| Some(((), (1_isize, balance as isize))))
                .count_total()
                .map(|((), (_, total))| total as i64);
            let into = Arc::clone(&shared);
            balances.inspect(move |(balance, epoch, by)| {
                into.lock().unwrap().balances.entry(*epoch as i64).or_default().push((*balance, *by));
            });
            let into = Arc::clone(&shared);
            totals.inspect(move |(total, epoch, by)| {
                into.lock().unwrap().totals.entry(*epoch as i64).or_default().push((*total, *by));
            });
        });
        while worker.step_or_park(None) {}
    });
    drop(guards.unwrap());
    std::mem::take(&mut *views.lock().unwrap())
}

/// A view after an epoch's changes: each value with how often it is there, never less than once.
fn advance<T: Ord + Copy + std::fmt::Debug>(view: &mut BTreeMap<T, isize>, changes: Option<&Vec<(T, isize)>>) {
    for (value, by) in changes.into_iter().flatten() {
        *view.entry(*value).or_default() += by;
    }
    view.retain(|_, count| *count != 0);
    assert!(view.values().all(|count| *count > 0), "{view:?}");
}

#[test]
fn the_total_is_zero_at_every_epoch_whatever_arrives_when() {
    for seed in 1..=3 {
        let arrivals = arrivals(seed);
        for (workers, chunk) in [(1, 1), (1, 7), (2, 1), (3, 5)] {
            let views = run(workers, chunk, &arrivals);
            let (mut balances, mut totals) = (BTreeMap::new(), BTreeMap::new());
            let mut expected: BTreeMap<u64, i64> = BTreeMap::new();
            for (epoch, transfers) in &arrivals {
                for (transfer, _) in transfers {
                    let cents = transfer.cents * transfer.sign() as i64;
                    *expected.entry(transfer.to).or_default() += cents;
                    *expected.entry(transfer.from).or_default() -= cents;
                }
                advance(&mut balances, views.balances.get(epoch));
                advance(&mut totals, views.totals.get(epoch));
                let at = format!("seed {seed}, {workers} workers, {chunk} epochs a batch, epoch {epoch}");
                assert!(
                    balances.keys().copied().eq(expected.iter().map(|(account, cents)| (*account, *cents))),
                    "{at}"
                );
                assert_eq!(balances.keys().map(|(_, balance)| balance).sum::<i64>(), 0, "{at}");
                assert_eq!(totals.keys().copied().collect::<Vec<_>>(), [0], "{at}");
            }
            let known = |epoch: &&i64| arrivals.contains_key(*epoch);
            assert!(views.balances.keys().all(|epoch| known(&epoch)), "nothing changes between epochs");
            assert!(
                views.balances.len() > EPOCHS as usize / 2,
                "balances moved in {} epochs only",
                views.balances.len()
            );
        }
    }
}
