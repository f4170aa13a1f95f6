//! Collects decoded rows and bad ones: a row is taken whole or not at all.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use siltstone_engine::connector::{BadRow, Decoded, Origin, SplitId};
use siltstone_engine::error::Result;

use super::column::Column;
use super::fill::Cells;

/// The rows of one payload.
#[derive(Debug)]
pub(crate) struct Gather {
    /// The columns' types as they were given out last.
    schema: SchemaRef,
    pub(crate) columns: Vec<Column>,
    origins: Vec<Origin>,
    bad: Vec<BadRow>,
}

impl Gather {
    /// Columns of `schema`, those without a flag in `wanted` as such that nobody reads.
    pub(crate) fn new(schema: &SchemaRef, wanted: &[bool]) -> Result<Self> {
        let wanted = wanted.iter().copied().chain(std::iter::repeat(true));
        let columns = schema.fields().iter().zip(wanted).map(|(f, wanted)| Column::decoded(f, wanted));
        let columns = columns.collect::<Result<_>>()?;
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

    /// Takes rows column by column. `cells` tells where a column's values stand in some of the rows. A row
    /// with a value that is not plainly one is left to `alone`, which accepts or rejects it, in its turn.
    pub(crate) fn take<C: Cells>(
        &mut self,
        rows: usize,
        cells: impl Fn(usize, Range<usize>) -> C,
        origin: impl Fn(usize) -> Origin,
        mut alone: impl FnMut(&mut Self, usize),
    ) {
        // Rows tried at once: few behind a row that was not plain, lest all be tried again for each.
        let (mut next, mut most) = (0, rows);
        while next < rows {
            let tried = next..rows.min(next.saturating_add(most));
            let plain = self.take_plain(tried.clone(), &cells);
            self.origins.extend((next..next + plain).map(&origin));
            next += plain;
            if next < tried.end {
                alone(self, next);
                next += 1;
                most = 1;
            } else {
                most = most.saturating_mul(2);
            }
        }
    }

    /// Adds rows to every column up to the first that is not plain, and answers how many.
    fn take_plain<C: Cells>(
        &mut self,
        tried: Range<usize>,
        cells: impl Fn(usize, Range<usize>) -> C,
    ) -> usize {
        let mut plain = tried.len();
        for (number, column) in self.columns.iter_mut().enumerate() {
            plain = column.fill(&cells(number, tried.start..tried.start + plain));
        }
        for column in &mut self.columns {
            column.truncate(self.origins.len() + plain);
        }
        plain
    }

    /// Everything taken so far; it is empty afterwards.
    pub(crate) fn finish(&mut self) -> Result<Decoded> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>>>()?;
        self.adapt_schema(&arrays);
        let rows = RecordBatchOptions::new().with_row_count(Some(self.origins.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &rows)?;
        let room = Vec::with_capacity(self.origins.len());
        let origins = std::mem::replace(&mut self.origins, room);
        Ok(Decoded { batch, origins, bad: std::mem::take(&mut self.bad) })
    }

    /// A column may come as another type than it was declared with, and not always as the same.
    fn adapt_schema(&mut self, arrays: &[ArrayRef]) {
        let pairs = || self.schema.fields().iter().zip(arrays);
        if pairs().all(|(field, array)| field.data_type() == array.data_type()) {
            return;
        }
        let fields = pairs().map(|(field, array)| {
            let data_type = array.data_type().clone();
            let nullable = field.is_nullable() || data_type == DataType::Null;
            Arc::new(field.as_ref().clone().with_data_type(data_type).with_nullable(nullable))
        });
        let fields = fields.collect::<Vec<_>>();
        self.schema = Arc::new(Schema::new_with_metadata(fields, self.schema.metadata().clone()));
    }
}
