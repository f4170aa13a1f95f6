//! Rows of a data file. The page index leads to the pages that have them, so a few rows cost a few pages.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;
use siltstone_engine::error::{Error, Result};
use siltstone_engine::lake::{FileRecord, Files};

use super::cause::Cause;
use super::input::Input;
use super::recent::Recent;
use super::storage::Storage;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Footers kept in memory.
const FOOTERS_MAX: usize = 256;

/// The footers of the files read lately, with their page indexes.
#[derive(Debug)]
pub(super) struct Footers(Recent<ArrowReaderMetadata>);

impl Footers {
    pub fn new() -> Self {
        Self(Recent::new(FOOTERS_MAX))
    }

    /// The footer of a file of the table there.
    pub fn get(
        &self,
        storage: &Storage,
        location: &str,
        file: &FileRecord,
    ) -> Result<Arc<ArrowReaderMetadata>> {
        let path = format!("{location}/{}", file.path);
        self.of(&path, || storage.open(&path))
    }

    /// Of a file that is gone.
    pub fn forget(&self, path: &str) {
        self.0.forget(path);
    }

    fn of(&self, path: &str, open: impl FnOnce() -> Result<Input>) -> Result<Arc<ArrowReaderMetadata>> {
        self.0.get(path, || {
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            ArrowReaderMetadata::load(&open()?, options).parsing(format!("reading the footer of {path}"))
        })
    }
}

/// Rows of a file as these columns.
pub(super) fn rows(
    storage: &Storage,
    footers: &Footers,
    path: String,
    columns: &[Field],
    rows: Range<u64>,
) -> Result<Files> {
    let input = storage.open(&path)?;
    let footer = footers.of(&path, || Ok(input.clone()))?;
    let schema = Arc::new(Schema::new(columns.to_vec()));
    let mut roots: Vec<usize> =
        columns.iter().filter_map(|column| footer.schema().index_of(column.name()).ok()).collect();
    roots.sort_unstable();
    roots.dedup();

    let part = Part::of(&footer, rows)?;
    let input = if input.is_remote() { input.fetch(part.ranges(&footer, &roots))? } else { input };
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, (*footer).clone())
        .with_projection(ProjectionMask::roots(footer.parquet_schema(), roots))
        .with_batch_size(BATCH_ROWS)
        .with_row_groups(part.groups);
    let builder = match part.selection {
        Some(selection) => builder.with_row_selection(selection),
        None => builder,
    };
    let reader = builder.build().parsing(format!("reading {path}"))?;
    Ok(Box::new(reader.map(move |batch| {
        let batch = batch.map_err(|error| Error::from(error).context(format!("reading {path}")))?;
        as_columns(&batch, &schema)
    })))
}

/// The rows of a file that are read.
struct Part {
    groups: Vec<usize>,
    /// Within these groups; `None` if it is all of them.
    selection: Option<RowSelection>,
    /// Within each of these groups.
    rows: Vec<Range<u64>>,
}

impl Part {
    fn of(footer: &ArrowReaderMetadata, wanted: Range<u64>) -> Result<Self> {
        let (mut groups, mut rows, mut start, mut all) = (Vec::new(), Vec::new(), 0, 0);
        for (i, group) in footer.metadata().row_groups().iter().enumerate() {
            let count = group.num_rows().unsigned_abs();
            let end = start + count;
            if start < wanted.end && wanted.start < end {
                groups.push(i);
                rows.push(wanted.start.max(start) - start..wanted.end.min(end) - start);
                all += count;
            }
            start = end;
        }
        let skipped = rows.first().map_or(0, |rows| rows.start);
        let selected: u64 = rows.iter().map(|rows| rows.end - rows.start).sum();
        let selection = if selected == all {
            None
        } else {
            let selectors = [
                RowSelector::skip(usize::try_from(skipped)?),
                RowSelector::select(usize::try_from(selected)?),
            ];
            Some(selectors.into_iter().filter(|selector| selector.row_count > 0).collect::<Vec<_>>().into())
        };
        Ok(Self { groups, selection, rows })
    }

    /// The bytes that have them in the columns at `roots`: whole pages, or chunks where there is no index.
    fn ranges(&self, footer: &ArrowReaderMetadata, roots: &[usize]) -> Vec<Range<u64>> {
        let metadata = footer.metadata();
        let mut ranges = Vec::new();
        for (&group, rows) in self.groups.iter().zip(&self.rows) {
            for &root in roots {
                // Our files are flat: a root is a leaf.
                let (start, length) = metadata.row_group(group).column(root).byte_range();
                let pages = metadata.offset_index().map(|index| index[group][root].page_locations());
                let Some(pages) = pages.filter(|pages| !pages.is_empty()) else {
                    ranges.push(start..start + length);
                    continue;
                };
                let first =
                    |at: usize| pages.get(at).map_or(u64::MAX, |page| page.first_row_index.unsigned_abs());
                let offset =
                    |at: usize| pages.get(at).map_or(start + length, |page| page.offset.unsigned_abs());
                if start < offset(0) {
                    ranges.push(start..offset(0));
                }
                let needed =
                    (0..pages.len()).filter(|&at| first(at) < rows.end && rows.start < first(at + 1));
                ranges.extend(needed.map(|at| offset(at)..offset(at + 1)));
            }
        }
        ranges
    }
}

/// The columns asked for: missing ones are NULL, narrower ones widened.
fn as_columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let column = |field: &Arc<Field>| -> Result<ArrayRef> {
        let Some(column) = batch.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), rows));
        };
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        let exact = CastOptions { safe: false, ..CastOptions::default() };
        Ok(cast_with_options(column, field.data_type(), &exact)?)
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
