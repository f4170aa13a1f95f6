//! The broker inside the process, and the errors it can be told to make.

use siltstone_connectors::kafka::MockBroker;

use crate::broker::ANSWER_MAX;
use crate::reading::{Reading, numbers, source};

#[test]
fn the_mock_broker_serves_the_connector() {
    let broker = MockBroker::start("demo", 3).expect("a broker");
    let produce = |from: u32, to: u32| {
        for n in from..to {
            broker.produce((n % 3).cast_signed(), b"", n.to_string().as_bytes()).expect("produced");
        }
        broker.flush(ANSWER_MAX).expect("flushed");
    };
    produce(0, 300);
    let source = source(broker.bootstrap_servers(), "demo", &[]);
    let splits = source.discover(&[]).expect("partitions");
    assert_eq!(splits.len(), 3);
    let mut reading = Reading::start(&*source, &splits);
    reading.until("the first part is read", |r| r.total() == 300);
    broker.refuse_fetches(5);
    produce(300, 600);
    reading.until("the second part is read in spite of errors", |r| r.total() == 600);
    let first: Vec<String> = numbers(0..600).into_iter().step_by(3).collect();
    assert_eq!(reading.texts("demo/0"), first);
    assert_eq!(reading.gaps, []);
}
