//! Rules that a value of the right type can still break, alone or beside another.
//!
//! A rule is passed over when one of its keys already has a problem: its value would be the default, not what was meant.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use operators::models::oscillators::network::{STEP_MS, STRENGTH_MAX};

use super::error::{Origin, Problem};
use super::layers::{Entries, Entry, KeyPath, dotted};
use super::models::{ModelsSection, WhacoMode};
use super::prior_leads::PriorLeads;
use super::store_url::StoreUrl;
use super::{Config, Duration};

/// Kafka allows 249 characters in a topic's name: this leaves room for the name itself after a prefix.
const NAME_CHARACTERS_MAX: usize = 128;

const WORKERS_MAX: u32 = 1024;

/// Who set each key, for the problems found later.
pub(super) struct Origins(Vec<(String, Origin)>);

impl Origins {
    /// Remembers who set the keys of these entries.
    pub(super) fn of(entries: &Entries) -> Self {
        Self(entries.iter().map(|(path, entry): (&KeyPath, &Entry)| (dotted(path), entry.origin.clone())).collect())
    }

    fn of_key(&self, key: &str) -> Origin {
        self.0.iter().find(|(set, _)| set == key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

/// Adds the problem of every broken rule.
pub(super) fn validate(config: &Config, origins: &Origins, problems: &mut Vec<Problem>) {
    let mut rules = Rules { origins, problems };
    names(config, &mut rules);
    limits(config, &mut rules);
    times(config, &mut rules);
    listeners(config, &mut rules);
    stores(config, &mut rules);
    tokens(config, &mut rules);
    models(config, &mut rules);
}

/// Reads the file of leads that every dealer's clusters begin with, if there is one.
pub(super) fn read_prior(config: &mut Config, origins: &Origins, problems: &mut Vec<Problem>) {
    let whaco = &mut config.models.whaco;
    if !whaco.enabled || whaco.prior_leads.is_empty() {
        return;
    }
    match PriorLeads::read(Path::new(&whaco.prior_leads)) {
        Ok(prior) => whaco.prior = Arc::new(prior),
        Err(fault) => Rules { origins, problems }.hold(
            &["models.whaco.prior_leads"],
            false,
            fault,
            "it must be a CSV file with columns of table leads, such as `dealerflow sql --format csv` gives",
        ),
    }
}

struct Rules<'a> {
    origins: &'a Origins,
    problems: &'a mut Vec<Problem>,
}

impl Rules<'_> {
    /// Whether nothing is wrong with a key or with what lies inside it.
    fn settled(&self, key: &str) -> bool {
        !self.problems.iter().any(|problem| problem.key.starts_with(key))
    }

    /// Keeps a problem of the first key unless the rule holds, or a key of the rule already has one.
    fn hold(&mut self, keys: &[&str], holds: bool, fault: String, remedy: &str) {
        if holds || !keys.iter().all(|key| self.settled(key)) {
            return;
        }
        // If the first key is at its default, whoever set another one of the rule is named.
        let mut set_by = keys.iter().map(|key| self.origins.of_key(key));
        let origin = set_by.find(|origin| *origin != Origin::Default).unwrap_or(Origin::Default);
        self.problems.push(Problem { origin, key: keys[0].to_owned(), fault, remedy: remedy.to_owned() });
    }
}

fn names(config: &Config, rules: &mut Rules<'_>) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let valid = |text: &str| text.len() <= NAME_CHARACTERS_MAX && text.bytes().all(allowed);
    let name = &config.name;
    let remedy = "it must be 1 to 128 letters, digits, dots, underscores and hyphens";
    rules.hold(&["name"], !name.is_empty() && valid(name), format!("is {name:?}"), remedy);
    let prefix = &config.kafka.topic_prefix;
    let remedy = "it must be at most 128 letters, digits, dots, underscores and hyphens";
    rules.hold(&["kafka.topic_prefix"], valid(prefix), format!("is {prefix:?}"), remedy);
}

fn limits(config: &Config, rules: &mut Rules<'_>) {
    let pipeline = &config.pipeline;
    let workers = pipeline.workers;
    let remedy = "it must be a whole number from 1 to 1024";
    rules.hold(&["pipeline.workers"], (1..=WORKERS_MAX).contains(&workers), format!("is {workers}"), remedy);
    for (key, count) in [
        ("pipeline.dedup_keys_max", pipeline.dedup_keys_max),
        ("replay.epoch_records", config.replay.epoch_records),
        ("http.requests_per_second", config.http.requests_per_second),
        ("http.streams_max", config.http.streams_max),
        ("http.results_max", config.http.results_max),
        ("sql.connections_max", config.sql.connections_max),
        ("sql.queries_max", config.sql.queries_max),
        ("sql.threads", config.sql.threads),
        ("sql.rows_max", config.sql.rows_max),
    ] {
        rules.hold(&[key], count > 0, "is 0".to_owned(), "it must be a whole number of at least 1");
    }
    for (key, size) in [
        ("pipeline.memory_limit", pipeline.memory_limit),
        ("pipeline.commit_bytes_max", pipeline.commit_bytes_max),
        ("http.body_bytes_max", config.http.body_bytes_max),
        ("http.pulse_bytes_max", config.http.pulse_bytes_max),
        ("sql.memory_limit", config.sql.memory_limit),
    ] {
        rules.hold(&[key], size.bytes() > 0, format!("is \"{size}\""), "it must be more than nothing");
    }
    let (commit, memory) = (pipeline.commit_bytes_max, pipeline.memory_limit);
    let fault = format!("is \"{commit}\", more than pipeline.memory_limit, \"{memory}\"");
    let remedy = "make it smaller, or the memory limit larger";
    rules.hold(&["pipeline.commit_bytes_max", "pipeline.memory_limit"], commit <= memory, fault, remedy);
}

fn times(config: &Config, rules: &mut Rules<'_>) {
    let pipeline = &config.pipeline;
    let positive: [(&str, Duration); 6] = [
        ("pipeline.tick", pipeline.tick),
        ("pipeline.dedup_horizon", pipeline.dedup_horizon),
        ("pipeline.idle_after", pipeline.idle_after),
        ("checkpoint.interval", config.checkpoint.interval),
        ("parquet.interval", config.parquet.interval),
        ("http.timeout", config.http.timeout),
    ];
    for (key, duration) in positive {
        rules.hold(&[key], !duration.is_zero(), format!("is \"{duration}\""), "it must be at least \"1ms\"");
    }
    let (retention, horizon) = (pipeline.retention, pipeline.dedup_horizon);
    let fault = format!("is \"{retention}\", shorter than pipeline.dedup_horizon, \"{horizon}\"");
    let remedy = "make it at least as long, or the horizon shorter";
    rules.hold(&["pipeline.retention", "pipeline.dedup_horizon"], retention >= horizon, fault, remedy);
}

fn listeners(config: &Config, rules: &mut Rules<'_>) {
    let (http, sql) = (config.http.listen, config.sql.listen);
    for (key, listen) in [("http.listen", http), ("sql.listen", sql)] {
        let closed = !config.security.token.is_empty() || listen.ip().to_canonical().is_loopback();
        let fault = format!("is \"{listen}\", which others can reach, and there is no token");
        let remedy = "listen on 127.0.0.1, or say who may call in [[security.token]]";
        rules.hold(&[key, "security.token"], closed, fault, remedy);
    }
    let sql_files = [("sql.certificate_file", &config.sql.certificate_file), ("sql.key_file", &config.sql.key_file)];
    let http_files =
        [("http.certificate_file", &config.http.certificate_file), ("http.key_file", &config.http.key_file)];
    for [certificate, key] in [sql_files, http_files] {
        let both_or_none = certificate.1.is_empty() == key.1.is_empty();
        let fault = "stands without the other of the two".to_owned();
        let keys = if certificate.1.is_empty() { [key.0, certificate.0] } else { [certificate.0, key.0] };
        rules.hold(&keys, both_or_none, fault, "name both files for TLS, or none");
    }
    let fault = format!("is \"{sql}\", the port that http.listen, \"{http}\", takes already");
    rules.hold(&["sql.listen", "http.listen"], !collide(http, sql), fault, "give it another port");
}

/// Whether two servers cannot both listen. Port 0 is a free one each time; an unspecified address takes its port on all.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let (ip_a, ip_b) = (a.ip().to_canonical(), b.ip().to_canonical());
    a.port() == b.port() && a.port() != 0 && (ip_a == ip_b || ip_a.is_unspecified() || ip_b.is_unspecified())
}

fn stores(config: &Config, rules: &mut Rules<'_>) {
    let (checkpoint, parquet): (&StoreUrl, &StoreUrl) = (&config.checkpoint.url, &config.parquet.url);
    let fault = format!("is \"{parquet}\", the place of checkpoint.url");
    let remedy = "give each a place of its own: both delete files there that they do not need any more";
    rules.hold(&["parquet.url", "checkpoint.url"], checkpoint != parquet, fault, remedy);
}

fn models(config: &Config, rules: &mut Rules<'_>) {
    let ModelsSection { whaco, oscillators, assignment } = &config.models;
    let flag_rate = whaco.flag_rate.value();
    let remedy = "it must be a number from 0.000001 to 0.5";
    rules.hold(&["models.whaco.flag_rate"], (1e-6..=0.5).contains(&flag_rate), format!("is {flag_rate}"), remedy);
    let strength = oscillators.strength.value();
    let remedy = "it must be a number from 0 to 3";
    rules.hold(
        &["models.oscillators.strength"],
        (0.0..=STRENGTH_MAX).contains(&strength),
        format!("is {strength}"),
        remedy,
    );
    let remedy =
        "it must be \"calibrated\" where models.whaco.prior_leads is set: the seed form knows no beginning but its own";
    let holds = whaco.prior_leads.is_empty() || whaco.mode == WhacoMode::Calibrated;
    rules.hold(&["models.whaco.mode", "models.whaco.prior_leads"], holds, "is \"seed\"".to_owned(), remedy);
    for (key, count, least, greatest) in [
        ("models.whaco.prior_worth", whaco.prior_worth, 1, 100_000),
        ("models.assignment.lead_cap", assignment.lead_cap, 1, 10_000),
        ("models.assignment.reassignments_max", assignment.reassignments_max, 0, 1_000),
        ("models.assignment.alternatives_max", assignment.alternatives_max, 0, 16),
        ("models.assignment.iterations", assignment.iterations, 1, 100),
    ] {
        let remedy = format!("it must be a whole number from {least} to {greatest}");
        rules.hold(&[key], (least..=greatest).contains(&count), format!("is {count}"), &remedy);
    }
    let every = oscillators.report_every;
    let holds = !every.is_zero() && (every.ms() as i64) % STEP_MS == 0;
    let remedy = "it must be a whole multiple of five minutes";
    rules.hold(&["models.oscillators.report_every"], holds, format!("is \"{every}\""), remedy);
    let limit = assignment.response_limit;
    let (key, remedy) = ("models.assignment.response_limit", "it must be at least \"1ms\"");
    rules.hold(&[key], !limit.is_zero(), format!("is \"{limit}\""), remedy);
}

/// Two tokens in one file would be one token with two roles. While a token has another problem its number here may be wrong.
fn tokens(config: &Config, rules: &mut Rules<'_>) {
    let key = "security.token";
    if !rules.settled(key) {
        return;
    }
    let tokens = &config.security.token;
    for (index, token) in tokens.iter().enumerate() {
        let first = tokens.iter().position(|other| other.token_file == token.token_file).unwrap_or(index);
        if first < index {
            rules.problems.push(Problem {
                origin: rules.origins.of_key(key),
                key: format!("{key}[{index}]"),
                fault: format!("has the token_file of {key}[{first}]"),
                remedy: "give each token a file of its own".to_owned(),
            });
            continue;
        }
        let first = tokens.iter().position(|other| other.user() == token.user()).unwrap_or(index);
        if first < index {
            rules.problems.push(Problem {
                origin: rules.origins.of_key(key),
                key: format!("{key}[{index}]"),
                fault: format!("has a token_file of the same name as {key}[{first}], {:?}", token.user()),
                remedy: "give the files different names: the name is the PostgreSQL user".to_owned(),
            });
        }
    }
}
