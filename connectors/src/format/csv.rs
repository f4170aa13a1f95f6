//! CSV to columns: RFC 4180, with the meanings of PostgreSQL's `COPY … CSV`. An unquoted empty field is
//! NULL, a quoted one the empty string.
//!
//! Records without quotes are taken many at once: one pass finds their fields, then each column is parsed
//! in place for all of them. A record that is not as expected (quotes, another number of fields, a value
//! that does not fit) takes the slow way alone, which has all the rules. A text ends its records by
//! [`super::framing`], a message is one record.

mod index;
mod record;

use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr2, memrchr};
use siltstone_engine::connector::{Decoded, Decoder, Messages, Origin, Payload, SplitId};
use siltstone_engine::error::Result;

use super::dialect::Dialect;
use super::fill::Cells;
use super::framing::{Scan, without_line_end};
use super::gather::Gather;
use super::layout::{Layout, Layouts};
use super::rows::RowsDecoder;
use super::word::is_utf8;
use index::Index;
use record::{Place, Records};

/// Bytes whose fields are found, and then parsed, at once: they and their bounds stay in the cache.
const BLOCK_BYTES: usize = 32 << 10;
/// Messages that are parsed at once.
const BLOCK_MESSAGES: usize = 512;

/// Decodes CSV.
pub(crate) struct CsvDecoder {
    parser: Parser,
    layouts: Arc<Layouts>,
    rows: RowsDecoder,
}

impl CsvDecoder {
    pub(crate) fn new(
        gather: Gather,
        rows: RowsDecoder,
        dialect: Dialect,
        layouts: Arc<Layouts>,
        record_bytes_max: usize,
    ) -> Self {
        let records = Records::new(dialect, record_bytes_max);
        let parser = Parser { gather, records, index: Index::default(), indexed: Vec::new() };
        Self { parser, layouts, rows }
    }
}

impl Decoder for CsvDecoder {
    fn decode(&mut self, payload: &Payload) -> Result<Decoded> {
        match payload {
            Payload::Rows { split, offset, batch } => return self.rows.decode_rows(split, *offset, batch),
            Payload::Text { split, offset, bytes } => {
                self.parser.text(&self.layouts.get(split), split, *offset, bytes);
            }
            Payload::Messages(messages) => self.parser.messages(&self.layouts, messages),
        }
        self.parser.gather.finish()
    }
}

/// Everything but the layouts, so that both can be borrowed.
struct Parser {
    gather: Gather,
    records: Records,
    index: Index,
    /// The messages in the index.
    indexed: Vec<Origin>,
}

impl Parser {
    /// Records behind each other.
    fn text(&mut self, layout: &Layout, split: &SplitId, offset: i64, bytes: &[u8]) {
        let place = |start: usize, end: usize, valid| {
            let (start, end, offset) = (start as u32, end as u32, offset + start as i64);
            Place { layout, split, origin: Origin { split: 0, offset, start, end }, valid }
        };
        let valid = is_utf8(bytes);
        let quote = self.records.dialect.quote;
        let mut next_quote = memchr(quote, bytes).unwrap_or(bytes.len());
        let mut start = 0;
        while start < bytes.len() {
            // Whole lines without quotes.
            let block = &bytes[start..next_quote.min(start.saturating_add(BLOCK_BYTES))];
            let end = memrchr(b'\n', block).filter(|_| valid).map_or(start, |at| start + at + 1);
            if end > start {
                self.lines(bytes, start..end, place);
                start = end;
                continue;
            }
            let end = self.records.dialect.framing().first_end(&mut Scan::default(), &bytes[start..]);
            let end = end.map_or(bytes.len(), |at| start + at);
            if next_quote < end {
                next_quote = memchr(quote, &bytes[end..]).map_or(bytes.len(), |at| end + at);
            }
            self.line(bytes, start..end, place(start, end, valid));
            start = end;
        }
    }

    /// Lines without quotes, in valid UTF-8.
    fn lines<'p>(
        &mut self,
        bytes: &[u8],
        lines: Range<usize>,
        place: impl Fn(usize, usize, bool) -> Place<'p>,
    ) {
        let layout = place(lines.start, lines.start, true).layout;
        let fields = layout.targets().len();
        self.index.set_lines(bytes, lines, self.records.dialect.delimiter);
        let mut at = 0;
        while let [first, _, ..] = *self.index.bounds(at) {
            let rows = self.index.regular_lines(bytes, at, fields, self.records.record_bytes_max);
            if rows == 0 {
                let end = self.index.line_end(bytes, at);
                let line = first as usize..self.index.bounds(end)[0] as usize;
                self.line(bytes, line.clone(), place(line.start, line.end, true));
                at = end;
                continue;
            }
            let bounds = self.index.bounds(at);
            let line = |row: usize| {
                let (start, end) = (bounds[row * fields] as usize, bounds[(row + 1) * fields] as usize - 1);
                start..end - usize::from(end > start && bytes[end - 1] == b'\r')
            };
            let table = Table { bytes, bounds, stride: fields, layout, lines: true };
            let null = self.records.dialect.null.clone();
            self.gather.take(
                rows,
                |column, rows| table.cells(column, rows, null.as_bytes()),
                |row| {
                    let line = line(row);
                    place(line.start, line.end, true).origin
                },
                |gather, row| {
                    let line = line(row);
                    self.records.record(gather, place(line.start, line.end, true), &bytes[line]);
                },
            );
            at += rows * fields;
        }
        self.index.clear();
    }

    /// One line or the like.
    fn line(&mut self, bytes: &[u8], line: Range<usize>, place: Place<'_>) {
        let record = without_line_end(&bytes[line]);
        // A line with nothing on it is a row only where a row is one field.
        if !record.is_empty() || place.layout.targets().len() == 1 {
            let end = place.origin.start + record.len() as u32;
            let place = Place { origin: Origin { end, ..place.origin }, ..place };
            self.records.record(&mut self.gather, place, record);
        }
    }

    /// Messages of any splits; those side by side with one layout are taken together.
    fn messages(&mut self, layouts: &Layouts, messages: &Messages) {
        let layouts: Vec<_> = messages.splits.iter().map(|split| layouts.get(split)).collect();
        let valid = std::str::from_utf8(&messages.bytes).ok();
        let Some(mut layout) = layouts.first() else { return };
        for message in &messages.entries {
            let of_message = &layouts[message.split as usize];
            let range = message.start as usize..message.end as usize;
            let origin = Origin {
                split: message.split,
                offset: message.offset,
                start: message.start,
                end: message.end,
            };
            let is_valid = valid.is_some_and(|v| v.get(range.clone()).is_some());
            if self.indexed.len() >= BLOCK_MESSAGES || !Arc::ptr_eq(layout, of_message) {
                self.take_indexed(layout, messages);
                layout = of_message;
            }
            if is_valid && !message.absent && self.index_message(layout, &messages.bytes, range.clone()) {
                self.indexed.push(origin);
                continue;
            }
            self.take_indexed(layout, messages);
            let split = &messages.splits[message.split as usize];
            if message.absent {
                self.gather.reject(split, message.offset, "message has no value".into(), None);
                continue;
            }
            let place = Place { layout, split, origin, valid: is_valid };
            self.records.message(&mut self.gather, place, &messages.bytes[range]);
        }
        self.take_indexed(layout, messages);
    }

    /// Adds a message to the index, if it is a plain record without a line end.
    fn index_message(&mut self, layout: &Layout, bytes: &[u8], message: Range<usize>) -> bool {
        let Records { dialect, record_bytes_max, .. } = &self.records;
        let is_plain = (1..=BLOCK_BYTES.min(*record_bytes_max)).contains(&message.len())
            && memchr2(dialect.quote, b'\n', &bytes[message.clone()]).is_none();
        is_plain && self.index.push_record(bytes, message, dialect.delimiter, layout.targets().len())
    }

    /// Takes the messages in the index, which is empty afterwards.
    fn take_indexed(&mut self, layout: &Layout, messages: &Messages) {
        let (bytes, bounds, indexed) = (&messages.bytes, self.index.bounds(0), &self.indexed);
        let table = Table { bytes, bounds, stride: layout.targets().len() + 1, layout, lines: false };
        let null = self.records.dialect.null.clone();
        self.gather.take(
            indexed.len(),
            |column, rows| table.cells(column, rows, null.as_bytes()),
            |row| indexed[row],
            |gather, row| {
                let origin = indexed[row];
                let split = &messages.splits[origin.split as usize];
                let value = &bytes[origin.start as usize..origin.end as usize];
                self.records.message(gather, Place { layout, split, origin, valid: true }, value);
            },
        );
        self.index.clear();
        self.indexed.clear();
    }
}

/// Records whose fields are indexed.
struct Table<'a> {
    bytes: &'a [u8],
    bounds: &'a [u32],
    /// Bounds from one record to the next.
    stride: usize,
    layout: &'a Layout,
    /// Each record is a line, of which a carriage return may be the last byte.
    lines: bool,
}

impl<'a> Table<'a> {
    /// One column of some of the records.
    fn cells(&self, column: usize, rows: Range<usize>, null: &'a [u8]) -> Fields<'a> {
        let field = self.layout.field(column);
        Fields {
            bytes: self.bytes,
            bounds: &self.bounds[rows.start * self.stride + field..],
            stride: self.stride,
            rows: rows.len(),
            may_end_with_return: self.lines && field + 1 == self.stride,
            null,
        }
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    /// Starts with that of the first row's field.
    bounds: &'a [u32],
    stride: usize,
    rows: usize,
    may_end_with_return: bool,
    null: &'a [u8],
}

impl Cells for Fields<'_> {
    const JSON: bool = false;

    fn bytes(&self) -> &[u8] {
        self.bytes
    }

    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn span(&self, row: usize) -> Option<(usize, usize)> {
        let at = row * self.stride;
        let (start, mut end) = (self.bounds[at] as usize, self.bounds[at + 1] as usize - 1);
        if self.may_end_with_return && end > start && self.bytes[end - 1] == b'\r' {
            end -= 1;
        }
        // To compare nothing with nothing costs a call, and mostly NULL is nothing.
        let length = self.null.len();
        let is_null = end - start == length && (length == 0 || self.bytes[start..end] == *self.null);
        if is_null { None } else { Some((start, end)) }
    }
}

#[cfg(test)]
mod tests;
