//! CSV to columns: RFC 4180, with the meanings of PostgreSQL's `COPY … CSV`. An unquoted empty field is
//! NULL, a quoted one the empty string.
//!
//! A record without quotes is cut at its delimiters and parsed in place; only one with quotes takes the
//! slow way through a buffer. A text ends its records by [`Framing`], a message is one record.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use memchr::{memchr, memchr_iter};
use siltstone_engine::connector::{Decoded, Decoder, Origin, Payload, SplitId};
use siltstone_engine::error::Result;

use super::dialect::Dialect;
use super::framing::{Scan, without_line_end};
use super::gather::Gather;
use super::layout::{Layout, Layouts};
use super::rows::RowsDecoder;
use super::token::{Field, Fields};

/// Decodes CSV.
pub(crate) struct CsvDecoder {
    parser: Parser,
    layouts: Arc<Layouts>,
    rows: RowsDecoder,
}

impl CsvDecoder {
    pub(crate) fn new(
        schema: &SchemaRef,
        dialect: Dialect,
        layouts: Arc<Layouts>,
        record_bytes_max: usize,
    ) -> Result<Self> {
        let parser = Parser { gather: Gather::new(schema)?, dialect, record_bytes_max, text: Vec::new() };
        Ok(Self { parser, layouts, rows: RowsDecoder::new(schema.clone()) })
    }
}

impl Decoder for CsvDecoder {
    fn decode(&mut self, payload: &Payload) -> Result<Decoded> {
        match payload {
            Payload::Rows { split, offset, batch } => return self.rows.decode_rows(split, *offset, batch),
            Payload::Text { split, offset, bytes } => {
                let layout = self.layouts.get(split);
                self.parser.text(&layout, split, *offset, bytes);
            }
            Payload::Messages(messages) => {
                let layouts: Vec<_> = messages.splits.iter().map(|s| self.layouts.get(s)).collect();
                for message in &messages.entries {
                    let (start, end) = (message.start, message.end);
                    let origin = Origin { split: message.split, offset: message.offset, start, end };
                    let split = &messages.splits[message.split as usize];
                    if message.absent {
                        self.parser.gather.reject(split, message.offset, "message has no value".into(), None);
                        continue;
                    }
                    let value = &messages.bytes[start as usize..end as usize];
                    self.parser.message(&layouts[message.split as usize], split, origin, value);
                }
            }
        }
        self.parser.gather.finish()
    }
}

/// Everything but the layout, so that both can be borrowed.
struct Parser {
    gather: Gather,
    dialect: Dialect,
    record_bytes_max: usize,
    /// A quoted field's text.
    text: Vec<u8>,
}

impl Parser {
    /// Records behind each other.
    fn text(&mut self, layout: &Layout, split: &SplitId, offset: i64, bytes: &[u8]) {
        let framing = self.dialect.framing();
        let valid = std::str::from_utf8(bytes).is_ok();
        let mut next_quote = memchr(self.dialect.quote, bytes).unwrap_or(bytes.len());
        let mut start = 0;
        while start < bytes.len() {
            let line = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at + 1);
            let quotes = next_quote < line;
            let end = if quotes {
                let end = framing
                    .first_end(&mut Scan::default(), &bytes[start..])
                    .map_or(bytes.len(), |at| start + at);
                next_quote = memchr(self.dialect.quote, &bytes[end..]).map_or(bytes.len(), |at| end + at);
                end
            } else {
                line
            };
            let record = without_line_end(&bytes[start..end]);
            // A line with nothing on it is a row only where a row is one field.
            if !record.is_empty() || layout.targets().len() == 1 {
                let origin = Origin {
                    split: 0,
                    offset: offset + start as i64,
                    start: start as u32,
                    end: (start + record.len()) as u32,
                };
                self.record(layout, split, origin, record, valid, quotes);
            }
            start = end;
        }
    }

    /// One record, perhaps with a line end behind it.
    fn message(&mut self, layout: &Layout, split: &SplitId, origin: Origin, value: &[u8]) {
        let quotes = memchr(self.dialect.quote, value).is_some();
        if value.is_empty() {
            self.gather.reject(split, origin.offset, "message has an empty value".into(), Some(value));
            return;
        }
        let end = self.dialect.framing().first_end(&mut Scan::default(), value);
        if end.is_some_and(|end| end < value.len()) {
            let reason = format!("record ends at byte {}, but the message goes on", end.unwrap_or_default());
            self.gather.reject(split, origin.offset, reason, Some(value));
            return;
        }
        let record = if end.is_some() { without_line_end(value) } else { value };
        self.record(layout, split, origin, record, false, quotes);
    }

    fn record(
        &mut self,
        layout: &Layout,
        split: &SplitId,
        origin: Origin,
        record: &[u8],
        valid: bool,
        quotes: bool,
    ) {
        let done = if record.len() > self.record_bytes_max {
            Err(format!("record is longer than record.bytes.max ({} bytes)", self.record_bytes_max))
        } else if let Some(at) = if valid { None } else { invalid_at(record) } {
            Err(format!("invalid UTF-8 at byte {at} of the record"))
        } else if quotes {
            self.quoted(layout, record)
        } else {
            self.plain(layout, record)
        };
        match done {
            Ok(()) => self.gather.accept(origin),
            Err(reason) => self.gather.reject(split, origin.offset, reason, Some(record)),
        }
    }

    /// A record without quotes.
    fn plain(&mut self, layout: &Layout, record: &[u8]) -> Result<(), String> {
        let mut start = 0;
        let mut count = 0;
        for end in memchr_iter(self.dialect.delimiter, record).chain([record.len()]) {
            let field = &record[start..end];
            start = end + 1;
            let target = layout.targets().get(count).copied().flatten();
            count += 1;
            let Some(target) = target else { continue };
            let column = &mut self.gather.columns[target];
            let null = field == self.dialect.null.as_bytes();
            let pushed = if null { column.push_null() } else { column.push_text(field) };
            pushed.map_err(|fault| column.reason(field, fault))?;
        }
        count_is(layout, count)
    }

    /// A record with quotes somewhere.
    fn quoted(&mut self, layout: &Layout, record: &[u8]) -> Result<(), String> {
        let mut fields = Fields::new(record);
        let mut count = 0;
        while let Some(field) = fields.next(&self.dialect, &mut self.text) {
            let Field::Whole { quoted } = field else {
                return Err(format!("quote is not closed in field {} of the record", count + 1));
            };
            let target = layout.targets().get(count).copied().flatten();
            count += 1;
            let Some(target) = target else { continue };
            let column = &mut self.gather.columns[target];
            let null = !quoted && self.text == self.dialect.null.as_bytes();
            let pushed = if null { column.push_null() } else { column.push_text(&self.text) };
            pushed.map_err(|fault| column.reason(&self.text, fault))?;
        }
        count_is(layout, count)
    }
}

fn count_is(layout: &Layout, count: usize) -> Result<(), String> {
    let wanted = layout.targets().len();
    if count == wanted { Ok(()) } else { Err(format!("record has {count} fields, {wanted} are expected")) }
}

/// Where invalid UTF-8 begins.
fn invalid_at(record: &[u8]) -> Option<usize> {
    std::str::from_utf8(record).err().map(|e| e.valid_up_to())
}

#[cfg(test)]
mod tests;
