//! Which rows count: validity and filter in one mask, walked without a branch for each row where all do.

use arrow::array::Array;
use arrow::buffer::BooleanBuffer;

/// Calls `each` with the index of every row that counts: valid in `values` and set in `mask`.
pub(super) fn for_each(values: &dyn Array, mask: Option<&BooleanBuffer>, mut each: impl FnMut(usize)) {
    let valid = values.nulls().filter(|n| n.null_count() > 0).map(arrow::buffer::NullBuffer::inner);
    match (valid, mask) {
        (None, None) => (0..values.len()).for_each(each),
        (Some(one), None) | (None, Some(one)) => one.set_indices().for_each(each),
        (Some(a), Some(b)) => (a & b).set_indices().for_each(&mut each),
    }
}
