//! Topics: what came in, what went out, and how far behind reading is.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};

use super::declare::Declarations;

/// Partitions of a topic that have series of their own; those beyond are told together as `rest`, by their worst.
pub const PARTITIONS_MAX: u32 = 64;

/// What is known of one input partition.
#[derive(Clone, Copy, Debug)]
pub struct PartitionSample {
    /// Name of the topic.
    pub topic: &'static str,
    /// The partition.
    pub partition: u32,
    /// Records between the reader and the end, if known.
    pub lag_records: Option<u64>,
    /// How far its watermark is behind this moment, in seconds; none while it is idle or has none.
    pub watermark_delay_seconds: Option<f64>,
    /// Whether an open transaction of some producer keeps its records from being read.
    pub is_stalled: bool,
}

/// Topics.
#[derive(Debug)]
pub struct LogMetrics {
    input_records: IntCounterVec,
    input_bytes: IntCounterVec,
    output_messages: IntCounterVec,
    lag: IntGaugeVec,
    watermark_delay: GaugeVec,
    stalled: IntGaugeVec,
}

impl LogMetrics {
    pub(super) fn declare(declare: &mut Declarations) -> Self {
        LogMetrics {
            input_records: declare.counters(
                "dealerflow_input_records_total",
                &["topic"],
                "Records read from input topics.",
            ),
            input_bytes: declare.counters("dealerflow_input_bytes_total", &["topic"], "Bytes of those records."),
            output_messages: declare.counters(
                "dealerflow_output_messages_total",
                &["topic"],
                "Messages committed to output topics.",
            ),
            lag: declare.gauges(
                "dealerflow_input_lag_records",
                &["topic", "partition"],
                "Records between what was read and the end of the partition.",
            ),
            watermark_delay: declare.seconds_gauges(
                "dealerflow_watermark_delay_seconds",
                &["topic", "partition"],
                "How far the greatest event time of a partition is behind this moment, in seconds; 0 while it is idle.",
            ),
            stalled: declare.gauges(
                "dealerflow_input_stalled_partitions",
                &["topic"],
                "Partitions whose records an open transaction of some producer keeps from being read.",
            ),
        }
    }

    /// Records were read.
    pub fn read(&self, topic: &str, records: u64, bytes: u64) {
        self.input_records.with_label_values(&[topic]).inc_by(records);
        self.input_bytes.with_label_values(&[topic]).inc_by(bytes);
    }

    /// Messages were committed.
    pub fn written(&self, topic: &str, messages: u64) {
        self.output_messages.with_label_values(&[topic]).inc_by(messages);
    }

    /// Takes over what is known of all partitions.
    pub fn partitions(&self, samples: &[PartitionSample]) {
        let number = |partition: u32| match partition {
            0..PARTITIONS_MAX => partition.to_string(),
            _ => "rest".to_owned(),
        };
        for sample in samples {
            let labels = [sample.topic, &number(sample.partition)];
            let is_rest = |other: &&PartitionSample| {
                other.topic == sample.topic && number(other.partition) == number(sample.partition)
            };
            let worst = samples.iter().filter(is_rest);
            let (mut lag, mut delay) = (None, None::<f64>);
            for other in worst {
                lag = lag.max(other.lag_records);
                delay = match (delay, other.watermark_delay_seconds) {
                    (Some(left), Some(right)) => Some(left.max(right)),
                    (left, right) => left.or(right),
                };
            }
            if let Some(lag) = lag {
                self.lag.with_label_values(&labels).set(lag as i64);
            }
            self.watermark_delay.with_label_values(&labels).set(delay.unwrap_or(0.0));
            let stalled = samples.iter().filter(|other| other.topic == sample.topic && other.is_stalled).count();
            self.stalled.with_label_values(&[sample.topic]).set(stalled as i64);
        }
    }
}
