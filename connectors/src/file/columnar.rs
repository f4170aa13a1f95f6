//! Reads a Parquet file from any row. Columns are found by name; others in the file are not read.

use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use siltstone_engine::connector::Split;
use siltstone_engine::error::{Error, Result};

use super::Files;
use super::plan::{self, Detail};
use crate::format::{can_conform, type_name};

/// Rows of the largest batch.
const BATCH_ROWS_MAX: usize = 1 << 16;

/// A Parquet file being read.
pub(super) struct ColumnarSplit {
    path: String,
    reader: ParquetRecordBatchReader,
    /// For each column of the source, its place in the batches read.
    places: Vec<usize>,
    next: i64,
}

impl ColumnarSplit {
    pub(super) fn open(files: &Files, split: &Split, from: i64, rows_max: usize) -> Result<Self> {
        let detail = Detail::of(split)?;
        let path = detail.path.clone();
        let mut file = plan::open(&path)?;
        detail.check(&mut file)?;
        let failed = |e| Error::corrupt(format!("reading Parquet file {path}")).because(e);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        let there = builder.schema().clone();
        let mut roots = Vec::with_capacity(files.schema.fields().len());
        for field in files.schema.fields() {
            let Some((root, found)) = there.fields().find(field.name()) else {
                let names: Vec<&str> = there.fields().iter().map(|f| f.name().as_str()).collect();
                let message =
                    format!("file {path}: there is no column {} ({})", field.name(), names.join(", "));
                return Err(Error::invalid(message));
            };
            if !can_conform(found.data_type(), field.data_type()) {
                let (from, to) = (type_name(found.data_type()), type_name(field.data_type()));
                let message =
                    format!("file {path}: column {} is {from} and cannot be read as {to}", field.name());
                return Err(Error::invalid(message));
            }
            roots.push(root);
        }
        // Batches have the columns in the file's order.
        let mut order = roots.clone();
        order.sort_unstable();
        order.dedup();
        let places = roots.iter().filter_map(|root| order.binary_search(root).ok()).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), order);
        let left = split.end.map_or(i64::MAX, |end| (end - from).max(0));
        let reader = builder
            .with_projection(mask)
            .with_batch_size(rows_max.clamp(1, BATCH_ROWS_MAX))
            .with_offset(usize::try_from(from).unwrap_or_default())
            .with_limit(usize::try_from(left).unwrap_or(usize::MAX))
            .build()
            .map_err(failed)?;
        Ok(Self { path, reader, places, next: from })
    }

    /// The next rows and the first one's number; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(i64, RecordBatch)>> {
        let failed =
            |e| Error::corrupt(format!("reading Parquet file {} at row {}", self.path, self.next)).because(e);
        let Some(batch) = self.reader.next().transpose().map_err(failed)? else { return Ok(None) };
        let batch = batch.project(&self.places)?;
        let offset = self.next;
        self.next += batch.num_rows() as i64;
        Ok(Some((offset, batch)))
    }
}
