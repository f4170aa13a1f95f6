//! A broker that is away is waited for, and nothing is lost or doubled.

use std::time::Duration;

use siltstone_engine::clock;
use siltstone_engine::error::Kind;

use crate::broker::{Broker, fresh};
use crate::reading::{Reading, numbers, source as source_of};

/// Closing a source whose broker is away may take this long.
const CLOSE_MAX: Duration = Duration::from_secs(10);

#[test]
fn a_killed_broker_that_comes_back_loses_nothing() {
    let (broker, topic) = (Broker::start(), fresh("outage"));
    broker.create(&topic, 2);
    for partition in 0..2 {
        broker.count(&topic, partition, 0..20_000);
    }
    let source = source_of(&broker.address, &topic, &[]);
    let splits = source.discover(&[]).expect("partitions");
    let mut reading = Reading::start(&*source, &splits);
    reading.until("some is read", |r| r.total() > 5_000);
    broker.kill();
    // What is on its way still comes; then there is nothing, and no error.
    for _ in 0..50 {
        reading.step(100);
    }
    assert_eq!(source.discover(&splits).expect_err("nobody answers").kind(), Kind::Io);
    let mut late = Reading::start(&*source, &splits[..1]);
    late.step(1000);
    assert_eq!(late.total(), 0);
    // A commit that nobody answers does not keep a source from being closed.
    let committing = source_of(&broker.address, &topic, &[("group.id", "g")]);
    committing.committed(&[(splits[0].id.clone(), 1)].into());
    let closed = clock::now();
    drop(committing);
    assert!(clock::now() - closed < CLOSE_MAX, "closing took {:?}", clock::now() - closed);
    broker.start_again();
    for partition in 0..2 {
        broker.count(&topic, partition, 20_000..20_100);
    }
    reading.until("all is read", |r| r.total() >= 40_200);
    late.until("a reader made in the meantime reads too", |r| r.total() >= 20_100);
    for partition in 0..2 {
        assert_eq!(reading.texts(&format!("{topic}/{partition}")), numbers(0..20_100));
    }
    assert_eq!(late.texts(&splits[0].id), numbers(0..20_100));
    assert_eq!((&*reading.gaps, &*late.gaps), (&[][..], &[][..]));
}
