//! The server: listens, counts connections, begins each.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::pgwire;
use pgwire::api::{PidSecretKeyGenerator, RandomPidSecretKeyGenerator};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::cancel::Cancellations;
use super::connection::{Connection, Extended};
use super::conversation::{Handlers, serve};
use super::startup::{Secrets, Startup};
use crate::access::Tokens;
use crate::engine::Engine;

/// Certificate and key of a server, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those of whoever signed it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How the server listens.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where. Port 0 is a free one.
    pub listen: SocketAddr,
    /// Clients at once.
    pub connections_max: usize,
    /// With what it speaks TLS, if it does.
    pub tls: Option<TlsFiles>,
    /// Who may call. Nobody is asked if there are none, and then only callers of this machine are listened to.
    pub tokens: Arc<Tokens>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Others could call, and nobody would ask them.
    #[error(
        "sql.listen is {0}, which others can reach, and there is no token: listen on 127.0.0.1, or add [[security.token]]"
    )]
    Open(SocketAddr),
    /// The address is taken, or none of ours.
    #[error("sql.listen {listen} cannot be listened on ({source}): choose another address, or stop who has it")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificate or key.
    #[error("{file} cannot be used for TLS ({reason}): name a PEM file that this user may read")]
    Tls {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The engine is being dropped.
    #[error("the engine of queries has ended")]
    Ended,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    local: SocketAddr,
    accepting: AbortHandle,
}

impl Server {
    /// Starts listening.
    ///
    /// # Errors
    /// A [`ServerError`].
    pub fn start(engine: Arc<Engine>, settings: ServerSettings) -> Result<Self, ServerError> {
        let listen = settings.listen;
        if settings.tokens.is_empty() && !listen.ip().to_canonical().is_loopback() {
            return Err(ServerError::Open(listen));
        }
        let tls = settings.tls.as_ref().map(acceptor).transpose()?;
        // The threads of queries: what a short query takes is mostly the way from one thread to another.
        let runtime = engine.runtime().ok_or(ServerError::Ended)?.clone();
        let failed = |source| ServerError::Listen { listen, source };
        let listener = runtime.block_on(TcpListener::bind(listen)).map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let shared = Shared {
            engine,
            secrets: Arc::new(Secrets::new(Arc::clone(&settings.tokens))),
            tokens: settings.tokens,
            parser: Arc::new(PostgresCompatibilityParser::new()),
            cancellations: Arc::default(),
            generator: Arc::new(RandomPidSecretKeyGenerator::default()),
        };
        let accepting = runtime.spawn(accept(listener, Arc::new(shared), tls, settings.connections_max.max(1)));
        Ok(Server { local, accepting: accepting.abort_handle() })
    }

    /// Where it listens.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The connections are the accepting task's and end with it.
        self.accepting.abort();
    }
}

/// What all connections share.
struct Shared {
    engine: Arc<Engine>,
    secrets: Arc<Secrets>,
    tokens: Arc<Tokens>,
    parser: Arc<PostgresCompatibilityParser>,
    cancellations: Arc<Cancellations>,
    generator: Arc<dyn PidSecretKeyGenerator>,
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>, connections_max: usize) {
    let seats = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        // What has ended is forgotten.
        while connections.try_join_next().is_some() {}
        // Without a free seat the next client waits in the system's queue.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file descriptors, most likely: others have to go first.
                tracing::warn!(%error, "a client of the SQL server could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        connections.spawn(async move {
            if let Err(error) = serve(socket, tls, shared.handlers()).await {
                tracing::debug!(%error, "a client of the SQL server went away");
            }
            drop(seat);
        });
    }
}

impl Shared {
    /// Who answers one more client.
    fn handlers(&self) -> Handlers {
        let connection = Arc::new(Connection::new(
            Arc::clone(&self.engine),
            Arc::clone(&self.tokens),
            Arc::clone(&self.parser),
            Arc::clone(&self.cancellations),
        ));
        Handlers {
            startup: Arc::new(Startup::new(&self.secrets, &self.generator)),
            extended: Arc::new(Extended(Arc::clone(&connection))),
            connection,
            cancellations: Arc::clone(&self.cancellations),
        }
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, ServerError> {
    let wrong = |file: &PathBuf, reason: &dyn std::fmt::Display| ServerError::Tls {
        file: file.clone(),
        reason: reason.to_string(),
    };
    let certificates =
        File::open(&files.certificate).map_err(|error| wrong(&files.certificate, &error)).and_then(|file| {
            CertificateDer::pem_reader_iter(BufReader::new(file))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| wrong(&files.certificate, &error))
        })?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&files.certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| wrong(&files.certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
