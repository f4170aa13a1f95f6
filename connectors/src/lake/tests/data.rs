//! Data files: what was written is read, whole and in part.

use arrow::compute::concat_batches;
use arrow::datatypes::Field;
use parquet::file::reader::{FileReader, SerializedFileReader};
use siltstone_engine::lake::{FileRecord, Operation};

use super::fixture::{Fixture, columns, events};

fn read(
    fixture: &Fixture,
    file: &FileRecord,
    columns: &[Field],
    rows: std::ops::Range<u64>,
) -> arrow::array::RecordBatch {
    let location = fixture.table().location;
    let batches = fixture.lake.read(&location, file, columns, rows, &[]).expect("opens");
    let batches: Vec<_> = batches.collect::<Result<_, _>>().expect("reads");
    concat_batches(&std::sync::Arc::new(arrow::datatypes::Schema::new(columns.to_vec())), &batches)
        .expect("fits")
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
