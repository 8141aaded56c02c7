//! Removing what no reader can need any more.
//!
//! ```text
//!   manifests   41 ──── 42 ──── 43 ─── … ─── 60 (now)
//!               └ was the latest until 42 came: once that is longer ago than reading takes, 41 goes, and before it every file
//!                 that it names and 42 does not
//! ```
//! A file that a manifest has let go is never named again, so to look at neighbours is enough. All times are the store's own.

use std::collections::BTreeSet;

use super::Manifest;
use super::manifest::manifests;
use crate::error::HistoryError;
use crate::objects::Objects;

/// Manifests that one call removes, at most.
const MANIFESTS_MAX: usize = 8;

/// Removes manifests that were replaced longer than `reading_ms` ago, and files that only those name. How many files.
///
/// # Errors
/// If the store refuses. What was removed was not needed; the same call goes on.
pub fn clean_up(store: &Objects, reading_ms: i64) -> Result<usize, HistoryError> {
    let manifests = manifests(store);
    let taken = manifests.list()?;
    let Some(now_ms) = taken.last().map(|newest| newest.modified_ms) else { return Ok(0) };
    let mut removed = 0;
    for pair in taken.windows(2).take(MANIFESTS_MAX) {
        let [old, next] = pair else { break };
        if now_ms - next.modified_ms < reading_ms {
            break;
        }
        let kept = Manifest::load(store, next.number)?;
        let kept: BTreeSet<&str> = paths(&kept).collect();
        let old_manifest = Manifest::load(store, old.number)?;
        for path in paths(&old_manifest).filter(|path| !kept.contains(path)) {
            store.delete(path)?;
            removed += 1;
        }
        manifests.delete(old.number)?;
    }
    Ok(removed)
}

fn paths(manifest: &Manifest) -> impl Iterator<Item = &str> {
    manifest.tables.values().flatten().map(|file| file.path.as_str())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::WrittenFile;
    use super::*;

    fn put(store: &Objects, manifest: &mut Manifest, path: &str) {
        store.put(path, Bytes::from_static(b"rows")).unwrap();
        manifest.add("leads", 1, 2, WrittenFile { path: path.to_owned(), rows: 1, bytes: 4 });
    }

    fn files(store: &Objects) -> usize {
        store.list("leads").unwrap().len()
    }

    #[test]
    fn a_file_goes_only_once_nobody_can_be_reading_it() {
        let store = Objects::memory();
        let mut manifest = Manifest::first("run-1", 0, serde_json::json!({}));
        put(&store, &mut manifest, "leads/a");
        manifest.publish(&store).unwrap();
        let mut manifest = manifest.next("run-1", 1);
        manifest.tables.clear();
        put(&store, &mut manifest, "leads/b");
        manifest.publish(&store).unwrap();
        assert_eq!(clean_up(&store, 60_000).unwrap(), 0, "a reader may have begun with the first just now");
        assert_eq!(files(&store), 2);
        assert_eq!(clean_up(&store, 0).unwrap(), 1);
        assert_eq!((files(&store), Manifest::latest(&store).unwrap()), (1, manifest));
        assert_eq!(clean_up(&store, 0).unwrap(), 0, "the latest stays");
    }

    #[test]
    fn work_is_bounded_and_goes_on() {
        let store = Objects::memory();
        let mut manifest = Manifest::first("run-1", 0, serde_json::json!({}));
        for epoch in 0..30 {
            manifest.tables.clear();
            put(&store, &mut manifest, &format!("leads/{epoch}"));
            manifest.publish(&store).unwrap();
            manifest = manifest.next("run-1", epoch);
        }
        let removed: Vec<usize> = (0..5).map(|_| clean_up(&store, 0).unwrap()).collect();
        assert_eq!(removed, [8, 8, 8, 5, 0]);
        assert_eq!(files(&store), 1);
    }
}
