//! How a connection begins: with a token by SCRAM-SHA-256, or unasked while there are no tokens.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion_postgres::pgwire;
use pgwire::api::auth::sasl::SASLAuthStartupHandler;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramAuth, gen_salted_password};
use pgwire::api::auth::{
    AuthSource, DefaultServerParameterProvider, LoginInfo, Password, ServerParameterProvider, StartupHandler,
    finish_authentication, protocol_negotiation, save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, PgWireConnectionState, PidSecretKeyGenerator};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use sha2::{Digest, Sha256};

use crate::access::Tokens;

/// The version that clients are told: what they may expect of the protocol and the catalog.
pub(crate) const SERVER_VERSION: &str = "16.6 (dealerflow)";

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// What clients are told of the server.
#[derive(Debug)]
pub(crate) struct Parameters {
    standard: DefaultServerParameterProvider,
}

impl Default for Parameters {
    fn default() -> Self {
        let mut standard = DefaultServerParameterProvider::default();
        SERVER_VERSION.clone_into(&mut standard.server_version);
        standard.default_transaction_read_only = true;
        standard.is_superuser = false;
        "UTC".clone_into(&mut standard.time_zone);
        Parameters { standard }
    }
}

impl ServerParameterProvider for Parameters {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<std::collections::HashMap<String, String>> {
        self.standard.server_parameters(client)
    }
}

/// Secrets of tokens, salted. A user that is not known gets a salt, too, and fails at the proof like a wrong secret.
#[derive(Debug)]
pub(crate) struct Secrets {
    tokens: Arc<Tokens>,
    /// This process's own, so that salts cannot be foretold.
    pepper: [u8; 32],
}

impl Secrets {
    pub(crate) fn new(tokens: Arc<Tokens>) -> Self {
        let pepper = Sha256::digest(pgwire::api::auth::sasl::scram::random_nonce().as_bytes()).into();
        Secrets { tokens, pepper }
    }
}

#[async_trait]
impl AuthSource for Secrets {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let user = login.user().unwrap_or_default();
        let digest = Sha256::new().chain_update(self.pepper).chain_update(user.as_bytes()).finalize();
        let salt = digest[..SALT_BYTES].to_vec();
        let unknown = pgwire::api::auth::sasl::scram::random_nonce();
        let secret = self.tokens.of_user(user).map_or(unknown.as_str(), |(token, _)| token.secret.as_str());
        let salted = gen_salted_password(secret, &salt, SCRAM_ITERATIONS);
        Ok(Password::new(Some(salt), salted))
    }
}

/// Begins one connection.
pub(crate) enum Startup {
    /// Nobody asks.
    Open { parameters: Parameters, generator: Arc<dyn PidSecretKeyGenerator> },
    /// With a token.
    Token(SASLAuthStartupHandler<Parameters>),
}

impl Startup {
    pub(crate) fn new(secrets: &Arc<Secrets>, generator: &Arc<dyn PidSecretKeyGenerator>) -> Self {
        if secrets.tokens.is_empty() {
            return Startup::Open { parameters: Parameters::default(), generator: Arc::clone(generator) };
        }
        let handler = SASLAuthStartupHandler::new(Arc::new(Parameters::default()))
            .with_scram(ScramAuth::new(Arc::clone(secrets) as Arc<dyn AuthSource>))
            .with_pid_secret_key_generator(Arc::clone(generator));
        Startup::Token(handler)
    }
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + futures::Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as futures::Sink<PgWireBackendMessage>>::Error>,
    {
        match self {
            Startup::Token(handler) => handler.on_startup(client, message).await,
            Startup::Open { parameters, generator } => {
                if let PgWireFrontendMessage::Startup(startup) = &message {
                    protocol_negotiation(client, startup).await?;
                    save_startup_parameters_to_metadata(client, startup);
                    let (pid, secret) = generator.generate(client);
                    client.set_pid_and_secret_key(pid, secret);
                    finish_authentication(client, parameters).await?;
                    client.set_state(PgWireConnectionState::ReadyForQuery);
                }
                Ok(())
            }
        }
    }
}
