//! Types: PostgreSQL's names on one side, arrow's on the other.
//!
//! Timestamps count microseconds; `TIMESTAMPTZ` is kept in UTC. Casts in queries use the same table through
//! [`Planner`], so that a column and a cast to its type are one type.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, IntervalUnit, TimeUnit};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType as Sql, ExactNumberInfo, TimezoneInfo};

use crate::error::{Error, Result, sqlstate};

/// Digits of `NUMERIC` without a precision, and how many of them stand behind the point.
const NUMERIC_DEFAULT: (u8, i8) = (38, 10);

/// Digits of a timestamp's seconds behind the point.
const SECOND_DIGITS_MAX: u64 = 6;

/// The type a SQL type stands for.
pub fn from_sql(sql: &Sql) -> Result<DataType> {
    known(sql)?.ok_or_else(|| Error::unsupported(format!("type {sql}")).with_hint(LIST))
}

const LIST: &str = "the types are SMALLINT, INTEGER, BIGINT, REAL, DOUBLE PRECISION, NUMERIC(p,s), BOOLEAN, \
                    TEXT, VARCHAR, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, BYTEA";

fn known(sql: &Sql) -> Result<Option<DataType>> {
    Ok(Some(match sql {
        Sql::SmallInt(_) | Sql::Int2(_) => DataType::Int16,
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) => DataType::Int32,
        Sql::BigInt(_) | Sql::Int8(_) => DataType::Int64,
        Sql::Real | Sql::Float4 => DataType::Float32,
        Sql::DoublePrecision | Sql::Float8 | Sql::Double(ExactNumberInfo::None) => DataType::Float64,
        Sql::Float(ExactNumberInfo::Precision(digits)) if *digits <= 24 => DataType::Float32,
        Sql::Float(_) => DataType::Float64,
        Sql::Numeric(info) | Sql::Decimal(info) | Sql::Dec(info) => numeric(info)?,
        Sql::Boolean | Sql::Bool => DataType::Boolean,
        Sql::Text | Sql::String(_) => DataType::Utf8,
        Sql::Varchar(None) | Sql::CharacterVarying(None) | Sql::CharVarying(None) => DataType::Utf8,
        Sql::Char(None) | Sql::Character(None) => DataType::Utf8,
        Sql::Varchar(_)
        | Sql::CharacterVarying(_)
        | Sql::CharVarying(_)
        | Sql::Char(_)
        | Sql::Character(_) => {
            return Err(Error::unsupported(format!("the length of {sql}"))
                .with_hint("leave the length out: TEXT or VARCHAR holds strings of any length"));
        }
        Sql::Bytea => DataType::Binary,
        Sql::Date => DataType::Date32,
        Sql::Time(digits, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            seconds(*digits)?;
            DataType::Time64(TimeUnit::Microsecond)
        }
        Sql::Timestamp(digits, zone) => {
            seconds(*digits)?;
            let zoned = matches!(zone, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone);
            DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| UTC.into()))
        }
        _ => return Ok(None),
    }))
}

/// The zone of `TIMESTAMPTZ`.
pub const UTC: &str = "+00:00";

fn seconds(digits: Option<u64>) -> Result<()> {
    if digits.is_none_or(|digits| digits == SECOND_DIGITS_MAX) {
        return Ok(());
    }
    Err(Error::unsupported(format!("a time of {} digits", digits.unwrap_or_default()))
        .with_hint("times count microseconds; leave the precision out"))
}

fn numeric(info: &ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(DataType::Decimal128(NUMERIC_DEFAULT.0, NUMERIC_DEFAULT.1)),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let digits = u8::try_from(precision).ok().filter(|p| (1..=DECIMAL128_MAX_PRECISION).contains(p));
    let behind = i8::try_from(scale).ok().filter(|s| *s >= 0);
    match (digits, behind) {
        (Some(digits), Some(behind)) if i16::from(behind) <= i16::from(digits) => {
            Ok(DataType::Decimal128(digits, behind))
        }
        _ => Err(Error::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!("NUMERIC({precision},{scale}) is out of range"),
        )
        .with_hint(format!(
            "the precision goes from 1 to {DECIMAL128_MAX_PRECISION}, the scale from 0 to it"
        ))),
    }
}

/// PostgreSQL's name of a type.
pub fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "SMALLINT".into(),
        DataType::Int32 | DataType::UInt16 => "INTEGER".into(),
        DataType::Int64 | DataType::UInt32 => "BIGINT".into(),
        DataType::UInt64 => "NUMERIC(20,0)".into(),
        DataType::Float16 | DataType::Float32 => "REAL".into(),
        DataType::Float64 => "DOUBLE PRECISION".into(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("NUMERIC({precision},{scale})")
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => "VARCHAR".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA".into(),
        DataType::Date32 | DataType::Date64 => "DATE".into(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Timestamp(_, None) => "TIMESTAMP".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ".into(),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".into(),
        DataType::List(item) | DataType::LargeList(item) => format!("{}[]", name(item.data_type())),
        DataType::Dictionary(_, value) => name(value),
        other => other.to_string(),
    }
}

/// Gives casts in queries the types that columns have.
#[derive(Debug)]
pub struct Planner {
    /// Asked for the names that are not ours (`regclass`, `oid`, …).
    pub next: Option<Arc<dyn TypePlanner>>,
}

impl TypePlanner for Planner {
    fn plan_type_field(&self, sql: &Sql) -> PlanResult<Option<Arc<Field>>> {
        let nullable = |data_type| Some(Arc::new(Field::new("", data_type, true)));
        if let Sql::Interval { .. } = sql {
            return Ok(nullable(DataType::Interval(IntervalUnit::MonthDayNano)));
        }
        if let Sql::Array(ArrayElemTypeDef::SquareBracket(..) | ArrayElemTypeDef::AngleBracket(_)) = sql {
            return Ok(None);
        }
        match known(sql) {
            Ok(Some(data_type)) => Ok(nullable(data_type)),
            Ok(None) => self.next.as_ref().map_or(Ok(None), |next| next.plan_type_field(sql)),
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }
}
