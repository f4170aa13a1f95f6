//! Which splits the files make: ranges of plain text, whole files otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};
use siltstone_engine::connector::Split;
use siltstone_engine::error::{Error, Result};

use super::compression::Compression;
use super::{Files, Format};
use crate::format::{Framing, Scan};

/// Bytes of a range of a big text file.
pub(super) const RANGE_BYTES: u64 = 64 << 20;
/// Bytes at a file's start that it is recognised by.
const HEAD_BYTES: u64 = 4096;
/// Bytes that are looked through at once for places to cut.
const SCAN_BYTES: usize = 1 << 20;

/// What is kept with a split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Detail {
    pub(super) path: String,
    /// The file's bytes when it was found.
    pub(super) bytes: u64,
    /// Fingerprint of its first bytes, at most [`HEAD_BYTES`] and at most `bytes` of them.
    head: u64,
    /// The text ended without a newline then.
    open: bool,
}

impl Detail {
    pub(super) fn of(split: &Split) -> Result<Self> {
        serde_json::from_str(&split.detail)
            .map_err(|e| Error::corrupt(format!("reading the detail of split {}", split.id)).because(e))
    }

    /// Refuses a file that is not the one that was found then, or a part of it is gone.
    pub(super) fn check(&self, file: &mut File) -> Result<()> {
        let bytes = size(file, &self.path)?;
        if bytes < self.bytes {
            return Err(changed(format!(
                "file {} has shrunk from {} to {bytes} bytes before it was read to its end",
                self.path, self.bytes
            )));
        }
        if head(file, &self.path, self.bytes)? != self.head {
            return Err(changed(format!(
                "file {} has been replaced before it was read to its end",
                self.path
            )));
        }
        Ok(())
    }
}

fn changed(message: String) -> Error {
    Error::corrupt(message)
        .with_hint("put the file back as it was; new data belongs into a new file, or at the end")
}

/// The splits that are not among `known`.
pub(super) fn discover(files: &Files, known: &[Split]) -> Result<Vec<Split>> {
    let ids: BTreeSet<&str> = known.iter().map(|s| &*s.id).collect();
    // What was known of each file last: the detail of the splits that were found last has the most bytes.
    let mut last: BTreeMap<String, Last> = BTreeMap::new();
    for split in known {
        let (detail, start) = (Detail::of(split)?, split.start as u64);
        match last.get_mut(&detail.path) {
            Some(last) if last.detail.bytes == detail.bytes => last.start = last.start.min(start),
            Some(last) if last.detail.bytes > detail.bytes => {}
            _ => {
                last.insert(detail.path.clone(), Last { detail, start });
            }
        }
    }
    let mut splits = Vec::new();
    for path in files.patterns.files(!known.is_empty())? {
        splits.extend(file_splits(files, &path, last.get(&path))?);
    }
    splits.retain(|s| !ids.contains(&*s.id));
    Ok(splits)
}

/// What was found of a file the last time, and from where on.
struct Last {
    detail: Detail,
    start: u64,
}

fn file_splits(files: &Files, path: &str, last: Option<&Last>) -> Result<Vec<Split>> {
    let mut file = open(path)?;
    let bytes = size(&file, path)?;
    let head = head(&mut file, path, bytes)?;
    let detail = Detail { path: path.to_owned(), bytes, head, open: false };
    match &files.format {
        Format::Parquet if last.is_none() => {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| {
                Error::corrupt(format!("reading the footer of Parquet file {path}")).because(e)
            })?;
            let rows = builder.metadata().file_metadata().num_rows();
            Ok(vec![split(&detail, 0, Some(rows))])
        }
        Format::Text { decoding, .. } if files.format.compression(path) == Compression::None => {
            text_splits(&mut file, detail, decoding.framing(), files.range_bytes, last)
        }
        Format::Text { .. } if last.is_none() => Ok(vec![split(&detail, 0, None)]),
        // A compressed or Parquet file is read once; that it changed cannot be told from here as data.
        _ => {
            if last.is_some_and(|l| l.detail.bytes != bytes) {
                tracing::warn!(path, "file has changed after it was found, and is not read again");
            }
            Ok(Vec::new())
        }
    }
}

/// Ranges of a plain text from where it was known to end, cut where records start.
fn text_splits(
    file: &mut File,
    mut detail: Detail,
    framing: Framing,
    range_bytes: u64,
    last: Option<&Last>,
) -> Result<Vec<Split>> {
    let path = detail.path.clone();
    let start = last.map_or(0, |l| l.detail.bytes);
    // An empty file is found again when something is in it; one that shrank is the reader's to judge.
    if detail.bytes <= start {
        return Ok(Vec::new());
    }
    if let Some(last) = last {
        last.detail.check(file)?;
        let unfinished = last.detail.open && !starts_with_newline(file, &path, start)?;
        if unfinished || in_quotes(file, &path, last.start..start, framing)? {
            return Err(Error::invalid(format!(
                "file {path} was appended to in the middle of a record, at byte {start}, after it was read to there"
            ))
            .with_hint("append whole lines only"));
        }
    }
    let targets: Vec<u64> =
        (1..).map(|k| start + k * range_bytes).take_while(|t| *t < detail.bytes).collect();
    let cuts = if targets.is_empty() {
        Vec::new()
    } else {
        scan(file, &path, start..detail.bytes, framing, targets)?.0
    };
    detail.open = !ends_with_newline(file, &path, detail.bytes)?;
    let mut ends: Vec<u64> =
        cuts.into_iter().map(|cut| start + cut).filter(|end| *end < detail.bytes).collect();
    ends.push(detail.bytes);
    let starts = std::iter::once(start).chain(ends.iter().copied());
    Ok(starts.zip(&ends).map(|(from, to)| split(&detail, from as i64, Some(*to as i64))).collect())
}

/// A quote is open at the end of a range that starts where a record does. Asked only of a file that has
/// grown: for the others it would be read once more than needed.
fn in_quotes(file: &mut File, path: &str, range: Range<u64>, framing: Framing) -> Result<bool> {
    let quoted = framing != Framing::Lines;
    Ok(quoted && scan(file, path, range, framing, Vec::new())?.1.in_quotes())
}

/// Looks for record starts behind `targets`, and for the state at the range's end.
fn scan(
    file: &mut File,
    path: &str,
    range: Range<u64>,
    framing: Framing,
    targets: Vec<u64>,
) -> Result<(Vec<u64>, Scan)> {
    let failed = |e| Error::io(format!("reading file {path}"), e);
    file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
    let mut left = file.take(range.end - range.start);
    let mut cutter = framing.cutter(targets.into_iter().map(|t| t - range.start).collect());
    let mut piece = vec![0; SCAN_BYTES];
    loop {
        match left.read(&mut piece).map_err(failed)? {
            0 => return Ok(cutter.finish()),
            read => cutter.feed(&piece[..read]),
        }
    }
}

fn split(detail: &Detail, start: i64, end: Option<i64>) -> Split {
    let id = format!("{}@{start}", detail.path).into();
    let detail = serde_json::to_string(detail).expect("a detail is plain data");
    Split { id, start, end, detail }
}

pub(super) fn open(path: &str) -> Result<File> {
    File::open(path).map_err(|e| Error::io(format!("opening file {path}"), e))
}

fn size(file: &File, path: &str) -> Result<u64> {
    Ok(file.metadata().map_err(|e| Error::io(format!("reading the size of file {path}"), e))?.len())
}

/// FNV-1a of the first bytes.
fn head(file: &mut File, path: &str, bytes: u64) -> Result<u64> {
    let failed = |e| Error::io(format!("reading file {path}"), e);
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.take(bytes.min(HEAD_BYTES)).read_to_end(&mut start).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(start.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)))
}

fn ends_with_newline(file: &mut File, path: &str, bytes: u64) -> Result<bool> {
    Ok(byte_at(file, path, bytes - 1)? == Some(b'\n'))
}

fn starts_with_newline(file: &mut File, path: &str, at: u64) -> Result<bool> {
    Ok(matches!(byte_at(file, path, at)?, Some(b'\n' | b'\r')))
}

fn byte_at(file: &mut File, path: &str, at: u64) -> Result<Option<u8>> {
    let failed = |e| Error::io(format!("reading file {path}"), e);
    file.seek(SeekFrom::Start(at)).map_err(failed)?;
    let mut byte = [0];
    Ok((file.read(&mut byte).map_err(failed)? == 1).then_some(byte[0]))
}
