//! A column of a batch while its rows are being decoded: typed values, validity, and a way back.
//!
//! A row that turns out bad half-way is undone with [`Column::truncate`]. Nothing is allocated per row.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, NullBufferBuilder, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, TimeUnit};
use siltstone_engine::error::{Error, Kind, Result};

use super::value::{self, Fault};
use super::{decimal, moment};

/// PostgreSQL's name of a type, for reasons.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Float32 => "real".into(),
        DataType::Float64 => "double precision".into(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
        DataType::Utf8 => "varchar".into(),
        DataType::Binary => "bytea".into(),
        DataType::Date32 => "date".into(),
        DataType::Time64(_) => "time".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
        other => other.to_string(),
    }
}

/// A column being built.
#[derive(Debug)]
pub(crate) struct Column {
    name: String,
    type_name: String,
    nullable: bool,
    values: Values,
    validity: NullBufferBuilder,
}

/// Values by type; NULLs hold a zero.
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(Vec<bool>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal { values: Vec<i128>, precision: u8, scale: i8 },
    Text { offsets: Vec<i32>, bytes: Vec<u8> },
    Binary { offsets: Vec<i32>, bytes: Vec<u8> },
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp { values: Vec<i64>, zone: Option<Arc<str>> },
}

impl Column {
    /// An empty column.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a type that no format decodes.
    pub(crate) fn new(field: &Field) -> Result<Self> {
        let values = match field.data_type() {
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Utf8 => Values::Text { offsets: vec![0], bytes: Vec::new() },
            DataType::Binary => Values::Binary { offsets: vec![0], bytes: Vec::new() },
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Time64(TimeUnit::Microsecond) => Values::Time(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Values::Timestamp { values: Vec::new(), zone: zone.clone() }
            }
            other => {
                let message = format!("decoding column {}: type {other} is not supported", field.name());
                return Err(Error::new(Kind::Unsupported, message));
            }
        };
        Ok(Self {
            name: field.name().clone(),
            type_name: type_name(field.data_type()),
            nullable: field.is_nullable(),
            values,
            validity: NullBufferBuilder::new(0),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn is_nullable(&self) -> bool {
        self.nullable
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text { .. })
    }

    pub(crate) fn is_timestamp(&self) -> bool {
        matches!(self.values, Values::Timestamp { .. })
    }

    pub(crate) fn len(&self) -> usize {
        self.validity.len()
    }

    /// The reason why `text` is not a value of this column.
    #[cold]
    pub(crate) fn reason(&self, text: &[u8], fault: Fault) -> String {
        value::reason(&self.name, &self.type_name, text, fault)
    }

    /// Adds a NULL.
    pub(crate) fn push_null(&mut self) -> Result<(), Fault> {
        if !self.nullable {
            return Err(Fault::Null);
        }
        match &mut self.values {
            Values::Boolean(values) => values.push(false),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) | Values::Date(values) => values.push(0),
            Values::Int64(values) | Values::Time(values) | Values::Timestamp { values, .. } => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Text { offsets, bytes } | Values::Binary { offsets, bytes } => end_text(offsets, bytes)?,
        }
        self.validity.append_null();
        Ok(())
    }

    /// Adds the value that `text` (valid UTF-8) stands for by the type's input rules. A text column takes
    /// it as it is.
    #[inline]
    pub(crate) fn push_text(&mut self, text: &[u8]) -> Result<(), Fault> {
        match &mut self.values {
            Values::Boolean(values) => values.push(value::boolean(text)?),
            Values::Int16(values) => {
                values.push(i16::try_from(value::integer(text)?).map_err(|_| Fault::OutOfRange)?);
            }
            Values::Int32(values) => {
                values.push(i32::try_from(value::integer(text)?).map_err(|_| Fault::OutOfRange)?);
            }
            Values::Int64(values) => values.push(value::integer(text)?),
            Values::Float32(values) => values.push(value::single(text)?),
            Values::Float64(values) => values.push(value::double(text)?),
            Values::Decimal { values, precision, scale } => {
                values.push(decimal::decimal(text, *precision, *scale)?);
            }
            Values::Text { offsets, bytes } => {
                bytes.extend_from_slice(text);
                end_text(offsets, bytes)?;
            }
            Values::Binary { offsets, bytes } => {
                value::bytes(text, bytes)?;
                end_text(offsets, bytes)?;
            }
            Values::Date(values) => values.push(moment::date(text)?),
            Values::Time(values) => values.push(moment::time(text)?),
            Values::Timestamp { values, zone } => values.push(moment::timestamp(text, zone.is_some())?),
        }
        self.validity.append_non_null();
        Ok(())
    }

    /// Adds a whole number: days, microseconds, or itself. Not for text, which takes it as digits.
    pub(crate) fn push_number(&mut self, value: i64) -> Result<(), Fault> {
        match &mut self.values {
            Values::Boolean(values) => values.push(value % 2 != 0),
            Values::Int16(values) => values.push(i16::try_from(value).map_err(|_| Fault::OutOfRange)?),
            Values::Int32(values) | Values::Date(values) => {
                values.push(i32::try_from(value).map_err(|_| Fault::OutOfRange)?);
            }
            Values::Int64(values) | Values::Time(values) | Values::Timestamp { values, .. } => {
                values.push(value)
            }
            Values::Float32(values) => values.push(value as f32),
            Values::Float64(values) => values.push(value as f64),
            // As many units of the last place, so that it always fits.
            Values::Decimal { values, precision, .. } => {
                values.push(i128::from(value) % 10i128.pow(u32::from(*precision)));
            }
            Values::Text { offsets, bytes } | Values::Binary { offsets, bytes } => {
                bytes.extend_from_slice(value.to_string().as_bytes());
                end_text(offsets, bytes)?;
            }
        }
        self.validity.append_non_null();
        Ok(())
    }

    /// Takes back everything behind the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Int16(values) => values.truncate(rows),
            Values::Int32(values) | Values::Date(values) => values.truncate(rows),
            Values::Int64(values) | Values::Time(values) | Values::Timestamp { values, .. } => {
                values.truncate(rows)
            }
            Values::Float32(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::Decimal { values, .. } => values.truncate(rows),
            Values::Text { offsets, bytes } | Values::Binary { offsets, bytes } => {
                offsets.truncate(rows + 1);
                bytes.truncate(offsets.last().map_or(0, |end| *end as usize));
            }
        }
        self.validity.truncate(rows);
    }

    /// The column as an array; it is empty afterwards, with room for as many rows again.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let nulls = self.validity.finish();
        Ok(match &mut self.values {
            Values::Boolean(values) => {
                let array = BooleanArray::new(values.iter().copied().collect(), nulls);
                values.clear();
                Arc::new(array)
            }
            Values::Int16(values) => Arc::new(Int16Array::try_new(taken(values), nulls)?),
            Values::Int32(values) => Arc::new(Int32Array::try_new(taken(values), nulls)?),
            Values::Int64(values) => Arc::new(Int64Array::try_new(taken(values), nulls)?),
            Values::Float32(values) => Arc::new(Float32Array::try_new(taken(values), nulls)?),
            Values::Float64(values) => Arc::new(Float64Array::try_new(taken(values), nulls)?),
            Values::Decimal { values, precision, scale } => Arc::new(
                Decimal128Array::try_new(taken(values), nulls)?
                    .with_precision_and_scale(*precision, *scale)?,
            ),
            Values::Text { offsets, bytes } => {
                let (offsets, bytes) = taken_text(offsets, bytes);
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Binary { offsets, bytes } => {
                let (offsets, bytes) = taken_text(offsets, bytes);
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Date(values) => Arc::new(Date32Array::try_new(taken(values), nulls)?),
            Values::Time(values) => Arc::new(Time64MicrosecondArray::try_new(taken(values), nulls)?),
            Values::Timestamp { values, zone } => {
                let array = TimestampMicrosecondArray::try_new(taken(values), nulls as Option<NullBuffer>)?;
                Arc::new(array.with_timezone_opt(zone.clone()))
            }
        })
    }
}

/// Ends a text value at the end of `bytes`.
#[inline]
fn end_text(offsets: &mut Vec<i32>, bytes: &[u8]) -> Result<(), Fault> {
    offsets.push(i32::try_from(bytes.len()).map_err(|_| Fault::Full)?);
    Ok(())
}

/// The values, leaving room for as many.
fn taken<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let room = Vec::with_capacity(values.len());
    ScalarBuffer::from(std::mem::replace(values, room))
}

fn taken_text(offsets: &mut Vec<i32>, bytes: &mut Vec<u8>) -> (OffsetBuffer<i32>, Buffer) {
    let mut room = Vec::with_capacity(offsets.len());
    room.push(0);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, room)));
    let room = Vec::with_capacity(bytes.len());
    (offsets, Buffer::from_vec(std::mem::replace(bytes, room)))
}

#[cfg(test)]
mod tests;
