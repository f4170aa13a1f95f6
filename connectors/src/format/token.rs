//! One CSV record with quotes, taken apart field by field, as PostgreSQL's `COPY` reads it: a quote
//! anywhere opens or closes, a delimiter inside of quotes is text, and a field is quoted if any of it was.

use super::dialect::Dialect;
use super::framing::without_line_end;

/// Fields of one record.
pub(crate) struct Fields<'a> {
    record: &'a [u8],
    at: usize,
    done: bool,
}

/// What a field ended with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Its text is in the buffer.
    Whole { quoted: bool },
    /// The record ended inside of quotes.
    Unclosed,
}

/// The fields of one record, as text: for a header.
pub(crate) fn split(dialect: &Dialect, record: &[u8]) -> Vec<String> {
    let (mut fields, mut text, mut names) = (Fields::new(without_line_end(record)), Vec::new(), Vec::new());
    while fields.next(dialect, &mut text).is_some() {
        names.push(String::from_utf8_lossy(&text).into_owned());
    }
    names
}

impl<'a> Fields<'a> {
    /// `record` is without its line end.
    pub(crate) fn new(record: &'a [u8]) -> Self {
        Self { record, at: 0, done: false }
    }

    /// Puts the next field's text into `text`; `None` behind the last.
    pub(crate) fn next(&mut self, dialect: &Dialect, text: &mut Vec<u8>) -> Option<Field> {
        if self.done {
            return None;
        }
        text.clear();
        let (mut quoted, mut in_quotes) = (false, false);
        while let Some(&byte) = self.record.get(self.at) {
            self.at += 1;
            let next = self.record.get(self.at).copied();
            let escapes = next.is_some_and(|n| n == dialect.quote || n == dialect.escape);
            if in_quotes && byte == dialect.escape && escapes {
                text.extend(next);
                self.at += 1;
            } else if byte == dialect.quote {
                in_quotes = !in_quotes;
                quoted = true;
            } else if byte == dialect.delimiter && !in_quotes {
                return Some(Field::Whole { quoted });
            } else {
                text.push(byte);
            }
        }
        self.done = true;
        Some(if in_quotes { Field::Unclosed } else { Field::Whole { quoted } })
    }
}
