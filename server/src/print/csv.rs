//! CSV as in RFC 4180, lines ended by a line feed. NULL is an empty field, an empty string is `""`.

use std::io::{self, Write};

use arrow::datatypes::SchemaRef;

use crate::value::Column;

pub(super) fn header(out: &mut impl Write, schema: &SchemaRef) -> io::Result<()> {
    let names: Vec<String> = schema.fields().iter().map(|f| quoted(f.name())).collect();
    writeln!(out, "{}", names.join(","))
}

pub(super) fn rows(out: &mut impl Write, columns: &[Column], rows: usize) -> io::Result<()> {
    let mut text = String::new();
    for row in 0..rows {
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                out.write_all(b",")?;
            }
            if !column.is_null(row) {
                text.clear();
                column.write_text(row, &mut text).map_err(io::Error::other)?;
                out.write_all(quoted(&text).as_bytes())?;
            }
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
