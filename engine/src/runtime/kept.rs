//! The kept rows of a table, read again as a source: what a view created later begins with.
//!
//! A split is a run of kept rows; its offset counts rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, SchemaRef};

use crate::connector::{
    Decoded, Decoder, Fetch, Payload, Poll, Source, SourceDefinition, Split, SplitId, SplitReader,
    without_unread,
};
use crate::error::{Error, Result};
use crate::lsm::{Batches, BlockReader, Run, Store, Version, read_rows};

/// What the names of its splits begin with.
const RUN: &str = "run/";

/// A table's kept rows at one version.
pub struct KeptRows {
    store: Arc<Store>,
    version: Arc<Version>,
    table: u32,
    /// The physical columns, since generated ones are computed again.
    schema: SchemaRef,
}

impl KeptRows {
    pub fn new(store: Arc<Store>, version: Arc<Version>, table: u32, definition: &SourceDefinition) -> Self {
        Self { store, version, table, schema: definition.physical_schema() }
    }

    fn id(run: &Run) -> SplitId {
        format!("{RUN}{}", run.record.run).into()
    }

    /// The name is that of a split of kept rows.
    pub fn is_split(id: &str) -> bool {
        id.strip_prefix(RUN).is_some_and(|run| run.parse::<u64>().is_ok())
    }

    /// All kept rows as splits, each with its end.
    pub fn splits(&self) -> Vec<Split> {
        let split = |run: &Arc<Run>| Split {
            id: Self::id(run),
            start: 0,
            end: i64::try_from(run.record.rows).ok(),
            detail: String::new(),
        };
        self.version.runs(self.table).iter().map(split).collect()
    }
}

impl Source for KeptRows {
    fn discover(&self, _known: &[Split]) -> Result<Vec<Split>> {
        Ok(self.splits())
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn is_replayable(&self) -> bool {
        true
    }

    fn reader(&self) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(Reader {
            store: self.store.clone(),
            runs: self.version.runs(self.table).to_vec(),
            columns: self.schema.fields().iter().map(|field| field.as_ref().clone()).collect(),
            open: Vec::new(),
        }))
    }

    fn decoder(&self, wanted: &[bool]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(Through { schema: self.schema.clone(), wanted: wanted.to_vec() }))
    }

    fn ends(&self, _splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        Ok(self.splits().into_iter().filter_map(|s| Some((s.id, s.end?))).collect())
    }
}

struct Reader {
    store: Arc<Store>,
    runs: Vec<Arc<Run>>,
    columns: Vec<Field>,
    open: Vec<(SplitId, i64, Batches)>,
}

impl SplitReader for Reader {
    fn assign(&mut self, split: &Split, from: i64) -> Result<()> {
        let run = self.runs.iter().find(|r| KeptRows::id(r) == split.id);
        let run = run.ok_or_else(|| Error::corrupt(format!("kept rows {} are missing", split.id)))?;
        let batches = match run.record.is_hot() {
            true => skip_rows(self.store.read(run, BlockReader::new(self.columns.clone())), from),
            false => {
                let rows = u64::try_from(from).unwrap_or(0)..run.record.rows;
                read_rows(&self.store, run, &self.columns, rows, &[])
            }
        };
        self.open.push((split.id.clone(), from, batches));
        Ok(())
    }

    fn poll(&mut self, _rows_max: usize, _timeout: Duration) -> Result<Poll> {
        let Some((split, next, batches)) = self.open.last_mut() else {
            return Ok(Poll::Idle);
        };
        match batches.next().transpose()? {
            Some(batch) => {
                let offset = *next;
                *next += batch.num_rows() as i64;
                let progress = vec![(split.clone(), *next)];
                Ok(Poll::Records(Fetch {
                    payload: Payload::Rows { split: split.clone(), offset, batch },
                    progress,
                }))
            }
            None => {
                let split = split.clone();
                self.open.pop();
                Ok(Poll::Finished(split))
            }
        }
    }
}

/// The batches without their first `rows` rows.
fn skip_rows(batches: Batches, rows: i64) -> Batches {
    let mut skip = usize::try_from(rows).unwrap_or(0);
    Box::new(batches.filter_map(move |batch| match batch {
        Ok(batch) if batch.num_rows() <= skip => {
            skip -= batch.num_rows();
            None
        }
        Ok(batch) => {
            let start = std::mem::take(&mut skip);
            Some(Ok(batch.slice(start, batch.num_rows() - start)))
        }
        Err(e) => Some(Err(e)),
    }))
}

/// Rows are decoded already.
struct Through {
    schema: SchemaRef,
    wanted: Vec<bool>,
}

impl Decoder for Through {
    fn decode(&mut self, payload: &Payload) -> Result<Decoded> {
        let batch = match payload {
            Payload::Rows { batch, .. } => batch.clone(),
            _ => RecordBatch::new_empty(self.schema.clone()),
        };
        Ok(Decoded { batch: without_unread(&batch, &self.wanted)?, origins: Vec::new(), bad: Vec::new() })
    }
}
