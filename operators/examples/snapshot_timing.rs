//! Times snapshots and restores of many live leads on one core, and the memory of both.
//!
//! ```text
//! cargo run --release -p operators --example snapshot_timing -- 1000000
//! ```

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "an example measures time and may panic"
)]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use operators::dataflow::driver::{Epoch, Machine, Progress, drive};
use operators::dataflow::entities::{EntityMachine, EntityOutput, EntitySettings};
use operators::dataflow::rep_names::RepNames;
use operators::dataflow::snapshot::SnapshotPart;
use operators::dataflow::statistics::Statistics;
use operators::domain::batch::{EventBatch, Place, RawBytes, Span};
use operators::domain::event::Topic;
use operators::domain::parse::Parser;
use operators::domain::shards::{Barrier, ShardRange};
use operators::domain::time::{DAY_MS, format_rfc3339};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::generic::source;

const START_MS: i64 = 1_771_254_245_123;
const BATCH_EVENTS: u64 = 2_000;
const DEALERS: u64 = 500;

fn settings(snapshots: bool) -> EntitySettings {
    EntitySettings {
        dedup_horizon_ms: 7 * DAY_MS,
        dedup_keys_max: 50_000_000,
        retention_ms: 400 * DAY_MS,
        rows: true,
        snapshots,
        restored_rows: true,
    }
}

fn machine(snapshots: bool) -> EntityMachine {
    EntityMachine::new(settings(snapshots), RepNames::new(0), Rc::new(RefCell::new(Statistics::default())))
}

/// Resident memory in MB, as Linux tells it.
fn resident_mb() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4 / 1_024
}

/// Events of a batch: leads are created, later ones touch a tenth of them again.
fn batch(number: u64, leads: u64, barriers: Vec<Barrier>) -> EventBatch {
    let epoch = START_MS + number as i64 * 1_000;
    let (mut raw, mut spans) = (Vec::new(), Vec::new());
    for index in number * BATCH_EVENTS..(number + 1) * BATCH_EVENTS {
        let (lead, time) = (index % leads, format_rfc3339(epoch));
        let (dealer, customer) = (lead % DEALERS, lead / 2);
        let kind = if index < leads { "created" } else { "updated" };
        let json = format!(
            r#"{{"specversion":"1.0","id":"01J9ZX{index:016}","source":"/dealers/d-{dealer:04}/crm","type":"lead.{kind}","subject":"lead-{lead}","time":"{time}","dealerid":"d-{dealer:04}","data":{{"leadId":"lead-{lead:08}","customerId":"customer-{customer:08}","channel":"web","creditScore":{},"vehiclePriceCents":{},"engagement":0.5}}}}"#,
            300 + index % 550,
            2_000_000 + index % 1_000_000
        );
        spans.push(Span { start: raw.len() as u32, length: json.len() as u32 });
        raw.extend_from_slice(json.as_bytes());
    }
    let raw = RawBytes(Arc::new(raw));
    let mut batch = EventBatch { epochs: vec![epoch], raw: raw.clone(), barriers, ..EventBatch::default() };
    let mut parser = Parser::default();
    for span in spans {
        let event = parser.parse(&raw.0, span, Place { topic: Topic::Leads as u8, ..Place::default() }, epoch).unwrap();
        parser.push(event, &mut batch);
    }
    batch
}

fn main() {
    let leads: u64 = std::env::args().nth(1).and_then(|leads| leads.parse().ok()).unwrap_or(1_000_000);
    let batches = leads / BATCH_EVENTS;
    let (base_at, delta_at) = (batches - 1, batches + batches / 10 - 1);
    let epoch = |batch: u64| START_MS + batch as i64 * 1_000;
    let parts: Arc<Mutex<Vec<SnapshotPart>>> = Arc::default();
    let kept = Arc::clone(&parts);
    let started = Instant::now();
    timely::execute_directly(move |worker| {
        worker.dataflow::<Epoch, _, _>(|scope| {
            let batches =
                source::<_, CapacityContainerBuilder<Vec<EventBatch>>, _, _>(scope, "leads", |first, info| {
                    let activator = scope.activator_for(info.address);
                    let (mut held, mut next) = (Some(first), 0);
                    move |output| {
                        let Some(capability) = held.as_mut() else { return };
                        if next > delta_at {
                            return held = None;
                        }
                        capability.downgrade(&(epoch(next) as Epoch));
                        let base = if next == base_at { ShardRange::ALL } else { ShardRange::NONE };
                        let due = next == base_at || next == delta_at;
                        let barriers = due.then_some(Barrier { epoch: epoch(next), base }).into_iter().collect();
                        output.session(&capability).give(batch(next, leads, barriers));
                        next += 1;
                        activator.activate();
                    }
                });
            let mut before = Instant::now();
            drive(batches, "entities", machine(true)).inspect(move |output: &EntityOutput| {
                for (epoch, parts) in &output.snapshots {
                    let bytes: usize = parts.iter().map(|part| part.bytes.len()).sum();
                    println!(
                        "epoch {epoch}: {} parts, {:.1} MB, {:.0} ms, {} MB resident",
                        parts.len(),
                        bytes as f64 / 1e6,
                        before.elapsed().as_secs_f64() * 1e3,
                        resident_mb()
                    );
                    kept.lock().unwrap().extend(parts.iter().cloned());
                }
                before = Instant::now();
            });
        });
        while worker.step_or_park(None) {}
    });
    println!("built in {:.1} s", started.elapsed().as_secs_f64());
    let parts = parts.lock().unwrap();
    let bytes: usize = parts.iter().map(|part| part.bytes.len()).sum();
    let before_mb = resident_mb();
    let started = Instant::now();
    let mut restored = machine(true);
    parts.iter().for_each(|part| restored.restore(part).unwrap());
    let read_ms = started.elapsed().as_secs_f64() * 1e3;
    restored.restored(epoch(delta_at)).unwrap();
    let derived_ms = started.elapsed().as_secs_f64() * 1e3 - read_ms;
    let after_mb = resident_mb();
    let (mut rows, mut slice_ms_max) = (0, 0.0_f64);
    let told = Instant::now();
    loop {
        let mut output = EntityOutput::default();
        let slice = Instant::now();
        let progress = restored.emit_restored(&mut output);
        slice_ms_max = slice_ms_max.max(slice.elapsed().as_secs_f64() * 1e3);
        rows += output.rows.iter().map(|(_, rows)| rows.len()).sum::<usize>();
        if progress == Progress::Done {
            break;
        }
    }
    println!(
        "{:.1} MB restored: read {read_ms:.0} ms, derived {derived_ms:.0} ms, {rows} rows told in {:.0} ms (a slice at most {slice_ms_max:.1} ms); \
         {} MB more resident ({before_mb} MB before, parts and freed memory included)",
        bytes as f64 / 1e6,
        told.elapsed().as_secs_f64() * 1e3,
        after_mb - before_mb
    );
}
