//! A lake in a folder of its own, and a table of two days of events.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int64Array,
    RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use siltstone_engine::error::Result;
use siltstone_engine::lake::{
    Commit, FileRecord, Lake, Operation, Partition, TableSpec, TableState, Transform,
};
use tempfile::TempDir;

use crate::lake::IcebergLake;

pub const DAY_US: i64 = 86_400_000_000;

/// The first day of the events.
pub const DAY: i32 = 20_000;

pub struct Fixture {
    pub lake: Arc<dyn Lake>,
    pub folder: TempDir,
    pub spec: TableSpec,
}

impl Fixture {
    /// A lake without tables.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        Self { lake: open(folder.path()), spec: spec(), folder }
    }

    /// A lake with the table.
    pub fn new() -> Self {
        let fixture = Self::empty();
        fixture.lake.create(&fixture.spec).expect("creates");
        fixture
    }

    /// The table as the catalog has it.
    pub fn table(&self) -> TableState {
        self.lake.load(&self.spec.name).expect("loads").expect("is there")
    }

    /// A durable file of so many events of a day after the first.
    pub fn file(&self, path: &str, day: i32, rows: usize) -> FileRecord {
        let location = self.table().location;
        let mut writer = self.lake.write(&self.spec, &location, path).expect("begins a file");
        let batch = events(day, rows);
        for start in (0..rows).step_by(5_000) {
            writer.write(&batch.slice(start, 5_000.min(rows - start))).expect("writes");
        }
        let bytes = writer.finish().expect("ends the file");
        self.lake.sync(&location, &[path.to_owned()]).expect("syncs");
        FileRecord {
            path: path.to_owned(),
            partition: Some(DAY + day),
            rows: rows as u64,
            bytes,
            ..FileRecord::default()
        }
    }

    /// Commits behind what is current.
    pub fn commit(
        &self,
        snapshot: i64,
        operation: Operation,
        added: &[FileRecord],
        removed: &[&FileRecord],
    ) -> Result<TableState> {
        self.commit_behind(self.table().current, snapshot, operation, added, removed)
    }

    pub fn commit_behind(
        &self,
        parent: Option<i64>,
        snapshot: i64,
        operation: Operation,
        added: &[FileRecord],
        removed: &[&FileRecord],
    ) -> Result<TableState> {
        let removed: Vec<String> = removed.iter().map(|file| file.path.clone()).collect();
        let properties = vec![("siltstone.generation".to_owned(), snapshot.to_string())];
        let (spec, removed) = (&self.spec, &removed);
        self.lake.commit(&Commit { spec, snapshot, parent, operation, added, removed, properties, at_ms: 0 })
    }

    /// Paths of a snapshot's data files, sorted.
    pub fn paths(&self, snapshot: i64) -> Vec<String> {
        let files = self.lake.files(&self.spec.name, snapshot).expect("lists the files");
        let mut paths: Vec<_> = files.into_iter().map(|file| file.path).collect();
        paths.sort();
        paths
    }
}

pub fn open(folder: &Path) -> Arc<dyn Lake> {
    IcebergLake::local(folder).expect("opens")
}

fn spec() -> TableSpec {
    TableSpec {
        relation: 7,
        name: "events".to_owned(),
        schema: columns(),
        partition: Some(Partition { column: 0, transform: Transform::Day }),
        sort: vec![0, 1],
        bloom: vec![1],
    }
}

/// A column of each type.
pub fn columns() -> SchemaRef {
    let utc = Some("+00:00".into());
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, utc), true),
        Field::new("id", DataType::Int64, true),
        Field::new("small", DataType::Int16, true),
        Field::new("price", DataType::Decimal128(12, 2), true),
        Field::new("score", DataType::Float64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("raw", DataType::Binary, true),
        Field::new("flag", DataType::Boolean, true),
        Field::new("day", DataType::Date32, true),
        Field::new("time", DataType::Time64(TimeUnit::Microsecond), true),
        Field::new("local", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]))
}

/// Events of a day after the first; every seventh has NULL for most columns.
pub fn events(day: i32, rows: usize) -> RecordBatch {
    let start = i64::from(DAY + day) * DAY_US;
    let number = |i: usize| i64::try_from(i).expect("there are few rows");
    let some = |i: usize| !i.is_multiple_of(7);
    let at = move |i: usize| start + number(i);
    let prices = Decimal128Array::from_iter((0..rows).map(|i| some(i).then(|| i128::from(number(i)) - 500)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values((0..rows).map(at)).with_timezone("+00:00")),
        Arc::new(Int64Array::from_iter_values((0..rows).map(|i| number(i) * 3))),
        Arc::new(Int16Array::from_iter(
            (0..rows).map(|i| some(i).then_some(i16::try_from(i % 100).expect("small"))),
        )),
        Arc::new(prices.with_precision_and_scale(12, 2).expect("fits")),
        Arc::new(Float64Array::from_iter((0..rows).map(|i| some(i).then_some(number(i) as f64 / 8.0)))),
        Arc::new(StringArray::from_iter(
            (0..rows).map(|i| some(i).then(|| format!("name number {}", i % 100))),
        )),
        Arc::new(BinaryArray::from_iter((0..rows).map(|i| some(i).then(|| number(i).to_le_bytes())))),
        Arc::new(BooleanArray::from_iter((0..rows).map(|i| some(i).then_some(i % 2 == 0)))),
        Arc::new(Date32Array::from_iter((0..rows).map(|i| some(i).then_some(DAY + day)))),
        Arc::new(Time64MicrosecondArray::from_iter((0..rows).map(|i| some(i).then_some(number(i) * 1000)))),
        Arc::new(TimestampMicrosecondArray::from_iter((0..rows).map(|i| some(i).then_some(at(i))))),
    ];
    RecordBatch::try_new(self::columns(), columns).expect("columns as described")
}
