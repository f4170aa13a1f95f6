//! JSON to columns, strictly: a record is one object and nothing behind it.
//!
//! Keys may stand in any order; unknown ones are checked and left out, of a repeated one the last counts,
//! an absent one and `null` are NULL. A value must be of its column's kind: numbers for numbers, strings
//! for text, dates and times. Numbers are parsed from their own text, so decimals are exact.
//!
//! Records of a [`shape`] that was seen before are taken many at once: their values are found by comparing
//! bytes, then each column is parsed in place for all of them. Any other record is [`walk`]ed alone.

mod shape;
mod skip;
mod walk;

use std::ops::Range;

use memchr::memchr;
use siltstone_engine::connector::{Decoded, Decoder, Messages, Origin, Payload, SplitId};
use siltstone_engine::error::Result;

use super::fill::Cells;
use super::framing::without_line_end;
use super::gather::Gather;
use super::rows::RowsDecoder;
use super::values::Values;
use super::word::is_utf8;
use shape::{Shape, Span};
use walk::Keys;

/// Objects and arrays inside each other that a record may have, its own object included.
const NESTING_MAX: usize = 128;
/// Records that are parsed at once: they and their spans stay in the cache.
const BLOCK_RECORDS: usize = 256;

/// Decodes JSON.
pub(crate) struct JsonDecoder {
    parser: Parser,
    rows: RowsDecoder,
}

impl JsonDecoder {
    pub(crate) fn new(gather: Gather, rows: RowsDecoder, record_bytes_max: usize) -> Self {
        let strings = gather.columns.iter().map(|column| is_string(column.values())).collect();
        let walker =
            Walker { keys: Keys::new(&gather.columns), shape: Shape::new(strings), record_bytes_max };
        Self { parser: Parser { gather, walker, found: Vec::new(), spans: Vec::new() }, rows }
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, payload: &Payload) -> Result<Decoded> {
        match payload {
            Payload::Rows { split, offset, batch } => return self.rows.decode_rows(split, *offset, batch),
            Payload::Text { split, offset, bytes } => self.parser.text(split, *offset, bytes),
            Payload::Messages(messages) => self.parser.messages(messages),
        }
        self.parser.gather.finish()
    }
}

struct Parser {
    gather: Gather,
    walker: Walker,
    /// Records whose values were found.
    found: Vec<Origin>,
    /// For each of them, where each column's value stands.
    spans: Vec<Span>,
}

/// What records are part of.
#[derive(Clone, Copy)]
struct Whole<'a> {
    bytes: &'a [u8],
    /// All of it is valid UTF-8.
    is_text: bool,
    splits: &'a [SplitId],
}

impl Whole<'_> {
    /// A part of it is known to be valid UTF-8: it begins and ends between characters of a whole that is.
    fn has_text(&self, start: usize, end: usize) -> bool {
        let is_boundary = |at: usize| self.bytes.get(at).is_none_or(|byte| !(0x80..0xc0).contains(byte));
        self.is_text && is_boundary(start) && is_boundary(end)
    }
}

impl Parser {
    /// A line each; blank lines are none.
    fn text(&mut self, split: &SplitId, offset: i64, bytes: &[u8]) {
        let whole = Whole { bytes, is_text: is_utf8(bytes), splits: std::slice::from_ref(split) };
        let mut start = 0;
        while start < bytes.len() {
            let end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at + 1);
            let record = without_line_end(&bytes[start..end]);
            if record.first() == Some(&b'{') || !record.trim_ascii().is_empty() {
                let (from, to) = (start as u32, (start + record.len()) as u32);
                self.record(whole, Origin { split: 0, offset: offset + start as i64, start: from, end: to });
            }
            start = end;
        }
        self.take_found(whole);
    }

    fn messages(&mut self, messages: &Messages) {
        let (bytes, splits) = (&*messages.bytes, &*messages.splits);
        let whole = Whole { bytes, is_text: is_utf8(bytes), splits };
        for message in &messages.entries {
            let (start, end) = (message.start, message.end);
            if message.absent || start == end {
                self.take_found(whole);
                let (reason, raw) = if message.absent {
                    ("message has no value", None)
                } else {
                    ("message has an empty value", Some(&[][..]))
                };
                self.gather.reject(&splits[message.split as usize], message.offset, reason.into(), raw);
                continue;
            }
            self.record(whole, Origin { split: message.split, offset: message.offset, start, end });
        }
        self.take_found(whole);
    }

    /// Finds the values of a record, or walks it.
    fn record(&mut self, whole: Whole<'_>, origin: Origin) {
        let (start, end) = (origin.start as usize, origin.end as usize);
        let before = self.spans.len();
        if whole.has_text(start, end) && end - start <= self.walker.record_bytes_max {
            self.spans.resize(before + self.gather.columns.len(), Span::ABSENT);
            if self.walker.shape.find(whole.bytes, start, end, &mut self.spans[before..]) {
                self.found.push(origin);
                if self.found.len() >= BLOCK_RECORDS {
                    self.take_found(whole);
                }
                return;
            }
            self.spans.truncate(before);
        }
        self.take_found(whole);
        self.walker.take(&mut self.gather, whole, origin);
    }

    /// Takes the records whose values were found; there are none afterwards.
    fn take_found(&mut self, whole: Whole<'_>) {
        let (found, spans, columns) = (&self.found, &self.spans, self.gather.columns.len());
        self.gather.take(
            found.len(),
            |column, rows| {
                let (first, rows) = (rows.start * columns + column, rows.len());
                Found { bytes: whole.bytes, spans: &spans[first..], columns, rows }
            },
            |row| found[row],
            |gather, row| self.walker.take(gather, whole, found[row]),
        );
        self.found.clear();
        self.spans.clear();
    }
}

/// Decodes records one by one, and learns their shapes.
struct Walker {
    keys: Keys,
    shape: Shape,
    record_bytes_max: usize,
}

impl Walker {
    fn take(&mut self, gather: &mut Gather, whole: Whole<'_>, origin: Origin) {
        let range = origin.start as usize..origin.end as usize;
        match self.push(gather, whole, range.clone()) {
            Ok(()) => gather.accept(origin),
            Err(reason) => {
                let split = &whole.splits[origin.split as usize];
                gather.reject(split, origin.offset, reason, Some(&whole.bytes[range]));
            }
        }
    }

    /// Adds a record's values, or says why it has none.
    fn push(&mut self, gather: &mut Gather, whole: Whole<'_>, range: Range<usize>) -> Result<(), String> {
        let record = &whole.bytes[range];
        if record.len() > self.record_bytes_max {
            return Err(format!("record is longer than record.bytes.max ({} bytes)", self.record_bytes_max));
        }
        let text = std::str::from_utf8(record)
            .map_err(|e| format!("invalid UTF-8 at byte {} of the record", e.valid_up_to()))?;
        self.keys.push(&mut gather.columns, text)?;
        self.shape.learn(record, self.keys.members());
        Ok(())
    }
}

/// One column of records whose values were found.
struct Found<'a> {
    bytes: &'a [u8],
    /// Starts with the first row's.
    spans: &'a [Span],
    columns: usize,
    rows: usize,
}

impl Cells for Found<'_> {
    const JSON: bool = true;

    fn bytes(&self) -> &[u8] {
        self.bytes
    }

    fn rows(&self) -> usize {
        self.rows
    }

    #[inline(always)]
    fn span(&self, row: usize) -> Option<(usize, usize)> {
        let span = self.spans[row * self.columns];
        if span.is_null() { None } else { Some((span.start as usize, span.end as usize)) }
    }
}

/// Whether a value is written as a string.
fn is_string(values: &Values) -> bool {
    !matches!(
        values,
        Values::Boolean(_)
            | Values::Int16(_)
            | Values::Int32(_)
            | Values::Int64(_)
            | Values::Float32(_)
            | Values::Float64(_)
            | Values::Decimal { .. }
    )
}

#[cfg(test)]
mod tests;
