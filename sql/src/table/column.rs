//! Columns of the system tables.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::Result;

use crate::data_type::UTC;

pub type NamedColumn = (&'static str, ArrayRef);

pub fn table(columns: Vec<NamedColumn>) -> Result<RecordBatch> {
    Ok(plain_table(columns)?)
}

pub fn plain_table(
    columns: Vec<NamedColumn>,
) -> std::result::Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect())
}

pub fn text(name: &'static str, values: impl Iterator<Item = Option<String>>) -> NamedColumn {
    (name, Arc::new(StringArray::from_iter(values)))
}

pub fn number(name: &'static str, values: impl Iterator<Item = u64>) -> NamedColumn {
    signed(name, values.map(|value| Some(i64::try_from(value).unwrap_or(i64::MAX))))
}

pub fn signed(name: &'static str, values: impl Iterator<Item = Option<i64>>) -> NamedColumn {
    (name, Arc::new(Int64Array::from_iter(values)))
}

pub fn integer(name: &'static str, values: impl Iterator<Item = Option<i32>>) -> NamedColumn {
    (name, Arc::new(Int32Array::from_iter(values)))
}

pub fn boolean(name: &'static str, values: impl Iterator<Item = bool>) -> NamedColumn {
    (name, Arc::new(BooleanArray::from_iter(values.map(Some))))
}

pub fn time(name: &'static str, values: impl Iterator<Item = i64>) -> NamedColumn {
    let array = TimestampMicrosecondArray::from_iter_values(values).with_timezone(UTC);
    (name, Arc::new(array))
}

pub fn float(name: &'static str, values: impl Iterator<Item = Option<f64>>) -> NamedColumn {
    (name, Arc::new(Float64Array::from_iter(values)))
}
