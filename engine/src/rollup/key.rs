//! Group keys as bytes: equal keys have equal bytes, and bytes sort as keys do (NULL first).
//!
//! The bytes live in memory only; on disk keys are plain columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array};
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType};
use arrow::row::{RowConverter, RowParser, Rows, SortField};

use super::Granularity;
use crate::error::Result;

/// Turns key columns into bytes and back.
#[derive(Clone, Debug)]
pub struct KeyCodec {
    types: Vec<DataType>,
    converter: Arc<RowConverter>,
    parser: Arc<RowParser>,
}

impl KeyCodec {
    /// # Errors
    /// If a type has no order.
    pub fn new(types: Vec<DataType>) -> Result<Self> {
        let fields = types.iter().map(|t| SortField::new(t.clone())).collect();
        let converter = RowConverter::new(fields)?;
        let parser = Arc::new(converter.parser());
        Ok(Self { types, converter: Arc::new(converter), parser })
    }

    /// There is no key: everything is one group.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    pub fn types(&self) -> &[DataType] {
        &self.types
    }

    /// The keys of a batch. The columns must be normalized.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Rows> {
        Ok(self.converter.convert_columns(columns)?)
    }

    /// The columns of keys that [`KeyCodec::encode`] made.
    pub fn decode<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        Ok(self.converter.convert_rows(keys.map(|k| self.parser.parse(k)))?)
    }
}

/// Makes equal what PostgreSQL groups together (-0.0 with 0.0, and every NaN with every other), and sets
/// times to the start of their bucket.
pub fn normalize(column: ArrayRef, bucket: Option<Granularity>) -> ArrayRef {
    macro_rules! normalized {
        ($type:ty, $array:ty, $nan:expr) => {{
            let floats = column.as_primitive::<$type>();
            if floats.values().iter().all(|v| !v.is_nan() && (*v != 0.0 || v.is_sign_positive())) {
                return column;
            }
            let same = |v| if v == 0.0 { 0.0 } else { v };
            let values = floats.values().iter().map(|&v| if v.is_nan() { $nan } else { same(v) });
            Arc::new(<$array>::new(values.collect(), floats.nulls().cloned()))
        }};
    }
    match (column.data_type(), bucket) {
        (DataType::Float64, _) => normalized!(Float64Type, Float64Array, f64::NAN),
        (DataType::Float32, _) => normalized!(Float32Type, Float32Array, f32::NAN),
        (DataType::Timestamp(TimeUnit::Microsecond, zone), Some(bucket)) => {
            let times = column.as_primitive::<TimestampMicrosecondType>();
            let starts = times.unary::<_, TimestampMicrosecondType>(|us| bucket.start(bucket.bucket(us)));
            Arc::new(starts.with_timezone_opt(zone.clone()))
        }
        _ => column,
    }
}
