//! From the client library's codes to the log's errors.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::config::KafkaConfig;
use super::context::KafkaContext;
use crate::log::{LogError, TopicPartition};

/// When to try again what a broker could not do just now.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// What a request was about, for the message.
pub(super) struct Request<'a> {
    pub(super) config: &'a KafkaConfig,
    pub(super) context: &'a KafkaContext,
    /// As the message begins: "creating topic leads".
    pub(super) what: String,
    pub(super) topic: Option<&'a str>,
    pub(super) timeout: Duration,
}

impl Request<'_> {
    /// The typed error for what the client library said.
    pub(super) fn error(&self, error: &KafkaError) -> LogError {
        match error.rdkafka_error_code() {
            Some(code) => self.error_of_code(code, &error.to_string()),
            None => match error {
                KafkaError::ClientConfig(_, reason, name, _) => {
                    LogError::Configuration { setting: format!("kafka.client.{name}"), reason: reason.clone() }
                }
                KafkaError::ClientCreation(reason) => {
                    LogError::Configuration { setting: "kafka".to_owned(), reason: reason.clone() }
                }
                KafkaError::AdminOp(code) => self.error_of_code(*code, &code.to_string()),
                _ => LogError::Refused { what: self.what.clone(), reason: error.to_string() },
            },
        }
    }

    /// As [`Request::error`], for a bare code.
    pub(super) fn error_of_code(&self, code: RDKafkaErrorCode, reason: &str) -> LogError {
        use RDKafkaErrorCode as Code;
        // Wrong credentials look like a broker that never answers: what was told before says which it is.
        let told = self.context.told().authentication.clone();
        match (code, told) {
            (Code::Authentication | Code::SaslAuthenticationFailed, told) => {
                self.authentication(told.as_deref().unwrap_or(reason))
            }
            (
                Code::OperationTimedOut | Code::AllBrokersDown | Code::BrokerTransportFailure | Code::RequestTimedOut,
                Some(told),
            ) => self.authentication(&told),
            (
                Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::Resolve
                | Code::MessageTimedOut
                | Code::NetworkException
                | Code::BrokerNotAvailable,
                None,
            ) => self.unreachable(reason),
            (Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue, _) => {
                if self.context.told().all_brokers_down {
                    self.unreachable(reason)
                } else {
                    LogError::TimedOut { what: self.what.clone(), timeout: self.timeout }
                }
            }
            (Code::UnknownTopicOrPartition | Code::UnknownTopic, _) if self.topic.is_some() => {
                LogError::TopicMissing { topic: self.topic.unwrap_or_default().to_owned() }
            }
            (
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed,
                _,
            ) => LogError::NotAuthorized { what: self.what.clone() },
            (code, _) if is_passing(code) => {
                LogError::Busy { what: self.what.clone(), reason: reason.to_owned(), retry_after: RETRY_AFTER }
            }
            _ => LogError::Refused { what: self.what.clone(), reason: reason.to_owned() },
        }
    }

    fn authentication(&self, reason: &str) -> LogError {
        LogError::AuthenticationFailed { endpoint: self.config.brokers.clone(), reason: reason.to_owned() }
    }

    /// The log is out of reach, with the words of the connection that failed last.
    pub(super) fn unreachable(&self, reason: &str) -> LogError {
        let told = self.context.told().connection.clone();
        LogError::Unreachable {
            endpoint: self.config.brokers.clone(),
            reason: told.unwrap_or_else(|| reason.to_owned()),
            retry_after: RETRY_AFTER,
        }
    }
}

/// True if a broker says this while it starts, stops, or hands a partition over.
pub(super) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::ReplicaNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::ConcurrentTransactions
            | Code::QueueFull
            | Code::KafkaStorageError
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::UnstableOffsetCommit
            | Code::NotController
            | Code::OffsetNotAvailable
            | Code::WaitingForCoordinator
            | Code::InProgress
            | Code::Outdated
    )
}

/// True if another producer of the same transactional id has taken over.
pub(super) fn is_fencing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

/// A record larger than broker or topic takes.
pub(super) fn too_large(partition: TopicPartition, bytes: usize, bytes_max: usize) -> LogError {
    LogError::RecordTooLarge { partition, bytes, bytes_max }
}
