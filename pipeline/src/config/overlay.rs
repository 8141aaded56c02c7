//! Lays what the file and the variables set over the defaults: the one list of all keys.

use toml::Value;

use super::Config;
use super::client_settings::ClientSettings;
use super::error::{Origin, Problem};
use super::layers::{Entries, KeyPath, dotted, flatten};
use super::models::overlay_models;
use super::reader::Reader;
use super::sections::{HttpSection, KafkaSection, PipelineSection, SqlSection, Token};
use super::store_url::StoreUrl;

/// How to mend tokens that stand anywhere but in a list of tables.
const TOKENS_REMEDY: &str = "write each token in the file, as a table under [[security.token]] with two brackets";

/// Sets every key that has an entry, and returns what was wrong with the others.
pub(super) fn overlay(config: &mut Config, entries: Entries) -> Vec<Problem> {
    let mut reader = Reader::new(entries, KeyPath::new());
    reader.set(&["name"], &mut config.name);
    reader.set(&["data_dir"], &mut config.data_dir);
    reader.set(&["source", "kind"], &mut config.source.kind);
    overlay_kafka(&mut reader, &mut config.kafka);
    overlay_pipeline(&mut reader, &mut config.pipeline);
    reader.set(&["replay", "epoch_records"], &mut config.replay.epoch_records);
    reader.set(&["replay", "replay_buffer"], &mut config.replay.replay_buffer);
    let stores = [("checkpoint", "checkpoints", &mut config.checkpoint), ("parquet", "parquet", &mut config.parquet)];
    for (table, folder, store) in stores {
        // A store that names no place of its own follows data_dir.
        store.url = StoreUrl::Folder(config.data_dir.join(folder));
        reader.set(&[table, "url"], &mut store.url);
        reader.set(&[table, "interval"], &mut store.interval);
        overlay_client(&mut reader, table, &mut store.client);
    }
    reader.set(&["archive", "retention"], &mut config.archive.retention);
    overlay_http(&mut reader, &mut config.http);
    overlay_sql(&mut reader, &mut config.sql);
    overlay_tokens(&mut reader, &mut config.security.token);
    overlay_models(&mut reader, &mut config.models);
    reader.finish()
}

fn overlay_kafka(reader: &mut Reader, kafka: &mut KafkaSection) {
    reader.set(&["kafka", "brokers"], &mut kafka.brokers);
    reader.set(&["kafka", "topic_prefix"], &mut kafka.topic_prefix);
    overlay_client(reader, "kafka", &mut kafka.client);
}

/// Written without quotes, security.protocol is TOML for a table in a table: both forms mean the same setting.
fn overlay_client(reader: &mut Reader, table: &str, client: &mut ClientSettings) {
    for (path, entry) in reader.take_table(&[table, "client"]) {
        if let Some(value) = reader.typed::<String>(&path, &entry) {
            client.insert(dotted(&path[2..]), value);
        }
    }
}

fn overlay_pipeline(reader: &mut Reader, pipeline: &mut PipelineSection) {
    reader.set(&["pipeline", "workers"], &mut pipeline.workers);
    reader.set(&["pipeline", "tick"], &mut pipeline.tick);
    reader.set(&["pipeline", "memory_limit"], &mut pipeline.memory_limit);
    reader.set(&["pipeline", "retention"], &mut pipeline.retention);
    reader.set(&["pipeline", "dedup_horizon"], &mut pipeline.dedup_horizon);
    reader.set(&["pipeline", "dedup_keys_max"], &mut pipeline.dedup_keys_max);
    reader.set(&["pipeline", "max_future"], &mut pipeline.max_future);
    reader.set(&["pipeline", "idle_after"], &mut pipeline.idle_after);
    reader.set(&["pipeline", "timer_grace"], &mut pipeline.timer_grace);
    reader.set(&["pipeline", "commit_bytes_max"], &mut pipeline.commit_bytes_max);
    reader.set(&["pipeline", "tables"], &mut pipeline.tables);
}

fn overlay_http(reader: &mut Reader, http: &mut HttpSection) {
    reader.set(&["http", "listen"], &mut http.listen);
    reader.set(&["http", "certificate_file"], &mut http.certificate_file);
    reader.set(&["http", "key_file"], &mut http.key_file);
    reader.set(&["http", "requests_per_second"], &mut http.requests_per_second);
    reader.set(&["http", "body_bytes_max"], &mut http.body_bytes_max);
    reader.set(&["http", "timeout"], &mut http.timeout);
    reader.set(&["http", "streams_max"], &mut http.streams_max);
    reader.set(&["http", "pulse_bytes_max"], &mut http.pulse_bytes_max);
    reader.set(&["http", "results_max"], &mut http.results_max);
}

fn overlay_sql(reader: &mut Reader, sql: &mut SqlSection) {
    reader.set(&["sql", "listen"], &mut sql.listen);
    reader.set(&["sql", "certificate_file"], &mut sql.certificate_file);
    reader.set(&["sql", "key_file"], &mut sql.key_file);
    reader.set(&["sql", "connections_max"], &mut sql.connections_max);
    reader.set(&["sql", "queries_max"], &mut sql.queries_max);
    reader.set(&["sql", "threads"], &mut sql.threads);
    reader.set(&["sql", "timeout"], &mut sql.timeout);
    reader.set(&["sql", "wait_max"], &mut sql.wait_max);
    reader.set(&["sql", "rows_max"], &mut sql.rows_max);
    reader.set(&["sql", "memory_limit"], &mut sql.memory_limit);
    reader.set(&["sql", "retained_epochs"], &mut sql.retained_epochs);
    reader.set(&["sql", "retained_bytes"], &mut sql.retained_bytes);
}

fn overlay_tokens(reader: &mut Reader, tokens: &mut Vec<Token>) {
    let listed = reader.take(&["security", "token"]);
    for (path, entry) in reader.take_table(&["security", "token"]) {
        reader.problem(&path, &entry.origin, "is not in a list of tokens", TOKENS_REMEDY);
    }
    let Some((path, entry)) = listed else { return };
    let Value::Array(elements) = entry.value else {
        reader.problem(&path, &entry.origin, "is not a list of tables", TOKENS_REMEDY);
        return;
    };
    for (index, element) in elements.into_iter().enumerate() {
        let path = vec!["security".to_owned(), format!("token[{index}]")];
        let Value::Table(table) = element else {
            reader.problem(&path, &entry.origin, "is not a table", TOKENS_REMEDY);
            continue;
        };
        tokens.extend(read_token(reader, path, table, &entry.origin));
    }
}

fn read_token(reader: &mut Reader, path: KeyPath, table: toml::Table, origin: &Origin) -> Option<Token> {
    let mut entries = Entries::new();
    flatten(table, &path, origin, &mut entries);
    let mut inner = Reader::new(entries, path);
    let token_file = inner.require("token_file", origin);
    let role = inner.require("role", origin);
    let dealers = read_dealers(&mut inner, origin);
    reader.absorb(inner);
    Some(Token { token_file: token_file?, role: role?, dealers: dealers? })
}

fn read_dealers(reader: &mut Reader, origin: &Origin) -> Option<Vec<String>> {
    let remedy = "it must be a list such as [\"d-0001\", \"d-0002\"], or [\"*\"] alone for all dealers";
    let path = reader.path(&["dealers"]);
    // A token that names no dealers is refused like one with an empty list.
    let value = reader.take(&["dealers"]).map_or_else(|| Value::Array(Vec::new()), |(_, entry)| entry.value);
    let Ok(dealers) = value.try_into::<Vec<String>>() else {
        reader.problem(&path, origin, "is not a list of texts", remedy);
        return None;
    };
    let fault = if dealers.is_empty() {
        "names no dealer"
    } else if dealers.iter().any(String::is_empty) {
        "holds an empty name"
    } else if dealers.len() > 1 && dealers.iter().any(|dealer| dealer == "*") {
        "names \"*\" beside other dealers"
    } else {
        return Some(dealers);
    };
    reader.problem(&path, origin, fault, remedy);
    None
}
