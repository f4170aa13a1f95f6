//! A data file being written, as Parquet that vectorised readers take: version 1.0 pages, and of the newer
//! encodings only the one of steps between whole numbers.
//!
//! Pages end at multiples of [`PAGE_ROWS`] rows in all columns, so that a reader that skips rows skips the same
//! pages in each.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use siltstone_engine::error::{Error, Result};
use siltstone_engine::lake::{FileWriter, TableSpec, fault};

use super::cause::Cause;
use super::sample::Shape;
use super::storage::{Output, Storage};

const PAGE_ROWS: usize = 8192;

/// Divides [`PAGE_ROWS`].
const WRITE_ROWS: usize = 1024;

const ROW_GROUP_ROWS: usize = 1 << 20;

/// Above it a page ends before its rows are full.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// Rows that are waited for before the encodings are chosen.
const SAMPLE_ROWS: usize = 1 << 15;

/// A file that never gets larger than a sample has no bloom filters.
const BLOOM_ROWS_MIN: usize = SAMPLE_ROWS;

/// Writes one Parquet file.
pub(super) struct ParquetWriter {
    schema: SchemaRef,
    sort: Vec<usize>,
    bloom: Vec<usize>,
    state: State,
    rows: usize,
}

enum State {
    /// The first rows, kept until there is a sample of them.
    Sampling(Output, Vec<RecordBatch>),
    Writing(Box<ArrowWriter<Output>>),
    /// A step failed: what there is is garbage.
    Failed,
}

impl ParquetWriter {
    /// Begins a file with the columns of `schema`, which are those of `spec` as the table has them.
    pub fn new(storage: &Storage, location: &str, schema: SchemaRef, spec: &TableSpec) -> Result<Self> {
        let output = fault::step("file", || storage.create(location))?;
        let state = State::Sampling(output, Vec::new());
        Ok(Self { schema, sort: spec.sort.clone(), bloom: spec.bloom.clone(), state, rows: 0 })
    }

    fn as_stored(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        if batch.num_columns() != self.schema.fields().len() {
            return Err(Error::invalid("the rows have other columns than the table"));
        }
        let exact = CastOptions { safe: false, ..CastOptions::default() };
        let stored = |(column, i): (&ArrayRef, usize)| {
            let data_type = self.schema.field(i).data_type();
            if column.data_type() == data_type {
                return Ok(Arc::clone(column));
            }
            cast_with_options(column, data_type, &exact)
        };
        let columns = batch.columns().iter().zip(0..).map(stored).collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// The writer, begun with what was sampled.
    fn writer(&mut self) -> Result<&mut ArrowWriter<Output>> {
        if let State::Sampling(..) = self.state {
            let State::Sampling(output, sample) = std::mem::replace(&mut self.state, State::Failed) else {
                unreachable!("it was so a line above");
            };
            let options = ArrowWriterOptions::new()
                .with_properties(self.properties(&sample)?)
                .with_skip_arrow_metadata(true);
            let writer = ArrowWriter::try_new_with_options(output, Arc::clone(&self.schema), options);
            let mut writer = Box::new(writer.doing("beginning a data file")?);
            let mut rows = 0;
            for batch in &sample {
                write_aligned(&mut writer, batch, rows)?;
                rows += batch.num_rows();
            }
            self.state = State::Writing(writer);
        }
        match &mut self.state {
            State::Writing(writer) => Ok(writer),
            _ => Err(Error::io(
                "a write of this data file failed before",
                std::io::Error::other("it is given up"),
            )),
        }
    }

    fn properties(&self, sample: &[RecordBatch]) -> Result<WriterProperties> {
        let sorting = self.sort.iter().map(|&place| {
            Ok(SortingColumn { column_idx: i32::try_from(place)?, descending: false, nulls_first: true })
        });
        let mut builder = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("zstd has a level 1")))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_data_page_size_limit(PAGE_BYTES_MAX)
            .set_write_batch_size(WRITE_ROWS)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by(format!("siltstone version {}", env!("CARGO_PKG_VERSION")))
            .set_sorting_columns(Some(sorting.collect::<Result<Vec<_>>>()?));
        let rows: usize = sample.iter().map(RecordBatch::num_rows).sum();
        for (i, field) in self.schema.fields().iter().enumerate() {
            let path = ColumnPath::from(field.name().clone());
            let shape = Shape::of(sample, i)?;
            if shape.is_distinct {
                builder = builder.set_column_dictionary_enabled(path.clone(), false);
            }
            if shape.is_creeping {
                builder = builder.set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
            }
            if shape.is_scattered && !self.sort.contains(&i) {
                builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
            }
            if rows >= BLOOM_ROWS_MIN && self.bloom.contains(&i) {
                builder = builder.set_column_bloom_filter_enabled(path, true);
            }
        }
        Ok(builder.build())
    }
}

/// Writes a batch in pieces that end where pages do; `before`: rows that the file has.
fn write_aligned(writer: &mut ArrowWriter<Output>, batch: &RecordBatch, before: usize) -> Result<()> {
    let rows = batch.num_rows();
    let first = rows.min((PAGE_ROWS - before % PAGE_ROWS) % PAGE_ROWS);
    for (start, length) in [(0, first), (first, rows - first)] {
        if length > 0 {
            writer.write(&batch.slice(start, length)).doing("writing a data file")?;
        }
    }
    Ok(())
}

impl FileWriter for ParquetWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.as_stored(batch)?;
        let before = self.rows;
        self.rows += batch.num_rows();
        if let State::Sampling(_, sample) = &mut self.state
            && self.rows < SAMPLE_ROWS
        {
            sample.push(batch);
            return Ok(());
        }
        let written = fault::step("file-write", || {
            if let State::Sampling(_, sample) = &mut self.state {
                sample.push(batch);
                return self.writer().map(drop);
            }
            write_aligned(self.writer()?, &batch, before)
        });
        if written.is_err() {
            self.state = State::Failed;
        }
        written
    }

    fn bytes(&self) -> u64 {
        match &self.state {
            State::Sampling(_, sample) => {
                sample.iter().map(RecordBatch::get_array_memory_size).sum::<usize>() as u64
            }
            State::Writing(writer) => (writer.bytes_written() + writer.in_progress_size()) as u64,
            State::Failed => 0,
        }
    }

    fn finish(mut self: Box<Self>) -> Result<u64> {
        fault::step("file-write", || {
            self.writer()?;
            let State::Writing(writer) = std::mem::replace(&mut self.state, State::Failed) else {
                unreachable!("there is a writer");
            };
            writer.into_inner().doing("ending a data file")?.end()
        })
    }
}
