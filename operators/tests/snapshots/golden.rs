//! The bytes of the format. A change of them is a new version, with a file of its own beside this one.

use std::fmt::Write;
use std::path::PathBuf;

use operators::dataflow::intelligence::settings::{ModelSettings, PreparedModels, WhacoSettings};
use operators::dataflow::snapshot::{FORMAT_VERSION, SnapshotPart};
use operators::domain::event::Topic;
use operators::domain::hash::{hash_text, shard_of};
use operators::domain::shards::{Barrier, ShardRange};

use crate::events::{EpochRecords, HOUR_MS, Record, START_MS};
use crate::graph::{SETTINGS, run_with};
use crate::restored_with;

fn event(offset: u64, topic: Topic, event_type: &str, time: &str, data: &str) -> Record {
    let json = format!(
        r#"{{"specversion":"1.0","id":"event-{offset}","source":"/crm","type":"{event_type}","time":"{time}","dealerid":"d-1","data":{data}}}"#
    );
    Record { topic, json, offset }
}

/// The models, with the form of the clusters whose bytes follow from the user's formulas: ours have a version of their own.
fn models() -> PreparedModels {
    ModelSettings { whaco: Some(WhacoSettings::Seed), ..ModelSettings::standard() }.prepare().unwrap()
}

/// One of everything, with a deletion and an expiry in the delta.
fn parts() -> Vec<SnapshotPart> {
    let at = "2026-02-16T15:04:05.123Z";
    let later = "2026-02-16T16:04:05.123Z";
    let epochs = [
        EpochRecords {
            epoch: START_MS,
            records: vec![
                event(1, Topic::Dealers, "dealer.updated", at, r#"{"timeZone":"America/New_York","name":"A dealer"}"#),
                event(
                    2,
                    Topic::Leads,
                    "lead.created",
                    at,
                    r#"{"leadId":"lead-1","customerId":"c1","channel":"web","creditScore":700,"engagement":0.25}"#,
                ),
                event(
                    3,
                    Topic::Leads,
                    "lead.created",
                    at,
                    r#"{"leadId":"a lead with a long name","customerId":"c2","channel":"phone"}"#,
                ),
                event(
                    4,
                    Topic::Deals,
                    "deal.created",
                    at,
                    r#"{"dealId":"deal-1","repId":"r1","frontGrossCents":-120050,"stage":"delivered"}"#,
                ),
                event(
                    5,
                    Topic::Inventory,
                    "vehicle.acquired",
                    at,
                    r#"{"vehicleId":"v1","vin":"1M8GDM9AXKP042788","year":2024}"#,
                ),
                event(6, Topic::Reps, "rep.added", at, r#"{"repId":"r1","name":"Ann","skills":["trucks"]}"#),
                event(7, Topic::Leads, "customer.engagement.detected", at, r#"{"customerId":"c1","engagement":0.75}"#),
                Record { topic: Topic::Leads, json: "not JSON".into(), offset: 8 },
            ],
        },
        EpochRecords {
            epoch: START_MS + HOUR_MS,
            records: vec![
                event(9, Topic::Leads, "lead.responded", later, r#"{"leadId":"lead-1"}"#),
                event(10, Topic::Leads, "lead.updated", later, r#"{"leadId":"lead-1","creditScore":null}"#),
                event(11, Topic::Leads, "lead.deleted", later, r#"{"leadId":"a lead with a long name"}"#),
            ],
        },
        EpochRecords { epoch: START_MS + 60 * HOUR_MS, records: vec![] },
    ];
    let barriers = [
        Barrier { epoch: START_MS, base: ShardRange::ALL },
        Barrier { epoch: START_MS + HOUR_MS, base: ShardRange::NONE },
        Barrier { epoch: START_MS + 60 * HOUR_MS, base: ShardRange::NONE },
    ];
    let outcome = run_with(&models(), 1, SETTINGS, None, &epochs, &barriers, 1);
    // Without those of the shards that hold nothing.
    let shard = shard_of(hash_text(b"d-1"));
    outcome.parts.into_values().flatten().filter(|part| usize::from(part.shard) == shard).collect()
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/format-{FORMAT_VERSION}.golden"))
}

fn hex(parts: &[SnapshotPart]) -> String {
    let mut text = String::new();
    for part in parts {
        let kind = if part.is_base { "base" } else { "delta" };
        let _ = writeln!(text, "{:?} of shard {}, {kind}", part.section, part.shard);
        for line in part.bytes.chunks(32) {
            for byte in line {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\n');
        }
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.lines().filter(|line| !line.contains("shard")).collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_format_is_golden() {
    let path = file();
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        hex(&parts()) == golden,
        "the bytes of snapshots are not those of {}: raise FORMAT_VERSION, since no build can read both, and write the new file by \
         `cargo test -p operators --test snapshots -- --ignored write_golden`",
        path.display()
    );
}

#[test]
fn what_an_earlier_build_wrote_is_read() {
    let bytes = unhex(&std::fs::read_to_string(file()).unwrap());
    let (mut rest, mut parts) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (part, after) = SnapshotPart::split_first(rest).unwrap();
        parts.push(part);
        rest = after;
    }
    let epoch = parts.last().unwrap().epoch().unwrap();
    restored_with(&models(), &parts, epoch);
}

/// Writes the file of the present version; a file that is there already is one that was released.
#[test]
#[ignore = "writes a file of the source tree"]
fn write_golden() {
    std::fs::write(file(), hex(&parts())).unwrap();
}
