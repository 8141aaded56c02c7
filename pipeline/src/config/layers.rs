//! The file and the variables, as one set of keys that each know who set them.
//!
//! ```text
//! file       [kafka] brokers = …        ──> kafka.brokers ─┐
//! variables  DEALERFLOW_KAFKA__BROKERS  ──> kafka.brokers ─┴─> Entries: a variable stands over the file
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

use super::error::{ConfigError, Origin};

/// What the names of all variables begin with.
pub(super) const VARIABLE_PREFIX: &str = "DEALERFLOW_";

/// Tables, outermost first, and the key. Parts may hold dots: `"sasl.password"` is one part.
pub(super) type KeyPath = Vec<String>;

/// All keys that were set, in order.
pub(super) type Entries = BTreeMap<KeyPath, Entry>;

/// What a key was set to, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// As the file has it; a variable's is always text.
    pub(super) value: Value,
    /// Who set it.
    pub(super) origin: Origin,
}

/// How a key is named to people.
pub(super) fn dotted(path: &[String]) -> String {
    path.join(".")
}

/// The variable that sets a key.
pub(super) fn variable_name(path: &[String]) -> String {
    format!("{VARIABLE_PREFIX}{}", path.join("__").to_uppercase())
}

/// Reads a TOML text into entries.
///
/// # Errors
/// [`ConfigError::Syntax`] if the text is not TOML.
pub(super) fn file_entries(path: &Path, text: &str) -> Result<Entries, ConfigError> {
    let table = text.parse::<toml::Table>().map_err(|error| syntax_error(path, text, &error))?;
    let mut entries = Entries::new();
    flatten(table, &[], &Origin::File(path.to_owned()), &mut entries);
    Ok(entries)
}

/// The parser's own sentence would repeat the line, which may hold a secret: only its place and the expectation are kept.
fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigError::Syntax {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: error.message().replace('\n', ", "),
    }
}

/// Adds every key of a table and of the tables in it; lists stay whole.
pub(super) fn flatten(table: toml::Table, above: &[String], origin: &Origin, entries: &mut Entries) {
    for (key, value) in table {
        let path: KeyPath = above.iter().cloned().chain([key]).collect();
        match value {
            Value::Table(inner) => flatten(inner, &path, origin, entries),
            value => {
                entries.insert(path, Entry { value, origin: origin.clone() });
            }
        }
    }
}

/// The entries that variables set. Variables of other programs are passed over.
pub(super) fn variable_entries(environment: &[(String, String)]) -> Entries {
    let ours = environment.iter().filter_map(|(name, text)| {
        let key = name.strip_prefix(VARIABLE_PREFIX).filter(|key| !is_service_link(key))?;
        Some((variable_path(key), Entry { value: Value::String(text.clone()), origin: Origin::Variable(name.clone()) }))
    });
    ours.collect()
}

/// `KAFKA__BROKERS` is kafka.brokers. The client's own keys are full of dots, so that among them one underscore is a dot and two
/// are one underscore: `KAFKA__CLIENT__SASL_PASSWORD` is sasl.password in kafka.client.
fn variable_path(key: &str) -> KeyPath {
    let key = key.to_lowercase();
    match key.strip_prefix("kafka__client__") {
        Some(setting) => {
            let setting = setting.split("__").map(|part| part.replace('_', ".")).collect::<Vec<_>>().join("_");
            ["kafka", "client", &setting].map(str::to_owned).to_vec()
        }
        None => key.split("__").map(str::to_owned).collect(),
    }
}

/// Kubernetes puts variables into every pod for each service of its namespace; for a service named dealerflow they begin as ours do:
/// `…SERVICE_HOST`, `…SERVICE_PORT`, `…PORT`, `…PORT_8080_TCP_ADDR`.
fn is_service_link(key: &str) -> bool {
    let key = format!("_{key}");
    let of_port = |(_, after): (&str, &str)| {
        let protocol = after.trim_start_matches(|c: char| c.is_ascii_digit());
        protocol.len() < after.len() && ["_TCP", "_UDP", "_SCTP"].iter().any(|name| protocol.starts_with(name))
    };
    !key.contains("__")
        && (key.ends_with("_SERVICE_HOST")
            || key.contains("_SERVICE_PORT")
            || key.ends_with("_PORT")
            || key.split_once("_PORT_").is_some_and(of_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_keys() {
        for (name, expect) in [
            ("NAME", "name"),
            ("DATA_DIR", "data_dir"),
            ("KAFKA__BROKERS", "kafka.brokers"),
            ("PIPELINE__DEDUP_KEYS_MAX", "pipeline.dedup_keys_max"),
            ("KAFKA__CLIENT__SASL_PASSWORD", "kafka.client.sasl.password"),
            ("KAFKA__CLIENT__LOG__LEVEL", "kafka.client.log_level"),
            ("MODELS__WHACO__MIN_SIZE", "models.whaco.min_size"),
        ] {
            assert_eq!(dotted(&variable_path(name)), expect);
        }
    }

    #[test]
    fn variables_of_kubernetes_and_of_others_are_passed_over() {
        let names = [
            "DEALERFLOW_SERVICE_HOST",
            "DEALERFLOW_SERVICE_PORT",
            "DEALERFLOW_SERVICE_PORT_HTTP",
            "DEALERFLOW_PORT",
            "DEALERFLOW_PORT_8080_TCP",
            "DEALERFLOW_PORT_8080_TCP_ADDR",
            "DEALERFLOW_SQL_SERVICE_HOST",
            "DEALERFLOW_SQL_PORT_5433_TCP_PROTO",
            "DEALERFLOWX",
            "PATH",
        ];
        let environment: Vec<_> = names.map(|name| (name.to_owned(), "x".to_owned())).into();
        assert!(variable_entries(&environment).is_empty());
        for ours in ["DEALERFLOW_HTTP_LISTEN", "DEALERFLOW_PORTS", "DEALERFLOW_KAFKA__PORT", "DEALERFLOW_PORT_HTTP"] {
            assert_eq!(variable_entries(&[(ours.to_owned(), "x".to_owned())]).len(), 1, "{ours}");
        }
    }
}
