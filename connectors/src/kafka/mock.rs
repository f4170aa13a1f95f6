//! A broker inside this process, for the demo and for trying errors: librdkafka's mock cluster.
//!
//! It speaks enough of the protocol for the connector, on a port of 127.0.0.1 of its own. It keeps at most
//! 5 MiB or 100,000 messages of a partition and drops older ones silently, so whoever produces must not run
//! ahead of the readers by more. It knows no transactions, no retention and no disk; the first assignment
//! may take some seconds.

use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use siltstone_engine::error::{Error, Kind, Result};

/// How long a message may wait for room in the producer's queue.
const ROOM_MAX: Duration = Duration::from_secs(10);
/// One look whether there is room.
const ROOM_LOOK: Duration = Duration::from_millis(10);

/// One broker with one topic, and a producer for it. Gone when dropped.
pub struct MockBroker {
    producer: BaseProducer<DefaultProducerContext>,
    servers: String,
    topic: String,
}

impl MockBroker {
    /// Starts it and creates `topic`.
    pub fn start(topic: &str, partitions: i32) -> Result<Self> {
        let producer: BaseProducer = ClientConfig::new()
            .set("test.mock.num.brokers", "1")
            .set("linger.ms", "5")
            .create()
            .map_err(|e| Error::io("starting the mock broker", e))?;
        let servers = {
            let cluster = producer.client().mock_cluster();
            let cluster =
                cluster.ok_or_else(|| Error::new(Kind::Io, "starting the mock broker: there is none"))?;
            cluster
                .create_topic(topic, partitions, 1)
                .map_err(|e| Error::io(format!("creating topic '{topic}'"), e))?;
            cluster.bootstrap_servers()
        };
        Ok(Self { producer, servers, topic: topic.to_owned() })
    }

    /// What option `bootstrap.servers` takes.
    pub fn bootstrap_servers(&self) -> &str {
        &self.servers
    }

    /// Queues a message for the topic, waiting a while if the queue is full.
    pub fn produce(&self, partition: i32, key: &[u8], payload: &[u8]) -> Result<()> {
        let mut waited = Duration::ZERO;
        let mut record = BaseRecord::to(&self.topic).partition(partition).key(key).payload(payload);
        loop {
            record = match self.producer.send(record) {
                Ok(()) => {
                    self.producer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record))
                    if waited < ROOM_MAX =>
                {
                    record
                }
                Err((error, _)) => {
                    return Err(Error::io(format!("producing to topic '{}'", self.topic), error));
                }
            };
            self.producer.poll(ROOM_LOOK);
            waited += ROOM_LOOK;
        }
    }

    /// Waits until everything queued is with the broker.
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        self.producer
            .flush(timeout)
            .map_err(|e| Error::io(format!("producing to topic '{}': flushing", self.topic), e))
    }

    /// Answers the next `times` requests for messages with "not the leader", as on a change of leader.
    pub fn refuse_fetches(&self, times: usize) {
        use rdkafka::bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION as REFUSED;
        if let Some(cluster) = self.producer.client().mock_cluster() {
            cluster.request_errors(rdkafka::types::RDKafkaApiKey::Fetch, &vec![REFUSED; times]);
        }
    }
}

impl fmt::Debug for MockBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockBroker").field("servers", &self.servers).field("topic", &self.topic).finish()
    }
}
