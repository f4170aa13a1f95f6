//! A stored file of which parts are read, as the Parquet reader wants it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use siltstone_engine::error::Result;

use super::cause::Cause;
use super::object::Objects;

/// An open file; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Input {
    from: Origin,
    bytes: u64,
    /// Parts that are here already, by their start.
    fetched: Arc<[(Range<u64>, Bytes)]>,
}

#[derive(Clone, Debug)]
enum Origin {
    File(Arc<File>),
    Object(Objects, String),
}

impl Input {
    pub fn file(path: &Path) -> Result<Self> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (bytes, file) = opened.doing(format!("opening {}", path.display()))?;
        Ok(Self { from: Origin::File(Arc::new(file)), bytes, fetched: Arc::default() })
    }

    pub fn object(objects: Objects, location: &str) -> Result<Self> {
        let bytes = objects.len(location)?;
        Ok(Self { from: Origin::Object(objects, location.to_owned()), bytes, fetched: Arc::default() })
    }

    /// Whether each read is a request, so that parts are best fetched together before.
    pub fn is_remote(&self) -> bool {
        matches!(self.from, Origin::Object(..))
    }

    /// The same with these parts read.
    pub fn fetch(self, mut ranges: Vec<Range<u64>>) -> Result<Self> {
        let Origin::Object(objects, location) = &self.from else { return Ok(self) };
        ranges.sort_by_key(|range| range.start);
        let parts = objects.get_ranges(location, ranges.clone())?;
        Ok(Self { fetched: ranges.into_iter().zip(parts).collect(), ..self })
    }

    fn read_at(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let range = start..start + length as u64;
        let after = self.fetched.partition_point(|(part, _)| part.start <= start);
        if let Some((part, bytes)) = after.checked_sub(1).map(|i| &self.fetched[i])
            && range.end <= part.end
        {
            let offset = usize::try_from(start - part.start).map_err(io::Error::other)?;
            return Ok(bytes.slice(offset..offset + length));
        }
        match &self.from {
            Origin::File(file) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, start)?;
                Ok(bytes.into())
            }
            Origin::Object(objects, location) => {
                let mut parts = objects.get_ranges(location, vec![range]).map_err(io::Error::other)?;
                Ok(parts.pop().expect("there is a part for each range"))
            }
        }
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Input {
    type T = BufReader<Tail>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::with_capacity(1 << 16, Tail { input: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.read_at(start, length).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

/// What follows a place in a file.
pub(super) struct Tail {
    input: Input,
    at: u64,
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.input.bytes.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        buffer[..length].copy_from_slice(&self.input.read_at(self.at, length)?);
        self.at += length as u64;
        Ok(length)
    }
}
