//! Rows of a data file. The page index leads to the pages that have them, so a few rows cost a few pages.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Encoding;
use parquet::file::metadata::PageIndexPolicy;
use siltstone_engine::error::{Error, Result};
use siltstone_engine::lake::{ColumnCondition, FileRecord, Files};

use super::cause::Cause;
use super::input::Input;
use super::prune::{Pruner, both};
use super::recent::Recent;
use super::storage::Storage;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Footers kept in memory: some kilobytes each.
const FOOTERS_MAX: usize = 1024;

/// The footer of a file, with its page indexes.
#[derive(Debug)]
pub(super) struct Footer {
    plain: ArrowReaderMetadata,
    /// The same, with dictionaries for the texts that have one in each page.
    coded: ArrowReaderMetadata,
}

/// The footers of the files read lately.
#[derive(Debug)]
pub(super) struct Footers(Recent<Footer>);

impl Footers {
    pub fn new() -> Self {
        Self(Recent::new(FOOTERS_MAX))
    }

    /// The footer of a file of the table there.
    pub fn get(&self, storage: &Storage, location: &str, file: &FileRecord) -> Result<ArrowReaderMetadata> {
        let path = format!("{location}/{}", file.path);
        Ok(self.of(&path, || storage.open(&path))?.plain.clone())
    }

    /// Of a file that is gone.
    pub fn forget(&self, path: &str) {
        self.0.forget(path);
    }

    fn of(&self, path: &str, open: impl FnOnce() -> Result<Input>) -> Result<Arc<Footer>> {
        self.0.get(path, || {
            let reading = || format!("reading the footer of {path}");
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
            let plain = ArrowReaderMetadata::load(&open()?, options).parsing(reading())?;
            let options = ArrowReaderOptions::new().with_schema(coded_schema(&plain));
            let coded = ArrowReaderMetadata::try_new(plain.metadata().clone(), options).parsing(reading())?;
            Ok(Footer { plain, coded })
        })
    }
}

/// The file's columns, with dictionaries for the texts that have one in each page.
fn coded_schema(footer: &ArrowReaderMetadata) -> SchemaRef {
    let groups = footer.metadata().row_groups();
    let is_coded = |column: usize| {
        groups.iter().map(|group| group.column(column)).all(|chunk| {
            let mask = chunk.page_encoding_stats_mask();
            chunk.dictionary_page_offset().is_some()
                && mask.is_some_and(|mask| {
                    mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY)
                })
        })
    };
    let fields = footer.schema().fields().iter().enumerate().map(|(column, field)| {
        let coded = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
        match field.data_type() {
            DataType::Utf8 if is_coded(column) => Arc::new(field.as_ref().clone().with_data_type(coded)),
            _ => Arc::clone(field),
        }
    });
    Arc::new(Schema::new(fields.collect::<Fields>()).with_metadata(footer.schema().metadata().clone()))
}

/// Rows of a file as these columns.
pub(super) fn rows(
    storage: &Storage,
    footers: &Footers,
    path: String,
    columns: &[Field],
    rows: Range<u64>,
    conditions: &[ColumnCondition],
) -> Result<Files> {
    let input = storage.open(&path)?;
    let footer = footers.of(&path, || Ok(input.clone()))?;
    let mut part = Part::of(&footer.plain, rows);
    part.limit(&input, &footer.plain, conditions);
    let is_coded = columns.iter().any(|column| matches!(column.data_type(), DataType::Dictionary(..)));
    let footer = if is_coded { &footer.coded } else { &footer.plain };
    let columns = columns.to_vec();
    let mut roots: Vec<usize> =
        columns.iter().filter_map(|column| footer.schema().index_of(column.name()).ok()).collect();
    roots.sort_unstable();
    roots.dedup();

    let input = if input.is_remote() { input.fetch(part.ranges(footer, &roots))? } else { input };
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, footer.clone())
        .with_projection(ProjectionMask::roots(footer.parquet_schema(), roots))
        .with_batch_size(BATCH_ROWS)
        .with_row_groups(part.groups());
    let builder = match part.selection(footer)? {
        Some(selection) => builder.with_row_selection(selection),
        None => builder,
    };
    let reader = builder.build().parsing(format!("reading {path}"))?;
    Ok(Box::new(reader.map(move |batch| {
        let batch = batch.map_err(|error| Error::from(error).context(format!("reading {path}")))?;
        as_columns(&batch, &columns)
    })))
}

/// The rows of a file that are read: of row groups, those in some ranges, which are sorted and apart.
struct Part(Vec<(usize, Vec<Range<u64>>)>);

impl Part {
    fn of(footer: &ArrowReaderMetadata, wanted: Range<u64>) -> Self {
        let (mut groups, mut start) = (Vec::new(), 0);
        for (i, group) in footer.metadata().row_groups().iter().enumerate() {
            let end = start + group.num_rows().unsigned_abs();
            if start < wanted.end && wanted.start < end {
                let rows = wanted.start.max(start) - start..wanted.end.min(end) - start;
                groups.push((i, std::iter::once(rows).collect()));
            }
            start = end;
        }
        Self(groups)
    }

    /// Leaves out what cannot meet all conditions.
    fn limit(&mut self, input: &Input, footer: &ArrowReaderMetadata, conditions: &[ColumnCondition]) {
        for pruner in conditions.iter().filter_map(|condition| Pruner::new(footer, condition)) {
            self.0.retain_mut(|(group, rows)| {
                if !pruner.may_have(input, *group) {
                    return false;
                }
                if let Some(pages) = pruner.pages(*group) {
                    *rows = both(rows, &pages);
                }
                !rows.is_empty()
            });
        }
    }

    fn groups(&self) -> Vec<usize> {
        self.0.iter().map(|(group, _)| *group).collect()
    }

    /// Within these groups; `None` if it is all of them.
    fn selection(&self, footer: &ArrowReaderMetadata) -> Result<Option<RowSelection>> {
        let (mut selectors, mut skipped) = (Vec::new(), 0);
        for (group, rows) in &self.0 {
            let mut at = 0;
            for range in rows {
                skipped += range.start - at;
                if skipped > 0 {
                    selectors.push(RowSelector::skip(usize::try_from(std::mem::take(&mut skipped))?));
                }
                selectors.push(RowSelector::select(usize::try_from(range.end - range.start)?));
                at = range.end;
            }
            skipped += footer.metadata().row_group(*group).num_rows().unsigned_abs() - at;
        }
        let is_all = skipped == 0 && selectors.iter().all(|selector| !selector.skip);
        Ok((!is_all).then(|| selectors.into()))
    }

    /// The bytes that have them in the columns at `roots`: whole pages, or chunks where there is no index.
    fn ranges(&self, footer: &ArrowReaderMetadata, roots: &[usize]) -> Vec<Range<u64>> {
        let metadata = footer.metadata();
        let mut ranges = Vec::new();
        for &(group, ref rows) in &self.0 {
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
                let is_needed =
                    |at: &usize| rows.iter().any(|rows| first(*at) < rows.end && rows.start < first(*at + 1));
                let needed = (0..pages.len()).filter(is_needed);
                ranges.extend(needed.map(|at| offset(at)..offset(at + 1)));
            }
        }
        ranges
    }
}

/// The columns asked for: missing ones are NULL, narrower ones widened.
fn as_columns(batch: &RecordBatch, wanted: &[Field]) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let column = |field: &Field| -> Result<ArrayRef> {
        let plain = match field.data_type() {
            DataType::Dictionary(_, values) => values,
            other => other,
        };
        let Some(column) = batch.column_by_name(field.name()) else {
            return Ok(new_null_array(plain, rows));
        };
        if column.data_type() == field.data_type() || column.data_type() == plain {
            return Ok(Arc::clone(column));
        }
        let exact = CastOptions { safe: false, ..CastOptions::default() };
        Ok(cast_with_options(column, plain, &exact)?)
    };
    let columns = wanted.iter().map(column).collect::<Result<Vec<_>>>()?;
    let fields = wanted
        .iter()
        .zip(&columns)
        .map(|(field, column)| field.clone().with_data_type(column.data_type().clone()));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}
