//! What the first rows of a file tell of a column: how its values are best written, and whether their bounds say
//! anything.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, max, max_string, min, min_string};
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::{RowConverter, SortField};
use hashbrown::HashSet;
use siltstone_engine::error::Result;

/// Rows whose values are counted.
const COUNTED_ROWS: usize = 1 << 12;

/// Values are called distinct where more than this part of those that were counted differ.
const DISTINCT_PART_MAX: f64 = 0.7;

/// Values creep where the steps between them span less than this part of what the values span.
const STEPS_PART_MAX: u64 = 16;

/// The bounds of fewer rows say little.
const STRETCH_ROWS_MIN: usize = 512;

/// Texts are scattered where fewer than one in so many is beyond the bounds of other rows.
const BEYOND_PART: usize = 20;

/// How the values of a column follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Most values differ: a dictionary would be as large as they are.
    pub is_distinct: bool,
    /// Whole numbers of which each is near the one before.
    pub is_creeping: bool,
    /// Distinct texts in no order at all: each page has values from one end to the other.
    pub is_scattered: bool,
}

impl Shape {
    /// The shape of one column of these rows.
    pub fn of(sample: &[RecordBatch], column: usize) -> Result<Self> {
        let Some(first) = sample.first() else { return Ok(Self::default()) };
        let values = first.column(column);
        let values = values.slice(0, values.len().min(COUNTED_ROWS));
        if !is_distinct(&values)? {
            return Ok(Self::default());
        }
        let is_scattered = match sample {
            [first, .., last] => is_scattered(first.column(column), last.column(column)),
            _ => false,
        };
        Ok(Self { is_distinct: true, is_creeping: is_creeping(&values)?, is_scattered })
    }
}

fn is_distinct(values: &ArrayRef) -> Result<bool> {
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(values))?;
    let valid = values.len() - values.null_count();
    let distinct = rows.iter().collect::<HashSet<_>>().len() - usize::from(values.null_count() > 0);
    Ok(distinct as f64 > valid as f64 * DISTINCT_PART_MAX)
}

fn is_creeping(values: &ArrayRef) -> Result<bool> {
    let is_whole = matches!(
        values.data_type(),
        DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) | DataType::Time64(_)
    );
    if !is_whole || values.null_count() > 0 || values.len() < 2 {
        return Ok(false);
    }
    let values = cast(values, &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    let steps: Option<Int64Array> =
        values.values().windows(2).map(|pair| pair[1].checked_sub(pair[0]).map(Some)).collect();
    let span = |values: &Int64Array| Some(max(values)?.abs_diff(min(values)?));
    let (Some(steps), Some(all)) = (steps.as_ref().and_then(span), span(values)) else { return Ok(false) };
    Ok(steps < all / STEPS_PART_MAX)
}

/// Whether two stretches of texts have the same bounds, all but a few of their values.
fn is_scattered(a: &ArrayRef, b: &ArrayRef) -> bool {
    let (Some(a), Some(b)) = (a.as_string_opt::<i32>(), b.as_string_opt::<i32>()) else { return false };
    let is_within = |values: &StringArray, other: &StringArray| {
        let (Some(min), Some(max)) = (min_string(other), max_string(other)) else { return false };
        let beyond = values.iter().flatten().filter(|&value| value < min || value > max).count();
        values.len() >= STRETCH_ROWS_MIN && beyond * BEYOND_PART < values.len()
    };
    is_within(a, b) && is_within(b, a)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::TimestampMicrosecondArray;

    use super::*;

    fn shape(stretches: [ArrayRef; 2]) -> Shape {
        let batch = |values| RecordBatch::try_from_iter([("c", values)]).expect("a column");
        Shape::of(&stretches.map(batch), 0).expect("the shape of a column")
    }

    fn texts(text: impl Fn(u64) -> String) -> Shape {
        let stretch = |range: std::ops::Range<u64>| {
            Arc::new(StringArray::from_iter_values(range.map(&text))) as ArrayRef
        };
        shape([stretch(0..1000), stretch(1000..2000)])
    }

    #[test]
    fn texts_are_told_apart_by_their_order() {
        let distinct = Shape { is_distinct: true, ..Shape::default() };
        let mixed = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert_eq!(texts(|i| format!("{:x}", mixed(i))), Shape { is_scattered: true, ..distinct });
        assert_eq!(texts(|i| format!("{i:08}-{:x}", mixed(i))), distinct);
        assert_eq!(texts(|i| format!("{}", i % 100)), Shape::default());
    }

    #[test]
    fn times_creep_and_hashes_do_not() {
        let distinct = Shape { is_distinct: true, ..Shape::default() };
        let shape_of = |value: fn(i64) -> i64| {
            let stretch = |range: std::ops::Range<i64>| {
                Arc::new(TimestampMicrosecondArray::from_iter_values(range.map(value))) as ArrayRef
            };
            shape([stretch(0..1000), stretch(1000..2000)])
        };
        let creeping = Shape { is_creeping: true, ..distinct };
        assert_eq!(shape_of(|i| 1_700_000_000_000_000 + i * 1_000_000 + i % 7 * 1000), creeping);
        assert_eq!(shape_of(|i| i.wrapping_mul(0x1e37_79b9_7f4a_7c15)), distinct);
        assert_eq!(shape_of(|i| if i % 2 == 0 { i64::MIN } else { i }), Shape::default());
    }
}
