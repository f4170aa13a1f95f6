//! Reads a text split in pieces of whole records, from any record's start.
//!
//! A record longer than a piece makes the buffer grow, up to a limit; beyond it only the record's head is
//! handed on (the decoder makes one bad row of it) and reading goes on behind it. A quote that is never
//! closed spoils its own line and no other: that line is handed on alone, and the next is read afresh.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};

use memchr::{memchr, memchr_iter};
use siltstone_engine::connector::{Split, SplitId};
use siltstone_engine::error::{Error, Kind, Result};

use super::compression::Compression;
use super::plan::{self, Detail};
use super::{Files, Format};
use crate::format::{Decoding, Format as TextFormat, Framing, Layout, RECORD_BYTES_LIMIT, Scan, split};

/// Bytes of a piece, and the most that is read at once.
const PIECE_BYTES: usize = 1 << 20;
/// The kernel copies four times as fast to an address that is a multiple of this.
const READ_ALIGNMENT: usize = 16;
/// Bytes of the smallest piece, however few rows are wanted.
const PIECE_BYTES_MIN: usize = 64;
/// Bytes in which a header is looked for at first.
const HEADER_BYTES: usize = 4 << 10;
/// Bytes of a piece from which the mean length of a record is estimated.
const SAMPLE_BYTES: usize = 16 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A text split being read.
pub(super) struct TextSplit {
    id: SplitId,
    detail: Detail,
    compression: Compression,
    end: Option<i64>,
    framing: Framing,
    record_bytes_max: usize,
    text: Box<dyn Read + Send>,
    /// Read and not handed on; it starts where a record does.
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte.
    at: i64,
    /// The offset that the engine knows; before `at` only while a header was skipped.
    told: i64,
    ended: bool,
    /// The next record is one line, whatever quotes it has.
    one_line: bool,
    record_bytes_mean: usize,
}

/// Whole records.
pub(super) struct Piece {
    pub(super) offset: i64,
    pub(super) bytes: Vec<u8>,
    /// Where to go on.
    pub(super) next: i64,
}

impl TextSplit {
    /// Opens the split's file at `from` and tells the decoders its header.
    pub(super) fn open(files: &Files, split: &Split, from: i64) -> Result<Self> {
        let Format::Text { decoding, header, .. } = &files.format else {
            return Err(Error::invalid(format!("split {} is not text", split.id)));
        };
        let detail = Detail::of(split)?;
        let compression = files.format.compression(&detail.path);
        detail.check(&mut plan::open(&detail.path)?)?;
        let mut text = Self {
            id: split.id.clone(),
            compression,
            end: split.end,
            framing: decoding.framing(),
            record_bytes_max: decoding.record_bytes_max,
            text: Box::new(std::io::empty()),
            buffer: Vec::new(),
            at: 0,
            told: from,
            ended: false,
            one_line: false,
            record_bytes_mean: 256,
            detail,
        };
        let body = text.read_head(files, decoding, *header)?;
        text.reopen(from.max(body))?;
        Ok(text)
    }

    /// The next records, about so many; `None` at the end.
    pub(super) fn next(&mut self, rows_max: usize) -> Result<Option<Piece>> {
        let wanted = rows_max.saturating_mul(self.record_bytes_mean);
        let mut target = wanted.clamp(PIECE_BYTES_MIN, PIECE_BYTES);
        loop {
            self.fill(target)?;
            if self.buffer.is_empty() {
                // A header with nothing behind it was read, too.
                return Ok((self.told < self.at).then(|| self.piece(0, self.at)));
            }
            let (whole, scan) = if self.one_line {
                (memchr(b'\n', &self.buffer).map(|at| at + 1), Scan::default())
            } else {
                self.framing.last_end(&self.buffer)
            };
            if let Some(end) = whole {
                return Ok(Some(self.piece(end, self.at + end as i64)));
            }
            if self.ended {
                if scan.in_quotes() {
                    self.one_line = true;
                    continue;
                }
                let end = self.buffer.len();
                return Ok(Some(self.piece(end, self.at + end as i64)));
            }
            if self.buffer.len() > RECORD_BYTES_LIMIT {
                if let Some(piece) = self.skip_record(scan)? {
                    return Ok(Some(piece));
                }
                continue;
            }
            target = (self.buffer.len() * 2).min(RECORD_BYTES_LIMIT + 1);
        }
    }

    /// Takes the first `end` bytes of the buffer; reading goes on at `next`.
    fn piece(&mut self, end: usize, next: i64) -> Piece {
        // Room for the next piece, lest the rest be moved when it is read.
        let mut rest = Vec::with_capacity(self.buffer.capacity().min(PIECE_BYTES));
        rest.extend_from_slice(&self.buffer[end..]);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(end);
        let sample = &bytes[..bytes.len().min(SAMPLE_BYTES)];
        let lines = memchr_iter(b'\n', sample).count();
        self.record_bytes_mean = (sample.len() / lines.max(1)).max(1);
        let piece = Piece { offset: self.at, bytes, next };
        self.one_line = false;
        self.at = next;
        self.told = next;
        piece
    }

    /// Goes on behind a record that is longer than the buffer may be, and hands on its head. `None`: it
    /// has a quote that is never closed, and is to be read again as a line.
    fn skip_record(&mut self, mut scan: Scan) -> Result<Option<Piece>> {
        let framing = if self.one_line { Framing::Lines } else { self.framing };
        let mut next = self.at + self.buffer.len() as i64;
        self.buffer.truncate(self.record_bytes_max + 1);
        let head = std::mem::take(&mut self.buffer);
        loop {
            self.buffer.clear();
            self.fill_at(PIECE_BYTES, next)?;
            if let Some(end) = framing.first_end(&mut scan, &self.buffer) {
                next += end as i64;
                self.buffer.drain(..end);
                break;
            }
            next += self.buffer.len() as i64;
            if self.ended {
                self.buffer.clear();
                if scan.in_quotes() {
                    self.reopen(self.at)?;
                    self.one_line = true;
                    return Ok(None);
                }
                break;
            }
        }
        let rest = std::mem::replace(&mut self.buffer, head);
        let end = self.buffer.len();
        let piece = self.piece(end, next);
        self.buffer = rest;
        Ok(Some(piece))
    }

    fn fill(&mut self, target: usize) -> Result<()> {
        self.fill_at(target, self.at)
    }

    /// Reads until the buffer, whose first byte is at offset `at`, has `target` bytes, or the text ends.
    fn fill_at(&mut self, target: usize, at: i64) -> Result<()> {
        let missing = target.saturating_sub(self.buffer.len());
        if self.ended || missing == 0 {
            return Ok(());
        }
        self.buffer.reserve_exact(missing);
        // A few bytes behind the rest of the last piece, so that most are read to where that is fast. Unlike
        // `read`, `read_to_end` fills room that was not zeroed before.
        let few = missing.min(self.buffer.len().next_multiple_of(READ_ALIGNMENT) - self.buffer.len());
        for wanted in [few, missing - few] {
            if !self.ended && wanted > 0 {
                let read = self.text.by_ref().take(wanted as u64).read_to_end(&mut self.buffer);
                let reached = at + self.buffer.len() as i64;
                self.ended = read.map_err(|e| self.failed(reached, e))? < wanted;
            }
        }
        let reached = at + self.buffer.len() as i64;
        if self.ended && self.end.is_some_and(|end| reached < end) {
            let (path, end) = (&self.detail.path, self.end.unwrap_or_default());
            return Err(Error::corrupt(format!(
                "file {path} ended at byte {reached}, {end} were there before"
            )));
        }
        Ok(())
    }

    /// Starts over at an offset.
    fn reopen(&mut self, at: i64) -> Result<()> {
        self.buffer.clear();
        self.ended = false;
        self.at = at;
        let mut file = plan::open(&self.detail.path)?;
        let failed = |e| Error::io(format!("reading file {} at byte {at}", self.detail.path), e);
        if self.compression == Compression::None {
            file.seek(SeekFrom::Start(at as u64)).map_err(failed)?;
            let left = self.end.map_or(u64::MAX, |end| (end - at).max(0) as u64);
            self.text = Box::new(file.take(left));
            return Ok(());
        }
        self.text = self.decompressed(file)?;
        let skipped = std::io::copy(&mut self.text.by_ref().take(at as u64), &mut std::io::sink());
        let skipped = skipped.map_err(|e| self.failed(at, e))? as i64;
        if skipped < at {
            let path = &self.detail.path;
            return Err(Error::corrupt(format!(
                "file {path} ended at byte {skipped}, {at} were read before"
            )));
        }
        if let Some(end) = self.end {
            let text = std::mem::replace(&mut self.text, Box::new(std::io::empty()));
            self.text = Box::new(text.take((end - at).max(0) as u64));
        }
        Ok(())
    }

    fn decompressed(&self, file: File) -> Result<Box<dyn Read + Send>> {
        // Nothing at all is an empty text, too.
        if self.detail.bytes == 0 {
            return Ok(Box::new(std::io::empty()));
        }
        self.compression.reader(file).map_err(|e| self.failed(0, e))
    }

    /// Reads what stands before the records: sets the split's layout and says where they start.
    fn read_head(&mut self, files: &Files, decoding: &Decoding, header: bool) -> Result<i64> {
        let path = self.detail.path.clone();
        let end = self.end.take();
        self.reopen(0)?;
        self.fill(HEADER_BYTES)?;
        let mark = if self.buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut body = mark;
        if let (true, TextFormat::Csv(dialect)) = (header, &decoding.format) {
            body = loop {
                match self.framing.first_end(&mut Scan::default(), &self.buffer[mark..]) {
                    Some(end) => break mark + end,
                    None if self.ended => break self.buffer.len(),
                    None if self.buffer.len() > RECORD_BYTES_LIMIT => {
                        let message =
                            format!("the header of file {path} is longer than {RECORD_BYTES_LIMIT} bytes");
                        return Err(Error::invalid(message));
                    }
                    None => self.fill(self.buffer.len() * 2)?,
                }
            };
            if body > mark {
                let names = split(dialect, &self.buffer[mark..body]);
                let layout =
                    Layout::named(&files.schema, &names).map_err(|e| e.context(format!("file {path}")))?;
                files.layouts.set(&self.id, layout);
            }
        }
        self.end = end;
        Ok(body as i64)
    }

    fn failed(&self, at: i64, cause: std::io::Error) -> Error {
        let kind = match cause.kind() {
            ErrorKind::UnexpectedEof
            | ErrorKind::InvalidData
            | ErrorKind::InvalidInput
            | ErrorKind::Other
                if self.compression != Compression::None =>
            {
                Kind::Corrupt
            }
            _ => Kind::Io,
        };
        let text = if self.compression == Compression::None { "" } else { " of its text" };
        Error::new(kind, format!("reading file {} at byte {at}{text}", self.detail.path)).because(cause)
    }
}
