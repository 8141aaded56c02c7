//! The key that a person most likely meant.

use super::layers::{KeyPath, dotted};

/// How alike two names of one table must be, from 0 to 1, to be offered.
const ALIKE_IN_TABLE_MIN: f64 = 0.8;

/// How alike two whole keys must be: stricter, since the tables' names already are.
const ALIKE_WHOLE_MIN: f64 = 0.85;

/// The known key nearest to an unknown one: in the same table by its own name, elsewhere by the same name or by the whole key.
pub(super) fn nearest<'a>(unknown: &[String], known: &'a [KeyPath]) -> Option<&'a KeyPath> {
    let scored = known.iter().filter_map(|candidate| Some((likeness(unknown, candidate)?, candidate)));
    // Of equals the first known one is offered.
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, candidate)| candidate)
}

fn likeness(unknown: &[String], candidate: &[String]) -> Option<f64> {
    let (unknown_name, unknown_tables) = unknown.split_last()?;
    let (name, tables) = candidate.split_last()?;
    if unknown_tables == tables {
        return Some(strsim::jaro_winkler(unknown_name, name)).filter(|score| *score >= ALIKE_IN_TABLE_MIN);
    }
    // A point for an underscore is a frequent slip: KAFKA_BROKERS for KAFKA__BROKERS.
    let whole = |path: &[String]| dotted(path).replace('.', "_");
    let score = strsim::normalized_damerau_levenshtein(&whole(unknown), &whole(candidate));
    if score >= ALIKE_WHOLE_MIN { Some(score) } else { (unknown_name == name).then_some(ALIKE_IN_TABLE_MIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(dotted: &str) -> KeyPath {
        dotted.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn slips_find_their_key() {
        let known: Vec<_> =
            ["name", "data_dir", "kafka.brokers", "pipeline.workers", "pipeline.tick", "http.listen"].map(path).into();
        for (unknown, expect) in [
            ("nam", Some("name")),
            ("datadir", Some("data_dir")),
            ("pipeline.wrokers", Some("pipeline.workers")),
            ("pipelin.tick", Some("pipeline.tick")),
            ("kafka_brokers", Some("kafka.brokers")),
            ("workers", Some("pipeline.workers")),
            ("server.listen", Some("http.listen")),
            ("pipeline.zzz", None),
            ("zzz", None),
        ] {
            assert_eq!(nearest(&path(unknown), &known).map(|found| dotted(found)).as_deref(), expect, "{unknown}");
        }
    }
}
