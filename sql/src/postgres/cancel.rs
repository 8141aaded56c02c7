//! Taking queries back: a client opens a second connection and names the first one by its process number and secret.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion_postgres::pgwire;
use pgwire::api::cancel::CancelHandler;
use pgwire::messages::cancel::CancelRequest;
use tokio::sync::watch;

type Key = (i32, Bytes);

/// All connections that may be asked to stop. Bounded by the number of connections.
#[derive(Debug, Default)]
pub(crate) struct Cancellations {
    connections: Mutex<HashMap<Key, watch::Sender<u64>>>,
}

/// A connection's place among them, until it is gone.
#[derive(Debug)]
pub(crate) struct Cancellable {
    key: Key,
    all: Arc<Cancellations>,
}

impl Cancellations {
    /// Enters a connection.
    pub(crate) fn enter(self: &Arc<Self>, key: Key) -> Cancellable {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.insert(key.clone(), watch::Sender::new(0));
        Cancellable { key, all: Arc::clone(self) }
    }
}

impl Cancellable {
    /// Comes when what begins now is taken back.
    pub(crate) fn signal(&self) -> Option<watch::Receiver<u64>> {
        let connections = self.all.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.get(&self.key).map(watch::Sender::subscribe)
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        self.all.connections.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[async_trait]
impl CancelHandler for Cancellations {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let key = (request.pid, request.secret_key.to_bytes());
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get(&key) {
            connection.send_modify(|count| *count += 1);
        }
    }
}
