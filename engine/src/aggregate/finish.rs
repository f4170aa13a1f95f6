//! From states to the values a query sees.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float64Type, Int64Type, i256};

use super::Function;
use crate::error::{Error, Kind, Result};

/// Finished values of type `output` from the columns that [`super::Plan::state_types`] names.
///
/// # Errors
/// [`Kind::OutOfRange`] if a value does not fit `output`.
pub fn finish(function: Function, states: &[ArrayRef], output: &DataType) -> Result<ArrayRef> {
    let value = match function {
        Function::Count | Function::Min | Function::Max => states[0].clone(),
        Function::Sum => sum(states)?,
        Function::Avg => average(states, output)?,
    };
    strict_cast(&value, output).map_err(|e| e.context(format!("finishing {}", function.name())))
}

/// A cast in which a value that does not fit is an error, not NULL.
fn strict_cast(value: &ArrayRef, output: &DataType) -> Result<ArrayRef> {
    if value.data_type() == output {
        return Ok(value.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(value, output, &options)
        .map_err(|e| Error::new(Kind::OutOfRange, format!("value out of range for type {output}")).because(e))
}

fn sum(states: &[ArrayRef]) -> Result<ArrayRef> {
    Ok(match states[0].data_type() {
        DataType::Float64 => Arc::new(float_sum(states)),
        _ => states[0].clone(),
    })
}

fn float_sum(states: &[ArrayRef]) -> Float64Array {
    let sums = states[0].as_primitive::<Float64Type>();
    let compensations = states[1].as_primitive::<Float64Type>();
    let values = sums.iter().zip(compensations.values());
    values.map(|(sum, c)| sum.map(|s| if s.is_finite() { s + c } else { s })).collect()
}

fn average(states: &[ArrayRef], output: &DataType) -> Result<ArrayRef> {
    let (counts, sums) = states.split_last().expect("avg has a count column");
    let counts = counts.as_primitive::<Int64Type>().values();
    Ok(match (sums[0].data_type(), output) {
        (DataType::Float64, _) => {
            let sums = float_sum(sums);
            let means = sums.iter().zip(counts).map(|(sum, &n)| sum.map(|s| s / n as f64));
            Arc::new(means.collect::<Float64Array>())
        }
        (DataType::Decimal128(..), DataType::Float64) => {
            let sums = sums[0].as_primitive::<Decimal128Type>();
            let means = sums.iter().zip(counts).map(|(sum, &n)| sum.map(|s| s as f64 / n as f64));
            Arc::new(means.collect::<Float64Array>())
        }
        (DataType::Decimal128(_, scale), DataType::Decimal128(p, to)) => {
            let sums = sums[0].as_primitive::<Decimal128Type>();
            let wide = sums.iter().map(|s| s.map(i256::from_i128));
            Arc::new(decimal_means(wide, counts, *scale, *p, *to)?)
        }
        (DataType::Decimal256(_, scale), DataType::Decimal128(p, to)) => {
            let sums = sums[0].as_primitive::<Decimal256Type>();
            Arc::new(decimal_means(sums.iter(), counts, *scale, *p, *to)?)
        }
        (from, to) => {
            return Err(Error::new(Kind::Unsupported, format!("avg from {from} to {to} is not there")));
        }
    })
}

/// Quotients rounded half away from zero, as PostgreSQL rounds numeric.
fn decimal_means(
    sums: impl Iterator<Item = Option<i256>>,
    counts: &[i64],
    scale: i8,
    precision: u8,
    to: i8,
) -> Result<Decimal128Array> {
    let out = || Error::new(Kind::OutOfRange, "average is out of range");
    let shift = i256::from_i128(10).checked_pow(u32::try_from(to - scale).unwrap_or(0)).ok_or_else(out)?;
    let mean = |sum: i256, n: i64| -> Result<i128> {
        let n = i256::from_i128(i128::from(n));
        let scaled = sum.checked_mul(shift).ok_or_else(out)?;
        let quotient = scaled / n;
        let rest = (scaled % n).wrapping_abs();
        let away = if rest + rest >= n {
            i256::from_i128(if sum.is_negative() { -1 } else { 1 })
        } else {
            i256::ZERO
        };
        (quotient + away).to_i128().ok_or_else(out)
    };
    let means = sums.zip(counts).map(|(sum, &n)| sum.map(|s| mean(s, n)).transpose());
    let means: Decimal128Array = means.collect::<Result<Vec<_>>>()?.into();
    Ok(means.with_precision_and_scale(precision, to)?)
}
