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
    order: Vec<(u32, u32)>,
    /// The partitions, and which of the rows are theirs.
    pub parts: Vec<(Option<i32>, Range<usize>)>,
}

impl<'r> Sorted<'r> {
    pub fn new(batches: &'r [RecordBatch], target: &Target) -> Result<Self> {
        let mut order = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for (batch, rows) in batches.iter().enumerate() {
            let (batch, rows) = (u32::try_from(batch)?, u32::try_from(rows.num_rows())?);
            order.extend((0..rows).map(|row| (batch, row)));
        }
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
        self.order[range].chunks(CHUNK_ROWS).map(|chunk| {
            let chunk: Vec<_> = chunk.iter().map(|&(batch, row)| (batch as usize, row as usize)).collect();
            Ok(interleave_record_batch(&self.batches, &chunk)?)
        })
    }
}

fn is_sorted(column: &ArrayRef) -> Result<bool> {
    if column.len() < 2 || column.null_count() > 0 {
        return Ok(column.len() < 2);
    }
    let (before, behind) = (column.slice(0, column.len() - 1), column.slice(1, column.len() - 1));
    Ok(lt_eq(&before, &behind)?.false_count() == 0)
}
