//! librdkafka clients: how they are configured, what they log, and the questions a source asks its brokers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataPartition;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use siltstone_engine::clock;
use siltstone_engine::error::{Error, Kind, Result};

use super::describe;
use super::partition::{self, Partition};
use super::setting::Settings;

/// Memory for messages that wait for a reader, unless the options say otherwise.
const QUEUED_KBYTES: &str = "32768";
/// Milliseconds without fetching after a partition's share of that was full. The library's second leaves both
/// sides idle: it is emptied in a fraction of it.
const FULL_MS: &str = "10";
/// Longest pause between attempts to reach a broker.
const RECONNECT_MS_MAX: &str = "2000";
/// How long a commit is tried. Nothing else depends on this: no group is joined.
const COMMIT_MS_MAX: &str = "3000";
/// Must be less than that.
const HEARTBEAT_MS: &str = "1000";
/// Least time between two log lines about the same trouble.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// Pause between attempts of a question that has not been answered.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// One attempt of a question waits this long at most, and so does a stop while there is no answer.
const ATTEMPT_MAX: Duration = Duration::from_secs(2);

/// Hears what a client says.
#[derive(Debug, Default)]
pub(super) struct Context {
    last_error: Mutex<Option<String>>,
    warned: Mutex<Throttle>,
}

impl Context {
    /// Notes trouble with the brokers and logs it now and then.
    pub(super) fn trouble(&self, reason: &str) {
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).is_due() {
            tracing::warn!(reason, "kafka: waiting for a broker");
        }
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition comes this way too.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            self.trouble(reason);
        }
    }
}

impl ConsumerContext for Context {}

/// Lets something through once in [`WARN_EVERY`].
#[derive(Debug, Default)]
struct Throttle {
    last: Option<Instant>,
}

impl Throttle {
    fn is_due(&mut self) -> bool {
        let now = clock::now();
        let is_due = self.last.is_none_or(|last| now - last >= WARN_EVERY);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

/// A consumer of these settings, with nothing assigned. Reaches no broker by itself.
pub(super) fn consumer(settings: &Settings, source: &str) -> Result<BaseConsumer<Context>> {
    let mut config = ClientConfig::new();
    let default_group = format!("siltstone-{source}");
    config
        .set("bootstrap.servers", &settings.servers)
        .set("client.id", "siltstone")
        // librdkafka assigns nothing without a group; it is joined by nobody, and commits are ours.
        .set("group.id", settings.group.as_deref().unwrap_or(&default_group))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // So long librdkafka holds on to a commit that finds no coordinator, even while it is closed.
        .set("session.timeout.ms", COMMIT_MS_MAX)
        .set("heartbeat.interval.ms", HEARTBEAT_MS)
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("queued.max.messages.kbytes", QUEUED_KBYTES)
        .set("fetch.queue.backoff.ms", FULL_MS)
        .set("reconnect.backoff.max.ms", RECONNECT_MS_MAX)
        .set_log_level(RDKafkaLogLevel::Emerg);
    for (name, value) in &settings.tuning {
        config.set(*name, value);
    }
    config.create_with_context(Context::default()).map_err(|e| match e {
        KafkaError::ClientConfig(_, reason, name, value) => {
            Error::invalid(format!("option '{name}': '{value}' does not fit: {reason}"))
        }
        other => Error::io("starting a kafka client", other),
    })
}

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The first record that is still there.
    First,
    /// Behind the last record that may be read: for `read_committed`, before the first open transaction.
    End,
    /// The first record at or after these milliseconds since 1970 UTC, else the end.
    Time(i64),
}

/// A topic as its brokers know it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// Empty if the brokers tell none.
    pub topic_id: String,
    pub partitions: Vec<i32>,
}

/// The client for questions and commits; readers have their own.
pub(super) struct Client {
    consumer: BaseConsumer<Context>,
    servers: String,
    /// No question is asked any more.
    is_closing: AtomicBool,
}

impl Client {
    pub(super) fn new(settings: &Settings, source: &str) -> Result<Self> {
        let (consumer, servers) = (consumer(settings, source)?, settings.servers.clone());
        Ok(Self { consumer, servers, is_closing: AtomicBool::new(false) })
    }

    /// Ends the questions that are being asked, after the attempt that is on its way.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    /// The topic as it is now; `None` if it does not exist.
    pub(super) fn describe(&self, topic: &str, limit: Duration) -> Result<Option<Description>> {
        self.ask(limit, |attempt| self.describe_once(topic, attempt))
            .map_err(|code| self.failure(format!("looking up topic '{topic}'"), limit, code))
    }

    fn describe_once(&self, topic: &str, attempt: Duration) -> Result<Option<Description>, RDKafkaErrorCode> {
        let metadata = self.consumer.fetch_metadata(Some(topic), attempt).map_err(|e| code_of(&e))?;
        let found = metadata.topics().first().ok_or(RDKafkaErrorCode::BadMessage)?;
        match found.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                return Ok(None);
            }
            Some(code) => return Err(code),
        }
        let partitions = found.partitions().iter().map(MetadataPartition::id).collect();
        // Only a controller tells the id; librdkafka's mock cluster names one that is not there.
        let client = self.consumer.client().native_ptr();
        let controller = describe::controller(client);
        let has_controller = metadata.brokers().iter().any(|broker| broker.id() == controller);
        let topic_id =
            if has_controller { describe::topic_id(client, topic, attempt)? } else { String::new() };
        Ok(Some(Description { topic_id, partitions }))
    }

    /// The offset at `place` in each of `partitions`, in their order; `None` where it cannot be told.
    pub(super) fn offsets(
        &self,
        partitions: &[Partition],
        place: Place,
        limit: Duration,
    ) -> Result<Vec<Option<i64>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let offset = match place {
            Place::First => Offset::Beginning,
            Place::End => Offset::End,
            Place::Time(ms) => Offset::Offset(ms),
        };
        let answer = self.ask(limit, |attempt| {
            let mut list = partition::list(partitions);
            list.set_all_offsets(offset).map_err(|e| code_of(&e))?;
            self.consumer.offsets_for_times(list, attempt).map_err(|e| code_of(&e))
        });
        let list = answer.map_err(|code| {
            self.failure(format!("asking for the offsets of {}", names(partitions)), limit, code)
        })?;
        let found = |p: &Partition| {
            let element = list.find_partition(&p.topic, p.number)?;
            element.error().ok()?;
            element.offset().to_raw()
        };
        let mut offsets: Vec<Option<i64>> = partitions.iter().map(found).collect();
        if matches!(place, Place::Time(_)) && offsets.contains(&Some(NO_LATER_RECORD)) {
            let ends = self.offsets(partitions, Place::End, limit)?;
            for (offset, end) in offsets.iter_mut().zip(ends) {
                if *offset == Some(NO_LATER_RECORD) {
                    *offset = end;
                }
            }
        }
        Ok(offsets.into_iter().map(|offset| offset.filter(|o| *o >= 0)).collect())
    }

    /// Sends offsets to the group and does not wait for an answer: librdkafka gives none for this call.
    pub(super) fn commit(&self, offsets: &TopicPartitionList) {
        self.serve();
        if let Err(error) = self.consumer.commit(offsets, CommitMode::Async) {
            tracing::debug!(%error, "kafka: the group's offsets were not committed");
        }
    }

    /// Whether the group holds these offsets; `None` if nobody has told within `limit`.
    pub(super) fn is_committed(&self, offsets: &TopicPartitionList, limit: Duration) -> Option<bool> {
        self.serve();
        let mut asked = offsets.clone();
        asked.set_all_offsets(Offset::Invalid).ok()?;
        let found = self.consumer.committed_offsets(asked, limit).ok()?;
        let is_held = |(topic, partition, offset): (&str, i32, Offset)| {
            found.find_partition(topic, partition).is_some_and(|held| held.offset() == offset)
        };
        let mut wanted = offsets.elements().into_iter();
        Some(wanted.all(|w| is_held((w.topic(), w.partition(), w.offset()))))
    }

    /// Lets librdkafka report what has happened.
    fn serve(&self) {
        while self.consumer.poll(Duration::ZERO).is_some() {}
    }

    /// Repeats a question until it is answered, refused for good, or out of time. The last error is told.
    fn ask<T>(
        &self,
        limit: Duration,
        mut question: impl FnMut(Duration) -> Result<T, RDKafkaErrorCode>,
    ) -> Result<T, RDKafkaErrorCode> {
        let deadline = clock::now() + limit;
        loop {
            if self.is_closing.load(Ordering::Acquire) {
                return Err(RDKafkaErrorCode::OperationTimedOut);
            }
            let left = deadline.saturating_duration_since(clock::now());
            let answer = question(left.min(ATTEMPT_MAX));
            self.serve();
            match answer {
                Err(code) if !is_final(code) && clock::now() + RETRY_PAUSE < deadline => {
                    clock::sleep(RETRY_PAUSE)
                }
                answer => return answer,
            }
        }
    }

    fn failure(&self, doing: String, limit: Duration, code: RDKafkaErrorCode) -> Error {
        if is_final(code) {
            return refusal(&format!("{doing} at {}", self.servers), code);
        }
        let reason = self.consumer.context().last_error().unwrap_or_else(|| code.to_string());
        let message =
            format!("{doing}: no answer from {} within {} s: {reason}", self.servers, limit.as_secs());
        Error::new(Kind::Io, message)
            .with_hint("check that the broker runs and that bootstrap.servers is right")
    }
}

/// What `offsets_for_times` says where no record is later.
const NO_LATER_RECORD: i64 = -1;

/// No broker will ever answer otherwise until someone changes something.
pub(super) fn is_final(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::UnsupportedFeature
            | Code::UnsupportedVersion
            | Code::InvalidTopic
            | Code::Fatal
    )
}

/// The error for a final answer.
pub(super) fn refusal(doing: &str, code: RDKafkaErrorCode) -> Error {
    Error::new(Kind::Io, format!("{doing}: refused"))
        .because(KafkaError::Global(code))
        .with_hint("the broker does not let this client do so; ask whoever runs it")
}

fn code_of(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
}

fn names(partitions: &[Partition]) -> String {
    let mut topics: Vec<&str> = partitions.iter().map(|p| p.topic.as_str()).collect();
    topics.dedup();
    format!("topic '{}'", topics.join("', '"))
}
