//! What a single key may hold: one type per kind of value, each with the words that tell a person what is permitted.
//!
//! ```text
//! TOML text "50ms"      ──┐
//! TOML integer 2        ──┼─> text ──> Setting::from_text ──> typed value, or why not
//! variable's text       ──┘
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a value stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bare {
    /// In quotes.
    Quoted,
    /// As a whole number.
    Integer,
    /// As a number with or without a fraction.
    Number,
    /// As true or false.
    Boolean,
}

/// A value that one key of the configuration can hold.
pub(super) trait Setting: Sized {
    /// What may stand here, reading on from "it must be …".
    const PERMITTED: &'static str;

    /// How the file writes it.
    const BARE: Bare = Bare::Quoted;

    /// Reads the value.
    ///
    /// # Errors
    /// Why the text is no such value, reading on from "which …".
    fn from_text(text: &str) -> Result<Self, String>;
}

/// Lets serde write a type by its `Display` and read it by its `FromStr`.
macro_rules! text_serde {
    ($setting:ty) => {
        impl serde::Serialize for $setting {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $setting {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(super) use text_serde;

impl Setting for String {
    const PERMITTED: &'static str = "text in quotes";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Setting for PathBuf {
    const PERMITTED: &'static str = "a path in quotes";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("names no path".to_owned()) } else { Ok(Self::from(text)) }
    }
}

impl Setting for u32 {
    const PERMITTED: &'static str = "a whole number without quotes";
    const BARE: Bare = Bare::Integer;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("is not a whole number from 0 to {}", Self::MAX))
    }
}

impl Setting for bool {
    const PERMITTED: &'static str = "true or false without quotes";
    const BARE: Bare = Bare::Boolean;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "is neither true nor false".to_owned())
    }
}

/// A finite number, zero or more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(f64);

impl Share {
    /// The number.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl Setting for Share {
    const PERMITTED: &'static str = "a number such as 0.01 without quotes";
    const BARE: Bare = Bare::Number;

    fn from_text(text: &str) -> Result<Self, String> {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        number.map(Share).ok_or_else(|| "is no number of at least 0".to_owned())
    }
}

impl Setting for SocketAddr {
    const PERMITTED: &'static str = "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "is not an IP address with a port".to_owned())
    }
}

/// Where input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A Kafka cluster.
    Kafka,
    /// The log inside `data_dir`, with nothing else installed.
    Embedded,
}

impl Setting for SourceKind {
    const PERMITTED: &'static str = "\"kafka\" or \"embedded\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "kafka" => Ok(Self::Kafka),
            "embedded" => Ok(Self::Embedded),
            _ => Err("is no kind of source".to_owned()),
        }
    }
}

/// Which tables a running pipeline keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TablesKept {
    /// Every table.
    All,
    /// `daily_kpis` and `epochs` alone: rows that nobody reads are not computed.
    DailyKpis,
}

impl Setting for TablesKept {
    const PERMITTED: &'static str = "\"all\" or \"daily_kpis\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "daily_kpis" => Ok(Self::DailyKpis),
            _ => Err("is no choice of tables".to_owned()),
        }
    }
}

/// What the bearer of a token may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also sends events.
    Operator,
    /// Also manages reps, resets, and sees the system's own tables.
    Admin,
}

impl Setting for Role {
    const PERMITTED: &'static str = "\"viewer\", \"operator\" or \"admin\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            _ => Err("is no role".to_owned()),
        }
    }
}
