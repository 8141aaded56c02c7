//! What to do with the output folder that a replay finds: a state machine without I/O.
//!
//! ```text
//!   absent, empty ─▶ Start        a finished output ─▶ Refuse, or with --overwrite ─▶ Clear
//!   leftovers of a replay that was cut off ─▶ Clear        anything else ─▶ Refuse, always
//! ```
//! Only what a replay writes is ever removed, so a mistyped `--output` costs nothing.

/// What lies in the output folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Entries that a replay writes: `topics`, `parquet`.
    pub outputs: Vec<String>,
    /// Any other entries.
    pub foreign: Vec<String>,
    /// Whether a manifest makes the outputs visible.
    pub manifest: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is in the way.
    Start,
    /// Remove the outputs, then start.
    Clear(Vec<String>),
    /// Leave everything as it is, and say why.
    Refuse(String),
}

/// Decides what to do with what was found.
pub fn decide(found: &Found, overwrite: bool) -> Decision {
    if let Some(foreign) = found.foreign.first() {
        return Decision::Refuse(format!("it holds {foreign:?}, which no replay wrote; name a folder of its own"));
    }
    if found.outputs.is_empty() {
        return Decision::Start;
    }
    if found.manifest && !overwrite {
        return Decision::Refuse(
            "it holds the output of an earlier replay; add --overwrite to replace it, or name another folder".into(),
        );
    }
    Decision::Clear(found.outputs.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(outputs: &[&str], foreign: &[&str], manifest: bool) -> Found {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Found { outputs: own(outputs), foreign: own(foreign), manifest }
    }

    #[test]
    fn only_outputs_are_ever_removed() {
        assert_eq!(decide(&found(&[], &[], false), false), Decision::Start);
        assert!(matches!(decide(&found(&["parquet"], &[], true), false), Decision::Refuse(_)));
        assert_eq!(decide(&found(&["parquet"], &[], true), true), Decision::Clear(vec!["parquet".into()]));
        assert_eq!(decide(&found(&["parquet"], &[], false), false), Decision::Clear(vec!["parquet".into()]));
        assert!(matches!(decide(&found(&["parquet"], &["thesis.doc"], true), true), Decision::Refuse(_)));
    }
}
