//! A second opinion on JSON, by another reader than the parser's own.
//!
//! ```text
//!   bytes ─▶ serde_json, visited value by value ─▶ Judgement
//! ```

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What `serde_json` says of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Not one JSON value.
    Broken,
    /// A JSON value, but not an object.
    NoObject,
    /// A JSON object.
    Object {
        /// Levels of objects and arrays, itself included.
        depth: usize,
        /// Whether an object anywhere in it holds a key twice.
        repeats_key: bool,
    },
    /// An object of sound grammar with a number that no double holds: nothing is known of its depth or its keys.
    HugeNumber,
}

/// Judges `bytes`.
pub(super) fn judge(bytes: &[u8]) -> Judgement {
    let found = Found::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let outcome = Level { found: &found, depth: 1 }.deserialize(&mut reader).and_then(|is_object| {
        reader.end()?;
        Ok(is_object)
    });
    match outcome {
        Ok(true) => Judgement::Object { depth: found.depth.get(), repeats_key: found.repeats_key.get() },
        Ok(false) => Judgement::NoObject,
        // serde_json has no code for this, only the sentence.
        Err(error) if error.to_string().starts_with("number out of range") => judge_grammar(bytes),
        Err(_) => Judgement::Broken,
    }
}

fn judge_grammar(bytes: &[u8]) -> Judgement {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(IgnoredAny) if bytes.trim_ascii_start().starts_with(b"{") => Judgement::HugeNumber,
        Ok(IgnoredAny) => Judgement::NoObject,
        Err(_) => Judgement::Broken,
    }
}

#[derive(Default)]
struct Found {
    depth: Cell<usize>,
    repeats_key: Cell<bool>,
}

/// A value whose arrays and objects would be at `depth`. Gives whether it is an object.
#[derive(Clone, Copy)]
struct Level<'a> {
    found: &'a Found,
    depth: usize,
}

impl Level<'_> {
    fn inner(self) -> Self {
        self.found.depth.set(self.found.depth.get().max(self.depth));
        Level { found: self.found, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<bool, A::Error> {
        let inner = self.inner();
        while elements.next_element_seed(inner)?.is_some() {}
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let inner = self.inner();
        let mut keys = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if !keys.insert(key) {
                self.found.repeats_key.set(true);
            }
            members.next_value_seed(inner)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_by_the_grammar() {
        assert_eq!(judge(b"{"), Judgement::Broken);
        assert_eq!(judge(b"{} x"), Judgement::Broken);
        assert_eq!(judge(b"[{}]"), Judgement::NoObject);
        assert_eq!(judge(br#" {"a":[{"b":1}],"b":null} "#), Judgement::Object { depth: 3, repeats_key: false });
        assert_eq!(judge(br#"{"a":{"b":1,"\u0062":2}}"#), Judgement::Object { depth: 2, repeats_key: true });
        assert_eq!(judge(br#"{"a":1e999}"#), Judgement::HugeNumber);
        assert_eq!(judge(br#"{"a":1e999"#), Judgement::Broken);
    }
}
