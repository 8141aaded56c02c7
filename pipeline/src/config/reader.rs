//! Takes typed values out of the entries, key by key, and keeps every problem it meets.
//!
//! ```text
//! Entries ──set(key, target)──> the target changes, or a Problem is kept
//!    └────what nobody took────> Problem: not a known key, did you mean …
//! ```

use toml::Value;

use super::client_settings::is_secret;
use super::error::{Origin, Problem};
use super::layers::{Entries, Entry, KeyPath, dotted, variable_name};
use super::nearest::nearest;
use super::setting::{Bare, Setting};

/// Entries not yet taken, the keys asked for so far, and what was wrong.
pub(super) struct Reader {
    left: Entries,
    above: KeyPath,
    known: Vec<KeyPath>,
    problems: Vec<Problem>,
}

impl Reader {
    /// Reads entries whose paths all begin with `above`.
    pub(super) fn new(left: Entries, above: KeyPath) -> Self {
        Self { left, above, known: Vec::new(), problems: Vec::new() }
    }

    /// Sets the target if the key is set to a permitted value, and leaves it as it was otherwise.
    pub(super) fn set<T: Setting>(&mut self, key: &[&str], target: &mut T) {
        if let Some(value) = self.take(key).and_then(|(path, entry)| self.typed(&path, &entry)) {
            *target = value;
        }
    }

    /// The value of a key that must be set; `None` with a problem kept if it is not, or not permitted.
    pub(super) fn require<T: Setting>(&mut self, key: &str, origin: &Origin) -> Option<T> {
        if let Some((path, entry)) = self.take(&[key]) {
            return self.typed(&path, &entry);
        }
        let path = self.path(&[key]);
        self.problem(&path, origin, "is missing", format!("it must be {}", T::PERMITTED));
        None
    }

    /// The entry of a key, as the layer has it.
    pub(super) fn take(&mut self, key: &[&str]) -> Option<(KeyPath, Entry)> {
        let path = self.path(key);
        let entry = self.left.remove(&path);
        self.known.push(path.clone());
        entry.map(|entry| (path, entry))
    }

    /// All entries in a table whose keys are free.
    pub(super) fn take_table(&mut self, table: &[&str]) -> Entries {
        let above = self.path(table);
        let inside = |path: &KeyPath| path.len() > above.len() && path.starts_with(&above);
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|(path, _)| inside(path));
        self.left = left;
        self.known.push(above.into_iter().chain(["…".to_owned()]).collect());
        taken
    }

    /// Keeps a problem of a key.
    pub(super) fn problem(
        &mut self,
        path: &[String],
        origin: &Origin,
        fault: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (fault, remedy) = (fault.into(), remedy.into());
        self.problems.push(Problem { origin: origin.clone(), key: dotted(path), fault, remedy });
    }

    /// The value in its type; `None` with a problem kept if it is not permitted.
    pub(super) fn typed<T: Setting>(&mut self, path: &[String], entry: &Entry) -> Option<T> {
        let text = match &entry.value {
            // Whatever a variable holds is text: the key's type says how it reads.
            Value::String(text) if T::BARE == Bare::Quoted || matches!(entry.origin, Origin::Variable(_)) => {
                text.clone()
            }
            Value::Integer(number) if matches!(T::BARE, Bare::Integer | Bare::Number) => number.to_string(),
            Value::Float(number) if T::BARE == Bare::Number => number.to_string(),
            Value::Boolean(value) if T::BARE == Bare::Boolean => value.to_string(),
            value => {
                let fault = format!("is {}", wrong_type(path, value));
                self.problem(path, &entry.origin, fault, format!("it must be {}", T::PERMITTED));
                return None;
            }
        };
        T::from_text(&text)
            .map_err(|why| {
                let fault = format!("is {}, which {why}", found(path, &entry.value));
                self.problem(path, &entry.origin, fault, format!("it must be {}", T::PERMITTED));
            })
            .ok()
    }

    /// Adds the problems of a reader of one list element.
    pub(super) fn absorb(&mut self, inner: Self) {
        self.problems.extend(inner.finish());
    }

    /// All problems; whatever was not taken is one.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        for (path, entry) in std::mem::take(&mut self.left) {
            let (fault, remedy) = self.misplaced(&path, &entry);
            self.problem(&path, &entry.origin, fault, remedy);
        }
        self.problems
    }

    /// What is wrong with a key that nobody asked for.
    fn misplaced(&self, path: &[String], entry: &Entry) -> (String, String) {
        let by_variable = matches!(entry.origin, Origin::Variable(_));
        let name = |path: &[String]| if by_variable { variable_name(path) } else { dotted(path) };
        if let Some(value) = self.known.iter().find(|known| path.starts_with(known.as_slice())) {
            return ("lies inside a key that is no table".to_owned(), format!("set `{}` itself", name(value)));
        }
        if self.known.iter().any(|known| known.starts_with(path)) {
            return ("is a table, not a value".to_owned(), format!("set the keys inside it, under [{}]", dotted(path)));
        }
        let fault = "is not a known key".to_owned();
        if let Some(meant) = nearest(path, &self.known) {
            return (fault, format!("did you mean `{}`?", name(meant)));
        }
        (fault, format!("remove it, or use one of {}", self.choices(path)))
    }

    /// The names of the keys in the unknown key's table; those of the outermost table if that is unknown too.
    fn choices(&self, unknown: &[String]) -> String {
        let table = &unknown[..unknown.len().saturating_sub(1)];
        let depth =
            if self.known.iter().any(|known| known.starts_with(table)) { table.len() } else { self.above.len() };
        let mut names: Vec<_> =
            self.known.iter().filter(|known| known.starts_with(&unknown[..depth])).map(|known| &known[depth]).collect();
        names.dedup();
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    /// The whole path of a key.
    pub(super) fn path(&self, key: &[&str]) -> KeyPath {
        self.above.iter().cloned().chain(key.iter().map(|part| (*part).to_owned())).collect()
    }
}

/// A value of the wrong type, with its type.
fn wrong_type(path: &[String], value: &Value) -> String {
    let kind = match value {
        Value::String(_) => "text in quotes",
        Value::Integer(_) => "a bare whole number",
        Value::Float(_) => "a bare number with a fraction",
        Value::Boolean(_) => "a bare true or false",
        Value::Datetime(_) => "a bare date or time",
        Value::Array(_) => return "a list".to_owned(),
        Value::Table(_) => return "a table".to_owned(),
    };
    format!("{}, {kind}", found(path, value))
}

/// The value as written, unless it may be a secret: by its key, or because it looks like credentials in a URL.
fn found(path: &[String], value: &Value) -> String {
    let of_client = matches!(path, [kafka, client, ..] if kafka == "kafka" && client == "client");
    let text = value.to_string();
    let secret = (of_client && path.iter().any(|part| is_secret(part))) || text.contains('@');
    if secret { "a value not shown here".to_owned() } else { text }
}
