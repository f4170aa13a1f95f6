//! What a reader wants of a column, so that rows which have other values can be left out.

use arrow::array::ArrayRef;

/// Values of a column: of its type, and not NULL.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Any of these.
    OneOf(ArrayRef),
    /// No less than this one, of an array of length 1, or greater if it is not `inclusive`.
    From { value: ArrayRef, inclusive: bool },
    /// No more than this one, of an array of length 1, or less if it is not `inclusive`.
    To { value: ArrayRef, inclusive: bool },
}

/// What is wanted of the column of that name.
#[derive(Clone, Debug)]
pub struct ColumnCondition {
    pub column: String,
    pub wanted: Wanted,
}
