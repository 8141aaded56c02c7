//! The fuzz target's check over its seed corpus and seeded mutations of it, in a plain test: it needs no C++ compiler, and what fails here
//! fails the same way everywhere.

#![allow(clippy::unwrap_used, clippy::match_wild_err_arm, reason = "a test says what went wrong by panicking")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use operators::domain::parse::Parser;
use tests::parse_check::check;

const MUTATIONS: u64 = 200_000;
/// Sets another number of mutations.
const MUTATIONS_VARIABLE: &str = "PARSER_MUTATIONS";
/// Tokens that steer mutations to where the parser decides something.
const WORDS: [&[u8]; 14] = [
    b"\"time\":",
    b"\\\"time\":",
    b"\\u0074ime",
    b"\"data\":{",
    b"\"type\":\"deal.closed\"",
    b"\"sequence\":",
    b"1e999",
    b"-0.0",
    b"\\ud83d\\ude00",
    b"null",
    b"\"\"",
    b"\xff",
    b"[[[[[[[[",
    b"{\"a\":",
];

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/parse_record");
    let mut seeds: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 20, "{} seeds in {}", seeds.len(), folder.display());
    seeds
}

#[test]
fn every_seed_is_read_as_its_name_says() {
    let mut parser = Parser::default();
    for (name, record) in corpus() {
        let refused = check(&mut parser, &record);
        assert_eq!(refused.is_some(), name.starts_with("bad_"), "{name}: {refused:?}");
    }
}

#[test]
fn mutated_seeds_keep_every_promise() {
    let seeds: Vec<Vec<u8>> = corpus().into_iter().map(|(_, record)| record).collect();
    let mutations = std::env::var(MUTATIONS_VARIABLE).map_or(MUTATIONS, |number| number.parse().unwrap());
    let mut parser = Parser::default();
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    for number in 0..mutations {
        let record = mutated(&seeds, number);
        match catch_unwind(AssertUnwindSafe(|| check(&mut parser, &record))) {
            Ok(None) => accepted += 1,
            Ok(Some(_)) => refused += 1,
            Err(_) => panic!("mutation {number} breaks a promise (see above): {}", record.escape_ascii()),
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(
        accepted * 50 > mutations,
        "{accepted} of {mutations} mutations were accepted: they no longer reach what lies behind the grammar"
    );
    assert!(refused * 20 > mutations, "{refused} of {mutations} mutations were refused: they no longer break anything");
}

/// The same bytes for the same number, on every machine.
fn mutated(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut random = Random(number);
    let mut record = random.pick(seeds).clone();
    for _ in 0..=random.below(3) {
        mutate(&mut random, seeds, &mut record);
    }
    record
}

fn mutate(random: &mut Random, seeds: &[Vec<u8>], record: &mut Vec<u8>) {
    let at = random.below(record.len() + 1);
    let end = (at + 1 + random.below(16)).min(record.len());
    match random.below(8) {
        0 => record.truncate(at),
        1 => drop(record.drain(at..end)),
        2 => record.insert(at, random.next() as u8),
        3 => drop(record.splice(at..at, random.pick(&WORDS).iter().copied())),
        4 => drop(record.splice(at..end, random.pick(&WORDS).iter().copied())),
        5 => {
            if let Some(byte) = record.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        6 => {
            let repeated = record[at..end].to_vec();
            record.splice(end..end, repeated);
        }
        _ => {
            let other = random.pick(seeds);
            let from = random.below(other.len() + 1);
            let until = (from + random.below(64)).min(other.len());
            record.splice(at..at, other[from..until].iter().copied());
        }
    }
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}
