//! The identities of topics (KIP-516), which the Rust bindings do not wrap: the one place that calls the C library itself.
//!
//! ```text
//!  TopicIdQuery::start(client, names) ─► DescribeTopics ─► own queue ─► poll(timeout) ─► name, id, partitions or error
//! ```
#![allow(unsafe_code, reason = "DescribeTopics is not wrapped by the bindings, and no other call tells a topic's id")]

use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;

use crate::log::TopicId;

/// What is known of one topic.
pub(super) type Identified = Result<TopicIdentity, RDKafkaErrorCode>;

/// A topic's id and how many partitions it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TopicIdentity {
    /// `None` from brokers that keep no ids.
    pub(super) id: Option<TopicId>,
    pub(super) partitions: u32,
}

/// A question on its way. Its answer comes to a queue of its own, so asking does not disturb the client's other work.
pub(super) struct TopicIdQuery {
    queue: NonNull<sys::rd_kafka_queue_t>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for TopicIdQuery {}

impl Drop for TopicIdQuery {
    fn drop(&mut self) {
        // SAFETY: the queue came from rd_kafka_queue_new and is destroyed once, here. The client may be gone by now: a queue
        // holds what it needs of it.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

impl TopicIdQuery {
    /// Asks about topics by their names on the cluster; `None` if the client library has no memory for it or a name holds NUL.
    pub(super) fn start<C: ClientContext>(client: &Client<C>, topics: &[String], timeout: Duration) -> Option<Self> {
        let names: Vec<CString> =
            topics.iter().map(|topic| CString::new(topic.as_str())).collect::<Result<_, _>>().ok()?;
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).max(1);
        let mut words: [c_char; 256] = [0; 256];
        // SAFETY: `client` outlives this block. Each object made here is checked for null and destroyed below, but the queue, which
        // the query owns. The library copies names and options (rdkafka.h: rd_kafka_TopicCollection_of_topic_names,
        // rd_kafka_DescribeTopics), so nothing it keeps points here.
        unsafe {
            let rk = client.native_ptr();
            let queue = NonNull::new(sys::rd_kafka_queue_new(rk))?;
            let query = Self { queue };
            let options = NonNull::new(sys::rd_kafka_AdminOptions_new(
                rk,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ))?;
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options.as_ptr(),
                timeout_ms,
                words.as_mut_ptr(),
                words.len(),
            );
            let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            if !collection.is_null() {
                sys::rd_kafka_DescribeTopics(rk, collection, options.as_ptr(), query.queue.as_ptr());
                sys::rd_kafka_TopicCollection_destroy(collection);
            }
            sys::rd_kafka_AdminOptions_destroy(options.as_ptr());
            (!collection.is_null()).then_some(query)
        }
    }

    /// The answer, if it has come within `timeout`: what is known of each topic, or why nothing is.
    pub(super) fn poll(&self, timeout: Duration) -> Option<Result<Vec<(String, Identified)>, RDKafkaErrorCode>> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the event is checked for null and destroyed once, after everything that is borrowed from it was copied.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.queue.as_ptr(), timeout_ms);
            if event.is_null() {
                return None;
            }
            let code = RDKafkaErrorCode::from(sys::rd_kafka_event_error(event));
            let result = sys::rd_kafka_event_DescribeTopics_result(event);
            let answer =
                if code != RDKafkaErrorCode::NoError || result.is_null() { Err(code) } else { Ok(identities(result)) };
            sys::rd_kafka_event_destroy(event);
            Some(answer)
        }
    }
}

/// Copies the answer.
///
/// # Safety
/// `result` must be a live result of `DescribeTopics`.
unsafe fn identities(result: *const sys::rd_kafka_DescribeTopics_result_t) -> Vec<(String, Identified)> {
    let mut count = 0;
    // SAFETY: by the caller's promise; the array and its `count` descriptions live as long as the result, and each has a name.
    unsafe {
        let described = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        (0..count)
            .map(|index| {
                let topic = *described.add(index);
                let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
                (name, identity(topic))
            })
            .collect()
    }
}

/// # Safety
/// `topic` must be a live description.
unsafe fn identity(topic: *const sys::rd_kafka_TopicDescription_t) -> Identified {
    // SAFETY: by the caller's promise; a null error is "no error" to rd_kafka_error_code, and the id is checked for null.
    unsafe {
        let code = RDKafkaErrorCode::from(sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic)));
        if code != RDKafkaErrorCode::NoError {
            return Err(code);
        }
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let uuid = sys::rd_kafka_TopicDescription_topic_id(topic);
        let bits = if uuid.is_null() {
            0
        } else {
            let most = sys::rd_kafka_Uuid_most_significant_bits(uuid) as u64;
            let least = sys::rd_kafka_Uuid_least_significant_bits(uuid) as u64;
            (u128::from(most) << 64) | u128::from(least)
        };
        Ok(TopicIdentity { id: (bits != 0).then_some(TopicId(bits)), partitions: partitions as u32 })
    }
}
