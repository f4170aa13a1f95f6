//! What the filters of a query say of a view's keys, so that only the blocks that may hold them are read.
//!
//! The rows are filtered again by the plan: what cannot be told here is left out.

use std::ops::{Range, RangeInclusive};

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Schema, TimeUnit, TimestampMicrosecondType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use siltstone_engine::runtime::{KeyCondition, Wanted};

/// Whether a filter limits one of the columns at `keys`, or will when its parameters are known.
pub fn limits_key(filter: &Expr, schema: &Schema, keys: Range<usize>) -> bool {
    let limits = |expr: &Expr| key_of(expr, schema, &keys).is_some();
    let known = |expr: &Expr| !expr.any_column_refs() && !expr.is_volatile();
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            limits_key(left, schema, keys.clone()) || limits_key(right, schema, keys)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            limits_key(left, schema, keys.clone()) && limits_key(right, schema, keys)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(*op) => {
            limits(left) && known(right) || limits(right) && known(left)
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            limits(expr) && known(low) && known(high)
        }
        Expr::InList(InList { expr, list, negated: false }) => limits(expr) && list.iter().all(known),
        _ => false,
    }
}

/// The conditions that all rows which pass all filters satisfy.
pub fn conditions(filters: &[Expr], schema: &Schema, keys: Range<usize>) -> Vec<KeyCondition> {
    let mut found = Vec::new();
    filters.iter().for_each(|filter| collect(filter, schema, &keys, &mut found));
    found
}

/// The times, in microseconds since 1970, that one column has in all rows which pass all filters.
pub fn times(filters: &[Expr], schema: &Schema, column: usize) -> RangeInclusive<i64> {
    let (mut first, mut last) = (i64::MIN, i64::MAX);
    for condition in conditions(filters, schema, column..column + 1) {
        let ends = |values: &ArrayRef| {
            let moments = micros(values)?;
            moments.iter().copied().min().zip(moments.iter().copied().max())
        };
        match &condition.wanted {
            Wanted::OneOf(values) => {
                let Some((least, greatest)) = ends(values) else { continue };
                (first, last) = (first.max(least), last.min(greatest));
            }
            Wanted::From { value, inclusive } => {
                let Some((moment, _)) = ends(value) else { continue };
                first = first.max(moment.saturating_add(i64::from(!inclusive)));
            }
            Wanted::To { value, inclusive } => {
                let Some((moment, _)) = ends(value) else { continue };
                last = last.min(moment.saturating_sub(i64::from(!inclusive)));
            }
        }
    }
    first..=last
}

/// Whether a filter says nothing but between which moments a time is: where all times are within [`times`], it holds.
pub fn is_of_times(filter: &Expr, schema: &Schema, column: usize) -> bool {
    let is_range =
        matches!(filter, Expr::BinaryExpr(BinaryExpr { op, .. }) if compares(*op) && *op != Operator::Eq);
    is_range && !conditions(std::slice::from_ref(filter), schema, column..column + 1).is_empty()
}

fn micros(values: &ArrayRef) -> Option<Vec<i64>> {
    let values = cast(values, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?;
    Some(values.as_primitive::<TimestampMicrosecondType>().iter().flatten().collect())
}

fn collect(filter: &Expr, schema: &Schema, keys: &Range<usize>, found: &mut Vec<KeyCondition>) {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            collect(left, schema, keys, found);
            collect(right, schema, keys, found);
        }
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) | Expr::InList(_) => {
            found.extend(list(filter, schema, keys));
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (column, value, op) = match (left.as_ref(), right.as_ref()) {
                (column, Expr::Literal(value, _)) => (column, value, Some(*op)),
                (Expr::Literal(value, _), column) => (column, value, op.swap()),
                _ => return,
            };
            if let (Some(key), Some(op)) = (key_of(column, schema, keys), op) {
                found.extend(compared(key, op, value, schema));
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            if let (Some(key), Expr::Literal(low, _), Expr::Literal(high, _)) =
                (key_of(expr, schema, keys), low.as_ref(), high.as_ref())
            {
                found.extend(compared(key, Operator::GtEq, low, schema));
                found.extend(compared(key, Operator::LtEq, high, schema));
            }
        }
        _ => {}
    }
}

fn compares(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}

/// The place of the key that an expression is.
fn key_of(expr: &Expr, schema: &Schema, keys: &Range<usize>) -> Option<usize> {
    let Expr::Column(column) = expr else { return None };
    schema.index_of(&column.name).ok().filter(|index| keys.contains(index))
}

fn compared(key: usize, op: Operator, value: &ScalarValue, schema: &Schema) -> Option<KeyCondition> {
    let value = usable(value, schema.field(key).data_type())?.to_array().ok()?;
    let wanted = match op {
        Operator::Eq => Wanted::OneOf(value),
        Operator::Gt | Operator::GtEq => Wanted::From { value, inclusive: op == Operator::GtEq },
        Operator::Lt | Operator::LtEq => Wanted::To { value, inclusive: op == Operator::LtEq },
        _ => return None,
    };
    Some(KeyCondition { key, wanted })
}

/// `key IN (…)`, or `key = … OR key = …`.
fn list(filter: &Expr, schema: &Schema, keys: &Range<usize>) -> Option<KeyCondition> {
    let mut values = Vec::new();
    let key = alternatives(filter, schema, keys, &mut values)?;
    Some(KeyCondition { key, wanted: Wanted::OneOf(ScalarValue::iter_to_array(values).ok()?) })
}

/// Adds the values of one key that a filter lets pass; `None` if it lets others pass too.
fn alternatives(
    filter: &Expr,
    schema: &Schema,
    keys: &Range<usize>,
    values: &mut Vec<ScalarValue>,
) -> Option<usize> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let key = alternatives(left, schema, keys, values)?;
            (alternatives(right, schema, keys, values)? == key).then_some(key)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (column, value) = match (left.as_ref(), right.as_ref()) {
                (column, Expr::Literal(value, _)) | (Expr::Literal(value, _), column) => (column, value),
                _ => return None,
            };
            let key = key_of(column, schema, keys)?;
            values.push(usable(value, schema.field(key).data_type())?.clone());
            Some(key)
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let key = key_of(expr, schema, keys)?;
            for item in list {
                let Expr::Literal(value, _) = item else { return None };
                // NULL in a list lets nothing pass.
                if !value.is_null() {
                    values.push(usable(value, schema.field(key).data_type())?.clone());
                }
            }
            (!values.is_empty()).then_some(key)
        }
        _ => None,
    }
}

/// A value that stands among keys where it does among the planner's values. Zero has two forms, and no number
/// has many, of which keys have one.
fn usable<'v>(value: &'v ScalarValue, data_type: &DataType) -> Option<&'v ScalarValue> {
    let plain = match value {
        ScalarValue::Float64(Some(number)) => *number != 0.0 && !number.is_nan(),
        ScalarValue::Float32(Some(number)) => *number != 0.0 && !number.is_nan(),
        other => !other.is_null(),
    };
    (plain && value.data_type() == *data_type).then_some(value)
}
