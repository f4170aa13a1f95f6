//! Tables in psql's style: names centred, numbers to the right, a line of its own for each line of a value.
//!
//! Widths come from the first rows; those behind them are shown with the same widths, so that memory stays
//! bounded however long a result is.

use std::io::{self, Write};

use arrow::datatypes::SchemaRef;

use crate::value::Column;

/// Rows that decide the columns' widths.
const SAMPLE_ROWS: usize = 10_000;

#[derive(Default)]
pub(super) struct Table {
    names: Vec<String>,
    right: Vec<bool>,
    sample: Vec<Vec<String>>,
    /// Known once the sample was shown.
    widths: Option<Vec<usize>>,
    count: usize,
}

impl Table {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let names = schema.fields().iter().map(|f| f.name().clone()).collect();
        Self { names, ..Self::default() }
    }

    pub(super) fn rows(&mut self, out: &mut impl Write, columns: &[Column], rows: usize) -> io::Result<()> {
        self.right = columns.iter().map(Column::is_number).collect();
        for row in 0..rows {
            let mut cells = Vec::with_capacity(columns.len());
            for column in columns {
                let mut text = String::new();
                if !column.is_null(row) {
                    column.write_text(row, &mut text).map_err(io::Error::other)?;
                }
                cells.push(text);
            }
            self.count += 1;
            match &self.widths {
                Some(widths) => write_row(out, &cells, widths, &self.right)?,
                None => self.sample.push(cells),
            }
            if self.widths.is_none() && self.sample.len() >= SAMPLE_ROWS {
                self.show_sample(out)?;
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.widths.is_none() {
            self.show_sample(out)?;
        }
        let plural = if self.count == 1 { "" } else { "s" };
        writeln!(out, "({} row{plural})\n", self.count)
    }

    fn show_sample(&mut self, out: &mut impl Write) -> io::Result<()> {
        let width_of = |text: &String| text.lines().map(|l| l.chars().count()).max().unwrap_or(0);
        let mut widths: Vec<usize> = self.names.iter().map(width_of).collect();
        for row in &self.sample {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = width_of(cell).max(*width);
            }
        }
        let head = self.names.iter().zip(&widths).map(|(name, width)| format!(" {name:^width$} "));
        writeln!(out, "{}", head.collect::<Vec<_>>().join("|"))?;
        let rule = widths.iter().map(|width| "-".repeat(width + 2));
        writeln!(out, "{}", rule.collect::<Vec<_>>().join("+"))?;
        for row in std::mem::take(&mut self.sample) {
            write_row(out, &row, &widths, &self.right)?;
        }
        self.widths = Some(widths);
        Ok(())
    }
}

fn write_row(out: &mut impl Write, cells: &[String], widths: &[usize], right: &[bool]) -> io::Result<()> {
    let lines: Vec<Vec<&str>> = cells.iter().map(|c| c.split('\n').collect()).collect();
    let height = lines.iter().map(Vec::len).max().unwrap_or(1);
    for at in 0..height {
        for (i, cell) in lines.iter().enumerate() {
            if i > 0 {
                out.write_all(b"|")?;
            }
            let text = cell.get(at).copied().unwrap_or("");
            // As in psql, a plus sign says that the value goes on.
            let mark = if at + 1 < cell.len() { '+' } else { ' ' };
            let width = widths[i];
            let last = i + 1 == lines.len();
            if right.get(i).copied().unwrap_or(false) {
                write!(out, " {text:>width$}")?;
            } else if last && mark == ' ' {
                write!(out, " {text}")?;
            } else {
                write!(out, " {text:<width$}")?;
            }
            // Nothing stands behind the last column but the mark.
            if !last || mark == '+' {
                write!(out, "{mark}")?;
            }
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    use super::super::{Format, Printer};

    fn shown(format: Format) -> String {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let words: ArrayRef = Arc::new(StringArray::from(vec!["a,b", "two\nlines"]));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("word", words)]).expect("a batch");
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, format);
        printer.columns(&batch.schema()).expect("memory takes everything");
        printer.rows(&batch).expect("memory takes everything");
        printer.done("SELECT 2").expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn three_formats() {
        assert_eq!(
            shown(Format::Table),
            " n | word  \n---+-------\n 1 | a,b\n   | two  +\n   | lines\n(2 rows)\n\n"
        );
        assert_eq!(shown(Format::Csv), "n,word\n1,\"a,b\"\n,\"two\nlines\"\n");
        assert_eq!(
            shown(Format::Json),
            "{\"n\":1,\"word\":\"a,b\"}\n{\"n\":null,\"word\":\"two\\nlines\"}\n"
        );
    }
}
