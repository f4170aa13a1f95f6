//! Takes messages from librdkafka many at a time: a third of the CPU of taking them one by one.
//!
//! One [`Intake`] owns a consumer and a handle on its queue. A take waits for the first event, then
//! empties the queue without waiting. Messages that the caller has no room for stay pending here.
//!
//! Safety: a message pointer comes from librdkafka exactly once, is owned by `pending` from then on, and is
//! freed exactly once, after the caller has seen it or when the intake is dropped. The queue handle is freed
//! before the consumer is. A payload is lent to the caller only while its message is alive.
#![allow(unsafe_code, reason = "librdkafka is C, and the `rdkafka` crate takes messages one by one")]

use std::collections::VecDeque;
use std::ffi::CStr;
use std::ops::ControlFlow;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, RDKafkaErrorCode};
use siltstone_engine::error::{Error, Kind, Result};

use super::client::Context;

/// Messages taken by one call of librdkafka.
const BATCH_MESSAGES_MAX: usize = 4096;

/// What a take shows to its caller.
pub(super) enum Item<'a> {
    Message {
        topic: Topic,
        partition: i32,
        offset: i64,
        /// `None`: the message has no value.
        value: Option<&'a [u8]>,
    },
    /// Something about one partition: its end was reached, its offset is out of range, …
    Partition { topic: String, partition: i32, offset: i64, code: RDKafkaErrorCode },
    /// Something about the client as a whole: brokers are away, a fatal error.
    Client { code: RDKafkaErrorCode, reason: String },
}

/// The topic of a message: cheap to compare, valid until the take ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Topic(*mut native::rd_kafka_topic_t);

impl Topic {
    /// No topic at all, to be compared with itself.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(ptr::null_mut())
    }

    pub(super) fn name(self) -> String {
        // SAFETY: a `Topic` is made from a message that lives during the take and holds its topic.
        unsafe { CStr::from_ptr(native::rd_kafka_topic_name(self.0)) }.to_string_lossy().into_owned()
    }
}

/// A consumer and the way to its messages.
pub(super) struct Intake {
    pending: VecDeque<NonNull<native::rd_kafka_message_t>>,
    batch: Vec<*mut native::rd_kafka_message_t>,
    queue: NonNull<native::rd_kafka_queue_t>,
    consumer: BaseConsumer<Context>,
}

// SAFETY: librdkafka's handles may be used from any thread, and messages may be freed on any.
unsafe impl Send for Intake {}

impl Intake {
    pub(super) fn new(consumer: BaseConsumer<Context>) -> Result<Self> {
        // SAFETY: the consumer's handle is alive; the queue it returns is ours to free.
        let queue = unsafe { native::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        let queue = NonNull::new(queue)
            .ok_or_else(|| Error::new(Kind::Io, "opening the message queue of a kafka consumer"))?;
        let batch = vec![ptr::null_mut(); BATCH_MESSAGES_MAX];
        Ok(Self { pending: VecDeque::new(), batch, queue, consumer })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer<Context> {
        &self.consumer
    }

    /// Shows `visit` what has come, waiting at most `timeout` for the first of it. Ends when nothing more
    /// is there at once, or when `visit` breaks: then the item it broke on was taken, and those behind it
    /// come with the next take.
    pub(super) fn take(&mut self, timeout: Duration, mut visit: impl FnMut(Item<'_>) -> ControlFlow<()>) {
        let had_pending = !self.pending.is_empty();
        if self.show_pending(&mut visit).is_break() {
            return;
        }
        let timeout = if had_pending { Duration::ZERO } else { timeout };
        if self.wait(timeout, &mut visit).is_break() {
            return;
        }
        while self.fill() > 0 {
            if self.show_pending(&mut visit).is_break() {
                return;
            }
        }
    }

    fn show_pending(&mut self, visit: &mut impl FnMut(Item<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        while let Some(message) = self.pending.pop_front() {
            let message = Owned(message);
            // SAFETY: the message is alive until `message` is dropped, at the end of this turn.
            visit(unsafe { view(message.0.as_ref()) })?;
        }
        ControlFlow::Continue(())
    }

    /// One event, the only thing that is waited for. Errors of the client come no other way.
    fn wait(
        &self,
        timeout: Duration,
        visit: &mut impl FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let wait_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive; the event is ours and freed below, and all that is read from it before.
        unsafe {
            let event = native::rd_kafka_queue_poll(self.queue.as_ptr(), wait_ms);
            if event.is_null() {
                return ControlFlow::Break(());
            }
            let flow = match native::rd_kafka_event_type(event) {
                native::RD_KAFKA_EVENT_FETCH => show_messages(event, visit),
                native::RD_KAFKA_EVENT_ERROR => visit(error(event)),
                _ => ControlFlow::Continue(()),
            };
            native::rd_kafka_event_destroy(event);
            flow
        }
    }

    /// Moves what is in the queue to `pending`, without waiting. Returns how many there were.
    fn fill(&mut self) -> usize {
        // SAFETY: `batch` has room for the number of pointers given; each one written is a message of ours.
        let taken = unsafe {
            native::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                0,
                self.batch.as_mut_ptr(),
                self.batch.len(),
            )
        };
        let taken = usize::try_from(taken).unwrap_or(0);
        self.pending.extend(self.batch[..taken].iter().filter_map(|&message| NonNull::new(message)));
        taken
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        while let Some(message) = self.pending.pop_front() {
            drop(Owned(message));
        }
        // SAFETY: made in `new`, used nowhere else, and the consumer is still alive.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// A message that is freed when this is dropped.
struct Owned(NonNull<native::rd_kafka_message_t>);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: made once for each message that was popped from `pending`.
        unsafe { native::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
/// `event` must be a live event of messages; they belong to it.
unsafe fn show_messages(
    event: *mut native::rd_kafka_event_t,
    visit: &mut impl FnMut(Item<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut flow = ControlFlow::Continue(());
    // SAFETY: by this function's contract.
    while let Some(message) = unsafe { native::rd_kafka_event_message_next(event).as_ref() } {
        // An event holds one message; were there more, a break would have to keep them all the same.
        if visit(unsafe { view(message) }).is_break() {
            flow = ControlFlow::Break(());
        }
    }
    flow
}

/// # Safety
/// `message` must not be freed while the item is used.
unsafe fn view(message: &native::rd_kafka_message_t) -> Item<'_> {
    if message.err.is_error() {
        let code = RDKafkaErrorCode::from(message.err);
        if message.rkt.is_null() {
            // SAFETY: the text belongs to the message and ends with a zero byte.
            let reason = unsafe { CStr::from_ptr(native::rd_kafka_message_errstr(message)) };
            return Item::Client { code, reason: reason.to_string_lossy().into_owned() };
        }
        let topic = Topic(message.rkt).name();
        return Item::Partition { topic, partition: message.partition, offset: message.offset, code };
    }
    let value = (!message.payload.is_null()).then(|| {
        // SAFETY: librdkafka gives the value's address and length together; it lives as long as the message.
        unsafe { slice::from_raw_parts(message.payload.cast::<u8>().cast_const(), message.len) }
    });
    Item::Message { topic: Topic(message.rkt), partition: message.partition, offset: message.offset, value }
}

/// # Safety
/// `event` must be a live event of an error.
unsafe fn error(event: *mut native::rd_kafka_event_t) -> Item<'static> {
    // SAFETY: by this function's contract; the partition is ours to free, its topic's name is copied first.
    unsafe {
        let code = RDKafkaErrorCode::from(native::rd_kafka_event_error(event));
        let partition = native::rd_kafka_event_topic_partition(event);
        let Some(of) = partition.as_ref() else {
            let reason = CStr::from_ptr(native::rd_kafka_event_error_string(event));
            return Item::Client { code, reason: reason.to_string_lossy().into_owned() };
        };
        let topic = CStr::from_ptr(of.topic).to_string_lossy().into_owned();
        let item = Item::Partition { topic, partition: of.partition, offset: of.offset, code };
        native::rd_kafka_topic_partition_destroy(partition);
        item
    }
}
