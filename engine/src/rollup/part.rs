//! A key column as numbers: one code for each value, in the order of the values, NULL first.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Float32Array, Float64Array, PrimitiveArray,
    StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType,
};

use super::codes::Codes;
use super::dictionary::{TEXT_BITS, TextCoder};
use super::{Granularity, Key};
use crate::aggregate::{Number, float};
use crate::error::Result;

/// How a key's values are written as codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Boolean,
    Int16,
    Int32,
    Date,
    Time,
    Float32,
    /// 64 bits leave no room for NULL, which is told apart by a bit of its own.
    Int64,
    Timestamp,
    Float64,
    /// Times, by the number of their bucket.
    Bucket(Granularity),
    /// By a dictionary, so in no order.
    Text,
}

impl Part {
    /// `None` for a type whose values have no codes.
    pub fn of(key: &Key) -> Option<Self> {
        use DataType::{Boolean, Date32, Float32, Float64, Int16, Int32, Int64, Time64, Timestamp, Utf8};
        if let Some(bucket) = key.bucket {
            return Some(Self::Bucket(bucket.granularity));
        }
        Some(match key.expression.data_type() {
            Boolean => Self::Boolean,
            Int16 => Self::Int16,
            Int32 => Self::Int32,
            Int64 => Self::Int64,
            Date32 => Self::Date,
            Time64(TimeUnit::Microsecond) => Self::Time,
            Timestamp(TimeUnit::Microsecond, _) => Self::Timestamp,
            Float32 => Self::Float32,
            Float64 => Self::Float64,
            Utf8 => Self::Text,
            _ => return None,
        })
    }

    /// Bits of a code.
    pub fn bits(self) -> u32 {
        match self {
            Self::Boolean => 2,
            Self::Int16 => 17,
            Self::Int32 | Self::Date | Self::Float32 => 33,
            // Microseconds of a day have 37 bits.
            Self::Time => 38,
            Self::Int64 | Self::Timestamp | Self::Float64 => 64,
            Self::Bucket(granularity) => granularity.bits(),
            Self::Text => TEXT_BITS,
        }
    }

    /// Codes fill all 64 bits.
    pub fn is_wide(self) -> bool {
        self.bits() == 64
    }

    /// The codes of a column; `None` if a dictionary is full. `texts` codes text.
    pub fn encode(self, column: &ArrayRef, texts: Option<&mut TextCoder>) -> Result<Option<Codes>> {
        let half = |bits: u32| 1_i64 << (bits - 1);
        let values = match self {
            Self::Text => return texts.map_or(Ok(None), |texts| texts.encode(column)),
            Self::Boolean => {
                let booleans = column.as_boolean();
                booleans.iter().map(|v| v.map_or(0, |v| 1 + u64::from(v))).collect()
            }
            Self::Int16 => narrow::<Int16Type>(column, |v| (i64::from(v) + half(16) + 1) as u64),
            Self::Int32 => narrow::<Int32Type>(column, |v| (i64::from(v) + half(32) + 1) as u64),
            Self::Date => narrow::<Date32Type>(column, |v| (i64::from(v) + half(32) + 1) as u64),
            Self::Time => narrow::<Time64MicrosecondType>(column, |v| v.clamp(0, half(37)) as u64 + 1),
            Self::Float32 => narrow::<Float32Type>(column, |v| u64::from(ordered_32(v)) + 1),
            Self::Bucket(granularity) => buckets(granularity, column),
            Self::Int64 => return Ok(Some(wide::<Int64Type>(column, ordered_i64))),
            Self::Timestamp => return Ok(Some(wide::<TimestampMicrosecondType>(column, ordered_i64))),
            Self::Float64 => return Ok(Some(wide::<Float64Type>(column, ordered_64))),
        };
        Ok(Some(Codes::new(values, None)))
    }

    /// The column of codes; `texts` are those of a dictionary, by code.
    pub fn decode(self, codes: &Codes, data_type: &DataType, texts: &[Arc<str>]) -> ArrayRef {
        let half = |bits: u32| 1_i64 << (bits - 1);
        match self {
            Self::Boolean => {
                let value = |&c: &u64| (c > 0).then_some(c == 2);
                Arc::new(codes.values.iter().map(value).collect::<BooleanArray>())
            }
            Self::Int16 => widen::<Int16Type>(codes, data_type, |c| (c as i64 - half(16) - 1) as i16),
            Self::Int32 => widen::<Int32Type>(codes, data_type, |c| (c as i64 - half(32) - 1) as i32),
            Self::Date => widen::<Date32Type>(codes, data_type, |c| (c as i64 - half(32) - 1) as i32),
            Self::Time => widen::<Time64MicrosecondType>(codes, data_type, |c| c as i64 - 1),
            Self::Float32 => {
                let floats: Float32Array =
                    (codes.values.iter()).map(|&c| (c > 0).then(|| float_32((c - 1) as u32))).collect();
                Arc::new(floats)
            }
            Self::Bucket(granularity) => {
                let bias = half(granularity.bits());
                let mut last = (0, 0);
                widen::<TimestampMicrosecondType>(codes, data_type, |c| {
                    if c != last.0 {
                        last = (c, granularity.start(c as i64 - bias));
                    }
                    last.1
                })
            }
            Self::Int64 => wide_back::<Int64Type>(codes, data_type),
            Self::Timestamp => wide_back::<TimestampMicrosecondType>(codes, data_type),
            Self::Float64 => {
                let values: Vec<f64> = codes.values.iter().map(|&c| float_64(c)).collect();
                Arc::new(Float64Array::new(values.into(), codes.valid.clone()))
            }
            Self::Text => {
                let value = |&c: &u64| (c > 0).then(|| &*texts[c as usize - 1]);
                Arc::new(codes.values.iter().map(value).collect::<StringArray>())
            }
        }
    }
}

fn narrow<T: ArrowPrimitiveType>(column: &ArrayRef, code: impl Fn(T::Native) -> u64) -> Vec<u64> {
    let column = column.as_primitive::<T>();
    match column.nulls().filter(|n| n.null_count() > 0) {
        None => column.values().iter().map(|&v| code(v)).collect(),
        Some(_) => column.iter().map(|v| v.map_or(0, &code)).collect(),
    }
}

fn wide<T: ArrowPrimitiveType>(column: &ArrayRef, code: impl Fn(T::Native) -> u64) -> Codes {
    let column = column.as_primitive::<T>();
    let valid = column.nulls().filter(|n| n.null_count() > 0).cloned();
    let values = match &valid {
        None => column.values().iter().map(|&v| code(v)).collect(),
        // Equal keys need equal codes, and what stands under a NULL may be anything.
        Some(_) => column.iter().map(|v| v.map_or(0, &code)).collect(),
    };
    Codes::new(values, valid)
}

fn widen<T: ArrowPrimitiveType>(
    codes: &Codes,
    data_type: &DataType,
    mut value: impl FnMut(u64) -> T::Native,
) -> ArrayRef {
    let nulls =
        codes.values.contains(&0).then(|| codes.values.iter().map(|&c| c > 0).collect::<NullBuffer>());
    let values: Vec<T::Native> =
        codes.values.iter().map(|&c| if c == 0 { T::Native::default() } else { value(c) }).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
}

fn wide_back<T: ArrowPrimitiveType<Native = i64>>(codes: &Codes, data_type: &DataType) -> ArrayRef {
    let valid = |i: usize| codes.valid.as_ref().is_none_or(|v| v.is_valid(i));
    let value = |(i, &c): (usize, &u64)| if valid(i) { integer_64(c) } else { 0 };
    let values: Vec<i64> = codes.values.iter().enumerate().map(value).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), codes.valid.clone()).with_data_type(data_type.clone()))
}

fn buckets(granularity: Granularity, column: &ArrayRef) -> Vec<u64> {
    macro_rules! direct {
        ($granularity:expr) => {{
            const GRANULARITY: Granularity = $granularity;
            const BIAS: i64 = 1 << (GRANULARITY.bits() - 1);
            // With the unit known, its division becomes a multiplication.
            narrow::<TimestampMicrosecondType>(column, |us| (GRANULARITY.bucket(us) + BIAS) as u64)
        }};
    }
    match granularity {
        Granularity::Second => direct!(Granularity::Second),
        Granularity::Minute => direct!(Granularity::Minute),
        Granularity::Hour => direct!(Granularity::Hour),
        Granularity::Day => direct!(Granularity::Day),
        Granularity::Week => direct!(Granularity::Week),
        Granularity::Month => direct!(Granularity::Month),
        Granularity::Quarter => direct!(Granularity::Quarter),
        Granularity::Year => direct!(Granularity::Year),
    }
}

fn ordered_i64(value: i64) -> u64 {
    value as u64 ^ (1 << 63)
}

fn integer_64(code: u64) -> i64 {
    (code ^ (1 << 63)) as i64
}

/// Makes equal what PostgreSQL groups together (-0.0 with 0.0, and every NaN with every other), in order.
fn ordered_64(value: f64) -> u64 {
    ordered_i64((value + 0.0).ordered())
}

fn float_64(code: u64) -> f64 {
    float(integer_64(code))
}

fn ordered_32(value: f32) -> u32 {
    let value = if value.is_nan() { f32::NAN.abs() } else { value + 0.0 };
    let bits = value.to_bits();
    bits ^ (((bits as i32 >> 31) as u32) | (1 << 31))
}

fn float_32(code: u32) -> f32 {
    f32::from_bits(if code >> 31 == 1 { code ^ (1 << 31) } else { !code })
}
