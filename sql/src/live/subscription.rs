//! Subscriptions: each published epoch's changes, in order. A reader that falls behind is dropped with a marker and not buffered.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::EpochChanges;

/// Epochs that wait for a reader at most; one that falls further behind is dropped.
const EPOCHS_WAITING_MAX: usize = 256;
/// Subscriptions at once.
const SUBSCRIPTIONS_MAX: usize = 1_024;

/// What a subscriber is told.
#[derive(Clone, Debug)]
pub enum Published {
    /// An epoch, with what changed in it. An epoch without changes is told, too: it says how far the tables are.
    Epoch(Arc<EpochChanges>),
    /// The reader was too slow: nothing more will come, and this is the last epoch that it missed nothing before.
    Dropped,
}

/// One reader's end.
#[derive(Debug)]
pub struct Subscription {
    /// The epoch that the subscription begins behind: a snapshot at it and all that is told give the tables without a gap.
    pub from_epoch: i64,
    receiver: Receiver<Arc<EpochChanges>>,
    told_end: bool,
}

impl Subscription {
    /// The next epoch. Nothing comes behind [`Published::Dropped`].
    pub async fn next(&mut self) -> Option<Published> {
        match self.receiver.recv().await {
            Some(changes) => Some(Published::Epoch(changes)),
            None => (!std::mem::replace(&mut self.told_end, true)).then_some(Published::Dropped),
        }
    }
}

/// Too many subscribe already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{SUBSCRIPTIONS_MAX} readers subscribe already, which is the limit: close one of them")]
pub struct TooManySubscriptions;

/// All readers.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    senders: Mutex<Vec<Sender<Arc<EpochChanges>>>>,
}

impl Subscribers {
    pub(crate) fn add(&self, from_epoch: i64) -> Result<Subscription, TooManySubscriptions> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| !sender.is_closed());
        if senders.len() >= SUBSCRIPTIONS_MAX {
            return Err(TooManySubscriptions);
        }
        let (sender, receiver) = channel(EPOCHS_WAITING_MAX);
        senders.push(sender);
        Ok(Subscription { from_epoch, receiver, told_end: false })
    }

    /// Tells everybody, and drops those who cannot take more.
    pub(crate) fn tell(&self, changes: &Arc<EpochChanges>) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| {
            !matches!(sender.try_send(Arc::clone(changes)), Err(TrySendError::Full(_) | TrySendError::Closed(_)))
        });
    }
}
