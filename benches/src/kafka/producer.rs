//! Events handed to the broker, at a rate or as fast as it takes them, with the moment at which each was handed over.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use super::events::Events;
use super::settings;
use crate::failure::Failure;

/// How long the broker may take for what is in flight at the end.
const FLUSH_MAX: Duration = Duration::from_mins(1);

/// What was handed over.
#[derive(Debug, Default)]
pub struct Handed {
    /// By number of the event: when, in microseconds of the benchmark's clock.
    pub moments_us: Vec<u64>,
    /// By topic on the broker and partition: the event's number, by offset.
    pub numbers: HashMap<(String, i32), Vec<u32>>,
}

#[derive(Default)]
struct Deliveries {
    numbers: Mutex<HashMap<(String, i32), Vec<u32>>>,
    lost: Mutex<Option<String>>,
}

#[derive(Clone)]
struct DeliveryContext(Arc<Deliveries>);

impl ClientContext for DeliveryContext {}

impl ProducerContext for DeliveryContext {
    /// The event's number.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(message) => {
                let mut numbers = self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner);
                let numbers = numbers.entry((message.topic().to_owned(), message.partition())).or_default();
                let offset = message.offset().max(0) as usize;
                if numbers.len() <= offset {
                    numbers.resize(offset + 1, 0);
                }
                numbers[offset] = number as u32;
            }
            Err((error, _)) => {
                self.0.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// Hands over the first `count` events, at `rate` a second if there is one, and waits until the broker has them. Those at a rate happen when
/// they are handed over: else weeks of the world would pass in a minute, and with them their timers. `origin` is the benchmark's clock.
///
/// # Errors
/// If the broker refuses, or does not take them in time.
pub fn produce(
    brokers: &str,
    prefix: &str,
    events: &Events,
    count: usize,
    rate: Option<u64>,
    origin: Instant,
) -> Result<Handed, Failure> {
    let deliveries = Arc::new(Deliveries::default());
    let mut config = settings::idempotent(brokers);
    // Java's partitioner: events of one dealer meet in one partition.
    config.set("partitioner", "murmur2_random");
    let producer: BaseProducer<DeliveryContext> = config
        .create_with_context(DeliveryContext(Arc::clone(&deliveries)))
        .map_err(Failure::kafka("the producer cannot be made"))?;
    let started = Instant::now();
    let mut moments_us = Vec::with_capacity(count);
    let mut sent = 0;
    while sent < count.min(events.len()) {
        let due = rate.map_or(count, |rate| (started.elapsed().as_secs_f64() * rate as f64) as usize).min(count);
        while sent < due {
            let Some(event) = events.get(sent) else { break };
            let topic = format!("{prefix}{}", event.topic.name());
            let handed_us = origin.elapsed().as_micros() as u64;
            let payload = if rate.is_some() { event.happening_now() } else { Cow::Borrowed(event.payload) };
            let record =
                BaseRecord::<[u8], [u8], usize>::with_opaque_to(&topic, sent).key(event.key).payload(&*payload);
            match producer.send(record) {
                Ok(()) => {
                    sent += 1;
                    moments_us.push(handed_us);
                }
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    settings::look(&producer);
                }
                Err((error, _)) => return Err(Failure::kafka("an event cannot be handed over")(error)),
            }
            if sent % 256 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        if rate.is_some() {
            settings::look(&producer);
        }
    }
    let patience = Instant::now() + FLUSH_MAX;
    while producer.in_flight_count() > 0 && Instant::now() < patience {
        settings::look(&producer);
    }
    if let Some(reason) = deliveries.lost.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(Failure::Broker { what: "an event was not delivered".to_owned(), reason });
    }
    let numbers = std::mem::take(&mut *deliveries.numbers.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Handed { moments_us, numbers })
}
