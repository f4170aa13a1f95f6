//! Writing the blocks of a run.
//!
//! A small run goes through the journal, with the commit's own fsync. A large one is ingested in bulk as
//! finished files, which costs a fraction (`docs/format.md`) and fsyncs by itself.

use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::block;
use super::bounds::{Bounds, Ends};
use super::range::key_at;
use super::record::{RunRecord, key};
use super::store::Store;
use crate::error::{Error, Result};
use crate::rollup::{BLOCK_ROWS, Layout};

/// Encoded bytes above which a run is ingested instead of journalled.
const INGEST_BYTES_MIN: usize = 8 << 20;

/// A block's bytes, made on whatever thread.
#[derive(Debug)]
pub struct Block {
    rows: u64,
    bytes: Vec<u8>,
    ends: Option<Ends>,
}

impl Block {
    /// Rows in any order.
    pub fn new(batch: &RecordBatch) -> Result<Self> {
        Ok(Self { rows: batch.num_rows() as u64, bytes: block::encode(batch)?, ends: None })
    }

    /// Groups in the order of their keys, at least one.
    pub fn sorted(batch: &RecordBatch, layout: &Layout) -> Result<Self> {
        let mut block = Self::new(batch)?;
        if !layout.keys.is_empty() && batch.num_rows() > 0 {
            let (first, last) = (key_at(layout, batch, 0)?, key_at(layout, batch, batch.num_rows() - 1)?);
            block.ends = Some(Ends::new(&first, &last));
        }
        Ok(block)
    }
}

/// Writes one run, block by block in key order.
pub struct RunWriter<'s> {
    store: &'s Store,
    record: RunRecord,
    /// Of what is written row by row, if it is sorted.
    layout: Option<Arc<Layout>>,
    /// Of the blocks so far.
    ends: Vec<Option<Ends>>,
    /// Batches that do not fill a block yet.
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    /// Blocks held back until it is clear how large the run is.
    held: Vec<Vec<u8>>,
    held_bytes: usize,
    ingestion: Option<Ingestion<'s>>,
}

/// A bulk ingestion, as a function of its next step: fjall does not name its type.
type Ingestion<'s> = Box<dyn FnMut(Step) -> Result<()> + 's>;

enum Step {
    Write(Vec<u8>, Vec<u8>),
    Finish,
}

fn ingestion(store: &Store) -> Result<Ingestion<'_>> {
    let mut open = Some(store.blocks().start_ingestion().map_err(failed)?);
    Ok(Box::new(move |step| match (step, &mut open) {
        (Step::Write(key, value), Some(open)) => open.write(key, value).map_err(failed),
        (Step::Finish, open) => open.take().map_or(Ok(()), |open| open.finish().map_err(failed)),
        (Step::Write(..), None) => Ok(()),
    }))
}

impl<'s> RunWriter<'s> {
    /// Begins a new run of a relation; it exists only when its record is committed.
    pub fn begin(store: &'s Store, relation: u32) -> Self {
        let record = RunRecord { relation, run: store.allocate_run(), ..RunRecord::default() };
        Self {
            store,
            record,
            layout: None,
            ends: Vec::new(),
            pending: Vec::new(),
            pending_rows: 0,
            held: Vec::new(),
            held_bytes: 0,
            ingestion: None,
        }
    }

    /// What is written from here on are groups of this layout, in the order of their keys.
    #[must_use]
    pub fn sorted(mut self, layout: Arc<Layout>) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Adds rows, in blocks of [`BLOCK_ROWS`].
    pub fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.pending_rows += batch.num_rows();
        self.pending.push(batch);
        if self.pending_rows >= BLOCK_ROWS { self.cut(BLOCK_ROWS) } else { Ok(()) }
    }

    /// Writes pending rows as blocks while there are at least `rows_min` of them.
    fn cut(&mut self, rows_min: usize) -> Result<()> {
        let Some(first) = self.pending.first() else {
            return Ok(());
        };
        let all = concat_batches(&first.schema(), &self.pending)?;
        self.pending.clear();
        let mut start = 0;
        while all.num_rows() - start >= rows_min.max(1) {
            let rows = BLOCK_ROWS.min(all.num_rows() - start);
            self.write_block(&all.slice(start, rows))?;
            start += rows;
        }
        self.pending_rows = all.num_rows() - start;
        if self.pending_rows > 0 {
            self.pending.push(all.slice(start, self.pending_rows));
        }
        Ok(())
    }

    /// Adds one block.
    pub fn write_block(&mut self, batch: &RecordBatch) -> Result<()> {
        let block = match &self.layout {
            Some(layout) => Block::sorted(batch, layout)?,
            None => Block::new(batch)?,
        };
        self.write_encoded(block)
    }

    /// Adds one block that is encoded already.
    pub fn write_encoded(&mut self, block: Block) -> Result<()> {
        self.record.rows += block.rows;
        self.record.bytes += block.bytes.len() as u64;
        self.held_bytes += block.bytes.len();
        self.held.push(block.bytes);
        self.ends.push(block.ends);
        if self.ingestion.is_some() || self.held_bytes >= INGEST_BYTES_MIN {
            self.ingest()?;
        }
        Ok(())
    }

    fn ingest(&mut self) -> Result<()> {
        let bulk = match &mut self.ingestion {
            Some(open) => open,
            none => none.insert(ingestion(self.store)?),
        };
        for bytes in self.held.drain(..) {
            let key = key::block(self.record.relation, self.record.run, self.record.blocks);
            bulk(Step::Write(key, bytes))?;
            self.record.blocks += 1;
        }
        self.held_bytes = 0;
        Ok(())
    }

    /// Ends the run. Its blocks are durable once the commit that adds the record is; `None` if there were
    /// none. `epoch` is that of a compacted run; 0 lets the commit set its own.
    pub fn finish(mut self, epoch: u64) -> Result<Option<RunRecord>> {
        self.cut(1)?;
        self.record.epoch = epoch;
        self.record.bounds = Bounds::of(std::mem::take(&mut self.ends));
        if let Some(mut bulk) = self.ingestion.take() {
            bulk(Step::Finish)?;
            // Its tables are fsynced by `finish`, the folder of its blob files is not.
            let folder = self.store.blocks().path().join("blobs");
            if folder.is_dir() {
                File::open(&folder)
                    .and_then(|f| f.sync_all())
                    .map_err(|e| Error::io(format!("fsync of {}", folder.display()), e))?;
            }
        }
        for bytes in self.held.drain(..) {
            let key = key::block(self.record.relation, self.record.run, self.record.blocks);
            self.store.blocks().insert(key, bytes).map_err(failed)?;
            self.record.blocks += 1;
        }
        Ok((self.record.blocks > 0).then_some(self.record))
    }
}

fn failed(e: fjall::Error) -> Error {
    Error::io("writing blocks", e)
}
