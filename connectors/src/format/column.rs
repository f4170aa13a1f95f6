//! A column of a batch while its rows are being decoded: typed values, validity, and a way back.
//!
//! A row that turns out bad half-way is undone with [`Column::truncate`]. Nothing is allocated per row.

use std::sync::Arc;

use arrow::array::{ArrayRef, NullArray};
use arrow::datatypes::{DataType, Field};
use siltstone_engine::error::Result;

use super::fill::Cells;
use super::validity::Validity;
use super::value::{self, Fault};
use super::values::Values;

/// PostgreSQL's name of a type, for reasons.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Float32 => "real".into(),
        DataType::Float64 => "double precision".into(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
        DataType::Utf8 => "varchar".into(),
        DataType::Binary => "bytea".into(),
        DataType::Date32 => "date".into(),
        DataType::Time64(_) => "time".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
        other => other.to_string(),
    }
}

/// A column being built.
#[derive(Debug)]
pub(crate) struct Column {
    name: String,
    type_name: String,
    nullable: bool,
    /// Somebody reads it. Otherwise values are checked and forgotten.
    wanted: bool,
    values: Values,
    validity: Validity,
}

impl Column {
    /// An empty column whose values are kept as its type says.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](siltstone_engine::error::Kind::Unsupported) for a type that no format decodes.
    pub(crate) fn new(field: &Field) -> Result<Self> {
        Ok(Self {
            name: field.name().clone(),
            type_name: type_name(field.data_type()),
            nullable: field.is_nullable(),
            wanted: true,
            values: Values::new(field)?,
            validity: Validity::default(),
        })
    }

    /// An empty column of a decoder, as [`siltstone_engine::connector::Source::decoder`] describes it.
    pub(crate) fn decoded(field: &Field, wanted: bool) -> Result<Self> {
        let column = Self::new(field)?;
        let values = match (column.values, wanted) {
            (Values::Text { .. }, true) => Values::coded(),
            (Values::Text { .. }, false) => Values::Unread,
            (values, _) => values,
        };
        Ok(Self { wanted, values, ..column })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn is_nullable(&self) -> bool {
        self.nullable
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text { .. } | Values::Coded { .. } | Values::Unread)
    }

    pub(crate) fn is_timestamp(&self) -> bool {
        matches!(self.values, Values::Timestamp { .. })
    }

    pub(crate) fn len(&self) -> usize {
        self.validity.len()
    }

    /// The reason why `text` is not a value of this column.
    #[cold]
    pub(crate) fn reason(&self, text: &[u8], fault: Fault) -> String {
        value::reason(&self.name, &self.type_name, text, fault)
    }

    /// Adds a NULL.
    pub(crate) fn push_null(&mut self) -> Result<(), Fault> {
        if !self.nullable {
            return Err(Fault::Null);
        }
        self.values.push_null()?;
        self.end_row(false);
        Ok(())
    }

    /// Adds the value that `text` (valid UTF-8) stands for by the type's input rules. A text column takes
    /// it as it is.
    #[inline]
    pub(crate) fn push_text(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.values.push_text(text, &self.validity)?;
        self.end_row(true);
        Ok(())
    }

    /// Adds a whole number: days, microseconds, or itself. Not for text, which takes it as digits.
    pub(crate) fn push_number(&mut self, value: i64) -> Result<(), Fault> {
        self.values.push_number(value, &self.validity)?;
        self.end_row(true);
        Ok(())
    }

    fn end_row(&mut self, is_valid: bool) {
        if self.wanted {
            self.validity.push(is_valid);
        } else {
            self.values.truncate(0);
            self.validity.push(true);
        }
    }

    /// Adds the values of many rows; the answer is how many of them have one, from the first on. The next
    /// row is to be decoded by itself: what the column makes of it, the other `push`es say.
    pub(crate) fn fill<C: Cells>(&mut self, cells: &C) -> usize {
        if self.wanted {
            return self.values.fill(cells, self.nullable, &mut self.validity);
        }
        let mut validity = Validity::default();
        let rows = self.values.fill(cells, self.nullable, &mut validity);
        self.values.truncate(0);
        self.validity.append_valid(rows);
        rows
    }

    /// Takes back everything behind the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if self.wanted {
            self.values.truncate(rows);
        }
        self.validity.truncate(rows);
    }

    /// The column as an array; it is empty afterwards, with room for as many rows again.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let rows = self.len();
        let nulls = self.validity.finish();
        if self.wanted { self.values.finish(nulls) } else { Ok(Arc::new(NullArray::new(rows))) }
    }
}

#[cfg(test)]
mod tests;
