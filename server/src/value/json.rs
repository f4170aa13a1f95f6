//! Values as JSON. A `numeric` keeps all its digits; what JSON has no number for (NaN, infinities) is a
//! string, as are times, in PostgreSQL's text.

use std::fmt::{self, Write};

use super::{Cells, Column};

impl Column {
    pub(crate) fn write_json(&self, row: usize, out: &mut String) -> fmt::Result {
        if self.is_null(row) {
            return out.write_str("null");
        }
        match &self.cells {
            Cells::Bool(a) => write!(out, "{}", a.value(row)),
            Cells::Float32(a) if a.value(row).is_finite() => self.write_text(row, out),
            Cells::Float64(a) if a.value(row).is_finite() => self.write_text(row, out),
            Cells::Int16(_)
            | Cells::Int32(_)
            | Cells::Int64(_)
            | Cells::Decimal128(..)
            | Cells::Decimal256(..) => self.write_text(row, out),
            Cells::List(list, inner) => {
                let ends = list.value_offsets();
                let at = |i: usize| usize::try_from(ends[i]).unwrap_or(0);
                out.write_char('[')?;
                for (i, item) in (at(row)..at(row + 1)).enumerate() {
                    if i > 0 {
                        out.write_char(',')?;
                    }
                    inner.write_json(item, out)?;
                }
                out.write_char(']')
            }
            Cells::Record(columns) => {
                out.write_char('{')?;
                for (i, (name, column)) in columns.iter().enumerate() {
                    if i > 0 {
                        out.write_char(',')?;
                    }
                    write_string(out, name)?;
                    out.write_char(':')?;
                    column.write_json(row, out)?;
                }
                out.write_char('}')
            }
            _ => {
                let mut text = String::new();
                self.write_text(row, &mut text)?;
                write_string(out, &text)
            }
        }
    }
}

/// A JSON string, quotes included.
pub(crate) fn write_string(out: &mut String, text: &str) -> fmt::Result {
    out.push_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?);
    Ok(())
}
