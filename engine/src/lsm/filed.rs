//! Runs that are files of the lake.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Field;

use super::bounds::{Bounds, Ends};
use super::range::key_at;
use super::{Batches, Run, RunFile, RunRecord, Store};
use crate::error::{Error, Result};
use crate::lake::{ColumnCondition, FileRecord, FileWriter, Totals};
use crate::rollup::{BLOCK_ROWS, Columnar, Layout};

/// The groups of a view's run at these positions, which count [`BLOCK_ROWS`] rows each.
pub(super) fn read_at(
    store: &Arc<Store>,
    layout: &Arc<Layout>,
    run: &Arc<Run>,
    positions: Range<u32>,
) -> Batches {
    let columnar = Columnar::new(layout.clone());
    let fields: Vec<Field> = columnar.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let block = BLOCK_ROWS as u64;
    let rows = u64::from(positions.start) * block..(u64::from(positions.end) * block).min(run.record.rows);
    let batches = read_rows(store, run, &fields, rows, &[]);
    Box::new(batches.map(move |batch| columnar.states(&batch?)))
}

/// Rows of a run that is a file, as these columns, perhaps without those that do not meet all conditions. It is opened when the first batch is asked for, and stays
/// while the iterator lives.
pub fn read_rows(
    store: &Arc<Store>,
    run: &Arc<Run>,
    columns: &[Field],
    rows: Range<u64>,
    conditions: &[ColumnCondition],
) -> Batches {
    let (store, run, columns) = (store.clone(), run.clone(), columns.to_vec());
    let conditions = conditions.to_vec();
    let mut open: Option<Batches> = None;
    let mut ended = false;
    Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let begin = || -> Result<Batches> {
            let own = run.record.file.as_ref();
            let own = own.ok_or_else(|| Error::corrupt(format!("run {} is no file", run.record.run)))?;
            store.lake()?.read(&own.location, &own.file, &columns, rows.clone(), &conditions)
        };
        if open.is_none() {
            match begin() {
                Ok(batches) => open = Some(batches),
                Err(error) => {
                    ended = true;
                    return Some(Err(error));
                }
            }
        }
        let next = open.as_mut().and_then(Iterator::next);
        ended = next.as_ref().is_none_or(Result::is_err);
        next
    }))
}

/// The bounds of blocks of [`BLOCK_ROWS`] rows, from the rows one behind the other.
pub struct BoundsBuilder {
    /// `None` for rows without an order.
    layout: Option<Arc<Layout>>,
    ends: Vec<Option<Ends>>,
    /// The keys of the first row and the last of the block that is not full yet, and its rows.
    first: Vec<u8>,
    last: Vec<u8>,
    open_rows: usize,
}

impl BoundsBuilder {
    pub fn new(layout: Option<Arc<Layout>>) -> Self {
        let layout = layout.filter(|layout| !layout.keys.is_empty());
        Self { layout, ends: Vec::new(), first: Vec::new(), last: Vec::new(), open_rows: 0 }
    }

    /// Adds rows, the keys in their first columns.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut start = 0;
        while start < batch.num_rows() {
            let rows = (BLOCK_ROWS - self.open_rows).min(batch.num_rows() - start);
            if let Some(layout) = &self.layout {
                if self.open_rows == 0 {
                    self.first = key_at(layout, batch, start)?;
                }
                self.last = key_at(layout, batch, start + rows - 1)?;
            }
            start += rows;
            self.open_rows += rows;
            if self.open_rows == BLOCK_ROWS {
                self.end_block();
            }
        }
        Ok(())
    }

    fn end_block(&mut self) {
        self.ends.push(self.layout.as_ref().map(|_| Ends::new(&self.first, &self.last)));
        self.open_rows = 0;
    }

    /// The number of blocks, and between which keys they stand.
    pub fn finish(mut self) -> Result<(u32, Bounds)> {
        if self.open_rows > 0 {
            self.end_block();
        }
        Ok((u32::try_from(self.ends.len())?, Bounds::of(self.ends)))
    }
}

/// Writes a view's groups, in the order of their keys, as one file, and the record of its run.
pub struct StateFile {
    columnar: Columnar,
    file: Box<dyn FileWriter>,
    record: RunRecord,
    bounds: BoundsBuilder,
    totals: Totals,
}

impl StateFile {
    pub fn begin(store: &Store, relation: u32, layout: &Arc<Layout>, file: Box<dyn FileWriter>) -> Self {
        Self {
            columnar: Columnar::new(layout.clone()),
            file,
            record: RunRecord { relation, run: store.allocate_run(), ..RunRecord::default() },
            bounds: BoundsBuilder::new(Some(layout.clone())),
            totals: Totals::default(),
        }
    }

    /// Bytes so far, about.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    pub fn write(&mut self, states: &RecordBatch) -> Result<()> {
        let rows = self.columnar.rows(states)?;
        self.bounds.add(&rows)?;
        self.totals.add(&rows)?;
        self.record.rows += rows.num_rows() as u64;
        self.file.write(&rows)
    }

    /// Ends the file, which is durable then, at `path` below the table's `location`.
    pub fn finish(self, location: &str, path: String, partition: Option<i32>) -> Result<RunRecord> {
        let bytes = self.file.finish()?;
        let mut record = self.record;
        (record.blocks, record.bounds) = self.bounds.finish()?;
        record.bytes = bytes;
        let file = FileRecord { path, partition, rows: record.rows, bytes, totals: self.totals };
        record.file = Some(RunFile { location: location.to_owned(), file, committed: false });
        Ok(record)
    }
}
