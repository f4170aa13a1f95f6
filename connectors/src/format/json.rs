//! JSON to columns, strictly: a record is one object and nothing behind it.
//!
//! Keys may stand in any order; unknown ones are checked and left out, of a repeated one the last counts,
//! an absent one and `null` are NULL. A value must be of its column's kind: numbers for numbers, strings
//! for text, dates and times. Numbers are parsed from their own text, so decimals are exact.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use memchr::memchr;
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use siltstone_engine::connector::{Decoded, Decoder, Origin, Payload, SplitId};
use siltstone_engine::error::Result;

use super::column::{Column, Values};
use super::framing::without_line_end;
use super::gather::Gather;
use super::rows::RowsDecoder;
use super::value::Fault;

/// Objects and arrays inside each other that a record may have, its own object included.
const NESTING_MAX: usize = 128;

/// Decodes JSON.
pub(crate) struct JsonDecoder {
    gather: Gather,
    keys: Keys,
    record_bytes_max: usize,
    rows: RowsDecoder,
}

impl JsonDecoder {
    pub(crate) fn new(schema: &SchemaRef, record_bytes_max: usize) -> Result<Self> {
        let names: Vec<Arc<str>> = schema.fields().iter().map(|f| f.name().as_str().into()).collect();
        let by_name = names.iter().enumerate().map(|(column, name)| (name.clone(), column)).collect();
        let spans = vec![None; names.len()];
        Ok(Self {
            gather: Gather::new(schema)?,
            keys: Keys { names, by_name, spans, last: 0 },
            record_bytes_max,
            rows: RowsDecoder::new(schema.clone()),
        })
    }

    /// Decodes one record, or says why it is none.
    fn record(&mut self, record: &[u8], text: Option<&str>) -> Result<(), String> {
        if record.len() > self.record_bytes_max {
            return Err(format!("record is longer than record.bytes.max ({} bytes)", self.record_bytes_max));
        }
        let text = match text {
            Some(text) => text,
            None => std::str::from_utf8(record)
                .map_err(|e| format!("invalid UTF-8 at byte {} of the record", e.valid_up_to()))?,
        };
        self.keys.find(text)?;
        for (column, span) in self.gather.columns.iter_mut().zip(&self.keys.spans) {
            let raw = span.map_or("null", |(start, end)| &text[start..end]);
            push_json(column, raw).map_err(|fault| column.reason(raw.as_bytes(), fault))?;
        }
        Ok(())
    }

    fn take(&mut self, split: &SplitId, origin: Origin, record: &[u8], text: Option<&str>) {
        match self.record(record, text) {
            Ok(()) => self.gather.accept(origin),
            Err(reason) => self.gather.reject(split, origin.offset, reason, Some(record)),
        }
    }

    /// A line each; blank lines are none.
    fn text(&mut self, split: &SplitId, offset: i64, bytes: &[u8]) {
        let whole = std::str::from_utf8(bytes).ok();
        let mut start = 0;
        while start < bytes.len() {
            let end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at + 1);
            let record = without_line_end(&bytes[start..end]);
            if !record.trim_ascii().is_empty() {
                let (from, to) = (start as u32, (start + record.len()) as u32);
                let origin = Origin { split: 0, offset: offset + start as i64, start: from, end: to };
                self.take(split, origin, record, whole.map(|w| &w[start..start + record.len()]));
            }
            start = end;
        }
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, payload: &Payload) -> Result<Decoded> {
        match payload {
            Payload::Rows { split, offset, batch } => return self.rows.decode_rows(split, *offset, batch),
            Payload::Text { split, offset, bytes } => self.text(split, *offset, bytes),
            Payload::Messages(messages) => {
                for message in &messages.entries {
                    let (start, end) = (message.start, message.end);
                    let split = &messages.splits[message.split as usize];
                    let origin = Origin { split: message.split, offset: message.offset, start, end };
                    let value = &messages.bytes[start as usize..end as usize];
                    if message.absent {
                        self.gather.reject(split, message.offset, "message has no value".into(), None);
                    } else if value.is_empty() {
                        let reason = "message has an empty value".into();
                        self.gather.reject(split, message.offset, reason, Some(value));
                    } else {
                        self.take(split, origin, value, None);
                    }
                }
            }
        }
        self.gather.finish()
    }
}

/// Where the columns' values stand in a record.
struct Keys {
    names: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, usize>,
    /// For each column, the span of its value.
    spans: Vec<Option<(usize, usize)>>,
    /// The column of the key before; the next one usually follows it, in every record.
    last: usize,
}

impl Keys {
    /// Finds the values of one object.
    fn find(&mut self, text: &str) -> Result<(), String> {
        self.spans.fill(None);
        self.last = self.names.len().saturating_sub(1);
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(Object { keys: self, text })
            .and_then(|()| json.end())
            .map_err(|e| format!("not a JSON object: {e}"))
    }

    fn column(&mut self, key: &str) -> Option<usize> {
        let next = if self.last + 1 < self.names.len() { self.last + 1 } else { 0 };
        let column =
            if self.names.get(next).is_some_and(|n| **n == *key) { next } else { *self.by_name.get(key)? };
        self.last = column;
        Some(column)
    }
}

/// Visits the object's members.
struct Object<'k, 't> {
    keys: &'k mut Keys,
    text: &'t str,
}

impl<'t> Visitor<'t> for Object<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(column) = map.next_key_seed(Key { keys: self.keys })? {
            let raw = map.next_value::<&'t RawValue>()?.get();
            if nesting(raw) >= NESTING_MAX {
                return Err(A::Error::custom(format_args!("nested deeper than {NESTING_MAX}")));
            }
            if let Some(column) = column {
                // The value is a part of the text that was borrowed from.
                let start = raw.as_ptr() as usize - self.text.as_ptr() as usize;
                self.keys.spans[column] = Some((start, start + raw.len()));
            }
        }
        Ok(())
    }
}

/// A key, as the column it names.
struct Key<'k> {
    keys: &'k mut Keys,
}

impl<'t> DeserializeSeed<'t> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'t>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.keys.column(key))
    }
}

/// How deep a value that is known to be JSON nests: 0 for a scalar.
fn nesting(raw: &str) -> usize {
    if !raw.starts_with(['{', '[']) {
        return 0;
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Adds a value that is known to be JSON, if it is of the column's kind.
fn push_json(column: &mut Column, raw: &str) -> Result<(), Fault> {
    let kind = match raw.as_bytes().first() {
        Some(b'n') => return column.push_null(),
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        _ => "a number",
    };
    let wanted = match column.values() {
        Values::Boolean(_) => "a boolean",
        Values::Int16(_) | Values::Int32(_) | Values::Int64(_) => {
            if kind == "a number" && raw.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
                return Err(Fault::NotA);
            }
            "a number"
        }
        Values::Float32(_) | Values::Float64(_) | Values::Decimal { .. } => "a number",
        _ => "a string",
    };
    if kind != wanted {
        return Err(Fault::Kind(kind));
    }
    if kind != "a string" {
        return column.push_text(raw.as_bytes());
    }
    let inner = &raw.as_bytes()[1..raw.len() - 1];
    if memchr(b'\\', inner).is_none() {
        return column.push_text(inner);
    }
    let text: String = serde_json::from_str(raw).map_err(|_| Fault::NotA)?;
    column.push_text(text.as_bytes())
}

#[cfg(test)]
mod tests;
