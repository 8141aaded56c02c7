//! Serving: what a running pipeline offers to callers, made from the configuration.
//!
//! ```text
//!   Config ─▶ tokens, LiveTables ─▶ Engine ─▶ PostgreSQL server        one Serving for a run; others serve over the same engine
//! ```

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use connectors::objects::Objects;
use sql::access::{Access, Dealers, Role, Token, Tokens};
use sql::engine::{Engine, OnQuery, QueryLimits};
use sql::live::{LiveTables, PublishError, Retention};
use sql::postgres::{Server, ServerError, ServerSettings, TlsFiles};

use crate::config::{self, Config};
use crate::metrics::Metrics;
use crate::replay::output::definitions;

/// The folder of users' views in the data folder.
const VIEWS_FOLDER: &str = "views";

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// A token cannot be read.
    #[error("the token in {path} cannot be read ({source}): check the path, and let this user read it", path = path.display())]
    Token {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A token's file holds none.
    #[error("{path} holds no token: write one into it", path = path.display())]
    EmptyToken {
        /// The file.
        path: PathBuf,
    },
    /// The declarations do not fit; a fault of ours.
    #[error("the live tables cannot be made: {0}; report this")]
    Tables(#[from] PublishError),
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] sql::SqlError),
    /// The SQL server does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// What serves the live tables of one run, until it is dropped.
#[derive(Debug)]
pub struct Serving {
    /// The tables.
    pub tables: Arc<LiveTables>,
    /// Who may call.
    pub tokens: Arc<Tokens>,
    /// Answers queries.
    pub engine: Arc<Engine>,
    server: Server,
}

/// Empty live tables, that keep as much of the past as is configured.
///
/// # Errors
/// If the tables' declarations are not sound.
pub fn live_tables(config: &Config) -> Result<Arc<LiveTables>, ServingError> {
    let sql = &config.sql;
    let retention =
        Retention { epochs_max: sql.retained_epochs as usize, bytes_max: sql.retained_bytes.bytes() as usize };
    Ok(Arc::new(LiveTables::new(definitions(), retention)?))
}

impl Serving {
    /// Starts serving: callers wait until the tables have caught up with what was committed before.
    ///
    /// # Errors
    /// If a token cannot be read, or an address cannot be listened on.
    pub fn start(config: &Config, history: &Objects, metrics: &Arc<Metrics>) -> Result<Self, ServingError> {
        let sql = &config.sql;
        let tables = live_tables(config)?;
        let limits = QueryLimits {
            timeout: std::time::Duration::from_millis(sql.timeout.ms()),
            wait_max: std::time::Duration::from_millis(sql.wait_max.ms()),
            memory_bytes_max: sql.memory_limit.bytes() as usize,
            rows_max: u64::from(sql.rows_max),
            queries_max: sql.queries_max as usize,
            threads: sql.threads as usize,
        };
        let views = config.data_dir.join(VIEWS_FOLDER);
        let metrics = Arc::clone(metrics);
        let on_query: OnQuery = Box::new(move |outcome, took| metrics.http.queried(outcome, took));
        let engine = Engine::start(Arc::clone(&tables), history.object_store(), limits, Some(&views), on_query)?;
        let tokens = Arc::new(read_tokens(&config.security.token)?);
        let has_tls = !sql.certificate_file.is_empty();
        let tls = TlsFiles { certificate: PathBuf::from(&sql.certificate_file), key: PathBuf::from(&sql.key_file) };
        let settings = ServerSettings {
            listen: sql.listen,
            connections_max: sql.connections_max as usize,
            tls: has_tls.then_some(tls),
            tokens: Arc::clone(&tokens),
        };
        let server = Server::start(Arc::clone(&engine), settings)?;
        Ok(Serving { tables, tokens, engine, server })
    }

    /// Where SQL is listened for.
    pub fn sql_address(&self) -> SocketAddr {
        self.server.local()
    }

    /// A line for a shell that asks a first question.
    pub fn psql_line(&self, config: &Config) -> String {
        let address = self.sql_address();
        let user = config.security.token.first().map_or_else(|| "dealerflow".to_owned(), config::Token::user);
        format!(
            "psql -h {} -p {} -U {user} dealerflow -c 'select * from dealers limit 5'",
            address.ip(),
            address.port()
        )
    }
}

/// Reads what the token files hold.
fn read_tokens(tokens: &[config::Token]) -> Result<Tokens, ServingError> {
    let read = |token: &config::Token| {
        let path = &token.token_file;
        let text = fs::read_to_string(path).map_err(|source| ServingError::Token { path: path.clone(), source })?;
        let secret = text.trim().to_owned();
        if secret.is_empty() {
            return Err(ServingError::EmptyToken { path: path.clone() });
        }
        let role = match token.role {
            config::Role::Viewer => Role::Viewer,
            config::Role::Operator => Role::Operator,
            config::Role::Admin => Role::Admin,
        };
        let all = token.dealers.iter().any(|dealer| dealer == "*");
        let dealers = if all { Dealers::All } else { Dealers::Only(token.dealers.iter().cloned().collect()) };
        Ok(Token { user: token.user(), secret, access: Access { role, dealers } })
    };
    Ok(Tokens::new(tokens.iter().map(read).collect::<Result<Vec<_>, _>>()?))
}
