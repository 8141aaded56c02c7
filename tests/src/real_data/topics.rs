//! Events on their way into `<topic>.jsonl` files, each sorted by content order.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::Value;

use super::RealDataError;

/// Fields in the order in which they are written.
pub(super) type Fields = Vec<(&'static str, Value)>;

/// One event before it is a line.
#[derive(Debug, Clone)]
pub(super) struct NewEvent<'a> {
    pub(super) topic: &'static str,
    pub(super) type_name: &'a str,
    pub(super) id: String,
    pub(super) source: &'a str,
    pub(super) dealer_id: &'a str,
    pub(super) subject: &'a str,
    /// RFC 3339, in the offset of the data.
    pub(super) time: &'a str,
    /// The same time in UTC milliseconds.
    pub(super) time_ms: i64,
    pub(super) sequence: u64,
    /// Further attributes of the envelope.
    pub(super) extensions: Fields,
    pub(super) data: Fields,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    time_ms: i64,
    sequence: u64,
    id: String,
    dealer_id: String,
    text: String,
}

/// All events of a conversion.
#[derive(Debug, Default)]
pub(super) struct Topics {
    lines: BTreeMap<&'static str, Vec<Line>>,
    events_by_type: BTreeMap<String, u64>,
}

impl Topics {
    /// Takes an event; the order does not matter.
    pub(super) fn add(&mut self, event: NewEvent<'_>) {
        super::count(&mut self.events_by_type, event.type_name);
        let text = line(&event);
        self.lines.entry(event.topic).or_default().push(Line {
            time_ms: event.time_ms,
            sequence: event.sequence,
            id: event.id,
            dealer_id: event.dealer_id.to_owned(),
            text,
        });
    }

    /// Writes a file per topic to `folder`, which it creates, and tells how many events it wrote of each type.
    pub(super) fn write(self, folder: &Path) -> Result<BTreeMap<String, u64>, RealDataError> {
        fs::create_dir_all(folder).map_err(|source| RealDataError::Write { path: folder.to_path_buf(), source })?;
        for (topic, mut lines) in self.lines {
            lines.sort_unstable();
            let path = folder.join(format!("{topic}.jsonl"));
            let failed = |source| RealDataError::Write { path: path.clone(), source };
            let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
            for line in lines {
                file.write_all(line.text.as_bytes()).map_err(failed)?;
            }
            file.flush().map_err(failed)?;
        }
        Ok(self.events_by_type)
    }
}

/// Makes sure that `folder` exists and is empty.
pub(super) fn prepare(folder: &Path) -> Result<(), RealDataError> {
    let failed = |source| RealDataError::Write { path: folder.to_path_buf(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(RealDataError::OutputNotEmpty { path: folder.to_path_buf() });
    }
    Ok(())
}

/// The event as one line. Its keys stand in a fixed order, which a JSON map would not promise.
fn line(event: &NewEvent<'_>) -> String {
    let mut envelope: Fields = vec![
        ("specversion", "1.0".into()),
        ("id", event.id.as_str().into()),
        ("source", event.source.into()),
        ("type", event.type_name.into()),
        ("subject", event.subject.into()),
        ("time", event.time.into()),
        ("dealerid", event.dealer_id.into()),
        ("sequence", event.sequence.into()),
    ];
    envelope.extend(event.extensions.iter().cloned());
    let envelope = members(&envelope);
    format!("{{{envelope},\"data\":{{{}}}}}\n", members(&event.data))
}

fn members(fields: &Fields) -> String {
    let members: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    members.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, time_ms: i64) -> NewEvent<'static> {
        NewEvent {
            topic: "leads",
            type_name: "lead.deleted",
            id: id.to_owned(),
            source: "s",
            dealer_id: "d",
            subject: "l",
            time: "2026-01-01T00:00:00Z",
            time_ms,
            sequence: 7,
            extensions: vec![("profile", "drawn".into())],
            data: vec![("leadId", "l\"".into()), ("a", 1.into())],
        }
    }

    #[test]
    fn lines_are_sorted_and_keep_the_order_of_their_keys() {
        let folder = tempfile::tempdir().unwrap();
        let mut topics = Topics::default();
        topics.add(event("b", 2));
        topics.add(event("a", 1));
        assert_eq!(topics.write(folder.path()).unwrap(), BTreeMap::from([("lead.deleted".to_owned(), 2)]));
        let expected = |id| {
            format!(
                r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"lead.deleted","subject":"l","time":"2026-01-01T00:00:00Z","dealerid":"d","sequence":7,"profile":"drawn","data":{{"leadId":"l\"","a":1}}}}"#
            ) + "\n"
        };
        assert_eq!(fs::read_to_string(folder.path().join("leads.jsonl")).unwrap(), expected("a") + &expected("b"));
        assert!(matches!(prepare(folder.path()), Err(RealDataError::OutputNotEmpty { .. })));
    }
}
