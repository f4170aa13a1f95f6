//! Data files: what was written is read, whole and in part.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use parquet::file::reader::{FileReader, SerializedFileReader};
use siltstone_engine::lake::{ColumnCondition, FileRecord, Operation, Wanted};

use super::fixture::{Fixture, columns, events};

fn read(fixture: &Fixture, file: &FileRecord, columns: &[Field], rows: Range<u64>) -> RecordBatch {
    read_where(fixture, file, columns, rows, &[])
}

fn read_where(
    fixture: &Fixture,
    file: &FileRecord,
    columns: &[Field],
    rows: Range<u64>,
    conditions: &[ColumnCondition],
) -> RecordBatch {
    let location = fixture.table().location;
    let batches = fixture.lake.read(&location, file, columns, rows, conditions).expect("opens");
    let batches: Vec<_> = batches.collect::<Result<_, _>>().expect("reads");
    let schema = batches.first().map_or_else(|| Arc::new(Schema::new(columns.to_vec())), RecordBatch::schema);
    concat_batches(&schema, &batches).expect("fits")
}

#[test]
fn any_range_of_rows_is_read_as_it_was_written() {
    const ROWS: usize = 50_000;
    let fixture = Fixture::new();
    let file = fixture.file("data/day=0/a.parquet", 0, ROWS);
    let written = events(0, ROWS);
    let fields: Vec<Field> = columns().fields().iter().map(|field| (**field).clone()).collect();
    for rows in [0..ROWS, 0..1, ROWS - 1..ROWS, 8191..8193, 12_345..31_007, 40_000..40_000] {
        let range = rows.start as u64..rows.end as u64;
        let read = read(&fixture, &file, &fields, range);
        assert_eq!(read, written.slice(rows.start, rows.len()), "{rows:?}");
    }
    let some = [fields[5].clone(), fields[1].clone()];
    let read = read(&fixture, &file, &some, 9_000..9_010);
    assert_eq!(read, written.project(&[5, 1]).expect("has them").slice(9_000, 10));
}

#[test]
fn conditions_leave_out_row_groups_and_pages_that_cannot_meet_them() {
    const ROWS: usize = 50_000;
    let fixture = Fixture::new();
    let file = fixture.file("data/day=0/a.parquet", 0, ROWS);
    let ids = [columns().field(1).clone()];
    let number = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let on = |column: &str, wanted| ColumnCondition { column: column.to_owned(), wanted };
    let from = |value, inclusive| on("id", Wanted::From { value: number(value), inclusive });
    let to = |value, inclusive| on("id", Wanted::To { value: number(value), inclusive });
    let one = |value| on("id", Wanted::OneOf(number(value)));
    let scores = Arc::new(Float64Array::from(vec![1e9])) as ArrayRef;
    // Row i has the id 3 i, and pages have 8192 rows. NaN is in no statistics and above all numbers.
    for (conditions, rows) in [
        (vec![from(3 * 40_960, true)], 40_960..ROWS),
        (vec![from(3 * 40_959, false)], 40_960..ROWS),
        (vec![from(3 * 40_959, true)], 32_768..ROWS),
        (vec![to(3 * 8_192, false)], 0..8_192),
        (vec![to(3 * 8_192, true)], 0..16_384),
        (vec![from(3 * 9_000, true), to(3 * 9_100, true)], 8_192..16_384),
        (vec![one(3 * 12_345)], 8_192..16_384),
        (vec![one(3 * 12_345 + 1)], 0..0),
        (vec![one(-1)], 0..0),
        (vec![on("score", Wanted::From { value: scores, inclusive: true })], 0..ROWS),
        (vec![on("elsewhere", Wanted::OneOf(number(0)))], 0..ROWS),
    ] {
        let read = read_where(&fixture, &file, &ids, 0..ROWS as u64, &conditions);
        let expected: Int64Array = rows.map(|row| 3 * row as i64).collect();
        assert_eq!(read.column(0).as_primitive::<Int64Type>(), &expected, "{conditions:?}");
    }
    let some = read_where(&fixture, &file, &ids, 10_000..20_000, &[to(3 * 16_000, true)]);
    assert_eq!(some.num_rows(), 6_384, "the rows asked for of the pages that may have them");
}

#[test]
fn text_comes_with_a_dictionary_where_the_file_has_one() {
    const ROWS: usize = 50_000;
    let fixture = Fixture::new();
    let file = fixture.file("data/day=0/a.parquet", 0, ROWS);
    let coded = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
    let fields = [columns().field(5).clone().with_data_type(coded.clone())];
    for rows in [0..ROWS, 8_000..8_400] {
        let read = read(&fixture, &file, &fields, rows.start as u64..rows.end as u64);
        assert_eq!(read.column(0).data_type(), &coded);
        let plain = cast(read.column(0), &DataType::Utf8).expect("is text");
        assert_eq!(&plain, &events(0, ROWS).column(5).slice(rows.start, rows.len()));
    }
}

#[test]
fn pages_of_all_columns_end_at_the_same_rows() {
    let fixture = Fixture::new();
    let file = fixture.file("data/a.parquet", 0, 50_000);
    fixture.commit(1, Operation::Append, std::slice::from_ref(&file), &[]).expect("appends");
    let path = format!("{}/{}", fixture.table().location, file.path);
    let options = parquet::file::serialized_reader::ReadOptionsBuilder::new().with_page_index().build();
    let opened = std::fs::File::open(path).expect("is there");
    let reader = SerializedFileReader::new_with_options(opened, options).expect("is parquet");
    let index = reader.metadata().offset_index().expect("has an index");
    for column in &index[0] {
        let starts: Vec<_> = column.page_locations().iter().map(|page| page.first_row_index).collect();
        assert_eq!(starts, [0, 8_192, 16_384, 24_576, 32_768, 40_960, 49_152]);
    }
    assert_eq!(reader.metadata().row_group(0).sorting_columns().map(Vec::len), Some(2));
    let bloom: Vec<bool> = reader
        .metadata()
        .row_group(0)
        .columns()
        .iter()
        .map(|column| column.bloom_filter_offset().is_some())
        .collect();
    assert_eq!(bloom.iter().filter(|&&has| has).count(), 1);
}

#[test]
fn nothing_is_left_of_a_deleted_file() {
    let fixture = Fixture::new();
    let file = fixture.file("data/a.parquet", 0, 10);
    let location = fixture.table().location;
    let found = fixture.lake.list(&location).expect("lists");
    assert!(found.contains(&(file.path.clone(), file.bytes)), "{found:?}");
    for _ in 0..2 {
        fixture.lake.delete(&location, std::slice::from_ref(&file.path)).expect("deletes, once or again");
    }
    assert_eq!(fixture.lake.list(&location).expect("lists").len(), 1, "its first metadata file");
}
