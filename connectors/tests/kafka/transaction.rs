//! Only committed records are seen, and the end is reached although the last offsets hold no record.

use rdkafka::producer::Producer;

use crate::broker::{ANSWER_MAX, eventually, fresh, send, shared};
use crate::reading::{Reading, bounded, numbers, source};

#[test]
fn aborted_records_are_not_seen_and_the_end_is_reached() {
    let (broker, topic) = (shared(), fresh("aborted"));
    broker.create(&topic, 1);
    broker.count(&topic, 0, 0..10);
    let producer = broker.transaction();
    for _ in 0..5 {
        send(&producer, &topic, 0, Some(b"aborted"));
    }
    producer.flush(ANSWER_MAX).expect("flushed");
    producer.abort_transaction(ANSWER_MAX).expect("aborted");
    let source = source(&broker.address, &topic, &[]);
    let splits = source.discover(&[]).expect("partitions");
    // The marker is written some time after the abort is answered.
    eventually("the end is behind five records and a marker", || {
        bounded(&*source, &splits)[0].end == Some(16)
    });
    let splits = bounded(&*source, &splits);
    let mut reading = Reading::start(&*source, &splits);
    reading.until_finished(1);
    assert_eq!(reading.texts(&splits[0].id), numbers(0..10));
    assert_eq!(reading.progress[&splits[0].id], 16);
    assert_eq!(reading.gaps, []);
}

#[test]
fn an_open_transaction_does_not_hold_up_a_bounded_read() {
    let (broker, topic) = (shared(), fresh("open"));
    broker.create(&topic, 1);
    broker.count(&topic, 0, 0..10);
    let producer = broker.transaction();
    send(&producer, &topic, 0, Some(b"10"));
    producer.flush(ANSWER_MAX).expect("flushed");
    broker.count(&topic, 0, 11..20);
    let source = source(&broker.address, &topic, &[]);
    let splits = source.discover(&[]).expect("partitions");
    let ends = bounded(&*source, &splits);
    assert_eq!(ends[0].end, Some(10), "the end is before the open transaction");
    let mut reading = Reading::start(&*source, &ends);
    reading.until_finished(1);
    assert_eq!(reading.texts(&splits[0].id), numbers(0..10));

    let mut reading = Reading::start(&*source, &splits);
    reading.until("what can be read is read", |r| r.total() == 10);
    producer.commit_transaction(ANSWER_MAX).expect("committed");
    reading.until("the rest is read", |r| r.total() == 20);
    assert_eq!(reading.texts(&splits[0].id), numbers(0..20));
    reading.until("the marker is passed", |r| r.progress[&splits[0].id] == 21);
}

#[test]
fn committed_transactions_are_read_with_their_markers_passed() {
    let (broker, topic) = (shared(), fresh("committed"));
    broker.create(&topic, 1);
    let producer = broker.transaction();
    for n in 0..100 {
        send(&producer, &topic, 0, Some(n.to_string().as_bytes()));
        if n % 10 == 9 {
            producer.commit_transaction(ANSWER_MAX).expect("committed");
            producer.begin_transaction().expect("the next");
        }
    }
    let source = source(&broker.address, &topic, &[]);
    let splits = source.discover(&[]).expect("partitions");
    eventually("the last marker is written", || bounded(&*source, &splits)[0].end == Some(110));
    let splits = bounded(&*source, &splits);
    let mut reading = Reading::start(&*source, &splits);
    reading.until_finished(1);
    assert_eq!(reading.texts(&splits[0].id), numbers(0..100));
    assert_eq!(reading.gaps, []);
}
