//! What the client library tells beside its answers: errors of connections, statistics, deliveries, wishes for tokens.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientContext, Statistics};

use super::config::OauthTokenFile;

/// The context of every client of ours.
#[derive(Debug, Default)]
pub(super) struct KafkaContext {
    token_file: Option<OauthTokenFile>,
    told: Mutex<Told>,
}

/// What was told and not yet asked for.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last complaint about credentials.
    pub(super) authentication: Option<String>,
    /// The last complaint about a connection.
    pub(super) connection: Option<String>,
    /// True once no broker could be reached, until asked.
    pub(super) all_brokers_down: bool,
    /// By topic on the cluster and partition: the stable end and the end, as of the last statistics.
    pub(super) ends: HashMap<(String, i32), (u64, u64)>,
    /// Why the client library has given the transaction up, since the last reset: it says so nowhere else while records wait.
    pub(super) transaction: Option<String>,
    /// The topic that it could not add to the transaction.
    pub(super) not_added: Option<String>,
    /// The first record that could not be delivered since the last reset.
    pub(super) undelivered: Option<(RDKafkaErrorCode, String, i32)>,
    /// First and last offset of the delivered records by the number that they were sent with.
    pub(super) delivered: Vec<Option<(u64, u64)>>,
}

impl KafkaContext {
    pub(super) fn new(token_file: Option<OauthTokenFile>) -> Self {
        Self { token_file, told: Mutex::default() }
    }

    /// What was told so far; held only for moments.
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complain(&self, code: RDKafkaErrorCode, reason: &str) {
        let mut told = self.told();
        match code {
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
                told.authentication = Some(reason.to_owned());
            }
            RDKafkaErrorCode::AllBrokersDown => told.all_brokers_down = true,
            RDKafkaErrorCode::SSL
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut => told.connection = Some(reason.to_owned()),
            _ => {}
        }
    }
}

impl ClientContext for KafkaContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match facility {
            // The first is the reason, and what follows its consequence.
            "TXNERR" => {
                self.told().transaction.get_or_insert_with(|| message.to_owned());
            }
            // Failed to add partition "NAME" [0] to transaction: …
            // The others are refused because of the first, and say that nothing was attempted.
            "ADDPARTS" if !message.contains("not attempted") => {
                let topic = message.split('"').nth(1).map(str::to_owned);
                let mut told = self.told();
                told.not_added = told.not_added.take().or(topic);
            }
            _ => {}
        }
        // Errors come as errors, too; here stand the words for connections that fail.
        if matches!(
            level,
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error
        ) {
            self.told().connection = Some(message.to_owned());
        }
    }

    fn stats(&self, statistics: Statistics) {
        let mut told = self.told();
        for (name, topic) in &statistics.topics {
            for (&number, partition) in &topic.partitions {
                if let (Ok(stable_end), Ok(end)) =
                    (u64::try_from(partition.ls_offset), u64::try_from(partition.hi_offset))
                {
                    told.ends.insert((name.clone(), number), (stable_end, end));
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.complain(code, reason);
        }
    }

    fn generate_oauth_token(&self, _configuration: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let file = self.token_file.as_ref().ok_or("set kafka.oauth_token_file to a file that holds a bearer token")?;
        let text = std::fs::read_to_string(&file.path)
            .map_err(|error| format!("the token file {} cannot be read: {error}", file.path.display()))?;
        bearer_token(text.trim()).ok_or_else(|| format!("{} holds no JWT with sub and exp", file.path.display()).into())
    }
}

impl ConsumerContext for KafkaContext {}

impl ProducerContext for KafkaContext {
    /// The number of the place in the list of outgoing records.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        let mut told = self.told();
        match result {
            Ok(message) => {
                let offset = u64::try_from(message.offset()).unwrap_or_default();
                if told.delivered.len() <= place {
                    told.delivered.resize(place + 1, None);
                }
                let range = &mut told.delivered[place];
                *range = Some(range.map_or((offset, offset), |(first, last)| (first.min(offset), last.max(offset))));
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                told.undelivered.get_or_insert_with(|| (code, message.topic().to_owned(), message.partition()));
            }
        }
    }
}

/// The token with the principal and the end of life that it states (RFC 7519: `sub`, and `exp` in seconds).
fn bearer_token(token: &str) -> Option<OAuthToken> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Some(OAuthToken {
        token: token.to_owned(),
        principal_name: claims.get("sub")?.as_str()?.to_owned(),
        lifetime_ms: claims.get("exp")?.as_i64()?.checked_mul(1000)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_says_whose_it_is_and_how_long_it_lives() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"shop","exp":1700000000}"#);
        let token = bearer_token(&format!("e30.{claims}.sig")).unwrap();
        assert_eq!((token.principal_name.as_str(), token.lifetime_ms), ("shop", 1_700_000_000_000));
        assert!(bearer_token("no token").is_none());
    }
}
