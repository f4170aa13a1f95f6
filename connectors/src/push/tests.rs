//! The push connector from outside: order, limits, restarts.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use siltstone_engine::clock;
use siltstone_engine::connector::{Connector, Payload, Poll, Source, SourceSpec, SplitReader};
use siltstone_engine::error::Kind;

use super::{PushConnector, SPLIT};

const WAIT: Duration = Duration::from_secs(10);

fn source() -> Arc<dyn Source> {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
    PushConnector.source(&SourceSpec { name: "s".into(), schema, options: Default::default() }).unwrap()
}

fn rows(values: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from_iter_values(values)) as ArrayRef)]).unwrap()
}

fn reader(source: &Arc<dyn Source>, from: i64) -> Box<dyn SplitReader> {
    let mut reader = source.reader().unwrap();
    reader.assign(&source.discover(&[]).unwrap()[0], from).unwrap();
    reader
}

/// Reads so many rows: the first's offset, and their values.
fn read(reader: &mut Box<dyn SplitReader>, count: usize) -> (i64, Vec<i64>) {
    let (mut first, mut values) = (None, Vec::new());
    while values.len() < count {
        let Poll::Records(fetch) = reader.poll(3, WAIT).unwrap() else { panic!("nothing came") };
        let Payload::Rows { offset, batch, .. } = fetch.payload else { panic!("not rows") };
        let column = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
        values.extend_from_slice(column.values());
        first.get_or_insert(offset);
        assert_eq!(fetch.progress, [(SPLIT.into(), first.unwrap() + values.len() as i64)]);
    }
    (first.unwrap(), values)
}

fn push(source: &Arc<dyn Source>, batch: RecordBatch) -> siltstone_engine::error::Result<i64> {
    source.push_port().unwrap().push(batch).map(|(_, offset)| offset)
}

#[test]
fn offsets_count_from_where_the_reader_starts() {
    let source = source();
    let mut reader = reader(&source, 100);
    assert_eq!(push(&source, rows(0..5)).unwrap(), 105);
    assert_eq!(push(&source, rows(5..7)).unwrap(), 107);
    assert_eq!(read(&mut reader, 7), (100, (0..7).collect()));
    assert!(matches!(reader.poll(10, Duration::ZERO).unwrap(), Poll::Idle));
    assert_eq!(source.ends(&source.discover(&[]).unwrap()).unwrap()[SPLIT], 107);
}

#[test]
fn rows_that_are_not_committed_come_again_for_the_next_reader() {
    let source = source();
    let mut first = reader(&source, 0);
    push(&source, rows(0..10)).unwrap();
    push(&source, rows(10..20)).unwrap();
    read(&mut first, 20);
    source.committed(&[(SPLIT.into(), 13)].into());
    drop(first);
    let mut second = reader(&source, 13);
    assert_eq!(read(&mut second, 7), (13, (13..20).collect()));
}

#[test]
fn a_reader_that_was_replaced_reads_nothing_more() {
    let source = source();
    let mut first = reader(&source, 0);
    let _second = reader(&source, 0);
    push(&source, rows(0..1)).unwrap();
    assert_eq!(first.poll(1, WAIT).unwrap_err().kind(), Kind::Closed);
}

#[test]
fn a_push_waits_for_the_first_reader_and_for_room() {
    let source = source();
    let pusher = source.clone();
    let thread = clock::spawn("pusher", move || {
        (0..3).map(|k| push(&pusher, rows(k << 19..(k + 1) << 19)).unwrap()).max()
    })
    .unwrap();
    let mut reader = reader(&source, 0);
    let mut seen = 0;
    while seen < 3 << 19 {
        let Poll::Records(fetch) = reader.poll(1 << 20, WAIT).unwrap() else { panic!("nothing came") };
        seen = fetch.progress[0].1;
        source.committed(&[(SPLIT.into(), seen)].into());
    }
    assert_eq!(thread.join().unwrap(), Some(3 << 19));
}

#[test]
fn a_push_without_a_reader_ends() {
    let source = source();
    drop(reader(&source, 0));
    assert_eq!(push(&source, rows(0..1)).unwrap_err().kind(), Kind::Closed);
}

#[test]
fn rows_of_another_shape_are_refused_whole() {
    let source = source();
    let _reader = reader(&source, 0);
    let nulls: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let batch = RecordBatch::try_from_iter_with_nullable([("a", nulls, true)]).unwrap();
    let error = push(&source, batch).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains("row 1: column a: NULL"), "{error}");
    assert_eq!(source.ends(&source.discover(&[]).unwrap()).unwrap()[SPLIT], 0);
}
