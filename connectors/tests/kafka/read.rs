//! What is in a topic is read once, in order, from where it should be.

use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::broker::{ANSWER_MAX, eventually, fresh, shared};
use crate::reading::{Reading, bounded, numbers, source};

#[test]
fn six_uneven_partitions_are_read_once() {
    let (broker, topic) = (shared(), fresh("uneven"));
    broker.create(&topic, 6);
    let sizes = [0, 1, 10, 1_000, 20_000, 5];
    for (partition, size) in (0..).zip(sizes) {
        broker.count(&topic, partition, 0..size);
    }
    let source = source(&broker.address, &topic, &[]);
    let splits = bounded(&*source, &source.discover(&[]).expect("partitions"));
    assert_eq!(splits.len(), 6);
    let mut reading = Reading::start(&*source, &splits);
    reading.until_finished(6);
    for (partition, size) in (0..).zip(sizes) {
        let split = format!("{topic}/{partition}");
        assert_eq!(reading.texts(&split), numbers(0..size));
        assert_eq!(reading.progress.get(&*split).copied().unwrap_or(0), i64::from(size));
    }
    assert!(source.discover(&splits).expect("nothing new").is_empty());
}

#[test]
fn several_topics_are_one_source() {
    let (broker, a, b) = (shared(), fresh("a"), fresh("b"));
    for (topic, size) in [(&a, 10), (&b, 20)] {
        broker.create(topic, 1);
        broker.count(topic, 0, 0..size);
    }
    let source = source(&broker.address, &format!("{a},{b}"), &[]);
    let splits = bounded(&*source, &source.discover(&[]).expect("partitions"));
    let mut reading = Reading::start(&*source, &splits);
    reading.until_finished(2);
    assert_eq!(reading.texts(&format!("{a}/0")), numbers(0..10));
    assert_eq!(reading.texts(&format!("{b}/0")), numbers(0..20));
}

#[test]
fn reading_goes_on_at_any_offset_that_was_reported() {
    let (broker, topic) = (shared(), fresh("resume"));
    broker.create(&topic, 3);
    for partition in 0..3 {
        broker.count(&topic, partition, 0..5_000);
    }
    let source = source(&broker.address, &topic, &[]);
    let splits = bounded(&*source, &source.discover(&[]).expect("partitions"));
    let mut read: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut from = BTreeMap::new();
    for rows_max in [1, 7, 500, 3_000, 100_000] {
        let mut reading = Reading::resume(&*source, &splits, &from);
        let is_last = rows_max == 100_000;
        while if is_last { reading.finished.len() < 3 } else { reading.total() == 0 } {
            reading.step(rows_max);
        }
        for split in reading.messages.keys() {
            read.entry(split.to_string()).or_default().extend(reading.texts(split));
        }
        from.extend(reading.progress);
    }
    for partition in 0..3 {
        assert_eq!(read[&format!("{topic}/{partition}")], numbers(0..5_000));
    }
}

#[test]
fn missing_empty_and_large_values_arrive_as_they_are() {
    let (broker, topic) = (shared(), fresh("values"));
    broker.create(&topic, 1);
    let (ten, twenty) = (vec![b'x'; 10_000_000], vec![b'y'; 19_900_000]);
    let values: [Option<&[u8]>; 6] = [Some(b"a"), None, Some(b""), Some(&ten), Some(&twenty), Some(b"b")];
    broker.fill(&topic, 0, &values);
    let source = source(&broker.address, &topic, &[]);
    let mut reading =
        Reading::start(&*source, &bounded(&*source, &source.discover(&[]).expect("partitions")));
    reading.until_finished(1);
    let read: Vec<Option<&[u8]>> =
        reading.messages.values().flatten().map(|(_, value)| value.as_deref()).collect();
    assert!(read == values, "values differ");
}

#[test]
fn a_partition_that_is_added_is_found_and_read_from_its_beginning() {
    let (broker, topic) = (shared(), fresh("grow"));
    broker.create(&topic, 1);
    broker.count(&topic, 0, 0..10);
    let source = source(&broker.address, &topic, &[("auto.offset.reset", "latest")]);
    let mut splits = source.discover(&[]).expect("partitions");
    assert_eq!(splits[0].start, 10, "latest starts at the end");
    let mut reading = Reading::start(&*source, &splits);
    broker.grow(&topic, 2);
    broker.count(&topic, 1, 0..5);
    eventually("the new partition is found", || {
        splits.extend(source.discover(&splits).expect("partitions"));
        splits.len() == 2
    });
    reading.assign(&splits[1], splits[1].start);
    broker.count(&topic, 0, 10..12);
    reading.until("all is read", |r| r.total() == 7);
    assert_eq!(reading.texts(&format!("{topic}/0")), numbers(10..12));
    assert_eq!(reading.texts(&format!("{topic}/1")), numbers(0..5));
}

#[test]
fn a_start_by_time_is_the_first_later_record() {
    let (broker, topic) = (shared(), fresh("time"));
    broker.create(&topic, 2);
    broker.count(&topic, 0, 0..3);
    let start = |ms: i64| {
        let source = source(&broker.address, &topic, &[("scan.startup.timestamp", &ms.to_string())]);
        source.discover(&[]).expect("partitions").iter().map(|s| s.start).collect::<Vec<_>>()
    };
    assert_eq!(start(0), [0, 0]);
    let tomorrow = siltstone_engine::clock::unix_micros() / 1000 + 86_400_000;
    assert_eq!(start(tomorrow), [3, 0]);
}

#[test]
fn offsets_are_committed_to_a_group_that_is_named() {
    let (broker, topic, group) = (shared(), fresh("commit"), fresh("group"));
    broker.create(&topic, 1);
    broker.count(&topic, 0, 0..10);
    let source = source(&broker.address, &topic, &[("group.id", &group)]);
    let splits = source.discover(&[]).expect("partitions");
    let tool: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &broker.address)
        .set("group.id", &group)
        .create()
        .expect("a consumer");
    let committed = || {
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 0);
        tool.committed_offsets(list, ANSWER_MAX).expect("offsets").elements()[0].offset()
    };
    source.committed(&BTreeMap::from([(splits[0].id.clone(), 4)]));
    // As after each epoch; the first commits may find no coordinator yet.
    eventually("the offset is committed", || {
        source.committed(&BTreeMap::from([(splits[0].id.clone(), 7)]));
        committed() == Offset::Offset(7)
    });
    source.committed(&BTreeMap::from([(splits[0].id.clone(), 8)]));
    source.committed(&BTreeMap::from([(splits[0].id.clone(), 9)]));
    eventually("what waited goes out though nothing more comes", || {
        source.committed(&BTreeMap::from([(splits[0].id.clone(), 9)]));
        committed() == Offset::Offset(9)
    });
    source.committed(&BTreeMap::from([(splits[0].id.clone(), 10)]));
    source.interrupt();
    source.flush(ANSWER_MAX);
    assert_eq!(committed(), Offset::Offset(10), "and at the end");
}

#[test]
fn firsts_are_told_and_a_gap_leads_no_further_than_the_end() {
    let (broker, topic) = (shared(), fresh("firsts"));
    broker.create(&topic, 1);
    broker.count(&topic, 0, 0..100);
    let source = source(&broker.address, &topic, &[]);
    let splits = source.discover(&[]).expect("partitions");
    broker.delete_records(&topic, 0, 40);
    assert_eq!(source.firsts(&splits).expect("told")[&splits[0].id], 40);
    let mut short = splits;
    short[0].end = Some(30);
    let mut reading = Reading::start(&*source, &short);
    reading.until_finished(1);
    let [gap] = &*reading.gaps else { panic!("one gap, not {:?}", reading.gaps) };
    assert_eq!((gap.from, gap.to, reading.total()), (0, 30, 0));
}
