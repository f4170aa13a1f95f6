//! Collects decoded rows and bad ones: a row is taken whole or not at all.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use siltstone_engine::connector::{BadRow, Decoded, Origin, SplitId};
use siltstone_engine::error::Result;

use super::column::Column;

/// The rows of one payload.
#[derive(Debug)]
pub(crate) struct Gather {
    schema: SchemaRef,
    pub(crate) columns: Vec<Column>,
    origins: Vec<Origin>,
    bad: Vec<BadRow>,
}

impl Gather {
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self> {
        let columns = schema.fields().iter().map(|f| Column::new(f)).collect::<Result<_>>()?;
        Ok(Self { schema: schema.clone(), columns, origins: Vec::new(), bad: Vec::new() })
    }

    /// Takes the row that was added to every column.
    pub(crate) fn accept(&mut self, origin: Origin) {
        debug_assert!(self.columns.iter().all(|c| c.len() == self.origins.len() + 1));
        self.origins.push(origin);
    }

    /// Takes back what the row has added to some columns, and keeps its record as a bad one.
    #[cold]
    pub(crate) fn reject(&mut self, split: &SplitId, offset: i64, reason: String, raw: Option<&[u8]>) {
        for column in &mut self.columns {
            column.truncate(self.origins.len());
        }
        self.bad.push(BadRow::new(split, offset, reason, raw));
    }

    /// Everything taken so far; it is empty afterwards.
    pub(crate) fn finish(&mut self) -> Result<Decoded> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(self.origins.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &rows)?;
        let room = Vec::with_capacity(self.origins.len());
        let origins = std::mem::replace(&mut self.origins, room);
        Ok(Decoded { batch, origins, bad: std::mem::take(&mut self.bad) })
    }
}
