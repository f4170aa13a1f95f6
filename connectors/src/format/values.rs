//! The values of a column being built, by type.
//!
//! A value is added by itself, or the values of many rows at once ([`super::fill`]). Nothing is allocated
//! per value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, TimeUnit, UInt32Type};
use siltstone_engine::error::{Error, Kind, Result};

use super::dictionary::Dictionary;
use super::validity::Validity;
use super::value::{self, Fault};
use super::{decimal, moment};

/// Values by type; NULLs hold a zero.
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(Vec<bool>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: i8,
    },
    Text {
        offsets: Vec<i32>,
        bytes: Vec<u8>,
    },
    /// Text with few distinct values; it turns into `Text` when there are too many.
    Coded {
        codes: Vec<u32>,
        dictionary: Box<Dictionary>,
    },
    /// Text that nobody reads: any text will do.
    Unread,
    Binary {
        offsets: Vec<i32>,
        bytes: Vec<u8>,
    },
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp {
        values: Vec<i64>,
        zone: Option<Arc<str>>,
    },
}

impl Values {
    /// No values.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a type that no format decodes.
    pub(crate) fn new(field: &Field) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(Vec::new()),
            DataType::Int16 => Self::Int16(Vec::new()),
            DataType::Int32 => Self::Int32(Vec::new()),
            DataType::Int64 => Self::Int64(Vec::new()),
            DataType::Float32 => Self::Float32(Vec::new()),
            DataType::Float64 => Self::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => {
                Self::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            DataType::Utf8 => Self::Text { offsets: vec![0], bytes: Vec::new() },
            DataType::Binary => Self::Binary { offsets: vec![0], bytes: Vec::new() },
            DataType::Date32 => Self::Date(Vec::new()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp { values: Vec::new(), zone: zone.clone() }
            }
            other => {
                let message = format!("decoding column {}: type {other} is not supported", field.name());
                return Err(Error::new(Kind::Unsupported, message));
            }
        })
    }

    /// No values of text with few distinct ones.
    pub(crate) fn coded() -> Self {
        Self::Coded { codes: Vec::new(), dictionary: Box::new(Dictionary::new()) }
    }

    /// Adds what a NULL holds.
    pub(crate) fn push_null(&mut self) -> Result<(), Fault> {
        match self {
            Self::Boolean(values) => values.push(false),
            Self::Int16(values) => values.push(0),
            Self::Int32(values) | Self::Date(values) => values.push(0),
            Self::Int64(values) | Self::Time(values) | Self::Timestamp { values, .. } => values.push(0),
            Self::Float32(values) => values.push(0.0),
            Self::Float64(values) => values.push(0.0),
            Self::Decimal { values, .. } => values.push(0),
            Self::Coded { codes, .. } => codes.push(0),
            Self::Text { offsets, bytes } | Self::Binary { offsets, bytes } => end_text(offsets, bytes)?,
            Self::Unread => {}
        }
        Ok(())
    }

    /// Adds the value that `text` (valid UTF-8) stands for by the type's input rules. `validity` is that of
    /// the values before it.
    pub(crate) fn push_text(&mut self, text: &[u8], validity: &Validity) -> Result<(), Fault> {
        match self {
            Self::Boolean(values) => values.push(value::boolean(text)?),
            Self::Int16(values) => {
                values.push(i16::try_from(value::integer(text)?).map_err(|_| Fault::OutOfRange)?);
            }
            Self::Int32(values) => {
                values.push(i32::try_from(value::integer(text)?).map_err(|_| Fault::OutOfRange)?);
            }
            Self::Int64(values) => values.push(value::integer(text)?),
            Self::Float32(values) => values.push(value::single(text)?),
            Self::Float64(values) => values.push(value::double(text)?),
            Self::Decimal { values, precision, scale } => {
                values.push(decimal::decimal(text, *precision, *scale)?);
            }
            Self::Text { offsets, bytes } => {
                bytes.extend_from_slice(text);
                end_text(offsets, bytes)?;
            }
            Self::Coded { codes, dictionary } => match dictionary.code(text, 0, text.len()) {
                Some(code) => codes.push(code),
                None => {
                    self.spell_out(validity)?;
                    self.push_text(text, validity)?;
                }
            },
            Self::Unread => {}
            Self::Binary { offsets, bytes } => {
                value::bytes(text, bytes)?;
                end_text(offsets, bytes)?;
            }
            Self::Date(values) => values.push(moment::date(text)?),
            Self::Time(values) => values.push(moment::time(text)?),
            Self::Timestamp { values, zone } => values.push(moment::timestamp(text, zone.is_some())?),
        }
        Ok(())
    }

    /// Adds a whole number: days, microseconds, or itself. Text takes it as digits.
    pub(crate) fn push_number(&mut self, value: i64, validity: &Validity) -> Result<(), Fault> {
        match self {
            Self::Boolean(values) => values.push(value % 2 != 0),
            Self::Int16(values) => values.push(i16::try_from(value).map_err(|_| Fault::OutOfRange)?),
            Self::Int32(values) | Self::Date(values) => {
                values.push(i32::try_from(value).map_err(|_| Fault::OutOfRange)?);
            }
            Self::Int64(values) | Self::Time(values) | Self::Timestamp { values, .. } => values.push(value),
            Self::Float32(values) => values.push(value as f32),
            Self::Float64(values) => values.push(value as f64),
            // As many units of the last place, so that it always fits.
            Self::Decimal { values, precision, .. } => {
                values.push(i128::from(value) % 10i128.pow(u32::from(*precision)));
            }
            Self::Coded { .. } | Self::Unread => self.push_text(value.to_string().as_bytes(), validity)?,
            Self::Text { offsets, bytes } | Self::Binary { offsets, bytes } => {
                bytes.extend_from_slice(value.to_string().as_bytes());
                end_text(offsets, bytes)?;
            }
        }
        Ok(())
    }

    /// Coded text as plain text from now on.
    #[cold]
    pub(crate) fn spell_out(&mut self, validity: &Validity) -> Result<(), Fault> {
        let Self::Coded { codes, dictionary } = self else { return Ok(()) };
        let (mut offsets, mut bytes) = (vec![0], Vec::new());
        for (row, code) in codes.iter().enumerate() {
            if validity.is_valid(row) {
                bytes.extend_from_slice(dictionary.text(*code));
            }
            end_text(&mut offsets, &bytes)?;
        }
        *self = Self::Text { offsets, bytes };
        Ok(())
    }

    /// Takes back everything behind the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Boolean(values) => values.truncate(rows),
            Self::Int16(values) => values.truncate(rows),
            Self::Int32(values) | Self::Date(values) => values.truncate(rows),
            Self::Int64(values) | Self::Time(values) | Self::Timestamp { values, .. } => {
                values.truncate(rows)
            }
            Self::Float32(values) => values.truncate(rows),
            Self::Float64(values) => values.truncate(rows),
            Self::Decimal { values, .. } => values.truncate(rows),
            Self::Coded { codes, .. } => codes.truncate(rows),
            Self::Unread => {}
            Self::Text { offsets, bytes } | Self::Binary { offsets, bytes } => {
                offsets.truncate(rows + 1);
                bytes.truncate(offsets.last().map_or(0, |end| *end as usize));
            }
        }
    }

    /// The values as an array; there are none afterwards, but room for as many again.
    pub(crate) fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        Ok(match self {
            Self::Boolean(values) => {
                let array = BooleanArray::new(values.iter().copied().collect(), nulls);
                values.clear();
                Arc::new(array)
            }
            Self::Int16(values) => Arc::new(Int16Array::try_new(taken(values), nulls)?),
            Self::Int32(values) => Arc::new(Int32Array::try_new(taken(values), nulls)?),
            Self::Int64(values) => Arc::new(Int64Array::try_new(taken(values), nulls)?),
            Self::Float32(values) => Arc::new(Float32Array::try_new(taken(values), nulls)?),
            Self::Float64(values) => Arc::new(Float64Array::try_new(taken(values), nulls)?),
            Self::Decimal { values, precision, scale } => Arc::new(
                Decimal128Array::try_new(taken(values), nulls)?
                    .with_precision_and_scale(*precision, *scale)?,
            ),
            Self::Text { offsets, bytes } => {
                let (offsets, bytes) = taken_text(offsets, bytes);
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Self::Coded { codes, dictionary } => {
                let codes = UInt32Array::try_new(taken(codes), nulls)?;
                Arc::new(DictionaryArray::<UInt32Type>::try_new(codes, dictionary.values()?)?)
            }
            Self::Unread => unreachable!("nobody reads this column"),
            Self::Binary { offsets, bytes } => {
                let (offsets, bytes) = taken_text(offsets, bytes);
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Self::Date(values) => Arc::new(Date32Array::try_new(taken(values), nulls)?),
            Self::Time(values) => Arc::new(Time64MicrosecondArray::try_new(taken(values), nulls)?),
            Self::Timestamp { values, zone } => {
                let array = TimestampMicrosecondArray::try_new(taken(values), nulls)?;
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
