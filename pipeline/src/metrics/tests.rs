use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use operators::dataflow::statistics::Statistics;
use sql::engine::QueryOutcome;

use super::*;

/// Series of one process, at most: of a metric by partition, 64 and `rest` for each of the six input topics.
const SERIES_MAX: usize = 2_500;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every name of a metric of ours in a text, without the endings of a histogram's series.
fn names_in(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("dealerflow_") {
        let name: String =
            text[at..].chars().take_while(|character| character.is_ascii_alphanumeric() || *character == '_').collect();
        let series = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
        names.insert(series.map_or(name.clone(), str::to_owned));
    }
    names
}

fn declared() -> BTreeSet<String> {
    Metrics::default().declarations().iter().map(|declaration| declaration.name.to_owned()).collect()
}

/// `docs/metrics.md`, as it must be.
fn document() -> String {
    let mut text = String::from(
        "# Metrics\nWhat `GET /metrics` tells, in Prometheus' text format. Seconds and bytes are base units; counters end in `_total`. Beside \
         these come `process_*` with CPU, memory and open files. This list is made from the code: `GOLDEN=rewrite cargo test -p pipeline --lib \
         metrics` writes it anew.\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for Declaration { name, kind, labels, help } in Metrics::default().declarations() {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(" ");
        text.extend(["| `", name, "` | ", kind.name(), " | ", &labels, " | ", help, " |\n"]);
    }
    text
}

#[test]
fn names_follow_the_scheme() {
    for Declaration { name, kind, help, labels } in Metrics::default().declarations() {
        assert!(name.starts_with("dealerflow_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(help.ends_with('.'), "{name}");
        for label in *labels {
            let bounded = ["topic", "partition", "reason", "table", "worker", "route", "status", "outcome"];
            assert!(bounded.contains(label), "{name} has label {label}, whose values nothing bounds");
        }
    }
}

#[test]
fn the_document_lists_what_the_code_has() {
    let path = repository().join("docs/metrics.md");
    if std::env::var_os("GOLDEN").is_some_and(|golden| golden == "rewrite") {
        std::fs::write(&path, document()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == document(), "docs/metrics.md is not what the code has: GOLDEN=rewrite writes it anew");
}

#[test]
fn dashboards_and_alert_rules_name_only_what_there_is_and_leave_nothing_out() {
    let declared = declared();
    let mut shown = BTreeSet::new();
    let mut boards = 0;
    for entry in std::fs::read_dir(repository().join("dashboards/grafana")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let board: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(board["panels"].as_array().is_some_and(|panels| !panels.is_empty()));
        shown.extend(names_in(&text));
        boards += 1;
    }
    assert_eq!(boards, 4);
    let alerts = std::fs::read_to_string(repository().join("deploy/prometheus/alerts.yml")).unwrap();
    for name in shown.union(&names_in(&alerts)) {
        assert!(declared.contains(name), "{name} is on a dashboard or in an alert rule, and nothing counts it");
    }
    let unseen: Vec<_> = declared.difference(&shown).collect();
    assert!(unseen.is_empty(), "on no dashboard: {unseen:?}");
    let (rules, books) = (alerts.matches("- alert:").count(), alerts.matches("runbook:").count());
    assert!(rules >= 10 && rules == books, "{rules} rules, {books} runbooks");
}

#[test]
fn series_are_bounded_whatever_is_counted() {
    let metrics = Metrics::default();
    let topics = ["dealers", "leads", "deals", "inventory", "reps", "commands"];
    let samples: Vec<PartitionSample> = topics
        .into_iter()
        .flat_map(|topic| (0..1_000).map(move |partition| (topic, partition)))
        .map(|(topic, partition)| PartitionSample {
            topic,
            partition,
            lag_records: Some(u64::from(partition)),
            watermark_delay_seconds: Some(1.0),
            is_stalled: false,
        })
        .collect();
    metrics.log.partitions(&samples);
    for topic in topics {
        metrics.log.read(topic, 1, 1);
        metrics.log.written(topic, 1);
    }
    metrics.events.observe(&Statistics::default());
    metrics.state.observe(&Statistics::default());
    for worker in 0..1_000 {
        metrics.state.worker(worker, 1);
    }
    let paths = crate::http::routes::openapi().paths.paths;
    for route in paths.keys().map(String::as_str).chain(["other"]) {
        for status in [200, 302, 404, 500] {
            metrics.http.answered(route, status, Duration::from_millis(1));
        }
    }
    for outcome in [QueryOutcome::Answered, QueryOutcome::Failed, QueryOutcome::Cancelled] {
        metrics.http.queried(outcome, Duration::ZERO);
    }
    let reading = metrics.reading();
    assert_eq!(reading.max("dealerflow_input_lag_records"), Some(999.0), "the rest is told by its worst");
    assert_eq!(reading.series("dealerflow_input_lag_records").len(), topics.len() * (PARTITIONS_MAX as usize + 1));
    let series = reading.series_count();
    assert!(series <= SERIES_MAX, "{series} series");
}

#[test]
fn quantiles_lie_within_their_bucket() {
    let metrics = Metrics::default();
    assert_eq!(metrics.reading().quantile("dealerflow_epoch_commit_seconds", 0.5, None), None);
    for _ in 0..99 {
        metrics.epochs.committed(Some(Duration::from_millis(40)));
    }
    metrics.epochs.committed(Some(Duration::from_secs(8)));
    let reading = metrics.reading();
    let quantile = |share| reading.quantile("dealerflow_epoch_commit_seconds", share, None).unwrap();
    assert!(quantile(0.5) > 0.025 && quantile(0.5) <= 0.05, "{}", quantile(0.5));
    assert!(quantile(0.999) > 5.0 && quantile(0.999) <= 10.0, "{}", quantile(0.999));
    assert_eq!(
        metrics.reading().quantile("dealerflow_epoch_commit_seconds", 0.5, Some(&reading)),
        None,
        "nothing since"
    );
    metrics.epochs.committed(Some(Duration::from_secs(20)));
    let since = metrics.reading().quantile("dealerflow_epoch_commit_seconds", 0.5, Some(&reading)).unwrap();
    assert!(since > 10.0 && since <= 30.0, "{since}");
}
