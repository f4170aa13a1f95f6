//! The file connector from outside: what was written is read, whatever the pieces, ranges and restarts.

mod damage;
mod whole;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use siltstone_engine::connector::{BadRow, Decoded, Payload, Poll, Source, SourceSpec, Split};
use siltstone_engine::error::Result;

use super::{FileSource, Files};

/// A directory of files that is gone afterwards.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = zstd::Encoder::new(Vec::new(), 1).unwrap();
    out.include_checksum(true).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn texts(columns: usize) -> SchemaRef {
    let field = |n| Field::new(format!("c{n}"), DataType::Utf8, true);
    Arc::new(Schema::new((0..columns).map(field).collect::<Vec<_>>()))
}

fn source(path: &Path, schema: SchemaRef, options: &[(&str, &str)]) -> Result<FileSource> {
    let mut given: BTreeMap<String, String> =
        options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    given.insert("path".into(), path.to_str().unwrap().into());
    FileSource::new(&SourceSpec { name: "s".into(), schema, options: given })
}

/// The same source, cut into smaller ranges.
fn with_ranges(source: FileSource, range_bytes: u64) -> FileSource {
    let files = Arc::into_inner(source.files).unwrap();
    FileSource { files: Arc::new(Files { range_bytes, ..files }) }
}

/// What a reader gave: rows as texts (NULL as `~`) and bad rows, and where each fetch led.
#[derive(Debug, Default)]
struct Read {
    rows: Vec<Vec<String>>,
    bad: Vec<BadRow>,
    /// For each fetch: its split, the offset to go on from, the rows and bad rows until then.
    stops: Vec<(String, i64, usize, usize)>,
}

impl Read {
    fn add(&mut self, decoded: &Decoded) {
        let columns = decoded.batch.columns();
        for row in 0..decoded.batch.num_rows() {
            let cell = |c: &arrow::array::ArrayRef| match c.is_null(row) {
                true => "~".to_owned(),
                false => array_value_to_string(c, row).unwrap(),
            };
            self.rows.push(columns.iter().map(cell).collect());
        }
        self.bad.extend(decoded.bad.iter().cloned());
    }
}

/// Reads splits from the given offsets to their ends.
fn read_from(source: &FileSource, splits: &[(Split, i64)], rows_max: usize) -> Result<Read> {
    let wanted = vec![true; source.files.schema.fields().len()];
    let (mut reader, mut decoder) = (source.reader()?, source.decoder(&wanted)?);
    for (split, from) in splits {
        reader.assign(split, *from)?;
    }
    let (mut read, mut finished) = (Read::default(), Vec::new());
    while finished.len() < splits.len() {
        match reader.poll(rows_max, Duration::ZERO)? {
            Poll::Records(fetch) => {
                if let Payload::Text { bytes, .. } = &fetch.payload {
                    assert!(bytes.len() <= 40 << 20, "a piece of {} bytes", bytes.len());
                }
                let decoded = decoder.decode(&fetch.payload)?;
                read.add(&decoded);
                let (split, next) = fetch.progress[0].clone();
                read.stops.push((split.to_string(), next, read.rows.len(), read.bad.len()));
            }
            Poll::Finished(split) => finished.push(split),
            other => panic!("{other:?}"),
        }
    }
    let order: Vec<_> = splits.iter().map(|(s, _)| s.id.clone()).collect();
    assert_eq!(finished, order, "each split finishes once, in order");
    Ok(read)
}

fn read(source: &FileSource, rows_max: usize) -> Result<Read> {
    let splits = source.discover(&[])?.into_iter().map(|s| (s.clone(), s.start)).collect::<Vec<_>>();
    read_from(source, &splits, rows_max)
}
