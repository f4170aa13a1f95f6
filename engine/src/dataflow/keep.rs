//! Keep: the rows of a `CREATE TABLE`, gathered into blocks.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::Emission;
use super::evaluate::plain;
use super::operator::{Operator, Output, Packet};
use crate::error::Result;

/// Rows in one block of kept rows.
const KEEP_ROWS: usize = 64 << 10;

/// Bytes after which a block is closed early.
const KEEP_BYTES: usize = 2 << 20;

pub struct Keep {
    schema: SchemaRef,
    held: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Keep {
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, held: Vec::new(), rows: 0, bytes: 0 }
    }

    fn flush(&mut self, out: &mut Output) -> Result<()> {
        let Some(first) = self.held.first() else {
            return Ok(());
        };
        out.emissions.push(Emission::Kept(concat_batches(&first.schema(), &self.held)?));
        self.held.clear();
        (self.rows, self.bytes) = (0, 0);
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
        if self.rows >= KEEP_ROWS || self.bytes >= KEEP_BYTES { self.flush(out) } else { Ok(()) }
    }

    fn barrier(&mut self, out: &mut Output) -> Result<()> {
        self.flush(out)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
