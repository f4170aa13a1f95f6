//! JSON lines: one object a row.

use std::io::{self, Write};

use arrow::datatypes::SchemaRef;

use crate::value::{Column, json};

pub(super) fn rows(
    out: &mut impl Write,
    schema: &SchemaRef,
    columns: &[Column],
    rows: usize,
) -> io::Result<()> {
    let mut line = String::new();
    for row in 0..rows {
        line.clear();
        line.push('{');
        for (i, (column, field)) in columns.iter().zip(schema.fields()).enumerate() {
            if i > 0 {
                line.push(',');
            }
            json::write_string(&mut line, field.name()).map_err(io::Error::other)?;
            line.push(':');
            column.write_json(row, &mut line).map_err(io::Error::other)?;
        }
        line.push_str("}\n");
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}
