//! Rows of several batches in the order of their table's files, cut by partition. Only the column that they are
//! sorted by is looked at first; the others are gathered a page at a time, on their way to a file.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::kernels::cmp::lt_eq;
use arrow::compute::{SortOptions, concat, interleave_record_batch, sort_to_indices};

use super::cut::partitions;
use super::target::Target;
use crate::error::Result;

/// Rows that are gathered at once.
const CHUNK_ROWS: usize = 8192;

/// Rows in an order.
pub struct Sorted<'r> {
    batches: Vec<&'r RecordBatch>,
    /// Batch and row of each.
    order: Vec<(usize, usize)>,
    /// The partitions, and which of the rows are theirs.
    pub parts: Vec<(Option<i32>, Range<usize>)>,
}

impl<'r> Sorted<'r> {
    pub fn new(batches: &'r [RecordBatch], target: &Target) -> Result<Self> {
        let rows = batches.iter().enumerate();
        let mut order: Vec<(usize, usize)> =
            rows.flat_map(|(batch, rows)| (0..rows.num_rows()).map(move |row| (batch, row))).collect();
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        let Some(by) = target.spec.partition.filter(|_| !order.is_empty()) else {
            let parts = vec![(None, 0..order.len())];
            return Ok(Self { batches, order, parts });
        };
        let columns: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(by.column).as_ref()).collect();
        let column = concat(&columns)?;
        let mut values = partitions(&column, by.transform)?;
        if !is_sorted(&column)? {
            let options = SortOptions { descending: false, nulls_first: true };
            let sorted = sort_to_indices(&column, Some(options), None)?;
            order = sorted.values().iter().map(|&i| order[i as usize]).collect();
            values = sorted.values().iter().map(|&i| values[i as usize]).collect();
        }
        let mut start = 0;
        let parts = values.chunk_by(|a, b| a == b).map(|chunk| {
            let range = start..start + chunk.len();
            start = range.end;
            (chunk[0], range)
        });
        Ok(Self { parts: parts.collect(), batches, order })
    }

    /// Some of the rows, in batches.
    pub fn rows(&self, range: Range<usize>) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
        self.order[range].chunks(CHUNK_ROWS).map(|chunk| Ok(interleave_record_batch(&self.batches, chunk)?))
    }
}

fn is_sorted(column: &ArrayRef) -> Result<bool> {
    if column.len() < 2 || column.null_count() > 0 {
        return Ok(column.len() < 2);
    }
    let (before, behind) = (column.slice(0, column.len() - 1), column.slice(1, column.len() - 1));
    Ok(lt_eq(&before, &behind)?.false_count() == 0)
}
