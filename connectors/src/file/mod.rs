//! The connector `file`: CSV, JSON lines and Parquet files, whole or in ranges, plain or compressed.
//!
//! A big plain text file is cut into ranges at exact record starts, so that all workers read; a compressed
//! or Parquet file is one split. Offsets are bytes of the (decompressed) text, or rows of a Parquet file.
//! A file is bounded: it ends where it ended when it was found. What was appended since is found by the
//! next [`Source::discover`] as a split of its own.

mod columnar;
mod compression;
mod path;
mod plan;
mod reader;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use siltstone_engine::connector::{
    Connector, Decoder, OptionSpec, Source, SourceSpec, Split, SplitId, SplitReader,
};
use siltstone_engine::error::{Error, Result};

use crate::format::{
    Column, DELIMITER, Decoding, ESCAPE, FORMAT, Layouts, NULL, QUOTE, RECORD_BYTES_MAX, RowsDecoder,
};
use crate::option::{self, Options};
use compression::Compression;
use path::Patterns;
use reader::FileReader;

const PATH: OptionSpec = OptionSpec {
    name: "path",
    required: true,
    help: "files to read: paths and patterns (*, ?, [..], **), separated by commas",
};
const FILE_FORMAT: OptionSpec = OptionSpec {
    name: FORMAT.name,
    required: false,
    help: "csv, json or parquet; default by the path's extension",
};
const HEADER: OptionSpec = OptionSpec {
    name: "header",
    required: false,
    help: "csv: the first record of each file names its columns; default false",
};
const COMPRESSION: OptionSpec = OptionSpec {
    name: "compression",
    required: false,
    help: "auto (by extension: .gz, .zst), none, gzip or zstd; default auto",
};

/// The connector `file`.
#[derive(Debug)]
pub struct FileConnector;

impl Connector for FileConnector {
    fn name(&self) -> &'static str {
        "file"
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[PATH, FILE_FORMAT, HEADER, DELIMITER, QUOTE, ESCAPE, NULL, COMPRESSION, RECORD_BYTES_MAX]
    }

    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(FileSource::new(spec)?))
    }
}

/// How the files are written.
#[derive(Clone, Debug)]
enum Format {
    Text { decoding: Decoding, header: bool, compression: Option<Compression> },
    Parquet,
}

impl Format {
    fn from_options(options: &Options, patterns: &Patterns) -> Result<Self> {
        let name = match options.get(FORMAT.name) {
            Some(name) => name.trim().to_ascii_lowercase(),
            None => patterns.format()?,
        };
        if name != "parquet" {
            let decoding = Decoding::new(&name, options)?;
            let header = option::boolean(options, HEADER.name, false)?;
            return Ok(Self::Text { decoding, header, compression: Compression::from_options(options)? });
        }
        let text_only =
            [HEADER, DELIMITER, QUOTE, ESCAPE, NULL, COMPRESSION, RECORD_BYTES_MAX].map(|o| o.name);
        match text_only.into_iter().find(|name| options.contains_key(*name)) {
            Some(name) => Err(Error::invalid(format!("option '{name}' does not belong to format 'parquet'"))),
            None => Ok(Self::Parquet),
        }
    }

    /// How a file of that path is compressed.
    fn compression(&self, path: &str) -> Compression {
        match self {
            Self::Text { compression, .. } => compression.unwrap_or_else(|| Compression::of(path)),
            Self::Parquet => Compression::None,
        }
    }
}

/// What the source and its readers share.
#[derive(Debug)]
struct Files {
    schema: SchemaRef,
    format: Format,
    patterns: Patterns,
    layouts: Arc<Layouts>,
    /// Bytes of a plain text that one split holds, about.
    range_bytes: u64,
}

struct FileSource {
    files: Arc<Files>,
}

impl FileSource {
    fn new(spec: &SourceSpec) -> Result<Self> {
        spec.schema.fields().iter().try_for_each(|f| Column::new(f).map(|_| ()))?;
        let patterns = Patterns::new(option::required(&spec.options, PATH.name)?)?;
        let format = Format::from_options(&spec.options, &patterns)?;
        let layouts = Arc::new(Layouts::positional(spec.schema.fields().len()));
        let (schema, range_bytes) = (spec.schema.clone(), plan::RANGE_BYTES);
        Ok(Self { files: Arc::new(Files { schema, format, patterns, layouts, range_bytes }) })
    }
}

impl Source for FileSource {
    fn discover(&self, known: &[Split]) -> Result<Vec<Split>> {
        plan::discover(&self.files, known)
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn is_replayable(&self) -> bool {
        true
    }

    fn reader(&self) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(FileReader::new(self.files.clone())))
    }

    fn decoder(&self, wanted: &[bool]) -> Result<Box<dyn Decoder>> {
        match &self.files.format {
            Format::Text { decoding, .. } => {
                decoding.decoder_with(&self.files.schema, wanted, self.files.layouts.clone())
            }
            Format::Parquet => Ok(Box::new(RowsDecoder::new(self.files.schema.clone(), wanted))),
        }
    }

    /// A compressed file's end is known only when it was read.
    fn ends(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        Ok(splits.iter().filter_map(|s| Some((s.id.clone(), s.end?))).collect())
    }
}

#[cfg(test)]
mod tests;
