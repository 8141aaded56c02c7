//! Records outside transactions: an idempotent producer that waits until all replicas have them.

use std::time::Instant;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};

use super::config::KafkaConfig;
use super::context::KafkaContext;
use super::error::Request;
use super::producing::{Produced, Producing};
use crate::log::{Appended, AppendedRange, LogAppender, LogError, OutgoingRecords};

/// An idempotent producer.
pub struct KafkaAppender {
    config: KafkaConfig,
    name: String,
    producer: BaseProducer<KafkaContext>,
}

impl KafkaAppender {
    pub(super) fn new(config: KafkaConfig, name: &str) -> Result<Self, LogError> {
        let producer = create(&config, name)?;
        Ok(Self { config, name: name.to_owned(), producer })
    }
}

fn create(config: &KafkaConfig, name: &str) -> Result<BaseProducer<KafkaContext>, LogError> {
    let context = KafkaContext::new(config.oauth_token_file.clone());
    config.appending_producer(name).create_with_context(context).map_err(|error| {
        let context = KafkaContext::default();
        let timeout = config.limits.append_timeout;
        Request { config, context: &context, what: "appending".to_owned(), topic: None, timeout }.error(&error)
    })
}

impl LogAppender for KafkaAppender {
    /// `idempotency_key` is not used: the events' ids tell a repeat.
    fn append(&mut self, records: &OutgoingRecords, _idempotency_key: Option<&[u8]>) -> Result<Appended, LogError> {
        records.check_records(&self.config.limits)?;
        let timeout = self.config.limits.append_timeout;
        let deadline = Instant::now() + timeout;
        let producing = Producing { config: &self.config, producer: &self.producer, what: "appending", timeout };
        let error = match producing.produce(records, deadline) {
            Produced::All => {
                let delivered = std::mem::take(&mut self.producer.context().told().delivered);
                let ranges = records.places().iter().zip(delivered).filter_map(|(place, range)| {
                    let (offset_first, offset_last) = range?;
                    Some(AppendedRange { topic_partition: place.clone(), offset_first, offset_last })
                });
                return Ok(Appended { ranges: ranges.collect(), repeated: false });
            }
            Produced::Refused(error) => error,
            Produced::TimedOut => producing
                .request(None)
                .error_of_code(RDKafkaErrorCode::OperationTimedOut, "records were not acknowledged in time"),
            Produced::Broken => {
                let reason = self.producer.client().fatal_error().map_or_else(String::new, |(_, reason)| reason);
                // A gap in the sequence ends a producer of this kind: a new one goes on.
                self.producer = create(&self.config, &self.name)?;
                let retry_after = std::time::Duration::ZERO;
                return Err(LogError::Busy { what: "appending".to_owned(), reason, retry_after });
            }
        };
        producing.purge(Instant::now() + std::time::Duration::from_secs(1));
        Err(error)
    }
}
