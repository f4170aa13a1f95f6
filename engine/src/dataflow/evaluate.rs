//! Evaluating expressions over a batch in which some rows may have no value, and some columns a dictionary.
//!
//! The whole batch first; only if that fails, row by row, so that the rows that have a value keep it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, NullArray, RecordBatch, UInt32Array, new_empty_array,
    new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat, take, take_record_batch};
use arrow::datatypes::{Field, Schema, UInt32Type};

use crate::connector::Expression;
use crate::error::Result;
use crate::rollup::plain;

/// Rows that could not be evaluated, and why.
pub type BadRows = Vec<(usize, String)>;

/// The values of all `expressions`, for the rows where each has one; the others are in the second part.
/// The third part is the numbers of the good rows, `None` if that is all of them.
pub fn evaluate(
    expressions: &[&dyn Expression],
    batch: &RecordBatch,
) -> Result<(Vec<ArrayRef>, BadRows, Option<Vec<u32>>)> {
    if let Ok(values) = all(expressions, batch) {
        return Ok((values, Vec::new(), None));
    }
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); expressions.len()];
    for row in 0..batch.num_rows() {
        let number = u32::try_from(row)?;
        // A copy rather than a slice: kernels may look behind a slice's offset.
        let one = take_record_batch(batch, &UInt32Array::from(vec![number]))?;
        match all(expressions, &one) {
            Ok(values) => {
                good.push(number);
                for (part, value) in parts.iter_mut().zip(values) {
                    part.push(plain(&value)?);
                }
            }
            Err(e) => bad.push((row, e.to_string())),
        }
    }
    let mut values = Vec::with_capacity(expressions.len());
    for (part, expression) in parts.iter().zip(expressions) {
        let arrays: Vec<&dyn Array> = part.iter().map(AsRef::as_ref).collect();
        values.push(if arrays.is_empty() {
            new_empty_array(expression.data_type())
        } else {
            concat(&arrays)?
        });
    }
    Ok((values, bad, Some(good)))
}

fn all(expressions: &[&dyn Expression], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    expressions.iter().map(|e| value(*e, batch)).collect()
}

/// The values of one expression. A column is given as it is, with its dictionary if it has one.
pub fn value(expression: &dyn Expression, batch: &RecordBatch) -> Result<ArrayRef> {
    if let Some(column) = expression.column() {
        return Ok(batch.column(column).clone());
    }
    let coded = |i: &usize| batch.column(*i).as_any_dictionary_opt().is_some();
    let columns = match expression.columns() {
        Some(columns) => columns.to_vec(),
        None => (0..batch.num_columns()).collect(),
    };
    let coded: Vec<usize> = columns.iter().copied().filter(coded).collect();
    if coded.is_empty() {
        return expression.evaluate(batch);
    }
    if let ([column], [_]) = (columns.as_slice(), coded.as_slice())
        && let Some(values) = by_dictionary(expression, batch, *column)
    {
        return Ok(values);
    }
    let mut arrays = batch.columns().to_vec();
    for i in coded {
        arrays[i] = plain(&arrays[i])?;
    }
    expression.evaluate(&with_columns(batch, arrays)?)
}

/// Evaluates an expression of one column once for each value of the column's dictionary. `None` if the
/// dictionary is larger than the batch, or one of its values, which need not be in the batch, has no value.
fn by_dictionary(expression: &dyn Expression, batch: &RecordBatch, column: usize) -> Option<ArrayRef> {
    let coded = batch.column(column).as_any_dictionary_opt()?;
    let (values, keys) = (coded.values(), coded.keys().as_primitive_opt::<UInt32Type>()?);
    if values.len() >= batch.num_rows() {
        return None;
    }
    let null = new_null_array(values.data_type(), 1);
    let values = concat(&[values.as_ref(), null.as_ref()]).ok()?;
    let rows = values.len();
    let mut arrays: Vec<ArrayRef> =
        (0..batch.num_columns()).map(|_| Arc::new(NullArray::new(rows)) as ArrayRef).collect();
    arrays[column] = values;
    let each = expression.evaluate(&with_columns(batch, arrays).ok()?).ok()?;
    let last = u32::try_from(rows - 1).ok()?;
    if keys.null_count() > 0 {
        let keys: UInt32Array = keys.iter().map(|k| Some(k.unwrap_or(last))).collect();
        return take(each.as_ref(), &keys, None).ok();
    }
    match each.as_boolean_opt().filter(|each| each.null_count() <= usize::from(each.is_null(rows - 1))) {
        // Most conditions: a byte for each value is looked up in less time than a bit.
        Some(each) => {
            let is_true: Vec<bool> = (0..rows).map(|i| each.is_valid(i) && each.value(i)).collect();
            let keys = keys.values();
            Some(Arc::new(BooleanArray::from(BooleanBuffer::collect_bool(keys.len(), |i| {
                is_true[keys[i] as usize]
            }))))
        }
        None => take(each.as_ref(), keys, None).ok(),
    }
}

/// The batch with other columns, of whatever types.
pub fn with_columns(batch: &RecordBatch, arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
    let schema = batch.schema();
    let names = schema.fields().iter().map(|f| f.name().as_str());
    named(names, arrays)
}

/// A batch of columns as they are.
pub fn named<'n>(names: impl Iterator<Item = &'n str>, arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
    let fields = names.zip(&arrays).map(|(name, a)| Field::new(name, a.data_type().clone(), true));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), arrays)?)
}

/// Set where the value is true: NULL is not.
pub fn truth(mask: &ArrayRef) -> Result<BooleanBuffer> {
    let mask = plain(mask)?;
    let mask = mask.as_boolean();
    Ok(match mask.nulls() {
        Some(valid) if valid.null_count() > 0 => mask.values() & valid.inner(),
        _ => mask.values().clone(),
    })
}
