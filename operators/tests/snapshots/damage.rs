//! Parts that are not what was written: an error in words, and never a panic.

use std::cell::RefCell;
use std::rc::Rc;

use operators::dataflow::daily_kpis::DailyKpis;
use operators::dataflow::driver::Machine;
use operators::dataflow::entities::EntityMachine;
use operators::dataflow::rep_names::RepNames;
use operators::dataflow::snapshot::{Section, SnapshotError, SnapshotPart};
use operators::dataflow::statistics::Statistics;
use operators::domain::shards::{Barrier, ShardRange};
use xxhash_rust::xxh3::xxh3_64;

use crate::events::{Random, world};
use crate::graph::{SETTINGS, run, standard};

const HEADER_BYTES: usize = 48;
const FRAME_HEADER_BYTES: usize = 12;

fn parts() -> (Vec<SnapshotPart>, i64) {
    let epochs = world(&mut Random(3), 60, 4);
    let base = Barrier { epoch: epochs[30].epoch, base: ShardRange::ALL };
    let delta = Barrier { epoch: epochs[59].epoch, base: ShardRange::NONE };
    let outcome = run(1, SETTINGS, None, &epochs, &[base, delta], 1);
    (outcome.parts.into_values().flatten().collect(), delta.epoch)
}

fn restore(parts: &[SnapshotPart], epoch: i64) -> Result<(), SnapshotError> {
    let mut machine = EntityMachine::new(SETTINGS, RepNames::new(0), Rc::new(RefCell::new(Statistics::default())))
        .with_models(standard());
    let mut kpis = DailyKpis::new(true);
    for part in parts {
        if part.section == Section::DailyKpis { kpis.restore(part) } else { machine.restore(part) }?;
    }
    machine.restored(epoch)?;
    kpis.restored(epoch)
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let (parts, epoch) = parts();
    assert_eq!(restore(&parts, epoch), Ok(()));
    let mut random = Random(11);
    let filled: Vec<usize> = (0..parts.len()).filter(|at| parts[*at].bytes.len() > HEADER_BYTES).collect();
    for round in 0..3_000 {
        let mut damaged = parts.clone();
        let at = if round % 4 == 0 { random.below(parts.len() as u64) as usize } else { *random.pick(&filled) };
        let bytes = &mut damaged[at].bytes;
        let place = random.below(bytes.len() as u64) as usize;
        if round % 3 == 0 {
            bytes.truncate(place);
        } else {
            bytes[place] ^= 1 << random.below(8);
        }
        let key = |part: &SnapshotPart| (part.section, part.shard);
        let meant = key(&damaged[at]);
        damaged.retain(|part| key(part) == meant);
        let error = restore(&damaged, epoch).unwrap_err();
        assert!(
            matches!(error, SnapshotError::Damaged { .. } | SnapshotError::NoPart { .. }),
            "byte {place} of part {at}: {error}"
        );
    }
}

#[test]
fn parts_that_are_missing_or_in_another_order_are_found() {
    let (parts, epoch) = parts();
    let deltas: Vec<usize> = (0..parts.len()).filter(|at| !parts[*at].is_base).collect();
    for delta in deltas.iter().copied() {
        // Without its base a delta says nothing.
        let base = parts
            .iter()
            .position(|part| part.is_base && (part.section, part.shard) == (parts[delta].section, parts[delta].shard));
        let mut without = parts.clone();
        without.remove(base.unwrap());
        let error = restore(&without, epoch).unwrap_err();
        assert!(matches!(error, SnapshotError::Gap { .. }), "{error}");
        let mut swapped = parts.clone();
        swapped.swap(base.unwrap(), delta);
        assert!(restore(&swapped, epoch).is_err());
    }
    assert!(!deltas.is_empty());
}

#[test]
fn a_part_of_another_section_or_version_is_refused_in_words() {
    let (parts, _) = parts();
    let kpis = parts.iter().find(|part| part.section == Section::DailyKpis).unwrap();
    let mut machine = EntityMachine::new(SETTINGS, RepNames::new(0), Rc::new(RefCell::new(Statistics::default())))
        .with_models(standard());
    let error = machine.restore(kpis).unwrap_err();
    assert!(matches!(error, SnapshotError::Misrouted { .. }), "{error}");
    let mut newer = parts[0].clone();
    newer.bytes[4] = 200;
    let checksum = xxh3_64(&newer.bytes[..40]).to_le_bytes();
    newer.bytes[40..48].copy_from_slice(&checksum);
    let error = machine.restore(&newer).unwrap_err();
    assert_eq!(error, SnapshotError::Version { found: 200 });
    assert!(error.to_string().contains("format version 200"), "{error}");
}

/// Records that make no sense under checksums that are right, as only a bug would write them.
#[test]
fn nonsense_under_good_checksums_never_panics() {
    let (parts, epoch) = parts();
    let mut random = Random(23);
    let filled: Vec<usize> =
        (0..parts.len()).filter(|at| parts[*at].bytes.len() > HEADER_BYTES + FRAME_HEADER_BYTES).collect();
    let mut refused = 0;
    for _ in 0..4_000 {
        let mut damaged = parts.clone();
        let bytes = &mut damaged[*random.pick(&filled)].bytes;
        let records = HEADER_BYTES + FRAME_HEADER_BYTES;
        let length = u32::from_le_bytes(bytes[HEADER_BYTES..HEADER_BYTES + 4].try_into().unwrap()) as usize;
        for _ in 0..=random.below(3) {
            // Lengths and numbers stand at the front of texts; most bytes do.
            bytes[records + random.below(length as u64) as usize] =
                [0, 1, 2, 0x7f, 0x80, 0xff, random.next() as u8][random.below(7) as usize];
        }
        let checksum = xxh3_64(&bytes[records..records + length]).to_le_bytes();
        bytes[HEADER_BYTES + 4..records].copy_from_slice(&checksum);
        refused += usize::from(restore(&damaged, epoch).is_err());
    }
    assert!(refused > 1_000, "{refused} refused");
}

#[test]
fn parts_written_one_after_another_are_taken_apart() {
    let (parts, _) = parts();
    let blob: Vec<u8> = parts.iter().flat_map(|part| part.bytes.clone()).collect();
    let (mut rest, mut found) = (blob.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (part, after) = SnapshotPart::split_first(rest).unwrap();
        found.push(part);
        rest = after;
    }
    assert_eq!(found, parts);
    assert!(SnapshotPart::split_first(&blob[..blob.len() - 1]).is_ok());
    assert!(SnapshotPart::split_first(&blob[1..]).is_err());
}
