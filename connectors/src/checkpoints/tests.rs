use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::objects::{Objects, ObjectsError};

const SETTINGS: CheckpointSettings = CheckpointSettings { shards: 8, deltas_max: 4, base_shards: 0 };

fn open(store: &Objects, incarnation: &str) -> (Checkpoints, Option<CheckpointManifest>) {
    let (writer, latest, skipped) = Checkpoints::open(store.clone(), SETTINGS, incarnation).unwrap();
    assert!(skipped.is_empty(), "{skipped:?}");
    (writer, latest)
}

/// Writes a checkpoint of one base and one delta, as the writer asks for.
fn checkpoint(writer: &mut Checkpoints, epoch: i64, text: &str) -> Result<CheckpointManifest, CheckpointsError> {
    let base = writer.next_base();
    let mut blobs = Vec::new();
    if base != (0..SETTINGS.shards) {
        blobs.push(writer.write_blob(epoch, 0..SETTINGS.shards, false, format!("delta {text}").as_bytes())?);
    }
    if !base.is_empty() {
        // Long enough that a few deltas are less than half of it.
        blobs.push(writer.write_blob(epoch, base, true, format!("base {text:<99}").as_bytes())?);
    }
    writer.commit(epoch, json!({"leads": [epoch]}), "1", blobs).cloned()
}

fn texts(store: &Objects, manifest: &CheckpointManifest) -> Vec<String> {
    let text = |blob| String::from_utf8(manifest.read_blob(store, blob).unwrap()).unwrap().trim_end().to_owned();
    manifest.blobs.iter().map(text).collect()
}

#[test]
fn a_checkpoint_is_a_base_and_its_deltas() {
    let store = Objects::memory();
    let (mut writer, latest) = open(&store, "run-1");
    assert_eq!(latest, None);
    for epoch in 1..=3 {
        checkpoint(&mut writer, epoch, &epoch.to_string()).unwrap();
    }
    let (_, latest) = open(&store, "run-2");
    let latest = latest.unwrap();
    assert_eq!((latest.epoch, latest.number, latest.parent), (Some(3), 4, Some(3)));
    assert_eq!(latest.positions, json!({"leads": [3]}));
    assert_eq!(texts(&store, &latest), ["base 1", "delta 2", "delta 3"]);
}

#[test]
fn the_format_is_golden() {
    let folder = tempfile::tempdir().unwrap();
    let store = Objects::folder(folder.path()).unwrap().below(FOLDER);
    let blob = CheckpointBlob {
        name: "00000000000000000002-run_1-0.zst".into(),
        epoch: 1_772_323_200_000,
        shards: 0..8,
        is_base: true,
        bytes: 1_234,
        stored_bytes: 567,
        xxh3_64: manifest::checksum(b"state"),
    };
    let manifest = CheckpointManifest {
        number: 2,
        parent: Some(1),
        epoch: Some(1_772_323_200_000),
        logic_version: "1".into(),
        positions: json!({"leads": [7]}),
        blobs: vec![blob],
        ..CheckpointManifest::first("run-1")
    };
    manifest.publish(&store).unwrap();
    let path = folder.path().join("checkpoints/_manifests/00000000000000000002.json");
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        concat!(
            r#"{"format_version":1,"number":2,"parent":1,"incarnation":"run-1","epoch":1772323200000,"logic_version":"1","#,
            r#""positions":{"leads":[7]},"blobs":[{"name":"00000000000000000002-run_1-0.zst","epoch":1772323200000,"#,
            r#""shards":{"start":0,"end":8},"is_base":true,"bytes":1234,"stored_bytes":567,"xxh3_64":"6ddef6a542f52cb4"}]}"#,
            "\n",
            r#"{"xxh3_64":"a0bdc46710b74392"}"#,
            "\n"
        )
    );
}

#[test]
fn who_opens_fences_who_was_there() {
    let store = Objects::memory();
    let (mut first, _) = open(&store, "run-1");
    checkpoint(&mut first, 1, "1").unwrap();
    let (mut second, latest) = open(&store, "run-2");
    assert_eq!(latest.unwrap().epoch, Some(1));
    let error = checkpoint(&mut first, 2, "2").unwrap_err();
    assert!(matches!(&error, CheckpointsError::Fenced { number: 3, by } if by == "run-2"), "{error}");
    assert!(!error.is_retriable());
    assert!(matches!(first.clean_up(), Err(CheckpointsError::Fenced { .. })));
    checkpoint(&mut second, 2, "second").unwrap();
    let error = checkpoint(&mut first, 9, "9").unwrap_err();
    assert!(matches!(&error, CheckpointsError::Fenced { number: 4, .. }), "{error}");
    let latest = CheckpointManifest::latest(&store).unwrap().0.unwrap();
    assert_eq!(texts(&store, &latest), ["base 1", "delta second"]);
}

#[test]
fn of_many_who_open_at_once_one_may_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = Objects::folder(folder.path()).unwrap().below(FOLDER);
    let mut writers: Vec<Checkpoints> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..6)
            .map(|number| {
                let store = store.clone();
                scope.spawn(move || open(&store, &format!("run-{number}")).0)
            })
            .collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    let written = writers.iter_mut().filter_map(|writer| checkpoint(writer, 1, "1").ok()).count();
    assert_eq!(written, 1);
}

#[test]
fn a_repeated_commit_is_the_same_commit() {
    let store = Objects::memory();
    let (mut writer, _) = open(&store, "run-1");
    let first = checkpoint(&mut writer, 1, "1").unwrap();
    // As if the answer had been lost.
    first.publish(&store).unwrap();
    assert_eq!(CheckpointManifest::latest(&store).unwrap().0.unwrap(), first);
}

#[test]
fn chains_stay_short_and_a_lost_checkpoint_ends_them() {
    let store = Objects::memory();
    let (mut writer, _) = open(&store, "run-1");
    let mut bases = Vec::new();
    for epoch in 1..=12 {
        let base = writer.next_base();
        let mut blobs = Vec::new();
        if base.is_empty() {
            blobs.push(writer.write_blob(epoch, 0..8, false, b"d").unwrap());
        } else {
            bases.push(epoch);
            blobs.push(writer.write_blob(epoch, base, true, &[7; 1_000]).unwrap());
        }
        let manifest = writer.commit(epoch, json!(null), "1", blobs).unwrap();
        assert!(manifest.blobs.len() <= 1 + SETTINGS.deltas_max as usize);
    }
    assert_eq!(bases, [1, 6, 11]);
    writer.abandon();
    assert_eq!(writer.next_base(), 0..8);
    let blob = writer.write_blob(13, 0..8, true, b"0123456789").unwrap();
    writer.commit(13, json!(null), "1", vec![blob]).unwrap();
    assert_eq!(writer.next_base(), 0..0);
    // Deltas of more than half of the base.
    let blob = writer.write_blob(14, 0..8, false, b"012345").unwrap();
    writer.commit(14, json!(null), "1", vec![blob]).unwrap();
    assert_eq!(writer.next_base(), 0..8);
}

#[test]
fn bases_take_turns() {
    let store = Objects::memory();
    let settings = CheckpointSettings { shards: 8, deltas_max: 100, base_shards: 3 };
    let (mut writer, ..) = Checkpoints::open(store, settings, "run-1").unwrap();
    let mut bases = Vec::new();
    for epoch in 1..=40 {
        let base = writer.next_base();
        bases.push(base.clone());
        let delta = writer.write_blob(epoch, 0..8, false, b"delta").unwrap();
        let base = writer.write_blob(epoch, base, true, b"base").unwrap();
        let manifest = writer.commit(epoch, json!(null), "1", vec![delta, base]).unwrap();
        assert!(manifest.blobs.len() <= 12, "{} blobs", manifest.blobs.len());
    }
    assert_eq!(bases[..5], [0..8, 0..3, 3..6, 6..8, 0..3]);
}

fn blob_files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.join("checkpoints/blobs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn damage_falls_back_to_the_checkpoint_before_and_says_so() {
    type Harm = fn(&std::path::Path);
    let harms: [(&str, Harm); 5] = [
        ("a blob is missing", |folder| std::fs::remove_file(blob_files(folder).pop().unwrap()).unwrap()),
        ("a blob is cut", |folder| std::fs::write(blob_files(folder).pop().unwrap(), b"cut").unwrap()),
        ("a bit of a blob is another", |folder| {
            let file = blob_files(folder).pop().unwrap();
            let mut bytes = std::fs::read(&file).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(file, bytes).unwrap();
        }),
        ("the manifest is cut", |folder| {
            std::fs::write(folder.join("checkpoints/_manifests/00000000000000000003.json"), b"{\"format_ver").unwrap();
        }),
        ("a digit of the manifest is another", |folder| {
            let file = folder.join("checkpoints/_manifests/00000000000000000003.json");
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(file, text.replace("\"epoch\":2", "\"epoch\":3")).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let folder = tempfile::tempdir().unwrap();
        let store = Objects::folder(folder.path()).unwrap().below(FOLDER);
        let (mut writer, _) = open(&store, "run-1");
        checkpoint(&mut writer, 1, "1").unwrap();
        checkpoint(&mut writer, 2, "2").unwrap();
        writer.clean_up().unwrap();
        harm(folder.path());
        let (mut writer, latest, skipped) = Checkpoints::open(store.clone(), SETTINGS, "run-2").unwrap();
        let latest = latest.unwrap();
        assert_eq!((latest.epoch, texts(&store, &latest)), (Some(1), vec!["base 1".to_owned()]), "{what}");
        assert_eq!(skipped.iter().map(|skipped| skipped.number).collect::<Vec<_>>(), [3], "{what}");
        let sentence = skipped[0].error.to_string();
        assert!(sentence.contains("checkpoints/"), "{what}: {sentence}");
        // The chain goes on from what was restored, and the damaged one is forgotten in time.
        let next = checkpoint(&mut writer, 3, "3").unwrap();
        assert_eq!(texts(&store, &next), ["base 1", "delta 3"], "{what}");
        checkpoint(&mut writer, 4, "4").unwrap();
        for _ in 0..2 {
            writer.clean_up().unwrap();
        }
        let (latest, skipped) = CheckpointManifest::latest(&store).unwrap();
        assert_eq!((latest.unwrap().epoch, skipped.len()), (Some(4), 0), "{what}");
    }
}

#[test]
fn another_format_version_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = Objects::folder(folder.path()).unwrap().below(FOLDER);
    let line = r#"{"format_version":2,"shape":"unknown"}"#;
    let text = format!("{line}\n{{\"xxh3_64\":\"{}\"}}\n", manifest::checksum(line.as_bytes()));
    std::fs::create_dir_all(folder.path().join("checkpoints/_manifests")).unwrap();
    std::fs::write(folder.path().join("checkpoints/_manifests/00000000000000000001.json"), text).unwrap();
    let error = CheckpointManifest::latest(&store).unwrap_err();
    assert!(matches!(error, CheckpointsError::Version { found: 2, supported: 1, .. }), "{error}");
}

#[test]
fn a_reader_has_until_the_clean_up_after_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = Objects::folder(folder.path()).unwrap().below(FOLDER);
    let (mut writer, _) = open(&store, "run-1");
    let mut before: Option<CheckpointManifest> = None;
    for epoch in 1..=30 {
        let manifest = checkpoint(&mut writer, epoch, &epoch.to_string()).unwrap();
        writer.clean_up().unwrap();
        // Both kept checkpoints can be read whole, and one that a reader began with two checkpoints ago.
        texts(&store, &manifest);
        if let Some(before) = &before {
            texts(&store, before);
        }
        before = Some(manifest);
        let manifests = std::fs::read_dir(folder.path().join("checkpoints/_manifests")).unwrap().count();
        assert!(manifests <= 3, "{manifests} manifests");
        assert!(blob_files(folder.path()).len() <= 14, "{} blobs", blob_files(folder.path()).len());
    }
}

#[test]
fn a_clean_up_leaves_what_another_writes() {
    let store = Objects::memory();
    let (mut old, _) = open(&store, "run-1");
    checkpoint(&mut old, 1, "1").unwrap();
    old.clean_up().unwrap();
    let (mut new, _) = open(&store, "run-2");
    let blob = new.write_blob(2, 0..8, true, b"in flight").unwrap();
    for _ in 0..3 {
        assert!(matches!(old.clean_up(), Err(CheckpointsError::Fenced { .. })));
    }
    new.commit(2, json!(null), "1", vec![blob]).unwrap();
    assert_eq!(texts(&store, &CheckpointManifest::latest(&store).unwrap().0.unwrap()), ["in flight"]);
}

#[test]
fn a_full_store_says_so_and_how_to_mend_it() {
    const NO_SPACE: i32 = 28;
    const DENIED: i32 = 13;
    let error = |code| {
        let source = Box::new(io::Error::from_raw_os_error(code));
        let source = object_store::Error::Generic { store: "LocalFileSystem", source };
        CheckpointsError::from(ObjectsError::Write { path: "checkpoints/blobs/x".into(), source })
    };
    let full = error(NO_SPACE);
    assert!(full.to_string().contains("the disk is full: free space") && !full.is_retriable(), "{full}");
    let denied = error(DENIED);
    assert!(denied.to_string().contains("permission is denied: grant it") && !denied.is_retriable(), "{denied}");
    let source = object_store::Error::Generic { store: "S3", source: "slow down".into() };
    assert!(CheckpointsError::from(ObjectsError::Write { path: "p".into(), source }).is_retriable());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("checkpoints"), b"a file in the way").unwrap();
    let store = Objects::folder(folder.path()).unwrap().below(FOLDER);
    let blocked = Checkpoints::open(store, SETTINGS, "run-1").map(drop).unwrap_err();
    assert!(matches!(blocked, CheckpointsError::Objects(_)), "{blocked}");
}

/// Steps a writer with crashes between any two of its calls, and compares what is restored with what was written.
#[test]
fn what_is_restored_is_what_was_committed() {
    for seed in 0..150_u64 {
        let mut state = seed;
        let mut below = move |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        let base_shards = [0, 3][below(2) as usize];
        let settings = CheckpointSettings { base_shards, ..SETTINGS };
        let store = Objects::memory();
        let mut committed: (Option<i64>, BTreeMap<u16, i64>) = (None, BTreeMap::new());
        let mut epoch = 0;
        for run in 0..8 {
            let (mut writer, latest, _) = Checkpoints::open(store.clone(), settings, &format!("run {run}")).unwrap();
            let mut values: BTreeMap<u16, i64> = BTreeMap::new();
            if let Some(latest) = &latest {
                for blob in &latest.blobs {
                    let text = latest.read_blob(&store, blob).unwrap();
                    values.extend(serde_json::from_slice::<BTreeMap<u16, i64>>(&text).unwrap());
                }
            }
            assert_eq!((latest.and_then(|latest| latest.epoch), values.clone()), committed, "seed {seed}, run {run}");
            'steps: for _ in 0..below(12) {
                epoch += 1;
                let mut changed = BTreeMap::new();
                for _ in 0..below(4) {
                    changed.insert(below(8) as u16, epoch);
                }
                values.extend(&changed);
                let base = writer.next_base();
                let delta: BTreeMap<u16, i64> =
                    changed.into_iter().filter(|(shard, _)| !base.contains(shard)).collect();
                let whole: BTreeMap<u16, i64> = values
                    .iter()
                    .filter(|(shard, _)| base.contains(shard))
                    .map(|(shard, value)| (*shard, *value))
                    .collect();
                let mut blobs = Vec::new();
                for (shards, is_base, part) in [(0..8, false, delta), (base, true, whole)] {
                    if below(12) == 0 {
                        break 'steps;
                    }
                    if !shards.is_empty() {
                        let text = serde_json::to_vec(&part).unwrap();
                        blobs.push(writer.write_blob(epoch, shards, is_base, &text).unwrap());
                    }
                }
                if below(10) == 0 {
                    // The store refused for too long: what this checkpoint took from the state is in no other.
                    writer.abandon();
                    continue;
                }
                writer.commit(epoch, json!(epoch), "1", blobs).unwrap();
                committed = (Some(epoch), values.clone());
                if below(2) == 0 {
                    writer.clean_up().unwrap();
                }
            }
        }
    }
}
