//! Tables: created, changed, tagged, rolled back, expired, removed.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use siltstone_engine::error::Kind;
use siltstone_engine::lake::{Operation, SnapshotRef};

use super::fixture::{Fixture, events, open};

#[test]
fn a_table_is_found_by_name_and_by_its_relation() {
    let fixture = Fixture::empty();
    assert_eq!(fixture.lake.load("events").expect("looks"), None);
    let made = fixture.lake.create(&fixture.spec).expect("creates");
    assert_eq!((made.relation, made.current), (Some(7), None));
    assert!(made.location.ends_with("/public/events-7"), "{}", made.location);
    assert_eq!(fixture.lake.create(&fixture.spec).expect_err("is there").kind(), Kind::Exists);
    let other = open(fixture.folder.path());
    assert_eq!(other.tables().expect("lists"), std::slice::from_ref(&made));

    other.remove(&made).expect("removes");
    assert_eq!(fixture.lake.load("events").expect("looks"), None);
    assert_eq!(fixture.lake.list(&made.location).expect("lists"), []);
}

#[test]
fn an_older_snapshot_becomes_the_current_one() {
    let fixture = Fixture::new();
    let [a, b] = ["a", "b"].map(|name| fixture.file(&format!("data/{name}.parquet"), 0, 10));
    fixture.commit(1, Operation::Append, std::slice::from_ref(&a), &[]).expect("appends");
    fixture.commit(2, Operation::Append, std::slice::from_ref(&b), &[]).expect("appends");
    assert_eq!(fixture.lake.roll_back("events", 1).expect("rolls back").current, Some(1));
    assert_eq!(fixture.lake.roll_back("events", 9).expect_err("is not there").kind(), Kind::NotFound);
    fixture.commit(3, Operation::Overwrite, &[b], &[&a]).expect("overwrites");
    assert_eq!(fixture.table().snapshots, [1, 2, 3]);
    assert_eq!(fixture.paths(3), ["data/b.parquet"]);
}

#[test]
fn a_tagged_snapshot_and_the_current_one_do_not_expire() {
    let fixture = Fixture::new();
    let files = [1, 2, 3].map(|i| fixture.file(&format!("data/{i}.parquet"), 0, 10));
    for (file, snapshot) in files.iter().zip(1..) {
        fixture.commit(snapshot, Operation::Append, std::slice::from_ref(file), &[]).expect("appends");
    }
    let tagged = fixture.lake.tag("events", "year end", Some(1)).expect("tags");
    assert_eq!(tagged.tags, [SnapshotRef { name: "year end".to_owned(), snapshot: 1 }]);
    for snapshot in [1, 3] {
        let refused = fixture.lake.expire("events", &[2, snapshot]).expect_err("is named");
        assert_eq!(refused.kind(), Kind::Invalid);
    }
    assert_eq!(fixture.lake.expire("events", &[2, 77]).expect("expires").snapshots, [1, 3]);
    assert_eq!(fixture.lake.tag("events", "year end", None).expect("takes it away").tags, []);
    assert_eq!(fixture.lake.expire("events", &[1]).expect("expires").snapshots, [3]);
    assert_eq!(fixture.paths(3).len(), 3);
}

#[test]
fn columns_are_added_and_widened_and_old_files_read_so() {
    let mut fixture = Fixture::new();
    let old = fixture.file("data/a.parquet", 0, 10);
    fixture.commit(1, Operation::Append, std::slice::from_ref(&old), &[]).expect("appends");
    let mut fields: Vec<Field> = fixture.spec.schema.fields().iter().map(|field| (**field).clone()).collect();
    fields[2] = Field::new("small", DataType::Int64, true);
    fields[3] = Field::new("price", DataType::Decimal128(20, 2), true);
    fields.insert(0, Field::new("new", DataType::Int64, true));
    fixture.spec.schema = Arc::new(Schema::new(fields.clone()));
    fixture.lake.evolve(&fixture.spec).expect("evolves");
    let again = fixture.table();
    assert_eq!(fixture.lake.evolve(&fixture.spec).expect("has nothing to do"), again);

    let location = again.location;
    let batches = fixture.lake.read(&location, &old, &fields, 0..10, &[]).expect("reads");
    let batches: Vec<_> = batches.collect::<Result<_, _>>().expect("reads");
    let (read, written) = (&batches[0], events(0, 10));
    assert_eq!(read.column(0).null_count(), 10);
    assert_eq!(read.column(1), written.column(0));
    let widened = arrow::compute::cast(written.column(2), &DataType::Int64).expect("widens");
    assert_eq!(read.column(3), &widened);

    let mut narrower = fields;
    narrower[1] = Field::new("at", DataType::Int64, true);
    fixture.spec.schema = Arc::new(Schema::new(narrower));
    assert_eq!(fixture.lake.evolve(&fixture.spec).expect_err("is another type").kind(), Kind::Invalid);
}
