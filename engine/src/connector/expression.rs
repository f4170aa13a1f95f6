//! A compiled scalar expression, as the engine sees it.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use crate::error::Result;

/// Computes one value for each row of a batch: a group key, an argument, a filter, a generated column.
///
/// Deterministic and without side effects: the same row always gives the same value.
pub trait Expression: fmt::Debug + Send + Sync {
    fn data_type(&self) -> &DataType;

    /// One value a row.
    ///
    /// # Errors
    /// If any row has no value (a division by zero, a number out of range). The caller then evaluates
    /// row by row to find which.
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef>;

    /// If the expression is nothing but a column, which one.
    fn column(&self) -> Option<usize> {
        None
    }

    /// The columns it reads; `None`: any of them.
    fn columns(&self) -> Option<&[usize]> {
        None
    }

    /// A text that only expressions of the same meaning over the same columns share.
    fn identity(&self) -> Option<&str> {
        None
    }
}
