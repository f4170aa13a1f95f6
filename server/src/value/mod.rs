//! Values of columns, one at a time, for everything that shows or sends them: the PostgreSQL protocol in
//! text and binary, tables, CSV and JSON.
//!
//! Arrow has many layouts for one PostgreSQL type. A column is brought to one of a few first (see
//! [`canonical`]); the writers beside this file know only those.
//!
//! Invariant: text is exactly what PostgreSQL 15 prints with its default settings and `TimeZone = UTC`.

mod binary;
mod calendar;
pub(crate) mod json;
mod numeric;
pub(crate) mod oid;
mod parse;
mod text;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use arrow::error::ArrowError;

pub(crate) use parse::{from_binary, from_text};

/// A column whose values can be written.
pub(crate) struct Column {
    nulls: Option<NullBuffer>,
    cells: Cells,
}

enum Cells {
    Null,
    Bool(BooleanArray),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Decimal128(Decimal128Array, i8),
    Decimal256(Decimal256Array, i8),
    Text(StringArray),
    Bytes(BinaryArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    /// Microseconds since 1970; the flag says `timestamptz`.
    Timestamp(TimestampMicrosecondArray, bool),
    Interval(IntervalMonthDayNanoArray),
    List(ListArray, Box<Column>),
    Record(Vec<(String, Column)>),
}

impl Column {
    /// Prepares a column.
    ///
    /// # Errors
    /// If its type has no canonical one.
    pub(crate) fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        let wanted = canonical(array.data_type());
        let array = if &wanted == array.data_type() { Arc::clone(array) } else { cast(array, &wanted)? };
        let nulls = array.logical_nulls();
        let cells = match array.data_type() {
            DataType::Null => Cells::Null,
            DataType::Boolean => Cells::Bool(array.as_boolean().clone()),
            DataType::Int16 => Cells::Int16(array.as_primitive().clone()),
            DataType::Int32 => Cells::Int32(array.as_primitive().clone()),
            DataType::Int64 => Cells::Int64(array.as_primitive().clone()),
            DataType::Float32 => Cells::Float32(array.as_primitive().clone()),
            DataType::Float64 => Cells::Float64(array.as_primitive().clone()),
            DataType::Decimal128(_, scale) => Cells::Decimal128(array.as_primitive().clone(), *scale),
            DataType::Decimal256(_, scale) => Cells::Decimal256(array.as_primitive().clone(), *scale),
            DataType::Utf8 => Cells::Text(array.as_string().clone()),
            DataType::Binary => Cells::Bytes(array.as_binary().clone()),
            DataType::Date32 => Cells::Date(array.as_primitive().clone()),
            DataType::Time64(TimeUnit::Microsecond) => Cells::Time(array.as_primitive().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Cells::Timestamp(array.as_primitive().clone(), zone.is_some())
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => Cells::Interval(array.as_primitive().clone()),
            DataType::List(_) => {
                let list = array.as_list::<i32>().clone();
                let inner = Box::new(Self::new(list.values())?);
                Cells::List(list, inner)
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns().iter().zip(fields);
                let named = columns.map(|(c, f)| Ok((f.name().clone(), Self::new(c)?)));
                Cells::Record(named.collect::<Result<_, ArrowError>>()?)
            }
            other => return Err(ArrowError::NotYetImplemented(format!("showing values of type {other}"))),
        };
        Ok(Self { nulls, cells })
    }

    /// Whether the value is NULL.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        matches!(self.cells, Cells::Null) || self.nulls.as_ref().is_some_and(|n| n.is_null(row))
    }
}

/// The layout that stands for a type: what PostgreSQL has one type for, arrow has one layout for.
pub(crate) fn canonical(data_type: &DataType) -> DataType {
    let list = |field: &Arc<Field>| {
        DataType::List(Arc::new(field.as_ref().clone().with_data_type(canonical(field.data_type()))))
    };
    match data_type {
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Interval(_) | DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => list(f),
        DataType::ListView(f) | DataType::LargeListView(f) => list(f),
        DataType::Dictionary(_, value) => canonical(value),
        DataType::RunEndEncoded(_, value) => canonical(value.data_type()),
        other => other.clone(),
    }
}
