//! Settings of one connection, and how text becomes them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;

use super::startup::SERVER_VERSION;
use crate::engine::Settings;
use crate::error::SqlError;

/// Settings that clients set and nobody here reads, at most.
const FOREIGN_MAX: usize = 64;
/// Bytes of one of them at most.
const FOREIGN_BYTES_MAX: usize = 1_024;

/// What a connection has set.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionSettings {
    /// What the engine reads.
    pub(crate) engine: Settings,
    /// What clients set and expect to read again.
    foreign: BTreeMap<String, String>,
}

fn refused(setting: &str, value: &str, remedy: &str) -> SqlError {
    SqlError::Setting { setting: setting.to_owned(), value: value.to_owned(), remedy: remedy.to_owned() }
}

/// An epoch as people write it: milliseconds since 1970, or a time.
fn epoch_of(setting: &str, value: &str) -> Result<i64, SqlError> {
    let time = || DateTime::parse_from_rfc3339(&value.replacen(' ', "T", 1)).ok().map(|time| time.timestamp_millis());
    value.parse().ok().or_else(time).ok_or_else(|| {
        refused(setting, value, "it is an epoch in milliseconds since 1970, or a time such as 2026-02-16T15:04:05Z")
    })
}

/// A duration as PostgreSQL writes it; plain numbers are milliseconds, and nothing is none.
fn timeout_of(value: &str) -> Result<Option<Duration>, SqlError> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let scale_ms = match unit.trim() {
        "" | "ms" => Some(1),
        "s" => Some(1_000),
        "min" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let ms = number.parse::<u64>().ok().zip(scale_ms).and_then(|(number, scale)| number.checked_mul(scale));
    let ms = ms.ok_or_else(|| refused("statement_timeout", value, "it is a number with ms, s, min or h"))?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}

impl ConnectionSettings {
    /// `SET name = value`.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), SqlError> {
        match name {
            "dealerflow.as_of" => self.engine.as_of = Some(epoch_of(name, value)?),
            "dealerflow.min_epoch" => self.engine.min_epoch = Some(epoch_of(name, value)?),
            "statement_timeout" => self.engine.timeout = timeout_of(value)?,
            "timezone" if !matches!(value.to_ascii_uppercase().as_str(), "UTC" | "GMT" | "ETC/UTC" | "DEFAULT") => {
                return Err(refused(
                    "timezone",
                    value,
                    "times are answered in UTC; local_date(time, zone) gives local dates",
                ));
            }
            "client_encoding"
                if !matches!(value.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8" | "UNICODE" | "DEFAULT") =>
            {
                return Err(refused("client_encoding", value, "answers are UTF-8"));
            }
            _ if name.starts_with("dealerflow.") => {
                return Err(refused(name, value, "the settings are dealerflow.as_of and dealerflow.min_epoch"));
            }
            _ => {
                let is_room = self.foreign.len() < FOREIGN_MAX || self.foreign.contains_key(name);
                if !is_room || name.len() + value.len() > FOREIGN_BYTES_MAX {
                    return Err(refused(name, value, "a connection keeps 64 settings of 1,024 bytes each"));
                }
                self.foreign.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }

    /// `RESET name`, or all.
    pub(crate) fn reset(&mut self, name: Option<&str>) {
        match name {
            None => *self = ConnectionSettings::default(),
            Some("dealerflow.as_of") => self.engine.as_of = None,
            Some("dealerflow.min_epoch") => self.engine.min_epoch = None,
            Some("statement_timeout") => self.engine.timeout = None,
            Some(name) => drop(self.foreign.remove(name)),
        }
    }

    /// `SHOW name`. `epoch` is the one that is shown now.
    pub(crate) fn show(&self, name: &str, epoch: i64) -> String {
        let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        if let Some(value) = self.foreign.get(name) {
            return value.clone();
        }
        match name {
            "dealerflow.as_of" => number(self.engine.as_of),
            "dealerflow.min_epoch" => number(self.engine.min_epoch),
            "dealerflow.epoch" => epoch.to_string(),
            "statement_timeout" => {
                self.engine.timeout.map_or_else(|| "0".to_owned(), |timeout| format!("{}ms", timeout.as_millis()))
            }
            "server_version" => SERVER_VERSION.to_owned(),
            "server_version_num" => "160006".to_owned(),
            "timezone" => "UTC".to_owned(),
            "client_encoding" => "UTF8".to_owned(),
            "datestyle" => "ISO, MDY".to_owned(),
            "intervalstyle" => "postgres".to_owned(),
            "bytea_output" => "hex".to_owned(),
            "search_path" => "public".to_owned(),
            "standard_conforming_strings" => "on".to_owned(),
            "transaction_isolation" => "read committed".to_owned(),
            "max_identifier_length" => "63".to_owned(),
            "extra_float_digits" => "1".to_owned(),
            "client_min_messages" => "notice".to_owned(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_numbers_or_times() {
        let mut settings = ConnectionSettings::default();
        for (value, expected) in [
            ("1771254245120", 1_771_254_245_120),
            ("2026-02-16T15:04:05.120Z", 1_771_254_245_120),
            ("2026-02-16 16:04:05.12+01:00", 1_771_254_245_120),
        ] {
            settings.set("dealerflow.as_of", value).unwrap();
            assert_eq!(settings.engine.as_of, Some(expected), "{value}");
        }
        settings.reset(Some("dealerflow.as_of"));
        assert_eq!(settings.engine, Settings::default());
        for wrong in ["yesterday", "", "1.5"] {
            assert_eq!(settings.set("dealerflow.as_of", wrong).unwrap_err().sqlstate(), "22023", "{wrong}");
        }
    }

    #[test]
    fn timeouts_have_units() {
        let mut settings = ConnectionSettings::default();
        for (value, expected) in [("250", Some(250)), ("2s", Some(2_000)), ("1min", Some(60_000)), ("0", None)] {
            settings.set("statement_timeout", value).unwrap();
            assert_eq!(settings.engine.timeout, expected.map(Duration::from_millis), "{value}");
        }
        assert!(settings.set("statement_timeout", "soon").is_err());
        assert!(settings.set("timezone", "Europe/Berlin").is_err());
        assert!(settings.set("dealerflow.nonsense", "1").is_err());
    }

    #[test]
    fn what_clients_set_is_bounded() {
        let mut settings = ConnectionSettings::default();
        for number in 0..FOREIGN_MAX {
            settings.set(&format!("x{number}"), "1").unwrap();
        }
        assert!(settings.set("one_more", "1").is_err());
        settings.set("x0", "2").unwrap();
        assert_eq!(settings.show("x0", 0), "2");
    }
}
