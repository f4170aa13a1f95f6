//! The aggregate functions by name, and PostgreSQL's rules for their result types.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// An aggregate function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    Count,
    Sum,
    Min,
    Max,
    Avg,
}

/// Digits behind the point that `avg` of a decimal adds to its argument's.
const AVG_SCALE_ADDED: i8 = 4;

impl Function {
    /// The function of that SQL name.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "min" => Self::Min,
            "max" => Self::Max,
            "avg" | "mean" => Self::Avg,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
        }
    }

    /// The type of the finished value for an argument of that type.
    pub fn output_type(self, argument: Option<&DataType>) -> Result<DataType> {
        use DataType::{Decimal128, Float32, Float64, Int8, Int16, Int32, Int64};
        Ok(match (self, argument) {
            (Self::Count, _) => Int64,
            (Self::Sum, Some(Int8 | Int16 | Int32)) => Int64,
            (Self::Sum, Some(Int64)) => Decimal128(DECIMAL128_MAX_PRECISION, 0),
            (Self::Sum, Some(Decimal128(_, scale))) => Decimal128(DECIMAL128_MAX_PRECISION, *scale),
            (Self::Sum, Some(Float32 | Float64)) => Float64,
            (Self::Avg, Some(Int8 | Int16 | Int32 | Int64 | Float32 | Float64)) => Float64,
            (Self::Avg, Some(Decimal128(precision, scale))) => Decimal128(
                (precision + AVG_SCALE_ADDED.unsigned_abs()).min(DECIMAL128_MAX_PRECISION),
                (scale + AVG_SCALE_ADDED).min(DECIMAL128_MAX_PRECISION.cast_signed()),
            ),
            (Self::Min | Self::Max, Some(t)) => super::plan::check_extreme(self, t)?,
            (_, t) => return Err(self.unsupported(t)),
        })
    }

    pub(super) fn unsupported(self, argument: Option<&DataType>) -> Error {
        let argument = argument.map_or_else(|| "*".to_owned(), ToString::to_string);
        Error::new(Kind::Unsupported, format!("{}({argument}) is not there", self.name()))
    }
}
