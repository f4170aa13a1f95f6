//! What a column keeps, and what it gives back.

use arrow::array::{Array, StringArray};
use arrow::datatypes::TimeUnit;
use siltstone_engine::error::Kind;

use super::*;

fn column(data_type: DataType, nullable: bool) -> Column {
    Column::new(&Field::new("c", data_type, nullable)).unwrap()
}

#[test]
fn truncating_leaves_nothing_of_the_row() {
    let types = [
        (DataType::Boolean, "t"),
        (DataType::Int16, "3"),
        (DataType::Int32, "3"),
        (DataType::Int64, "3"),
        (DataType::Float32, "1.5"),
        (DataType::Float64, "1.5"),
        (DataType::Decimal128(9, 2), "1.5"),
        (DataType::Utf8, "abc"),
        (DataType::Binary, "\\x00ff"),
        (DataType::Date32, "2024-01-01"),
        (DataType::Time64(TimeUnit::Microsecond), "12:00"),
        (DataType::Timestamp(TimeUnit::Microsecond, None), "2024-01-01 00:00"),
        (DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), "2024-01-01 00:00"),
    ];
    for (data_type, text) in types {
        let mut once = column(data_type.clone(), true);
        once.push_null().unwrap();
        once.push_text(text.as_bytes()).unwrap();
        let mut twice = column(data_type.clone(), true);
        twice.push_null().unwrap();
        twice.push_text(text.as_bytes()).unwrap();
        twice.push_text(text.as_bytes()).unwrap();
        twice.push_null().unwrap();
        twice.truncate(2);
        let (once, twice) = (once.finish().unwrap(), twice.finish().unwrap());
        assert_eq!(&once, &twice, "{data_type}");
        assert_eq!(once.data_type(), &data_type);
        assert!(once.is_null(0) && once.is_valid(1));
    }
}

#[test]
fn a_column_is_empty_after_finish() {
    let mut c = column(DataType::Utf8, true);
    c.push_text(b"a").unwrap();
    assert_eq!(c.finish().unwrap().len(), 1);
    c.push_text(b"b").unwrap();
    assert_eq!(c.finish().unwrap().as_ref(), &StringArray::from(vec!["b"]));
}

#[test]
fn not_null_is_kept() {
    let mut c = column(DataType::Int64, false);
    assert_eq!(c.push_null(), Err(Fault::Null));
    assert_eq!(c.reason(b"", Fault::Null), "column c: NULL in a NOT NULL column");
}

#[test]
fn a_type_that_is_not_decoded_is_refused_by_name() {
    let error = Column::new(&Field::new("tags", DataType::LargeUtf8, true)).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.message().contains("tags"), "{error}");
}
