//! What leaves a worker's graph.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use crate::connector::{BadRow, Gap, SplitId};
use crate::error::Error;
use crate::lsm::RunRecord;
use crate::rollup::GroupTable;

/// A message from a worker to its pipeline's committer.
pub enum Emission {
    /// A view's groups of the epoch that is closing.
    Groups {
        view: u32,
        table: Box<GroupTable>,
    },
    /// A block of rows of a table, written ahead of its epoch.
    Kept(RecordBatch),
    /// Rows of a table in files, written ahead of their epoch.
    Filed(Vec<RunRecord>),
    /// Records that are not rows, or rows that a view could not take.
    Bad(Vec<ViewError>),
    Gap(Gap),
    /// A gap that ends the worker: its error comes next.
    Lost(Gap),
    /// The worker holds as much state as it may; it folds nothing more before a barrier.
    Full,
    /// The worker has read all it was given to its end.
    Idle,
    Barrier(Barrier),
    /// The worker has ended, by an error.
    Failed(Error),
}

/// A bad row; with a view, good for the source and bad for that view alone.
#[derive(Debug)]
pub struct ViewError {
    pub view: Option<String>,
    pub row: BadRow,
}

/// One worker's end of an epoch.
#[derive(Debug, Default)]
pub struct Barrier {
    /// Rows folded or kept.
    pub rows: u64,
    /// The next offset of each split that moved.
    pub progress: BTreeMap<SplitId, i64>,
    /// Splits read to their end.
    pub finished: Vec<SplitId>,
    /// Nothing is assigned to the worker that it has not read to its end.
    pub idle: bool,
}
