//! The server: listens, counts connections, begins each.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::pgwire;
use pgwire::api::auth::StartupHandler;
use pgwire::api::cancel::CancelHandler;
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::{PgWireServerHandlers, PidSecretKeyGenerator, RandomPidSecretKeyGenerator};
use pgwire::tokio::process_socket;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::cancel::Cancellations;
use super::connection::{Connection, Extended};
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
    /// Threads.
    #[error("the threads of the SQL server cannot be started: {0}")]
    Threads(std::io::Error),
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    local: SocketAddr,
    runtime: Option<Runtime>,
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
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .on_thread_start(crate::priority::step_back)
            .enable_all()
            .build()
            .map_err(ServerError::Threads)?;
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
        runtime.spawn(accept(listener, Arc::new(shared), tls, settings.connections_max.max(1)));
        Ok(Server { local, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
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
    loop {
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
        tokio::spawn(async move {
            serve(socket, tls, &shared).await;
            drop(seat);
        });
    }
}

async fn serve(socket: TcpStream, tls: Option<TlsAcceptor>, shared: &Shared) {
    let connection = Connection::new(
        Arc::clone(&shared.engine),
        Arc::clone(&shared.tokens),
        Arc::clone(&shared.parser),
        Arc::clone(&shared.cancellations),
    );
    let connection = Arc::new(connection);
    let handlers = Handlers {
        startup: Arc::new(Startup::new(&shared.secrets, &shared.generator)),
        extended: Arc::new(Extended(Arc::clone(&connection))),
        connection,
        cancellations: Arc::clone(&shared.cancellations),
    };
    if let Err(error) = process_socket(socket, tls, handlers).await {
        tracing::debug!(%error, "a client of the SQL server went away");
    }
}

struct Handlers {
    startup: Arc<Startup>,
    connection: Arc<Connection>,
    extended: Arc<Extended>,
    cancellations: Arc<Cancellations>,
}

impl PgWireServerHandlers for Handlers {
    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::clone(&self.startup)
    }

    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.connection)
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.extended)
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.cancellations)
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
