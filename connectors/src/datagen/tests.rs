//! The datagen connector from outside: the same rows whatever the splits, batches and resume points.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use siltstone_engine::clock;
use siltstone_engine::connector::{Connector, Payload, Poll, Source, SourceSpec};

use super::DatagenConnector;
use super::ad::Generator;
use crate::format::{Decoding, conform};

fn ad_schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("ts", DataType::Int64),
        field("type", DataType::Utf8),
        field("auction_id", DataType::Utf8),
        field("advertiser_id", DataType::Int32),
        field("publisher_id", DataType::Int32),
        field("bid_price", DataType::Float64),
        field("user_id", DataType::Int64),
        field("total_price", DataType::Float64),
        field("country", DataType::Utf8),
    ]))
}

fn source(schema: SchemaRef, options: &[(&str, &str)]) -> Arc<dyn Source> {
    let options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    DatagenConnector.source(&SourceSpec { name: "s".into(), schema, options }).unwrap()
}

/// Everything a bounded source has from `from` on, in one reader, by split.
fn read(source: &Arc<dyn Source>, from: i64, rows_max: usize) -> BTreeMap<String, Vec<RecordBatch>> {
    let mut reader = source.reader().unwrap();
    let splits = source.discover(&[]).unwrap();
    splits.iter().for_each(|s| reader.assign(s, from).unwrap());
    let (mut batches, mut finished) = (BTreeMap::<_, Vec<_>>::new(), 0);
    while finished < splits.len() {
        match reader.poll(rows_max, Duration::from_secs(1)).unwrap() {
            Poll::Records(fetch) => {
                let Payload::Rows { split, offset, batch } = fetch.payload else { panic!("not rows") };
                assert_eq!(fetch.progress, [(split.clone(), offset + batch.num_rows() as i64)]);
                batches.entry(split.to_string()).or_default().push(batch);
            }
            Poll::Finished(_) => finished += 1,
            other => panic!("{other:?}"),
        }
    }
    batches
}

fn whole(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    arrow::compute::concat_batches(schema, batches).unwrap()
}

#[test]
fn rows_equal_the_events_rendered_as_csv_and_json() {
    let source = source(ad_schema(), &[("rows", "1000"), ("splits", "1"), ("seed", "7")]);
    let rows = whole(&ad_schema(), &read(&source, 0, 100)["datagen/0"]);
    let generator = Generator::new(7, 1000);
    for format in ["csv", "json"] {
        let mut bytes = Vec::new();
        for event in (0..1000).map(|i| generator.event(i)) {
            if format == "csv" {
                event.put_csv(&mut bytes);
            } else {
                event.put_json(&mut bytes);
                bytes.push(b'\n');
            }
        }
        let decoding = Decoding::new(format, &BTreeMap::new()).unwrap();
        let mut decoder = decoding.decoder(&ad_schema(), &[true; 9]).unwrap();
        let decoded = decoder.decode(&Payload::Text { split: "t".into(), offset: 0, bytes }).unwrap();
        assert!(decoded.bad.is_empty(), "{:?}", decoded.bad.first());
        assert_eq!(conform(&decoded.batch, &ad_schema()).unwrap().0, rows);
    }
}

#[test]
fn a_reader_goes_on_anywhere_with_the_same_rows() {
    let source = source(ad_schema(), &[("rows", "1001"), ("splits", "3")]);
    let (all, later) = (read(&source, 0, 64), read(&source, 100, 7));
    let mut count = 0;
    for (split, batches) in &all {
        let all = whole(&ad_schema(), batches);
        count += all.num_rows();
        assert_eq!(all.slice(100, all.num_rows() - 100), whole(&ad_schema(), &later[split]));
    }
    assert_eq!(count, 1001);
}

#[test]
fn the_events_do_not_depend_on_the_number_of_splits() {
    let times = |splits| {
        let source = source(ad_schema(), &[("rows", "500"), ("splits", splits)]);
        let batches: Vec<_> = read(&source, 0, 50).into_values().flatten().collect();
        let rows = whole(&ad_schema(), &batches);
        let mut times = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        times.sort_unstable();
        times
    };
    assert_eq!(times("1"), times("4"));
}

#[test]
fn any_schema_is_filled() {
    let types = [
        DataType::Boolean,
        DataType::Int16,
        DataType::Float32,
        DataType::Decimal128(10, 2),
        DataType::Decimal128(3, 2),
        DataType::Utf8,
        DataType::Binary,
        DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
    ];
    let named = [
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("type", DataType::Int64, false),
    ];
    let made_up = types.into_iter().enumerate().map(|(n, t)| Field::new(format!("c{n}"), t, false));
    let schema: SchemaRef = Arc::new(Schema::new(named.into_iter().chain(made_up).collect::<Vec<_>>()));
    let rows = whole(
        &schema,
        &read(&source(schema.clone(), &[("rows", "300"), ("splits", "1")]), 0, 100)["datagen/0"],
    );
    assert_eq!(rows.num_rows(), 300);
    let text = arrow::util::display::array_value_to_string(rows.column(0), 0).unwrap();
    assert!(text.starts_with("2024-01-01T"), "{text}");
    assert!(rows.columns().iter().all(|c| c.null_count() == 0));
}

#[test]
fn the_rate_is_kept() {
    let source = source(ad_schema(), &[("rate", "20000"), ("splits", "2")]);
    assert!(!source.is_bounded());
    let mut reader = source.reader().unwrap();
    source.discover(&[]).unwrap().iter().for_each(|s| reader.assign(s, 0).unwrap());
    let (started, mut rows) = (clock::now(), 0);
    while rows < 4000 {
        if let Poll::Records(fetch) = reader.poll(1 << 20, Duration::from_millis(50)).unwrap()
            && let Payload::Rows { batch, .. } = fetch.payload
        {
            rows += batch.num_rows();
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    assert!(seconds > 0.9 * (rows as f64 / 20_000.0), "{rows} rows in {seconds} s");
}
