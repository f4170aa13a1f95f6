//! Compressed texts, as readers that can only go forward. Files of several gzip members or zstd frames are
//! one text.

use std::fs::File;
use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;
use siltstone_engine::error::{Error, Result};

use super::COMPRESSION;
use crate::option::Options;

/// Bytes of a compressed file that are read at once.
const READ_BYTES: usize = 256 << 10;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// `None`: by each file's extension.
    pub(super) fn from_options(options: &Options) -> Result<Option<Self>> {
        let Some(text) = options.get(COMPRESSION.name) else { return Ok(None) };
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(None),
            "none" => Ok(Some(Self::None)),
            "gzip" | "gz" => Ok(Some(Self::Gzip)),
            "zstd" | "zst" => Ok(Some(Self::Zstd)),
            other => Err(Error::invalid(format!("option 'compression': '{other}' is not known"))
                .with_hint("use auto, none, gzip or zstd")),
        }
    }

    /// By extension.
    pub(super) fn of(path: &str) -> Self {
        let path = path.to_ascii_lowercase();
        match path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            _ => Self::None,
        }
    }

    /// A lower-case path without the extension of a compression.
    pub(super) fn strip_extension(path: &str) -> &str {
        match Self::of(path) {
            Self::None => path,
            _ => path.rsplit_once('.').map_or(path, |(stem, _)| stem),
        }
    }

    /// The file's text.
    pub(super) fn reader(self, file: File) -> std::io::Result<Box<dyn Read + Send>> {
        let file = BufReader::with_capacity(READ_BYTES, file);
        Ok(match self {
            Self::None => Box::new(file),
            Self::Gzip => Box::new(MultiGzDecoder::new(file)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        })
    }
}
