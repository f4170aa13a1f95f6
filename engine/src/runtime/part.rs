//! Parts of a table's kept rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::error::Result;
use crate::lsm::Run;

/// A blocking sequence of batches.
pub type BatchIter = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A part of a table's kept rows that can be read by itself.
#[derive(Clone, Debug)]
pub struct RowPart {
    /// Of its run.
    pub(super) rows: Range<u64>,
    /// All times of its rows are within those that were asked for.
    pub(super) is_within: bool,
    pub(super) run: Arc<Run>,
}

/// Tells parts of rows apart: rows never change, so what was computed of a part stays true of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId {
    run: u64,
    start: u64,
}

impl RowPart {
    pub fn id(&self) -> RunId {
        RunId { run: self.run.record.run, start: self.rows.start }
    }

    /// Rows of it.
    pub fn rows(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}
