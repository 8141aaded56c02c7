//! Settings passed through to a client (of Kafka, or of a bucket), which may hold secrets: they are written and shown masked, always.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What stands in a secret's place.
const MASK: &str = "***";

/// Parts of a key's name that make its value a secret.
const SECRET_WORDS: [&str; 5] = ["password", "secret", "jaas", "token", "key"];

/// Whether values of this key are never shown.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Settings of librdkafka or of an S3 client by name. `Debug` and serde's output mask the values of secret keys; only [`ClientSettings::iter`] shows them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ClientSettings {
    values: BTreeMap<String, String>,
}

impl ClientSettings {
    /// Names and true values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether nothing is passed through.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn insert(&mut self, key: String, value: String) {
        self.values.insert(key, value);
    }

    fn masked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|(key, value)| (key, if is_secret(key) { MASK } else { value }))
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.masked()).finish()
    }
}

impl Serialize for ClientSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.masked())
    }
}
