//! The broker, and what a test does to it without the connector: topics, records, transactions.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use siltstone_engine::clock;

/// How long anything asked of the broker may take.
pub const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A broker's address, and for one of our own the folder it lives in.
pub struct Broker {
    pub address: String,
    home: Option<PathBuf>,
}

/// A record that does not reach the broker fails the test at once.
pub struct Delivery;

impl ClientContext for Delivery {}

impl ProducerContext for Delivery {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result
            && error.rdkafka_error_code() != Some(RDKafkaErrorCode::PurgeQueue)
            && error.rdkafka_error_code() != Some(RDKafkaErrorCode::PurgeInflight)
        {
            panic!("a record was not delivered: {error}");
        }
    }
}

/// A producer whose deliveries are looked at.
pub type TestProducer = BaseProducer<Delivery>;

/// The broker that tests share.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(|| match std::env::var("SILTSTONE_TEST_KAFKA") {
        Ok(address) => Broker { address, home: None },
        Err(_) => Broker::start(),
    })
}

/// A topic's name that no other test, and no earlier run, has.
pub fn fresh(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{}-{count}", std::process::id(), clock::unix_micros())
}

impl Broker {
    /// One of our own. It ends with this process at the latest.
    pub fn start() -> Self {
        let home =
            tempfile::Builder::new().prefix("siltstone-kafka-").tempdir().expect("temporary folder").keep();
        let mut broker = Self { address: String::new(), home: Some(home) };
        broker.address = broker.script(&["start", "0"]);
        broker
    }

    /// As a power cut would end it.
    pub fn kill(&self) {
        self.script(&["kill"]);
    }

    /// Starts it again after [`Broker::kill`], at the same address.
    pub fn start_again(&self) {
        assert_eq!(self.script(&["start"]), self.address);
    }

    fn script(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/kafka/kafka");
        let home = self.home.as_ref().expect("a broker of our own");
        let done = Command::new(script)
            .args(arguments)
            .env("KAFKA_HOME", home)
            .env("KAFKA_OWNER", std::process::id().to_string())
            .stderr(Stdio::inherit())
            .output()
            .expect("bash is there");
        assert!(done.status.success(), "docker/kafka/kafka {arguments:?} failed");
        String::from_utf8(done.stdout).expect("an address").trim().to_owned()
    }

    pub fn create(&self, topic: &str, partitions: i32) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let done = wait_for(self.admin().create_topics([&new], &AdminOptions::new())).expect("an answer");
        assert_eq!(done, [Ok(topic.to_owned())]);
    }

    pub fn delete(&self, topic: &str) {
        let done = wait_for(self.admin().delete_topics(&[topic], &AdminOptions::new())).expect("an answer");
        assert_eq!(done, [Ok(topic.to_owned())]);
    }

    /// Deletes a topic with records and creates it again. A broker may still write to the old log for a
    /// moment, and lose what it writes: this waits until it does not.
    pub fn recreate(&self, topic: &str, partitions: i32) {
        self.delete(topic);
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        eventually("the topic can be created again", || {
            let done = wait_for(self.admin().create_topics([&new], &AdminOptions::new())).expect("an answer");
            done == [Ok(topic.to_owned())]
        });
        let client = self.producer();
        let is_empty = |partition| {
            client.client().fetch_watermarks(topic, partition, ANSWER_MAX).is_ok_and(|marks| marks == (0, 0))
        };
        eventually("the new topic is empty", || (0..partitions).all(is_empty));
    }

    pub fn grow(&self, topic: &str, partitions: usize) {
        let new = NewPartitions::new(topic, partitions);
        let done = wait_for(self.admin().create_partitions([&new], &AdminOptions::new())).expect("an answer");
        assert_eq!(done, [Ok(topic.to_owned())]);
    }

    /// Deletes the records of a partition before `offset`.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        wait_for(self.admin().delete_records(&list, &AdminOptions::new())).expect("deleted");
    }

    /// Topics just made take a moment to be known everywhere; the calls are tried again until then.
    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.address).create().expect("an admin client")
    }

    pub fn producer(&self) -> TestProducer {
        producer(&self.address, &[])
    }

    /// A producer with a transaction open.
    pub fn transaction(&self) -> TestProducer {
        let producer = producer(&self.address, &[("transactional.id", &fresh("tx"))]);
        producer.init_transactions(ANSWER_MAX).expect("transactions");
        producer.begin_transaction().expect("a transaction");
        producer
    }

    /// Produces `values` to a partition and waits until they are there.
    pub fn fill(&self, topic: &str, partition: i32, values: &[Option<&[u8]>]) {
        let producer = self.producer();
        for value in values {
            send(&producer, topic, partition, *value);
        }
        producer.flush(ANSWER_MAX).expect("flushed");
    }

    /// Produces the numbers of a range as texts.
    pub fn count(&self, topic: &str, partition: i32, numbers: std::ops::Range<u32>) {
        let texts: Vec<String> = numbers.map(|n| n.to_string()).collect();
        let values: Vec<Option<&[u8]>> = texts.iter().map(|text| Some(text.as_bytes())).collect();
        self.fill(topic, partition, &values);
    }
}

/// Queues a record, waiting for room.
pub fn send(producer: &TestProducer, topic: &str, partition: i32, value: Option<&[u8]>) {
    eventually("there is room for a record", || {
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition);
        record.payload = value;
        match producer.send(record) {
            Ok(()) => true,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
                false
            }
            Err((error, _)) => panic!("producing to {topic}: {error}"),
        }
    });
}

fn producer(address: &str, more: &[(&str, &str)]) -> TestProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("message.max.bytes", "20000000").set("linger.ms", "5");
    // A record that is sent again keeps its place.
    config.set("enable.idempotence", "true");
    for (name, value) in more {
        config.set(*name, *value);
    }
    config.create_with_context(Delivery).expect("a producer")
}

/// Tries until it is true; fails the test if it never is.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = clock::now() + ANSWER_MAX;
    while !is_true() {
        assert!(clock::now() < deadline, "never came true: {what}");
        clock::sleep(Duration::from_millis(20));
    }
}

/// Waits for a future on this thread.
pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park_timeout(Duration::from_millis(100)),
        }
    }
}
