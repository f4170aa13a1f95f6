//! Keep: the rows of a `CREATE TABLE`, gathered into blocks or, where many come at once, into files.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::Emission;
use super::operator::{Operator, Output, Packet};
use crate::error::Result;
use crate::lsm::RunRecord;
use crate::rollup::plain;

/// Rows in one block of kept rows.
const KEEP_ROWS: usize = 64 << 10;

/// Bytes after which a block is closed early.
const KEEP_BYTES: usize = 2 << 20;

/// Writes rows as files of the lake while their epoch is open.
pub trait RowFiles: Send + Sync + Debug {
    /// Bytes of rows that are gathered for it.
    fn bytes(&self) -> usize;

    /// The runs of the files, which are not durable yet; `None` if they would be too small, and nothing was written.
    fn write(&self, rows: &[RecordBatch]) -> Result<Option<Vec<RunRecord>>>;
}

pub struct Keep {
    schema: SchemaRef,
    files: Option<Arc<dyn RowFiles>>,
    held: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Keep {
    pub fn new(schema: SchemaRef, files: Option<Arc<dyn RowFiles>>) -> Self {
        Self { schema, files, held: Vec::new(), rows: 0, bytes: 0 }
    }

    fn is_full(&self) -> bool {
        match &self.files {
            Some(files) => self.bytes >= files.bytes(),
            None => self.rows >= KEEP_ROWS || self.bytes >= KEEP_BYTES,
        }
    }

    fn flush(&mut self, out: &mut Output) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let Some(first) = held.first() else {
            return Ok(());
        };
        if let Some(runs) = self.files.as_ref().map(|files| files.write(&held)).transpose()?.flatten() {
            out.emissions.push(Emission::Filed(runs));
            return Ok(());
        }
        let all = concat_batches(&first.schema(), &held)?;
        for start in (0..rows).step_by(KEEP_ROWS) {
            out.emissions.push(Emission::Kept(all.slice(start, KEEP_ROWS.min(rows - start))));
        }
        Ok(())
    }
}

impl Operator for Keep {
    fn process(&mut self, packet: Packet, out: &mut Output) -> Result<()> {
        let Packet::Rows(rows) = packet else {
            return Ok(());
        };
        let columns = rows.batch.columns().iter().map(plain).collect::<Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.held.push(batch);
        if self.is_full() { self.flush(out) } else { Ok(()) }
    }

    fn barrier(&mut self, out: &mut Output) -> Result<()> {
        self.flush(out)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
