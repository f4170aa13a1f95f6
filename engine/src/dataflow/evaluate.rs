//! Evaluating expressions over a batch in which some rows may have no value.
//!
//! The whole batch first; only if that fails, row by row, so that the rows that have a value keep it.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_empty_array};
use arrow::compute::{concat, take_record_batch};

use crate::connector::Expression;
use crate::error::Result;

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
                parts.iter_mut().zip(values).for_each(|(part, value)| part.push(value));
            }
            Err(e) => bad.push((row, e.to_string())),
        }
    }
    let mut values = Vec::with_capacity(expressions.len());
    for (part, expression) in parts.iter().zip(expressions) {
        let arrays: Vec<&dyn arrow::array::Array> = part.iter().map(AsRef::as_ref).collect();
        values.push(if arrays.is_empty() {
            new_empty_array(expression.data_type())
        } else {
            concat(&arrays)?
        });
    }
    Ok((values, bad, Some(good)))
}

fn all(expressions: &[&dyn Expression], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    expressions.iter().map(|e| e.evaluate(batch)).collect()
}
