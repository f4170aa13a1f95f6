//! One record by all the rules, and with its reason if it is bad: the way of records that have quotes, or
//! that turn out not to be plain.

use memchr::{memchr, memchr_iter};
use siltstone_engine::connector::{Origin, SplitId};

use crate::format::dialect::Dialect;
use crate::format::framing::{Scan, without_line_end};
use crate::format::gather::Gather;
use crate::format::layout::Layout;
use crate::format::token::{Field, Fields};

/// Decodes records one by one.
pub(super) struct Records {
    pub(super) dialect: Dialect,
    pub(super) record_bytes_max: usize,
    /// A quoted field's text.
    text: Vec<u8>,
}

/// Where a record belongs, and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) layout: &'a Layout,
    pub(super) split: &'a SplitId,
    pub(super) origin: Origin,
    /// The record is known to be UTF-8.
    pub(super) valid: bool,
}

impl Records {
    pub(super) fn new(dialect: Dialect, record_bytes_max: usize) -> Self {
        Self { dialect, record_bytes_max, text: Vec::new() }
    }

    /// One record, perhaps with a line end behind it.
    pub(super) fn message(&mut self, gather: &mut Gather, place: Place<'_>, value: &[u8]) {
        let Place { split, origin, .. } = place;
        if value.is_empty() {
            gather.reject(split, origin.offset, "message has an empty value".into(), Some(value));
            return;
        }
        let end = self.dialect.framing().first_end(&mut Scan::default(), value);
        if end.is_some_and(|end| end < value.len()) {
            let reason = format!("record ends at byte {}, but the message goes on", end.unwrap_or_default());
            gather.reject(split, origin.offset, reason, Some(value));
            return;
        }
        self.record(gather, place, if end.is_some() { without_line_end(value) } else { value });
    }

    /// One record, without its line end.
    pub(super) fn record(&mut self, gather: &mut Gather, place: Place<'_>, record: &[u8]) {
        let Place { layout, split, origin, valid } = place;
        let done = if record.len() > self.record_bytes_max {
            Err(format!("record is longer than record.bytes.max ({} bytes)", self.record_bytes_max))
        } else if let Some(at) = if valid { None } else { invalid_at(record) } {
            Err(format!("invalid UTF-8 at byte {at} of the record"))
        } else if memchr(self.dialect.quote, record).is_some() {
            self.quoted(gather, layout, record)
        } else {
            self.plain(gather, layout, record)
        };
        match done {
            Ok(()) => gather.accept(origin),
            Err(reason) => gather.reject(split, origin.offset, reason, Some(record)),
        }
    }

    /// A record without quotes.
    fn plain(&self, gather: &mut Gather, layout: &Layout, record: &[u8]) -> Result<(), String> {
        let mut start = 0;
        let mut count = 0;
        for end in memchr_iter(self.dialect.delimiter, record).chain([record.len()]) {
            let field = &record[start..end];
            start = end + 1;
            let target = layout.targets().get(count).copied().flatten();
            count += 1;
            let Some(target) = target else { continue };
            let column = &mut gather.columns[target];
            let null = field == self.dialect.null.as_bytes();
            let pushed = if null { column.push_null() } else { column.push_text(field) };
            pushed.map_err(|fault| column.reason(field, fault))?;
        }
        count_is(layout, count)
    }

    /// A record with quotes somewhere.
    fn quoted(&mut self, gather: &mut Gather, layout: &Layout, record: &[u8]) -> Result<(), String> {
        let mut fields = Fields::new(record);
        let mut count = 0;
        while let Some(field) = fields.next(&self.dialect, &mut self.text) {
            let Field::Whole { quoted } = field else {
                return Err(format!("quote is not closed in field {} of the record", count + 1));
            };
            let target = layout.targets().get(count).copied().flatten();
            count += 1;
            let Some(target) = target else { continue };
            let column = &mut gather.columns[target];
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
