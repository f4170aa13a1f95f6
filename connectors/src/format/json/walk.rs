//! One record by all the rules of JSON, and with its reason if it is bad: by `serde_json`.

use std::collections::HashMap;
use std::sync::Arc;

use memchr::memchr;
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::NESTING_MAX;
use crate::format::column::Column;
use crate::format::value::Fault;
use crate::format::values::Values;

/// Where the columns' values stand in a record.
pub(super) struct Keys {
    names: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, usize>,
    /// For each column, the span of its value.
    spans: Vec<Option<(usize, usize)>>,
    /// All values of the record found last, in its order.
    members: Vec<Member>,
    /// The column of the key before; the next one usually follows it, in every record.
    last: usize,
}

/// A member of a record: its value's span, and the column that its key names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) column: Option<usize>,
}

impl Keys {
    pub(super) fn new(columns: &[Column]) -> Self {
        let names: Vec<Arc<str>> = columns.iter().map(|c| c.name().into()).collect();
        let by_name = names.iter().enumerate().map(|(column, name)| (name.clone(), column)).collect();
        let spans = vec![None; names.len()];
        Self { names, by_name, spans, members: Vec::new(), last: 0 }
    }

    /// Adds the columns' values in one object.
    pub(super) fn push(&mut self, columns: &mut [Column], text: &str) -> Result<(), String> {
        self.find(text)?;
        for (column, span) in columns.iter_mut().zip(&self.spans) {
            let raw = span.map_or("null", |(start, end)| &text[start..end]);
            push_json(column, raw).map_err(|fault| column.reason(raw.as_bytes(), fault))?;
        }
        Ok(())
    }

    /// The members of the object that was pushed last.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    fn find(&mut self, text: &str) -> Result<(), String> {
        self.spans.fill(None);
        self.members.clear();
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
            // The value is a part of the text that was borrowed from.
            let start = raw.as_ptr() as usize - self.text.as_ptr() as usize;
            let end = start + raw.len();
            self.keys.members.push(Member { start, end, column });
            if let Some(column) = column {
                self.keys.spans[column] = Some((start, end));
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
