//! Who follows a committer that was lost, and who has followed one that was fenced.
//!
//! ```text
//!   lost   ─▶ renew: open another (fences every other) ─▶ wait until `epochs` is settled ─▶ its last record
//!   fenced ─▶ last:  the last record of `epochs` names the run that has taken over
//! ```
//! The last record is enough: epochs are committed in order, and a later run's come behind all of an earlier one's.

use std::sync::Arc;
use std::time::Duration;

use connectors::log::{CommitterIdentity, Log, LogCommitter, LogError, PartitionBounds, wait_until_settled};

use super::binding::Binding;
use super::starting::{StartError, read_bindings};
use crate::messages::EPOCHS;

/// Offsets at the end of topic `epochs` among which its last record is looked for first.
const LAST_SPAN: u64 = 64;
/// How long a transaction of the lost committer may take to be settled.
const SETTLE_MAX: Duration = Duration::from_mins(1);

/// Who can open another committer, and knows who wrote last.
pub trait Successor: Send {
    /// Opens another committer and reads the last record of topic `epochs` once everything in it is settled.
    ///
    /// # Errors
    /// If the log refuses. An error that is retriable is worth another call.
    fn renew(&mut self) -> Result<Renewed, StartError>;

    /// The last record of topic `epochs`, if there is one and the log tells it.
    fn last(&mut self) -> Option<Binding>;
}

/// Another committer of a running pipeline.
pub struct Renewed {
    /// The committer, open.
    pub committer: Box<dyn LogCommitter>,
    /// The last record of topic `epochs`, whoever wrote it.
    pub last: Option<Binding>,
}

/// For commits that write nothing: there is nobody to ask.
pub struct Nobody;

impl Successor for Nobody {
    fn renew(&mut self) -> Result<Renewed, StartError> {
        Err(StartError::Refused("what only compares recorded epochs asked for a committer; report this".to_owned()))
    }

    fn last(&mut self) -> Option<Binding> {
        None
    }
}

/// Opens committers on a log in the place of those that were lost.
pub struct LogSuccessor {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Who commits.
    pub identity: CommitterIdentity,
}

impl Successor for LogSuccessor {
    fn renew(&mut self) -> Result<Renewed, StartError> {
        let log = self.log.as_ref();
        let mut committer = log.committer(self.identity.clone())?;
        committer.open()?;
        let bounds = wait_until_settled(log.admin()?.as_mut(), EPOCHS, 0, SETTLE_MAX)?;
        let Some(bounds) = bounds else { return Err(LogError::TopicMissing { topic: EPOCHS.to_owned() }.into()) };
        Ok(Renewed { committer, last: last_binding(log, bounds)? })
    }

    fn last(&mut self) -> Option<Binding> {
        let log = self.log.as_ref();
        let described = log.admin().and_then(|mut admin| admin.describe_topic(EPOCHS)).ok()?;
        let bounds = described?.partitions.first().copied()?;
        last_binding(log, bounds).ok()?
    }
}

/// The last record of topic `epochs` before its stable end; none if there is no record.
fn last_binding(log: &dyn Log, bounds: PartitionBounds) -> Result<Option<Binding>, StartError> {
    let mut span = LAST_SPAN;
    loop {
        // The end may hold marks of transactions instead of records: then further back.
        let from = bounds.stable_end.saturating_sub(span).max(bounds.earliest);
        let last = read_bindings(log, from)?.pop();
        if last.is_some() || from <= bounds.earliest {
            return Ok(last);
        }
        span *= 8;
    }
}
