//! Records that are gone are told of, with where reading goes on.

use crate::broker::{eventually, fresh, shared};
use crate::reading::{Reading, bounded, numbers, source};

#[test]
fn deleted_records_are_a_gap() {
    let (broker, topic) = (shared(), fresh("deleted"));
    broker.create(&topic, 1);
    broker.count(&topic, 0, 0..100);
    let source = source(&broker.address, &topic, &[]);
    let splits = bounded(&*source, &source.discover(&[]).expect("partitions"));
    broker.delete_records(&topic, 0, 40);
    let mut reading = Reading::start(&*source, &splits);
    reading.until_finished(1);
    let [gap] = &*reading.gaps else { panic!("one gap, not {:?}", reading.gaps) };
    assert_eq!((&*gap.split, gap.from, gap.to), (&*splits[0].id, 0, 40));
    assert!(gap.reason.contains("before offset 40"), "{}", gap.reason);
    assert_eq!(reading.texts(&splits[0].id), numbers(40..100));
}

#[test]
fn deleting_what_was_read_is_no_gap() {
    let (broker, topic) = (shared(), fresh("read"));
    broker.create(&topic, 1);
    broker.count(&topic, 0, 0..50);
    let source = source(&broker.address, &topic, &[]);
    let splits = source.discover(&[]).expect("partitions");
    let mut reading = Reading::start(&*source, &splits);
    reading.until("the first part is read", |r| r.total() == 50);
    broker.delete_records(&topic, 0, 50);
    broker.count(&topic, 0, 50..60);
    reading.until("the second part is read", |r| r.total() == 60);
    assert_eq!(reading.texts(&splits[0].id), numbers(0..60));
    assert_eq!(reading.gaps, []);
}

/// `again` records in the new topic, 100 in the old one, seen by a reader that is running or by one that
/// comes later.
fn recreated(again: u32, is_running: bool) {
    let (broker, topic) = (shared(), fresh("recreated"));
    broker.create(&topic, 1);
    broker.count(&topic, 0, 0..100);
    let source_of = || source(&broker.address, &topic, &[("gap.policy", "skip")]);
    let source = source_of();
    let mut splits = source.discover(&[]).expect("partitions");
    let old = splits[0].id.clone();
    let mut reading = Reading::start(&*source, &splits);
    reading.until("the old topic is read", |r| r.total() == 100);
    let from = reading.progress.clone();
    if is_running {
        broker.recreate(&topic, 1);
    } else {
        drop(reading);
        broker.recreate(&topic, 1);
        broker.count(&topic, 0, 0..again);
        reading = Reading::resume(&*source, &[], &from);
    }
    eventually("the new topic is found", || {
        splits.extend(source.discover(&splits).expect("partitions"));
        splits.len() == 2
    });
    if is_running {
        broker.count(&topic, 0, 0..again);
    } else {
        reading.assign(&splits[0], from[&old]);
    }
    let end = || bounded(&*source, &splits[1..])[0].end;
    eventually("the new topic holds its records", || end() == Some(i64::from(again)));
    assert!(splits[1].id.starts_with(&format!("{topic}/0@")), "{}", splits[1].id);
    reading.assign(&splits[1], splits[1].start);
    reading.until("the gap is told", |r| !r.gaps.is_empty());
    let seen = reading.texts(&splits[1].id).len();
    reading.until("the new topic is read", |r| r.texts(&splits[1].id).len() == again as usize);
    assert!(seen <= again as usize);
    let [gap] = &*reading.gaps else { panic!("one gap, not {:?}", reading.gaps) };
    assert_eq!((&gap.split, gap.from, gap.to), (&old, 100, 100));
    assert!(gap.reason.contains("created again"), "{}", gap.reason);
    assert_eq!(reading.texts(&splits[1].id), numbers(0..again));
    drop(reading);

    // A later run with the same splits reads neither of them again, and says nothing.
    let source = source_of();
    assert_eq!(source.discover(&splits).expect("nothing new"), []);
    let ends = bounded(&*source, &splits);
    let from = [(old.clone(), 100), (splits[1].id.clone(), i64::from(again))].into();
    let mut reading = Reading::resume(&*source, &ends, &from);
    reading.until_finished(2);
    assert_eq!((reading.total(), reading.gaps.len()), (0, 0));
}

#[test]
fn a_topic_recreated_with_fewer_records_is_a_gap() {
    recreated(10, false);
}

#[test]
fn a_topic_recreated_with_more_records_is_a_gap() {
    recreated(200, false);
}

#[test]
fn a_topic_recreated_while_it_is_read_is_a_gap() {
    recreated(200, true);
}
