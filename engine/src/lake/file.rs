//! A columnar file.

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::Totals;
use crate::error::Result;

/// A sequence of batches.
pub type Files = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A data file of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Below the table's location, with `/` between parts.
    pub path: String,
    /// The value of the table's transform that all its rows have; `None` for NULL, or if there is none.
    pub partition: Option<i32>,
    pub rows: u64,
    pub bytes: u64,
    /// Of its numeric columns, as they were written.
    #[serde(default)]
    pub totals: Totals,
}

/// Writes one file; dropped before its end it leaves garbage.
pub trait FileWriter: Send {
    /// Adds rows of the table's columns.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Bytes that it would have now, about.
    fn bytes(&self) -> u64;

    /// Ends the file, which [`super::Lake::sync`] makes durable; the answer are its bytes.
    fn finish(self: Box<Self>) -> Result<u64>;
}
