//! A topic's id, by librdkafka's DescribeTopics, for which the `rdkafka` crate has no call.
//!
//! Safety: every object made here is owned by an [`Owned`] that frees it once; what the result hands out
//! (descriptions, ids, texts) belongs to the event and is copied before the event is freed.
#![allow(unsafe_code, reason = "librdkafka is C, and the `rdkafka` crate has no call for this")]

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::error::{IsError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

/// Time that an answer may take on its way back, beyond the request's own limit.
const ANSWER_SLACK: Duration = Duration::from_millis(100);
/// Shortest limit of a request that librdkafka takes.
const REQUEST_MIN: Duration = Duration::from_millis(1);

/// The id of `topic`; empty if the brokers tell none. Waits at most about `timeout`. Asks the controller, so
/// it should be known that there is one.
pub(super) fn topic_id(
    client: *mut native::rd_kafka_t,
    topic: &str,
    timeout: Duration,
) -> Result<String, RDKafkaErrorCode> {
    let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    let timeout = timeout.max(REQUEST_MIN);
    let request_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let wait_ms = i32::try_from((timeout + ANSWER_SLACK).as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `client` is a live handle for the whole call. `name` outlives the collection, which copies it.
    let event = unsafe {
        let queue = Owned(native::rd_kafka_queue_new(client), native::rd_kafka_queue_destroy);
        let options = Owned(
            native::rd_kafka_AdminOptions_new(
                client,
                native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
            native::rd_kafka_AdminOptions_destroy,
        );
        native::rd_kafka_AdminOptions_set_request_timeout(options.0, request_ms, ptr::null_mut(), 0);
        let mut names = [name.as_ptr()];
        let topics = Owned(
            native::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            native::rd_kafka_TopicCollection_destroy,
        );
        native::rd_kafka_DescribeTopics(client, topics.0, options.0, queue.0);
        Owned(native::rd_kafka_queue_poll(queue.0, wait_ms), native::rd_kafka_event_destroy)
    };
    if event.0.is_null() {
        return Err(RDKafkaErrorCode::OperationTimedOut);
    }
    // SAFETY: the event is not null and lives until the end of this function; it answers DescribeTopics.
    unsafe {
        check(native::rd_kafka_event_error(event.0))?;
        let result = native::rd_kafka_event_DescribeTopics_result(event.0);
        if result.is_null() {
            return Err(RDKafkaErrorCode::BadMessage);
        }
        let mut count = 0;
        let topics = native::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 {
            return Err(RDKafkaErrorCode::BadMessage);
        }
        id_of(*topics)
    }
}

/// Copies the id of a described topic.
///
/// # Safety
/// `topic` must belong to a live event.
unsafe fn id_of(topic: *const native::rd_kafka_TopicDescription_t) -> Result<String, RDKafkaErrorCode> {
    // SAFETY: by this function's contract; the error and the id belong to `topic`, the text to the id.
    unsafe {
        let error = native::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            check(native::rd_kafka_error_code(error))?;
        }
        let id = native::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null()
            || (native::rd_kafka_Uuid_most_significant_bits(id) == 0
                && native::rd_kafka_Uuid_least_significant_bits(id) == 0)
        {
            return Ok(String::new());
        }
        let text = native::rd_kafka_Uuid_base64str(id);
        Ok(if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() })
    }
}

fn check(code: RDKafkaRespErr) -> Result<(), RDKafkaErrorCode> {
    if code.is_error() { Err(code.into()) } else { Ok(()) }
}

/// The number of the controller, as the last metadata told.
pub(super) fn controller(client: *mut native::rd_kafka_t) -> i32 {
    // SAFETY: `client` is a live handle; nothing is waited for.
    unsafe { native::rd_kafka_controllerid(client, 0) }
}

/// A native object and what frees it.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made for this object alone, and freed nowhere else.
            unsafe { (self.1)(self.0) }
        }
    }
}
