//! The server: a runtime of its own, so that no request ever waits for the dataflow's threads, nor they for a request.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use connectors::log::{Log, LogError};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use super::appender::Appender;
use super::caller::Callers;
use super::centroids::Centroids;
use super::commands::Results;
use super::epoch_board::{EpochBoard, SettledEpoch};
use super::manifest::{Manifest, Readings};
use super::pulse::{EpochFacts, Pulse, PulseFeed, start_pulse};
use super::rate::Rates;
use super::routes::router;
use super::state::{HttpLimits, HttpState};
use super::teams::Teams;
use crate::config::Config;
use crate::run::commits::Published;
use crate::run::live::Control;
use crate::run::tables::Observer;
use crate::serving::Serving;

/// Threads of the server.
const THREADS: usize = 2;
/// How long open requests may go on once the end was asked for.
const GRACE: Duration = Duration::from_secs(3);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken, or none of ours.
    #[error(
        "the HTTP server cannot listen on {listen} ({source}): stop the program that has the port, or set http.listen to another"
    )]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error(
        "the certificate {certificate} and the key {key} cannot be used ({source}): both must be PEM, and belong together",
        certificate = certificate.display(), key = key.display()
    )]
    Certificate {
        /// `http.certificate_file`.
        certificate: PathBuf,
        /// `http.key_file`.
        key: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system gives no thread.
    #[error("the HTTP server has no thread to run on: {0}")]
    Threads(std::io::Error),
}

/// A server that listens.
pub struct HttpServer {
    address: SocketAddr,
    is_secure: bool,
    state: Arc<HttpState>,
    handle: Handle<SocketAddr>,
    runtime: Runtime,
    pulse_thread: Option<JoinHandle<()>>,
    serving: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
}

/// The server's end of what a run publishes.
pub struct HttpObserver {
    board: Arc<EpochBoard>,
    pulse: PulseFeed,
    teams: Arc<Teams>,
    centroids: Arc<Centroids>,
}

impl Observer for HttpObserver {
    fn published(&mut self, published: &Published) {
        // Who waits for the epoch must find what it said.
        self.teams.published(published);
        self.centroids.published(published);
        self.board.published(SettledEpoch::of(published));
        self.pulse.push(EpochFacts::of(published));
    }
}

impl HttpServer {
    /// Listens as configured. What a run publishes must reach the observer.
    ///
    /// # Errors
    /// If the address, the certificate, the tokens or the log cannot be used.
    pub fn start(
        config: &Config,
        log: &Arc<dyn Log>,
        serving: &Serving,
        control: &Control,
    ) -> Result<(Self, HttpObserver), HttpError> {
        let listen = config.http.listen;
        let refused = |source| HttpError::Listen { listen, source };
        let listener = TcpListener::bind(listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let callers = Callers::new(Arc::clone(&serving.tokens));
        let (appender, _) = Appender::start(log)?;
        let pulse = Arc::new(Pulse::new(config.http.pulse_bytes_max.bytes()));
        let (feed, pulse_thread) = start_pulse(&pulse).map_err(HttpError::Threads)?;
        let board = Arc::new(EpochBoard::default());
        let (teams, centroids) = (Arc::new(Teams::default()), Arc::new(Centroids::default()));
        let limits = HttpLimits {
            body_bytes_max: config.http.body_bytes_max.bytes() as usize,
            timeout: Duration::from_millis(config.http.timeout.ms()),
            requests_per_second: config.http.requests_per_second,
            streams_max: config.http.streams_max as usize,
        };
        let state = Arc::new(HttpState {
            rates: Rates::new(callers.count(), limits.requests_per_second),
            callers,
            board: Arc::clone(&board),
            engine: Arc::clone(&serving.engine),
            pulse,
            appender,
            metrics: Arc::clone(&control.metrics),
            teams: Arc::clone(&teams),
            centroids: Arc::clone(&centroids),
            results: Results::new(config.http.results_max as usize),
            manifest: Manifest::embedded(),
            readings: Readings::default(),
            limits,
            ended: watch::Sender::new(false),
            ready: Arc::clone(&control.ready),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(HttpError::Threads)?;
        let handle = Handle::new();
        let service = router(&state).into_make_service();
        let tls = tls_of(config, &runtime)?;
        let is_secure = tls.is_some();
        let serving = {
            let _inside = runtime.enter();
            if let Some(tls) = tls {
                let server = axum_server::from_tcp_rustls(listener, tls).map_err(refused)?.handle(handle.clone());
                runtime.spawn(server.serve(service))
            } else {
                let server = axum_server::from_tcp(listener).map_err(refused)?.handle(handle.clone());
                runtime.spawn(server.serve(service))
            }
        };
        let observer = HttpObserver { board, pulse: feed, teams, centroids };
        let pulse_thread = Some(pulse_thread);
        Ok((HttpServer { address, is_secure, state, handle, runtime, pulse_thread, serving: Some(serving) }, observer))
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_secure { "https" } else { "http" }, self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets open requests come to their end, and closes.
    pub fn stop(mut self) {
        self.state.ended.send_replace(true);
        self.handle.graceful_shutdown(Some(GRACE));
        if let Some(serving) = self.serving.take() {
            match self.runtime.block_on(serving) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the HTTP server ended badly"),
                Err(error) => tracing::warn!(%error, "the HTTP server panicked"),
            }
        }
        self.runtime.shutdown_timeout(GRACE);
        if let Some(thread) = self.pulse_thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

/// The certificate of a configuration, if it names one.
fn tls_of(config: &Config, runtime: &Runtime) -> Result<Option<RustlsConfig>, HttpError> {
    if config.http.certificate_file.is_empty() {
        return Ok(None);
    }
    let (certificate, key) = (PathBuf::from(&config.http.certificate_file), PathBuf::from(&config.http.key_file));
    // Whoever was first has chosen the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let loaded = runtime.block_on(RustlsConfig::from_pem_chain_file(&certificate, &key));
    loaded.map(Some).map_err(|source| HttpError::Certificate { certificate, key, source })
}
