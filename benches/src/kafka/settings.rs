//! Settings of the client library: the pipeline's own (`connectors/src/kafka/config.rs`), so that no peer wins or loses by them.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, ProducerContext};

/// The pause between two looks at a producer, the same for the pipeline and its peers.
const LOOK_PAUSE: Duration = Duration::from_micros(500);

/// Serves what a producer has to tell, and pauses. A timeout of `poll` itself would be spent asking again and again.
pub fn look<C: ProducerContext>(producer: &BaseProducer<C>) {
    producer.poll(Duration::ZERO);
    std::thread::sleep(LOOK_PAUSE);
}

/// What every client of the pipeline sets.
fn common(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in [
        ("bootstrap.servers", brokers),
        ("retry.backoff.ms", "4"),
        ("reconnect.backoff.ms", "50"),
        ("reconnect.backoff.max.ms", "1000"),
        ("socket.timeout.ms", "10000"),
        ("socket.nagle.disable", "true"),
        ("allow.auto.create.topics", "false"),
    ] {
        config.set(name, value);
    }
    config
}

/// A reader of `partitions` partitions.
pub fn consumer(brokers: &str, group: &str, partitions: usize) -> ClientConfig {
    let queue_kib = ((32 << 10) / partitions.max(1)).max(64);
    let fetch_bytes = (queue_kib * 1024).clamp(64 << 10, 1 << 20);
    let mut config = common(brokers);
    config
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "1000000")
        .set("queued.max.messages.kbytes", queue_kib.to_string())
        .set("fetch.message.max.bytes", fetch_bytes.to_string());
    config
}

/// A transactional producer.
pub fn transactional(brokers: &str, name: &str) -> ClientConfig {
    let mut config = idempotent(brokers);
    config.set("transactional.id", name).set("transaction.timeout.ms", "40000");
    config
}

/// A producer that waits for all replicas and repeats nothing twice.
pub fn idempotent(brokers: &str) -> ClientConfig {
    let mut config = common(brokers);
    config
        .set("enable.idempotence", "true")
        .set("compression.type", "zstd")
        .set("linger.ms", "0.5")
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "1048576");
    config
}
